"""Figures of any records, images, circuits and teachers."""

import itertools
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
import scipy.special
from matplotlib.axes import Axes

from qkdlib import checks, circuits
from qkdlib.circuit import Circuit
from qkdlib.drawing.style import COLOURS, Figure, colour, named_ones, some, styled
from qkdlib.images.datasets import Splits
from qkdlib.records import Record, statistics
from qkdlib.records import confusion as of_classes
from qkdlib.teachers.teacher_files import TeacherLogits

MOST_IMAGES = 100  # of a class that are drawn


@styled
def sample_images(parts: Splits | Mapping[str, Splits], per_class: int = 6) -> Figure:
    """The first training images of each class, a row per class (v1, Fig. 2); several data sets side by side.

    Args:
        parts: of images with 1 or 3 channels, which are shown as pixels from 0 to 1, however a student sees them.
    """
    named = parts if isinstance(parts, Mapping) else {"": parts}
    some("parts", named)
    checks.whole("per_class", per_class, maximum=MOST_IMAGES)
    for splits in named.values():
        if splits.all_train.shape[0] not in (1, 3):
            checks.fail("parts", f"images of shape {splits.all_train.shape}", "images of 1 or 3 channels")
    rows = max(len(splits.class_names) for splits in named.values())
    figure = Figure(figsize=((0.62 * per_class + 1.0) * len(named), 0.62 * rows + 0.3 * isinstance(parts, Mapping)))
    panels = figure.subfigures(1, len(named), squeeze=False)[0]
    for panel, (title, splits) in zip(panels, named.items(), strict=True):
        if title:
            panel.suptitle(title)
        axes = panel.subplots(len(splits.class_names), per_class, squeeze=False)
        pixels = splits.all_train.x[splits.students_rows()[0]]
        for place, name in enumerate(splits.class_names):
            chosen = pixels[splits.train.y == place][:per_class]
            for axis in axes[place]:
                _only_the_image(axis)
            for axis, image in zip(axes[place], chosen, strict=False):  # there may be fewer
                axis.imshow(image.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray_r", vmin=0, vmax=1)
            axes[place, 0].set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def _only_the_image(axis: Axes) -> None:
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


@styled
def circuit_diagram(*named: circuits.GateList | Circuit) -> Figure:
    """Circuits as Qiskit draws them, side by side (v1, Fig. 5)."""
    some("named", named)
    drawn = [circuits.to_qiskit(circuit) for circuit in named]
    widths = [3.6 * max(1, quantum.depth() / 5) for quantum in drawn]
    figure = Figure(figsize=(sum(widths), 2.6))
    axes = figure.subplots(1, len(named), squeeze=False, width_ratios=widths)[0]
    for axis, circuit, quantum in zip(axes, named, drawn, strict=True):
        quantum.draw("mpl", ax=axis, style="bw", plot_barriers=False)
        axis.set_title(f"{circuit.qubits} qubits")
    return figure


@styled
def loss_curves(records: Mapping[str, Record]) -> Figure:
    """Training and validation loss over the epochs, median and middle half of the seeds, on their true scale. Both are
    the same loss (v1, Fig. 6 rescales each curve to [0, 1], and leaves distillation out of validation)."""
    named_ones("records", records)
    figure = Figure(figsize=(3.2 * len(records), 2.8))
    for axis, (label, record) in zip(figure.subplots(1, len(records), squeeze=False)[0], records.items(), strict=True):
        epochs = np.arange(1, record.experiment.epochs + 1)
        for part, style in (("train", "-"), ("validation", "--")):
            found = [results[f"{part}_loss"] for results in record.seeds.values()]
            curves = np.full((len(found), max(map(len, found))), np.nan)  # (S, epochs); seeds may have stopped
            for row, curve in zip(curves, found, strict=True):
                row[: len(curve)] = curve
            finite = np.isfinite(curves).any(0)  # seeds may have diverged
            low, middle, high = np.nanquantile(curves[:, finite], [0.25, 0.5, 0.75], axis=0)
            there = epochs[: curves.shape[1]][finite]
            axis.plot(there, middle, style, color=colour(record), label=part)
            axis.fill_between(there, low, high, color=colour(record), alpha=0.15, linewidth=0)
        axis.set(title=label, xlabel="epoch", ylabel="loss")
        axis.set_xticks(epochs[:: max(1, len(epochs) // 5)])
        axis.legend()
    return figure


@styled
def teacher_curves(teachers: Mapping[str, TeacherLogits]) -> Figure:
    """Test accuracy of teachers over their epochs; an ensemble of trained networks is one line across."""
    named_ones("teachers", teachers)
    figure = Figure(figsize=(4.6 if len(teachers) <= 3 else 7.0, 2.8))
    axis = figure.subplots()
    colours = itertools.cycle(matplotlib.color_sequences["tab20"])
    for name, logits in teachers.items():
        values = [100 * epoch["test_accuracy"] for epoch in logits.history]
        colour_of = COLOURS.get(name) or next(colours)
        if len(values) == 1:
            axis.axhline(values[0], color=colour_of, linestyle="--", label=name)
        else:
            axis.plot(range(1, len(values) + 1), values, marker=".", color=colour_of, label=name)
    axis.set(xlabel="epoch", ylabel="test accuracy (%)")
    axis.locator_params("x", integer=True)
    axis.legend(**({"loc": "upper left", "bbox_to_anchor": (1, 1)} if len(teachers) > 3 else {}))
    return figure


@styled
def softened(
    image: np.ndarray | None, logits: np.ndarray, names: tuple[str, ...], temperatures: tuple[float, ...]
) -> Figure:
    """What a teacher says of an image at each temperature.

    Args:
        image: (H, W) or (H, W, C); None: not shown.
        logits: (classes,).
    """
    some("temperatures", temperatures)
    figure = Figure(figsize=(1.6 * (image is not None) + 2.2 * len(temperatures), 1.9))
    widths = [1] * (image is not None) + [1.6] * len(temperatures)
    axes = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    if image is not None:
        axes[0].imshow(image, cmap="gray_r")
        _only_the_image(axes[0])
    for axis, temperature in zip(axes[-len(temperatures) :], temperatures, strict=True):
        axis.bar(range(len(names)), scipy.special.softmax(logits / temperature), color=COLOURS["lenet"])
        axis.set(title=f"T = {temperature:g}", ylim=(0, 1))
        axis.set_xticks(range(len(names)), names)
        axis.grid(axis="x", visible=False)
    axes[-len(temperatures)].set_ylabel("probability")
    return figure


@styled
def seed_spread(records: Mapping[str, Record]) -> Figure:
    """Every seed's accuracy, of the weights that are kept, as a point: one look shows how much one run can tell."""
    named_ones("records", records)
    figure = Figure(figsize=(2.2 * len(records) + 1.2, 3.2))
    axis = figure.subplots()
    for place, record in enumerate(records.values()):
        values = np.sort(statistics.accuracies(record, statistics.kept_outcome(record)))
        _points(axis, place, values, colour(record))
    chance = {100 / len(record.experiment.classes) for record in records.values()}
    for number, level in enumerate(sorted(chance)):
        axis.axhline(level, color="#999999", linewidth=0.8, linestyle=":", label=None if number else "chance")
    axis.set_xticks(range(len(records)), [label.replace(", ", "\n") for label in records])
    axis.set(ylabel="test accuracy (%)", ylim=(0, 104))
    axis.grid(axis="x", visible=False)
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _points(axis: Axes, place: int, values: np.ndarray, colour: str) -> None:
    """Sorted values as points around a place of the x axis, and their mean as a line."""
    # Points side by side, in an order that repeats, because jitter would need a seed.
    offsets = 0.3 * np.linspace(-1, 1, len(values)) if len(values) > 1 else np.zeros(1)
    axis.scatter(place + offsets, values, s=18, color=colour, alpha=0.75, linewidths=0)
    axis.hlines(values.mean(), place - 0.36, place + 0.36, color=colour, linewidth=1.2)


@styled
def confusion(record: Record, names: Sequence[str] | None = None) -> Figure:
    """Of the test images of each class, in percent, what they are taken for, as the mean over the seeds.

    Args:
        names: of the classes, such as `splits(experiment).class_names`; None: their indices in the data set.
    """
    shares, labels = _shares(record).mean(0), _class_names(record, names)
    columns = [*labels, "none"] if shares[:, -1].any() else labels
    size = max(0.42 * len(labels) + 1.2, 2.4)
    figure = Figure(figsize=(size + 0.42 * (len(columns) - len(labels)) + 0.5, size))
    axis = figure.subplots()
    shown = 100 * shares[:, : len(columns)]
    _cells(axis, shown, [f"{share:.0f}" for share in shown.flat], 0, 100)
    axis.set(xlabel="taken for", ylabel="class", title=f"{len(record.seeds)} seeds, % of each class")
    axis.set_xticks(range(len(columns)), columns, rotation=90 * (max(map(len, columns)) > 4))
    axis.set_yticks(range(len(labels)), labels)
    return figure


@styled
def recalls(record: Record, names: Sequence[str] | None = None) -> Figure:
    """The recall of each class, every seed a point: a class at 0 % is lost. `names` as of `confusion`."""
    found, labels = 100 * of_classes.recalls(record), _class_names(record, names)
    figure = Figure(figsize=(0.62 * len(labels) + 1.2, 3.0))
    axis = figure.subplots()
    for place, values in enumerate(np.sort(found, axis=0).T):
        _points(axis, place, values, colour(record))
    axis.set_xticks(range(len(labels)), labels, rotation=90 * (max(map(len, labels)) > 4))
    axis.set(xlabel="class", ylabel="recall (%)", ylim=(-4, 104))
    axis.grid(axis="x", visible=False)
    return figure


@styled
def heatmap(table: pd.DataFrame, label: str = "") -> Figure:
    """A table of numbers as coloured cells that show them.

    Args:
        table: numbers, NaN for a cell that is empty; its columns and rows, and their names, are the axes'.
        label: what the numbers are.
    """
    some("table", table.columns)
    columns, rows = [str(each) for each in table.columns], [str(each) for each in table.index]
    wide = max(map(len, columns))
    figure = Figure(figsize=(max(0.62, 0.09 * wide) * len(columns) + 1.9, 0.42 * len(rows) + 1.2))
    axis, values = figure.subplots(), table.to_numpy(dtype=float)
    there = values[np.isfinite(values)]
    low, high = (there.min(), there.max()) if there.size else (0.0, 1.0)
    _cells(axis, values, [f"{value:.1f}" if np.isfinite(value) else "" for value in values.flat], low, high)
    axis.set(xlabel=table.columns.name or "", ylabel=table.index.name or "", title=label)
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), rows)
    return figure


def _cells(axis: Axes, values: np.ndarray, texts: Sequence[str], low: float, high: float) -> None:
    """Values (rows, columns) as coloured cells from `low` to `high`, each with its text in a colour that is seen."""
    axis.imshow(values, cmap="Blues", vmin=low, vmax=high if high > low else low + 1, aspect="auto")
    middle = (low + high) / 2
    for (row, column), text in zip(np.ndindex(values.shape), texts, strict=True):
        seen = "white" if values[row, column] > middle else "black"
        axis.text(column, row, text, ha="center", va="center", color=seen, fontsize=7.5)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)


def _shares(record: Record) -> np.ndarray:
    """For each seed and class which share of its images is taken for what, (S, C, C + 1)."""
    counts = of_classes.confusions(record)
    return counts / np.maximum(counts.sum(-1, keepdims=True), 1)


def _class_names(record: Record, names: Sequence[str] | None) -> list[str]:
    classes = record.experiment.classes
    if names is not None and len(names) != len(classes):
        checks.fail("names", names, f"a name for each of the {len(classes)} classes")
    return [str(each) for each in (classes if names is None else names)]
