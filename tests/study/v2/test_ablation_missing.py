"""tables/ablation where records are not there, or on one copy of the images; students and pairs by their labels."""

import numpy as np
import pandas as pd
import pytest
from synthetic import fill_bars, revised_record

from qkdlib.study import v2
from qkdlib.study.v2 import ablation, revised
from qkdlib.study.verdicts import MISSING

ALEXNET = ["alexnet_error", "alexnet_gain", "alexnet_gain_ci_low", "alexnet_gain_ci_high", "alexnet_p",
           "alexnet_p_holm"]  # fmt: skip
BARS = [bar for bar in revised.bars() if (bar.dataset, bar.qubits) == ("mnist", 4)]
BARS += [revised.bar(method, "cifar10", 4) for method in ("original", "pca")]


def test_without_records_every_bar_and_variant_is_there_and_missing(workspace):
    bars = revised.bars() + revised.variants()
    frame = pd.concat([ablation.bars(workspace), ablation.variants(workspace)])
    assert len(frame) == 90 + 48
    assert set(frame.verdict_mean) == set(frame.verdict_gain) == {MISSING}
    assert frame.method.tolist() == [bar.method for bar in bars]
    assert frame.paper_error.notna().sum() == 90
    measured = ["seeds", "mean_error", "gain_kd", "p_holm", "images", "placebo_error", "epochs", *ALEXNET]
    assert frame[measured].isna().all(axis=None)
    assert frame[["quantum_parameters", "classical_parameters"]].notna().all(axis=None)


@pytest.fixture
def one(workspace):
    """A bar of MNIST with all its records."""
    bar = revised.bar("angle", "mnist", 4)
    fill_bars(workspace, [bar], np.random.default_rng(5))
    return bar


@pytest.mark.parametrize("arm", [None, "lenet"])
def test_a_bar_without_its_placebo_or_its_distilled_student_is_missing(workspace, one, arm):
    (workspace.students / f"{one.arms[arm].name}.json").unlink()
    frame = ablation.table([one], workspace)
    assert frame.verdict_mean.tolist() == frame.verdict_gain.tolist() == [MISSING]
    assert frame[["mean_error", "placebo_error", "gain_kd", "alexnet_gain"]].isna().all(axis=None)


def test_a_bar_that_lacks_a_seed_is_missing(workspace, one):
    (workspace.students / f"{one.arms['lenet'].name}.json").unlink()
    revised_record(one.arms["lenet"], [0.5] * 9, np.random.default_rng(0)).save(workspace)
    assert ablation.evidence(one, workspace) is None


def test_without_alexnets_record_its_columns_alone_are_empty(workspace, one):
    (before,) = ablation.table([one], workspace).to_dict("records")
    assert list(ablation.evidence(one, workspace).arms) == [None, "lenet", "alexnet"]
    (workspace.students / f"{one.arms['alexnet'].name}.json").unlink()
    assert list(ablation.evidence(one, workspace).arms) == [None, "lenet"]
    (after,) = ablation.table([one], workspace).to_dict("records")
    changed = [name for name in before if not pd.isna(before[name]) and before[name] != after[name]]
    assert changed == [name for name in ablation.COLUMNS if name in ALEXNET]
    assert all(pd.isna(after[name]) for name in ALEXNET)


def test_the_original_cifar10_goes_before_its_copy_and_the_two_are_never_mixed(workspace):
    bar = revised.bar("original", "cifar10", 4)
    original, jpeg = bar.copies
    rng = np.random.default_rng(0)

    def images() -> list:
        found = ablation.evidence(bar, workspace)
        assert found is None or {r.experiment.dataset for r in found.arms.values()} == {found.images}
        (line,) = ablation.table([bar], workspace).itertuples()
        assert (found is None) == (line.verdict_mean == MISSING) == (line.verdict_gain == MISSING)
        return [None] if found is None else [line.images, round(line.mean_error, 6), round(line.placebo_error, 6)]

    def save(experiment, accuracy) -> None:
        revised_record(experiment, [accuracy] * 10, rng).save(workspace)

    save(original.arms[None], 0.21)
    save(jpeg.arms["lenet"], 0.42)
    assert images() == [None]  # one arm on each copy is no pair
    save(jpeg.arms[None], 0.41)
    assert images() == ["cifar10_jpeg", 58, 59]
    save(original.arms["lenet"], 0.22)
    assert images() == ["cifar10", 78, 79]


def test_readable_text_of_missing_bars_says_which_they_are(workspace):
    shown = ablation.readable(ablation.table(BARS, workspace))
    assert shown.images.tolist() == ["mnist"] * 15 + ["cifar10"] * 2
    assert set(shown["mean"]) == set(shown["gain"]) == {MISSING}
    assert set(shown.distilled) == set(shown["gain (LeNet)"]) == set(shown.seeds) == set(shown["p (Holm)"]) == {""}


def test_without_records_the_papers_ranking_is_there_alone(workspace):
    found = ablation.rankings(workspace)
    assert found.source.tolist() == ["paper"] * 6
    assert found["1."].str.startswith("original (").all()
    assert set(found.rho) == {"1.00"}


# Students and pairs


def test_students_and_pairs_are_the_converged_bars_that_have_records(workspace):
    """By method and qubits, in the figure's order; a pair is the placebo and LeNet's student."""
    assert v2.students("mnist", workspace) == v2.pairs("mnist", workspace) == {}
    shown = [revised.bar("original", "mnist", 4, "converged"), revised.bar("pca", "mnist", 8, "converged")]
    lacking = [revised.bar("qubit", "mnist", 8, "converged"), revised.bar("angle", "mnist", 8, "converged")]
    others = [revised.bar("pca", "fashion_mnist", 4, "converged"), revised.bar("pca", "mnist", 4)]
    fill_bars(workspace, [*shown, *lacking, *others], np.random.default_rng(0))
    (workspace.students / f"{shown[0].arms['alexnet'].name}.json").unlink()  # which no pair needs
    for bar, arm in zip(lacking, (None, "lenet"), strict=True):
        (workspace.students / f"{bar.arms[arm].name}.json").unlink()
    students, pairs = v2.students("mnist", workspace), v2.pairs("mnist", workspace)
    assert list(students) == list(pairs) == ["original, 4 qubits", "pca, 8 qubits"]
    for bar, label in zip(shown, pairs, strict=True):
        arms = tuple(record.experiment for record in pairs[label])
        assert arms == (bar.experiment, bar.arms["lenet"])
        assert students[label].experiment == bar.experiment
    assert list(v2.pairs("fashion_mnist", workspace)) == ["pca, 4 qubits"]


def test_pairs_of_cifar10_are_on_the_copy_that_has_their_records(workspace):
    fill_bars(workspace, [revised.bar("angle", "cifar10", 8, "converged").copies[-1]], np.random.default_rng(0))
    ((label, pair),) = v2.pairs("cifar10", workspace).items()
    assert (label, {record.experiment.dataset for record in pair}) == ("angle, 8 qubits", {"cifar10_jpeg"})
    assert v2.students("cifar10", workspace)[label].experiment == pair[0].experiment
