"""Verdicts at their borders, and tables of made-up records: every row, every file, parsed back."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch

from qkdlib import artefacts, paper, statistics, tables
from qkdlib.records import Record
from qkdlib.teacher_files import TeacherLogits, teacher_name
from qkdlib.verdicts import (
    MISSING,
    NOISE,
    NOT_REPRODUCED,
    REPRODUCED,
    RULE,
    gain_verdict,
    student_verdict,
    teacher_verdict,
)
from qkdlib.workspace import Workspace

STUDENT, TEACHER, DISTILLED = (paper.row(name) for name in ("M-B-3q-05", "M-T-lenet-05", "M-D-lenet-3q-05"))
ROWS = [STUDENT, TEACHER, DISTILLED]


def made_up(experiment, lasts):
    """A record whose test accuracy after the last epoch, from 0 to 1, is `lasts`, and 0.01 more in the epoch before."""
    epochs = experiment.epochs
    return Record(
        experiment,
        {
            seed: {
                "validation_accuracy": [0.5] * epochs, "validation_ce": [1.0] * epochs,
                "test_accuracy": [0.1] * (epochs - 2) + [last + 0.01, last], "qasm_accuracy": last - 0.02,
            }
            for seed, last in enumerate(lasts)
        },
    )  # fmt: skip


def lasts(middle, seeds=20, step=0.002):
    return [middle + step * (seed - (seeds - 1) / 2) for seed in range(seeds)]


def save_teacher(workspace, row, accuracies, **meta):
    history = [{"test_accuracy": value} for value in accuracies]
    path = workspace.teachers / f"{teacher_name(row.experiment, row.experiment.teacher)}.npz"
    TeacherLogits(torch.zeros(2, 6), torch.zeros(3, 6), history, meta).save(path)
    return path


@pytest.fixture
def filled(tmp_path):
    """A workspace with all three rows: student 95 +- 2, distilled 1 point above seed by seed, teacher 99 %."""
    workspace = Workspace(tmp_path)
    made_up(STUDENT.experiment, lasts(0.95)).save(workspace)
    gains = [0.01 + 0.001 * (-1) ** seed for seed in range(20)]
    made_up(DISTILLED.experiment, np.add(lasts(0.95), gains).tolist()).save(workspace)
    save_teacher(workspace, TEACHER, [0.9, 0.995, 0.99], trained_on=36017)
    return workspace


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
    ("low", "high", "verdict"),
    [
        (0.01, 1.0, REPRODUCED), (0.0, 1.0, NOISE), (-1.0, 1.0, NOISE), (-1.0, 0.0, NOISE), (0.0, 0.0, NOISE),
        (-1.0, -0.01, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_gain_verdict(low, high, verdict):
    assert gain_verdict(low, high) == verdict


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (math.nan, 1.0), (0.0, math.nan)])
def test_an_interval_that_is_none_is_refused(low, high):
    with pytest.raises(ValueError, match="the lower one first"):
        gain_verdict(low, high)


@pytest.mark.parametrize(
    ("published", "ours", "verdict"),
    [
        (99.5, 99.5, REPRODUCED), (99.5, 98.5, REPRODUCED), (98.5, 99.5, REPRODUCED), (99.5, 98.49, NOT_REPRODUCED),
        (98.5, 99.51, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_teacher_verdict(published, ours, verdict):
    assert teacher_verdict(published, ours) == verdict


def test_the_rule_names_every_verdict():
    for verdict in (REPRODUCED, NOISE, NOT_REPRODUCED, MISSING):
        assert f"`{verdict}`" in RULE


# The paper's table


def test_without_records_every_row_is_there_and_missing(tmp_path):
    frame = tables.paper_table(list(paper.all_rows()), Workspace(tmp_path))
    assert tuple(frame.columns) == tables.COLUMNS
    assert len(frame) == 36
    assert set(frame.verdict) == {MISSING}
    assert frame.paper_accuracy.tolist() == [row.paper_accuracy for row in paper.all_rows()]
    assert frame.mean_last.isna().all()


def test_a_row_without_its_record_is_missing_beside_others(filled):
    (filled.students / f"{STUDENT.experiment.name}.json").unlink()
    frame = tables.paper_table(ROWS, filled)
    assert len(frame) == 3
    assert frame.verdict.tolist() == [MISSING, REPRODUCED, MISSING]  # the distilled row lacks its placebo
    assert frame.note.tolist()[2] == "its placebo has no record"
    assert frame.mean_last.isna().tolist() == [True, False, False]


def test_a_record_that_lacks_seeds_is_missing(tmp_path):
    workspace = Workspace(tmp_path)
    made_up(STUDENT.experiment, lasts(0.95, seeds=19)).save(workspace)
    assert tables.complete(STUDENT.experiment, workspace) is None
    assert tables.paper_table([STUDENT], workspace).verdict.tolist() == [MISSING]
    asked = dataclasses.replace(STUDENT.experiment, seeds=19)
    assert len(tables.complete(asked, workspace).seeds) == 19


def test_the_numbers_of_a_student_and_a_distilled_row(filled):
    student, teacher, distilled = tables.paper_table(ROWS, filled).to_dict("records")
    values = 100 * np.array(lasts(0.95))
    assert student["seeds"] == 20
    assert student["mean_last"] == pytest.approx(95)
    assert student["sd_last"] == pytest.approx(values.std(ddof=1))
    assert student["ci_low"] < 95 < student["ci_high"]
    assert student["mean_best_test"] == pytest.approx(96)
    assert student["mean_qasm"] == pytest.approx(93)
    assert student["mean_selected"] == pytest.approx(10)  # equal validation accuracy: the first epoch
    assert student["collapsed_share"] == 0
    # Its best epochs are 94.1 to 97.9 with mean 96: the paper's 96.56 is inside the seeds, not the interval's 95.5-96.5
    assert student["verdict"] == NOISE
    assert distilled["delta_mean"] == pytest.approx(1)
    assert 0.9 <= distilled["delta_ci_low"] < 1 < distilled["delta_ci_high"] <= 1.1
    assert distilled["p_wilcoxon"] < 1e-4  # 20 gains out of 20
    assert distilled["verdict"] == REPRODUCED
    assert (teacher["mean_last"], teacher["mean_best_test"]) == pytest.approx((99, 99.5))
    assert teacher["verdict"] == REPRODUCED  # 0.5 below the paper's 99.50
    assert teacher["note"] == "3 epochs on 36017 images"


def test_the_chance_of_the_papers_gain_in_single_pairs(filled):
    distilled = tables.paper_table([DISTILLED], filled).iloc[0]
    records = [tables.complete(e, filled) for e in (DISTILLED.experiment, STUDENT.experiment)]
    ours, placebo = (statistics.accuracies(record) for record in records)
    pairs = [a - b >= 1.33 for a in ours for b in placebo]
    assert distilled.chance_single_pair == pytest.approx(np.mean(pairs))


def test_seeds_beyond_those_asked_for_do_not_count(filled):
    """Somebody has run more seeds of the placebo: the row still pairs its own 20."""
    before = tables.paper_table(ROWS, filled)
    more = dataclasses.replace(STUDENT.experiment, seeds=25)
    record = tables.complete(STUDENT.experiment, filled)
    extra = made_up(more, lasts(0.5, seeds=25)).seeds
    Record(more, {seed: extra[seed] for seed in range(20, 25)}).save(filled)
    assert len(tables.complete(more, filled).seeds) == 25
    assert tables.complete(STUDENT.experiment, filled).seeds == record.seeds
    pd.testing.assert_frame_equal(tables.paper_table(ROWS, filled), before)


def test_a_loss_is_not_reproduced_and_a_mixture_is_noise(tmp_path):
    workspace = Workspace(tmp_path)
    made_up(STUDENT.experiment, lasts(0.95)).save(workspace)
    for shift, sway, verdict in ((-0.01, 0.001, NOT_REPRODUCED), (0.0, 0.01, NOISE)):
        gains = [shift + sway * (-1) ** seed for seed in range(20)]
        made_up(DISTILLED.experiment, np.add(lasts(0.95), gains).tolist()).save(workspace)
        assert tables.paper_table([DISTILLED], workspace).verdict.tolist() == [verdict]


def test_an_ensembles_row_has_a_verdict(tmp_path):
    """An ensemble of probabilities is put together from two teachers, and was not itself trained on images."""
    workspace = Workspace(tmp_path)
    ensemble = paper.row("M-T-ens-05")
    save_teacher(workspace, ensemble, [0.997], parameters=123)
    frame = tables.paper_table([ensemble], workspace)
    assert frame.verdict.tolist() == [REPRODUCED]
    assert frame.mean_last.tolist() == pytest.approx([99.7])


def test_a_damaged_teacher_file_is_named(filled):
    path = filled.teachers / f"{teacher_name(TEACHER.experiment, TEACHER.experiment.teacher)}.npz"
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match=f"{path.name} is not a teacher's file"):
        tables.paper_table(ROWS, filled)


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
    assert (student["QASM"], student["seeds"], student["collapsed"]) == ("93.00", "20", "0%")
    assert student["paper's gain"] == student["our gain"] == ""
    assert distilled["paper's gain"] == "+1.33"
    assert distilled["our gain"].startswith("+1.00 [+0.9")
    assert (teacher["ours"], teacher["sd"], teacher["QASM"], teacher["seeds"]) == ("99.00", "", "", "1")


def test_readable_text_of_missing_rows(tmp_path):
    shown = tables.readable(tables.paper_table(list(paper.all_rows()), Workspace(tmp_path)))
    assert len(shown) == 36
    assert set(shown.verdict) == {MISSING}
    assert set(shown.ours) == set(shown["our gain"]) == set(shown.sd) == {""}
    assert not shown.map(lambda cell: "nan" in str(cell).lower()).any(axis=None)


def test_a_missing_row_alone_reads_like_one_among_others(tmp_path):
    (alone,) = tables.readable(tables.paper_table([TEACHER], Workspace(tmp_path))).to_dict("records")
    assert (alone["row"], alone["verdict"], alone["ours"]) == ("Teacher LeNet MNIST 0-5", MISSING, "")


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


def test_the_three_files_hold_the_table(filled):
    frame = tables.paper_table(ROWS, filled)
    shown = tables.readable(frame)
    tables.write(frame, filled.tables, "table_1", [tables.UNITS, RULE], shown)
    assert sorted(path.name for path in filled.tables.iterdir()) == ["table_1.csv", "table_1.md", "table_1.tex"]

    back = pd.read_csv(filled.tables / "table_1.csv")
    assert tuple(back.columns) == tables.COLUMNS
    numbers = frame[["mean_last", "ci_low", "delta_mean", "paper_accuracy"]].to_numpy(dtype=float)
    assert np.allclose(
        back[["mean_last", "ci_low", "delta_mean", "paper_accuracy"]], numbers, atol=5e-5, equal_nan=True
    )
    assert back.verdict.tolist() == frame.verdict.tolist()

    text = (filled.tables / "table_1.md").read_text()
    header, rows = parsed_markdown(text)
    assert header == list(shown.columns)
    assert rows == shown.to_numpy().tolist()
    assert tables.UNITS in text and text.endswith(RULE + "\n")

    text = (filled.tables / "table_1.tex").read_text()
    header, rows = parsed_latex(text)
    assert header == list(shown.columns)
    assert [[cell.replace(r"\%", "%") for cell in row] for row in rows] == shown.to_numpy().tolist()


def test_a_small_p_does_not_become_0_in_the_csv(filled):
    frame = tables.paper_table([DISTILLED], filled)
    tables.write(frame, filled.tables, "table", [])
    back = pd.read_csv(filled.tables / "table.csv")
    # 20 gains out of 20: p is 2 / 2^20 when the gains have no ties, and never 0
    assert back.p_wilcoxon[0] == pytest.approx(frame.p_wilcoxon[0], rel=0.01)


def test_latex_has_no_bare_special_characters(filled):
    frame = pd.DataFrame([{"a_b": "fashion_mnist", "c": "95 %"}])
    tables.write(frame, filled.tables, "t", ["`mean_last` in %"])
    text = (filled.tables / "t.tex").read_text()
    for special in "%_":
        assert special in text and special not in text.replace("\\" + special, "")
    assert "`" not in text


def test_without_text_to_show_the_whole_table_is_shown(tmp_path):
    tables.write(pd.DataFrame([{"a": "one", "b": 2.5}]), tmp_path, "t", ["a note"])
    assert parsed_markdown((tmp_path / "t.md").read_text()) == (["a", "b"], [["one", "2.5"]])
    assert parsed_latex((tmp_path / "t.tex").read_text())[0] == ["a", "b"]


# Which experiments the rows need


def test_a_distilled_row_needs_its_placebo_once():
    wanted = artefacts.experiments(ROWS)
    assert wanted == [STUDENT.experiment, DISTILLED.experiment]
    assert artefacts.experiments([DISTILLED]) == [DISTILLED.experiment.placebo(), DISTILLED.experiment]
    assert artefacts.experiments([TEACHER]) == []


def test_complete_records_are_not_run_again(filled):
    said = []
    artefacts.run_missing(ROWS, filled, fresh=False, say=said.append)
    assert said == []
