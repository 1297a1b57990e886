"""The peers' environment and processes: each on one core, with one thread."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from qkdlib import portable

SCRIPTS = Path(__file__).resolve().parent
BUILD = SCRIPTS.parents[1] / "build" / "peers"


def environment() -> Path:
    """The Python of the peers' environment, made if it is not there or their requirements have changed."""
    wanted, stamp = (SCRIPTS / "requirements.txt").read_text(), BUILD / "installed.txt"
    python = BUILD / ".venv" / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        print("installing the peers ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", BUILD / ".venv"], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # torch first: it is by far the largest, and what else asks for it takes the one that is there.
        torch_pin = next(line for line in wanted.split() if line.startswith("torch=="))
        subprocess.run([*pip, torch_pin], check=True)
        subprocess.run([*pip, "-r", SCRIPTS / "requirements.txt"], check=True)
        stamp.write_text(wanted)
    return python


def command(python: Path | str, script: str, kind: str, path: Path, mode: str = "") -> tuple[list, dict]:
    """A peer's command line, and how `subprocess` starts it: on one core, with one thread."""
    core = max(os.sched_getaffinity(0))
    variables = {name: value for name, value in os.environ.items() if name not in portable.VARIABLES}
    variables |= {"OMP_NUM_THREADS": "1", "QKD_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    variables |= {"QKD_PORTABLE": mode} if mode else {}
    started = {"env": variables, "text": True, "preexec_fn": lambda: os.sched_setaffinity(0, {core})}
    return [python, SCRIPTS / f"{script}.py", kind, path], started


class Running:
    """A peer's process, which trains epochs when it is asked."""

    def __init__(self, started: subprocess.Popen):
        self.process = started
        self.facts = self._answer()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended with status {self.process.wait()}")
        return json.loads(line)

    def seconds(self, epochs: int) -> float:
        """Seconds that it takes for so many epochs."""
        self.process.stdin.write(f"{epochs}\n")
        self.process.stdin.flush()
        return self._answer()["seconds"]


@contextlib.contextmanager
def running(line: list, started: dict) -> Iterator[Running]:
    """A peer that runs until the end."""
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **started) as process:
        try:
            yield Running(process)
        finally:
            process.kill()
