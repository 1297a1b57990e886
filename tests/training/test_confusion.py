"""Confusion matrices of trained students, against scikit-learn's."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from protocols import DESCRIBED, REVISED, experiment, train
from sklearn import metrics

from qkdlib.images import datasets
from qkdlib.training import confusion

AT_END = {**REVISED, "tested": "at_end", "epochs": 4, "learning_rate": 0.2}


@given(st.data())
def test_matrices_are_scikit_learns(data):
    classes, images = data.draw(st.integers(2, 5)), data.draw(st.integers(1, 30))
    labels = data.draw(st.lists(st.integers(0, classes - 1), min_size=images, max_size=images))
    row = st.lists(st.integers(0, classes), min_size=images, max_size=images)
    rows = data.draw(st.lists(row, min_size=1, max_size=3))
    found = confusion.matrices(torch.tensor(rows), torch.tensor(labels), classes)
    for matrix, taken_for in zip(found, rows, strict=True):
        expected = metrics.confusion_matrix(labels, taken_for, labels=range(classes + 1))
        assert np.array_equal(matrix, expected[:classes])  # no image is of no class


@given(st.integers(2, 4), st.integers(0, 2), st.integers(0, 2**31))
def test_the_largest_logit_says_the_class_and_what_is_no_number_says_none(classes, more, seed):
    logits = torch.randn(2, 12, classes + more, generator=torch.Generator().manual_seed(seed))
    logits[0, 3, 0], logits[1, 4, 1] = torch.nan, torch.inf
    found = confusion.predicted(logits, classes)
    for seed, image in np.ndindex(2, 12):
        place = int(np.argmax(logits[seed, image].numpy()))
        sound = (seed, image) not in ((0, 3), (1, 4)) and place < classes
        assert found[seed, image] == (place if sound else classes)


@pytest.mark.parametrize(
    "fields", [{}, DESCRIBED, REVISED, AT_END, {**AT_END, "patience": 1}, {**AT_END, "learning_rates": (1e-4, 0.2)}],
    ids=["published", "described", "revised", "at the end", "patience", "rates"],
)  # fmt: skip
def test_a_seeds_confusion_is_that_of_the_weights_that_it_keeps(fields):
    task = experiment(**fields)
    student, results = train(task, [4, 1, 7])
    parts, classes = datasets.splits(task), len(task.classes)
    for images, name in ((parts.test, "confusion"), (parts.validation, "validation_confusion")):
        with torch.no_grad():
            taken_for = student(images.x).argmax(-1).clamp_max(classes)
        for of_seed, found in zip(taken_for, results, strict=True):
            expected = metrics.confusion_matrix(images.y, of_seed, labels=range(classes + 1))[:classes]
            assert np.array_equal(found[name], expected)


def test_a_sampled_seeds_confusion_is_of_the_draw_that_its_accuracy_is_of():
    sampled = {"gradient": "published_shift", "sampler": "multinomial", "shots": 5, "tested": "at_end", "epochs": 4}
    kept = []
    for patience in (0, 2):
        task = dataclasses.replace(experiment(**sampled), patience=patience)
        for found in train(task, range(8))[1]:
            matrix, tested = np.array(found["confusion"]), [v for v in found["test_accuracy"] if v is not None]
            right = matrix.trace() / matrix.sum()
            assert right == pytest.approx(tested[0 if patience else -1], abs=1e-6)
            seen, accuracy = np.array(found["validation_confusion"]), found["validation_accuracy"]
            assert seen.trace() / seen.sum() == pytest.approx(max(accuracy) if patience else accuracy[-1], abs=1e-6)
            kept.append(len(tested))
    assert set(kept) == {1, 2}  # the best epoch is the last one for some


def test_a_confusion_of_very_many_classes_is_not_kept(monkeypatch):
    monkeypatch.setattr(confusion, "MOST_CLASSES", 5)
    for kept, task in ((0, experiment()), (2, experiment(classes=(0, 1, 2, 3, 4)))):
        assert all(sum("confusion" in name for name in found) == kept for found in train(task, [0, 1])[1])
