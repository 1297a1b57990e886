"""The paper's figures (v1, Fig. 2 to 7), and `seed_spread`, one of our own."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from qkdlib import circuits, images, records, teachers
from qkdlib.drawing import COLOURS, PAPER, Figure, drawings, figures, styled
from qkdlib.experiment import Experiment
from qkdlib.images import Splits
from qkdlib.records import Record, statistics
from qkdlib.study.chapter import TITLES
from qkdlib.study.claims import Lacking
from qkdlib.study.v1 import paper
from qkdlib.study.v1.paper import RAN, Row
from qkdlib.workspace import Workspace

ARMS = (None, "alexnet", "lenet", "ensemble")  # the order of the paper's Fig. 7
GREY = (1, 28, 28)
FIGURE_6 = ("F-D-alex-3q-05", "F-D-lenet-4q-07")
WIDTH = 0.8 / len(ARMS)
AGAIN = "M-B-3q-05"  # the row whose seeds were trained on another processor, too: results/again


def found(workspace: Workspace) -> dict[tuple[str, str], tuple[Row, Record]]:
    """The student rows that have a record, by (id, run).

    Raises:
        Lacking: there is none.
    """
    students = [row for row in paper.rows() if row.category != "Teacher"]
    pairs = {(row.id, row.run): (row, records.complete(row.experiment, workspace)) for row in students}
    there = {key: pair for key, pair in pairs.items() if pair[1] is not None}
    if not there:
        raise Lacking("records of its rows")
    return there


def figure_6(workspace: Workspace) -> Figure:
    """Loss curves of the two students that the paper shows; the second one distils nothing as run, so it is there
    as meant, too."""
    shown = [pair for (name, _), pair in found(workspace).items() if name in FIGURE_6]
    if not shown:
        raise Lacking("records of its rows")
    return figures.loss_curves({_two_lines(row): record for row, record in shown})


def _two_lines(row: Row) -> str:
    task, arm = row.label.rsplit(", from ", 1)
    return f"{task}\nfrom {arm}"


def figure_2(_: Workspace) -> Figure:
    """Training images of both data sets, a row per class."""
    wanted = {TITLES[name]: Experiment(dataset=name, classes=tuple(range(8))) for name in paper.TABLES}
    return figures.sample_images(images_of(wanted))


def images_of(wanted: Mapping[str, Experiment]) -> dict[str, Splits]:
    """The images of some experiments.

    Raises:
        Lacking: they are not at hand, or cannot be loaded.
    """
    away = [experiment.dataset for experiment in wanted.values() if not images.at_hand(experiment.dataset)]
    if away:
        raise Lacking(f"images of {' and '.join(away)}, which are not at hand")
    try:
        return {name: images.splits(experiment) for name, experiment in wanted.items()}
    except (OSError, ValueError) as error:
        raise Lacking(f"images that cannot be loaded ({error})") from error


def figure_3(_: Workspace) -> Figure:
    """LeNet, for six classes."""
    return drawings.architecture(teachers.LeNet(GREY, 6), GREY, "LeNet")


def figure_4(_: Workspace) -> Figure:
    """AlexNet, for six classes."""
    return drawings.architecture(teachers.AlexNet(GREY, 6), GREY, "AlexNet")


def figure_5(_: Workspace) -> Figure:
    """The circuits of three and four qubits."""
    return figures.circuit_diagram(*(circuits.build("h_ry", qubits) for qubits in (3, 4)))


@styled
def figure_7(workspace: Workspace) -> Figure:
    """Mean accuracy of every row, as run, with its 95 % interval; circles are rows as meant, diamonds the paper's."""

    def draw(axis, x: float, row: Row, record: Record) -> None:
        summary = statistics.summarise(statistics.accuracies(record))
        if row.run != RAN:
            axis.errorbar(
                x + 0.06,
                summary.mean,
                summary.reach,
                fmt="o",
                color=PAPER,
                markerfacecolor="white",
                markersize=5,
                elinewidth=0.8,
                capsize=2,
            )
            return
        nothing = row.category == "Distillation" and not row.distils
        axis.bar(x, summary.mean, WIDTH * 0.92, yerr=summary.reach, capsize=2, ecolor="#333333", color=_colour(row),
                 hatch="///" if nothing else None, edgecolor="white", linewidth=0)  # fmt: skip

    marks = [
        Line2D([], [], marker="o", color=PAPER, markerfacecolor="white", linestyle="none", label="as meant"),
        Patch(facecolor="#999999", edgecolor="white", hatch="///", label="distils nothing"),
    ]
    return _grouped(found(workspace), draw, marks)


