"""A real Dask scheduler and workers as processes on loopback, which see neither the workspace nor QKD_DATA: the same
bits as in one process, whatever dies."""

import contextlib
import dataclasses
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import distributed
import numpy as np
import pytest
import torch

import qkdlib
from qkdlib import cluster, images, runtime, trained, workers
from qkdlib.blocks import Missing, Task, shares
from qkdlib.experiment import Experiment, Teacher
from qkdlib.images import datasets
from qkdlib.records import Record, complete, read_all
from qkdlib.spreading import Job
from qkdlib.study.robustness import executing, executions
from qkdlib.study.robustness.executions import Condition
from qkdlib.workspace import Workspace

SIZES = {"train_per_class": 6, "validation_per_class": 3, "test_per_class": 5, "batch_size": 6, "shots": 50}
TASK = Experiment(dataset="digits", classes=(0, 1, 2), qubits=2, epochs=2, seeds=10, **SIZES)
FAILS = dataclasses.replace(TASK, classes=(3, 10))  # the digits end at 9
ROOT = Path(qkdlib.__file__).parents[1]


def quiet(_line: str) -> None:
    """Say nothing."""


def arrays() -> str:
    """A data set that no other process has: a part of the digits, turned over."""
    x, y, x_test, y_test, _ = datasets.load("digits")
    kept, tested = y < 3, y_test < 3
    return images.from_arrays(x[kept].flip(-1), y[kept], x_test[tested].flip(-1), y_test[tested])


class Cluster:
    """A scheduler and workers, each a process that starts in `folder` with an empty environment."""

    def __init__(self, folder: Path):
        self.folder, self.workers = folder, []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.scheduler = self._start("scheduler", "--host", self.address, "--dashboard-address", "127.0.0.1:0")

    def _start(self, what: str, *options: str, **variables: str) -> subprocess.Popen:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *options]
        with open(self.folder / f"{what}-{len(self.workers)}.log", "w") as log:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def add(self, *options: str, **variables: str) -> subprocess.Popen:
        """Start a worker, and wait until the scheduler knows it."""
        more = "--no-nanny", "--no-dashboard", "--memory-limit", "0", "--host", "127.0.0.1", *options
        with distributed.Client(self.address, timeout=60, set_as_default=False) as client:
            count = len(client.nthreads())
            self.workers.append(self._start("worker", self.address, *more, **variables))
            client.wait_for_workers(count + 1, timeout=60)
        return self.workers[-1]

    def end(self, *processes: subprocess.Popen) -> None:
        """Kill processes, and wait until the scheduler knows of it."""
        for each in processes:
            each.kill()
            each.wait()


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    """A cluster without workers."""
    made = Cluster(tmp_path_factory.mktemp("elsewhere"))
    yield made
    made.end(*made.workers, made.scheduler)


@pytest.fixture
def two(dask, monkeypatch):
    """That cluster, named in the environment, with two workers."""
    monkeypatch.setenv("QKD_SCHEDULER", dask.address)
    while sum(each.poll() is None for each in dask.workers) < 2:
        dask.add("--nthreads", "1")
    return dask


@pytest.fixture(scope="module")
def taught() -> Experiment:
    """Students of 15 seeds and their teacher, on images that only this process has."""
    teacher = Teacher(epochs=1, images_per_class=20)
    return dataclasses.replace(TASK, dataset=arrays(), seeds=15).distilled(teacher)


def found(experiment: Experiment, workspace: Workspace) -> tuple[dict, dict, bytes]:
    """Results, weights by seed, and logits of the teacher."""
    with np.load(trained.weights_path(experiment, workspace)) as file:
        rows = np.argsort(file["seeds"])
        weights = {name: file[name][rows].tobytes() for name in file.files if name not in ("digest", "seeds")}
    logits = {}
    for path in workspace.teachers.glob("*.npz"):
        with np.load(path) as file:
            logits |= {name: file[name].tobytes() for name in ("train", "test")}
    return complete(experiment, workspace).seeds, weights, logits


@pytest.fixture(scope="module")
def alone(taught, tmp_path_factory):
    """What comes of it in this process."""
    workspace = Workspace(tmp_path_factory.mktemp("alone"))
    cluster.run_all([taught], workspace, aer_seeds=6, say=quiet)
    return found(taught, workspace)


@contextlib.contextmanager
def killing(dask: Cluster, victim: subprocess.Popen):
    """Kill a worker as soon as every worker computes."""
    killed = threading.Event()

    def watch():
        with distributed.Client(dask.address, set_as_default=False) as client:
            while not killed.is_set():
                at_work = client.processing()
                if len(at_work) > 1 and all(at_work.values()):
                    dask.end(victim)
                    killed.set()
                time.sleep(0.02)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield killed
    thread.join(timeout=60)


