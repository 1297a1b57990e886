"""v2's figures: the reducers on real images (Fig. 11), and the errors of the seven methods (Fig. 12)."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from qkdlib.drawing import COLOURS, OTHER, PAPER, Figure, styled
from qkdlib.images import Splits
from qkdlib.records import statistics
from qkdlib.students import Student
from qkdlib.students.fixed_reducers import grid
from qkdlib.study.chapter import TITLES
from qkdlib.study.claims import Lacking
from qkdlib.study.v1.figures import images_of
from qkdlib.study.v2 import ablation, revised
from qkdlib.study.v2.ablation import Evidence
from qkdlib.workspace import Workspace

SHOWN = ("fully_connected", "avg_pool", "max_pool", "center_crop", "pca")
LABELS = {
    "fully_connected": "fully connected\n(untrained)", "avg_pool": "average\npooling", "max_pool": "maximum\npooling",
    "center_crop": "centre\ncrop", "pca": "PCA", "angle": "FC + angle", "qubit": "FC + qubit", "original": "original",
}  # fmt: skip
EXAMPLES = {"mnist": 3, "fashion_mnist": 0, "cifar10": 1}  # the first image of this class: a 3, a shirt, a car
WIDTH = 0.4


@styled
def figure_11(parts: Mapping[str, Splits], qubits: tuple[int, ...] = revised.QUBITS) -> Figure:
    """What each reducer makes of one real image of each data set, for each number of qubits, as the grid of its 2^Q
    features. Pixels are grey, 1 is black where images are grey and white where they have colour; features that can be
    negative are red and blue.

    Args:
        parts: images with ten classes, by the name of the data set.
    """
    figure = Figure(figsize=(1.15 * (1 + len(SHOWN)) + 0.9, 1.1 * len(parts) * len(qubits) + 0.5))
    axes = figure.subplots(len(parts) * len(qubits), 1 + len(SHOWN), squeeze=False)
    for place, (dataset, splits) in enumerate(parts.items()):
        image = splits.train.x[splits.train.y == EXAMPLES.get(dataset, 0)][:1]
        for row, size in zip(axes[place * len(qubits) :], qubits, strict=False):
            _picture(row[0], image[0].permute(1, 2, 0).squeeze(-1).numpy(), "gray_r", 0, 1)
            row[0].set_ylabel(f"{TITLES.get(dataset, dataset)}\n{size} qubits", fontsize=8)
            for axis, name in zip(row[1:], SHOWN, strict=True):
                _reduced(axis, name, image, splits, size)
    for axis, name in zip(axes[0], ("image", *SHOWN), strict=True):
        axis.set_title(LABELS.get(name, name), fontsize=8)
    return figure


def of_paper(_: Workspace) -> Figure:
    """`figure_11` of the first images of v2's students."""
    bars = {name: revised.at_hand(revised.bar("original", name, 4)).experiment for name in revised.DATASETS}
    return figure_11(images_of(bars))


def _reduced(axis, name: str, image: torch.Tensor, splits: Splits, qubits: int) -> None:
    experiment = revised.student(qubits=qubits, reducer=name)
    student = Student(experiment, splits.shape, [0]).fit_reducer(splits.train.x)
    with torch.inference_mode():
        features = student.reducer(student.reducer.prepare(image))[0, 0]
    cells = features.view(grid(len(features))).numpy()
    if student.reducer.pixels:
        _picture(axis, cells, "gray_r" if len(image[0]) == 1 else "gray", 0, 1)
    else:
        reach = float(np.abs(cells).max())
        _picture(axis, cells, "RdBu", -reach, reach)


def _picture(axis, values: np.ndarray, colours: str, low: float, high: float) -> None:
    axis.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)


def found(workspace: Workspace, regime: str) -> list[Evidence]:
    """The bars of Fig. 12 that have records in a regime."""
    return [evidence for bar in revised.bars(regime) if (evidence := ablation.evidence(bar, workspace)) is not None]


@styled
def figure_12(workspace: Workspace) -> Figure:
    """Mean error of the seven methods with its 95 % interval: bars side by side for 4 and 8 qubits (the paper stacks
    them), distilled from LeNet; circles are the placebo, diamonds the paper's. One row for each regime."""
    regimes = {each: bars for each in (revised.DEFAULT, revised.CONVERGED) if (bars := found(workspace, each))}
    if not regimes:
        raise Lacking("records of its bars")
    figure = Figure(figsize=(11, 2.9 * len(regimes) + 0.5))
    panels = figure.subplots(len(regimes), len(revised.DATASETS), squeeze=False, sharey=True)
    for row, (regime, bars) in zip(panels, regimes.items(), strict=True):
        for evidence in bars:
            _bar(row[revised.DATASETS.index(evidence.bar.dataset)], evidence)
        for axis, dataset in zip(row, revised.DATASETS, strict=True):
            axis.axhline(90, color="#999999", linewidth=0.8, linestyle=":")
            axis.set(title=f"{TITLES[dataset]}, {regime}", ylim=(0, 100), xlim=(-0.6, len(revised.METHODS) - 0.4))
            axis.set_xticks(
                range(len(revised.METHODS)), [_short(method) for method in revised.METHODS], rotation=35, ha="right"
            )
            axis.grid(axis="x", visible=False)
        row[0].set_ylabel("error (%)")
    marks = [
        *(Patch(color=_colour(qubits), label=f"{qubits} qubits, from LeNet") for qubits in revised.QUBITS),
        Line2D(
            [], [], marker="o", color=PAPER, markerfacecolor="white", linestyle="none", markersize=4, label="placebo"
        ),
        Line2D([], [], marker="D", color=PAPER, linestyle="none", markersize=3.5, label="paper"),
        Line2D([], [], color="#999999", linestyle=":", label="chance"),
    ]
    panels[0, -1].legend(handles=marks, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _bar(axis, evidence: Evidence) -> None:
    bar = evidence.bar
    x = list(revised.METHODS).index(bar.method) + (revised.QUBITS.index(bar.qubits) - 0.5) * WIDTH
    ours = statistics.summarise(evidence.errors("lenet"))
    axis.bar(x, ours.mean, WIDTH * 0.92, yerr=ours.reach, capsize=1.5, ecolor="#333333", color=_colour(bar.qubits))
    axis.plot(x, evidence.errors(None).mean(), marker="o", color=PAPER, markerfacecolor="white", markersize=3.5)
    axis.plot(x, bar.paper_error, marker="D", color=PAPER, markersize=3)


def _colour(qubits: int) -> str:
    return COLOURS["lenet"] if qubits == revised.QUBITS[0] else OTHER


def _short(method: str) -> str:
    return LABELS[method].replace("\n", " ")
