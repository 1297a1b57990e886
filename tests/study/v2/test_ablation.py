"""tables/ablation, entangler and ranking, of synthetic records, against numpy and scipy on the records' files."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from intervals import near_interval, near_p
from synthetic import figure_12, fill_bars, holm, per_seed, revised_record

from qkdlib.records import summarise
from qkdlib.study.v2 import ablation, revised
from qkdlib.study.verdicts import (
    CONTRADICTED,
    GAIN,
    HARM,
    INCONCLUSIVE,
    MISSING,
    NO_GAIN,
    NOT_SHOWN,
    REPRODUCED,
)
from qkdlib.workspace import Workspace

FIRST_COLUMNS = [
    "method", "reducer", "encoder", "dataset", "qubits", "regime", "seeds", "paper_error", "mean_error", "sd", "ci_low",
    "ci_high", "gain_kd", "gain_kd_ci_low", "gain_kd_ci_high", "verdict_mean",
    "verdict_gain",
]  # fmt: skip
ALEXNET = ["alexnet_error", "alexnet_gain", "alexnet_gain_ci_low", "alexnet_gain_ci_high", "alexnet_p",
           "alexnet_p_holm"]  # fmt: skip
REGIMES = {"10 epochs": (10, 150), "converged": (100, 150), "full set": (10, None)}  # epochs, images per class
MNIST = [bar for bar in revised.bars() if (bar.dataset, bar.qubits) == ("mnist", 4)]  # in all three regimes
CIFAR10 = [revised.bar(method, "cifar10", 4) for method in ("original", "pca")]
BARS = [*MNIST, *CIFAR10]
VARIANTS = [bar for bar in revised.variants() if (bar.dataset, bar.qubits) == ("mnist", 8)][:3]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A workspace with records of these bars and variants, CIFAR10's on its JPEG copy."""
    workspace = Workspace(tmp_path_factory.mktemp("bars"))
    fill_bars(workspace, [bar.copies[-1] for bar in BARS + VARIANTS], np.random.default_rng(3))
    return workspace


@pytest.fixture(scope="module")
def frame(filled):
    return ablation.table(BARS, filled)


@pytest.fixture(scope="module")
def raw(filled):
    return per_seed(filled)


@pytest.fixture(scope="module")
def rows(frame, raw):
    """For each line of the table its errors by arm, read without qkdlib."""
    return [(line, {arm: errors(raw, line, arm) for arm in arms(line)}) for line in frame.itertuples()]


def arms(line) -> list:
    return [None, "lenet", "alexnet"] if line.dataset == "mnist" else [None, "lenet"]


def of(raw, line, teacher) -> pd.DataFrame:
    """The seeds of one arm of a line of the table, in their order."""
    parts = figure_12(["reducer", "encoder"]).loc[line.method, line.dataset, line.qubits]
    epochs, images = REGIMES[line.regime]
    wanted = {"dataset": line.images, "qubits": line.qubits, "epochs": epochs, **parts, "entangler": line.entangler}
    chosen = raw[(raw[list(wanted)] == pd.Series(wanted)).all(axis=1) & (raw.layers == line.layers)]
    chosen = chosen[chosen.train_per_class == images if images else chosen.train_per_class.isna()]
    chosen = chosen[chosen.teacher == teacher if teacher else chosen.teacher.isna()].sort_values("seed")
    assert len(chosen) == 10
    return chosen


def errors(raw, line, teacher) -> np.ndarray:
    """In percent: where validation chose an epoch of that one, else of the last."""
    return 100 - of(raw, line, teacher)["selected" if line.regime == "converged" else "last"].values


# Numbers


def test_columns_begin_with_those_that_a_reader_is_promised(frame):
    assert list(frame.columns)[: len(FIRST_COLUMNS)] == FIRST_COLUMNS
    assert not frame.columns.duplicated().any()


def test_every_bar_is_there_in_its_order_with_the_papers_error(frame):
    assert len(frame) == len(BARS) == 7 + 7 + 1 + 2
    for line, bar in zip(frame.itertuples(), BARS, strict=True):
        assert (line.method, line.dataset, line.qubits, line.regime) == (
            bar.method,
            bar.dataset,
            bar.qubits,
            bar.regime,
        )
        assert line.paper_error == figure_12()[bar.method, bar.dataset, bar.qubits]
        assert (line.reducer, line.encoder) == tuple(figure_12(["reducer", "encoder"]).loc[line[1], line[4], line[5]])
    assert frame.images.tolist() == ["mnist"] * 15 + ["cifar10_jpeg"] * 2


