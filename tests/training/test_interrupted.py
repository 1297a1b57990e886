"""A training of students that is interrupted goes on from its checkpoint, to the same bits, whatever it draws."""

import dataclasses
import errno
import warnings

import pytest
import torch
from protocols import DESCRIBED, PROTOCOLS, REVISED, experiment, teacher_logits, weights

from qkdlib import training
from qkdlib.experiment import Experiment, Teacher
from qkdlib.files import DamagedFile
from qkdlib.images import datasets
from qkdlib.training import checkpoints, steps, student_training

PATIENT = {**REVISED, "tested": "at_end", "patience": 2, "learning_rate": 0.2}
KINDS = {
    **PROTOCOLS,
    "at the end": {**REVISED, "tested": "at_end"},
    "patience": PATIENT,
    "rates": {**PATIENT, "learning_rates": (0.01, 0.2)},
    "sampled, at the end": {**PROTOCOLS["published, sampled"], "tested": "at_end"},
}
SEEDS = [3, 0, 8]


@pytest.fixture(autouse=True)
def after_every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 1e9)


def train(task: Experiment, folder=None):
    """As `protocols.train`; with the number of epochs that were trained."""
    seen, epoch = [], student_training.StudentTraining.epoch

    def counted(self, number, advance):
        seen.append(number)
        epoch(self, number, advance)

    logits = teacher_logits(task) if task.teacher else None
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(student_training.StudentTraining, "epoch", counted)
        student, results = training.train_students(task, datasets.splits(task), logits, SEEDS, "cpu", folder)
    return student, results, len(seen)


def interrupt(task: Experiment, folder, epochs: int):
    """Train, and be interrupted in the middle of an epoch when `epochs` have been trained."""
    begun, epoch = [], student_training.StudentTraining.epoch

    def stopped(self, number, advance):
        begun.append(number)
        steps = []

        def count():
            steps.append(None)
            if len(begun) > epochs and len(steps) == 2:
                raise KeyboardInterrupt
            advance()

        epoch(self, number, count)

    logits = teacher_logits(task) if task.teacher else None
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(student_training.StudentTraining, "epoch", stopped)
        training.train_students(task, datasets.splits(task), logits, SEEDS, "cpu", folder)


def check_same(one, other):
    assert one[1] == other[1]
    for place in range(len(SEEDS)):
        assert torch.equal(weights(one[0], place), weights(other[0], place))


@pytest.mark.parametrize("kind", [*KINDS, "distilled"])
def test_it_ends_with_the_same_bits_and_trains_only_what_was_lost(tmp_path, kind):
    task = experiment(**{**KINDS.get(kind, {}), "epochs": 4, "batch_size": 20})
    task = task.distilled(Teacher()) if kind == "distilled" else task
    whole = train(task)
    epochs = whole[2] - 2  # of the second learning rate's, where there are two
    interrupt(task, tmp_path, epochs)
    again = train(task, tmp_path)
    check_same(again, whole)
    assert again[2] == 2 and again[0].seconds_before > 0
    training.forget(tmp_path, task, SEEDS, "cpu")
    assert list(tmp_path.iterdir()) == []


def test_sums_over_more_steps_than_are_added_up_at_once_have_the_same_bits(tmp_path):
    task = experiment(**{**DESCRIBED, "epochs": 4, "batch_size": 1})
    assert steps.STEPS > len(datasets.splits(task).train) > steps.STEPS / 2
    whole = train(task)
    interrupt(task, tmp_path, 2)
    check_same(train(task, tmp_path), whole)


def test_it_can_be_interrupted_again_and_again(tmp_path):
    task = experiment(**{**KINDS["rates"], "epochs": 5, "batch_size": 20})
    whole = train(task)
    for _ in range(3):
        interrupt(task, tmp_path, 2)
    again = train(task, tmp_path)
    check_same(again, whole)
    assert again[2] == whole[2] - 6


def test_a_finished_training_is_not_trained_again(tmp_path):
    for fields in ({}, PATIENT):
        task = experiment(**{**fields, "epochs": 4})
        first, again = train(task, tmp_path), train(task, tmp_path)
        check_same(first, again)
        assert again[2] == 0 and "confusion" in again[1][0]


def test_other_seeds_another_rate_and_another_experiment_have_files_of_their_own(tmp_path):
    task = experiment(**DESCRIBED)
    others = [dataclasses.replace(task, learning_rate=0.1), dataclasses.replace(task, learning_rates=(0.1, 0.2), **{
        "tested": "at_end"})]  # fmt: skip
    asked = [
        (task, [0, 1], "cpu"),
        (task, [0, 2], "cpu"),
        (task, [0, 1], "cuda"),
        *((o, [0, 1], "cpu") for o in others),
    ]
    names = [path for each in asked for path, _ in checkpoints.files_of(tmp_path, *each)]
    assert len(set(names)) == len(names) == 6
    assert checkpoints.files_of(None, task, [0], "cpu") == [None]


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "a flipped bit": lambda path: path.write_bytes(
        path.read_bytes()[:5000] + bytes([path.read_bytes()[5000] ^ 4]) + path.read_bytes()[5001:]
    ),
    "another title": lambda path: changed(path, title="another"),
    "no generators": lambda path: inside(path, generators=[]),
    "another shape": lambda path: inside(path, model={"theta": torch.zeros(3)}),
    "no history": lambda path: torch.save({"title": torch.load(path)["title"]}, path),
}


def changed(path, **parts):
    torch.save(torch.load(path) | parts, path)


def inside(path, **parts):
    state = torch.load(path)
    changed(path, training=state["training"] | parts)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_checkpoint_is_set_aside_and_nothing_of_it_taken(tmp_path, damage):
    task = experiment(epochs=3)
    whole = train(task)
    interrupt(task, tmp_path, 2)
    (path,) = tmp_path.iterdir()
    damage(path)
    with pytest.warns(DamagedFile, match=f"{path.name} is damaged"):
        again = train(task, tmp_path)
    check_same(again, whole)
    assert again[2] == 3


def test_a_checkpoint_that_cannot_be_written_costs_one_warning_and_not_the_training(tmp_path, monkeypatch):
    def full(*_given):
        raise OSError(errno.ENOSPC, "No space left on device")

    task = experiment(epochs=3)
    with monkeypatch.context() as patched, pytest.warns(UserWarning, match="is not kept while it runs.*space") as said:
        patched.setattr(torch, "save", full)
        found = train(task, tmp_path)
    assert len(said) == 1 and list(tmp_path.iterdir()) == []
    check_same(found, train(task))


def test_checkpoints_are_written_after_a_while_only(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 3600.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(experiment(epochs=2), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_writing_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(checkpoints, "SECONDS", 5.0)
    monkeypatch.setattr(checkpoints, "SHARE", 0.05)
    written = []

    def slow(state, file):
        written.append(clock[0])
        clock[0] += 2.0

    monkeypatch.setattr(checkpoints.torch, "save", slow)

    class Nothing:
        def state_dict(self):
            return {}

    kept = checkpoints.Now(tmp_path / "t.pt", "t", Nothing())
    for _ in range(100):
        clock[0] += 1.0
        kept.keep([])
    assert written == [105.0, 147.0, 189.0]
