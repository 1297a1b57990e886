"""The table of v1's six students as published and under the robust protocol, of made-up records, against numpy, scipy
and statsmodels."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint
from synthetic import holm, record

from qkdlib.study.collapse import changes, robust_table

LOST = {"robust": 0, "exact": 1, "published": 6}
TASKS = [("mnist", "0-5", 3), ("mnist", "0-7", 3), ("mnist", "0-7", 4), ("fashion_mnist", "0-5", 3),
         ("fashion_mnist", "0-7", 3), ("fashion_mnist", "0-7", 4)]  # fmt: skip


def arms(row: str) -> dict:
    return {"robust": changes.robust(row), "exact": changes.exact(row), "published": changes.published(row)}


@pytest.fixture
def filled(workspace, draw_record):
    rng, found = np.random.default_rng(0), {}
    for row in changes.ROWS:
        for arm, experiment in arms(row).items():
            found[row, arm] = draw_record(experiment, rng, LOST[arm])
            found[row, arm].save(workspace)
    return workspace, found


def on_test(made) -> np.ndarray:
    return 100 * np.array([made.seeds[seed]["test_accuracy"][-1] for seed in range(len(made.seeds))])


def test_arms_have_the_numbers_of_their_seeds(filled):
    workspace, made = filled
    frame = robust_table.table(workspace)
    assert [*zip(frame.dataset, frame.classes, frame.qubits, strict=True)] == TASKS
    for line, row in zip(frame.to_dict("records"), changes.ROWS, strict=True):
        for arm, experiment in arms(row).items():
            lost = LOST[arm]
            values, n = on_test(made[row, arm]), experiment.seeds
            assert (line[f"{arm}_seeds"], line[f"{arm}_lost_class"]) == (n, lost)
            assert line[f"{arm}_test_lost_class"] == -(-lost // 2)
            low, high = proportion_confint(n - lost, n, method="wilson")
            shown = (line[f"{arm}_trained_share"], line[f"{arm}_trained_ci_low"], line[f"{arm}_trained_ci_high"])
            assert shown == pytest.approx((1 - lost / n, low, high))
            assert (line[f"{arm}_mean"], line[f"{arm}_sd"]) == pytest.approx((values.mean(), values.std(ddof=1)))
            last = [results["validation_accuracy"][-1] for results in made[row, arm].seeds.values()]
            assert line[f"{arm}_validation"] == pytest.approx(100 * np.mean(last))


def test_the_arms_are_compared_by_their_common_seeds(filled):
    workspace, made = filled
    frame = robust_table.table(workspace)
    for line, row in zip(frame.to_dict("records"), changes.ROWS, strict=True):
        ours, before = on_test(made[row, "robust"]), on_test(made[row, "published"])
        n, lost = min(len(ours), len(before)), LOST["published"]
        gain = ours[:n] - before[:n]
        assert (line["gain"], line["to_best"]) == pytest.approx((gain.mean(), ours.mean() - before.max()))
        assert line["p_trained"] == pytest.approx(scipy.stats.binomtest(0, lost).pvalue)
        assert line["pairs_trained"] == n - lost
        assert line["trained_gain"] == pytest.approx(gain[lost:].mean())
        assert line["gain_ci_low"] <= line["gain"] <= line["gain_ci_high"]
        assert line["published_collapsed"] == (before < 150 / len(changes.published(row).classes)).sum()
    assert frame.p_holm.tolist() == pytest.approx(holm(frame.p.tolist()))


def test_where_no_pair_trains_that_is_counted_and_there_is_no_gain_of_such_pairs(workspace, draw_record):
    rng, row = np.random.default_rng(0), "M-B-3q-05"
    before = changes.published(row)
    for experiment, lost in ((changes.robust(row), 0), (before, before.seeds)):
        draw_record(experiment, rng, lost).save(workspace)
    line = robust_table.table(workspace).iloc[0]
    assert (line.pairs_trained, line.published_lost_class) == (0, before.seeds) and np.isnan(line.trained_gain)
    assert np.isfinite([line.gain, line.p]).all()
    assert robust_table.readable(robust_table.table(workspace))["gain where both train"].iloc[0] == ""


def test_what_is_not_there_is_empty(workspace, draw_record):
    assert robust_table.table(workspace)["robust_mean"].isna().all()
    assert set(robust_table.readable(robust_table.table(workspace)).drop(columns="student").to_numpy().ravel()) == {""}
    experiment = changes.robust("M-B-3q-05")
    draw_record(experiment, np.random.default_rng(0), 0).save(workspace)
    shown = robust_table.readable(robust_table.table(workspace)).iloc[0]
    n = experiment.seeds
    low, _ = proportion_confint(n, n, method="wilson")
    assert shown["robust"] == f"{n} of {n} [{low:.0%}, 100%]"
    assert (shown["train as published"], shown["gain"], shown["p (McNemar)"]) == ("", "", "")


def test_published_records_of_an_earlier_version_give_a_gain_alone(workspace, draw_record):
    row = "M-B-3q-05"
    draw_record(changes.robust(row), np.random.default_rng(0), 0).save(workspace)
    before = changes.published(row)
    record(before, np.linspace(0.5, 0.9, before.seeds), qasm_seeds=0).save(workspace)
    line = robust_table.table(workspace).iloc[0]
    assert np.isfinite([line.gain, line.p]).all() and np.isnan(line.p_trained) and np.isnan(line.trained_gain)
    assert robust_table.readable(robust_table.table(workspace))["train as published"].iloc[0] == ""


def test_what_the_readme_shows_is_in_the_table(workspace):
    shown = robust_table.readable(robust_table.table(workspace))
    assert set(robust_table.IN_README) <= set(shown.columns)
    fields = {field.name for field in dataclasses.fields(changes.robust("M-B-3q-05"))}
    assert set(changes.ROBUST) <= fields and all(name in robust_table.UNITS for name in changes.ROBUST)
