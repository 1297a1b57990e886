"""Controls of distillation: what they keep of a teacher, what they take away, and that nothing else differs."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

import qkdlib
from qkdlib import pipeline
from qkdlib.experiment import Experiment, Teacher
from qkdlib.teachers import LeNet, controls, teacher_name

TINY = Experiment(
    dataset="digits", classes=(0, 1, 2), train_per_class=12, validation_per_class=4, test_per_class=10,
    epochs=2, batch_size=4, seeds=2, shots=20,
)  # fmt: skip


def logits_and_labels(count: int = 60, classes: int = 5):
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    logits = 2 * torch.randn(count, classes, generator=draw)
    logits[torch.arange(count), labels] += 6
    return logits, labels


# Smoothed labels


@pytest.mark.parametrize("temperature", [1.0, 3.0, 10.0])
def test_smoothed_labels_have_the_teachers_mean_entropy_and_nothing_else_of_it(temperature):
    logits, labels = logits_and_labels()
    given = controls.smoothed(logits, labels, temperature)
    chances = torch.softmax(given.double() / temperature, dim=1).numpy()
    teachers = torch.softmax(logits.double() / temperature, dim=1).numpy()
    assert stats.entropy(chances, axis=1).mean() == pytest.approx(stats.entropy(teachers, axis=1).mean(), abs=1e-5)
    assert (chances.argmax(1) == labels.numpy()).all()
    others = np.sort(chances, axis=1)[:, :-1]
    assert np.ptp(others) < 1e-6  # no class is more like the right one than any other
    assert np.ptp(chances.max(1)) < 1e-6  # no image is harder than any other


def test_labels_are_smoothed_to_any_entropy_between_certain_and_uniform():
    labels = torch.arange(4)
    for sharpness in (0.01, 1.0, 30.0):
        logits = sharpness * torch.eye(4)
        given = controls.smoothed(logits, labels, 1.0)
        torch.testing.assert_close(torch.softmax(given, 1), torch.softmax(logits, 1), atol=1e-5, rtol=0)


# Shuffled logits


def test_shuffled_logits_are_those_of_the_class_in_another_order():
    logits, labels = logits_and_labels()
    given = controls.shuffled(logits, labels, seed=0)
    for label in labels.unique():
        rows = labels == label
        assert not torch.equal(given[rows], logits[rows])
        assert torch.equal(torch.sort(given[rows], 0).values, torch.sort(logits[rows], 0).values)
    assert torch.equal(controls.shuffled(logits, labels, seed=0), given)
    assert not torch.equal(controls.shuffled(logits, labels, seed=1), given)


@pytest.mark.parametrize("labels", ["smoothed", "shuffled"])
def test_validation_images_learn_nothing_of_training_images(labels):
    """Each part is changed within itself, and images of neither part keep what they had."""
    experiment = TINY.distilled(Teacher(labels=labels))
    parts = qkdlib.splits(experiment)
    logits = torch.arange(3 * len(parts.all_train)).view(-1, 3).float() % 7
    given = controls.apply(experiment, logits, parts)
    place = {int(index): row for row, index in enumerate(parts.all_train.index)}
    touched = torch.zeros(len(given), dtype=torch.bool)
    for part in (parts.train, parts.validation):
        rows = [place[int(index)] for index in part.index]
        touched[rows] = True
        if labels == "shuffled":
            assert torch.equal(torch.sort(given[rows], 0).values, torch.sort(logits[rows], 0).values)
    assert torch.equal(given[~touched], logits[~touched]) and (given[touched] != logits[touched]).any()


def test_what_a_student_gets_of_a_teacher_is_not_another_teacher():
    own, shuffled = (TINY.distilled(Teacher(labels=labels)) for labels in ("own", "shuffled"))
    assert teacher_name(TINY, own.teacher) == teacher_name(TINY, shuffled.teacher)
    assert own.digest != shuffled.digest


def test_controls_train_by_the_same_code_to_other_students(workspace):
    kinds = ("own", "smoothed", "shuffled")
    found = [pipeline.run(TINY.distilled(Teacher(epochs=1, labels=kind)), workspace=workspace) for kind in kinds]
    losses = [tuple(record.seeds[0]["train_loss"]) for record in found]
    assert len(set(losses)) == 3
    assert len(list(workspace.teachers.glob("*.npz"))) == 1


@pytest.mark.parametrize("labels", ["shuffled", "smoothed"])
def test_a_control_of_a_network_of_ones_own_is_that_control(workspace, labels):
    torch.manual_seed(0)
    network = LeNet((1, 28, 28), 3)
    plain = pipeline.run(TINY, teacher=network, workspace=workspace)
    asked = TINY.distilled(Teacher(labels=labels, seed=3))
    control = pipeline.run(asked, teacher=network, workspace=workspace)
    given = control.experiment.teacher
    assert (given.labels, given.seed) == (labels, 3 if labels == "shuffled" else 0)
    assert dataclasses.replace(given, labels="own", seed=0) == plain.experiment.teacher
    assert control.seeds[0]["train_loss"] != plain.seeds[0]["train_loss"]
    assert pipeline.run(control.experiment, workspace=workspace).seeds == control.seeds
    assert len(list(workspace.teachers.glob("*.npz"))) == 1  # one file of logits for all
