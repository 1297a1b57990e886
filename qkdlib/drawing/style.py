"""The one style of all figures, what may be drawn, and how a figure is saved."""

import base64
import functools
import importlib.resources
import io
import re
from collections.abc import Callable, Mapping, Sized
from pathlib import Path
from typing import ParamSpec

import matplotlib
import matplotlib.figure

from qkdlib import checks
from qkdlib.files import atomic
from qkdlib.records import Record

P = ParamSpec("P")

STYLE = importlib.resources.files("qkdlib.drawing").joinpath("style.mplstyle")
COLOURS = {"placebo": "#7f7f7f", "lenet": "#0072b2", "alexnet": "#d55e00", "ensemble": "#009e73"}
OTHER = "#cc79a7"
PAPER = "#000000"


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that a notebook shows whatever its plotting backend is, with a text for those who do not see
    it: `alt`, by default what the function that drew it says of itself."""

    alt = ""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict, dict]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
        picture = base64.b64encode(buffer.getvalue()).decode()
        return {"image/png": picture, "text/plain": self.alt}, {"image/png": {"alt": self.alt}}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under the one style file, without a window and without touching the reader's own settings."""

    @functools.wraps(draw)
    def wrapper(*arguments: P.args, **options: P.kwargs) -> Figure:
        with matplotlib.rc_context(fname=str(STYLE)):
            figure = draw(*arguments, **options)
        figure.alt = _first_sentence(draw.__doc__ or "")
        return figure

    return wrapper


def some(name: str, given: Sized) -> None:
    """Raise `ValueError` where nothing is given to be drawn."""
    if not len(given):
        checks.fail(name, given, "at least one to draw")


def named_ones(name: str, given: Mapping) -> None:
    """Raise `ValueError` unless things to be drawn have names."""
    if not isinstance(given, Mapping):
        checks.fail(name, given, "a dictionary of what to draw, by what it is called")
    some(name, given)


def colour(record: Record) -> str:
    """The colour of an arm: grey for a placebo, else its teacher's."""
    teacher = record.experiment.teacher
    return COLOURS.get(teacher.architecture if teacher else "placebo", OTHER)


def _first_sentence(text: str) -> str:
    """Of a docstring, without what stands in brackets and behind a colon."""
    plain = re.sub(r" \([^)]*\)", "", " ".join(text.split()))
    return re.split(r"[.:;](?: |$)", plain)[0]


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write `<name>.pdf` and `<name>.png` atomically, without a date, so that equal figures are equal files."""
    paths = [Path(folder) / f"{name}.{ending}" for ending in ("pdf", "png")]
    for path in paths:
        with atomic(path) as temporary:
            metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
            figure.savefig(temporary, metadata=metadata)
    return paths
