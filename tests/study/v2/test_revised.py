"""v2's bars: the numbers read off Fig. 12, and the experiments declared for each, against what v2 says."""

import collections
import dataclasses
import itertools

import pytest
from synthetic import figure_12

from qkdlib import images
from qkdlib.experiment import Experiment, Teacher
from qkdlib.study import contents
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised

DATASETS, QUBITS = ("mnist", "fashion_mnist", "cifar10"), (4, 8)
PARTS = {
    "max_pool": ("max_pool", "amplitude"), "center_crop": ("center_crop", "amplitude"), "pca": ("pca", "amplitude"),
    "avg_pool": ("avg_pool", "amplitude"), "angle": ("fully_connected", "angle"),
    "qubit": ("fully_connected", "qubit"), "original": ("fully_connected", "amplitude"),
}  # fmt: skip
REGIMES = {  # Adam 0.001 but where validation chooses
    "10 epochs": {"epochs": 10, "train_per_class": 150, "patience": 0, "learning_rates": ()},
    "converged": {"epochs": 100, "train_per_class": 150, "patience": 15, "learning_rates": (0.001, 0.01)},
    "full set": {"epochs": 10, "train_per_class": None, "patience": 0, "learning_rates": ()},
}
BARS, VARIANTS = revised.bars(), revised.variants()


def key(bar: revised.Bar) -> tuple:
    return bar.method, bar.dataset, bar.qubits, bar.regime


# Which there are


def test_every_bar_of_figure_12_is_there_in_both_regimes_and_the_original_method_on_the_full_set():
    tasks = list(itertools.product(PARTS, DATASETS, QUBITS))
    assert len(tasks) == 42
    wanted = [(*task, regime) for task in tasks for regime in ("10 epochs", "converged")]
    wanted += [("original", dataset, qubits, "full set") for dataset in DATASETS for qubits in QUBITS]
    assert len(BARS) == len(set(wanted)) == 42 + 42 + 6
    assert set(map(key, BARS)) == set(wanted)


def test_bars_come_by_regime_data_set_and_qubits_in_the_figures_order_of_methods():
    assert list(revised.METHODS) == list(PARTS)
    places = [
        (list(REGIMES).index(b.regime), DATASETS.index(b.dataset), b.qubits, [*PARTS].index(b.method)) for b in BARS
    ]
    assert places == sorted(places)


def test_variants_are_all_depths_and_entanglers_but_the_bar_itself():
    assert len(VARIANTS) == 48
    found = collections.defaultdict(set)
    for bar in VARIANTS:
        assert (bar.method, bar.regime, bar.paper_error) == ("original", "10 epochs", None)
        found[bar.dataset, bar.qubits].add((bar.experiment.layers, bar.experiment.entangler))
    drawn = set(itertools.product((1, 2, 4), ("none", "ring_cnot", "ring_cz"))) - {(1, "none")}
    assert found == dict.fromkeys(itertools.product(DATASETS, QUBITS), drawn)
    for bar in VARIANTS:
        itself = revised.bar("original", bar.dataset, bar.qubits).experiment
        assert dataclasses.replace(bar.experiment, layers=1, entangler="none") == itself


# What the figure says


def test_printed_errors_are_those_of_the_csv():
    errors = figure_12()
    assert len(errors) == errors.index.nunique() == 42
    assert revised.printed() == errors.to_dict()
    for bar in BARS:
        assert bar.paper_error == errors[bar.method, bar.dataset, bar.qubits]


def test_the_original_method_is_the_lowest_bar_of_every_task():
    """What v2 shows, so that a line of the csv cannot have gone to another bar unseen."""
    errors = figure_12()
    lowest = errors.groupby(["dataset", "qubits"]).idxmin().map(lambda place: place[0])
    assert len(lowest) == 6 and set(lowest) == {"original"}
    assert (errors["original", "mnist", 8], errors["max_pool", "cifar10", 4]) == (9.5, 93.1)
    assert errors.between(9, 94).all()


def test_the_csv_names_the_parts_of_each_method():
    for (method, _, _), row in figure_12(["reducer", "encoder"]).iterrows():
        assert (row.reducer, row.encoder) == PARTS[method] == revised.METHODS[method]


# The experiments


