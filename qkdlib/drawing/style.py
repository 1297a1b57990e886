"""The one style of all figures, and how a figure is saved."""

import importlib.resources
import io
from pathlib import Path

import matplotlib
import matplotlib.figure

from qkdlib.files import atomic

STYLE = importlib.resources.files("qkdlib.drawing").joinpath("style.mplstyle")
COLOURS = {"placebo": "#7f7f7f", "lenet": "#0072b2", "alexnet": "#d55e00", "ensemble": "#009e73"}
OTHER = "#cc79a7"
PAPER = "#000000"


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that a notebook shows whatever its plotting backend is."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
        return buffer.getvalue()


def styled(draw):
    """Draw under the one style file, without a window and without touching the reader's own settings."""

    def wrapper(*arguments, **options) -> Figure:
        with matplotlib.rc_context(fname=str(STYLE)):
            return draw(*arguments, **options)

    wrapper.__doc__, wrapper.__name__ = draw.__doc__, draw.__name__
    return wrapper


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write `<name>.pdf` and `<name>.png` atomically, without a date, so that equal figures are equal files."""
    paths = [Path(folder) / f"{name}.{ending}" for ending in ("pdf", "png")]
    for path in paths:
        with atomic(path) as temporary:
            metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
            figure.savefig(temporary, metadata=metadata)
    return paths
