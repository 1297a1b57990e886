"""Drawings of networks, from the shapes that their layers really give; and boxes, words and arrows of any other."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path
from torch import nn

from qkdlib import checks
from qkdlib.drawing.style import COLOURS, OTHER, Figure, styled

if TYPE_CHECKING:
    from matplotlib.typing import ColorType

INK, GREY, PALE = "#333333", "#dddddd", "#f4f4f4"
KNOWN = "Conv2d, AvgPool2d, MaxPool2d, Linear, Tanh, ReLU, Sigmoid, Dropout, Dropout2d, Flatten"


@dataclass(frozen=True)
class Stage:
    """A layer of `kind` `convolution`, `pooling` or `linear`, with dropout and flattening before it and the activation
    after it in its label, and the `shape` of its output, (C, H, W) or (units,)."""

    kind: str
    label: str
    shape: tuple[int, ...]
    parameters: int


def trace(network: nn.Sequential, shape: tuple[int, int, int]) -> list[Stage]:
    """The stages through which a zero image (C, H, W) goes. `ValueError`: the network is no `Sequential`, or a layer's
    type is unknown."""
    if not isinstance(network, nn.Sequential):
        checks.fail("network", type(network).__name__, "a torch.nn.Sequential")
    values = next(network.parameters(), torch.empty(0)).new_zeros(1, *shape)
    stages: list[Stage] = []
    waiting: list[str] = []
    with torch.inference_mode():
        for place, layer in enumerate(network):
            kind, phrase = _describe(place, layer)
            # Left out, dropout draws no random number and the caller's train or eval mode does not matter.
            values = values if kind == "dropout" else layer(values)
            if kind in ("convolution", "pooling", "linear"):
                count = sum(parameter.numel() for parameter in layer.parameters())
                stages.append(Stage(kind, ", ".join([*waiting, phrase]), tuple(values.shape[1:]), count))
                waiting = []
            elif kind == "activation" and stages and not waiting:
                stages[-1] = replace(stages[-1], label=f"{stages[-1].label}, {phrase}")
            else:
                waiting.append(phrase)
    if waiting and stages:
        stages[-1] = replace(stages[-1], label=", ".join([stages[-1].label, *waiting]))
    return stages


def _describe(place: int, layer: nn.Module) -> tuple[str, str]:
    """Kind and words of the layer at a place of its network."""
    match layer:
        case nn.Conv2d():
            size = "x".join(map(str, layer.kernel_size))
            return "convolution", f"conv {size}" + _unusual(layer, stride=1, padding=0, dilation=1, groups=1)
        case nn.AvgPool2d() | nn.MaxPool2d():
            words = f"{type(layer).__name__[:3].lower()} pool {_size(layer.kernel_size)}"
            return "pooling", words + _unusual(layer, stride=layer.kernel_size, padding=0)
        case nn.Tanh() | nn.ReLU() | nn.Sigmoid():
            return "activation", {"Tanh": "tanh", "Sigmoid": "sigmoid"}.get(type(layer).__name__, "ReLU")
        case nn.Dropout() | nn.Dropout2d():
            return "dropout", f"dropout {layer.p:g}"
        case nn.Linear() | nn.Flatten():
            return (type(layer).__name__.lower(),) * 2
    checks.fail(f"layer {place}", type(layer).__name__, "one of " + KNOWN)


def _size(value: int | tuple[int, ...]) -> str:
    """2 and (2, 2) are `2`; (2, 3) is `2x3`."""
    sizes = value if isinstance(value, tuple) else (value,)
    return str(sizes[0]) if len(set(sizes)) == 1 else "x".join(map(str, sizes))


def _unusual(layer: nn.Module, **usual: int | tuple[int, ...]) -> str:
    """The settings of a layer that are not as usual, each after a comma."""
    said = {name: _size(getattr(layer, name)) for name in usual}
    return "".join(f", {name} {said[name]}" for name, value in usual.items() if said[name] != _size(value))


@styled
def architecture(network: nn.Sequential, shape: tuple[int, int, int], title: str) -> Figure:
    """A teacher for images (C, H, W), drawn from the shapes of its layers' outputs (v1, Fig. 3 and 4). Maps are as high
    as their side and as deep as the logarithm of their channels, bars as high as that of their units."""
    stages = [Stage("image", "image", tuple(shape), 0), *trace(network, shape)]
    pitch = max(0.92, 8.3 / len(stages))
    top = 1.8 + 0.13 * max(stage.label.count(", ") for stage in stages)
    figure, axes = canvas(0.7 + pitch * len(stages), top + 0.38)
    units = max((stage.shape[0] for stage in stages if len(stage.shape) == 1), default=1)
    colour = COLOURS.get(type(network).__name__.lower(), OTHER)
    for y, words in ((1.68, "layer"), (0.42, "output"), (0.2, "parameters")):
        draw_words(axes, 0.05, y, words, 7, ha="left", color="#777777")
    edge = None
    for place, stage in enumerate(stages):
        x = 0.7 + pitch * (place + 0.5)
        half = draw_output(axes, x, 1.06, stage, max(shape[1:]), units, colour) / 2 + 0.03
        if edge:
            draw_arrow(axes, (edge, 1.06), (x - half, 1.06))
        edge = x + half
        draw_words(axes, x, 1.62, stage.label.replace(", ", ",\n"), 7, va="bottom")
        draw_words(axes, x, 0.42, " x ".join(map(str, stage.shape)))
        draw_words(axes, x, 0.2, f"{stage.parameters:,}" if place else "", 7)
    total = sum(stage.parameters for stage in stages)
    draw_words(axes, figure.get_figwidth() / 2, top + 0.22, f"{title}: {total:,} parameters", 9, weight="bold")
    return figure


def draw_output(axes: Axes, x: float, y: float, stage: Stage, side: int, units: int, colour: str) -> float:
    """Draw a stage's output around (x, y); `side` and `units` are the largest of all. Returns its width."""
    if len(stage.shape) == 1:
        height = 0.85 * math.log1p(stage.shape[0]) / math.log1p(units)
        axes.add_patch(Rectangle((x - 0.035, y - height / 2), 0.07, height, facecolor=colour, edgecolor=INK, lw=0.6))
        return 0.07
    height, width = (max(0.06, 0.5 * length / side) for length in stage.shape[1:])
    slices = 1 + round(math.log2(stage.shape[0]))
    face = {"image": GREY, "pooling": (colour, 0.2)}.get(stage.kind, (colour, 0.6))
    for place in range(slices):  # from the one behind, above right, to the front
        shift = 0.027 * ((slices - 1) / 2 - place)
        corner = (x - width / 2 + shift, y - height / 2 + shift)
        for paint in ("white", face):  # or the slices behind would shine through
            axes.add_patch(Rectangle(corner, width, height, facecolor=paint, edgecolor=INK, lw=0.6))
    return width + 0.027 * (slices - 1)


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure and its one invisible axes, which counts in inches from the lower left corner."""
    # "none" is missing in matplotlib's types alone.
    figure = Figure(figsize=(width, height), layout="none")  # type: ignore[arg-type]
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return figure, axes


def draw_box(
    axes: Axes, x: float, y: float, width: float, height: float, words: str = "", face: "ColorType" = "white",
    note: str = "", edge: str = INK, size: float = 7.5,
) -> None:  # fmt: skip
    """A box with the lower left corner (x, y), and words in its middle with an italic note under them."""
    style = f"round,pad=0,rounding_size={min(0.05, height / 8)}"
    axes.add_patch(FancyBboxPatch((x, y), width, height, style, facecolor=face, edgecolor=edge, lw=0.8))
    draw_words(axes, x + width / 2, y + height / 2 + (0.11 if note else 0), words, size)
    draw_words(axes, x + width / 2, y + 0.17, note, size - 0.5, style="italic")


def draw_words(axes: Axes, x: float, y: float, words: str, size: float = 7.5, **font: Any) -> None:
    """Words around (x, y)."""
    axes.text(x, y, words, fontsize=size, **{"ha": "center", "va": "center", **font})


def draw_arrow(axes: Axes, *points: tuple[float, float], colour: str = INK, **line: Any) -> None:
    """A line through points with a head at the last."""
    axes.add_patch(FancyArrowPatch(path=Path(points), arrowstyle="-|>", mutation_scale=7, color=colour, **line))
