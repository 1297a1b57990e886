"""Rows of v1's tables of a few records: their numbers, verdicts and text, and what of them is missing."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from intervals import by_flips, by_t, near_interval, near_p
from statsmodels.stats.proportion import proportion_confint
from synthetic import holm, record, save_teacher, with_classes

from qkdlib import records
from qkdlib.files import DamagedFile
from qkdlib.records import Record
from qkdlib.study import artefacts, v1
from qkdlib.study.v1 import paper, tables
from qkdlib.study.verdicts import (
    ABOVE,
    CONTRADICTED,
    GAIN,
    HARM,
    INCONCLUSIVE,
    INSIDE,
    MISSING,
    NO,
    NO_GAIN,
    NOT_AS_PUBLISHED,
    REPRODUCED,
    YES,
)
from qkdlib.teachers.teacher_files import TeacherLogits, teacher_name

STUDENT, TEACHER, DISTILLED = (paper.row(name) for name in ("M-B-3q-05", "M-T-lenet-05", "M-D-lenet-3q-05"))
ROWS = [STUDENT, TEACHER, DISTILLED]
SEEDS = paper.SEEDS
VERDICTS = list(tables.VERDICTS)


def lasts(middle, seeds=SEEDS):
    """Evenly from 2 points below to 2 above, with a record's decimals."""
    return np.linspace(middle - 0.02, middle + 0.02, seeds).round(6).tolist()


def swaying(shift, sway, seeds=SEEDS):
    """Gains that take turns."""
    return [shift + sway * (-1) ** seed for seed in range(seeds)]


def taught(workspace, gains):
    """The distilled row of a placebo of 50 % +- 2 and these gains, as the table has it."""
    record(STUDENT.experiment, lasts(0.5)).save(workspace)
    record(DISTILLED.experiment, np.add(lasts(0.5), gains).tolist()).save(workspace)
    return tables.paper_table([DISTILLED], workspace).iloc[0]


@pytest.fixture
def filled(workspace):
    """A workspace with all three rows: student 95 +- 2, distilled 1 point above seed by seed, teacher 99 %."""
    with_classes(record(STUDENT.experiment, lasts(0.95)), lambda seed: seed < 10).save(workspace)
    gained = record(DISTILLED.experiment, np.add(lasts(0.95), swaying(0.01, 0.001)).tolist(), qasm_seeds=2)
    with_classes(gained, lambda seed: seed in (4, SEEDS - 1)).save(workspace)
    save_teacher(workspace, TEACHER, [0.9, 0.995, 0.99], trained_on=36017)
    return workspace


def test_a_row_without_its_record_is_missing_beside_others(filled):
    (filled.students / f"{STUDENT.experiment.name}.json").unlink()
    frame = tables.paper_table(ROWS, filled)
    assert len(frame) == 3
    assert frame.verdict_mean.tolist() == [MISSING, REPRODUCED, REPRODUCED]
    assert frame.verdict_draw.tolist()[::2] == [MISSING, INSIDE] and frame.verdict_gain[0] == MISSING
    # The distilled row lacks its placebo: what is said of its accuracy stands, of its gain nothing is.
    assert frame.verdict_gain[2] == frame.paper_gain_excluded[2] == MISSING
    assert frame.note.tolist()[2] == "its placebo is missing"
    assert frame.mean_last.isna().tolist() == [True, False, False]


def test_a_record_that_lacks_seeds_is_missing(workspace):
    record(STUDENT.experiment, lasts(0.95, seeds=SEEDS - 1)).save(workspace)
    assert records.complete(STUDENT.experiment, workspace) is None
    assert tables.paper_table([STUDENT], workspace)[VERDICTS].values.tolist() == [[MISSING] * 4]
    asked = dataclasses.replace(STUDENT.experiment, seeds=SEEDS - 1)
    assert len(records.complete(asked, workspace).seeds) == SEEDS - 1


