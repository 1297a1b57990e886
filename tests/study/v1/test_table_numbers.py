"""The numbers and verdicts of v1's tables of synthetic records, against pandas, scipy and statsmodels on the seeds' raw
numbers."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from intervals import near_interval, near_p
from statsmodels.stats.proportion import proportion_confint
from synthetic import holm, per_seed

from qkdlib.study.v1 import paper
from qkdlib.study.verdicts import (
    ABOVE,
    BELOW,
    CONTRADICTED,
    GAIN,
    HARM,
    INCONCLUSIVE,
    INSIDE,
    NO,
    NO_GAIN,
    NOT_AS_PUBLISHED,
    NOTHING_DISTILLED,
    REPRODUCED,
    YES,
)

FASHION_3_QUBITS = {
    "F-D-alex-3q-05", "F-D-lenet-3q-05", "F-D-ens-3q-05", "F-D-alex-3q-07", "F-D-lenet-3q-07", "F-D-ens-3q-07",
}  # fmt: skip


def test_the_numbers_of_every_student(pairs):
    assert len(pairs) == (12 + 1) + (12 + 5) + 12 + 12
    seeds_of = {True: paper.SEEDS, False: paper.FEW}
    for row, line, seeds, _ in pairs:
        of_lenet = row.teacher in (None, "lenet")
        assert line["seeds"] == len(seeds) == (50 if row.run == "redrawn" else seeds_of[of_lenet]), row.label
        assert line["mean_last"] == pytest.approx(seeds["last"].mean())
        assert line["sd_last"] == pytest.approx(seeds["last"].std())
        assert line["median_last"] == pytest.approx(seeds["last"].median())
        assert line["mean_selected"] == pytest.approx(seeds["selected"].mean()) == pytest.approx(20)
        assert line["mean_best_test"] == pytest.approx(seeds["best"].mean())
        assert line["best_test_min"] == pytest.approx(seeds["best"].min())
        assert line["best_test_max"] == pytest.approx(seeds["best"].max())
        share = (seeds["last"] < 150 / len(row.classes)).mean()
        assert line["collapsed_share"] == pytest.approx(share)
        assert (line["qasm_seeds"], line["qasm_minus_last"]) == (2, pytest.approx(-2, abs=1e-3))
        assert (line["ci_low"], line["ci_high"]) == near_interval(seeds["last"])
        if line["interval"] == "t" or row.run == "as meant":  # the bootstrap in loops takes its time
            assert (line["best_test_ci_low"], line["best_test_ci_high"]) == near_interval(seeds["best"])
            assert (line["best_test_90_low"], line["best_test_90_high"]) == near_interval(seeds["best"], 0.9)
    assert 0.1 < np.mean([line["collapsed_share"] for _, line, _, _ in pairs]) < 0.5
    assert {line["interval"] for _, line, _, _ in pairs} == {"t", "studentized bootstrap"}


def test_the_share_of_seeds_that_lose_no_class(pairs):
    """With Wilson's interval, and the mean of those alone."""
    for _, line, seeds, _ in pairs:
        trains = seeds.trains.to_numpy()
        assert line["trained_share"] == pytest.approx(trains.mean())
        wilson = proportion_confint(trains.sum(), len(trains), method="wilson")
        assert (line["trained_ci_low"], line["trained_ci_high"]) == pytest.approx(wilson)
        assert line["trained_mean"] == pytest.approx(seeds["last"][trains].mean())
        assert line["trained_share"] < 1 - line["collapsed_share"] + 1e-9  # every seed at chance loses one


