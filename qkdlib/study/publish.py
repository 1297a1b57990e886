"""Every table and figure of the study as files, from the records of a workspace: no notebook, no data, no training."""

from collections.abc import Callable

from qkdlib.study import artefacts, contents
from qkdlib.workspace import Workspace


def everything(workspace: Workspace, say: Callable[[str], None] = print) -> None:
    """Write all tables and figures that the pages of the study show, with a line for each page. Cells whose records the
    workspace lacks are empty; a figure that lacks records or images is named on stderr, and stays as it was."""
    for page in contents.pages().values():
        written = []
        for table in page.tables:
            artefacts.table(table, workspace, publish=True)
            written.append(f"table {table.name}")
        for picture in page.pictures:
            if artefacts.draw(picture, workspace, publish=True) is not None:
                written.append(f"figure {picture.name}")
        if written:
            say(f"{page.name}: {', '.join(written)}")
    say(f"written to {workspace.tables} and {workspace.figures}")
