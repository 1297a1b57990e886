"""The records of the study, wherever qkdlib is installed: a checkout has them as loose files, a wheel in one file."""

import contextlib
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qkdlib.files import atomic, checked
from qkdlib.records.record import Record, read_all
from qkdlib.workspace import Workspace

PACKED = Path(__file__).with_name("paper.tar.xz")  # setup.py writes it into a wheel
CHECKOUT = Path(__file__).resolve().parents[2]


def paper() -> list[Record]:
    """The record of every experiment of the study, by name, as its tables and figures show them:
    `records.arms(records.paper())`, `records.load(records.paper())`.

    Raises:
        FileNotFoundError: qkdlib was installed without them.
        Damaged: their file cannot be read.
    """
    with study() as workspace:
        return read_all(workspace)


@contextlib.contextmanager
def study() -> Iterator[Workspace]:
    """Give a workspace that holds the study's records (of students, of executions, and the portable ones): the checkout
    that this code lies in, or a temporary one of what the wheel has. Errors as of `paper`."""
    if (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "results" / "students").is_dir():
        yield Workspace(CHECKOUT)
        return
    with tempfile.TemporaryDirectory(prefix="qkd-") as folder:
        unpack(Workspace(folder))
        yield Workspace(folder)


def unpack(workspace: Workspace) -> None:
    """Put the records that the wheel has into a workspace. Those that it already has stay as they are. Errors as of
    `paper`."""
    if not PACKED.is_file():
        raise FileNotFoundError(
            f"the study's records are not here: there is no {PACKED}, and {CHECKOUT} is no checkout; install the wheel "
            "that `make wheel` builds, or clone the repository"
        )
    root = workspace.folder()
    with checked(PACKED), tarfile.open(PACKED, "r:xz") as archive:
        for entry in archive:
            if not (root / entry.name).exists():
                with atomic(root / entry.name) as temporary, archive.extractfile(entry) as file:
                    temporary.write_bytes(file.read())