def test_experiments_are_what_v2_says_each_in_its_regime():
    for bar in BARS + VARIANTS:
        reducer, encoder = PARTS[bar.method]
        depth = {name: getattr(bar.experiment, name) for name in ("layers", "entangler")}
        assert bar.paper_error is None or depth == {"layers": 1, "entangler": "none"}
        assert bar.experiment == Experiment(
            dataset=bar.dataset, classes=tuple(range(10)), validation_per_class=50, test_per_class=None,
            selection="first", qubits=bar.qubits, reducer=reducer, encoder=encoder, ansatz="rx_ry_rz", **depth,
            readout="pauli_z", head="linear", dropout=0, teacher=None, kd_weight=0, ce_weight=1, batch_size=32,
            learning_rate=1e-3, gradient="autograd", sampler="exact", tested="at_end", seeds=10, **REGIMES[bar.regime],
        ), key(bar)  # fmt: skip


def test_taught_arms_differ_from_the_placebo_in_the_distillation_only():
    for bar in BARS + VARIANTS:
        two = bar.dataset != "cifar10" and bar.paper_error is not None
        arms = bar.arms
        assert list(arms) == [None, "lenet", "alexnet"][: 3 if two else 2], key(bar)
        assert tuple(arms)[1:] == bar.teachers
        assert arms.pop(None) == bar.experiment
        for name, taught in arms.items():
            assert taught.teacher == Teacher(architecture=name, epochs=10 if name == "lenet" else 3)
            assert (taught.kd_weight, taught.temperature, taught.kd_temperature_squared) == (0.9, 3, True)
            assert taught.placebo() == bar.experiment


def test_the_teachers_on_ten_classes():
    lenet, alexnet, ensemble = map(revised.teacher, ("lenet", "alexnet", "ensemble"))
    assert ensemble.members == ensemble.trained() == (lenet, alexnet)
    assert lenet == paper.teacher("lenet", "mnist")  # the paper's, as in v1


def test_no_two_experiments_have_the_same_name():
    found = list(dict.fromkeys(e for chapter in contents.CHAPTERS for e in chapter.experiments()))
    assert len({experiment.name for experiment in found}) == len(set(found)) == len(found)


# Copies of the images


def test_cifar10_has_two_copies_which_differ_in_their_images_only():
    bar = revised.bar("qubit", "cifar10", 8, "converged")
    original, jpeg = bar.copies
    assert original == bar
    assert jpeg == dataclasses.replace(bar, experiment=dataclasses.replace(bar.experiment, dataset="cifar10_jpeg"))
    assert {experiment.dataset for experiment in jpeg.arms.values()} == {"cifar10_jpeg"}
    assert all(bar.copies == [bar] for bar in BARS + VARIANTS if bar.dataset != "cifar10")
    assert jpeg.copies == bar.copies


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ({"cifar10"}, "cifar10"), ({"cifar10", "cifar10_jpeg"}, "cifar10"), ({"cifar10_jpeg"}, "cifar10_jpeg"),
        (set(), "cifar10"),  # which torchvision downloads
    ],
)  # fmt: skip
def test_the_copy_at_hand_is_taken_and_the_original_before_the_other(monkeypatch, there, chosen):
    monkeypatch.setattr(images, "at_hand", there.__contains__)
    assert revised.at_hand(revised.bar("original", "cifar10", 4)).experiment.dataset == chosen
    assert revised.at_hand(revised.bar("original", "mnist", 4)) == revised.bar("original", "mnist", 4)


# Names


def test_a_bar_is_found_by_its_name():
    for bar in BARS:
        assert revised.bar(*key(bar)) == bar
    assert revised.bar("pca", "mnist", 4).regime == "10 epochs"


@pytest.mark.parametrize(
    "names", [("cnn", "mnist", 4), ("pca", "digits", 4), ("pca", "mnist", 3), ("pca", "mnist", 4, "full set")]
)
def test_an_unknown_bar_is_refused(names):
    with pytest.raises(ValueError, match=r"^bar=\('(cnn|pca)', .* is not allowed; allowed: one of "):
        revised.bar(*names)


def test_an_unknown_method_or_field_of_a_student_is_refused():
    with pytest.raises(
        ValueError, match="method='fully_connected' is not allowed; allowed: one of max_pool, center_cr"
    ):
        revised.student(method="fully_connected")
    with pytest.raises(ValueError, match="entangler='ring' is not allowed"):
        revised.student(entangler="ring")
    with pytest.raises(TypeError, match="depth"):
        revised.student(depth=2)


def test_a_student_of_ones_own_changes_what_is_asked_and_nothing_else():
    usual = revised.student()
    assert usual == revised.bar("original", "mnist", 4).experiment
    own = revised.student("fashion_mnist", 5, "pca", layers=3, encoder="angle", seeds=2)
    assert own == dataclasses.replace(
        usual, dataset="fashion_mnist", qubits=5, reducer="pca", encoder="angle", layers=3, seeds=2
    )
