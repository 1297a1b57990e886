"""A run that is killed, at each of its writes and at random moments: running it again gives what it would have given,
and nothing is left behind."""

import os
import random
import signal
import tempfile
import time
from pathlib import Path

import children
import pytest

WRITES = ["students", "teachers", "checkpoints", "checkpoints", "teachers", "students", "checkpoints", "students"]
MOMENTS = 9


@pytest.fixture(scope="module")
def undisturbed(parent, tmp_path_factory) -> dict:
    """What a run gives that nobody kills, where it writes, and how many seconds it takes."""
    [(_, found)] = parent.submit(children.together, [(watched_run, tmp_path_factory.mktemp("undisturbed"))]).result()
    return found


def watched_run(root: Path) -> dict:
    replace, folders, started = os.replace, [], time.perf_counter()

    def noted(old, new):
        folders.append(Path(new).parent.name)
        replace(old, new)

    os.replace = noted
    return {
        "seeds": children.run(children.TAUGHT, root),
        "folders": folders,
        "seconds": time.perf_counter() - started,
    }


def killed_at_write(root: Path, number: int, when: str) -> None:
    """Run, and be killed at a write: when its temporary file is empty, or before or after it takes its place."""
    replace, make, count = os.replace, tempfile.mkstemp, 0

    def kill(now: str) -> None:
        if (count, now) == (number, when):
            os.kill(os.getpid(), signal.SIGKILL)

    def made(*given, **named):
        answer = make(*given, **named)
        kill("empty")
        return answer

    def replaced(*given):
        nonlocal count
        kill("before")
        replace(*given)
        kill("after")
        count += 1

    tempfile.mkstemp, os.replace = made, replaced
    children.run(children.TAUGHT, root)


def killed_after(root: Path, seconds: float) -> None:
    """Run, and be killed after a time."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    children.run(children.TAUGHT, root)


def check_a_run_after(root: Path, parent, undisturbed: dict) -> None:
    [(_, again)] = parent.submit(children.together, [(children.run, children.TAUGHT, root)]).result()
    assert again == undisturbed["seeds"]
    left = [path.name for path in root.rglob("*") if path.is_file()]
    assert [name for name in left if name.startswith(".") or "damaged" in name or ".tmp" in name] == []


def test_every_write_is_known(undisturbed):
    assert undisturbed["folders"] == WRITES


@pytest.mark.parametrize("when", ["empty", "before", "after"])
@pytest.mark.parametrize("number", range(len(WRITES)))
def test_a_run_that_is_killed_at_a_write_can_be_run_again(parent, undisturbed, tmp_path, number, when):
    [(ended, _)] = parent.submit(children.together, [(killed_at_write, tmp_path, number, when)]).result()
    assert ended == signal.SIGKILL
    check_a_run_after(tmp_path, parent, undisturbed)


@pytest.mark.parametrize("number", range(MOMENTS))
def test_a_run_that_is_killed_at_a_random_moment_can_be_run_again(parent, undisturbed, tmp_path, number):
    seconds = random.Random(number).uniform(0.001, undisturbed["seconds"])
    parent.submit(children.together, [(killed_after, tmp_path, seconds)]).result()
    check_a_run_after(tmp_path, parent, undisturbed)