@styled
def seed_spread(workspace: Workspace) -> Figure:
    """Every seed's accuracy after the last epoch, row by row, as run; lines are means, diamonds the paper's single
    run: one look shows how much one run can tell. Rows that distil nothing are open circles. Beside it the same 20
    seeds of one row on two processors, each seed a line."""

    def draw(axis, x: float, row: Row, record: Record) -> None:
        if row.run != RAN:
            return
        values = np.sort(statistics.accuracies(record))
        # Points side by side, in an order that repeats, because jitter would need a seed.
        offsets = WIDTH * 0.36 * np.linspace(-1, 1, len(values))
        empty = row.category == "Distillation" and not row.distils
        look = {"facecolors": "none", "linewidths": 0.6} if empty else {"linewidths": 0}
        axis.scatter(x + offsets, values, s=7, color=_colour(row), alpha=0.8, **look)
        axis.hlines(values.mean(), x - WIDTH * 0.42, x + WIDTH * 0.42, color=_colour(row), linewidth=1.2)

    mark = Line2D([], [], marker="o", color=PAPER, markerfacecolor="none", linestyle="none", markersize=3,
                  label="distils nothing")  # fmt: skip
    figure = _grouped(found(workspace), draw, [mark])
    _two_processors(figure.axes[-1].inset_axes((1.07, 0.12, 0.16, 0.8)), workspace)
    return figure


def _two_processors(axis, workspace: Workspace) -> None:
    """The first seeds of `AGAIN`: as they came out on another processor, and in the records."""
    experiment = paper.row(AGAIN).experiment
    kept, now = workspace.path("results", "again", f"{experiment.name}.json"), records.complete(experiment, workspace)
    if now is None or not kept.exists():
        axis.remove()
        return
    before = records.read(kept)
    for seed in sorted(before.seeds):
        ends = [records.outcomes(each.seeds[seed])["last"] for each in (before, now)]
        axis.plot((0, 1), ends, marker="o", markersize=2.5, linewidth=0.6, color=COLOURS["placebo"], alpha=0.8)
    axis.set(xlim=(-0.3, 1.3), ylim=(0, 104))
    axis.set_xticks((0, 1), ("one", "another"))
    axis.set_title("the same seeds,\ntwo processors", fontsize="small")
    axis.grid(axis="x", visible=False)


def _colour(row: Row) -> str:
    return COLOURS[row.teacher or "placebo"]


def _grouped(rows: dict, draw: Callable, marks: list) -> Figure:
    """One panel per data set, one group per task, one place per arm; the paper's value is a diamond."""
    figure = Figure(figsize=(9.6, 6.0))
    panels = figure.subplots(len(paper.TABLES), 1, sharey=True)
    for axis, dataset in zip(panels, paper.TABLES, strict=True):
        tasks = list(dict.fromkeys(row.task for row in paper.all_rows() if row.qubits and row.dataset == dataset))
        for (_, run), (row, record) in rows.items():
            if row.dataset != dataset:
                continue
            x = tasks.index(row.task) + (ARMS.index(row.teacher) - (len(ARMS) - 1) / 2) * WIDTH
            draw(axis, x, row, record)
            if run == RAN:
                axis.plot(x, row.paper_accuracy, marker="D", color=PAPER, markersize=4, markerfacecolor="white")
        for place, task in enumerate(tasks):
            chance = 100 / len(next(row for row in paper.all_rows() if row.task == task).classes)
            axis.hlines(chance, place - 0.45, place + 0.45, color="#999999", linewidth=0.8, linestyle=":")
        axis.set(ylabel="test accuracy (%)", ylim=(0, 104), xlim=(-0.5, len(tasks) - 0.5))
        axis.set_xticks(range(len(tasks)), tasks)
        axis.grid(axis="x", visible=False)
    panels[0].legend(handles=[*_arms_legend(), *marks], loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _arms_legend() -> list:
    arms = [Patch(color=COLOURS[arm or "placebo"], label=f"from {TITLES[arm]}" if arm else "direct") for arm in ARMS]
    return [
        *arms,
        Line2D([], [], marker="D", color=PAPER, markerfacecolor="white", linestyle="none", markersize=4, label="paper"),
        Line2D([], [], color="#999999", linestyle=":", label="chance"),
    ]
