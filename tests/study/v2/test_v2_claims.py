"""v2's claims: counts and differences that synthetic records give, against numpy and scipy on the records' files."""

import functools
import itertools
import re

import numpy as np
import pytest
from intervals import by_bootstrap, by_flips, by_t, leans, near_interval
from synthetic import figure_12, fill, fill_bars, holm, per_seed, revised_record, save_all_teachers, save_logits

from qkdlib import records
from qkdlib.records import summarise
from qkdlib.study import claims
from qkdlib.study.v2 import revised
from qkdlib.study.v2.claims import CLAIMS
from qkdlib.study.verdicts import CONTRADICTED, IN_PART, INCONCLUSIVE, MISSING, NOT_SHOWN, REPRODUCED
from qkdlib.workspace import Workspace

REGIMES = {"": "10 epochs", "c": "converged"}
DATASETS, QUBITS = ("mnist", "fashion_mnist", "cifar10"), (4, 8)
TASKS = list(itertools.product(DATASETS, QUBITS))
METHODS = ["max_pool", "center_crop", "pca", "avg_pool", "angle", "qubit", "original"]
RIVALS = {"V2": METHODS[:4], "V3": METHODS[4:6]}
MEASURED = {f"{id}{letter}" for id in ("V1", "V1a", "V1k", "V2", "V3") for letter in REGIMES} | {"V4"}
TEACHERS = {"mnist": 0.97, "fashion_mnist": 0.85, "cifar10": 0.6}
PARTS = ("v2-10-epochs", "v2-converged", "v2-full-set")


def table(workspace):
    """The claims of v2, by id."""
    return claims.table(CLAIMS, workspace).set_index("id")


def lenets(workspace) -> list:
    """The files of the three LeNets, with accuracies that fell in the last epoch to those above."""
    tasks = [revised.bar("original", name, 4).copies[-1].experiment for name in DATASETS]
    taught = [task.distilled(revised.teacher("lenet")) for task in tasks]
    return [save_logits(workspace, e, [0.99, TEACHERS[e.dataset.removesuffix("_jpeg")]]) for e in taught]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A workspace with every record of Fig. 12 and of the full sets, and the teachers."""
    workspace = Workspace(tmp_path_factory.mktemp("v2"))
    fill(workspace, parts=PARTS)
    save_all_teachers(workspace)
    lenets(workspace)
    return workspace


@pytest.fixture(scope="module")
def found(filled):
    return table(filled)


@pytest.fixture(scope="module")
def errors(filled):
    """A function: method, data set, qubits, regime and teacher -> errors of the seeds in percent, from the files."""
    raw = per_seed(filled).set_index(["reducer", "encoder", "dataset", "qubits", "epochs"]).sort_index()
    parts = figure_12(["reducer", "encoder"])

    @functools.cache
    def of(method, dataset, qubits, regime, teacher) -> np.ndarray:
        images = "cifar10_jpeg" if dataset == "cifar10" else dataset
        part = parts.loc[method, dataset, qubits]
        chosen = raw.loc[(*part, images, qubits, 100 if regime == "converged" else 10)]
        chosen = chosen[chosen.train_per_class.isna() == (regime == "full set")]
        chosen = chosen[chosen.teacher == teacher if teacher else chosen.teacher.isna()].sort_values("seed")
        assert len(chosen) == 10
        return 100 - chosen["selected" if regime == "converged" else "last"].values

    return of


def check_interval(line, values) -> None:
    assert float(line.ours) == pytest.approx(values.mean(), abs=0.00501)
    assert (line.ci_low, line.ci_high) == near_interval(values)


# The list


def test_every_claim_of_the_abstract_says_what(found):
    ids = [claim.id for claim in CLAIMS]
    assert len(set(ids)) == len(ids) and MEASURED | {"V5"} == set(ids)
    assert {claim.source for claim in CLAIMS} == {"v2, abstract"}
    assert all(claim.kind in ("gain", "no_loss", "count", "") for claim in CLAIMS)
    assert found.index.tolist() == ids and len(set(found.claim)) == len(ids)
    for id, letter in itertools.product(("V1", "V1a", "V2", "V3"), REGIMES):
        assert found.claim[id + letter].endswith(f"({REGIMES[letter]})")
    assert MISSING not in set(found.verdict)


def test_what_the_figure_itself_gives(found):
    """In every task the original method's bar is below those of the other reducers, and of the other encoders."""
    bars = figure_12()
    for id, rivals in RIVALS.items():
        first = [all(bars["original", *task] < bars[other, *task] for other in rivals) for task in TASKS]
        for letter in REGIMES:
            assert found.recomputed[id + letter] == f"{sum(first)} of {len(first)}" == "6 of 6"