def test_whether_seeds_train_in_both_arms_and_what_is_gained_where_they_do(pairs):
    tested = [pair for pair in pairs if pair[0].distils]
    for _, line, seeds, placebo in tested:
        taught, alone = seeds.trains.to_numpy(), placebo.trains.to_numpy()
        assert line["placebo_trained_share"] == pytest.approx(alone.mean())
        table = pd.crosstab(pd.Categorical(taught, [False, True]), pd.Categorical(alone, [False, True]), dropna=False)
        b, c = table.iloc[0, 1], table.iloc[1, 0]
        assert line["p_trained"] == pytest.approx(scipy.stats.binomtest(int(b), int(b + c)).pvalue if b + c else 1)
        both = taught & alone
        gain = (seeds["last"].to_numpy() - placebo["last"].to_numpy())[both]
        assert line["pairs_trained"] == both.sum() == table.iloc[1, 1] > 2
        assert line["trained_delta"] == pytest.approx(gain.mean())
        assert (line["trained_delta_ci_low"], line["trained_delta_ci_high"]) == near_interval(gain)
    assert min(line["p_trained"] for _, line, *_ in tested) < 1e-3 < max(line["p_trained"] for _, line, *_ in tested)


def test_the_gain_of_every_distilled_student(pairs):
    tested = [pair for pair in pairs if pair[0].distils]
    assert len(tested) == 15 + 4 + 6 + 6
    for row, line, seeds, placebo in tested:
        gain = seeds["last"].to_numpy() - placebo["last"].to_numpy()
        assert line["delta_mean"] == pytest.approx(gain.mean())
        assert (line["delta_ci_low"], line["delta_ci_high"]) == near_interval(gain)
        assert (line["delta_90_low"], line["delta_90_high"]) == near_interval(gain, 0.9)
        # Of two seeds: differences that are at least as large as the paper's, which has two decimals.
        as_large = np.subtract.outer(seeds["last"].to_numpy(), placebo["last"].to_numpy()) >= row.paper_delta - 0.0105
        n = len(gain)
        assert line["chance_single_pair"] == pytest.approx((as_large.sum() - as_large.trace()) / (n * (n - 1)))


@pytest.mark.parametrize(("name", "tests"), [("table_1", 8 + 1), ("table_2", 7 + 3), ("described", 6), ("drawn", 6)])
def test_p_after_holms_correction_over_the_rows_that_distil_in_the_table(frames, by_table, name, tests):
    tested = [(line, seeds, placebo) for row, line, seeds, placebo in by_table[name] if row.distils]
    for line, seeds, placebo in tested:
        gain = seeds["last"].to_numpy() - placebo["last"].to_numpy()
        # As with ties of records' rounding: a rounded number of points.
        drawn = scipy.stats.permutation_test(
            (gain.round(2),), lambda flips, axis: flips.mean(axis=axis).round(3), permutation_type="samples",
            vectorized=True, n_resamples=4000, batch=1000, rng=np.random.default_rng(5),
        )  # fmt: skip
        assert line["p"] == pytest.approx(drawn.pvalue, abs=0.035)
        if len(gain) <= 20:
            assert line["p"] == near_p(gain)
    found = [line["p_holm"] for line, *_ in tested]
    assert len(found) == tests == frames[name].p_holm.notna().sum()
    assert found == pytest.approx(holm([line["p"] for line, *_ in tested]))
    assert name not in ("table_1", "table_2") or max(found) > min(found)


# Their verdicts, by the printed rules


def test_the_verdicts_on_the_accuracy_of_every_student(pairs):
    said = []
    for row, line, seeds, _ in pairs:
        own, best = row.paper_accuracy, seeds["best"].round(2)
        taught = row.teacher if row.distils else None
        published = row.run == "as run" and taught in (None, "lenet")
        if not published:
            assert line["verdict_draw"] == line["verdict_mean"] == NOT_AS_PUBLISHED and math.isnan(line["rank"])
            continue
        inside = INSIDE if best.min() <= own <= best.max() else ABOVE if own > best.max() else BELOW
        assert line["verdict_draw"] == inside
        assert line["rank"] == pytest.approx(scipy.stats.percentileofscore(best, own, kind="mean") / 100)
        near = own - 2 <= line["best_test_90_low"] and line["best_test_90_high"] <= own + 2
        far = line["best_test_ci_high"] < own - 2 or line["best_test_ci_low"] > own + 2
        assert line["verdict_mean"] == (REPRODUCED if near else CONTRADICTED if far else INCONCLUSIVE)
        said.append(inside)
    assert len(said) == 6 + 6 and set(said) == {INSIDE, ABOVE}


