"""The wheel: built without a network, complete, and of use outside of the checkout, with the dependencies at hand."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SOURCES = ("qkdlib", "pyproject.toml", "setup.py", "README.md", "LICENSE")
CODE = (".py", ".csv", ".mplstyle")
FEW = 20  # records, of the hundreds that a real one packs


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy with few records, because a build writes into its folder."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    chosen = [ROOT / name for name in SOURCES] + sorted((ROOT / "notebooks").glob("[!.]*.ipynb"))
    for path in [*chosen, *sorted((ROOT / "results" / "students").glob("[!.]*.json"))[:FEW]]:
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
    (copy / "build" / "lib" / "qkdlib").mkdir(parents=True)
    (copy / "build" / "lib" / "qkdlib" / "gone.py").touch()  # of an earlier build
    line = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    ended = subprocess.run([*line, "--wheel-dir", str(out), str(copy)], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_the_code_its_data_and_the_study(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "qkdlib").rglob("*") if path.suffix in CODE}
    templates = {f"qkdlib/study/templates/{path.name}" for path in (ROOT / "notebooks").glob("[!.]*.ipynb")}
    beside = {"qkdlib/py.typed", "qkdlib/records/paper.tar.xz"}
    ours = {name for name in names if ".dist-info/" not in name}
    assert ours == code | templates | beside


def test_wheel_asks_for_nothing_that_pip_cannot_resolve(wheel):
    """No requirement by address, and the fork of TorchQuantum, whose own requirements hold together."""
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    wanted = re.findall(r"^Requires-Dist: (.+)$", archive.read(metadata).decode(), flags=re.M)
    found = {each.name: each for each in map(Requirement, wanted)}
    assert all(each.url is None for each in found.values())
    assert "torchquantum" not in found and str(found["torchquantum-ng"].specifier) == "==0.2.*"
    (scripts,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert archive.read(scripts).decode().split() == ["[console_scripts]", "qkdlib", "=", "qkdlib.__main__:main"]


def test_wheel_works_outside_of_the_checkout(wheel):
    """The version, the study's records, the templates and a small demo; `make wheel-check` tries all of the demo, after
    a plain pip install."""
    line = [sys.executable, str(ROOT / "tests" / "project" / "try_wheel.py"), "--quick", str(wheel)]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    version, look, *steps = ended.stdout.splitlines()
    assert re.fullmatch(rf"{version.removeprefix('qkdlib ')} {FEW} records, quickstart.ipynb", look)
    assert [line[:5] for line in steps if line.startswith("[")] == [f"[{number}/7]" for number in range(1, 8)]
