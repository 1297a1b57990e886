"""figures/collapse: what each change of the published recipe does to its seeds, from records."""

import numpy as np
from matplotlib.lines import Line2D

from qkdlib import records
from qkdlib.drawing import COLOURS, OTHER, Figure, styled
from qkdlib.records import statistics
from qkdlib.study.chapter import TITLES
from qkdlib.study.claims import Lacking
from qkdlib.study.collapse import changes
from qkdlib.study.collapse.table import validation
from qkdlib.workspace import Workspace


@styled
def figure(workspace: Workspace) -> Figure:
    """Every seed's validation accuracy after the last epoch, a row per change, collapsed seeds in colour.

    Raises:
        Lacking: there is no record.
    """
    shown = [(dataset, change, records.complete(each, workspace)) for dataset, change, each in changes.variants()]
    if all(record is None for *_, record in shown):
        raise Lacking("records of its experiments")
    drawn = Figure(figsize=(8.6, 0.32 * len(changes.CHANGES) + 1.1))
    axes = drawn.subplots(1, len(changes.STUDIED), sharey=True)
    names = list(changes.CHANGES)
    for axis, dataset in zip(axes, changes.STUDIED, strict=True):
        for name, change, record in shown:
            if name == dataset and record is not None:
                last, place = np.sort(validation(record)[:, -1]), names.index(change)
                heights = place + np.linspace(-0.28, 0.28, len(last))
                colours = [
                    OTHER if value < statistics.collapse_limit(record.experiment) else COLOURS["placebo"]
                    for value in last
                ]
                axis.scatter(last, heights, s=7, color=colours, linewidths=0)
                axis.plot([last.mean()] * 2, [place - 0.36, place + 0.36], color="#000000", linewidth=1.2)
                axis.axvline(
                    statistics.collapse_limit(record.experiment), color="#999999", linewidth=0.8, linestyle=":"
                )
        axis.set(title=f"{TITLES[dataset]} 0-7, 3 qubits", xlabel="validation accuracy (%)", xlim=(0, 100))
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    handles = [
        Line2D([], [], marker="o", linestyle="none", color=COLOURS["placebo"], markersize=3, label="seed"),
        Line2D([], [], marker="o", linestyle="none", color=OTHER, markersize=3, label="collapsed"),
        Line2D([], [], color="#000000", linewidth=1.2, label="mean"),
    ]
    axes[-1].legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1))
    return drawn