def test_what_no_record_can_tell(found):
    assert found.verdict["V5"] == NOT_SHOWN
    assert found.ours["V5"] == "0 of 12 gates act between wires"  # RX, RY and RZ on each of four wires
    lenet = 6 * 26 + 16 * 151 + 120 * 257 + 84 * 121 + 10 * 85
    student = 256 * 785 + 10 * 9 + 24
    assert f"the student has {student:,} parameters and LeNet {lenet:,}" in found.note["V4"]


# Ours, from records


@pytest.mark.parametrize("letter", REGIMES)
def test_counted_bars_are_those_whose_gain_survives_holms_correction_over_their_data_set(found, errors, letter):
    count, regime = 0, REGIMES[letter]
    for dataset in DATASETS:
        bars = [(method, dataset, qubits, regime) for qubits in QUBITS for method in METHODS]
        gains = [errors(*bar, None) - errors(*bar, "lenet") for bar in bars]
        corrected = holm([by_flips(gain) for gain in gains])
        count += sum(p < 0.05 and gain.mean() > 0 for gain, p in zip(gains, corrected, strict=True))
    assert 0 < count < 42
    line = found.loc["V1" + letter]
    assert (line.ours, line.verdict) == (f"{count} of 42", IN_PART)


@pytest.mark.parametrize("letter", REGIMES)
def test_the_mean_gain_is_over_all_bars_seed_by_seed(found, errors, letter):
    """And over those of CIFAR10."""
    for name, tasks in (("V1a", TASKS), ("V1k", [task for task in TASKS if task[0] == "cifar10"])):
        bars = [(method, *task, REGIMES[letter]) for method in METHODS for task in tasks]
        gains = np.mean([errors(*bar, None) - errors(*bar, "lenet") for bar in bars], axis=0)
        line = found.loc[name + letter]
        check_interval(line, gains)
        none = CONTRADICTED if summarise(gains).high_90 <= 1 else INCONCLUSIVE
        assert line.verdict == (REPRODUCED if line.ci_low > 0 and line.p_holm < 0.05 else none)


@pytest.mark.parametrize("letter", REGIMES)
@pytest.mark.parametrize("id", RIVALS)
def test_the_original_method_is_first_where_it_beats_each_rival(found, errors, id, letter):
    wins = losses = 0
    for task in TASKS:
        original = errors("original", *task, REGIMES[letter], "lenet")
        ahead = [errors(rival, *task, REGIMES[letter], "lenet") - original for rival in RIVALS[id]]
        intervals = [(by_bootstrap if leans(each) else by_t)(each) for each in ahead]
        wins += all(low > 0 for low, _ in intervals)
        losses += any(high < 0 for _, high in intervals)
    line = found.loc[id + letter]
    assert line.ours == f"{wins} of 6"
    none = CONTRADICTED if losses else INCONCLUSIVE
    assert line.verdict == (REPRODUCED if wins == 6 else IN_PART if wins else none)


def test_synthetic_encoders_do_not_always_lose(found):
    """Or the count above would be tested where nothing has to be decided."""
    assert {found.ours["V3"], found.ours["V3c"]} - {"6 of 6"}


def test_the_student_is_compared_with_its_teachers_last_epoch(found, errors):
    over = [
        100 - errors("original", dataset, 8, "full set", "lenet") - 100 * accuracy
        for dataset, accuracy in TEACHERS.items()
    ]
    line = found.loc["V4"]
    check_interval(line, np.mean(over, axis=0))
    assert line.ci_high < 0 and line.verdict == CONTRADICTED


# Verdicts of synthetic worlds


def world(workspace, gain: float, over_teacher: float, ranks: list[str]) -> None:
    """Errors that rise by 5 points from the first of `ranks` to the last, `gain` below them with a teacher. Seeds swing
    by a point, and the taught ones a little less."""
    rng, swing, seeds = np.random.default_rng(0), 0.01 * (-1.0) ** np.arange(10), np.arange(10)
    lenets(workspace)
    for bar in revised.bars():
        if bar.regime == "converged":
            continue
        placebo = 0.9 - 0.05 * ranks.index(bar.method)
        if bar.regime == "full set":
            placebo = TEACHERS[bar.dataset] + over_teacher - gain
        placebo = placebo + swing + rng.normal(0, 0.002, 10).round(4)
        untaught, taught = (bar.copies[-1].arms[name] for name in (None, "lenet"))
        revised_record(untaught, placebo, rng).save(workspace)
        revised_record(taught, placebo + gain - 0.2 * swing + 1e-4 * seeds, rng).save(workspace)  # no two gains alike


