"""tables/controls and tables/grid of synthetic records, against numpy and scipy on the records' JSON."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from intervals import near_interval, near_p
from synthetic import controlled_records, holm, without

from qkdlib.study.controlled import design
from qkdlib.study.controlled import table as controlled_table

FIRST = [
    "student", "control", "dataset", "classes", "qubits", "images_per_class", "seeds", "mean", "ci_low", "ci_high",
    "delta_vs_placebo", "delta_ci_low", "delta_ci_high", "p_holm",
]  # fmt: skip
PAIRED = [("delta_vs_placebo", "delta_ci_low", "delta_ci_high", "p"),
          ("against_delta", "against_ci_low", "against_ci_high", "against_p")]  # fmt: skip
GROUP = ["student", "dataset", "classes", "qubits", "images_per_class"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace with all records of four tasks, the table that they give, and each record's kept accuracies."""
    with controlled_records(tmp_path_factory.mktemp("made")) as (workspace, found):
        yield workspace, controlled_table.table(workspace), found


def arms_of(line) -> dict:
    """The experiments beside which a row of the table stands, by control."""
    (task,) = [task for task in design.tasks()
               if (task.student, task.placebo.dataset, task.placebo.qubits) == (line.student, line.dataset, line.qubits)
               and f"0-{len(task.placebo.classes) - 1}" == line.classes]  # fmt: skip
    if line.images_per_class == "150":
        return task.arms
    every = line.images_per_class == "all"
    change = {"train_per_class": None, "epochs": 10} if every else {"train_per_class": int(line.images_per_class)}
    names = ("placebo", "LeNet", "classical twin", "classical twin, LeNet")
    return {name: dataclasses.replace(task.arms[name], **change) for name in names}


# tables/controls


def test_every_arm_has_a_row_and_the_columns_begin_as_they_are_asked_for(made):
    _, frame, _ = made
    assert frame.columns.tolist()[: len(FIRST)] == FIRST
    assert set(frame.columns) >= {"against", "against_p_holm", "sd", "collapsed"} | {name for p in PAIRED for name in p}
    own = frame[frame.images_per_class == "150"]
    assert len(own) == 2 * 13 + 2 * 12  # of robust and revised students
    grown = frame[frame.images_per_class != "150"]
    assert grown.groupby(["student", "images_per_class"]).size().to_dict() == {
        ("robust", "10"): 2 * 4, ("revised", "10"): 2 * 4, ("revised", "all"): 2 * 4,
    }  # fmt: skip
    for _, group in frame.groupby(GROUP, sort=False):
        assert group.control.tolist() == list(arms_of(group.iloc[0]))
        assert group.control.iloc[0] == "placebo"


def test_means_spreads_and_collapsed_seeds_are_those_of_the_weights_that_are_kept(made):
    _, frame, found = made
    for line in frame.itertuples():
        values, classes = found[arms_of(line)[line.control].name], int(line.classes[-1]) + 1
        assert line.seeds == len(values) == arms_of(line)["placebo"].seeds
        assert (line.mean, line.sd) == pytest.approx((values.mean(), values.std(ddof=1)))
        assert line.collapsed == (values < 1.5 * 100 / classes).sum()
        assert line.ci_low < line.mean < line.ci_high
        assert (line.ci_low, line.ci_high) == near_interval(values)
    assert set(frame.collapsed) == {0, 1}


def test_differences_are_paired_by_seed_with_the_placebo_and_with_the_arm_that_is_named(made):
    _, frame, found = made
    elsewhere = dict.fromkeys(("classical twin, LeNet", "weak twin"), "classical twin")
    elsewhere["two layers, ring of CNOTs"] = "two layers"
    for line in frame.itertuples():
        arms = arms_of(line)
        if line.control == "placebo":
            assert pd.isna([line.against, *(getattr(line, name) for pair in PAIRED for name in pair)]).all()
            continue
        assert line.against == elsewhere.get(line.control, "placebo")
        for other, names in zip(("placebo", line.against), PAIRED, strict=True):
            difference = found[arms[line.control].name] - found[arms[other].name]
            mean, low, high, p = (getattr(line, name) for name in names)
            assert mean == pytest.approx(difference.mean())
            assert low < mean < high and (low, high) == near_interval(difference)
            assert p == near_p(difference), line
    assert (frame.p < 0.001).any() and (frame.p > 0.1).any()


def test_p_is_corrected_over_the_arms_of_one_student_on_one_number_of_images(made):
    _, frame, _ = made
    assert frame.groupby(GROUP).ngroups == 4 + 2 * 1 + 2 * 2
    for _, group in frame.groupby(GROUP):
        taught = group[group.control != "placebo"]
        for name in ("", "against_"):
            assert taught[f"{name}p_holm"].tolist() == pytest.approx(holm(taught[f"{name}p"].tolist()))
        assert group.set_index("control").loc["placebo", ["p_holm", "against_p_holm"]].isna().all()


