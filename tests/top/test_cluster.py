"""Many experiments in several processes: the same records as one after the other, and errors that are heard."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from qkdlib import checks, cluster, pipeline
from qkdlib.experiment import Experiment
from qkdlib.records import Record, read_all
from qkdlib.workspace import Workspace

TINY = Experiment(
    dataset="digits", train_per_class=5, validation_per_class=2, test_per_class=5, epochs=1, batch_size=5, seeds=2,
    shots=100,
)  # fmt: skip
SAMPLED = dataclasses.replace(TINY, gradient="published_shift", sampler="multinomial")
DESCRIBED = dataclasses.replace(
    TINY, reducer="fully_connected", encoder="amplitude_tanh", head="renormalised", dropout=0.0
)
FAILS = dataclasses.replace(TINY, classes=(3, 10))  # the digits end at 9, which shows when they are loaded


def by_name(workspace: Workspace) -> dict[str, Record]:
    return {record.experiment.name: record for record in read_all(workspace)}


def test_two_processes_give_the_records_of_one(tmp_path, monkeypatch):
    wanted, found, said = [TINY, SAMPLED, DESCRIBED], {}, {}
    for threads in ("1", "2"):
        monkeypatch.setenv("QKD_THREADS", threads)
        workspace, said[threads] = Workspace(tmp_path / threads), []
        cluster.run_all(wanted, workspace, aer_seeds=1, say=said[threads].append)
        found[threads] = by_name(workspace)
    assert found["1"].keys() == found["2"].keys() == {experiment.name for experiment in wanted}
    for name, alone in found["1"].items():
        assert found["2"][name].seeds == alone.seeds
        assert [entry["threads"] for entry in found["2"][name].provenance] == [1]
    assert sorted(said["1"]) == sorted(said["2"]) == sorted(f"{experiment.name} done" for experiment in wanted)
    assert [results["qasm_accuracy"] is None for results in found["2"][TINY.name].seeds.values()] == [False, True]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_error_of_an_experiment_is_raised_and_the_others_records_stay(tmp_path, monkeypatch, threads):
    monkeypatch.setenv("QKD_THREADS", threads)
    longer = dataclasses.replace(TINY, epochs=4)  # the longest is the first
    workspace = Workspace(tmp_path)
    with pytest.raises(ValueError, match="^classes=.*10"):
        cluster.run_all([FAILS, longer], workspace, aer_seeds=0, say=lambda _text: None)
    assert by_name(workspace).keys() == {longer.name}


def test_records_that_are_there_are_not_made_again_but_where_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("QKD_THREADS", "1")
    workspace = Workspace(tmp_path)
    for aer_seeds, fresh, executed in ((0, False, 0), (2, False, 0), (2, True, 2), (0, False, 2)):
        cluster.run_all([TINY], workspace, fresh=fresh, aer_seeds=aer_seeds, say=lambda _text: None)
        results = by_name(workspace)[TINY.name].seeds.values()
        assert sum(of_seed["qasm_accuracy"] is not None for of_seed in results) == executed


def test_longest_experiments_come_first(tmp_path, monkeypatch):
    monkeypatch.setenv("QKD_THREADS", "1")
    order = []
    monkeypatch.setattr(pipeline, "run", lambda experiment, **_options: order.append(experiment))
    longer, all_images = dataclasses.replace(TINY, epochs=3), dataclasses.replace(TINY, train_per_class=None)
    more_classes = dataclasses.replace(TINY, classes=tuple(range(8)))  # eight instead of six
    cluster.run_all([TINY, more_classes, longer, all_images], Workspace(tmp_path), say=lambda _text: None)
    assert order == [all_images, longer, more_classes, TINY]


def test_what_is_no_experiment_is_refused_before_any_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "each", lambda *_given: pytest.fail("something runs"))
    with pytest.raises(ValueError, match="^experiment='digits'"):
        cluster.run_all([TINY, "digits"], str(tmp_path))


def test_nothing_to_run_is_nothing_done(tmp_path):
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cluster.run_all([], str(tmp_path), say=said.append)
    assert said == [] and by_name(Workspace(tmp_path)) == {}


def test_several_that_fail_are_all_named_after_the_others_are_done(tmp_path, monkeypatch):
    monkeypatch.setenv("QKD_THREADS", "1")
    many = dataclasses.replace(TINY, train_per_class=500)
    workspace, said = Workspace(tmp_path), []
    with pytest.raises(ValueError, match="^2 failed: ") as error:
        cluster.run_all([FAILS, many, TINY], workspace, aer_seeds=0, say=said.append)
    assert by_name(workspace).keys() == {TINY.name}
    for failed, parameter in ((FAILS, "classes"), (many, "train_per_class")):
        assert f"{failed.name} (ValueError: {parameter}" in str(error.value)
        assert any(line.startswith(f"{failed.name} failed: ValueError: {parameter}") for line in said)
    assert "\n" not in str(error.value) and f"{TINY.name} done" in said


def test_errors_of_different_kinds_are_one_runtime_error():
    failures = cluster.Failures(lambda _: None)
    for name, error in (("first", ValueError("wrong")), ("second", MemoryError("full")), ("third", None)):
        with failures.of(name):
            if error:
                raise error
    with pytest.raises(RuntimeError, match=r"^2 failed: first \(ValueError: wrong\); second \(MemoryError: full\)$"):
        failures.end()
    cluster.Failures(lambda _: None).end()  # nothing failed


def test_the_first_error_of_a_piece_of_work_is_the_one_that_is_raised():
    failures = cluster.Failures(lambda _: None)
    for error in (MemoryError("training is full"), RuntimeError("no record to execute")):
        with failures.of("experiment"):
            raise error
    with pytest.raises(MemoryError, match="^training is full$"):
        failures.end()


# How many processes


def test_as_many_processes_as_there_are_cores_experiments_and_memory(monkeypatch):
    mnist, cifar10 = (dataclasses.replace(TINY, dataset=name, test_per_class=None) for name in ("mnist", "cifar10"))
    monkeypatch.setattr(cluster, "_cuda", lambda: False)
    monkeypatch.setenv("QKD_THREADS", "6")
    for free, of_mnist, of_cifar10 in ((4e9, 2, 1), (8e9, 5, 2), (1e9, 1, 1), (float("inf"), 6, 6)):
        monkeypatch.setattr(checks, "available_memory", lambda free=free: free)
        assert cluster.workers_for([mnist] * 20) == of_mnist
        assert cluster.workers_for([cifar10] * 20) == of_cifar10
        assert cluster.workers_for([mnist, cifar10] * 20) == of_cifar10  # any of them may be the large one
    assert cluster.workers_for([mnist] * 3) == 3
    assert cluster.workers_for([]) == 1


def test_memory_of_the_data_sets():
    """CIFAR10 was seen to take 2.4 to 3.6 GB for each process, the most with its full set, and MNIST 1 GB or more."""
    few = dataclasses.replace(TINY, dataset="cifar10", train_per_class=150, test_per_class=150)
    full = dataclasses.replace(few, train_per_class=None, test_per_class=None)
    assert cluster.memory_of(TINY) < 0.9e9
    assert cluster.memory_of(dataclasses.replace(full, dataset="mnist")) < 1.7e9
    assert 1.8e9 < cluster.memory_of(few) < 2.6e9 < 3.2e9 < cluster.memory_of(full) < 3.7e9
    assert cluster.memory_of(dataclasses.replace(full, dataset="imagefolder:mine")) == cluster.memory_of(full)


# Workers end with their parent


PARENT = """
import os, signal, sys, time
from pathlib import Path
from qkdlib import cluster
from qkdlib.blocks import Task
from qkdlib.experiment import Experiment
from qkdlib.spreading import Job

