"""Runs with a loss of one's own: its identity in the record, and what another process says that does not know it."""

import dataclasses

import pytest
import torch
from tiny import TINY, run

import qkdlib
from qkdlib import cluster, parts, records, trained, workers
from qkdlib.experiment import Teacher
from qkdlib.images import datasets
from qkdlib.workspace import Workspace

TAUGHT = TINY.distilled(Teacher(epochs=1, images_per_class=10))


@pytest.fixture(autouse=True)
def no_parts(monkeypatch):
    """Nothing is registered, before and after."""
    monkeypatch.setattr(parts, "_registered", {})
    monkeypatch.setattr(parts, "_latest", {})


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Workspace:
    """A workspace in which the teacher has its logits."""
    workspace = Workspace(tmp_path_factory.mktemp("taught"))
    run(TAUGHT, workspace, aer_seeds=0)
    return workspace


def absolute(student_logits, labels, teacher_logits):
    difference = student_logits[..., : teacher_logits.shape[-1]] - teacher_logits
    return difference.abs().mean((1, 2))


def patched(student_logits, labels, teacher_logits):
    difference = student_logits[..., : teacher_logits.shape[-1]] - teacher_logits
    return 5 * difference.square().mean((1, 2))


def of(code, name: str = "absolute"):
    """The experiment with this loss, registered anew."""
    qkdlib.register("loss", name, code=code)
    return dataclasses.replace(TAUGHT, kd_loss=name)


def forgotten(monkeypatch) -> None:
    """As in another process."""
    monkeypatch.setattr(parts, "_registered", {})
    monkeypatch.setattr(parts, "_latest", {})


def test_a_patched_loss_of_the_same_name_leaves_another_record(taught):
    first, second = run(of(absolute), taught, aer_seeds=0), run(of(patched), taught, aer_seeds=0)
    assert first.experiment.name != second.experiment.name
    assert first.seeds != second.seeds
    again = of(absolute)
    assert records.find(again, taught).seeds == first.seeds and again.digest == first.experiment.digest
    kept = {record.experiment.kd_loss for record in records.read_all(taught)}
    assert {first.experiment.kd_loss, second.experiment.kd_loss} <= kept


@pytest.mark.parametrize("kd_loss", ["dkd", "rkd"])
def test_built_in_losses_run_and_leave_records_of_their_own(taught, kd_loss):
    task = dataclasses.replace(TAUGHT, kd_loss=kd_loss)
    record = run(task, taught, aer_seeds=0)
    assert record.experiment.digest != TAUGHT.digest
    assert all(results["train_kl"][0] > 0 for results in record.seeds.values())


def test_a_complete_record_needs_no_loss_and_more_seeds_do(taught, monkeypatch):
    record = run(of(absolute, "complete"), taught, aer_seeds=0)
    forgotten(monkeypatch)
    assert run(record.experiment, taught, aer_seeds=0).seeds == record.seeds
    monkeypatch.setattr(datasets, "splits", None)  # it does not come to that
    more = dataclasses.replace(record.experiment, seeds=3)
    with pytest.raises(ValueError, match=r"^kd_loss='complete@.*qkdlib.register.*none called complete is registered"):
        run(more, taught, aer_seeds=0)


def test_kept_weights_need_no_loss_and_lost_ones_do(taught, monkeypatch):
    task = of(absolute, "lost")
    run(task, taught, aer_seeds=0)
    there = qkdlib.trained_student(task, workspace=taught, device="cpu")
    forgotten(monkeypatch)
    again = qkdlib.trained_student(task, workspace=taught, device="cpu")
    for mine, theirs in zip(there.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    trained.weights_path(task, taught).unlink()
    with pytest.raises(ValueError, match="^kd_loss='lost@"):
        qkdlib.trained_student(task, workspace=taught, device="cpu")


def test_a_loss_that_does_not_fit_is_found_before_a_teacher_trains(workspace):
    task = of(lambda student_logits, labels, teacher_logits: student_logits.mean(), "mean")
    with pytest.raises(ValueError, match=r"^kd_loss='mean@.* shape \(2,\), and not \(\)"):
        run(task, workspace)
    assert not list(workspace.teachers.glob("*")) and not list(workspace.students.glob("*"))


def test_own_losses_run_one_after_the_other_in_this_process(taught, monkeypatch):
    monkeypatch.setenv("QKD_THREADS", "2")
    tasks = [of(absolute, "one"), of(patched, "two")]
    monkeypatch.setattr(workers, "connected", lambda *_: pytest.fail("another process is started"))
    cluster.run_all([*tasks, TINY], taught, aer_seeds=0, say=lambda _text: None)
    assert all(records.complete(task, taught) for task in tasks)


def test_a_placebo_is_not_trained_again_for_another_temperature(workspace, refuse):
    record = run(TINY, workspace, aer_seeds=0)
    refuse("train_students")
    for fields in ({"temperature": 9.0}, {"kd_loss": "rkd"}, {"kd_temperature_squared": False}):
        asked = dataclasses.replace(TINY, **fields)
        found = run(asked, workspace, aer_seeds=0)
        assert found.seeds == record.seeds and found.experiment == asked
    assert len(records.read_all(workspace)) == 1
