"""figures/collapse: what each change of the published recipe does to its seeds, from records."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from qkdlib import records
from qkdlib.drawing import COLOURS, OTHER, Figure, styled
from qkdlib.records import Record, statistics
from qkdlib.study.chapter import TITLES
from qkdlib.study.claims import Lacking
from qkdlib.study.collapse import changes
from qkdlib.study.collapse.table import lost, validation
from qkdlib.workspace import Workspace

FATES = {"seed": COLOURS["placebo"], "lost a class": COLOURS["alexnet"], "collapsed": OTHER}


@styled
def figure(workspace: Workspace) -> Figure:
    """Every seed's validation accuracy after the last epoch, a row per change, on the tasks of `STUDIED`; in colour
    what collapsed, and what lost a class without that.

    Raises:
        Lacking: there is no record.
    """
    shown = [(row, change, records.complete(each, workspace)) for row, change, each in changes.variants()]
    if all(record is None for *_, record in shown):
        raise Lacking("records of its experiments")
    drawn = Figure(figsize=(8.6, 0.32 * len(changes.CHANGES) + 1.1))
    axes = drawn.subplots(1, len(changes.STUDIED), sharey=True)
    names = list(changes.CHANGES)
    for axis, (dataset, studied) in zip(axes, changes.STUDIED.items(), strict=True):
        for row, change, record in shown:
            if row == studied and record is not None:
                _draw(axis, names.index(change), record)
        axis.axvline(statistics.collapse_limit(changes.published(studied)), color="#999999", linewidth=0.8, ls=":")
        axis.set(title=f"{TITLES[dataset]} 0-7, 3 qubits", xlabel="validation accuracy (%)", xlim=(0, 100))
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    handles = [
        *(Line2D([], [], marker="o", linestyle="none", color=FATES[fate], markersize=3, label=fate) for fate in FATES),
        Line2D([], [], color="#000000", linewidth=1.2, label="mean"),
    ]
    axes[-1].legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1))
    return drawn


def _draw(axis: Axes, place: int, record: Record) -> None:
    """The seeds of one change, the worst on top."""
    last, gone = validation(record)[:, -1], lost(record)
    order = np.argsort(last, kind="stable")
    fates = np.where(np.zeros(len(last)) if gone is None else gone, "lost a class", "seed").astype(object)
    fates[last < statistics.collapse_limit(record.experiment)] = "collapsed"
    heights = place + np.linspace(-0.28, 0.28, len(last))
    axis.scatter(last[order], heights, s=7, color=[FATES[fate] for fate in fates[order]], linewidths=0)
    axis.plot([last.mean()] * 2, [place - 0.36, place + 0.36], color="#000000", linewidth=1.2)
