"""Two records side by side, and in what experiments differ."""

import dataclasses
import itertools

import numpy as np
import pytest
from few_records import record
from hypothesis import given
from hypothesis import strategies as st
from intervals import near_interval, near_p

from qkdlib import records
from qkdlib.circuit import Circuit
from qkdlib.experiment import Experiment, Teacher
from qkdlib.records import differences

TASK = Experiment(dataset="digits", epochs=1, seeds=6)
ONE = Circuit(qubits=3, gates=("ry(x[0]) 0", "ry(x[1]) 1", "ry(x[2]) 2"), name="mine")
OTHER = Circuit(qubits=3, gates=("rx(x[0]) 0", "rx(x[1]) 1", "rx(x[2]) 2"), name="mine")

CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([1.0, 3.0, 5.0]), "reducer": st.sampled_from(["cnn", "pca"]),
        "dropout": st.sampled_from([0.0, 0.1234567, 0.12345671]), "train_per_class": st.sampled_from([None, 5]),
        "ansatz": st.sampled_from(["h_ry", ONE, OTHER]), "activation": st.sampled_from(["relu", "leaky_relu"]),
        "learning_rates": st.sampled_from([(0.1,), (0.1, 0.2)]), "seeds": st.integers(1, 9),
        "data_seed": st.integers(0, 1), "selection": st.sampled_from(["first", "random"]),
    },
)  # fmt: skip
TEACHERS = st.sampled_from(
    [None, Teacher(), Teacher(epochs=3), Teacher(architecture="custom:a|b"), Teacher(architecture="ensemble"),
     Teacher(architecture="ensemble", members=(Teacher(), Teacher(epochs=2))),
     Teacher(architecture="ensemble", members=(Teacher(), Teacher(epochs=4)))]
)  # fmt: skip


@st.composite
def experiments(draw) -> Experiment:
    task = dataclasses.replace(TASK, tested="at_end", **draw(CHANGES))
    teacher = draw(TEACHERS)
    return task.distilled(teacher, draw(st.sampled_from([0.0, 0.5, 0.9]))) if teacher else task


# Pairs of records


def test_a_comparison_is_the_paired_difference_over_the_common_seeds():
    of_a, of_b = [0.5, 0.7, 0.8, 0.9, 0.6, 0.7], [0.4, 0.65, 0.7, 0.95, 0.3]
    a, b = record(of_a, TASK.distilled(Teacher())), record(of_b, TASK)
    del a.seeds[0]
    found = records.compare(a, b)
    difference = 100 * (np.array(of_a[1:5]) - of_b[1:])
    assert found.seeds == (1, 2, 3, 4) and found.difference.seeds == 4
    assert found.difference.mean == pytest.approx(difference.mean())
    assert (found.difference.low, found.difference.high) == near_interval(difference)
    assert found.difference.p == near_p(difference)
    assert (found.a.mean, found.b.mean) == (
        pytest.approx(100 * np.mean(of_a[1:5])),
        pytest.approx(100 * np.mean(of_b[1:])),
    )
    back = records.compare(b, a)
    assert back.difference.mean == pytest.approx(-found.difference.mean) and back.b == found.a


def test_a_comparison_says_what_differs_and_by_how_much():
    taught = dataclasses.replace(TASK.distilled(Teacher(epochs=3)), temperature=5.0)
    found = records.compare(record([0.6, 0.7, 0.8], taught), record([0.5, 0.6, 0.7], TASK))
    assert found.differing == {
        "teacher": ("lenet", "none"), "teacher_epochs": ("3", ""), "kd_weight": ("0.9", ""), "temperature": ("5.0", ""),
    }  # fmt: skip
    assert found.frame.loc["accuracy [95 %]"].tolist() == [str(found.a), str(found.b)]
    text = str(found)
    assert f"a: {taught.name}\nb: {TASK.name}\n" in text and "| kd_weight" in text
    assert text.endswith("a - b: +10.00 [+10.00, +10.00] points, p = 0.25 (3 pairs of seeds)")
    shown = found._repr_html_()
    assert "<table" in shown and "a - b: +10.00" in shown and taught.name in shown


def test_the_accuracies_are_those_of_the_weights_that_are_kept():
    patient = dataclasses.replace(TASK, epochs=2, patience=1, tested="at_end", seeds=1)
    a, b = record([0.5], patient), record([0.4])
    a.seeds[0] |= {"validation_accuracy": [0.9, 0.1], "validation_ce": [1.0, 2.0], "test_accuracy": [0.75, 0.25]}
    found = records.compare(a, b)
    assert found.a.mean == pytest.approx(75) and "(1 pair of seeds)" in str(found)