@pytest.mark.parametrize(
    ("gain", "over_teacher", "ranks", "verdicts"),
    [
        (0.02, 0.0, METHODS[::-1],
         {"V1": "42 of 42", "V1a": REPRODUCED, "V2": "6 of 6", "V3": "6 of 6", "V4": REPRODUCED}),
        (-0.02, -0.1, ["qubit", "original", *METHODS[:5]],
         {"V1": "0 of 42", "V1a": CONTRADICTED, "V2": "6 of 6", "V3": "0 of 6", "V4": CONTRADICTED}),
        (0.0, 0.0, METHODS, {"V1": "0 of 42", "V1a": CONTRADICTED, "V2": "0 of 6", "V3": "0 of 6", "V4": REPRODUCED}),
    ],
    ids=["all is well", "losses", "nothing matters"],
)  # fmt: skip
def test_verdicts_of(workspace, gain, over_teacher, ranks, verdicts):
    world(workspace, gain, over_teacher, ranks)
    frame = table(workspace)
    for id, expected in verdicts.items():
        if re.match(r"\d", expected):
            few, all_of_them = expected.split(" of ")
            assert frame.ours[id] == expected
            expected = REPRODUCED if few == all_of_them else CONTRADICTED
        assert frame.verdict[id] == expected, id
    assert set(frame.index[frame.verdict == MISSING]) == {id for id in MEASURED if id.endswith("c")}


# Missing records


def test_without_records_the_claims_about_them_are_missing(workspace):
    frame = table(workspace)
    assert set(frame.index[frame.verdict == MISSING]) == MEASURED
    assert frame.note["V1"] == "no record of max_pool, mnist, 4 qubits, 10 epochs"
    assert frame.note["V4"] == "no record of original, mnist, 8 qubits, full set"
    assert frame.recomputed["V2"] == "6 of 6"  # the figure needs no record
    shown = claims.readable(frame.reset_index())
    assert not shown.map(lambda cell: "nan" in str(cell).lower().split()).any(axis=None)


def test_missing_records_take_only_the_claims_that_need_them(filled, found, monkeypatch):
    away = {
        revised.bar(*names).copies[-1].arms[arm]
        for names, arm in (
            (("pca", "cifar10", 8), None),
            (("angle", "mnist", 4, "converged"), "lenet"),
            (("original", "fashion_mnist", 4, "full set"), "lenet"),  # the claim is about 8 qubits
            (("qubit", "mnist", 8), "alexnet"),  # no claim is about AlexNet
        )
    }
    complete = records.complete
    monkeypatch.setattr(records, "complete", lambda e, place: None if e in away else complete(e, place))
    frame = table(filled)
    missing = frame.index[frame.verdict == MISSING].tolist()
    assert missing == ["V1", "V1c", "V1a", "V1ac", "V1k", "V2", "V3c"]
    for id in missing:
        one = "of angle, mnist, 4 qubits, converged" if id.endswith("c") else "of pca, cifar10, 8 qubits, 10 epochs"
        assert frame.note[id] == f"no record {one}"
    frame["p_holm"] = found.p_holm  # which there are fewer of
    assert frame.drop(missing).equals(found.drop(missing))


def test_a_missing_student_or_teacher_takes_the_comparison_of_the_two_with_it(workspace):
    bars = [revised.bar("original", dataset, 8, "full set").copies[-1] for dataset in DATASETS]
    fill_bars(workspace, bars, np.random.default_rng(0))
    path = lenets(workspace)[-1]
    assert table(workspace).verdict["V4"] != MISSING
    path.unlink()
    frame = table(workspace)
    assert (frame.verdict["V4"], frame.note["V4"]) == (MISSING, f"no record of teacher {path.stem}")
    lenets(workspace)
    (workspace.students / f"{bars[1].arms['lenet'].name}.json").unlink()
    assert table(workspace).note["V4"] == "no record of original, fashion_mnist, 8 qubits, full set"
