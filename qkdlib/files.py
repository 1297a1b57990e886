"""How files are written, whole or not at all, and read.

Writing is atomic, under a lock where several processes may write. What is read is checked: that it is whole, of the
expected kind and not larger than it can rightly be. What fails is `Damaged`, and may be set aside under a name that
says so; nothing that cannot be read is overwritten.
"""

import contextlib
import functools
import json
import os
import shutil
import socket
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from qkdlib import checks

P = ParamSpec("P")
T = TypeVar("T")

MOST_TEXT = 64 << 20  # bytes of a JSON file: the largest record has less than one
PROBE = 1 << 16  # bytes of the file that tries a folder
ABANDONED = 24 * 3600  # seconds after which another machine's unfinished file counts as left behind


class Damaged(ValueError):
    """A file that cannot be trusted; the message names it and says why."""

    def __init__(self, path: Path, reason: object):
        super().__init__(f"{path} is damaged: {checks.line(reason, 200)}")
        self.path = Path(path)


class DamagedFile(UserWarning):
    """A file that cannot be read, and was passed over or set aside."""


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; it takes the place of `path` only if all went well. Temporary
    files that killed processes have left in the folder are removed first. An `OSError` names `path`."""
    path = Path(path)
    if path.is_symlink():  # the file that is meant, not the link to it
        path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        stem = path.stem.encode(errors="ignore")[:80].decode(errors="ignore")  # file systems count bytes
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(stem), suffix=f".tmp{path.suffix}")
    except OSError as error:
        raise _named(error, path) from error
    os.close(handle)
    temporary = Path(name)
    try:
        with contextlib.suppress(OSError):  # some file systems know no modes
            os.chmod(name, 0o644)  # mkstemp makes files that only their owner can read
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise error if str(path) in str(error) else _named(error, path) from error
    except RuntimeError as error:  # of torch.save, which hides what the system said
        if isinstance(error.__context__, OSError):
            raise _named(error.__context__, path) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _named(error: OSError, path: Path) -> OSError:
    """The same kind of error, which says which file could not be written."""
    reason = os.strerror(error.errno) if error.errno else error
    return type(error)(error.errno, f"{path} cannot be written: {reason}")


def writable(*folders: Path) -> None:
    """Write a small file in each folder and remove it: whether a result can be saved is known before it is made. The
    `OSError` of a folder that cannot be written names it."""
    for folder in folders:
        probe = Path(folder) / f"{_prefix('probe')}0.tmp"
        try:
            with atomic(probe) as temporary:
                temporary.write_bytes(bytes(PROBE))
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise _named(error, folder) from error


@contextlib.contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Give an empty folder in `parent`, which is removed in the end; those of killed processes are removed first."""
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    with tempfile.TemporaryDirectory(dir=parent, prefix=_prefix("folder"), suffix=".tmp") as name:
        yield Path(name)


@functools.cache
def sweep(folder: Path) -> None:
    """Remove what writes of processes that are gone have left in a folder; once per process."""
    for path in Path(folder).glob(".*-*-*.tmp*"):
        left, pid, _random = path.name.rsplit("-", 2)
        with contextlib.suppress(OSError):
            gone = left.endswith(f"-{_host()}") and pid.isdecimal() and not _alive(int(pid))
            if gone or time.time() - path.stat().st_mtime > ABANDONED:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _prefix(stem: str) -> str:
    """The beginning of a temporary file's name, which says whose it is, for `sweep`."""
    return f".{stem}-{_host()}-{os.getpid()}-"