def test_a_missing_record_empties_its_row_and_the_differences_to_it_and_nothing_else(made, tmp_path):
    """Of each of the first three tasks another arm; no record of theirs is one of another task or size."""
    workspace, before, _ = made
    lost = ("classical twin", "two layers", "placebo")
    tasks = design.tasks()[:3]
    gone = [task.arms[name] for task, name in zip(tasks, lost, strict=True)]
    now = controlled_table.table(without(workspace, tmp_path, gone))
    own = before.images_per_class == "150"
    missing = to_placebo = to_other = pd.Series(False, before.index)
    for task, name in zip(tasks, lost, strict=True):
        of_task = own & (before.student == task.student) & (before.dataset == task.placebo.dataset)
        missing = missing | of_task & (before.control == name)
        to_placebo = to_placebo | of_task & (name == "placebo")
        to_other = to_other | of_task & (before.against == name)
    assert missing.sum() == 3 and to_placebo.sum() == 12 and to_other.sum() == 2 + 1 + 9
    measured = [name for name in before.columns if name not in ("control", "against", *GROUP)]
    corrected = ["p_holm", "against_p_holm"]  # over fewer arms
    for name in measured:
        empty = before[name].isna() | missing
        empty |= to_placebo & (name in (*PAIRED[0], "p_holm")) | to_other & (name in (*PAIRED[1], "against_p_holm"))
        assert now[name].isna().tolist() == empty.tolist(), name
        if name not in corrected:
            assert now.loc[~empty, name].tolist() == before.loc[~empty, name].tolist()


def test_without_records_the_tables_are_empty_and_readable(made, workspace):
    frame = controlled_table.table(workspace)
    assert frame[GROUP + ["control"]].equals(made[1][GROUP + ["control"]])
    assert frame[["seeds", "mean", "p_holm", "against_p_holm", "collapsed"]].isna().all(axis=None)
    grid = controlled_table.grid(workspace)
    assert len(grid) == 2 * 6 and grid[["robust", "revised", "mean", "gain"]].isna().all(axis=None)
    for shown in (controlled_table.readable(frame), controlled_table.readable_grid(grid)):
        assert not shown.map(lambda cell: any(word in str(cell).lower() for word in ("nan", "none"))).any(axis=None)


def test_the_readable_table_names_the_arm_that_is_not_the_placebo(made):
    _, frame, _ = made
    shown = controlled_table.readable(frame)
    assert len(shown) == len(frame) and shown.loc[0, "student"] == "robust, MNIST 0-7, 3 qubits"
    assert set(shown["against"]) == {"", "classical twin", "two layers"}
    assert (shown.loc[shown["against"] == "", ["minus that", "its p (Holm)"]] == "").all(axis=None)
    assert shown["accuracy"].str.fullmatch(r"\d+\.\d \[\d+\.\d, \d+\.\d\]").all()
    placebos = shown["control"] == "placebo"
    assert (shown.loc[placebos, ["minus placebo", "p (Holm)"]] == "").all(axis=None)
    signed = r"[+-]\d+\.\d\d \[[+-]\d+\.\d\d, [+-]\d+\.\d\d\]"
    assert shown.loc[~placebos, "minus placebo"].str.fullmatch(signed).all()
    line = frame.loc[1]
    assert shown.loc[1, "minus placebo"].startswith(f"{line.delta_vs_placebo:+.2f} [")


# tables/grid


def validation(workspace, arm) -> float:
    """Mean over the first five seeds, in percent: of the best epoch where validation stops the training."""
    seeds = json.loads((workspace.students / f"{arm.name}.json").read_text())["seeds"]
    curves = [seeds[str(seed)]["validation_accuracy"] for seed in range(5)]
    return 100 * np.mean([max(curve) if arm.patience else curve[-1] for curve in curves])


def test_the_grid_is_the_mean_validation_accuracy_of_five_seeds(made):
    workspace, *_ = made
    frame, arms = controlled_table.grid(workspace), design.grid()
    assert frame.columns.tolist() == ["temperature", "kd_weight", "robust", "revised", "mean", "gain"]
    assert len(frame) == 2 * 6
    placebos = {student: validation(workspace, arms[student, 1.0, 0.0]) for student in ("robust", "revised")}
    for line in frame.itertuples():
        pair = (line.temperature, line.kd_weight)
        expected = {student: validation(workspace, arms[student, *pair]) for student in placebos}
        assert (line.robust, line.revised) == pytest.approx((expected["robust"], expected["revised"]))
        assert line.mean == pytest.approx(np.mean([*expected.values()]))
        assert line.gain == pytest.approx(line.mean - np.mean([*placebos.values()]))
    assert (frame[frame.kd_weight == 0].gain == 0).all() and (frame[frame.kd_weight > 0].gain != 0).all()
    shown = controlled_table.readable_grid(frame)
    weights = ["kd_weight 0", "kd_weight 0.1", "kd_weight 0.5", "kd_weight 0.9", "kd_weight 2", "kd_weight 8.1"]
    assert shown.columns.tolist() == ["temperature", *weights] and shown["temperature"].tolist() == ["1", "3"]
    line = frame.loc[0]
    assert shown.loc[0, "kd_weight 0"] == f"{line['mean']:.1f} ({line.robust:.1f}, {line.revised:.1f})"


def test_a_missing_record_empties_its_cell_of_the_grid_and_no_other(made, tmp_path):
    workspace, *_ = made
    before = controlled_table.grid(workspace)
    now = controlled_table.grid(without(workspace, tmp_path, [design.grid()["revised", 3.0, 2.0]]))
    gone = (before.temperature == 3.0) & (before.kd_weight == 2.0)
    empty = now[["robust", "revised", "mean", "gain"]].isna()
    assert empty[gone].to_numpy().tolist() == [[False, True, True, True]] and not empty[~gone].any(axis=None)
    kept = now[~gone].to_numpy(float)
    assert kept == pytest.approx(before[~gone].to_numpy(float))


@pytest.mark.parametrize(("means", "best"), [((90, 80, 85), (2.0, 0.5)), ((10, 85, 80), (1.0, 0.9))])
def test_the_best_pair_has_a_weight_above_0(means, best):
    frame = pd.DataFrame({"temperature": [1.0, 1.0, 2.0], "kd_weight": [0.0, 0.9, 0.5], "mean": means})
    assert controlled_table.chosen(frame) == best