def test_the_numbers_of_a_student_and_a_distilled_row(filled):
    student, teacher, distilled = tables.paper_table(ROWS, filled).to_dict("records")
    assert student["mean_last"] == pytest.approx(95)
    assert (student["ci_low"], student["ci_high"]) == near_interval(100 * np.array(lasts(0.95)))
    assert student["mean_best_test"] == pytest.approx(96) and student["interval"] == "t"
    assert (student["qasm_seeds"], student["qasm_minus_last"]) == (SEEDS, pytest.approx(-2))
    assert (distilled["qasm_seeds"], distilled["qasm_minus_last"]) == (2, pytest.approx(-2))
    assert student["collapsed_share"] == 0
    # Its best epochs are 94 to 98 with mean 96: the paper's 96.56 is one of them, nearly two thirds are below.
    assert (student["verdict_draw"], student["verdict_mean"]) == (INSIDE, REPRODUCED)
    assert student["rank"] == np.mean(np.add(lasts(0.95), 0.01) < 0.9656) == pytest.approx(0.64, abs=0.02)
    assert distilled["delta_mean"] == pytest.approx(1)
    assert (distilled["delta_ci_low"], distilled["delta_ci_high"]) == near_interval(swaying(1, 0.1))
    assert distilled["p_holm"] == distilled["p"] < 1e-4  # nothing but gains, and one test
    assert distilled["over_direct_mean"] == pytest.approx(1)  # its placebo is the direct row
    assert (distilled["verdict_gain"], distilled["paper_gain_excluded"]) == (GAIN, YES)  # by 1.00, and not by 1.33
    assert (teacher["mean_last"], teacher["mean_best_test"]) == pytest.approx((99, 99.5))
    assert teacher["verdict_mean"] == REPRODUCED  # 0.5 below the paper's 99.50
    assert teacher["note"] == "3 epochs on 36017 images"


def test_whether_a_seed_trains_and_how_good_it_then_is(filled):
    """Ten placebos lose a class and two distilled students, one of them with its placebo."""
    student, _, distilled = tables.paper_table(ROWS, filled).to_dict("records")
    assert (student["trained_share"], distilled["trained_share"]) == pytest.approx((1 - 10 / SEEDS, 1 - 2 / SEEDS))
    assert student["trained_mean"] == pytest.approx(100 * np.mean(lasts(0.95)[10:]))
    assert student["trained_ci_low"] < 1 - 10 / SEEDS < student["trained_ci_high"]
    assert distilled["placebo_trained_share"] == student["trained_share"] and np.isnan(student["placebo_trained_share"])
    assert distilled["p_trained"] == pytest.approx(2 * (1 + 10) / 2**10)  # of ten that differ one is against
    of_both = swaying(1, 0.1)[10 : SEEDS - 1]
    assert distilled["pairs_trained"] == SEEDS - 11
    assert distilled["trained_delta"] == pytest.approx(np.mean(of_both), abs=1e-6)
    assert (distilled["trained_delta_ci_low"], distilled["trained_delta_ci_high"]) == near_interval(of_both)


def test_records_without_classes_say_nothing_of_them(filled):
    """As earlier versions left them; what the accuracies say stays."""
    before = tables.paper_table(ROWS, filled)
    record(STUDENT.experiment, lasts(0.95)).save(filled)
    after = tables.paper_table(ROWS, filled)
    of_classes = [name for name in after.columns if "train" in name]
    assert len(of_classes) == 10
    assert after.loc[0, of_classes].isna().all() and not before.loc[2, of_classes].isna().any()
    alone = ["placebo_trained_share", "p_trained", "pairs_trained", "trained_delta"]
    assert after.loc[2, alone].isna().all()
    assert after.trained_share[2] == before.trained_share[2] == pytest.approx(1 - 2 / SEEDS)
    rest = [name for name in after.columns if name not in of_classes]
    pd.testing.assert_frame_equal(after[rest], before[rest])


def test_a_single_pair_that_trains_has_no_interval(filled):
    with_classes(record(STUDENT.experiment, lasts(0.95)), lambda seed: seed != 7).save(filled)
    (row,) = tables.paper_table([DISTILLED], filled).to_dict("records")
    assert row["pairs_trained"] == 1 and np.isnan(row["trained_delta"]) and np.isnan(row["trained_delta_ci_low"])
    with_classes(record(STUDENT.experiment, lasts(0.95)), lambda seed: True).save(filled)
    both = tables.paper_table([STUDENT, DISTILLED], filled)
    assert both.trained_share[0] == 0 and np.isnan(both.trained_mean[0]) and both.pairs_trained[1] == 0


