"""Drawing of the three ways to distil (v2, Fig. 1)."""

from qkdlib.drawing import COLOURS, OTHER, Figure, styled
from qkdlib.drawing.drawings import PALE, canvas, draw_arrow, draw_box, draw_words

CLASSICAL, QUANTUM = (COLOURS["lenet"], 0.3), (OTHER, 0.4)
PANELS = (  # title, teacher, student, what this project says of it
    ("classical to classical", CLASSICAL, CLASSICAL, "Hinton et al. 2015: the usual way"),
    ("quantum to quantum", QUANTUM, QUANTUM, "needs a trained large quantum network"),
    ("classical to quantum", CLASSICAL, QUANTUM, "the paper's way, and this project's"),
)
NAMES = {CLASSICAL: "classical network", QUANTUM: "quantum circuit"}


@styled
def strategies() -> Figure:
    """Who teaches whom: a large frozen teacher's softened logits, a small trained student."""
    figure, axes = canvas(9.3, 2.75)
    for place, (title, teacher, student, remark) in enumerate(PANELS):
        left = 0.1 + 3.1 * place
        draw_box(axes, left, 0.1, 2.9, 2.55, face=PALE)
        draw_words(axes, left + 1.45, 2.48, title, 8.5, weight="bold")
        draw_words(axes, left + 1.45, 0.26, remark, 7, style="italic")
        draw_box(axes, left + 0.15, 1.45, 1.55, 0.8, f"large\n{NAMES[teacher]}", teacher, "")
        draw_box(axes, left + 0.35, 0.5, 1.15, 0.62, f"small\n{NAMES[student]}", student, "")
        draw_words(axes, left + 0.92, 1.34, "teacher, frozen", 6.5, style="italic")
        draw_words(axes, left + 0.92, 0.41, "student, trained", 6.5, style="italic")
        draw_box(axes, left + 2.02, 1.02, 0.75, 0.5, "KL of\nlogits / T")
        draw_arrow(axes, (left + 1.7, 1.85), (left + 2.4, 1.85), (left + 2.4, 1.52))
        draw_arrow(axes, (left + 1.5, 0.81), (left + 2.4, 0.81), (left + 2.4, 1.02))
    return figure