def test_one_two_and_three_workers_give_the_bits_of_one_process_and_one_may_die(
    dask, taught, alone, tmp_path, monkeypatch
):
    monkeypatch.setenv("QKD_SCHEDULER", dask.address)
    for count in (1, 2, 3):
        last, workspace = dask.add("--nthreads", "1"), Workspace(tmp_path / str(count))
        with killing(dask, last) if count == 3 else contextlib.nullcontext() as killed:
            cluster.run_all([taught], workspace, aer_seeds=6, say=quiet)
        record = complete(taught, workspace)
        assert len(record.provenance) == count  # a block for each worker
        assert {each["threads"] for each in record.provenance} == {1} and record.unexecuted() == []
        assert found(taught, workspace) == alone
    assert killed.is_set() and last.poll() == -signal.SIGKILL
    assert not [path for path in dask.folder.rglob("*") if path.suffix in (".json", ".npz", ".pt")]


def test_a_failing_experiment_stops_no_other_and_only_missing_seeds_are_computed(two, tmp_path):
    said, workspace = [], Workspace(tmp_path)
    fewer = dataclasses.replace(TASK, seeds=4)
    cluster.run_all([fewer], workspace, aer_seeds=0, say=said.append)
    with pytest.raises(ValueError, match="^classes=.*10"):
        cluster.run_all([FAILS, TASK], workspace, aer_seeds=0, say=said.append)
    assert [each["seeds"] for each in complete(TASK, workspace).provenance] == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]]
    assert said[0] == f"{fewer.name} done" and f"{TASK.name} done" in said
    assert any(line.startswith(f"{FAILS.name} failed: ValueError: classes=") for line in said)


def test_executions_are_those_of_one_process(two, tmp_path, monkeypatch):
    task, conditions = dataclasses.replace(TASK, seeds=10), [Condition(shots=40, images_per_class=3)]
    job = Job(task.name, task, None, executing.stages(task, conditions, Workspace(tmp_path / "two"), near=False))
    cluster.each([job], quiet)
    monkeypatch.delenv("QKD_SCHEDULER")
    executing.run(task, conditions, Workspace(tmp_path / "one"), device="cpu")
    mine, theirs = (executions.find(task, Workspace(tmp_path / name)) for name in ("one", "two"))
    assert mine == theirs and set(mine[conditions[0]].accuracies) == set(range(10))
    counts = [
        (entry["jobs"], entry["circuits"])
        for name in ("one", "two")
        for entry in json.loads(next((tmp_path / name).rglob("executions/*.json")).read_text())["conditions"]
    ]
    assert counts[0] == counts[1] == (10, 90)


def end_this_process(path: Path | None) -> None:
    """Die; with a path, the first time alone."""
    if path is None or not path.exists():
        if path is not None:
            path.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def dying(name: str, path: Path | None) -> Job:
    return Job(name, TASK, None, (lambda _: [Task(None, end_this_process, (path,), quiet)],), f"{name} done")


def test_a_task_that_kills_its_worker_once_is_done_by_another_and_one_that_kills_all_is_named(tmp_path, monkeypatch):
    """On processes of this machine, which are replaced."""
    monkeypatch.setenv("QKD_THREADS", "2")
    said = []
    with pytest.raises(RuntimeError, match="^each of the 4 processes that computed it was killed, perhaps for lack of"):
        cluster.each([dying("all", None), dying("once", tmp_path / "once")], said.append)
    assert "once done" in said and "all done" not in said


def begun(path: Path) -> None:
    """Note that it was begun, and take a while."""
    with path.open("a") as lines:
        lines.write(f"{os.getpid()}\n")
    time.sleep(0.4)


def test_a_task_that_kills_workers_takes_no_other_with_it(tmp_path, monkeypatch):
    """Each other one is begun once, though workers die beside them all the while."""
    monkeypatch.setenv("QKD_THREADS", "2")
    paths = [tmp_path / str(number) for number in range(8)]
    others = [Task(None, begun, (path,), quiet) for path in paths]
    jobs = [dying("all", None), Job("others", TASK, None, (lambda _: others,), "others done")]
    with pytest.raises(RuntimeError, match="^each of the 4 processes"):
        cluster.each(jobs, quiet)
    assert [len(path.read_text().splitlines()) for path in paths] == [1] * len(paths)