def _host() -> str:
    return socket.gethostname()[:40]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # else it is somebody else's
    return True


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock `path`: of several processes one at a time goes on. Where the file system has no locks, a file that
    names its process takes their place."""
    from filelock import FileLock, SoftFileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(path)
    try:
        held.acquire()
    except (OSError, NotImplementedError):
        held = SoftFileLock(path.with_name(f"{path.name}.soft"))
        held.acquire()
    try:
        yield
    finally:
        held.release()


def read_json(path: Path) -> dict:
    """The object in a JSON file, by `parse`. `Damaged`: it holds no such, or more than `MOST_TEXT` bytes."""
    with checked(path):
        if (size := path.stat().st_size) > MOST_TEXT:
            raise ValueError(f"{size} bytes, where at most {MOST_TEXT} are expected")
        body = parse(path.read_text(encoding="utf-8-sig"))
        if not isinstance(body, dict):
            raise ValueError(f"a JSON {type(body).__name__} in place of an object")
    return body


def parse(text: str) -> Any:
    """What a JSON text says. A NaN, an infinity or a number that becomes one raises `ValueError`."""
    return json.loads(text, parse_constant=_number, parse_float=_number)


def _number(word: str) -> float:
    if not np.isfinite(number := float(word)):
        raise ValueError(f"{word} is no finite number")
    return number


def read_arrays(path: Path, most: int) -> dict[str, np.ndarray]:
    """The arrays of an npz file, read without pickle. `Damaged`: it is no such file, a checksum is wrong, or all arrays
    would unpack to more than `most` bytes."""
    with checked(path):
        check_zip(path, most)
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def check_zip(path: Path, most: int) -> None:
    """Raise `Damaged` unless a zip file (npz, PyTorch's pt) unpacks to at most `most` bytes, with right checksums."""
    with checked(path), zipfile.ZipFile(path) as archive:
        size = sum(max(entry.file_size, 0) for entry in archive.infolist())
        if size > most:
            raise ValueError(f"it would unpack to {size} bytes, where at most {most} are expected")
        if (wrong := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {wrong} is wrong")


@contextlib.contextmanager
def checked(path: Path) -> Iterator[None]:
    """Whatever goes wrong with the content of `path` becomes `Damaged`. A file that is not there stays
    `FileNotFoundError`, a lack of rights or of memory what it is."""
    try:
        yield
    except (Damaged, FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError):
        raise
    except MemoryError as error:
        raise MemoryError(f"{path}: not enough memory to read it") from error
    except Exception as error:  # RecursionError, OverflowError, zlib.error, ...: content can provoke anything
        raise Damaged(path, f"{type(error).__name__}: {error}") from error


def set_aside(damaged: Damaged) -> Path:
    """Move a damaged file to a free name that says so, and warn. Returns the new path."""
    path, number = damaged.path, 1
    while (target := path.with_name(f"{path.name}.damaged{'' if number == 1 else f'-{number}'}")).exists():
        number += 1
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        os.replace(path, target)
    warnings.warn(f"{damaged}; set aside as {target.name}", DamagedFile, stacklevel=3)
    return target


def or_aside(read: Callable[P, T], *given: P.args, **named: P.kwargs) -> T | None:
    """What `read` gives; None where there is no file, or a damaged one, which is set aside."""
    try:
        return read(*given, **named)
    except FileNotFoundError:
        return None
    except Damaged as damaged:
        set_aside(damaged)
        return None


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_by_lines(path: Path, head: dict, name: str, members: dict | list) -> None:
    """Write `head` and one more member as JSON, that one with a line for each of its own, so that diffs can be read."""
    lines = [json.dumps(each, allow_nan=False) for each in (members.values() if isinstance(members, dict) else members)]
    if isinstance(members, dict):
        lines = [f'"{key}": {line}' for key, line in zip(members, lines, strict=True)]
    opened, closed = "{}" if isinstance(members, dict) else "[]"
    above = json.dumps(head, indent=1, allow_nan=False).removesuffix("\n}")
    below = ",\n  ".join(lines)
    write_text(path, f'{above},\n "{name}": {opened}\n  {below}\n {closed}\n}}\n')


def write_arrays(path: Path, arrays: dict[str, np.ndarray], compressed: bool = True) -> None:
    """Write an npz file atomically. Arrays of objects, which only pickle could keep, are a `ValueError`."""
    if objects := [name for name, each in arrays.items() if each.dtype.hasobject]:
        checks.fail("arrays", objects, "arrays of numbers or text")
    save: Callable[..., None] = np.savez_compressed if compressed else np.savez
    with atomic(path) as temporary, open(temporary, "wb") as file:
        save(file, **arrays)  # and no `allow_pickle`, which numpy 2.0 would save as an array
