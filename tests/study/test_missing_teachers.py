"""Which teachers are trained because they have no logits, and in which order."""

import numpy as np
import pytest
from synthetic import save_all_teachers, save_teachers
from tiny_study import TINY, lacking

from qkdlib import images, teachers, training
from qkdlib.__main__ import main
from qkdlib.experiment import Experiment, Teacher
from qkdlib.study import missing
from qkdlib.study.v1 import paper
from qkdlib.teachers.teacher_files import TeacherLogits, teacher_name
from qkdlib.workspace import Workspace


@pytest.fixture
def training_of(monkeypatch):
    """What would be trained: data set, last class, architecture, epochs and whether anew."""
    calls = []

    def train(task, teacher, parts, place, device, fresh):
        calls.append((task.dataset, task.classes[-1], teacher.architecture, teacher.epochs, fresh))

    monkeypatch.setattr(teachers, "train_teacher", train)
    monkeypatch.setattr(images, "splits", lambda task: None)
    return calls


def of_rows() -> list[Experiment]:
    return [row.experiment for row in paper.rows() if row.category == "Teacher"]


@pytest.mark.parametrize(
    "taught",
    [
        of_rows(),
        [row.experiment for row in paper.rows() if row.distils],
        [experiment for experiment in of_rows() if experiment.teacher.architecture == "ensemble"],
    ],
    ids=["teachers", "students", "ensembles"],
)
def test_v1s_twelve_teachers_are_trained_members_before_their_ensemble(workspace, training_of, taught):
    missing.train_teachers(taught, workspace, False, lambda _: None)
    assert len(training_of) == len(set(training_of)) == 12
    alexnet = {"mnist": 3, "fashion_mnist": 5}
    for dataset in alexnet:
        for last in (5, 7):
            names = [call[2] for call in training_of if call[:2] == (dataset, last)]
            assert sorted(names) == ["alexnet", "ensemble", "lenet"]
            assert names[-1] == "ensemble"
            assert (dataset, last, "lenet", 10, False) in training_of
            assert (dataset, last, "alexnet", alexnet[dataset], False) in training_of


@pytest.mark.parametrize("cifar10", ["cifar10", "cifar10_jpeg"])
def test_all_teachers_are_v1s_those_of_ten_classes_and_those_of_the_students_images(
    workspace, at_hand, training_of, cifar10
):
    """On ten classes AlexNet has 3 epochs, and neither it nor the ensemble is trained on CIFAR10. Each task of the
    controlled experiment has a LeNet of 100 epochs, of which students with other qubits learn, too."""
    at_hand.add(cifar10)
    wanted = missing.all_teachers(workspace)
    assert wanted[:12] == of_rows()
    missing.train_teachers(wanted, workspace, False, lambda _: None)
    own = [call for call in training_of if call[2:4] == ("lenet", 100)]
    tasks = [(dataset, last) for dataset in ("mnist", "fashion_mnist") for last in (5, 7, 9)]
    assert sorted(own) == sorted((*task, "lenet", 100, False) for task in tasks)
    found = [call for call in training_of if call[1] == 9 and call not in own]
    assert len(training_of) == 12 + len(found) + len(own)
    grey = [("lenet", 10), ("alexnet", 3), ("ensemble", 10)]
    assert found == [
        *((dataset, 9, *teacher, False) for dataset in ("mnist", "fashion_mnist") for teacher in grey),
        (cifar10, 9, "lenet", 10, False),
    ]


def test_students_of_v2_need_no_ensemble(workspace, at_hand, training_of):
    wanted = [e for e in lacking("v2-full-set", workspace=workspace) if e.teacher]
    missing.train_teachers(wanted, workspace, False, lambda _: None)
    assert [call[:3] for call in training_of] == [
        ("mnist", 9, "lenet"), ("mnist", 9, "alexnet"), ("fashion_mnist", 9, "lenet"), ("fashion_mnist", 9, "alexnet"),
        ("cifar10_jpeg", 9, "lenet"),
    ]  # fmt: skip


def test_teachers_that_are_there_are_left(workspace, training_of):
    save_teachers(workspace)
    gone = paper.row("F-T-alex-07")
    (workspace.teachers / f"{teacher_name(gone.experiment, gone.experiment.teacher)}.npz").unlink()
    said = []
    missing.train_teachers(of_rows(), workspace, False, said.append)
    assert training_of == [("fashion_mnist", 7, "alexnet", 5, False)]
    assert said == [f"teacher {teacher_name(gone.experiment, gone.experiment.teacher)}"]


def test_fresh_teachers_are_all_trained_and_ensembles_put_together_anew(workspace, training_of):
    save_teachers(workspace)
    missing.train_teachers(of_rows(), workspace, True, lambda _: None)
    assert len(training_of) == 12
    assert {(name, fresh) for *_, name, _, fresh in training_of} == {
        ("lenet", True), ("alexnet", True), ("ensemble", False),
    }  # fmt: skip
    # An ensemble's old file is gone: it would be read in place of its new members.
    assert not list(workspace.teachers.glob("*ensemble*"))


def test_an_ensemble_is_the_mean_of_the_networks_trained_before_it(workspace, monkeypatch):
    first, second = Teacher(epochs=1), Teacher(epochs=1, seed=1)
    both = Teacher(architecture="ensemble", members=(first, second))
    fit, trained = training.fit, []
    monkeypatch.setattr(training, "fit", lambda *given, **named: trained.append(1) or fit(*given, **named))
    for fresh, times in ((False, 2), (False, 2), (True, 4)):
        missing.train_teachers([TINY.distilled(both)], workspace, fresh, lambda _: None)
        assert len(trained) == times
        found = [TeacherLogits.load(workspace.teachers / f"{teacher_name(TINY, t)}.npz") for t in (first, second, both)]
        one, two, mean = (np.exp(each.test.numpy()) for each in found)
        one, two, mean = (each / each.sum(1, keepdims=True) for each in (one, two, mean))
        assert mean == pytest.approx((one + two) / 2, abs=2e-3)
        assert np.abs(one - two).max() > 0.01


@pytest.mark.parametrize("options", [[], ["--fresh"]])
def test_the_command_trains_the_teachers_of_all_tables(monkeypatch, tmp_path, options):
    calls = []
    monkeypatch.setattr(missing, "train_teachers", lambda *arguments: calls.append(arguments[:3]))
    assert main(["teachers", "--workspace", str(tmp_path), *options]) == 0
    assert calls == [(missing.all_teachers(Workspace(str(tmp_path))), Workspace(str(tmp_path)), bool(options))]
    names = {teacher_name(experiment, experiment.teacher) for experiment in calls[0][0]}
    assert len(names) == 12 + 3 + 3 + 1 + 2 * 3  # and a LeNet of the controls' own images for 6, 8 and 10 classes


def test_a_teacher_of_a_copy_of_the_images_is_there(workspace, training_of):
    """As in a fresh clone, which has CIFAR10's teacher on the JPEG copy alone."""
    save_all_teachers(workspace)
    missing.train_teachers(missing.all_teachers(workspace), workspace, False, lambda _: None)
    assert training_of == []
