"""Runs that fail: the order of work, so that nothing is lost that was computed; and seeds that diverge."""

import concurrent.futures
import contextlib
import dataclasses
import errno
import os
import re
import resource
import tempfile
import threading

import pytest
from tiny import TINY, run

from qkdlib import execution, files, pipeline, torch_settings
from qkdlib.drawing import figures
from qkdlib.experiment import Teacher
from qkdlib.images import datasets
from qkdlib.records import Record, find, summary
from qkdlib.students import Student
from qkdlib.study.v2 import revised
from qkdlib.training import steps, student_training
from qkdlib.workspace import Workspace


@pytest.mark.parametrize("place", ["students", "teachers", "checkpoints"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_place_that_cannot_be_written_is_named_before_any_work(tmp_path, monkeypatch, place, number):
    folder, make = getattr(Workspace(tmp_path), place), tempfile.mkstemp

    def refused(*given, **named):
        if named.get("dir") == folder:
            raise OSError(number, os.strerror(number))
        return make(*given, **named)

    monkeypatch.setattr(tempfile, "mkstemp", refused)
    monkeypatch.setattr(datasets, "splits", lambda _: pytest.fail("images were loaded"))
    with pytest.raises(OSError, match=re.escape(f"{folder} cannot be written: {os.strerror(number)}")):
        run(TINY, Workspace(tmp_path))


def test_a_workspace_below_a_file_is_refused(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(OSError, match="results/students cannot be written"):
        run(TINY, Workspace(tmp_path))


def test_trying_a_place_leaves_nothing_there(tmp_path):
    files.writable(tmp_path / "new", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["new"]


def test_what_fails_while_the_weights_are_written_does_not_cost_the_record(tmp_path, monkeypatch):
    def full(_student, path):
        assert find(TINY, Workspace(tmp_path)) is not None  # the small file is there already
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Student, "save_weights", full)
    with pytest.warns(UserWarning, match=f"weights are not kept: .*{TINY.name}.npz.*No space left"):
        record = run(TINY, Workspace(tmp_path))
    assert run(TINY, Workspace(tmp_path)) == record


@pytest.mark.parametrize("error", [MemoryError("no memory"), RuntimeError("no memory"), ValueError("no memory")])
def test_what_fails_while_aer_runs_does_not_cost_the_training(tmp_path, monkeypatch, error, refuse):
    sound = run(TINY, Workspace(tmp_path / "sound"))

    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(execution, "execute", fail)
    saved = f"Aer failed \\({type(error).__name__}: no memory\\); the training is saved, .*{TINY.name}.json"
    with pytest.raises(RuntimeError, match=saved):
        run(TINY, Workspace(tmp_path))
    refuse("train_students")
    found = run(TINY, Workspace(tmp_path))
    assert found.seeds == {seed: {**results, "qasm_accuracy": None} for seed, results in sound.seeds.items()}
    assert pipeline.trained_student(TINY, workspace=tmp_path, device="cpu").seeds == [0, 1]  # without training


@pytest.mark.parametrize("weights", ["kept", "lost"])
def test_an_execution_that_was_cut_off_goes_on_from_the_training(tmp_path, monkeypatch, weights, refuse):
    sound, workspace = run(TINY, Workspace(tmp_path / "sound"), aer_seeds=1), Workspace(tmp_path / "cut")

    def cut_off(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(execution, "execute", cut_off)
        run(TINY, workspace, aer_seeds=1)
    cut = find(TINY, workspace)
    assert [entry["unexecuted"] for entry in cut.unexecuted()] == [[0]]
    assert run(TINY, workspace, aer_seeds=0) == cut  # nothing is to be executed
    if weights == "kept":
        refuse("train_students")
    else:
        (workspace.checkpoints / f"{TINY.name}.npz").unlink()
    assert run(TINY, workspace).seeds == sound.seeds == find(TINY, workspace).seeds
    [entry] = find(TINY, workspace).provenance
    assert "unexecuted" not in entry


def test_of_two_that_execute_one_record_none_loses_what_the_other_has(tmp_path):
    # The second one saves new seeds, with what it read before the first had executed its own.
    workspace = Workspace(tmp_path)
    done = run(TINY, workspace, aer_seeds=1)
    before = [{**done.provenance[0], "unexecuted": [0]}]
    early = {seed: {**results, "qasm_accuracy": None} for seed, results in done.seeds.items()}
    Record(TINY, early, before).save(workspace)
    assert find(TINY, workspace) == done
    again = run(TINY, workspace, fresh=True, aer_seeds=0)  # what is trained anew waits for no execution
    assert find(TINY, workspace).unexecuted() == [] and again.seeds.keys() == done.seeds.keys()


@pytest.mark.parametrize("room", [1 << 16, 1 << 18])
def test_a_disk_that_is_full_while_a_teacher_trains_is_said_with_the_file(tmp_path, room):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))  # the system writes no more of any file
    try:
        with pytest.raises(OSError, match="lenet.*.pt cannot be written: File too large"):
            run(TINY.distilled(Teacher(epochs=1, images_per_class=10)), Workspace(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_threads_take_turns_because_they_share_torchs_settings_and_random_numbers():
    both = threading.Barrier(2)

    def compute(_number) -> bool:
        with torch_settings.plain_torch(), contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
            return True
        return False

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(compute, range(2))) == [False, False]


# Seeds that diverge


def spoilt(monkeypatch, place: int, epoch: int):
    """From an epoch on, counted from 0, the training loss of the seed at this place is NaN."""
    trained, gradient, now = student_training.StudentTraining.epoch, steps.Distillation.gradient, []

    def counted(self, number, advance):
        now.append(number)
        trained(self, number, advance)

    def spoilt_gradient(self, logits, rows):
        found = gradient(self, logits, rows)
        if now[-1] >= epoch:
            found[place] = float("nan")
            self.sums[place] = float("nan")
        return found

    monkeypatch.setattr(student_training.StudentTraining, "epoch", counted)
    monkeypatch.setattr(steps.Distillation, "gradient", spoilt_gradient)


REVISED = revised.student(
    "digits", 2, classes=(0, 1), train_per_class=10, validation_per_class=5, test_per_class=5, epochs=4, seeds=3,
    learning_rate=0.01,
)  # fmt: skip
SAMPLED = dataclasses.replace(TINY, gradient="published_shift", sampler="multinomial", epochs=4, seeds=3)


@pytest.mark.parametrize(
    "task",
    [
        dataclasses.replace(TINY, epochs=4, seeds=3), SAMPLED, REVISED,
        dataclasses.replace(REVISED, patience=2, learning_rates=(0.01, 0.1)),
    ],
    ids=["published", "sampled", "revised", "patient"],
)  # fmt: skip
def test_a_seed_that_diverges_is_recorded_as_that_and_leaves_the_others_alone(tmp_path, monkeypatch, task):
    sound = run(task, Workspace(tmp_path / "sound"))
    spoilt(monkeypatch, place=1, epoch=2)
    with pytest.warns(UserWarning, match=r"seeds \[1\].* diverged"):
        record = run(task, Workspace(tmp_path))
    assert {seed: record.seeds[seed] for seed in (0, 2)} == {seed: sound.seeds[seed] for seed in (0, 2)}
    bad = record.seeds[1]
    assert record.diverged() == [1] and bad["diverged"] == 3 and bad["qasm_accuracy"] is None
    assert bad["train_loss"][:2] == sound.seeds[1]["train_loss"][:2] and set(bad["train_loss"][2:]) == {None}
    assert bad["validation_accuracy"][2:] == [0.0] * (len(bad["validation_accuracy"]) - 2)  # no number is no answer
    assert run(task, Workspace(tmp_path)) == record  # read from the file, which is JSON
    assert summary.arms([record])["diverged"].tolist() == [1]
    assert "diverged" not in summary.arms([sound])
    for seeds in (record.seeds, {1: bad}):
        figures.loss_curves({"all or the bad one": dataclasses.replace(record, seeds=seeds)})
    student = pipeline.trained_student(task, workspace=tmp_path, device="cpu")  # without training
    finite = [all(p[seed].isfinite().all() for p in student.parameters()) for seed in range(3)]
    assert finite == [True, task.patience > 0, True]  # with patience its best epoch's, before it diverged


@pytest.mark.parametrize("task", [TINY, REVISED], ids=["published", "revised"])
def test_a_learning_rate_too_large_is_a_training_that_diverged(tmp_path, task):
    with pytest.warns(UserWarning, match="diverged"):
        record = run(dataclasses.replace(task, learning_rate=1e38), Workspace(tmp_path))
    assert record.diverged() == list(record.seeds)
    assert all(0 <= results["test_accuracy"][-1] <= 1 for results in record.seeds.values())
