"""v1's tables of synthetic records of all its students: every row, and what of them is missing."""

import numpy as np
import pandas as pd
import pytest
from synthetic import fill, holm, save_teachers

from qkdlib.records import accuracies
from qkdlib.study import v1
from qkdlib.study.v1 import paper, tables
from qkdlib.study.verdicts import (
    MISSING,
    NOT_AS_PUBLISHED,
    REPRODUCED,
)
from qkdlib.teachers.teacher_files import teacher_name
from qkdlib.workspace import Workspace

VERDICTS = list(tables.VERDICTS)
FIRST_COLUMNS = [
    "category", "teacher", "qubits", "dataset", "classes", "paper_accuracy", "recorded_best", "recorded_last",
    "seeds", "mean_last", "sd_last", "ci_low", "ci_high", "mean_selected", "mean_best_test", "collapsed_share",
    "trained_share", "trained_ci_low", "trained_ci_high", "paper_delta", "delta_mean", "delta_ci_low", "delta_ci_high",
    "p", "p_holm", "chance_single_pair", "verdict_draw", "rank", "verdict_mean", "verdict_gain", "paper_gain_excluded",
    "note",
]  # fmt: skip


# Rows and columns of the paper's tables


def test_columns_begin_with_those_that_a_reader_is_promised(frames):
    for frame in frames.values():
        assert list(frame.columns)[: len(FIRST_COLUMNS)] == FIRST_COLUMNS
        assert not frame.columns.duplicated().any()


def test_every_row_is_there_in_the_papers_order(frames):
    assert [len(frame) for frame in frames.values()] == [18 + 1, 18 + 5, 12, 12]
    for frame, number in ((frames["table_1"], 1), (frames["table_2"], 2)):
        ran = frame[frame.run == "as run"]
        assert ran.id.tolist() == [row.id for row in paper.all_rows() if row.table == number]
        assert ran.paper_accuracy.tolist() == [row.paper_accuracy for row in paper.all_rows() if row.table == number]
    assert not any((frame[VERDICTS] == MISSING).any(axis=None) for frame in frames.values())


def test_without_records_every_row_is_there_and_missing(workspace):
    rows = paper.rows() + paper.described_rows() + paper.drawn_rows()
    frame = tables.paper_table(rows, workspace)
    assert frame.id.tolist() == [row.id for row in rows]
    assert len(frame) == 36 + 6 + 12 + 12
    assert (frame[VERDICTS] == MISSING).all(axis=None)
    assert frame.paper_accuracy.tolist() == [row.paper_accuracy for row in rows]
    assert frame[["seeds", "mean_last", "delta_mean", "p_holm", "over_direct_mean"]].isna().all(axis=None)


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
    missing = frame[frame.verdict_gain == MISSING]
    assert (missing.verdict_mean == MISSING).tolist() == [True, False, True]
    assert len(frame) == 23
    # In the paper's order; F-D-alex-3q-07 as meant has another placebo, with 3000 shots.
    assert list(zip(missing.id, missing.run, strict=True)) == [
        ("F-T-lenet-07", "as run"), ("F-D-alex-3q-07", "as run"), ("F-D-ens-3q-05", "as run"),
    ]  # fmt: skip
    assert missing.mean_last.notna().tolist() == [False, True, False]
    # Holm corrects for the tests that there are: seven as run and three as meant, less two
    assert frame.p_holm.notna().sum() == frame.p.notna().sum() == 7 + 3 - 2
    tested = frame[frame.p.notna()]
    assert tested.p_holm.tolist() == pytest.approx(holm(tested.p.tolist()))


def test_teachers_have_their_verdicts_and_epochs(frames):
    for name in ("table_1", "table_2"):
        teachers = frames[name][frames[name].category == "Teacher"]
        assert len(teachers) == 6
        assert teachers.mean_best_test.tolist() == pytest.approx(teachers.paper_accuracy.tolist())
        assert teachers.mean_last.tolist() == pytest.approx((teachers.paper_accuracy - 0.5).tolist())
        published = teachers.teacher == "lenet"  # the others' training is not the notebooks'
        assert set(teachers.verdict_mean[published]) == {REPRODUCED} and published.sum() == 2
        assert set(teachers.verdict_mean[~published]) == {NOT_AS_PUBLISHED}
        assert teachers[["verdict_draw", "verdict_gain", "paper_gain_excluded"]].isna().all(axis=None)
        assert set(teachers.note) == {"2 epochs on 100 images"}


def test_notes_say_how_a_notebook_deviates(frames):
    notes = {(line.id, line.run): line.note for frame in frames.values() for line in frame.itertuples()}
    assert notes["F-B-3q-05", "as run"] == "softmax head"
    assert notes["F-B-3q-05", "as meant"] == "without: softmax head"
    assert "multiplies the distillation loss by zero" in notes["F-D-lenet-3q-07", "as run"]
    assert "factor 6" in notes["F-D-alex-3q-07", "as run"]
    assert notes["F-D-ens-3q-07", "as run"] == notes["F-B-3q-05", "as described"] == notes["F-B-3q-05", "redrawn"] == ""


# Readable text


def test_readable_text_tells_every_row_of_a_table_apart(frames):
    for frame in frames.values():
        shown = tables.readable(frame)
        assert shown.row.is_unique and len(shown) == len(frame)
        assert not shown.map(lambda cell: "nan" in str(cell).lower()).any(axis=None)
    names = set(tables.readable(frames["table_2"]).row)
    assert {"Student FashionMNIST 0-5, 3 qubits", "Student FashionMNIST 0-5, 3 qubits, as meant"} <= names


@pytest.mark.parametrize(("dataset", "direct", "taught"), [("mnist", 3, 8 + 1), ("fashion_mnist", 3 + 2, 7 + 3)])
def test_students_and_pairs_are_the_tables_rows_by_their_labels(every_row, frames, dataset, direct, taught):
    """As run and as meant, in the table's order and with its means."""
    frame, number = frames[v1.TABLES[dataset].name], paper.TABLES[dataset]
    labels = pd.Series([row.label for row in paper.rows(number)])
    students, pairs = v1.students(dataset, every_row), v1.pairs(dataset, every_row)
    assert list(students) == labels[frame.category == "Student"].tolist() and len(students) == direct
    assert list(pairs) == labels[frame.p.notna()].tolist() and len(pairs) == taught
    means = dict(zip(labels, frame.mean_last, strict=True))
    gains = dict(zip(labels, frame.delta_mean, strict=True))
    for label, found in students.items():
        assert np.mean(accuracies(found)) == pytest.approx(means[label])
    for label, (placebo, distilled) in pairs.items():
        assert distilled.experiment.placebo() == placebo.experiment
        assert np.mean(np.subtract(accuracies(distilled), accuracies(placebo))) == pytest.approx(gains[label])