def test_mean_spread_and_interval_of_both_arms(rows):
    for line, by_arm in rows:
        assert line.seeds == 10
        for arm, mean, sd, low, high in (
            ("lenet", line.mean_error, line.sd, line.ci_low, line.ci_high),
            (None, line.placebo_error, line.placebo_sd, line.placebo_ci_low, line.placebo_ci_high),
        ):
            assert mean == pytest.approx(by_arm[arm].mean())
            assert sd == pytest.approx(by_arm[arm].std(ddof=1))
            assert (low, high) == near_interval(by_arm[arm])
            assert low < mean < high


def test_gains_are_accuracies_over_the_placebo_paired_by_seed(rows):
    for line, by_arm in rows:
        found = {
            "lenet": (line.gain_kd, line.gain_kd_ci_low, line.gain_kd_ci_high, line.p),
            "alexnet": (
                line.alexnet_gain,
                line.alexnet_gain_ci_low,
                line.alexnet_gain_ci_high,
                line.alexnet_p,
            ),
        }
        for arm in arms(line)[1:]:
            gain = by_arm[None] - by_arm[arm]
            mean, low, high, p = found[arm]
            assert mean == pytest.approx(gain.mean())
            assert (low, high) == near_interval(gain)
            assert p == near_p(gain)
        if "alexnet" in by_arm:
            assert line.alexnet_error == pytest.approx(by_arm["alexnet"].mean())
    assert min(line.gain_kd for line, _ in rows) < 0 < max(line.gain_kd for line, _ in rows)


@pytest.mark.parametrize("prefix", ["", "alexnet_"])
def test_p_is_corrected_over_the_bars_of_a_data_set_in_a_regime(frame, prefix):
    p, corrected = f"{prefix}p", f"{prefix}p_holm"
    tested = frame[frame[p].notna()]
    groups = tested.groupby(["dataset", "regime"])
    sizes = {"mnist": [7, 7, 1]} | ({"cifar10": [2]} if not prefix else {})
    assert sorted(groups.size()) == sorted(sum(sizes.values(), []))
    for _, group in groups:
        assert group[corrected].tolist() == pytest.approx(holm(group[p].tolist()))
    assert frame[corrected].notna().equals(frame[p].notna())
    assert (tested[corrected] > tested[p] + 1e-9).any()


def test_converged_students_are_those_of_the_epoch_that_validation_chose(frame, raw):
    """And the others those of the last: the two differ in the synthetic records."""
    for line in frame.itertuples():
        seeds = of(raw, line, "lenet")
        last, selected = 100 - seeds["last"].mean(), 100 - seeds["selected"].mean()
        assert abs(last - selected) > 0.01
        assert line.mean_error == pytest.approx(selected if line.regime == "converged" else last)
        assert line.selected_error == pytest.approx(selected)


def test_how_the_seeds_trained(frame, raw):
    for line in frame.itertuples():
        seeds = of(raw, line, "lenet")
        assert line.epochs == pytest.approx(seeds.trained.mean())
        assert (line.epochs < 100) if line.regime == "converged" else (line.epochs == 10)
        assert line.learning_rate == pytest.approx(seeds.learning_rate.median())
        assert line.zero_vectors == pytest.approx(seeds.zero_vectors.mean())
        assert (line.zero_vectors > 0) == (line.reducer in ("max_pool", "avg_pool", "center_crop"))
        assert line.collapsed_share == pytest.approx((seeds["last"] < 15).mean())  # 1.5 times chance
    assert frame.learning_rate.max() > 0.001
    assert frame.collapsed_share.max() > 0


def test_parameters_in_closed_form(frame):
    pixels = {"mnist": 784, "cifar10": 3 * 32 * 32}
    for line in frame.itertuples():
        features = {"angle": 16, "qubit": 4, "amplitude": 16}[line.encoder]
        reducer = (pixels[line.dataset] + 1) * features if line.reducer == "fully_connected" else 0
        assert line.classical_parameters == reducer + (4 + 1) * 10
        assert line.quantum_parameters == 3 * 4


