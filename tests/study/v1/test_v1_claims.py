"""v1's claims: what synthetic records give, by pandas; and what is said where some are missing."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from intervals import near_interval, near_p
from synthetic import fill, holm, per_seed, published

from qkdlib.study import claims
from qkdlib.study.v1 import claims as v1_claims
from qkdlib.study.v1 import paper, tables
from qkdlib.study.v1.claims import CLAIMS
from qkdlib.study.verdicts import (
    CONTRADICTED,
    INCONCLUSIVE,
    MISSING,
    NO,
    NOT_AS_PUBLISHED,
    NOT_SHOWN,
    REPRODUCED,
    UNTESTED,
    YES,
)
from qkdlib.workspace import Workspace

SHOTS_MEANT = {(6, 3): 5000, (8, 3): 3000, (8, 4): 2000}
TEACHERS = ("alexnet", "lenet", "ensemble")
MEASURED = {"A1", "A1m", "A1l", "A2", "A2m", "A2l", "C1", "F1", "F2", "F3", "F4", "F5"}
JUDGED = {"A1l", "A2l", "F4"}  # of rows that all have the published teacher
COUNTED = {"A3", "F6"}
JOINT = {"R1", "R2"}
PRINTED = {"A1": 0.8, "A1m": 0.8, "A1l": 0.8, "A2": 5.4, "A2m": 5.4, "A2l": 5.4, "F2": 4.6, "F3": 5.4}
FROM_THE_CODE = {"C2": "15 of 18", "C3": "10 of 18"}


def of_v1(workspace, asked=CLAIMS) -> pd.DataFrame:
    """The table of v1's claims, by id."""
    return claims.table(asked, workspace).set_index("id")


@pytest.fixture(scope="module")
def found(whole):
    """The table of claims of that workspace, by id."""
    return of_v1(whole)


# Pandas on the files of the records, without qkdlib


@pytest.fixture(scope="module")
def raw(whole) -> pd.DataFrame:
    """One row per record and seed."""
    return per_seed(whole)