def test_seeds_beyond_those_asked_for_do_not_count(filled):
    """Somebody has run more seeds of the placebo: the row still pairs its own."""
    before = tables.paper_table(ROWS, filled)
    more = dataclasses.replace(STUDENT.experiment, seeds=SEEDS + 5)
    kept = records.complete(STUDENT.experiment, filled)
    extra = with_classes(record(more, lasts(0.5, seeds=SEEDS + 5))).seeds
    Record(more, {seed: extra[seed] for seed in range(SEEDS, SEEDS + 5)}).save(filled)
    assert len(records.complete(more, filled).seeds) == SEEDS + 5
    assert records.complete(STUDENT.experiment, filled).seeds == kept.seeds
    pd.testing.assert_frame_equal(tables.paper_table(ROWS, filled), before)


# Verdicts


@pytest.mark.parametrize(
    ("shift", "sway", "verdict", "excluded"),
    [
        (0.01, 0.001, GAIN, YES), (0.0133, 0.001, GAIN, NO), (-0.01, 0.001, HARM, YES), (0.0, 0.01, NO_GAIN, YES),
        (0.0, 0.1, INCONCLUSIVE, NO), (-0.02, 0.3, INCONCLUSIVE, NO), (0.04, 0.05, GAIN, YES),
    ],
)  # fmt: skip
def test_a_gain_a_loss_none_and_a_mixture(workspace, shift, sway, verdict, excluded):
    line = taught(workspace, swaying(shift, sway))
    assert line.delta_mean == pytest.approx(100 * shift)
    assert (line.verdict_gain, line.paper_gain_excluded) == (verdict, excluded)


def test_ignorance_is_not_rewarded(workspace):
    """A row far below the paper's accuracy, whose gain may be anything, was `reproduced` by a rule that asked whether
    the paper's gain lies in the interval."""
    record(STUDENT.experiment, [0.17 if seed % 2 else 0.5 for seed in range(SEEDS)]).save(workspace)
    record(DISTILLED.experiment, [0.98 if seed % 9 < 2 else 0.17 for seed in range(SEEDS)]).save(workspace)
    (row,) = tables.paper_table([DISTILLED], workspace).to_dict("records")
    assert row["mean_last"] < 50 and row["delta_ci_low"] < 0 and row["paper_delta"] < row["delta_ci_high"]
    assert (row["verdict_gain"], row["paper_gain_excluded"], row["verdict_mean"]) == (INCONCLUSIVE, NO, CONTRADICTED)
    assert row["verdict_draw"] == INSIDE  # the paper's run may still be one that trains


def test_a_row_whose_seeds_are_all_worse_is_no_draw_of_ours(workspace):
    record(STUDENT.experiment, lasts(0.9)).save(workspace)
    (row,) = tables.paper_table([STUDENT], workspace).to_dict("records")
    assert (row["verdict_draw"], row["rank"], row["verdict_mean"]) == (ABOVE, 1, CONTRADICTED)


def test_the_best_test_epoch_is_what_the_paper_chose_and_what_is_compared(workspace):
    """869 of 900 right in its best epoch, as printed, and 1 point less after the last."""
    record(STUDENT.experiment, [869 / 900 - 0.01] * SEEDS).save(workspace)
    (row,) = tables.paper_table([STUDENT], workspace).to_dict("records")
    assert (row["verdict_draw"], row["rank"], row["verdict_mean"]) == (INSIDE, 0.5, REPRODUCED)


