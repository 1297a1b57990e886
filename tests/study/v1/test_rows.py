"""Rows of v1's tables of a few records: their numbers, verdicts and text, and what of them is missing."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from synthetic import record, save_teacher

from qkdlib import records
from qkdlib.files import DamagedFile
from qkdlib.records import Record
from qkdlib.study import artefacts, v1
from qkdlib.study.v1 import paper, tables
from qkdlib.study.verdicts import MISSING, NOISE, NOT_REPRODUCED, REPRODUCED
from qkdlib.teachers.teacher_files import TeacherLogits, teacher_name

STUDENT, TEACHER, DISTILLED = (paper.row(name) for name in ("M-B-3q-05", "M-T-lenet-05", "M-D-lenet-3q-05"))
ROWS = [STUDENT, TEACHER, DISTILLED]


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


def test_a_row_without_its_record_is_missing_beside_others(filled):
    (filled.students / f"{STUDENT.experiment.name}.json").unlink()
    frame = tables.paper_table(ROWS, filled)
    assert len(frame) == 3
    assert frame.verdict.tolist() == [MISSING, REPRODUCED, MISSING]  # the distilled row lacks its placebo
    assert frame.note.tolist()[2] == "its placebo is missing"
    assert frame.mean_last.isna().tolist() == [True, False, False]


def test_a_record_that_lacks_seeds_is_missing(workspace):
    record(STUDENT.experiment, lasts(0.95, seeds=19)).save(workspace)
    assert records.complete(STUDENT.experiment, workspace) is None
    assert tables.paper_table([STUDENT], workspace).verdict.tolist() == [MISSING]
    asked = dataclasses.replace(STUDENT.experiment, seeds=19)
    assert len(records.complete(asked, workspace).seeds) == 19


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
    assert distilled["p_holm"] == distilled["p"] < 1e-4  # 20 gains out of 20, and one test
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


def test_readable_text_of_missing_rows(workspace):
    shown = tables.readable(tables.paper_table(paper.rows(), workspace))
    assert len(shown) == 42
    assert set(shown.verdict) == {MISSING}
    assert set(shown.ours) == set(shown["our gain"]) == set(shown.sd) == {""}
    assert not shown.map(lambda cell: "nan" in str(cell).lower()).any(axis=None)


def test_a_missing_row_alone_reads_like_one_among_others(workspace):
    (alone,) = tables.readable(tables.paper_table([TEACHER], workspace)).to_dict("records")
    assert (alone["row"], alone["verdict"], alone["ours"]) == ("Teacher LeNet MNIST 0-5", MISSING, "")


# Files and records


def test_a_small_p_does_not_become_0_in_the_csv(filled):
    frame = tables.paper_table([DISTILLED], filled)
    artefacts.write(frame, filled.tables, "table", [])
    back = pd.read_csv(filled.tables / "table.csv")
    # 20 gains out of 20: p is 2 / 2^20 when the gains have no ties, and never 0
    assert 0 < frame.p[0] == pytest.approx(back.p[0], rel=1e-5)


def test_students_and_pairs_are_those_whose_records_are_there(filled):
    """By the label of their row; a pair needs both of its records, and nothing distilled is no pair."""
    assert v1.students("fashion_mnist", filled) == v1.pairs("fashion_mnist", filled) == {}
    record(paper.row("M-B-3q-07").experiment, lasts(0.9, seeds=19)).save(filled)  # lacks a seed
    record(paper.row("M-D-alex-3q-07").experiment, lasts(0.9)).save(filled)
    record(paper.row("M-D-lenet-4q-07").experiment, lasts(0.9)).save(filled)  # distils nothing: the direct student
    students, pairs = v1.students("mnist", filled), v1.pairs("mnist", filled)
    assert list(students) == ["MNIST 0-5, 3 qubits, direct", "MNIST 0-7, 4 qubits, direct"]
    assert students[STUDENT.label].experiment == STUDENT.experiment
    assert list(pairs) == [DISTILLED.label] == ["MNIST 0-5, 3 qubits, from LeNet"]
    placebo, taught = pairs[DISTILLED.label]
    assert (placebo.experiment, taught.experiment) == (STUDENT.experiment, DISTILLED.experiment)
    (filled.students / f"{STUDENT.experiment.name}.json").unlink()
    assert v1.pairs("mnist", filled) == {} and list(v1.students("mnist", filled)) == ["MNIST 0-7, 4 qubits, direct"]
