"""tables/controls: every arm of the controlled experiment beside its placebo and beside the arm it stands against."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from qkdlib import records
from qkdlib.experiment import Experiment
from qkdlib.names import span
from qkdlib.records import statistics
from qkdlib.study.cells import INTERVAL, P, columns, estimate, holm, text
from qkdlib.study.chapter import TITLES
from qkdlib.study.controlled import design
from qkdlib.study.controlled.design import PLACEBO, Task
from qkdlib.workspace import Workspace

COLUMNS = (
    "student", "control", "dataset", "classes", "qubits", "images_per_class", "seeds", "mean", "ci_low", "ci_high",
    "delta_vs_placebo", "delta_ci_low", "delta_ci_high", "p_holm", "against", "against_delta", "against_ci_low",
    "against_ci_high", "against_p_holm", "sd", "collapsed", "p", "against_p",
)  # fmt: skip
DELTA = ("delta_vs_placebo", "delta_", "p")  # a difference, and what its interval and its p are called
AGAINST = ("against_delta", "against_", "against_p")
GROUP = ["student", "dataset", "classes", "qubits", "images_per_class"]
ALL = "all"
Grown = tuple[Task, tuple[int | None, ...]]
UNITS = (
    "Accuracies in percent on test images, mean over seeds, of the student that its training keeps; minus the "
    "placebo's; and, where another arm differs in nothing but what the control names, minus that arm's, all paired by "
    f"seed. {INTERVAL}; {P}, after Holm's correction over the arms of one student "
    "on the same images. Collapsed: seeds below 1.5 times chance."
)
WORDS = (
    "Robust: v1's student with a third of its learning rate; revised: v2's original method, trained to convergence; "
    "both with exact outcomes. LeNet, AlexNet, ensemble: all that the teacher knows, kd_weight 0.9, T 3; chosen: the "
    "pair that validation chose. Smoothed labels: of the same entropy as LeNet's softened ones, and nothing else of "
    "it. Shuffled logits: each image gets LeNet's logits for another image of its class. LeNet of the same images: "
    "trained on no image that the student has not. Classical twin: a classical layer of the same inputs and outputs, "
    "with at most as many parameters, in place of the quantum one: for v1 independent sigmoids with the circuit's "
    "slope at 0, for v2 ReLUs added up. Weak twin: a plain sigmoid, 2 pi times less steep; linear sums, squashed by "
    "tanh. All: every training image, which students see ten times."
)


def table(workspace: Workspace, tasks: Sequence[Task] | None = None, grown: Sequence[Grown] | None = None):
    """One row per task, number of images and arm with the columns `COLUMNS`; an arm without a record is empty.

    Args:
        tasks, grown: the tasks, and those whose images per class vary with their numbers; None: the declared ones.
    """
    rows = [row for task in (design.tasks() if tasks is None else tasks) for row in _rows(task, workspace)]
    for task, sizes in design.scaled_tasks() if grown is None else grown:
        for size in sizes:
            if size != task.placebo.train_per_class:
                rows += _rows(design.scaled(task, size), workspace)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    groups = frame.groupby(GROUP, sort=False)
    for name in ("", "against_"):
        frame[f"{name}p_holm"] = holm(groups, f"{name}p")
    return frame


def accuracies(experiment: Experiment, workspace: Workspace) -> np.ndarray | None:
    """Test accuracy in percent of each seed's kept student, (S,); None without a complete record."""
    record = records.complete(experiment, workspace)
    return None if record is None else np.array(statistics.accuracies(record, statistics.kept_outcome(record)))


def identity(task: Task) -> dict:
    """The columns `GROUP` of a task."""
    placebo = task.placebo
    return {
        "student": task.student, "dataset": placebo.dataset, "qubits": placebo.qubits,
        "classes": span(placebo.classes),
        "images_per_class": ALL if placebo.train_per_class is None else str(placebo.train_per_class),
    }  # fmt: skip


def _rows(task: Task, workspace: Workspace) -> list[dict]:
    found = {name: accuracies(arm, workspace) for name, arm in task.arms.items()}
    limit = statistics.collapse_limit(task.placebo)
    return [
        {**identity(task), "control": name, "against": task.against.get(name), **_measured(task, name, found, limit)}
        for name in task.arms
    ]


