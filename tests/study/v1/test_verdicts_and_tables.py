"""Verdicts at their borders, and tables of made-up records: every row, every number, every file, parsed back."""

import dataclasses
import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_up import fill, holm, per_seed, record, save_teacher, save_teachers

from qkdlib import records
from qkdlib.files import DamagedFile
from qkdlib.records import Record
from qkdlib.study import runs
from qkdlib.study.v1 import paper, tables
from qkdlib.study.verdicts import (
    IN_PART,
    MISSING,
    NOISE,
    NOT_REPRODUCED,
    NOTHING_DISTILLED,
    REPRODUCED,
    RULE,
    count_verdict,
    difference_verdict,
    error_verdict,
    gain_verdict,
    student_verdict,
    teacher_verdict,
)
from qkdlib.teachers.teacher_files import TeacherLogits, teacher_name
from qkdlib.workspace import Workspace

STUDENT, TEACHER, DISTILLED = (paper.row(name) for name in ("M-B-3q-05", "M-T-lenet-05", "M-D-lenet-3q-05"))
ROWS = [STUDENT, TEACHER, DISTILLED]
FIRST_COLUMNS = [
    "category", "teacher", "qubits", "dataset", "classes", "paper_accuracy", "recorded_best", "recorded_last",
    "seeds", "mean_last", "sd_last", "ci_low", "ci_high", "mean_selected", "mean_best_test", "collapsed_share",
    "paper_delta", "delta_mean", "delta_ci_low", "delta_ci_high", "p_wilcoxon", "p_holm", "chance_single_pair",
    "verdict", "note",
]  # fmt: skip
BETTER = [NOT_REPRODUCED, NOISE, REPRODUCED]  # from worst to best
PERCENT = st.floats(-100, 100)


def lasts(middle, seeds=20, step=0.002):
    return [middle + step * (seed - (seeds - 1) / 2) for seed in range(seeds)]