def test_the_verdicts_on_the_gain_of_every_student(pairs):
    said = set()
    for row, line, *_ in pairs:
        if not row.distils:
            continue
        low, high = line["delta_ci_low"], line["delta_ci_high"]
        if line["p_holm"] < 0.05 and (low > 0 or high < 0):
            expected = GAIN if low > 0 else HARM
        else:
            expected = NO_GAIN if max(abs(line["delta_90_low"]), abs(line["delta_90_high"])) <= 1 else INCONCLUSIVE
        assert line["verdict_gain"] == expected
        outside = YES if row.paper_delta < low or row.paper_delta > high else NO
        published = row.run == "as run" and row.teacher == "lenet"
        assert line["paper_gain_excluded"] == (outside if published else NOT_AS_PUBLISHED)
        said.add(expected)
    assert said == {GAIN, INCONCLUSIVE}
    for _, line, *_ in (pair for pair in pairs if pair[0].category == "Student"):
        assert math.isnan(line["delta_mean"]) and math.isnan(line["p"])
        assert not isinstance(line["verdict_gain"], str) and not isinstance(line["paper_gain_excluded"], str)


def test_rows_that_distil_nothing(pairs):
    nothing = [pair for pair in pairs if pair[0].category == "Distillation" and not pair[0].distils]
    assert [row.id for row, *_ in nothing] == ["M-D-lenet-4q-07", "F-D-lenet-3q-07", "F-D-lenet-4q-07"]
    for row, line, seeds, placebo in nothing:
        assert seeds.equals(placebo)
        assert line["verdict_gain"] == line["paper_gain_excluded"] == NOTHING_DISTILLED and line["run"] == "as run"
        assert line["delta_mean"] == 0
        assert all(math.isnan(line[name]) for name in ("delta_ci_low", "p", "p_holm"))
        # Two seeds of one and the same experiment show the paper's gain this often:
        differences = [a - b for (i, a), (j, b) in itertools.product(enumerate(seeds["last"]), repeat=2) if i != j]
        assert line["chance_single_pair"] == pytest.approx(np.mean(np.array(differences) >= row.paper_delta - 0.0105))
    assert not [line for row, line, *_ in pairs if row.distils and line["verdict_gain"] == NOTHING_DISTILLED]


def test_over_direct_is_the_papers_difference_to_the_direct_row_as_run(every_row, pairs):
    raw = per_seed(every_row)
    direct = raw[raw.teacher.isna() & (raw.selection == "first")]
    for row, line, seeds, placebo in pairs:
        if not row.distils or row.run not in ("as run", "as meant"):
            assert math.isnan(line["over_direct_mean"]), row.label
            continue
        published = {"shots": {"3q-05": 5000, "3q-07": 3000, "4q-07": 2000}[row.id[-5:]]} | {
            "head": "softmax" if row.dataset == "fashion_mnist" and row.qubits == 3 else "sigmoid_complement",
            "dataset": row.dataset, "classes": len(row.classes), "qubits": row.qubits,
        }  # fmt: skip
        chosen = direct[(direct[list(published)] == pd.Series(published)).all(axis=1)].sort_values("seed")
        assert len(chosen) == paper.SEEDS
        chosen = chosen.iloc[: len(seeds)]
        assert line["over_direct_mean"] == pytest.approx((seeds["last"].values - chosen["last"].values).mean())
        assert line["over_direct_ci_low"] < line["over_direct_mean"] < line["over_direct_ci_high"]
        same_placebo = chosen.name.iloc[0] == placebo.name.iloc[0]
        assert same_placebo == (row.id not in FASHION_3_QUBITS)
        if not same_placebo:
            assert line["over_direct_mean"] != pytest.approx(line["delta_mean"])
