"""Choosing on validation: the best epoch, when to stop, the learning rate, each for every seed by itself."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from qkdlib import training
from qkdlib.experiment import Experiment
from qkdlib.images import datasets
from qkdlib.images.datasets import Splits
from qkdlib.records import Record, summary
from qkdlib.students import Student
from qkdlib.study.v2 import revised
from qkdlib.training.selection import Selection, join

GREY = (1, 28, 28)
REVISED = {
    "dataset": "digits", "classes": (0, 1, 2, 3), "train_per_class": 10, "validation_per_class": 6,
    "test_per_class": 10, "batch_size": 8, "learning_rate": 0.01,
}  # fmt: skip


def small(seeds: int) -> Student:
    return Student(revised.student(qubits=2, method="max_pool", classes=(0, 1)), GREY, list(range(seeds)))


def set_to(student: Student, value: float) -> None:
    """Every parameter of seed s becomes value + s / 10."""
    with torch.no_grad():
        for parameter in student.parameters():
            offsets = torch.arange(len(parameter)) / 10
            parameter.copy_((value + offsets).view(-1, *[1] * (parameter.ndim - 1)).expand_as(parameter))


def epochs_of(values: dict[str, torch.Tensor]) -> list[float]:
    """Which value of `set_to` the kept weights of each seed have; all parameters agree."""
    firsts = next(iter(values.values())).flatten(1)[:, 0]
    for value in values.values():
        assert torch.equal(value.flatten(1), firsts[:, None].expand_as(value.flatten(1)))
    return [round(first.item() - seed / 10, 3) for seed, first in enumerate(firsts)]


def watch(accuracy: list[list[float]], ce: list[list[float]], patience: int = 0, rate: float = 0.1) -> Selection:
    """A selection that has seen epochs 1, 2, ... of validation results (epochs, S); their weights are the epoch."""
    student = small(len(accuracy[0]))
    selection = Selection(student, patience, rate)
    for epoch, (row, losses) in enumerate(zip(accuracy, ce, strict=True), start=1):
        if not selection.running:
            break
        set_to(student, epoch)
        selection.update(row, losses)
    return selection


# By hand


def test_best_epoch_of_each_seed_and_its_weights_are_kept():
    found = watch([[0.5, 0.9], [0.7, 0.6], [0.6, 0.8]], [[1.0, 1.0]] * 3)
    assert found.best_epochs == [2, 1]
    assert found.epochs == [3, 3]
    assert epochs_of(found.best.values) == [2, 1]
    assert epochs_of(found.last.values) == [3, 3]


@pytest.mark.parametrize(
    ("accuracy", "ce", "best"),
    [
        ([0.5, 0.9, 0.9], [1.0, 0.5, 0.4], 3),  # equal accuracy: the lower cross entropy
        ([0.9, 0.9, 0.5], [0.4, 0.5, 0.1], 1),  # a lower cross entropy does not make up for accuracy
        ([0.9, 0.9, 0.9], [0.4, 0.4, 0.4], 1),  # all equal: the earliest
        ([0.0, 0.0, 0.0], [9.0, 9.0, 8.0], 3),  # nothing right is a result too
        ([0.0, 0.0, 0.0], [math.nan] * 3, 1),
    ],
)
def test_ties_are_decided_by_the_cross_entropy_and_then_by_the_earlier_epoch(accuracy, ce, best):
    found = watch([[value] for value in accuracy], [[value] for value in ce])
    assert found.best_epochs == [best]
    assert epochs_of(found.best.values) == [best]


def test_a_seed_stops_after_its_patience_and_the_others_go_on():
    accuracy = [[0.5, 0.1], [0.4, 0.2], [0.4, 0.3], [0.9, 0.2], [0.9, 0.2], [0.9, 0.2]]
    found = watch(accuracy, [[1.0, 1.0]] * 6, patience=2)
    assert found.best_epochs == [1, 3]
    assert found.epochs == [3, 5]  # what the first seed would have reached in epoch 4 does not count
    assert found.running == []
    assert epochs_of(found.best.values) == [1, 3]
    assert epochs_of(found.last.values) == [3, 5]


def test_weights_of_a_stopped_seed_stay_although_they_go_on_changing():
    student = small(2)
    selection = Selection(student, 1, 0.1)
    for epoch, accuracy in enumerate(([0.5, 0.1], [0.4, 0.2], [0.9, 0.3], [0.9, 0.4]), start=1):
        set_to(student, epoch)
        selection.update(accuracy, [1.0, 1.0])
    assert selection.running == [1]
    assert epochs_of(selection.last.values) == [2, 4]
    assert epochs_of(selection.best.values) == [1, 4]
    selection.best.put(student)
    assert epochs_of(dict(student.named_parameters())) == [1, 4]


def test_kept_weights_are_copies():
    student = small(1)
    selection = Selection(student, 0, 0.1)
    set_to(student, 1)
    selection.update([0.5], [1.0])
    set_to(student, 2)
    assert epochs_of(selection.best.values) == epochs_of(selection.last.values) == [1]


def test_without_patience_no_seed_stops():
    found = watch([[0.9, 0.9]] + [[0.1, 0.2]] * 8, [[1.0, 1.0]] * 9)
    assert found.running == [0, 1]
    assert found.epochs == [9, 9]


SCORES = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3]), st.sampled_from([1.0, 2.0])), min_size=1, max_size=8)


@settings(max_examples=30, database=None)
@given(one=SCORES, other=SCORES, patience=st.integers(0, 3))
def test_a_seed_is_chosen_as_if_it_were_alone(one, other, patience):
    length = min(len(one), len(other))
    pairs = list(zip(one[:length], other[:length], strict=True))
    together = watch(*([[seed[part] for seed in epoch] for epoch in pairs] for part in (0, 1)), patience=patience)
    for place, scores in enumerate((one[:length], other[:length])):
        alone = watch(*([[epoch[part]] for epoch in scores] for part in (0, 1)), patience=patience)
        assert alone.best_epochs[0] == together.best_epochs[place]
        assert alone.epochs[0] == together.epochs[place]
        seen = scores[: alone.epochs[0]]
        best = max(range(len(seen)), key=lambda epoch: (seen[epoch][0], -seen[epoch][1], -epoch))
        assert alone.best_epochs == [best + 1]
        stopped = patience and alone.epochs[0] - alone.best_epochs[0] >= patience
        assert alone.epochs[0] == (best + 1 + patience if stopped else length)


# Learning rates


def test_each_seed_takes_the_learning_rate_with_the_better_validation():
    first = watch([[0.5, 0.9, 0.4], [0.6, 0.8, 0.4]], [[1.0] * 3] * 2, rate=0.1)
    second = watch([[0.7, 0.1, 0.4], [0.1, 0.1, 0.3], [0.1, 0.1, 0.4]], [[0.5] * 3] * 3, rate=0.01)
    curves = [[{"curve": [rate, seed]} for seed in range(3)] for rate in (0.1, 0.01)]
    chosen, results = join([first, second], curves)
    assert [seed["learning_rate"] for seed in results] == [0.01, 0.1, 0.01]
    assert [seed["curve"] for seed in results] == [[0.01, 0], [0.1, 1], [0.01, 2]]  # seed 2: lower cross entropy
    assert chosen.best_epochs == [1, 1, 1]
    assert chosen.epochs == [3, 2, 3]
    assert chosen.scores == [(0.7, -0.5), (0.9, -1.0), (0.4, -0.5)]
    assert epochs_of(chosen.last.values) == [3, 2, 3]
    assert epochs_of(chosen.best.values) == [1, 1, 1]


def test_of_equal_learning_rates_the_first_is_taken():
    tries = [watch([[0.5, 0.5]], [[1.0, 1.0]], rate=rate) for rate in (0.1, 0.01, 0.2)]
    tries[1].scores[1] = tries[2].scores[1] = (0.6, -1.0)
    _, results = join(tries, [[{}, {}] for _ in tries])
    assert [seed["learning_rate"] for seed in results] == [0.1, 0.01]


def test_one_learning_rate_is_kept_as_it_is():
    only = watch([[0.5, 0.1], [0.2, 0.3]], [[1.0, 1.0]] * 2, rate=0.3)
    chosen, results = join([only], [[{"train_ce": [1.0]}, {"train_ce": [2.0]}]])
    assert chosen is only
    assert results == [{"train_ce": [1.0], "learning_rate": 0.3}, {"train_ce": [2.0], "learning_rate": 0.3}]


# In training


def task(**fields) -> Experiment:
    return revised.student(**{**REVISED, **fields})


def train(experiment: Experiment, seeds, parts: Splits | None = None) -> tuple[Student, list[dict]]:
    return training.train_students(experiment, parts or datasets.splits(experiment), None, list(seeds))


def weights(student: Student, place: int) -> torch.Tensor:
    return torch.cat([parameter[place].detach().flatten() for parameter in student.parameters()])


def by_hand(student: Student, parts: Splits, place: int) -> tuple[float, float]:
    """Accuracy and cross entropy of one seed on the test images."""
    with torch.no_grad():
        logits = student(parts.test.x)[place]
    accuracy = (logits.argmax(1) == parts.test.y).double().mean().item()
    return accuracy, functional.cross_entropy(logits, parts.test.y).item()


METHODS = [("max_pool", {}), ("pca", {}), ("qubit", {}), ("original", {"entangler": "ring_cnot", "layers": 2})]


@pytest.mark.parametrize(("method", "fields"), METHODS, ids=[method for method, _ in METHODS])
def test_tested_at_the_end_is_tested_at_every_epoch_but_for_the_epochs_left_out(method, fields, one_thread):
    ends = task(method=method, epochs=5, **fields)
    student, found = train(ends, [0, 1, 2])
    watched, every = train(dataclasses.replace(ends, tested="every_epoch"), [0, 1, 2])
    parts = datasets.splits(ends)
    for place, (mine, whole) in enumerate(zip(found, every, strict=True)):
        scores = [(a, -c) for a, c in zip(whole["validation_accuracy"], whole["validation_ce"], strict=True)]
        kept = {4, scores.index(max(scores))}
        for name in ("test_accuracy", "test_ce"):
            expected = [value if epoch in kept else None for epoch, value in enumerate(whole[name])]
            assert mine[name] == expected
        for name in ("train_loss", "validation_ce", "validation_accuracy"):
            assert mine[name] == whole[name] and len(mine[name]) == 5
        assert torch.equal(weights(student, place), weights(watched, place))  # of the last epoch
        accuracy, ce = by_hand(student, parts, place)
        assert mine["test_accuracy"][-1] == pytest.approx(accuracy, abs=1e-6)
        assert mine["test_ce"][-1] == pytest.approx(ce, abs=1e-5)
        assert (mine["learning_rate"], mine["zero_vectors"]) == (0.01, 0)


def test_with_patience_each_seed_stops_and_keeps_its_best_epoch(one_thread):
    patient, seeds = task(method="avg_pool", epochs=25, patience=2, learning_rate=0.2), [0, 1, 2, 3]
    student, found = train(patient, seeds)
    parts = datasets.splits(patient)
    lengths = [len(results["validation_accuracy"]) for results in found]
    assert len(set(lengths)) > 1 and min(lengths) < 25  # they stop, and at different epochs
    _, every = train(dataclasses.replace(patient, patience=0, tested="every_epoch"), seeds)
    for place, (mine, whole) in enumerate(zip(found, every, strict=True)):
        length = lengths[place]
        scores = [(a, -c) for a, c in zip(mine["validation_accuracy"], mine["validation_ce"], strict=True)]
        best = scores.index(max(scores))
        assert length == min(best + 1 + 2, 25)
        curves = [each for name, each in mine.items() if isinstance(each, list) and "confusion" not in name]
        assert {len(curve) for curve in curves} == {length}
        assert mine["validation_ce"] == whole["validation_ce"][:length]
        tested = [epoch for epoch, value in enumerate(mine["test_accuracy"]) if value is not None]
        assert tested == sorted({best, length - 1})
        for name in ("test_accuracy", "test_ce"):
            assert [mine[name][epoch] for epoch in tested] == [whole[name][epoch] for epoch in tested]
        accuracy, ce = by_hand(student, parts, place)
        assert mine["test_accuracy"][best] == pytest.approx(accuracy, abs=1e-6)
        assert mine["test_ce"][best] == pytest.approx(ce, abs=1e-5)


@pytest.mark.parametrize("method", ["original", "qubit", "center_crop"])
def test_a_seed_is_chosen_alike_alone_and_beside_others(method, one_thread):
    choosing = task(method=method, epochs=6, patience=2, learning_rates=(0.01, 0.1))
    alone, (one,) = train(choosing, [3])
    stack, many = train(choosing, [1, 3, 0, 2])
    assert one.keys() == many[1].keys()
    for name, values in one.items():
        values, others = (each if isinstance(each, list) else [each] for each in (values, many[1][name]))
        assert [value is None for value in values] == [value is None for value in others], name
        pairs = [pair for pair in zip(values, others, strict=True) if None not in pair]
        assert all(mine == pytest.approx(other, abs=1e-6) for mine, other in pairs), name
    torch.testing.assert_close(weights(alone, 0), weights(stack, 1), atol=1e-6, rtol=0)


def test_learning_rate_is_chosen_among_trainings_that_start_alike(one_thread):
    rates, seeds = (1e-4, 0.03), [0, 1]
    student, found = train(task(epochs=4, learning_rates=rates), seeds)
    apart = {rate: train(task(epochs=4, learning_rate=rate), seeds) for rate in rates}
    for place in range(2):
        best = {
            rate: max(zip(run[place]["validation_accuracy"], (-ce for ce in run[place]["validation_ce"]), strict=True))
            for rate, (_, run) in apart.items()
        }
        rate = max(rates, key=best.get)
        assert found[place]["learning_rate"] == rate == 0.03  # of which the other one has learnt next to nothing
        assert found[place] == apart[rate][1][place]
        assert torch.equal(weights(student, place), weights(apart[rate][0], place))


def test_blank_images_are_counted_for_each_seed():
    experiment = task(method="max_pool", epochs=1)
    parts = datasets.splits(experiment)
    blank = {}
    for part, count in (("train", 1), ("validation", 2), ("test", 3)):  # those of the training set do not count
        images = getattr(parts, part)
        x = images.x.clone()
        x[:count] = 0
        blank[part] = dataclasses.replace(images, x=x)
    _, found = train(experiment, [0, 1], dataclasses.replace(parts, **blank))
    assert [results["zero_vectors"] for results in found] == [5, 5]
    assert all(math.isfinite(results[name][0]) for results in found for name in ("train_ce", "test_ce"))


def test_the_summary_shows_the_weights_that_are_kept():
    experiment = dataclasses.replace(revised.student("digits"), seeds=2, epochs=3, patience=1)
    curves = {"validation_accuracy": [0.5, 0.4], "validation_ce": [1.0, 1.0], "qasm_accuracy": None}
    seeds = {seed: {**curves, "test_accuracy": [best, 0.1]} for seed, best in enumerate((0.6, 0.8))}
    assert summary.arms([Record(experiment, seeds)])["accuracy [95 %]"].tolist()[0].startswith("70.00 [")