def test_one_record_against_itself_has_no_difference():
    one = record([0.5, 0.6], TASK)
    found = records.compare(one, one)
    assert found.differing == {} and found.difference.mean == 0 and found.difference.p == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"dataset": "mnist"}, "dataset of b"), ({"classes": (0, 1, 2, 3, 4, 7)}, "classes of b"),
        ({"test_per_class": 20}, "test_per_class of b"), ({"selection": "random"}, "selection of b"),
        ({"dataset": "imagefolder:there", "images": "0123456789ab"}, "dataset of b"),
    ],
)  # fmt: skip
def test_other_test_images_are_refused(changes, named):
    with pytest.raises(ValueError, match=f"^{named}=.* is not allowed; allowed: .*, as in a: .*same test images$"):
        records.compare(record([0.5], TASK), record([0.5], dataclasses.replace(TASK, **changes)))


def test_random_test_images_are_the_same_with_one_data_seed():
    drawn = [dataclasses.replace(TASK, selection="random", data_seed=seed) for seed in (1, 1, 2)]
    assert records.compare(*(record([0.5], each) for each in drawn[:2])).seeds == (0,)
    with pytest.raises(ValueError, match="^data_seed of b=2 "):
        records.compare(*(record([0.5], each) for each in drawn[1:]))


def test_each_seeds_own_test_images_are_the_same_in_both_records():
    drawn = dataclasses.replace(TASK, selection="each_seed")
    both = record([0.5, 0.6], drawn), record([0.7, 0.6], drawn.distilled(Teacher(networks=2)))
    assert records.compare(*both).seeds == (0, 1)
    for other in (TASK, drawn.of_seed(0)):
        with pytest.raises(ValueError, match="^selection of b='"):
            records.compare(both[0], record([0.5], other))


def test_images_of_a_folder_are_known_by_content_and_classes_in_any_order():
    here, there = (
        dataclasses.replace(TASK, dataset=f"imagefolder:{place}", images="0123456789ab", classes=classes)
        for place, classes in (("here", (0, 1)), ("there", (1, 0)))
    )
    assert records.compare(record([0.5], here), record([0.5], there)).seeds == (0,)


def test_records_without_a_common_seed_and_what_is_no_record_are_refused():
    a, b = record([0.5, 0.6], TASK), record([0.5], TASK)
    del a.seeds[0]
    with pytest.raises(ValueError, match=r"^seeds of b=\[0\] is not allowed; allowed: some of a's, \[1\]$"):
        records.compare(a, b)
    for pair, name in (((TASK, b), "a"), ((a, None), "b")):
        with pytest.raises(ValueError, match=f"^{name}=.* is not allowed; allowed: a record"):
            records.compare(*pair)


# Fields that differ


@given(st.lists(experiments(), min_size=2, max_size=4))
def test_no_two_experiments_look_alike_that_are_not_the_same(drawn):
    columns = differences.differing(drawn, one_sided=True)
    rows = [tuple(values[place] for values in columns.values()) for place in range(len(drawn))]
    for one, other in itertools.combinations(range(len(drawn)), 2):
        assert (rows[one] == rows[other]) == (drawn[one].digest == drawn[other].digest)
    assert all(len(set(values)) > 1 for values in columns.values())
    assert all(text.isprintable() and "|" not in text for values in columns.values() for text in values)


def test_parts_of_ones_own_are_shown_by_name_and_told_apart():
    kinds = [dataclasses.replace(TASK, ansatz=circuit) for circuit in (ONE, OTHER)]
    (first, second) = differences.differing([*kinds])["ansatz"]
    assert first != second and first.startswith("mine #") and second.startswith("mine #")
    assert differences.differing([TASK, kinds[0]])["ansatz"] == ["h_ry", "mine"]
    renamed = dataclasses.replace(TASK, ansatz=dataclasses.replace(ONE, name="yours"))
    assert differences.differing([kinds[0], renamed]) == {}  # the same circuit


def test_what_changes_no_number_is_no_difference():
    assert differences.differing([TASK, dataclasses.replace(TASK, temperature=9.0, seeds=3, data_seed=4)]) == {}


def test_values_are_said_in_words():
    values = [dataclasses.replace(TASK, train_per_class=None), dataclasses.replace(TASK, learning_rates=(0.1, 1.0), **{
        "tested": "at_end", "learning_rate": 0.5})]  # fmt: skip
    assert differences.differing(values) == {
        "train_per_class": ["all", "150"], "learning_rates": ["none", "0.1, 1.0"], "tested": ["every_epoch", "at_end"],
    }  # fmt: skip


def test_long_numbers_are_shortened_and_still_told_apart():
    rates = [0.001 / 3, 0.001 / 3 + 1e-12, 5.0]
    one, other, last = differences.told_apart("learning_rate", rates)
    assert one.startswith("0.0003333 #") and other.startswith("0.0003333 #") and one != other and last == "5.0"
