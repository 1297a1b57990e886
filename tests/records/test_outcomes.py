"""What is read off the curves of one seed, tested after every epoch or at the end alone. All curves are made up."""

import json

import pytest
from few_records import TASK, curves
from hypothesis import given
from hypothesis import strategies as st

from qkdlib.experiment import Experiment
from qkdlib.records import Record, outcomes, read
from qkdlib.workspace import Workspace


def test_of_equally_good_epochs_one_that_did_not_diverge_is_selected():
    bad = {**curves(), "validation_accuracy": [0.5, 0.5, 0.5], "validation_ce": [None, 0.7, None], "diverged": 1}
    assert outcomes(bad)["selected_epoch"] == 2


# One seed's numbers


def test_outcomes_by_hand():
    assert outcomes(curves(last=0.9, qasm=0.85)) == {
        "last": 90.0, "selected": 60.0, "selected_epoch": 2, "best_test": 90.0, "qasm": 85.0,
    }  # fmt: skip


def test_a_seed_that_was_not_executed_says_so_after_writing_and_reading(tmp_path):
    record = read(Record(TASK, {0: curves(qasm=None), 1: curves(qasm=0.0)}).save(Workspace(tmp_path)))
    assert record.seeds[0]["qasm_accuracy"] is None
    assert outcomes(record.seeds[0]) == {**outcomes(curves()), "qasm": None}
    assert outcomes(record.seeds[1])["qasm"] == 0


@pytest.mark.parametrize(
    ("accuracy", "ce", "epoch"),
    [
        ([0.5, 0.9, 0.9], [1.0, 0.5, 0.4], 3),  # equal accuracy: the lower cross entropy
        ([0.9, 0.9, 0.5], [0.4, 0.5, 0.1], 1),  # a lower cross entropy does not make up for accuracy
        ([0.9, 0.9, 0.9], [0.4, 0.4, 0.4], 1),  # all equal: the earliest
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], 3),
    ],
)
def test_the_epoch_is_selected_on_validation_images_alone(accuracy, ce, epoch):
    test = [0.11, 0.22, 0.33]
    results = {"validation_accuracy": accuracy, "validation_ce": ce, "test_accuracy": test, "qasm_accuracy": 0.5}
    found = outcomes(results)
    assert found["selected_epoch"] == epoch
    assert found["selected"] == pytest.approx(100 * test[epoch - 1])
    assert found["best_test"] == pytest.approx(33)


FRACTIONS = st.lists(st.floats(0, 1), min_size=5, max_size=5)


@given(FRACTIONS, FRACTIONS, FRACTIONS)
def test_no_choice_of_epoch_beats_the_best_test_epoch(accuracy, ce, test):
    found = outcomes(
        {"validation_accuracy": accuracy, "validation_ce": ce, "test_accuracy": test, "qasm_accuracy": 0.5}
    )
    assert found["best_test"] >= max(found["selected"], found["last"])
    best = max(accuracy)
    assert accuracy[found["selected_epoch"] - 1] == best
    assert ce[found["selected_epoch"] - 1] == min(c for c, a in zip(ce, accuracy, strict=True) if a == best)


# Test accuracy of the best and the last epoch alone


def at_the_end(accuracy, tested: dict[int, float], ce=None) -> dict:
    """A seed with the learning rate that was chosen, and test results of the epochs `tested`, counted from 1."""
    test = [tested.get(epoch + 1) for epoch in range(len(accuracy))]
    return {
        "validation_accuracy": accuracy, "validation_ce": ce or [1.0] * len(accuracy), "test_ce": test,
        "test_accuracy": test, "learning_rate": 0.01, "zero_vectors": 3, "qasm_accuracy": None,
    }  # fmt: skip


AT_END = Experiment(dataset="digits", epochs=4, seeds=2, tested="at_end")
PATIENT = Experiment(dataset="digits", epochs=4, seeds=2, tested="at_end", patience=1)


def test_epochs_without_a_test_are_none_in_the_file_and_back(tmp_path):
    seeds = {0: at_the_end([0.5, 0.7, 0.6, 0.6], {2: 0.4, 4: 0.45}), 1: at_the_end([0.1, 0.2, 0.3, 0.4], {4: 0.25})}
    path = Record(AT_END, seeds, [{"seeds": [0, 1]}]).save(Workspace(tmp_path))
    assert json.loads(path.read_text())["seeds"]["0"]["test_accuracy"] == [None, 0.4, None, 0.45]
    assert read(path).seeds == seeds
    found = [outcomes(results) for results in read(path).seeds.values()]
    assert [(each["best_test"], each["last"]) for each in found] == [(None, 45.0), (None, 25.0)]


def test_outcomes_of_epochs_without_a_test():
    assert outcomes(at_the_end([0.5, 0.7, 0.6, 0.6], {2: 0.4, 4: 0.45})) == {
        "last": 45.0, "selected": 40.0, "selected_epoch": 2, "best_test": None, "qasm": None,
    }  # fmt: skip
    only_last = outcomes(at_the_end([0.1, 0.2, 0.3, 0.4], {4: 0.25}))
    assert (only_last["selected_epoch"], only_last["selected"], only_last["last"]) == (4, 25.0, 25.0)
    one_epoch = outcomes(at_the_end([0.5], {1: 0.3}))
    assert (one_epoch["selected"], one_epoch["last"], one_epoch["best_test"]) == (30.0, 30.0, 30.0)


def test_equal_validation_results_after_rounding_select_the_epoch_that_was_tested():
    # The cross entropy of epoch 2 was lower in digits that a record does not keep.
    found = outcomes(at_the_end([0.6, 0.6, 0.5, 0.4], {2: 0.3, 4: 0.2}, [0.5, 0.5, 0.6, 0.7]))
    assert (found["selected_epoch"], found["selected"]) == (2, pytest.approx(30))


def test_seeds_of_different_lengths_are_no_damage_where_they_stop_by_themselves(tmp_path):
    seeds = {0: at_the_end([0.7, 0.6], {1: 0.4, 2: 0.5}), 1: at_the_end([0.1, 0.2, 0.3, 0.4], {4: 0.25})}
    path = Record(PATIENT, seeds).save(Workspace(tmp_path))
    assert read(path).seeds == seeds
    impatient = Record(AT_END, seeds).save(Workspace(tmp_path))
    with pytest.raises(ValueError, match="is damaged: .*curves of .2. epochs"):
        read(impatient)


@pytest.mark.parametrize("epochs", [0, 5])
def test_more_epochs_than_asked_and_none_at_all_are_damage(tmp_path, epochs):
    curve = [0.5] * epochs
    path = Record(PATIENT, {0: at_the_end(curve, {epochs: 0.5})}).save(Workspace(tmp_path))
    with pytest.raises(ValueError, match="is damaged"):
        read(path)