def test_the_correction_can_take_a_verdict_back(workspace):
    """A gain that is one alone is none any more when there are nine tests to correct for."""
    rows = [row for row in paper.rows(1) if row.category == "Distillation" and row.distils]
    gains = np.array([(seed + 2) / 1000 * (1 if seed % 4 else -1) for seed in range(SEEDS)])
    gains[20:] = 0.0
    for row in rows:
        record(row.experiment.placebo(), lasts(0.9)).save(workspace)
        record(row.experiment, np.add(lasts(0.9), gains)[: row.experiment.seeds].tolist()).save(workspace)
    p = by_flips(100 * gains[:20])
    assert 0.05 / 9 < p < 0.05
    few = [row for row in rows if row.experiment.seeds == paper.FEW]
    (alone,) = tables.paper_table(few[:1], workspace).to_dict("records")
    assert alone["p"] == alone["p_holm"] == near_p(100 * gains[:20])
    among = tables.paper_table(rows, workspace)
    assert among.p_holm.tolist() == pytest.approx(holm(among.p.tolist()))
    assert alone["verdict_gain"] == GAIN and GAIN not in set(among.verdict_gain)


def test_what_is_not_run_as_published_says_what_it_gains_and_nothing_of_the_paper(workspace):
    """AlexNet's rows are trained for fewer epochs, and as meant is not as run."""
    others = [row for row in paper.rows() + paper.described_rows() + paper.drawn_rows() if not row.as_published]
    others = [row for row in others if row.category != "Teacher"]
    most = max(row.experiment.seeds for row in others)
    alone, better = lasts(0.9, most), np.add(lasts(0.9, most), swaying(0.02, 0.001, most)).tolist()
    for row in others:
        seeds = row.experiment.seeds
        record(row.experiment.placebo(), alone[: row.experiment.placebo().seeds]).save(workspace)
        if row.distils:
            record(row.experiment, better[:seeds]).save(workspace)
    frame = tables.paper_table(others, workspace)
    assert len(frame) == 12 + 6 + 12 + 12
    assert set(frame.verdict_draw) == set(frame.verdict_mean) == {NOT_AS_PUBLISHED}
    assert frame["rank"].isna().all()
    gained = frame[frame.category == "Distillation"]
    assert set(gained.verdict_gain) == {GAIN} and set(gained.paper_gain_excluded) == {NOT_AS_PUBLISHED}
    rest = frame[frame.category != "Distillation"]
    assert rest[["verdict_gain", "paper_gain_excluded"]].isna().all(axis=None)


def test_an_ensembles_row_has_its_number_and_no_verdict(workspace):
    """Ours is put together from two teachers, and was not itself trained on images, as the notebooks' is."""
    ensemble = paper.row("M-T-ens-05")
    save_teacher(workspace, ensemble, [0.997], parameters=123)
    frame = tables.paper_table([ensemble], workspace)
    assert frame.verdict_mean.tolist() == [NOT_AS_PUBLISHED]
    assert frame.mean_last.tolist() == pytest.approx([99.7])
    assert frame.note.tolist() == ["mean of the two trained networks' probabilities"]