def last(raw, dataset, classes, qubits, head, shots, teacher=None, weight=0.0, seeds=paper.FEW) -> np.ndarray:
    """Accuracies of a published student's first seeds, as many as all rows have, in their order; of all seeds of a
    student without a teacher, or of LeNet's, by `seeds`."""
    wanted = {
        "dataset": dataset, "classes": classes, "qubits": qubits, "head": head, "shots": shots,
        "kd_weight": weight, "sampler": "multinomial",
    }  # fmt: skip
    chosen = raw[(raw[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    chosen = chosen[chosen.teacher == teacher if teacher else chosen.teacher.isna()].sort_values("seed")
    assert len(chosen) == (paper.SEEDS if teacher in (None, "lenet") else paper.FEW)
    return chosen["last"].to_numpy()[:seeds]


def average_gain(raw, dataset: str, meant: bool, teachers=TEACHERS, seeds: int = paper.FEW) -> np.ndarray:
    """Mean gain of a data set's rows over their placebos, per seed: nine, or those of some teachers."""
    frame = published()
    frame, gains = frame[frame.teacher.isin(teachers) & (frame.role == "distillation")], []
    for row in frame[frame.dataset == dataset].itertuples():
        size, head, shots = (int(row.classes), int(row.qubits)), row.head, int(row.shots)
        weight = round(row.kd_weight_effective / 9, 6)
        if meant:
            head, shots, weight = "sigmoid_complement", SHOTS_MEANT[size], 0.9
        if weight == 0:
            gains.append(np.zeros(seeds))
            continue
        placebo = last(raw, dataset, *size, head, shots, seeds=seeds)
        gains.append(last(raw, dataset, *size, head, shots, row.teacher, weight, seeds) - placebo)
    assert len(gains) == 3 * len(teachers)
    return np.mean(gains, axis=0)


def arms(raw, teacher, sizes=tuple(SHOTS_MEANT), seeds=paper.FEW) -> np.ndarray:
    """Mean accuracy as meant of the students of one teacher, per seed."""
    weight = 0.9 if teacher else 0
    return np.mean(
        [
            last(raw, dataset, *size, "sigmoid_complement", SHOTS_MEANT[size], teacher, weight, seeds)
            for dataset in ("mnist", "fashion_mnist")
            for size in sizes
        ],
        axis=0,
    )


def over_singles(raw, sizes=tuple(SHOTS_MEANT)) -> np.ndarray:
    return arms(raw, "ensemble", sizes) - (arms(raw, "lenet", sizes) + arms(raw, "alexnet", sizes)) / 2


def four_over_three(raw) -> np.ndarray:
    """Of the arms with all seeds."""
    both = [np.mean([arms(raw, who, [(8, q)], paper.SEEDS) for who in (None, "lenet")], axis=0) for q in (4, 3)]
    return both[0] - both[1]


OURS = {
    "A1": lambda raw: average_gain(raw, "mnist", False),
    "A1m": lambda raw: average_gain(raw, "mnist", True),
    "A1l": lambda raw: average_gain(raw, "mnist", True, ("lenet",), paper.SEEDS),
    "A2l": lambda raw: average_gain(raw, "fashion_mnist", True, ("lenet",), paper.SEEDS),
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
    assert set(found.index[found.verdict == NOT_AS_PUBLISHED]) == MEASURED - JUDGED | COUNTED
    assert set(found.index[found.verdict == NOT_SHOWN]) == {"A4", "RQ2"}
    assert set(found.index[found.verdict == UNTESTED]) == {"C4b", "C4c", "C4d"}
    assert set(found.verdict[[*JUDGED, *JOINT]]) <= {REPRODUCED, CONTRADICTED, INCONCLUSIVE}


# Ours, from records


@pytest.mark.parametrize("name", sorted(MEASURED))
def test_ours_is_what_pandas_gets_from_the_files(raw, found, name):
    values = OURS[name](raw)
    assert values.shape == ((paper.SEEDS,) if name in JUDGED else (paper.FEW,))
    line = found.loc[name]
    assert float(line.ours) == pytest.approx(values.mean(), abs=0.00501)
    assert (line.ci_low, line.ci_high) == near_interval(values)
    assert line.p == near_p(values)
    if name in PRINTED:
        excluded = YES if not line.ci_low <= PRINTED[name] <= line.ci_high else NO
        assert line.excluded == (excluded if name in JUDGED else NOT_AS_PUBLISHED)
    else:
        assert line.excluded not in (YES, NO)


def test_p_is_corrected_over_all_claims_with_a_number_and_both_joint_checks(found):
    tested = found[found.p.notna()]
    assert set(tested.index) == MEASURED | JOINT
    assert tested.p_holm.tolist() == pytest.approx(holm(tested.p.astype(float).tolist()))


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


def test_counted_rows_are_those_with_a_gain(whole, found):
    frame = pd.concat([tables.table_1(whole), tables.table_2(whole)])
    ran = frame[(frame.run == "as run") & (frame.category == "Distillation")]
    gains = ((ran.p_holm < 0.05) & (ran.delta_ci_low > 0)).sum()
    assert len(ran) == 18 and 0 < gains < 15
    assert found.ours["A3"] == found.ours["F6"] == f"{gains} of 18"
    evidence = claims.Evidence(whole)
    cases = v1_claims.improved(evidence)
    nothing = (ran.delta_90_low.abs() <= 1) & (ran.delta_90_high.abs() <= 1)
    harm = (ran.p_holm < 0.05) & (ran.delta_ci_high < 0)
    assert cases == (gains, 3 + (nothing & ~(ran.p_holm < 0.05)).sum() + harm.sum(), 18)


# Whether the paper's runs are draws of its recipe: tests/study/v1/test_joint_checks.py has the rule


def test_joint_checks_of_records(whole, raw, found):
    """Twelve rows have the published teacher or none; their shares and ranks by pandas from the files."""
    by_name = dict(list(raw.groupby("name")))
    asked = [row for row in paper.all_rows() if row.qubits and (not row.distils or row.teacher == "lenet")]
    seeds = [by_name[row.experiment.name] for row in asked]
    shares = [(each["last"] < 150 / len(row.classes)).mean() for row, each in zip(asked, seeds, strict=True)]
    chance = np.prod([1 - share for share in shares])  # none of the paper's has collapsed
    assert found.p["R1"] == pytest.approx(chance)
    assert found.ours["R1"] == f"0 of 12 runs; expected {sum(shares):.1f}"
    ranks = [
        scipy.stats.percentileofscore(each["best"].round(2), row.paper_accuracy, kind="mean") / 100
        for row, each in zip(asked, seeds, strict=True)
    ]
    assert found.p["R2"] == pytest.approx(scipy.stats.kstest(ranks, "uniform").pvalue)
    assert found.ours["R2"].startswith(f"mean rank {np.mean(ranks):.2f}, ")
    for name in JOINT:
        assert found.verdict[name] == (CONTRADICTED if found.p_holm[name] < 0.05 else INCONCLUSIVE)


def test_seeds_that_train_are_those_of_the_rows_that_distil(whole, raw, found):
    by_name = dict(list(raw.groupby("name")))
    shares = []
    for row in (row for row in paper.all_rows() if row.distils):
        arms_ = (by_name[each.name].sort_values("seed") for each in (row.experiment.placebo(), row.experiment))
        shares.append([each.trains[: row.experiment.seeds].mean() for each in arms_])
    placebos, taught = np.mean(shares, axis=0)
    assert len(shares) == 15
    assert found.ours["RQ2"] == f"{placebos:.0%} of placebos train, {taught:.0%} distilled"


# Verdicts of synthetic worlds


def world(gain=0.0, fashion=0.0, ensemble=0.0, four_qubits=0.0, swing=0.01):
    """Students' accuracies of 0.5, with what a teacher, FashionMNIST's teachers, the ensemble and a fourth qubit add.

    Every arm swings, by a point, from seed to seed, those of 3 qubits against those of 4, and the ensemble's more
    slowly.
    """

    def accuracies(experiment, _rng):
        seeds = np.arange(experiment.seeds)
        name = experiment.teacher.architecture if experiment.teacher else ""
        four = experiment.qubits == 4
        level = 0.5 + four_qubits * four
        if name:
            level += gain + fashion * (experiment.dataset == "fashion_mnist") + ensemble * (name == "ensemble")
        turns = (-1.0) ** (seeds // (2 if name == "ensemble" else 1)) * (1 if four else -1)
        return level + swing * turns * (0.5 if name else 1)

    return accuracies


@pytest.mark.parametrize(
    ("parts", "verdicts"),
    [
        (
            {"gain": 0.1, "fashion": 0.05, "ensemble": 0.02, "four_qubits": 0.1},
            dict.fromkeys(MEASURED, REPRODUCED) | {"F4": CONTRADICTED},
        ),
        (
            {"gain": 0.1, "fashion": -0.2},
            {
                "A1": REPRODUCED, "A1m": REPRODUCED, "A1l": REPRODUCED, "A2": CONTRADICTED, "A2m": CONTRADICTED,
                "A2l": CONTRADICTED, "F2": CONTRADICTED, "F3": CONTRADICTED, "C1": CONTRADICTED, "F1": CONTRADICTED,
                "F4": REPRODUCED, "F5": CONTRADICTED,
            },
        ),
        (  # what loses less gains no more
            {"gain": -0.2, "fashion": 0.1, "ensemble": 0.02},
            {"A1l": CONTRADICTED, "A2l": CONTRADICTED, "F2": CONTRADICTED, "C1": CONTRADICTED, "F5": REPRODUCED},
        ),
        (
            {"gain": -0.1, "fashion": -0.1, "ensemble": -0.02, "four_qubits": -0.1},
            dict.fromkeys(MEASURED, CONTRADICTED),
        ),
        ({}, dict.fromkeys(MEASURED, CONTRADICTED) | {"F4": REPRODUCED}),
        ({"swing": 0.45}, dict.fromkeys(JUDGED, INCONCLUSIVE)),
    ],
    ids=["all is well", "MNIST gains and FashionMNIST loses", "FashionMNIST loses less", "all is lost",
         "nothing matters", "nobody knows"],
)  # fmt: skip
def test_verdicts_of(workspace, monkeypatch, parts, verdicts):
    """As if every teacher were the published one; else most say that it is not."""
    level = world(**parts)
    monkeypatch.setattr(v1_claims, "_accuracies", lambda experiment, _: 100 * level(experiment, None))
    frame = of_v1(workspace, [dataclasses.replace(each, as_published=True) for each in CLAIMS if each.id in MEASURED])
    assert frame.verdict[list(verdicts)].to_dict() == verdicts


# Missing records


def test_without_records_the_claims_about_them_are_missing(workspace):
    frame = of_v1(workspace)
    assert set(frame.index[frame.verdict == MISSING]) == MEASURED | COUNTED | JOINT | {"RQ2"}
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
    assert missing == {"A2", "A2m", "A3", "C1", "F1", "F2", "F3", "F6", "R1", "R2", "RQ2"}
    assert frame.note["A2"] == f"no record {gone.name}"
    kept = [name for name in frame.index if name not in missing]
    frame["p_holm"] = found.p_holm  # which there are fewer of
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
    assert shown.ours["C4d"] == shown.recomputed["C4d"] == ""


def test_every_declared_published_record_is_found_by_the_csv(raw):
    """The pandas side above knows every record that the claims could use."""
    asked = {e.name for e in paper.experiments() if e.sampler == "multinomial"}
    assert raw[raw.sampler == "multinomial"].name.nunique() == len(asked) == 28