@pytest.fixture
def filled(workspace):
    """A workspace with all three rows: student 95 +- 2, distilled 1 point above seed by seed, teacher 99 %."""
    record(STUDENT.experiment, lasts(0.95)).save(workspace)
    gains = [0.01 + 0.001 * (-1) ** seed for seed in range(20)]
    record(DISTILLED.experiment, np.add(lasts(0.95), gains).tolist(), qasm_seeds=2).save(workspace)
    save_teacher(workspace, TEACHER, [0.9, 0.995, 0.99], trained_on=36017)
    return workspace


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A workspace with a record for every declared experiment of v1 and a file for every teacher."""
    workspace = Workspace(tmp_path_factory.mktemp("whole"))
    fill(workspace, parts=("v1",))
    save_teachers(workspace)
    return workspace


@pytest.fixture(scope="module")
def frames(whole):
    """The three tables of that workspace, by name."""
    asked = {"table_1": paper.rows(1), "table_2": paper.rows(2), "described": paper.described_rows()}
    return {name: tables.paper_table(rows, whole) for name, rows in asked.items()}


@pytest.fixture(scope="module")
def by_table(whole, frames):
    """For each table its students: the row, its line, and the seeds' numbers and its placebo's, read without qkdlib."""
    raw = {name: seeds.sort_values("seed") for name, seeds in per_seed(whole).groupby("name")}
    asked = dict(zip(frames, (paper.rows(1), paper.rows(2), paper.described_rows()), strict=True))
    return {
        name: [
            (row, line, raw[row.experiment.name], raw[row.experiment.placebo().name])
            for row, line in zip(asked[name], frame.to_dict("records"), strict=True)
            if row.category != "Teacher"
        ]
        for name, frame in frames.items()
    }


@pytest.fixture(scope="module")
def pairs(by_table):
    """The students of all three tables."""
    return list(itertools.chain.from_iterable(by_table.values()))


# Verdicts


@pytest.mark.parametrize(
    ("published", "verdict"),
    [
        (96.0, REPRODUCED), (95.0, REPRODUCED), (97.0, REPRODUCED),  # the ends of the interval count
        (94.9, NOISE), (97.1, NOISE), (90.0, NOISE), (99.0, NOISE),  # the worst and best seed count
        (89.9, NOT_REPRODUCED), (99.1, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_student_verdict(published, verdict):
    assert student_verdict(published, low=95.0, high=97.0, worst=90.0, best=99.0) == verdict


@pytest.mark.parametrize(
    ("published", "verdict"),
    [
        (21.0, REPRODUCED), (22.0, REPRODUCED), (23.0, REPRODUCED),
        (20.6, REPRODUCED), (23.4, REPRODUCED),  # as well as it could be read off the figure
        (20.5, NOISE), (23.5, NOISE), (15.0, NOISE), (30.0, NOISE),  # among the seeds, whose ends are exact
        (14.9, NOT_REPRODUCED), (30.1, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_error_verdict(published, verdict):
    assert error_verdict(published, 0.4, low=21.0, high=23.0, best=15.0, worst=30.0) == verdict


@pytest.mark.parametrize(
    ("claimed", "low", "high", "p", "verdict"),
    [
        (1.33, 0.01, 1.0, 0.049, REPRODUCED),
        (1.33, 0.01, 1.0, 0.05, NOISE),  # p has to be below the level
        (1.33, 0.01, 1.0, 1.0, NOISE),
        (1.33, 0.0, 1.0, 0.0, NOISE), (1.33, -1.0, 1.0, 0.0, NOISE), (1.33, -1.0, 0.0, 0.0, NOISE),
        (1.33, 0.0, 0.0, 1.0, NOISE),
        (1.33, -1.0, -0.01, 1.0, NOT_REPRODUCED), (1.33, -1.0, -0.01, 0.0, NOT_REPRODUCED),
        # where the paper prints no gain, none has to be found
        (0.0, -1.0, 1.0, 0.9, REPRODUCED), (0.0, 0.0, 1.0, 0.0, REPRODUCED), (0.0, -1.0, 0.0, 0.0, REPRODUCED),
        (0.0, 0.01, 1.0, 0.9, NOT_REPRODUCED), (0.0, -1.0, -0.01, 0.9, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_gain_verdict(claimed, low, high, p, verdict):
    assert gain_verdict(claimed, low, high, p) == verdict


@pytest.mark.parametrize("claimed", [0.0, 1.33])
@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (math.nan, 1.0), (0.0, math.nan)])
def test_an_interval_that_is_none_is_refused(claimed, low, high):
    with pytest.raises(ValueError, match="the lower one first"):
        gain_verdict(claimed, low, high, 0.01)


@pytest.mark.parametrize(
    ("kind", "low", "high", "verdict"),
    [
        ("gain", 0.01, 1.0, REPRODUCED), ("gain", 0.0, 1.0, NOISE), ("gain", -1.0, 0.0, NOISE),
        ("gain", 0.0, 0.0, NOISE), ("gain", -1.0, -0.01, NOT_REPRODUCED),
        ("no_difference", -1.0, 1.0, REPRODUCED), ("no_difference", 0.0, 1.0, REPRODUCED),
        ("no_difference", -1.0, 0.0, REPRODUCED), ("no_difference", 0.01, 1.0, NOT_REPRODUCED),
        ("no_difference", -1.0, -0.01, NOT_REPRODUCED),
        ("no_loss", -1.0, 0.0, REPRODUCED), ("no_loss", 0.5, 1.0, REPRODUCED), ("no_loss", -1.0, -0.01, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_difference_verdict(kind, low, high, verdict):
    assert difference_verdict(kind, low, high) == verdict


@pytest.mark.parametrize(
    ("found", "verdict"), [(18, REPRODUCED), (17, IN_PART), (1, IN_PART), (0, NOT_REPRODUCED)]
)  # fmt: skip
def test_count_verdict(found, verdict):
    assert count_verdict(found, 18) == verdict


@pytest.mark.parametrize(
    ("published", "ours", "verdict"),
    [
        (99.5, 99.5, REPRODUCED), (99.5, 98.5, REPRODUCED), (98.5, 99.5, REPRODUCED), (99.5, 98.49, NOT_REPRODUCED),
        (98.5, 99.51, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_teacher_verdict(published, ours, verdict):
    assert teacher_verdict(published, ours) == verdict


@given(st.sampled_from([0.0, 0.5, 18.44]), st.tuples(PERCENT, PERCENT), st.floats(0, 1))
def test_every_gain_gets_one_of_three_verdicts(claimed, ends, p):
    low, high = sorted(ends)
    verdict = gain_verdict(claimed, low, high, p)
    assert verdict in BETTER
    # A claim of no gain is never a matter of noise, and a gain is only found in an interval above 0.
    assert claimed or verdict != NOISE
    assert not claimed or (verdict == REPRODUCED) == (low > 0 and p < 0.05)


@given(st.tuples(PERCENT, PERCENT), st.floats(0, 1), st.floats(0, 50), st.floats(0, 1))
def test_a_larger_or_surer_gain_has_no_worse_verdict(ends, p, more, share):
    low, high = sorted(ends)
    before = BETTER.index(gain_verdict(1.0, low, high, p))
    assert BETTER.index(gain_verdict(1.0, low + more, high + more, p)) >= before
    assert BETTER.index(gain_verdict(1.0, low, high, p * share)) >= before
    difference = BETTER.index(difference_verdict("gain", low, high))
    assert difference >= before  # the same rule without a p value
    assert BETTER.index(difference_verdict("gain", low + more, high + more)) >= difference


@given(PERCENT, st.lists(PERCENT, min_size=4, max_size=4), st.floats(0, 50))
def test_a_wider_spread_has_no_worse_verdict_on_a_student(published, ends, more):
    worst, low, high, best = sorted(ends)
    error = error_verdict(published, 0.0, low, high, worst, best)  # for errors the best is the smallest
    assert error == student_verdict(published, low, high, worst, best)
    assert BETTER.index(error_verdict(published, more, low, high, worst, best)) >= BETTER.index(error)
    before = BETTER.index(student_verdict(published, low, high, worst, best))
    assert BETTER.index(student_verdict(published, low - more, high + more, worst - more, best + more)) >= before
    assert BETTER.index(student_verdict(published, low, high, worst - more, best + more)) >= before


@given(PERCENT, PERCENT, st.floats(0, 1))
def test_a_nearer_teacher_has_no_worse_verdict(published, ours, share):
    far, near = teacher_verdict(published, ours), teacher_verdict(published, published + share * (ours - published))
    assert BETTER.index(near) >= BETTER.index(far)


def test_the_rule_names_every_verdict_of_a_row():
    for verdict in (REPRODUCED, NOISE, NOT_REPRODUCED, NOTHING_DISTILLED, MISSING):
        assert f"`{verdict}`" in RULE
    assert "below 0.05" in RULE and "within 1 point" in RULE


# Rows and columns of the paper's tables


def test_columns_begin_with_those_that_a_reader_is_promised(frames):
    for frame in frames.values():
        assert list(frame.columns)[: len(FIRST_COLUMNS)] == FIRST_COLUMNS
        assert not frame.columns.duplicated().any()


def test_every_row_is_there_in_the_papers_order(frames):
    assert [len(frame) for frame in frames.values()] == [18 + 1, 18 + 5, 12]
    for frame, number in ((frames["table_1"], 1), (frames["table_2"], 2)):
        ran = frame[frame.run == "as run"]
        assert ran.id.tolist() == [row.id for row in paper.all_rows() if row.table == number]
        assert ran.paper_accuracy.tolist() == [row.paper_accuracy for row in paper.all_rows() if row.table == number]
    assert not any((frame.verdict == MISSING).any() for frame in frames.values())


def test_without_records_every_row_is_there_and_missing(workspace):
    rows = runs.declared_rows()
    frame = tables.paper_table(rows, workspace)
    assert frame.id.tolist() == [row.id for row in rows]
    assert len(frame) == 36 + 6 + 12
    assert set(frame.verdict) == {MISSING}
    assert frame.paper_accuracy.tolist() == [row.paper_accuracy for row in rows]
    assert frame[["seeds", "mean_last", "delta_mean", "p_holm", "over_direct_mean"]].isna().all(axis=None)


def test_a_row_without_its_record_is_missing_beside_others(filled):
    (filled.students / f"{STUDENT.experiment.name}.json").unlink()
    frame = tables.paper_table(ROWS, filled)
    assert len(frame) == 3
    assert frame.verdict.tolist() == [MISSING, REPRODUCED, MISSING]  # the distilled row lacks its placebo
    assert frame.note.tolist()[2] == "its placebo is missing"
    assert frame.mean_last.isna().tolist() == [True, False, False]


def test_what_is_taken_away_is_missing_and_nothing_else(tmp_path):
    """A distilled record, a placebo of no row's own, and a teacher's file."""
    workspace = Workspace(tmp_path)
    fill(workspace, parts=("v1",))
    save_teachers(workspace)
    gone, odd, teacher = (paper.row(name) for name in ("F-D-ens-3q-05", "F-D-alex-3q-07", "F-T-lenet-07"))
    for experiment in (gone.experiment, odd.experiment.placebo()):
        (workspace.students / f"{experiment.name}.json").unlink()
    (workspace.teachers / f"{teacher_name(teacher.experiment, teacher.experiment.teacher)}.npz").unlink()
    frame = tables.paper_table(paper.rows(2), workspace)
    missing = frame[frame.verdict == MISSING]
    assert len(frame) == 23
    # In the paper's order; F-D-alex-3q-07 as meant has another placebo, with 3000 shots.
    assert list(zip(missing.id, missing.run, strict=True)) == [
        ("F-T-lenet-07", "as run"), ("F-D-alex-3q-07", "as run"), ("F-D-ens-3q-05", "as run"),
    ]  # fmt: skip
    assert missing.mean_last.notna().tolist() == [False, True, False]
    # Holm corrects for the tests that there are: seven as run and three as meant, less two
    assert frame.p_holm.notna().sum() == frame.p_wilcoxon.notna().sum() == 7 + 3 - 2
    tested = frame[frame.p_wilcoxon.notna()]
    assert tested.p_holm.tolist() == pytest.approx(holm(tested.p_wilcoxon.tolist()))


def test_a_record_that_lacks_seeds_is_missing(workspace):
    record(STUDENT.experiment, lasts(0.95, seeds=19)).save(workspace)
    assert records.complete(STUDENT.experiment, workspace) is None
    assert tables.paper_table([STUDENT], workspace).verdict.tolist() == [MISSING]
    asked = dataclasses.replace(STUDENT.experiment, seeds=19)
    assert len(records.complete(asked, workspace).seeds) == 19


# Their numbers, against pandas and scipy on the seeds' raw numbers


def test_the_numbers_of_every_student(pairs):
    assert len(pairs) == (12 + 1) + (12 + 5) + 12
    for row, line, seeds, _ in pairs:
        assert line["seeds"] == len(seeds) == 20, row.label
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
        for name, low, high in (("last", "ci_low", "ci_high"), ("best", "best_test_ci_low", "best_test_ci_high")):
            drawn = scipy.stats.bootstrap((seeds[name],), np.mean, rng=np.random.default_rng(7)).confidence_interval
            assert (line[low], line[high]) == pytest.approx(drawn, abs=0.1 * seeds[name].std())
    assert 0.1 < np.mean([line["collapsed_share"] for _, line, _, _ in pairs]) < 0.5


def test_the_verdict_of_every_direct_student(pairs):
    for row, line, seeds, _ in pairs:
        if row.category == "Student":
            inside = line["best_test_ci_low"] <= row.paper_accuracy <= line["best_test_ci_high"]
            among = seeds["best"].min() <= row.paper_accuracy <= seeds["best"].max()
            assert line["verdict"] == (REPRODUCED if inside else NOISE if among else NOT_REPRODUCED)
            assert math.isnan(line["delta_mean"]) and math.isnan(line["p_wilcoxon"])


def test_the_gain_of_every_distilled_student(pairs):
    tested = [pair for pair in pairs if pair[0].distils]
    assert len(tested) == 15 + 4 + 6
    for row, line, seeds, placebo in tested:
        gain = seeds["last"].values - placebo["last"].values
        assert line["delta_mean"] == pytest.approx(gain.mean())
        drawn = scipy.stats.bootstrap((gain,), np.mean, rng=np.random.default_rng(7)).confidence_interval
        assert (line["delta_ci_low"], line["delta_ci_high"]) == pytest.approx(drawn, abs=0.1 * gain.std())
        assert line["p_wilcoxon"] == pytest.approx(scipy.stats.wilcoxon(gain.round(2)).pvalue)  # as ties
        unpaired = [a - b for a, b in itertools.product(seeds["last"], placebo["last"])]
        of_one_seed = [a - b for a, b in zip(seeds["last"], placebo["last"], strict=True)]
        as_large = [sum(value >= row.paper_delta - 1e-3 for value in some) for some in (unpaired, of_one_seed)]
        assert line["chance_single_pair"] == pytest.approx((as_large[0] - as_large[1]) / (20 * 19))


@pytest.mark.parametrize(("name", "tests"), [("table_1", 8 + 1), ("table_2", 7 + 3), ("described", 6)])
def test_p_after_holms_correction_over_the_table(frames, by_table, name, tests):
    tested = [(line, seeds, placebo) for row, line, seeds, placebo in by_table[name] if row.distils]
    gains = [(seeds["last"].values - placebo["last"].values).round(2) for _, seeds, placebo in tested]
    expected = holm([scipy.stats.wilcoxon(gain).pvalue for gain in gains])
    found = [line["p_holm"] for line, *_ in tested]
    assert len(found) == tests == frames[name].p_holm.notna().sum()
    assert found == pytest.approx(expected)
    assert max(found) > min(found)


def test_rows_that_distil_nothing(pairs):
    nothing = [pair for pair in pairs if pair[0].category == "Distillation" and not pair[0].distils]
    assert [row.id for row, *_ in nothing] == ["M-D-lenet-4q-07", "F-D-lenet-3q-07", "F-D-lenet-4q-07"]
    for row, line, seeds, placebo in nothing:
        assert seeds.equals(placebo)
        assert (line["verdict"], line["run"]) == (NOTHING_DISTILLED, "as run")
        assert line["delta_mean"] == 0
        assert all(math.isnan(line[name]) for name in ("delta_ci_low", "p_wilcoxon", "p_holm"))
        # Two seeds of one and the same experiment show the paper's gain this often:
        differences = [a - b for (i, a), (j, b) in itertools.product(enumerate(seeds["last"]), repeat=2) if i != j]
        assert line["chance_single_pair"] == pytest.approx(np.mean(np.array(differences) >= row.paper_delta - 1e-3))
    assert not [line for row, line, *_ in pairs if row.distils and line["verdict"] == NOTHING_DISTILLED]


def test_over_direct_is_the_papers_difference_to_the_direct_row_as_run(whole, pairs):
    raw = per_seed(whole)
    direct = raw[raw.teacher.isna() & (raw.selection == "first")]
    for row, line, seeds, placebo in pairs:
        if not row.distils or row.run == "as described":
            assert math.isnan(line["over_direct_mean"]), row.label
            continue
        published = {"shots": {"3q-05": 5000, "3q-07": 3000, "4q-07": 2000}[row.id[-5:]]} | {
            "head": "softmax" if row.dataset == "fashion_mnist" and row.qubits == 3 else "sigmoid_complement",
            "dataset": row.dataset, "classes": len(row.classes), "qubits": row.qubits,
        }  # fmt: skip
        chosen = direct[(direct[list(published)] == pd.Series(published)).all(axis=1)].sort_values("seed")
        assert len(chosen) == 20
        assert line["over_direct_mean"] == pytest.approx((seeds["last"].values - chosen["last"].values).mean())
        assert line["over_direct_ci_low"] < line["over_direct_mean"] < line["over_direct_ci_high"]
        same_placebo = chosen.name.iloc[0] == placebo.name.iloc[0]
        assert same_placebo == (row.id not in FASHION_3_QUBITS)
        if not same_placebo:
            assert line["over_direct_mean"] != pytest.approx(line["delta_mean"])


FASHION_3_QUBITS = {
    "F-D-alex-3q-05", "F-D-lenet-3q-05", "F-D-ens-3q-05", "F-D-alex-3q-07", "F-D-lenet-3q-07", "F-D-ens-3q-07",
}  # fmt: skip


def test_teachers_have_their_verdicts_and_epochs(frames):
    for name in ("table_1", "table_2"):
        teachers = frames[name][frames[name].category == "Teacher"]
        assert len(teachers) == 6
        assert teachers.mean_best_test.tolist() == pytest.approx(teachers.paper_accuracy.tolist())
        assert teachers.mean_last.tolist() == pytest.approx((teachers.paper_accuracy - 0.5).tolist())
        assert set(teachers.verdict) == {REPRODUCED}
        assert set(teachers.note) == {"2 epochs on 100 images"}


def test_notes_say_how_a_notebook_deviates(frames):
    notes = {(line.id, line.run): line.note for frame in frames.values() for line in frame.itertuples()}
    assert notes["F-B-3q-05", "as run"] == "softmax head"
    assert notes["F-B-3q-05", "as meant"] == "without: softmax head"
    assert "multiplies the distillation loss by zero" in notes["F-D-lenet-3q-07", "as run"]
    assert "factor 6" in notes["F-D-alex-3q-07", "as run"]
    assert notes["F-D-ens-3q-07", "as run"] == notes["F-B-3q-05", "as described"] == ""


def test_the_numbers_of_a_student_and_a_distilled_row(filled):
    student, teacher, distilled = tables.paper_table(ROWS, filled).to_dict("records")
    assert student["mean_last"] == pytest.approx(95)
    assert student["ci_low"] < 95 < student["ci_high"]
    assert student["mean_best_test"] == pytest.approx(96)
    assert (student["qasm_seeds"], student["qasm_minus_last"]) == (20, pytest.approx(-2))
    assert (distilled["qasm_seeds"], distilled["qasm_minus_last"]) == (2, pytest.approx(-2))
    assert student["collapsed_share"] == 0
    # Its best epochs are 94.1 to 97.9 with mean 96: the paper's 96.56 is inside the seeds, not the interval's 95.5-96.5
    assert student["verdict"] == NOISE
    assert distilled["delta_mean"] == pytest.approx(1)
    assert 0.9 <= distilled["delta_ci_low"] < 1 < distilled["delta_ci_high"] <= 1.1
    assert distilled["p_holm"] == distilled["p_wilcoxon"] < 1e-4  # 20 gains out of 20, and one test
    assert distilled["over_direct_mean"] == pytest.approx(1)  # its placebo is the direct row
    assert distilled["verdict"] == REPRODUCED
    assert (teacher["mean_last"], teacher["mean_best_test"]) == pytest.approx((99, 99.5))
    assert teacher["verdict"] == REPRODUCED  # 0.5 below the paper's 99.50
    assert teacher["note"] == "3 epochs on 36017 images"


def test_seeds_beyond_those_asked_for_do_not_count(filled):
    """Somebody has run more seeds of the placebo: the row still pairs its own 20."""
    before = tables.paper_table(ROWS, filled)
    more = dataclasses.replace(STUDENT.experiment, seeds=25)
    kept = records.complete(STUDENT.experiment, filled)
    extra = record(more, lasts(0.5, seeds=25)).seeds
    Record(more, {seed: extra[seed] for seed in range(20, 25)}).save(filled)
    assert len(records.complete(more, filled).seeds) == 25
    assert records.complete(STUDENT.experiment, filled).seeds == kept.seeds
    pd.testing.assert_frame_equal(tables.paper_table(ROWS, filled), before)


@pytest.mark.parametrize(
    ("shift", "sway", "verdict"), [(0.01, 0.001, REPRODUCED), (-0.01, 0.001, NOT_REPRODUCED), (0.0, 0.01, NOISE)]
)
def test_a_gain_a_loss_and_a_mixture(workspace, shift, sway, verdict):
    record(STUDENT.experiment, lasts(0.95)).save(workspace)
    gains = [shift + sway * (-1) ** seed for seed in range(20)]
    record(DISTILLED.experiment, np.add(lasts(0.95), gains).tolist()).save(workspace)
    assert tables.paper_table([DISTILLED], workspace).verdict.tolist() == [verdict]


def test_a_row_printed_without_gain_is_reproduced_without_one(workspace):
    row = paper.row("M-D-lenet-3q-07")
    assert row.paper_delta == 0
    record(row.experiment.placebo(), lasts(0.9)).save(workspace)
    for shift, verdict in ((0.0, REPRODUCED), (0.02, NOT_REPRODUCED)):
        gains = [shift + 0.01 * (-1) ** seed for seed in range(20)]
        record(row.experiment, np.add(lasts(0.9), gains).tolist()).save(workspace)
        assert tables.paper_table([row], workspace).verdict.tolist() == [verdict]


def test_the_correction_can_take_a_verdict_back(workspace):
    """15 gains of 20 are no gain any more when there are nine tests to correct for."""
    rows = [row for row in paper.rows(1) if row.category == "Distillation" and row.distils]
    gains = [(seed + 1) / 1000 * (1 if seed % 4 else -1) for seed in range(20)]
    for row in rows:
        record(row.experiment.placebo(), lasts(0.9)).save(workspace)
        record(row.experiment, np.add(lasts(0.9), gains).tolist()).save(workspace)
    p = scipy.stats.wilcoxon(np.round(gains, 3)).pvalue
    assert 0.05 / 9 < p < 0.05
    (alone,) = tables.paper_table(rows[:1], workspace).to_dict("records")
    assert (alone["p_holm"], alone["verdict"]) == (pytest.approx(p), REPRODUCED)
    among = tables.paper_table(rows, workspace)
    assert among.p_holm.tolist() == pytest.approx([min(1, 9 * p)] * 9)
    assert set(among[among.paper_delta > 0].verdict) == {NOISE}


def test_an_ensembles_row_has_a_verdict(workspace):
    """An ensemble of probabilities is put together from two teachers, and was not itself trained on images."""
    ensemble = paper.row("M-T-ens-05")
    save_teacher(workspace, ensemble, [0.997], parameters=123)
    frame = tables.paper_table([ensemble], workspace)
    assert frame.verdict.tolist() == [REPRODUCED]
    assert frame.mean_last.tolist() == pytest.approx([99.7])
    assert frame.note.tolist() == ["mean of the two trained networks' probabilities"]


def test_a_damaged_teacher_file_is_named_and_only_its_row_is_missing(filled):
    whole = tables.paper_table(ROWS, filled).set_index("id").verdict
    path = filled.teachers / f"{teacher_name(TEACHER.experiment, TEACHER.experiment.teacher)}.npz"
    path.write_bytes(b"damaged")
    with pytest.warns(DamagedFile, match=f"{path.name} is damaged"):
        found = tables.paper_table(ROWS, filled).set_index("id").verdict
    assert found[TEACHER.id] == MISSING and found.drop(TEACHER.id).equals(whole.drop(TEACHER.id))
    assert path.read_bytes() == b"damaged"


def test_logits_survive_saving_to_16_bits(tmp_path):
    logits = torch.linspace(-12, 12, 12).reshape(2, 6)
    TeacherLogits(logits, logits[:1], [{"test_accuracy": 0.5}], {"a": 1}).save(tmp_path / "t.npz")
    back = TeacherLogits.load(tmp_path / "t.npz")
    assert torch.allclose(back.train, logits, atol=0.005)
    assert back.train.dtype == torch.float32
    assert (back.history, back.meta) == ([{"test_accuracy": 0.5}], {"a": 1})


# Readable text


def test_readable_text(filled):
    student, teacher, distilled = tables.readable(tables.paper_table(ROWS, filled)).to_dict("records")
    assert student["row"] == "Student MNIST 0-5, 3 qubits"
    assert teacher["row"] == "Teacher LeNet MNIST 0-5"
    assert distilled["row"] == "Distillation LeNet MNIST 0-5, 3 qubits"
    assert student["paper"] == "96.56" and student["recorded"] == "96.56 / 96.56"
    assert student["ours"].startswith("95.00 [94.") and student["ours"].endswith("]")
    assert (student["best test"], student["seeds"], student["collapsed"]) == ("96.00", "20", "0%")
    assert student["paper's gain"] == student["our gain"] == student["p (Holm)"] == student["chance"] == ""
    assert distilled["paper's gain"] == "+1.33"
    assert distilled["our gain"].startswith("+1.00 [+0.9")
    assert distilled["p (Holm)"] == "0.000"
    assert (teacher["ours"], teacher["sd"], teacher["collapsed"], teacher["seeds"]) == ("99.00", "", "", "1")


def test_readable_text_tells_every_row_of_a_table_apart(frames):
    for frame in frames.values():
        shown = tables.readable(frame)
        assert shown.row.is_unique and len(shown) == len(frame)
        assert not shown.map(lambda cell: "nan" in str(cell).lower()).any(axis=None)
    names = set(tables.readable(frames["table_2"]).row)
    assert {"Student FashionMNIST 0-5, 3 qubits", "Student FashionMNIST 0-5, 3 qubits, as meant"} <= names


def test_readable_text_of_missing_rows(workspace):
    shown = tables.readable(tables.paper_table(paper.rows(), workspace))
    assert len(shown) == 42
    assert set(shown.verdict) == {MISSING}
    assert set(shown.ours) == set(shown["our gain"]) == set(shown.sd) == {""}
    assert not shown.map(lambda cell: "nan" in str(cell).lower()).any(axis=None)


def test_a_missing_row_alone_reads_like_one_among_others(workspace):
    (alone,) = tables.readable(tables.paper_table([TEACHER], workspace)).to_dict("records")
    assert (alone["row"], alone["verdict"], alone["ours"]) == ("Teacher LeNet MNIST 0-5", MISSING, "")


@pytest.mark.parametrize("none", [None, math.nan, pd.NA])
def test_what_there_is_no_number_of_is_no_text(none):
    assert tables.text(none, ".2f", "before", "after") == tables.interval(none, none) == ""


def test_numbers_and_intervals_as_text():
    assert tables.text(2.345, "+.1f", ", ", " qubits") == ", +2.3 qubits"
    assert tables.text(7) == "7.00"
    assert tables.interval(-1, 2.5) == " [-1.00, 2.50]"
    assert tables.interval(-1, 2.5, "+", ".1f") == " [-1.0, +2.5]"


# Files


def parsed_markdown(text):
    """Header and rows of the first table in Markdown."""
    lines = [line.strip("| ") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return cells[0], cells[2:]


def parsed_latex(text):
    """Header and rows between booktabs' rules."""
    body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    header, _, rest = body.partition(r"\midrule")
    rows = [[cell.strip() for cell in line.removesuffix(r"\\").split("&")] for line in rest.strip().splitlines()]
    return [cell.strip() for cell in header.strip().removesuffix(r"\\").split("&")], rows


