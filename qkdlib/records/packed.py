"""The records of the study, wherever qkdlib is installed: a checkout has them as loose files, a wheel in one file."""

import contextlib
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qkdlib.files import atomic, checked
from qkdlib.records.record import Record, read_all
from qkdlib.workspace import Workspace

PACKED = Path(__file__).with_name("paper.tar.xz")  # setup.py writes it into a wheel
CHECKOUT = Path(__file__).resolve().parents[2]
FOLDERS = ("students", "executions", "portable")  # the teachers' logits are larger than all the rest


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
def study(instead: str | os.PathLike | None = None) -> Iterator[Workspace]:
    """Give a workspace that holds the study's records (of students, of executions, and the portable ones): the checkout
    that this code lies in, or a temporary one of what the wheel has. Errors as of `paper`.

    Args:
        instead: a workspace's root; then it is just that one.
    """
    if instead is not None or is_checkout():
        yield Workspace(CHECKOUT if instead is None else instead)
        return
    with tempfile.TemporaryDirectory(prefix="qkd-") as folder:
        copy(Workspace(folder))
        yield Workspace(folder)


def is_checkout() -> bool:
    """Whether this code lies in a checkout that has the records."""
    return (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "results" / "students").is_dir()


def copy(workspace: Workspace) -> None:
    """Put the study's records into a workspace. Files that it already has stay as they are. Errors as of `paper`."""
    root = workspace.folder()
    for name, content in _contents():
        if not (root / name).exists():
            with atomic(root / name) as temporary:
                temporary.write_bytes(content)


def _contents() -> Iterator[tuple[str, bytes]]:
    """The name of each record's file, counted from a workspace, and what is in it."""
    if is_checkout():
        for path in sorted(path for name in FOLDERS for path in (CHECKOUT / "results" / name).glob("[!.]*.json")):
            yield path.relative_to(CHECKOUT).as_posix(), path.read_bytes()
    elif PACKED.is_file():
        with checked(PACKED), tarfile.open(PACKED, "r:xz") as archive:
            for entry in archive:
                file = archive.extractfile(entry)
                if file is None:
                    raise ValueError(f"{entry.name} is no file")
                yield entry.name, file.read()
    else:
        raise FileNotFoundError(
            f"the study's records are not here: there is no {PACKED}, and {CHECKOUT} is no checkout; install the wheel "
            "that `make wheel` builds, or clone the repository"
        )
