"""figures/controls and figures/data_scaling: the controlled experiment, from records alone."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from qkdlib.drawing import COLOURS, OTHER, Figure, styled
from qkdlib.names import span
from qkdlib.records import statistics
from qkdlib.study import verdicts
from qkdlib.study.chapter import TITLES
from qkdlib.study.claims import Lacking
from qkdlib.study.controlled import design
from qkdlib.study.controlled import table as controlled_table
from qkdlib.study.controlled.design import LENET, PLACEBO, REVISED, TAUGHT_TWIN, TWIN, Task
from qkdlib.study.controlled.table import GROUP, Grown, accuracies
from qkdlib.workspace import Workspace

ABOUT_ALL = 6000  # of a class of MNIST (5,421 to 6,742) and of FashionMNIST
ARMS = {PLACEBO: (COLOURS["placebo"], "-"), LENET: (COLOURS["lenet"], "-"), TWIN: (COLOURS["placebo"], "--"),
        TAUGHT_TWIN: (COLOURS["lenet"], "--")}  # fmt: skip
BLUE = COLOURS["lenet"]
ROWS = (  # label, and (colour, style, one arm, minus another)
    ("LeNet - placebo (points)", ((BLUE, "-", LENET, PLACEBO), (BLUE, "--", TAUGHT_TWIN, TWIN))),
    ("quantum - twin (points)", ((OTHER, "-", PLACEBO, TWIN), (OTHER, "--", LENET, TAUGHT_TWIN))),
)  # fmt: skip


@styled
def controls(workspace: Workspace, tasks: Sequence[Task] | None = None) -> Figure:
    """Every control's mean difference to the placebo of its student, in points, with its 95 % interval; full where it
    is significant after Holm's correction. One panel per student.

    Raises:
        Lacking: there is no record.
    """
    tasks = design.tasks() if tasks is None else tasks
    frame = controlled_table.table(workspace, tasks, ()).dropna(subset="delta_vs_placebo")
    keys = [tuple(controlled_table.identity(task)[name] for name in GROUP) for task in tasks]
    panels = dict.fromkeys(keys, frame.iloc[:0]) | dict(list(frame.groupby(GROUP, sort=False)))
    if all(panel.empty for panel in panels.values()):
        raise Lacking("records of its experiments")
    names = list(dict.fromkeys(name for task in tasks for name in task.arms if name != PLACEBO))
    rows = len({dataset for _, dataset, *_ in panels})
    columns = -(-len(panels) // rows)
    figure = Figure(figsize=(max(3.2, 2.1 * columns) + 1.8, 0.2 * len(names) * rows + 1.6))
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    order = sorted(panels, key=lambda key: (key[1] != "mnist", key[0] == REVISED))
    for axis, key in zip(axes.flat, order, strict=True):
        _forest(axis, panels[key], names)
        student, dataset, classes, qubits, _ = key
        axis.set_title(f"{student}, {TITLES.get(dataset, dataset)}\n{classes}, {qubits} qubits")
    for axis in axes[-1]:
        axis.set_xlabel("minus placebo (points)")
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    axes[0, -1].legend(handles=_marks(), loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _marks() -> list[Line2D]:
    shown = ((BLUE, BLUE, "what is distilled"), (OTHER, OTHER, "what the student is"),
             ("#333333", "#333333", "p < 0.05 (Holm)"), ("#333333", "white", "p >= 0.05"))  # fmt: skip
    return [
        Line2D([], [], color=colour, marker="o", markerfacecolor=inside, markersize=4, label=label)
        for colour, inside, label in shown
    ]


def _forest(axis, panel: pd.DataFrame, names: list[str]) -> None:
    axis.axvline(0, color="#999999", linewidth=0.8)
    for row in panel.itertuples():
        taught = row.control in design.CONTROLS or row.control.startswith(LENET)
        colour = COLOURS["lenet"] if taught else OTHER
        place, full = names.index(row.control), row.p_holm < verdicts.LEVEL
        axis.plot([row.delta_ci_low, row.delta_ci_high], [place, place], color=colour, linewidth=1)
        axis.plot(row.delta_vs_placebo, place, "o", color=colour, markersize=4,
                  markerfacecolor=colour if full else "white")  # fmt: skip


@styled
def data_scaling(workspace: Workspace, grown: Sequence[Grown] | None = None) -> Figure:
    """Against the training images per class: accuracy of quantum student and classical twin with and without LeNet,
    what distillation adds to both, and what the quantum layer adds over its twin. Lines are means over seeds, bands
    95 % intervals.

    Raises:
        Lacking: there is no record.
    """
    grown = list(design.scaled_tasks() if grown is None else grown)
    sizes = list(dict.fromkeys(size for _, each in grown for size in each))
    curves = [(task, _grown(task, each, workspace)) for task, each in grown]
    if not any(found for _, found in curves):
        raise Lacking("records of its experiments")
    figure = Figure(figsize=(max(3.6, 2.4 * len(curves)) + 1.8, 6.2))
    axes = figure.subplots(3, len(curves), sharex=True, sharey="row", squeeze=False)
    for column, (task, found) in zip(axes.T, curves, strict=True):
        for name, (colour, style) in ARMS.items():
            _curve(column[0], {size: arms[name] for size, arms in found.items()}, colour, style)
        for axis, (_, lines) in zip(column[1:], ROWS, strict=True):
            axis.axhline(0, color="#999999", linewidth=0.8)
            for colour, style, one, other in lines:
                _curve(axis, {size: arms[one] - arms[other] for size, arms in found.items()}, colour, style)
        placebo = task.placebo
        classes = span(placebo.classes)
        column[0].set_title(
            f"{task.student}, {TITLES.get(placebo.dataset, placebo.dataset)}\n{classes}, {placebo.qubits} qubits"
        )
        column[0].set_xscale("log")
        column[0].set_xticks([size or ABOUT_ALL for size in sizes], [size or "all" for size in sizes])
        column[0].minorticks_off()
        column[-1].set_xlabel("training images per class")
    for axis, label in zip(axes[:, 0], ("accuracy (%)", *(label for label, _ in ROWS)), strict=True):
        axis.set_ylabel(label)
    for axis, handles in zip(axes[:, -1], _legends(), strict=True):
        axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _grown(task: Task, sizes, workspace: Workspace) -> dict[float, dict[str, np.ndarray]]:
    """Images per class -> arm -> accuracies, for the sizes that have records of all arms."""
    found = {}
    for size in sizes:
        arms = {name: accuracies(arm, workspace) for name, arm in design.scaled(task, size).arms.items()}
        if all(values is not None for values in arms.values()):
            found[ABOUT_ALL if size is None else size] = arms
    return found


def _curve(axis, values: dict[float, np.ndarray], colour: str, style: str) -> None:
    summaries = {size: statistics.summarise(each) for size, each in values.items()}
    x = list(summaries)
    axis.plot(x, [s.mean for s in summaries.values()], style, color=colour, marker=".", markersize=4)
    low, high = ([getattr(s, name) for s in summaries.values()] for name in ("low", "high"))
    axis.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def _legends() -> list[list[Line2D]]:
    arms = {PLACEBO: "quantum, placebo", LENET: "quantum, LeNet", TWIN: "twin, placebo", TAUGHT_TWIN: "twin, LeNet"}
    lines = [(ARMS[name], label) for name, label in arms.items()]
    gain = [((COLOURS["lenet"], "-"), "quantum"), ((COLOURS["lenet"], "--"), "twin")]
    layer = [((OTHER, "-"), "placebos"), ((OTHER, "--"), "both from LeNet")]
    return [
        [Line2D([], [], color=colour, linestyle=style, label=label) for (colour, style), label in group]
        for group in (lines, gain, layer)
    ]