def wait_for(folder):
    (folder / str(os.getpid())).touch()  # says which process works, and never ends
    while True:
        time.sleep(0.1)

def tasks(_pieces):
    return [Task(None, wait_for, (Path(sys.argv[1]),), print)]

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background it is ignored,
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and this one by nohup
    cluster._cuda = lambda: False
    digits = Experiment(dataset="digits")
    cluster.each([Job(name, digits, None, (tasks,)) for name in "ab"])
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_workers_end_with_their_parent(tmp_path, ending):
    script, pids = tmp_path / "parent.py", tmp_path / "pids"
    script.write_text(PARENT)
    pids.mkdir()
    environment = {**os.environ, "QKD_THREADS": "2", "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen([sys.executable, script, pids], env=environment, stderr=subprocess.DEVNULL) as parent:
        until(lambda: len(list(pids.iterdir())) == 2)
        parent.send_signal(ending)
    workers = [int(path.name) for path in pids.iterdir()]
    until(lambda: not any(map(alive, workers)))


def until(true, seconds: float = 60) -> None:
    """Wait for something that comes soon; the limit is for a machine that is very busy."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_script_that_other_processes_cannot_import_is_told_why(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"""
import dataclasses, os
os.environ["QKD_THREADS"] = "2"
from qkdlib import Experiment, cluster
tasks = [Experiment(dataset="digits", epochs=each) for each in (1, 2)]
cluster.run_all(tasks, {str(tmp_path / "runs")!r}, say=lambda text: None)
""")
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert ended.returncode == 1
    assert 'if __name__ == "__main__":' in ended.stderr.strip().splitlines()[-1]
