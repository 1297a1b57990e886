"""v1's claims: what synthetic records give, by pandas; and what is said where some are missing."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from synthetic import fill, per_seed, published

from qkdlib.study import claims
from qkdlib.study.v1 import claims as v1_claims
from qkdlib.study.v1 import paper
from qkdlib.study.v1.claims import CLAIMS
from qkdlib.study.verdicts import IN_PART, MISSING, NOISE, NOT_REPRODUCED, NOT_SHOWN, REPRODUCED
from qkdlib.workspace import Workspace

SHOTS_MEANT = {(6, 3): 5000, (8, 3): 3000, (8, 4): 2000}
TEACHERS = ("alexnet", "lenet", "ensemble")
MEASURED = {"A1", "A1m", "A2", "A2m", "C1", "F1", "F2", "F3", "F4", "F5"}
COUNTED = {"A3", "F6"}
FROM_THE_CODE = {"C2": "15 of 18", "C3": "10 of 18"}


def of_v1(workspace) -> pd.DataFrame:
    """The table of v1's claims, by id."""
    return claims.table(CLAIMS, workspace).set_index("id")


@pytest.fixture(scope="module")
def found(whole):
    """The table of claims of that workspace, by id."""
    return of_v1(whole)


# Pandas on the files of the records, without qkdlib


@pytest.fixture(scope="module")
def raw(whole) -> pd.DataFrame:
    """One row per record and seed."""
    return per_seed(whole)


