"""Confusion matrices of records, recalls against scikit-learn's, and lost classes."""

import numpy as np
import pytest
from few_records import edited
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from qkdlib import records
from qkdlib.experiment import Experiment
from qkdlib.records import Record, read
from qkdlib.records.confusion import has_confusions
from qkdlib.workspace import Workspace

TASK = Experiment(dataset="digits", classes=(7, 2, 5), epochs=2, seeds=2)
WELL = [[4, 0, 0, 1], [1, 3, 1, 0], [0, 0, 5, 0]]
BADLY = [[5, 0, 0, 0], [3, 0, 2, 0], [1, 0, 0, 4]]  # has lost its second and third class


def of_matrices(*matrices, experiment=TASK) -> Record:
    """A made-up record whose seeds end with these confusion matrices."""
    seeds = {}
    for seed, matrix in enumerate(matrices):
        right = float(np.trace(matrix) / np.sum(matrix))
        seeds[seed] = {
            "validation_accuracy": [0.5, 0.6], "validation_ce": [1.0, 0.9], "test_accuracy": [0.1, right],
            "qasm_accuracy": None, "confusion": matrix, "validation_confusion": [[3, 2, 0, 0], [0, 3, 2, 0], [0] * 4],
        }  # fmt: skip
    return Record(experiment, seeds)


def test_confusions_are_read_back_whole(tmp_path):
    found = read(of_matrices(WELL, BADLY).save(Workspace(tmp_path)))
    assert records.confusions(found).tolist() == [WELL, BADLY]
    assert records.recalls(found, "validation")[1, :2].tolist() == [0.6, 0.6]
    assert has_confusions(found)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=40))
def test_recalls_are_scikit_learns(pairs):
    labels, taken_for = zip(*pairs, strict=True)
    matrix = metrics.confusion_matrix(labels, taken_for, labels=range(4))[:3].tolist()
    (found,) = records.recalls(of_matrices(matrix))
    expected = metrics.recall_score(labels, taken_for, labels=range(3), average=None, zero_division=np.nan)
    np.testing.assert_allclose(found, expected)


def test_lost_classes_are_named_by_their_indices_in_the_data_set():
    assert records.lost(of_matrices(WELL, BADLY)) == {1: [2, 5]}
    assert records.lost(of_matrices(WELL, WELL)) == {}


def test_a_seed_of_an_earlier_version_is_named():
    old = of_matrices(WELL, BADLY)
    del old.seeds[1]["confusion"]
    assert not has_confusions(old)
    for function in (records.confusions, records.recalls, records.lost):
        with pytest.raises(ValueError, match=r"^record=.*seeds \[1\] without confusion.*fresh=True"):
            function(old)


@pytest.mark.parametrize(
    "matrix",
    [
        None, "[[]]", [], WELL[:2], [row[:3] for row in WELL], [[*row, 0] for row in WELL], [[], [], []], [1, 2, 3],
        [[4.0, 0, 0, 1], *WELL[1:]], [[True, 3, 0, 1], *WELL[1:]], [[-1, 5, 0, 1], *WELL[1:]], [[0] * 4] * 3,
        [[10**12, 0, 0, 1], *WELL[1:]], BADLY,
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["confusion", "validation_confusion"])
def test_a_confusion_that_cannot_be_right_is_damage(tmp_path, name, matrix):
    path = of_matrices(WELL, WELL).save(Workspace(tmp_path))
    edited(path, lambda body: body["seeds"]["1"].update({name: matrix}))
    with pytest.raises(ValueError, match="is damaged"):
        read(path)


def test_the_confusion_of_a_training_that_stops_on_validation_is_of_its_best_epoch(tmp_path):
    patient = Experiment(dataset="digits", classes=(7, 2, 5), epochs=2, seeds=1, patience=1, tested="at_end")
    record = of_matrices(WELL, experiment=patient)
    record.seeds[0] |= {"validation_accuracy": [0.9, 0.5], "test_accuracy": [12 / 15, 0.1]}
    record.seeds[0]["validation_confusion"] = [[9, 1, 0, 0], [0] * 4, [0] * 4]
    assert read(record.save(Workspace(tmp_path))).seeds == record.seeds