def _measured(task: Task, name: str, found: dict, limit: float) -> dict:
    values = found[name]
    if values is None:
        return {}
    summary = statistics.summarise(values)
    measured = {
        "seeds": summary.seeds, **columns(summary, "mean"), "sd": summary.sd, "collapsed": int((values < limit).sum()),
    }  # fmt: skip
    if name == PLACEBO:
        return measured
    for other, (mean, prefix, p) in ((PLACEBO, DELTA), (task.against[name], AGAINST)):
        if (others := found[other]) is not None:
            measured |= columns(statistics.paired_gain(values, others), mean, prefix, p)
    return measured


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that a reader wants first, rounded, as text."""
    return pd.DataFrame([_readable_row(row) for row in frame.to_dict("records")])


def _readable_row(row: dict) -> dict[str, str]:
    images = TITLES.get(row["dataset"], row["dataset"])
    elsewhere = isinstance(row["against"], str) and row["against"] != PLACEBO
    placebo = estimate(row, "delta_vs_placebo", "delta_", "+")
    against = estimate(row, "against_delta", "against_", "+")
    return {
        "student": f"{row['student']}, {images} {row['classes']}, {row['qubits']} qubits",
        "images per class": row["images_per_class"],
        "control": row["control"],
        "seeds": text(row["seeds"], ".0f"),
        "accuracy": estimate(row, "mean", form=".1f"),
        "minus placebo": placebo,
        "p (Holm)": text(row["p_holm"], ".3f"),
        "against": row["against"] if elsewhere else "",
        "minus that": against if elsewhere else "",
        "its p (Holm)": text(row["against_p_holm"], ".3f") if elsewhere else "",
        "collapsed": text(row["collapsed"], ".0f"),
    }  # fmt: skip


GRID = (
    "Validation accuracy in percent, mean over five seeds, of students distilled from LeNet: in each cell the mean of "
    "two students, and in brackets the robust one of MNIST 0-7 with 3 qubits and the revised one of FashionMNIST with "
    "4. kd_weight 0 is the placebo at any temperature. Of kd_weights above 0 the pair with the highest mean is the "
    "`chosen` one of tables/controls. No test image is looked at."
)


def grid(workspace: Workspace, arms: Mapping | None = None) -> pd.DataFrame:
    """One row per temperature and kd_weight: the validation accuracy of each kind of student, their `mean`, and its
    `gain` over kd_weight 0; empty where a record is missing.

    Args:
        arms: as `design.grid_of` gives them; None: the declared ones.
    """
    arms = design.grid() if arms is None else arms
    students = list(dict.fromkeys(student for student, *_ in arms))
    rows = [
        {
            "temperature": temperature,
            "kd_weight": weight,
            **{student: _validation(arms[student, temperature, weight], workspace) for student in students},
        }
        for temperature, weight in dict.fromkeys((temperature, weight) for _, temperature, weight in arms)
    ]
    frame = pd.DataFrame(rows)
    frame["mean"] = frame[students].astype(float).mean(axis=1, skipna=False)
    frame["gain"] = frame["mean"] - frame.loc[frame["kd_weight"] == 0, "mean"].iloc[0]
    return frame


def _validation(experiment: Experiment, workspace: Workspace) -> float | None:
    """Mean over seeds of the kept student's validation accuracy, in percent."""
    record = records.complete(experiment, workspace)
    if record is None:
        return None
    curves = [record.seeds[seed]["validation_accuracy"] for seed in sorted(record.seeds)]
    return 100 * float(np.mean([max(curve) if experiment.patience else curve[-1] for curve in curves]))


def chosen(frame: pd.DataFrame) -> tuple[float, float]:
    """Temperature and kd_weight above 0 with the highest mean in the table that `grid` gave.

    Raises:
        ValueError: a pair has no record.
    """
    if frame["mean"].isna().any():
        raise ValueError("the grid lacks records; allowed: one in which every pair has been run")
    best = frame[frame["kd_weight"] > 0].sort_values("mean", ascending=False, kind="stable").iloc[0]
    return float(best["temperature"]), float(best["kd_weight"])


def readable_grid(frame: pd.DataFrame) -> pd.DataFrame:
    """Temperatures as rows and kd_weights as columns; in each cell the mean, and in brackets each kind of student."""
    students = [name for name in frame.columns if name not in ("temperature", "kd_weight", "mean", "gain")]
    rows = []
    for temperature, line in frame.groupby("temperature", sort=False):
        cells = {
            f"kd_weight {row['kd_weight']:g}": text(row["mean"], ".1f")
            + ("" if pd.isna(row["mean"]) else " (" + ", ".join(f"{row[name]:.1f}" for name in students) + ")")
            for row in line.to_dict("records")
        }
        rows.append({"temperature": f"{temperature:g}", **cells})
    return pd.DataFrame(rows)