@pytest.mark.parametrize("name", ["table_1", "table_2", "described"])
def test_the_three_files_hold_the_table(frames, tmp_path, name):
    frame = frames[name]
    shown = tables.readable(frame).drop(columns="note")  # whose ends would be lost with the table's lines
    tables.write(frame, tmp_path, name, [tables.UNITS, tables.RUNS, RULE], shown)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.csv", f"{name}.md", f"{name}.tex"]

    back = pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False, na_values=[""])
    assert list(back.columns) == list(frame.columns)
    numbers = frame.columns[frame.map(lambda cell: not isinstance(cell, str)).all()]
    assert {"mean_last", "ci_low", "delta_mean", "p_holm", "chance_single_pair", "best_test_max"} <= set(numbers)
    for column in frame.columns:
        if column in numbers:
            expected = frame[column].astype(float).tolist()
            assert back[column].astype(float).tolist() == pytest.approx(expected, rel=1e-5, abs=1e-12, nan_ok=True)
        else:
            assert back[column].astype(object).fillna("").tolist() == frame[column].fillna("").tolist()

    text = (tmp_path / f"{name}.md").read_text()
    header, rows = parsed_markdown(text)
    assert header == list(shown.columns)
    assert rows == shown.to_numpy().tolist()
    assert text.endswith(f"\n\n{tables.UNITS}\n\n{tables.RUNS}\n\n{RULE}\n")

    text = (tmp_path / f"{name}.tex").read_text()
    header, rows = parsed_latex(text)
    assert header == list(shown.columns)
    assert [[cell.replace(r"\%", "%") for cell in row] for row in rows] == shown.to_numpy().tolist()
    assert "with the same seeds. 'reproduced' if its 95 \\% interval" in text


