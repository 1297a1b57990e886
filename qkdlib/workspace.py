"""Where things lie: one place that knows folders, so that nothing depends on the current directory."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from qkdlib import checks

A_FOLDER = "a folder, which need not exist yet"


def project_root() -> Path:
    """The folder that relative paths count from: this project's checkout if the current folder lies in it, so that a
    notebook and `make` mean the same place; else the current folder. A checkout is known by the package that lies in
    it; nobody's file is opened."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if all(os.path.isfile(folder / name) for name in ("pyproject.toml", "qkdlib/__init__.py")):
            return folder
    return here


def place(path: str | os.PathLike, name: str = "path") -> Path:
    """The absolute path that a user means: `~` is her home, a relative one counts from `project_root()`. `ValueError`:
    the parameter called `name` is empty, or no path on this system."""
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str) or not text.strip():
        checks.fail(name, path, "a path, which is not empty")
    try:
        meant = Path(text).expanduser()
        meant = meant if meant.is_absolute() else project_root() / meant
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            os.lstat(meant)
    except (OSError, RuntimeError, ValueError) as error:  # too long, of an unknown home, with a zero byte
        checks.fail(name, path, f"a path that this system takes ({getattr(error, 'strerror', None) or error})")
    return meant


def folder_place(path: str | os.PathLike, name: str) -> Path:
    """As `place`, of a folder that is there or can be made. `ValueError`: it, or one above it, is a file."""
    meant = place(path, name)
    there = next(folder for folder in (meant, *meant.parents) if os.path.lexists(folder))
    if not os.path.isdir(there):
        checks.fail(name, path, A_FOLDER if there == meant else f"{A_FOLDER}; {there} is none")
    return meant


def data_root() -> Path:
    """Where data sets lie and are downloaded to: `QKD_DATA`, default `data/` in the project. Errors as of `place`."""
    return folder_place(os.environ.get("QKD_DATA", "data"), "QKD_DATA")


@dataclass(frozen=True)
class Workspace:
    """The folders of one body of work below `root`: records, checkpoints, tables, figures. The default is the project
    itself, whose records, tables and figures are committed. `ValueError`: `root` is no path, or a file."""

    root: str | os.PathLike = "."

    def __post_init__(self) -> None:
        folder_place(self.root, "workspace")

    @classmethod
    def of(cls, given: "Workspace | str | os.PathLike") -> "Workspace":
        """`given` itself if it is a workspace, else the one with that root."""
        return given if isinstance(given, Workspace) else cls(given)

    def path(self, *names: str) -> Path:
        """A folder below the root, which need not be there, to read from."""
        return place(self.root, "workspace").joinpath(*names)

    def folder(self, *names: str) -> Path:
        """A folder below the root, made if it is missing. Where none can be made there is nothing to read; writing says
        why it fails."""
        path = self.path(*names)
        with contextlib.suppress(OSError):
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
    def executions(self) -> Path:
        """Records of executions on backends."""
        return self.folder("results", "executions")

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