@pytest.mark.parametrize("address", ["nowhere", "tcp://127.0.0.1", "http://127.0.0.1:1", "tcp://127.0.0.1:1"])
def test_a_wrong_address_is_named_before_any_work(address, tmp_path, monkeypatch):
    monkeypatch.setenv("QKD_SCHEDULER", address)
    monkeypatch.setattr(workers, "ANSWER", 1)
    monkeypatch.setattr(Missing, "trainings", lambda *_: pytest.fail("something is begun"))
    with pytest.raises(ValueError, match=f"^QKD_SCHEDULER='{address}' is not allowed; allowed: the address of a Dask"):
        cluster.run_all([TASK], tmp_path, say=quiet)


def test_workers_that_compute_otherwise_are_named_before_any_work(two, tmp_path, monkeypatch):
    monkeypatch.setenv("QKD_PORTABLE", "0")
    with pytest.raises(ValueError, match="^QKD_SCHEDULER=.*versions of this process.*QKD_PORTABLE 1 in place of 0"):
        cluster.run_all([TASK], tmp_path, say=quiet)
    monkeypatch.delenv("QKD_PORTABLE")
    with monkeypatch.context() as other, pytest.raises(ValueError, match="^QKD_SCHEDULER=.*device .* in place of meta"):
        other.setattr(runtime, "found_device", lambda _name: torch.device("meta"))
        cluster.run_all([TASK], tmp_path, say=quiet)
    wide = two.add("--nthreads", "2")
    with pytest.raises(ValueError, match="^QKD_SCHEDULER=.*workers of one thread .*, unlike tcp://.* with 2"):
        cluster.run_all([TASK], tmp_path, say=quiet)
    two.end(wide)


def test_a_worker_looks_at_its_own_images_each_time(monkeypatch):
    """A folder may change between two blocks."""
    wanted = workers.Images.of("digits", None)
    workers._have(wanted, None)
    monkeypatch.setattr(datasets, "content", lambda *_: "changed")
    with pytest.raises(workers.Lacking):
        workers._have(wanted, None)


FAULTS = """
import resource, sys
import numpy as np
from qkdlib import workers

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(1 << 17)  # 1 MiB, 256 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), workers.work(faults, (), None, {}))
"""


def test_a_worker_keeps_freed_memory():
    """Dask tells the C library to return it at once. On glibc, the one that does, pages are asked for once."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MALLOC_TRIM_THRESHOLD_": "65536"}
    ended = subprocess.run([sys.executable, "-c", FAULTS], env=environment, capture_output=True, text=True)
    before, after = map(int, ended.stdout.split())
    assert after < 1000 or platform.libc_ver()[0] != "glibc"
    assert after <= before + 1000


def test_facts_differ_in_what_both_know():
    mine = {"qkdlib": "0.2.0", "commit": "abc", "torch": "2.8"}
    assert workers.differences(mine, mine) == workers.differences({**mine, "commit": None}, mine) == ""
    assert workers.differences({**mine, "torch": "2.7", "commit": "d"}, mine) == (
        "commit d in place of abc, torch 2.7 in place of 2.8"
    )
    assert workers.differences(workers.facts(), workers.facts()) == ""


INTERRUPTED = """
import dataclasses, signal, sys, threading, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_workers import TASK, cluster, quiet

def interrupt():
    while not list(Path({root!r}).glob("results/students/*.json")):
        time.sleep(0.01)
    signal.raise_signal(signal.SIGINT)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    tasks = [dataclasses.replace(TASK, epochs=epochs) for epochs in range(2, 30)]
    cluster.run_all(tasks, {root!r}, aer_seeds=0, say=quiet)
"""


def test_ctrl_c_leaves_whole_blocks_and_no_process(tmp_path):
    script, root = tmp_path / "interrupted.py", tmp_path / "runs"
    script.write_text(INTERRUPTED.format(tests=str(Path(__file__).parent), root=str(root)))
    environment = {**os.environ, "QKD_THREADS": "2", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=120)
    assert "KeyboardInterrupt" in ended.stderr.splitlines()
    records = read_all(root)
    assert 1 <= len(records) < 28 and all(isinstance(each, Record) and each.missing() == [] for each in records)
    children = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(script) not in children


def test_seeds_are_shared_out_in_order_and_not_below_what_is_worth_a_block():
    assert shares([], 3) == [] and shares([7], 3) == [[7]] and shares(range(9), 5) == [list(range(9))]
    assert shares([1, 3, *range(10, 18)], 5) == [[1, 3, 10, 11, 12], [13, 14, 15, 16, 17]]
    many = shares(range(2000), 1)
    assert sum(many, []) == list(range(2000)) and {len(each) for each in many} == {100}


def test_dask_is_imported_where_it_computes_alone():
    code = "import sys; from qkdlib import cluster, sweeping; print({'dask', 'distributed'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.stdout.strip() == "set()", ended.stderr