def last(raw, dataset, classes, qubits, head, shots, teacher=None, weight=0.0) -> np.ndarray:
    """Accuracies of a published student's seeds, in their order."""
    wanted = {
        "dataset": dataset, "classes": classes, "qubits": qubits, "head": head, "shots": shots,
        "kd_weight": weight, "sampler": "multinomial",
    }  # fmt: skip
    chosen = raw[(raw[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    chosen = chosen[chosen.teacher == teacher if teacher else chosen.teacher.isna()].sort_values("seed")
    assert len(chosen) == 20
    return chosen["last"].values


def average_gain(raw, dataset: str, meant: bool) -> np.ndarray:
    """Mean gain of a data set's nine rows over their placebos, per seed."""
    frame = published()
    gains = []
    for row in frame[(frame.role == "distillation") & (frame.dataset == dataset)].itertuples():
        size, head, shots = (int(row.classes), int(row.qubits)), row.head, int(row.shots)
        weight = round(row.kd_weight_effective / 9, 6)
        if meant:
            head, shots, weight = "sigmoid_complement", SHOTS_MEANT[size], 0.9
        if weight == 0:
            gains.append(np.zeros(20))
            continue
        placebo = last(raw, dataset, *size, head, shots)
        gains.append(last(raw, dataset, *size, head, shots, row.teacher, weight) - placebo)
    assert len(gains) == 9
    return np.mean(gains, axis=0)


def arms(raw, teacher, sizes=tuple(SHOTS_MEANT)) -> np.ndarray:
    """Mean accuracy as meant of the students of one teacher, per seed."""
    weight = 0.9 if teacher else 0
    return np.mean(
        [
            last(raw, dataset, *size, "sigmoid_complement", SHOTS_MEANT[size], teacher, weight)
            for dataset in ("mnist", "fashion_mnist")
            for size in sizes
        ],
        axis=0,
    )


def over_singles(raw, sizes=tuple(SHOTS_MEANT)) -> np.ndarray:
    return arms(raw, "ensemble", sizes) - (arms(raw, "lenet", sizes) + arms(raw, "alexnet", sizes)) / 2


def four_over_three(raw) -> np.ndarray:
    both = [np.mean([arms(raw, who, [(8, q)]) for who in (None, *TEACHERS)], axis=0) for q in (4, 3)]
    return both[0] - both[1]


OURS = {
    "A1": lambda raw: average_gain(raw, "mnist", False),
    "A1m": lambda raw: average_gain(raw, "mnist", True),
    "A2": lambda raw: average_gain(raw, "fashion_mnist", False),
    "A2m": lambda raw: average_gain(raw, "fashion_mnist", True),
    "C1": over_singles,
    "F1": lambda raw: (arms(raw, "lenet") + arms(raw, "ensemble")) / 2 - arms(raw, "alexnet"),
    "F2": lambda raw: average_gain(raw, "fashion_mnist", False) - average_gain(raw, "mnist", False),
    "F3": lambda raw: average_gain(raw, "fashion_mnist", True),
    "F4": four_over_three,
    "F5": lambda raw: over_singles(raw, [(8, 3), (8, 4)]),
}


# The list


def test_the_claims_with_a_number_are_those_tested_here():
    assert {claim.id for claim in CLAIMS if claim.kind in ("gain", "no_difference")} == MEASURED
    assert set(OURS) == MEASURED
    assert {claim.id for claim in CLAIMS if claim.kind == "count"} == COUNTED | set(FROM_THE_CODE)


def test_the_table_has_every_claim(found):
    assert found.index.tolist() == [claim.id for claim in CLAIMS]
    assert set(found.verdict) <= {REPRODUCED, NOISE, NOT_REPRODUCED, IN_PART, NOT_SHOWN}


# Ours, from records


@pytest.mark.parametrize("name", sorted(MEASURED))
def test_ours_is_what_pandas_gets_from_the_files(raw, found, name):
    values = OURS[name](raw)
    assert values.shape == (20,)
    line = found.loc[name]
    assert float(line.ours) == pytest.approx(values.mean(), abs=0.00501)
    drawn = scipy.stats.bootstrap((values,), np.mean, rng=np.random.default_rng(7)).confidence_interval
    assert (line.ci_low, line.ci_high) == pytest.approx(tuple(drawn), abs=0.1 * values.std())
    if name == "F4":
        assert line.verdict == (REPRODUCED if line.ci_low <= 0 <= line.ci_high else NOT_REPRODUCED)
    else:
        assert line.verdict == (REPRODUCED if line.ci_low > 0 else NOT_REPRODUCED if line.ci_high < 0 else NOISE)


@pytest.mark.parametrize("run", [paper.RAN, paper.MEANT])
@pytest.mark.parametrize(("table", "dataset"), [(1, "mnist"), (2, "fashion_mnist")])
def test_average_gain_seed_by_seed(whole, raw, run, table, dataset):
    evidence = claims.Evidence(whole)
    expected = average_gain(raw, dataset, run == paper.MEANT)
    assert v1_claims.average_gain(evidence, run, table) == pytest.approx(expected)
    assert expected.std() > 1


def test_as_run_and_as_meant_are_averages_over_18_rows_each():
    for run, distilling in ((paper.RAN, 15), (paper.MEANT, 18)):
        rows = v1_claims.distilled(run)
        assert len({row.id for row in rows}) == len(rows) == 18
        assert sum(row.distils for row in rows) == distilling


def test_counted_rows_are_those_whose_gain_survives_holms_correction(raw, found):
    count = 0
    for number, dataset in ((1, "mnist"), (2, "fashion_mnist")):
        tested = [row for row in paper.rows(number) if row.distils]
        by_name = {name: seeds.sort_values("seed")["last"].values for name, seeds in raw.groupby("name")}
        gains = [by_name[row.experiment.name] - by_name[row.experiment.placebo().name] for row in tested]
        ps = np.array([scipy.stats.wilcoxon(gain.round(2)).pvalue for gain in gains])
        order = np.argsort(ps)
        significant = np.zeros(len(ps), dtype=bool)
        for rank, place in enumerate(order):  # Holm: stop at the first that is not significant
            if ps[place] * (len(ps) - rank) >= 0.05:
                break
            significant[place] = True
        ran = [row.run == paper.RAN and row.dataset == dataset for row in tested]
        count += int((significant & ran & (np.mean(gains, axis=1) > 0)).sum())
    assert 0 < count < 15
    assert found.ours["A3"] == found.ours["F6"] == f"{count} of 18"
    assert found.verdict["A3"] == IN_PART


# Verdicts of synthetic worlds


def world(gain=0.0, fashion=0.0, ensemble=0.0, four_qubits=0.0):
    """Students of 0.5, with what a teacher, FashionMNIST's teachers, the ensemble and a fourth qubit add to that.

    Every arm swings by a point from seed to seed, those of 3 qubits against those of 4, and the ensemble's more slowly.
    """

    def accuracies(experiment, _rng):
        seeds = np.arange(20)
        name = experiment.teacher.architecture if experiment.teacher else ""
        four = experiment.qubits == 4
        level = 0.5 + four_qubits * four
        if name:
            level += gain + fashion * (experiment.dataset == "fashion_mnist") + ensemble * (name == "ensemble")
        swing = (-1.0) ** (seeds // (2 if name == "ensemble" else 1)) * (1 if four else -1)
        return level + 0.01 * swing * (0.5 if name else 1)

    return accuracies


@pytest.mark.parametrize(
    ("parts", "verdicts"),
    [
        (
            {"gain": 0.1, "fashion": 0.05, "ensemble": 0.02, "four_qubits": 0.1},
            dict.fromkeys(MEASURED, REPRODUCED) | {"F4": NOT_REPRODUCED, "A3": "15 of 18"},
        ),
        (
            {"gain": 0.1, "fashion": -0.2},
            {
                "A1": REPRODUCED, "A1m": REPRODUCED, "A2": NOT_REPRODUCED, "A2m": NOT_REPRODUCED,
                "F2": NOT_REPRODUCED, "F3": NOT_REPRODUCED, "C1": NOISE, "F1": NOISE, "F4": REPRODUCED, "F5": NOISE,
                "A3": "8 of 18",
            },
        ),
        (
            {"gain": -0.1, "fashion": -0.1, "ensemble": -0.02, "four_qubits": -0.1},
            dict.fromkeys(MEASURED, NOT_REPRODUCED) | {"A3": "0 of 18"},
        ),
        (
            {},
            dict.fromkeys(MEASURED, NOISE) | {"F4": REPRODUCED, "A3": "0 of 18"},
        ),
    ],
    ids=["all is well", "MNIST gains and FashionMNIST loses", "all is lost", "nothing matters"],
)  # fmt: skip
def test_verdicts_of(workspace, parts, verdicts):
    fill(workspace, world(**parts), parts=("v1",))
    frame = of_v1(workspace)
    verdicts = dict(verdicts)
    count = verdicts.pop("A3")
    assert frame.ours["A3"] == frame.ours["F6"] == count
    assert frame.verdict["A3"] == frame.verdict["F6"] == (NOT_REPRODUCED if count[0] == "0" else IN_PART)
    assert frame.verdict[list(verdicts)].to_dict() == verdicts
    signs = {REPRODUCED: 1, NOT_REPRODUCED: -1, NOISE: 0}
    for name in MEASURED - {"F4"}:
        low, high = frame.ci_low[name], frame.ci_high[name]
        assert int(low > 0) - int(high < 0) == signs[verdicts[name]], name


# Missing records


def test_without_records_the_claims_about_them_are_missing(workspace):
    frame = of_v1(workspace)
    assert set(frame.index[frame.verdict == MISSING]) == MEASURED | COUNTED
    assert frame.note["A1"].startswith("no record mnist_0-5_3q_")
    assert frame.recomputed["A1"] == "0.759"  # the paper's own numbers need no record
    assert frame.ours["C2"] == "15 of 18"
    shown = claims.readable(frame.reset_index())
    assert not shown.map(lambda cell: "nan" in str(cell).lower().split()).any(axis=None)
    assert set(shown.ours[shown.verdict == MISSING]) == {""}


def test_one_missing_record_takes_only_the_claims_that_need_it(tmp_path, found):
    workspace = Workspace(tmp_path)
    fill(workspace, parts=("v1",))
    gone = paper.row("F-D-ens-3q-05").experiment
    (workspace.students / f"{gone.name}.json").unlink()
    frame = of_v1(workspace)
    missing = set(frame.index[frame.verdict == MISSING])
    assert missing == {"A2", "A2m", "A3", "C1", "F1", "F2", "F3", "F6"}
    assert frame.note["A2"] == f"no record {gone.name}"
    kept = [name for name in frame.index if name not in missing]
    pd.testing.assert_frame_equal(frame.loc[kept], found.loc[kept], check_dtype=False)


# Text


def test_readable_text_has_the_interval_beside_our_number(found):
    shown = claims.readable(found.reset_index()).set_index("id")
    assert "ci_low" not in shown.columns and "ci_high" not in shown.columns
    for name in MEASURED:
        line = found.loc[name]
        assert shown.ours[name] == f"{line.ours} [{line.ci_low:+.2f}, {line.ci_high:+.2f}]"
        assert re.match(r"[+-]\d+\.\d\d \[[+-]", shown.ours[name])
    assert shown.ours["C2"] == "15 of 18"
    assert shown.ours["A5"] == shown.recomputed["A5"] == ""


def test_every_declared_published_record_is_found_by_the_csv(raw):
    """The pandas side above knows every record that the claims could use."""
    asked = {e.name for e in paper.experiments() if e.sampler == "multinomial"}
    assert raw[raw.sampler == "multinomial"].name.nunique() == len(asked) == 28
