"""Fig. 1 of v1: the method."""

from matplotlib.axes import Axes
from matplotlib.patches import Arc

from qkdlib.drawing import COLOURS, OTHER, Figure, styled
from qkdlib.drawing.drawings import (
    GREY,
    INK,
    PALE,
    Stage,
    canvas,
    draw_arrow,
    draw_box,
    draw_output,
    draw_words,
)


@styled
def method() -> Figure:
    """How a student learns: from the labels, and from a frozen teacher's logits (v1, Fig. 1)."""
    figure, axes = canvas(9.1, 3.6)
    draw_output(axes, 0.5, 2.2, Stage("image", "images", (8, 28, 28), 0), 28, 1, INK)
    draw_words(axes, 0.5, 1.78, "images")
    draw_box(axes, 1.1, 2.55, 5.3, 0.95, face=PALE)
    draw_words(axes, 1.22, 3.32, "classical teacher", 8, ha="left", weight="bold")
    draw_words(axes, 6.28, 3.32, "pre-trained, frozen", ha="right", style="italic")
    for x, words, name in ((1.22, "LeNet", "lenet"), (3.0, "AlexNet", "alexnet"), (4.78, "both, averaged", "ensemble")):
        draw_box(axes, x, 2.67, 1.5, 0.45, words, (COLOURS[name], 0.35), edge=COLOURS[name])
    draw_words(axes, 2.86, 2.895, "or", 7)
    draw_words(axes, 4.64, 2.895, "or", 7)
    draw_box(axes, 6.68, 2.75, 0.62, 0.54, "teacher's\nlogits")
    draw_arrow(axes, (6.4, 3.02), (6.68, 3.02))
    _student(axes)
    _losses(axes)
    draw_arrow(axes, (0.5, 2.56), (0.5, 3.02), (1.1, 3.02))
    draw_arrow(axes, (0.5, 1.66), (0.5, 1.23), (1.22, 1.23))
    return figure


def _student(axes: Axes) -> None:
    """The lower way: a trained reducer's features are the angles of a circuit."""
    draw_box(axes, 1.1, 0.55, 5.3, 1.62, face=PALE)
    draw_words(axes, 1.22, 1.99, "quantum student", 8, ha="left", weight="bold")
    draw_box(axes, 1.22, 0.88, 0.78, 0.7, "reducer\n(CNN)", (OTHER, 0.45), "trained", OTHER)
    draw_box(axes, 2.2, 0.93, 0.75, 0.6, "angles\n$\\theta_k = \\pi\\,\\tanh f_k$")
    _circuit(axes, 3.15, 0.65)
    draw_box(axes, 4.85, 0.93, 0.73, 0.6, "outcome\nfrequencies")
    draw_box(axes, 5.76, 0.93, 0.52, 0.6, "read-out")
    draw_box(axes, 6.68, 0.95, 0.62, 0.56, "student's\nlogits")
    for start, end in ((2.0, 2.2), (2.95, 3.15), (4.65, 4.85), (5.58, 5.76), (6.28, 6.68), (7.3, 7.6)):
        draw_arrow(axes, (start, 1.23), (end, 1.23))


def _circuit(axes: Axes, x: float, y: float) -> None:
    """Three wires with Hadamard, rotation and measurement, in a box with the corner (x, y)."""
    draw_box(axes, x, y, 1.5, 1.2)
    draw_words(axes, x + 0.75, y + 1.07, "quantum circuit")
    draw_words(axes, x + 0.75, y + 0.12, "no parameter of its own", 7, style="italic")
    for wire, level in enumerate((y + 0.84, y + 0.58, y + 0.32)):
        axes.plot([x + 0.08, x + 1.18], [level, level], color=INK, lw=0.7, zorder=1)
        draw_box(axes, x + 0.17, level - 0.1, 0.2, 0.2, "H", size=6)
        draw_box(axes, x + 0.5, level - 0.1, 0.54, 0.2, f"RY($\\theta_{wire}$)", size=6)
        draw_box(axes, x + 1.17, level - 0.1, 0.25, 0.2)
        axes.add_patch(Arc((x + 1.295, level - 0.05), 0.16, 0.16, theta1=0, theta2=180, color=INK, lw=0.7))
        axes.plot([x + 1.295, x + 1.37], [level - 0.05, level + 0.07], color=INK, lw=0.7)


def _losses(axes: Axes) -> None:
    """Both parts of the loss, and what its gradient changes."""
    draw_box(axes, 7.6, 2.7, 1.4, 0.64, "KL divergence", note="softened by T")
    draw_box(axes, 7.6, 0.97, 0.95, 0.52, "cross entropy")
    draw_box(axes, 6.68, 0.5, 0.62, 0.27, "labels", GREY)
    draw_box(axes, 7.6, 0.1, 1.4, 0.56, "loss = ce_weight CE\n+ kd_weight $T^2$ KL", PALE)
    draw_arrow(axes, (7.3, 3.02), (7.6, 3.02))
    draw_arrow(axes, (6.99, 1.51), (6.99, 2.1), (8.0, 2.1), (8.0, 2.7))
    draw_arrow(axes, (7.3, 0.635), (7.42, 0.635), (7.42, 1.07), (7.6, 1.07))
    draw_arrow(axes, (8.07, 0.97), (8.07, 0.66))
    draw_arrow(axes, (8.78, 2.7), (8.78, 0.66))
    draw_arrow(axes, (7.6, 0.26), (1.61, 0.26), (1.61, 0.88), linestyle="--", colour=OTHER)
    draw_words(axes, 4.1, 0.36, "gradient", 7, style="italic")
