"""Where things lie: one place that knows folders, so that nothing depends on the current directory."""

import os
from dataclasses import dataclass
from pathlib import Path

from qkdlib import checks


def project_root() -> Path:
    """The folder that relative paths count from: this project's checkout if the current folder lies in it, so that a
    notebook and `make` mean the same place; else the current folder."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        project = folder / "pyproject.toml"
        if project.is_file() and 'name = "qkdlib"' in project.read_text():
            return folder
    return here


def place(path: str | Path) -> Path:
    """The absolute path that a user means: `~` is her home, a relative one counts from `project_root()`."""
    return project_root() / Path(path).expanduser()


def data_root() -> Path:
    """Where data sets lie and are downloaded to: `QKD_DATA`, default `data/` in the project.

    Raises:
        ValueError: `QKD_DATA` is empty, or a file.
    """
    name = os.environ.get("QKD_DATA", "data")
    root = place(name)
    if not name.strip() or (root.exists() and not root.is_dir()):
        checks.fail("QKD_DATA", name, "a folder, which need not exist yet, or unset for data/")
    return root


@dataclass(frozen=True)
class Workspace:
    """The folders of one body of work: records, checkpoints, tables, figures.

    Args:
        root: relative paths count from `project_root()`. The default is the project itself, whose
            records, tables and figures are committed.
    """

    root: str | Path = "."

    def folder(self, *names: str) -> Path:
        """A folder below the root, made if it is missing."""
        path = place(self.root).joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def students(self) -> Path:
        """Run records of students."""
        return self.folder("results", "students")

    @property
    def teachers(self) -> Path:
        """Logits and curves of teachers."""
        return self.folder("results", "teachers")

    @property
    def checkpoints(self) -> Path:
        """Weights and unfinished trainings; never committed."""
        return self.folder("checkpoints")

    @property
    def figures(self) -> Path:
        """Figures, each as .pdf and .png."""
        return self.folder("figures")

    @property
    def tables(self) -> Path:
        """Tables, each as .csv, .md and .tex."""
        return self.folder("tables")