# Verdicts


def test_verdicts_follow_the_rule(rows):
    said = set()
    for line, by_arm in rows:
        ours, gained = summarise(by_arm["lenet"]), summarise(by_arm[None] - by_arm["lenet"])
        near = line.paper_error - 2.4 <= ours.low_90 and ours.high_90 <= line.paper_error + 2.4
        far = line.ci_high < line.paper_error - 2.4 or line.ci_low > line.paper_error + 2.4
        assert line.verdict_mean == (REPRODUCED if near else CONTRADICTED if far else INCONCLUSIVE)
        small = NO_GAIN if gained.low_90 >= -1 and gained.high_90 <= 1 else INCONCLUSIVE
        above, below = line.gain_kd_ci_low > 0, line.gain_kd_ci_high < 0
        surely = line.p_holm < 0.05 and (above or below)
        assert line.verdict_gain == ((GAIN if above else HARM) if surely else small)
        said |= {line.verdict_mean, line.verdict_gain}
    assert said >= {REPRODUCED, INCONCLUSIVE, GAIN}
    every = (REPRODUCED, CONTRADICTED, INCONCLUSIVE, GAIN, HARM, NO_GAIN, MISSING)
    assert all(f"`{verdict}`" in ablation.RULE for verdict in every) and "0.4 points" in ablation.RULE


def test_the_borders_of_a_verdict(workspace):
    """Seeds between 29 and 33 % of error, all the same in both arms: what the figure is read to and 2 points count."""
    bar, rng = MNIST[-1], np.random.default_rng(0)
    for experiment in bar.arms.values():
        revised_record(experiment, 1 - np.linspace(0.29, 0.33, experiment.seeds), rng).save(workspace)
    (line,) = ablation.table([bar], workspace).itertuples()
    assert 29 < line.ci_low < 31 < line.ci_high < 33 and line.verdict_gain == NO_GAIN
    column = "selected" if bar.regime == "converged" else "last"
    ours = summarise(100 - per_seed(workspace).groupby("name").get_group(bar.arms["lenet"].name)[column])
    wanted = (
        (31.0, REPRODUCED), (ours.low_90 + 2.39, REPRODUCED), (ours.high_90 - 2.39, REPRODUCED),
        (ours.low_90 + 2.41, INCONCLUSIVE), (ours.high_90 - 2.41, INCONCLUSIVE),
        (ours.high + 2.39, INCONCLUSIVE), (ours.low - 2.39, INCONCLUSIVE),
        (ours.high + 2.41, CONTRADICTED), (ours.low - 2.41, CONTRADICTED),
    )  # fmt: skip
    asked = [dataclasses.replace(bar, paper_error=paper_error) for paper_error, _ in wanted]
    assert ablation.table(asked, workspace).verdict_mean.tolist() == [verdict for _, verdict in wanted]


# Variants


def test_variants_have_no_verdict_and_the_numbers_of_their_depth(filled, raw):
    frame = ablation.table(VARIANTS, filled)
    assert set(frame.verdict_mean) == {NOT_SHOWN} and MISSING not in set(frame.verdict_gain)
    assert frame.paper_error.isna().all()
    assert list(zip(frame.layers, frame.entangler, strict=True)) == [(2, "none"), (4, "none"), (1, "ring_cnot")]
    for line in frame.itertuples():
        assert line.mean_error == pytest.approx(errors(raw, line, "lenet").mean())
        assert line.gain_kd == pytest.approx((errors(raw, line, None) - errors(raw, line, "lenet")).mean())
        assert line.quantum_parameters == 3 * 8 * line.layers
    assert frame[ALEXNET].isna().all(axis=None)


# Text


