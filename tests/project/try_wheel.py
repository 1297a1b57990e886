"""Try a wheel of qkdlib outside of any checkout: `python try_wheel.py [--install] [--quick] qkdlib-*.whl`.

`--install` first installs it, and all that it needs by ordinary resolution, into the environment of this Python, and
says how long that took and how large the environment is. Without it, the environment has the dependencies already, and
the wheel is unpacked beside it. `--quick` trains one small student in place of the whole demo.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from pathlib import Path

QUICK = """
import dataclasses
from qkdlib.study import demo
from qkdlib.workspace import Workspace
task = dataclasses.replace(demo.TASK, classes=(0, 1), train_per_class=8, validation_per_class=4, test_per_class=4,
                           seeds=2, epochs=1, shots=10)
demo.run(Workspace("build/demo"), task=task, teacher=dataclasses.replace(demo.TEACHER, epochs=1))
"""
LOOK = """
import qkdlib
from pathlib import Path
from qkdlib import records
from qkdlib.study import notebooks
assert not Path(qkdlib.__file__).parents[1].joinpath("pyproject.toml").exists(), qkdlib.__file__
found = records.paper()
print(f"{qkdlib.__version__} {len(found)} records, {notebooks.template('quickstart').name}")
assert len(records.arms(found[:2])) == 2 and len(records.load(found[:1])) == len(found[0].seeds)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("wheel", type=Path)
    options = parser.parse_args()
    wheel = options.wheel.resolve()
    with tempfile.TemporaryDirectory(prefix="qkd-wheel-") as folder:
        away, unpacked = Path(folder) / "away", Path(folder) / "unpacked"
        away.mkdir()
        variables = {**os.environ, "PYTHONPATH": "" if options.install else str(unpacked), "QKD_DATA": str(away)}
        program = [sys.executable, "-m", "qkdlib"]
        if options.install:
            install(wheel)
            program = [str(Path(sysconfig.get_path("scripts")) / "qkdlib")]
        else:
            zipfile.ZipFile(wheel).extractall(unpacked)

        def run(*line: str) -> str:
            ended = subprocess.run(line, cwd=away, env=variables, text=True, stdout=subprocess.PIPE)
            if ended.returncode:
                sys.exit(f"{' '.join(line)} ended with {ended.returncode}:\n{ended.stdout}")
            return ended.stdout.strip()

        print(run(*program, "--version"))
        said = run(*program, "summary")
        assert said.startswith("no records in ") and list(away.iterdir()) == [], said
        print(run(sys.executable, "-c", LOOK))
        if options.quick:
            print(run(sys.executable, "-c", QUICK))
        else:
            assert wheel.stat().st_size < 5e6, "a wheel of more than 5 MB"
            print(run(*program, "demo"))
            print(run(*program, "artefacts", "--paper", "--workspace", "the_paper"))
            assert len(list((away / "the_paper" / "tables").glob("*.csv"))) >= 10
        assert (away / "build" / "demo" / "figures" / "seed_spread.png").stat().st_size > 10_000


def install(wheel: Path) -> None:
    """Install the wheel by plain pip, and let pip check the result."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    seconds = time.perf_counter() - started
    files = [
        path for path in Path(sysconfig.get_path("purelib")).rglob("*") if path.is_file() and not path.is_symlink()
    ]
    print(f"pip install: {seconds:.0f} s, {len(files)} files, {sum(map(size, files)) / 1e9:.1f} GB", flush=True)
    subprocess.run([sys.executable, "-m", "pip", "check"], check=True)


def size(path: Path) -> int:
    return path.stat().st_size


if __name__ == "__main__":
    main()