def test_a_damaged_teacher_file_is_named_and_only_its_row_is_missing(filled):
    whole = tables.paper_table(ROWS, filled).set_index("id")[VERDICTS]
    path = filled.teachers / f"{teacher_name(TEACHER.experiment, TEACHER.experiment.teacher)}.npz"
    path.write_bytes(b"damaged")
    with pytest.warns(DamagedFile, match=f"{path.name} is damaged"):
        found = tables.paper_table(ROWS, filled).set_index("id")[VERDICTS]
    assert set(found.loc[TEACHER.id]) == {MISSING} and found.drop(TEACHER.id).equals(whole.drop(TEACHER.id))
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
    frame = tables.paper_table(ROWS, filled)
    student, teacher, distilled = tables.readable(frame).to_dict("records")
    assert student["row"] == "Student MNIST 0-5, 3 qubits"
    assert teacher["row"] == "Teacher LeNet MNIST 0-5"
    assert distilled["row"] == "Distillation LeNet MNIST 0-5, 3 qubits"
    assert student["paper"] == "96.56" and student["recorded"] == "96.56 / 96.56"
    assert student["ours"].startswith("95.00 [94.") and student["ours"].endswith("]")
    assert (student["best test"], student["seeds"], student["collapsed"]) == ("96.00", str(SEEDS), "0%")
    low, high = proportion_confint(SEEDS - 10, SEEDS, method="wilson")
    assert student["trains"] == f"{1 - 10 / SEEDS:.0%} [{low:.0%}, {high:.0%}]"
    assert student["paper's gain"] == student["our gain"] == student["p (Holm)"] == student["chance"] == ""
    assert student["gain"] == student["paper's gain excluded"] == student["of pairs that train"] == ""
    assert (student["draw"], student["mean"]) == (f"inside, rank {frame['rank'][0]:.2f}", "reproduced")
    assert distilled["paper's gain"] == "+1.33"
    low, high = by_t(swaying(1, 0.1))
    assert distilled["our gain"] == f"+1.00 [{low:+.2f}, {high:+.2f}]"
    of_both = frame.loc[2, ["trained_delta", "trained_delta_ci_low", "trained_delta_ci_high"]]
    assert distilled["of pairs that train"] == "{:+.2f} [{:+.2f}, {:+.2f}] ({})".format(*of_both, SEEDS - 11)
    assert distilled["p (Holm)"] == "0.000"
    assert (distilled["gain"], distilled["paper's gain excluded"]) == ("gain", "yes")
    assert (teacher["mean"], teacher["draw"], teacher["trains"]) == ("reproduced", "", "")
    assert (teacher["ours"], teacher["sd"], teacher["collapsed"], teacher["seeds"]) == ("99.00", "", "", "1")


def test_readable_text_of_missing_rows(workspace):
    shown = tables.readable(tables.paper_table(paper.rows(), workspace))
    assert len(shown) == 42
    assert set(shown["mean"]) == set(shown["draw"]) == set(shown["gain"]) == {MISSING}
    assert set(shown.ours) == set(shown["our gain"]) == set(shown.sd) == {""}
    assert not shown.map(lambda cell: "nan" in str(cell).lower()).any(axis=None)


def test_a_missing_row_alone_reads_like_one_among_others(workspace):
    (alone,) = tables.readable(tables.paper_table([TEACHER], workspace)).to_dict("records")
    assert (alone["row"], alone["mean"], alone["ours"]) == ("Teacher LeNet MNIST 0-5", MISSING, "")


# Files and records


def test_a_small_p_does_not_become_0_in_the_csv(filled):
    frame = tables.paper_table([DISTILLED], filled)
    artefacts.write(frame, filled.tables, "table", [])
    back = pd.read_csv(filled.tables / "table.csv")
    # Nothing but gains: p is that of 20,000 flips and what was seen, and never 0
    assert 0 < frame.p[0] == pytest.approx(back.p[0], rel=1e-5)


def test_students_and_pairs_are_those_whose_records_are_there(filled):
    """By the label of their row; a pair needs both of its records, and nothing distilled is no pair."""
    assert v1.students("fashion_mnist", filled) == v1.pairs("fashion_mnist", filled) == {}
    record(paper.row("M-B-3q-07").experiment, lasts(0.9, seeds=SEEDS - 1)).save(filled)  # lacks a seed
    record(paper.row("M-D-lenet-3q-07").experiment, lasts(0.9)).save(filled)
    record(paper.row("M-D-lenet-4q-07").experiment, lasts(0.9)).save(filled)  # distils nothing: the direct student
    students, pairs = v1.students("mnist", filled), v1.pairs("mnist", filled)
    assert list(students) == ["MNIST 0-5, 3 qubits, direct", "MNIST 0-7, 4 qubits, direct"]
    assert students[STUDENT.label].experiment == STUDENT.experiment
    assert list(pairs) == [DISTILLED.label] == ["MNIST 0-5, 3 qubits, from LeNet"]
    placebo, taught = pairs[DISTILLED.label]
    assert (placebo.experiment, taught.experiment) == (STUDENT.experiment, DISTILLED.experiment)
    (filled.students / f"{STUDENT.experiment.name}.json").unlink()
    assert v1.pairs("mnist", filled) == {} and list(v1.students("mnist", filled)) == ["MNIST 0-7, 4 qubits, direct"]