def test_readable_text(frame, filled):
    shown = ablation.readable(frame)
    assert len(shown) == len(frame)
    assert not shown.map(lambda cell: "nan" in str(cell).lower()).any(axis=None)
    assert "layers" not in shown.columns
    for line, text in zip(frame.itertuples(), shown.to_dict("records"), strict=True):
        assert (text["method"], text["images"], text["regime"]) == (line.method, line.images, line.regime)
        assert (text["qubits"], text["seeds"], text["paper"]) == ("4", "10", f"{line.paper_error:.1f}")
        assert text["distilled"] == f"{line.mean_error:.1f} [{line.ci_low:.1f}, {line.ci_high:.1f}]"
        assert text["placebo"].startswith(f"{line.placebo_error:.1f} [")
        assert text["gain (LeNet)"].startswith(f"{line.gain_kd:+.2f} [{line.gain_kd_ci_low:+.2f}, ")
        assert (text["gain (AlexNet)"] == "") == (line.dataset == "cifar10")
        assert text["parameters"] == f"12 + {line.classical_parameters:,}"
        assert (text["mean"], text["gain"]) == (line.verdict_mean, line.verdict_gain)
    variants = ablation.readable(ablation.table(VARIANTS, filled))
    assert variants.layers.tolist() == ["2", "4", "1"] and set(variants.paper) == {""}


# Ranking


def ranked(default, converged=(), placebo=(17, 16, 15, 14, 13, 12, 11)) -> pd.DataFrame:
    """A table for one task: the methods' errors in the figure's order; the paper's are 70, 60, ..., 10."""
    lines = [
        {"method": method, "dataset": "mnist", "qubits": 4, "regime": regime, "paper_error": 70.0 - 10 * place,
         "mean_error": error, "placebo_error": other}
        for regime, errors in (("10 epochs", default), ("converged", converged or [np.nan] * 7))
        for place, (method, error, other) in enumerate(zip(revised.METHODS, errors, placebo, strict=True))
    ]  # fmt: skip
    return pd.DataFrame(lines)


def test_ranking_by_hand():
    # Against the paper's order the third and the fourth have changed places, and the first and the last: d is
    # (6, 0, 1, 1, 0, 0, 6), so that rho = 1 - 6 * 74 / (7 * 48).
    found = ablation.ranking(ranked([10.0, 60.0, 40.0, 50.0, 30.0, 20.0, 70.0])).set_index("source")
    assert found.index.tolist() == ["paper", "10 epochs, distilled", "10 epochs, placebo"]
    assert (set(found.dataset), set(found.qubits)) == ({"mnist"}, {4})
    assert found.loc["paper", "1.":"7."].tolist() == [
        "original (10.0)", "qubit (20.0)", "angle (30.0)", "avg_pool (40.0)", "pca (50.0)", "center_crop (60.0)",
        "max_pool (70.0)",
    ]  # fmt: skip
    assert found.loc["10 epochs, distilled", "1.":"7."].tolist() == [
        "max_pool (10.0)", "qubit (20.0)", "angle (30.0)", "pca (40.0)", "avg_pool (50.0)", "center_crop (60.0)",
        "original (70.0)",
    ]  # fmt: skip
    assert found.rho.tolist() == ["1.00", f"{1 - 6 * 74 / (7 * 48):.2f}", "1.00"]
    assert found.loc["10 epochs, placebo", "1."] == "original (11.0)"


def test_both_regimes_are_ranked_and_one_that_lacks_a_bar_is_not():
    order = [70.0, 60.0, 50.0, 40.0, 30.0, 20.0, 10.0]
    both = ablation.ranking(ranked(order, order[::-1]))
    assert both.source.tolist()[1:] == [
        "10 epochs, distilled", "10 epochs, placebo", "converged, distilled", "converged, placebo",
    ]  # fmt: skip
    assert both.rho.tolist() == ["1.00", "1.00", "1.00", "-1.00", "1.00"]
    assert len(ablation.ranking(ranked(order, [*order[:6], np.nan]))) == 3


def test_ranking_of_the_table(frame, rows):
    """The bar of the full set is not ranked."""
    found = ablation.ranking(frame[frame.dataset == "mnist"]).set_index("source")
    assert len(found) == 5
    for regime in ("10 epochs", "converged"):
        of_regime = [(line, by_arm) for line, by_arm in rows if (line.dataset, line.regime) == ("mnist", regime)]
        for name, arm in (("distilled", "lenet"), ("placebo", None)):
            means = {line.method: by_arm[arm].mean() for line, by_arm in of_regime}
            order = sorted(means, key=means.get)
            row = found.loc[f"{regime}, {name}"]
            assert [row[f"{place}."] for place in range(1, 8)] == [f"{each} ({means[each]:.1f})" for each in order]
            printed = [figure_12()[method, "mnist", 4] for method in order]
            assert row.rho == f"{scipy.stats.spearmanr(range(7), printed).statistic:.2f}"
