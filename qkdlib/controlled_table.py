"""tables/controls: every arm of the controlled experiment beside the arm that it differs from in one field."""

import numpy as np
import pandas as pd

from qkdlib import controlled, paper, statistics, tables
from qkdlib.controlled import PLACEBO, Task
from qkdlib.experiment import Experiment
from qkdlib.workspace import Workspace

COLUMNS = (
    "student", "control", "dataset", "classes", "qubits", "images_per_class", "seeds", "mean", "ci_low", "ci_high",
    "delta_vs_placebo", "delta_ci_low", "delta_ci_high", "p_holm", "against", "delta_against", "against_ci_low",
    "against_ci_high", "against_p_holm", "sd", "collapsed", "p_wilcoxon", "against_p_wilcoxon",
)  # fmt: skip
UNITS = (
    "Accuracies in percent on test images, mean over seeds, of the student that its training keeps. Delta: minus the "
    "placebo, and (against) minus the arm that differs in the one named field, both paired by seed. [ ]: 95 % "
    "bootstrap interval; p: Wilcoxon signed-rank, after Holm's correction over the arms of one student. LeNet, "
    "AlexNet, ensemble: kd_weight 0.9, T 3. Smoothed labels: as soft as LeNet's, and nothing else of it. Shuffled: "
    "each image gets LeNet's logits for another image of its class. LeNet of the student's images: trained on no "
    "image that the student has not. Classical twin: a classical layer of the same inputs and outputs, with at most "
    "as many parameters, in place of the quantum one. Collapsed: seeds below 1.5 times chance."
)


def accuracies(experiment: Experiment, workspace: Workspace) -> np.ndarray | None:
    """Test accuracies in percent of the kept students, (S,); None without a record."""
    record = tables.complete(experiment, workspace)
    return None if record is None else np.array(statistics.accuracies(record, statistics.kept(record)))


def table(workspace: Workspace) -> pd.DataFrame:
    """One row per task and arm with the columns `COLUMNS`."""
    frame = pd.DataFrame([row for task in controlled.tasks() for row in _rows(task, workspace)], columns=list(COLUMNS))
    groups = frame.groupby(["student", "dataset", "classes", "qubits"], sort=False)
    for name in ("p", "against_p"):
        frame[f"{name}_holm"] = groups[f"{name}_wilcoxon"].transform(lambda ps: statistics.holm(ps.astype(float)))
    return frame


def _rows(task: Task, workspace: Workspace) -> list[dict]:
    found = {name: accuracies(experiment, workspace) for name, experiment in task.arms.items()}
    return [_identity(task, name) | _measured(task, name, found, workspace) for name in task.arms]


def _identity(task: Task, name: str) -> dict:
    arm = task.arms[name]
    return {
        "student": task.student, "control": name, "dataset": arm.dataset, "qubits": arm.qubits,
        "classes": f"{arm.classes[0]}-{arm.classes[-1]}", "images_per_class": arm.train_per_class,
        "against": task.against.get(name),
    }  # fmt: skip


def _measured(task: Task, name: str, found: dict, workspace: Workspace) -> dict:
    values = found[name]
    if values is None:
        return {}
    summary = statistics.summarise(values)
    columns = {
        "seeds": summary.seeds, "mean": summary.mean, "ci_low": summary.low, "ci_high": summary.high, "sd": summary.sd,
        "collapsed": int((values < 150 / len(task.placebo.classes)).sum()),
    }  # fmt: skip
    for prefix, other in (("delta", PLACEBO), ("against", task.against.get(name))):
        if name != PLACEBO and found.get(other) is not None:
            columns |= _difference(prefix, values, found[other])
    return columns


def _difference(prefix: str, values: np.ndarray, others: np.ndarray) -> dict:
    gain = statistics.paired_gain(values, others)
    named = {"delta": ("delta_vs_placebo", "p_wilcoxon"), "against": ("delta_against", "against_p_wilcoxon")}[prefix]
    return {
        named[0]: gain.mean, named[1]: gain.p_wilcoxon, f"{prefix}_ci_low": gain.low, f"{prefix}_ci_high": gain.high,
    }  # fmt: skip


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that a reader wants first, rounded, as text."""
    text, interval = tables.text, tables.interval
    rows = [
        {
            "student": f"{row['student']}, {paper.TITLES[row['dataset']]} {row['classes']}, {row['qubits']} qubits",
            "control": row["control"],
            "seeds": text(row["seeds"], ".0f"),
            "accuracy": text(row["mean"], ".1f") + interval(row["ci_low"], row["ci_high"], form=".1f"),
            "minus placebo": text(row["delta_vs_placebo"], "+.2f")
            + interval(row["delta_ci_low"], row["delta_ci_high"], "+"),
            "p (Holm)": text(row["p_holm"], ".3f"),
            "against": row["against"] if isinstance(row["against"], str) and row["against"] != PLACEBO else "",
            "minus that": "" if row["against"] == PLACEBO else text(row["delta_against"], "+.2f")
            + interval(row["against_ci_low"], row["against_ci_high"], "+"),
            "collapsed": text(row["collapsed"], ".0f"),
        }
        for row in frame.to_dict("records")
    ]  # fmt: skip
    return pd.DataFrame(rows)
