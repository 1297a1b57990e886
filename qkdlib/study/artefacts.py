"""Tables and figures as files, as a page's outputs, and in the README."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from qkdlib import drawing, files
from qkdlib.study.chapter import Picture, Table
from qkdlib.study.claims import Lacking
from qkdlib.workspace import Workspace

if TYPE_CHECKING:
    from IPython.display import Image, Markdown

IN_TEX = str.maketrans(
    {letter: f"\\{letter}" for letter in "%_{}#&$"} | {"`": "'", "^": r"\^{}", "\\": r"\textbackslash{}"}
)
WIDEST = 1000  # pixels of a figure in a notebook


def table(chosen: Table, workspace: Workspace, publish: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table of a workspace's records: with all its columns, and as a reader wants it.

    Args:
        publish: also write its files, and put it into the README if that has a place for it.
    """
    frame = chosen.make(workspace)
    shown = chosen.readable(frame)
    if publish:
        write(frame, workspace.tables, chosen.name, chosen.notes, shown)
        embed(workspace.folder() / "README.md", chosen.name, markdown(_in_readme(chosen, shown)))
    return frame, shown


def _in_readme(chosen: Table, shown: pd.DataFrame) -> pd.DataFrame:
    if callable(chosen.in_readme):
        return chosen.in_readme(shown)
    return shown[list(chosen.in_readme)] if chosen.in_readme else shown


def show(shown: pd.DataFrame) -> None:
    """Display a table whole: every row, and no text cut."""
    from IPython.display import display

    with pd.option_context("display.max_rows", None, "display.max_colwidth", None):
        display(shown)


def draw(chosen: Picture, workspace: Workspace, publish: bool = False) -> drawing.Figure | None:
    """A figure of a workspace's records; None, and a line on stderr, where they or its images are not at hand.

    Args:
        publish: also write its files. Where there is no figure they are left as they were.
    """
    try:
        figure = chosen.draw(workspace)
    except Lacking as lacking:
        print(f"{chosen.name} needs {lacking.args[0]}: one that is there stays as it is", file=sys.stderr)
        return None
    if publish:
        drawing.save(figure, workspace.figures, chosen.name)
    return figure


def picture(chosen: Picture, workspace: Workspace, publish: bool = False) -> "drawing.Figure | Image | Markdown":
    """A figure of a workspace's records, to display in a notebook; the one that was drawn before where it lacks
    something.

    Args:
        publish: write its files, as `draw`, and show the written one.
    """
    from IPython.display import Image, Markdown

    figure = draw(chosen, workspace, publish)
    if figure is not None and not publish:
        figure.alt = chosen.alt
        return figure
    path = workspace.figures / f"{chosen.name}.png"
    if not path.exists():
        return Markdown(f"*{chosen.name}: not drawn yet*")
    png = path.read_bytes()
    return Image(png, width=min(WIDEST, int.from_bytes(png[16:20])), alt=chosen.alt)  # its own width is in its header


def write(frame: pd.DataFrame, folder: Path, name: str, notes: tuple[str, ...], shown: pd.DataFrame | None = None):
    """Write `<name>.csv` (all of `frame`), `.md` and `.tex` (booktabs; `shown`, or all), each atomically.

    Args:
        notes: paragraphs below the .md and .tex table: units and rules.
    """
    shown = frame if shown is None else shown
    with files.atomic(folder / f"{name}.csv") as path:
        frame.to_csv(path, index=False, float_format="%.6g", encoding="utf-8", lineterminator="\n")
    files.write_text(folder / f"{name}.md", markdown(shown) + "\n\n" + "\n\n".join(notes) + "\n")
    tex = shown.to_latex(index=False, escape=True) + "\n" + "\n\n".join(note.translate(IN_TEX) for note in notes) + "\n"
    files.write_text(folder / f"{name}.tex", tex)


def markdown(shown: pd.DataFrame) -> str:
    """A readable table in Markdown."""
    return shown.to_markdown(index=False, disable_numparse=True)


def embed(page: Path, name: str, text: str) -> None:
    """Put `text` between the page's markers `<!-- begin: name -->` and `<!-- end: name -->`, so that the numbers of a
    page are never copied by hand. A page without both markers stays as it is."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    if not page.exists():
        return
    beside = page.parent / "checkpoints" / f"{page.name}.lock"  # of notebooks that run side by side
    with files.lock(beside), files.checked(page):
        before = page.read_text(encoding="utf-8")
        head, *rest = before.split(begin, 1)
        if not rest or end not in rest[0]:
            return
        after = f"{head}{begin}\n{text}\n{end}{rest[0].split(end, 1)[1]}"
        if after != before:
            files.write_text(page, after)
