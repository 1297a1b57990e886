"""v1's tables of synthetic records of all its students: every row and every number, against pandas and scipy."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from synthetic import fill, holm, per_seed, save_teachers

from qkdlib.records import accuracies
from qkdlib.study import v1
from qkdlib.study.v1 import paper, tables
from qkdlib.study.verdicts import MISSING, NOISE, NOT_REPRODUCED, NOTHING_DISTILLED, REPRODUCED
from qkdlib.teachers.teacher_files import teacher_name
from qkdlib.workspace import Workspace

FIRST_COLUMNS = [
    "category", "teacher", "qubits", "dataset", "classes", "paper_accuracy", "recorded_best", "recorded_last",
    "seeds", "mean_last", "sd_last", "ci_low", "ci_high", "mean_selected", "mean_best_test", "collapsed_share",
    "paper_delta", "delta_mean", "delta_ci_low", "delta_ci_high", "p", "p_holm", "chance_single_pair",
    "verdict", "note",
]  # fmt: skip


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
    return {table.name: table.make(whole) for table in (v1.TABLE_1, v1.TABLE_2, v1.DESCRIBED)}


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
    rows = paper.rows() + paper.described_rows()
    frame = tables.paper_table(rows, workspace)
    assert frame.id.tolist() == [row.id for row in rows]
    assert len(frame) == 36 + 6 + 12
    assert set(frame.verdict) == {MISSING}
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
    missing = frame[frame.verdict == MISSING]
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
            assert math.isnan(line["delta_mean"]) and math.isnan(line["p"])


def test_the_gain_of_every_distilled_student(pairs):
    tested = [pair for pair in pairs if pair[0].distils]
    assert len(tested) == 15 + 4 + 6
    for row, line, seeds, placebo in tested:
        gain = seeds["last"].values - placebo["last"].values
        assert line["delta_mean"] == pytest.approx(gain.mean())
        drawn = scipy.stats.bootstrap((gain,), np.mean, rng=np.random.default_rng(7)).confidence_interval
        assert (line["delta_ci_low"], line["delta_ci_high"]) == pytest.approx(drawn, abs=0.1 * gain.std())
        assert line["p"] == pytest.approx(scipy.stats.wilcoxon(gain.round(2)).pvalue)  # as ties
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
        assert all(math.isnan(line[name]) for name in ("delta_ci_low", "p", "p_holm"))
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


# Readable text


def test_readable_text_tells_every_row_of_a_table_apart(frames):
    for frame in frames.values():
        shown = tables.readable(frame)
        assert shown.row.is_unique and len(shown) == len(frame)
        assert not shown.map(lambda cell: "nan" in str(cell).lower()).any(axis=None)
    names = set(tables.readable(frames["table_2"]).row)
    assert {"Student FashionMNIST 0-5, 3 qubits", "Student FashionMNIST 0-5, 3 qubits, as meant"} <= names


@pytest.mark.parametrize(("dataset", "direct", "taught"), [("mnist", 3, 8 + 1), ("fashion_mnist", 3 + 2, 7 + 3)])
def test_students_and_pairs_are_the_tables_rows_by_their_labels(whole, frames, dataset, direct, taught):
    """As run and as meant, in the table's order and with its means."""
    frame, number = frames[v1.TABLES[dataset].name], paper.TABLES[dataset]
    labels = pd.Series([row.label for row in paper.rows(number)])
    students, pairs = v1.students(dataset, whole), v1.pairs(dataset, whole)
    assert list(students) == labels[frame.category == "Student"].tolist() and len(students) == direct
    assert list(pairs) == labels[frame.p.notna()].tolist() and len(pairs) == taught
    means = dict(zip(labels, frame.mean_last, strict=True))
    gains = dict(zip(labels, frame.delta_mean, strict=True))
    for label, found in students.items():
        assert np.mean(accuracies(found)) == pytest.approx(means[label])
    for label, (placebo, distilled) in pairs.items():
        assert distilled.experiment.placebo() == placebo.experiment
        assert np.mean(np.subtract(accuracies(distilled), accuracies(placebo))) == pytest.approx(gains[label])