def test_a_small_p_does_not_become_0_in_the_csv(filled):
    frame = tables.paper_table([DISTILLED], filled)
    tables.write(frame, filled.tables, "table", [])
    back = pd.read_csv(filled.tables / "table.csv")
    # 20 gains out of 20: p is 2 / 2^20 when the gains have no ties, and never 0
    assert 0 < frame.p_wilcoxon[0] == pytest.approx(back.p_wilcoxon[0], rel=1e-5)


def test_latex_has_no_bare_special_characters(workspace):
    frame = pd.DataFrame([{"a_b": "fashion_mnist", "c": "95 %"}])
    tables.write(frame, workspace.tables, "t", ["`mean_last` in %"])
    text = (workspace.tables / "t.tex").read_text()
    for special in "%_":
        assert special in text and special not in text.replace("\\" + special, "")
    assert "`" not in text


def test_without_text_to_show_the_whole_table_is_shown(tmp_path):
    tables.write(pd.DataFrame([{"a": "one", "b": 2.5}]), tmp_path, "t", ["a note"])
    assert parsed_markdown((tmp_path / "t.md").read_text()) == (["a", "b"], [["one", "2.5"]])
    assert parsed_latex((tmp_path / "t.tex").read_text())[0] == ["a", "b"]


def test_a_page_without_markers_stays(tmp_path):
    page = tmp_path / "README.md"
    tables.embed(page, "table_1", "| new |")
    assert not page.exists()
    page.write_text("before\n<!-- begin: table_2 -->\nold\n<!-- end: table_2 -->\n")
    tables.embed(page, "table_1", "| new |")
    assert page.read_text() == "before\n<!-- begin: table_2 -->\nold\n<!-- end: table_2 -->\n"
    tables.embed(page, "table_2", "| new |")
    assert page.read_text() == "before\n<!-- begin: table_2 -->\n| new |\n<!-- end: table_2 -->\n"
