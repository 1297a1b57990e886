"""Checks of parameters. Each raises one `ValueError` that names the parameter, its value and what is allowed.

Types are strict: text that looks like a number is no number, and 1 is not True. Numpy's scalars are taken, and what a
check returns is Python's own. Values are shortened. Whole numbers are bounded wherever they come in, by their names.
"""

import contextlib
import difflib
import itertools
import math
import numbers
import os
import reprlib
from collections.abc import Iterable, Mapping, Set
from typing import Any, NoReturn, TypeVar

import numpy as np

T = TypeVar("T")
LONGEST = 80  # characters of a value in a message
LISTED = 250  # characters of a list of choices in a message
LARGEST = 1e38  # what a 32-bit number can hold, nearly

# The largest whole number for a parameter of this name: beyond all use, and still no harm.
MOST = {
    "classes": 10**6, "image_size": 4096, "epochs": 10**6, "patience": 10**6, "batch_size": 10**6, "layers": 1000,
    "train_per_class": 10**7, "validation_per_class": 10**7, "test_per_class": 10**7, "images_per_class": 10**7,
    "shots": 10**7, "rows_per_job": 10**6, "attempts": 1000, "seeds": 10**5, "aer_seeds": 10**5,
    "seed": 2**63 - 1, "data_seed": 2**63 - 1, "QKD_THREADS": 1024,
}  # fmt: skip


def shortened(value: object) -> str:
    """`repr(value)` on one line of at most `LONGEST` characters; of a large container only its first members."""
    if isinstance(value, type):
        text = f"the class {value.__name__}"
    else:
        brief = reprlib.Repr()
        brief.maxdict, brief.maxlist, brief.maxtuple, brief.maxset, brief.maxlevel = 2, 4, 12, 4, 3
        brief.maxstring, brief.maxother, brief.maxlong = LONGEST, LONGEST, 40
        try:
            text = line(brief.repr(value))
        except Exception:  # a stranger's __repr__
            text = f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def line(text: object, most: int | None = None) -> str:
    """A text, or what an error says, on one line of at most `most` characters."""
    said = f"{type(text).__name__}: {text}" if isinstance(text, BaseException) else str(text)
    return " ".join(said.split())[:most]


def fail(name: str, value: object, allowed: str) -> NoReturn:
    """Raise the one kind of error that a wrong parameter gets."""
    raise ValueError(f"{name}={shortened(value)} is not allowed; allowed: {line(allowed)}")


def one_of(name: str, value: object, allowed: Iterable[T]) -> T:
    """The one of `allowed`, which are all of one type, that `value` is."""
    allowed = list(allowed)
    for each in allowed:
        if (type(value) is type(each) or isinstance(value, str)) and value == each:
            return each
    choices = ", ".join(map(str, allowed))
    if len(choices) > LISTED:
        nearest = difflib.get_close_matches(str(value)[:LONGEST], map(str, allowed), n=1, cutoff=0.5)
        choices = f"{choices[:LISTED].rpartition(', ')[0]}, ... ({len(allowed)} in all"
        choices += f"; the nearest: {nearest[0]})" if nearest else ")"
    fail(name, value, f"one of {choices}")


def text(name: str, value: object) -> str:
    """`value`, a string that is not empty."""
    if not isinstance(value, str) or not value.strip():
        fail(name, value, "a text that is not empty")
    return str.__str__(value)  # an enum's own would give its name


def flag(name: str, value: object) -> bool:
    """`value`, which is True or False, and nothing that only counts as it."""
    if not isinstance(value, (bool, np.bool_)):
        fail(name, value, "True or False")
    return bool(value)


def members(name: str, value: Any, allowed: str, most: int = 1000) -> tuple:
    """The members of a list, tuple, array or generator, in their order; not of a text, nor of what has no order."""
    try:
        ordered = not isinstance(value, (str, bytes, bytearray, Mapping, Set))
        found = tuple(itertools.islice(value, most + 1)) if ordered else None
    except TypeError:  # nothing with members
        found = None
    if found is None:
        fail(name, value, allowed)
    return found if len(found) <= most else fail(name, value, f"{allowed}, at most {most:,}")


def whole(name: str, value: object, minimum: int = 1, maximum: int | None = None) -> int:
    """`value`, an integer between `minimum` and `maximum`, by default the bound in `MOST` of the name's last word."""
    most = MOST.get(name.split()[-1]) if maximum is None else maximum
    number = int(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else None
    if number is None or number < minimum or (most is not None and number > most):
        bound = f"from {minimum} to {maximum:,}" if maximum is not None else f"of {minimum} or more"
        bound += f", at most {most:,}" if maximum is None and most is not None else ""
        fail(name, value, f"a whole number {bound}")
    return number


def real(name: str, value: object, positive: bool = False, maximum: float = LARGEST) -> float:
    """`value`, a finite number that is at least 0, or greater than 0 if `positive`, and at most `maximum`."""
    try:
        number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer that no float can hold
        number = math.inf
    if not (number > 0 if positive else number >= 0) or number > maximum:  # NaN is neither
        bound = "greater than 0" if positive else "of 0 or more"
        fail(name, value, f"a finite number {bound}, at most {maximum:g}")
    return number + 0.0  # no -0.0


def memory(name: str, value: object, needed: float, what: str) -> None:
    """`needed` bytes for `what` are free, so that a value that is too large says so before they are taken."""
    free = available_memory()
    if needed > free:
        fail(name, value, f"a value for which {what} fits into memory: it takes about {needed / 2**30:.1f} GB, and "
             f"{free / 2**30:.1f} GB are free")  # fmt: skip


def available_memory() -> float:
    """Bytes that can still be taken: of the machine, or of the control group if that allows less."""
    free = float("inf")
    try:
        free = 1024 * _numbers("/proc/meminfo")["MemAvailable:"]
    except (OSError, LookupError, ValueError):  # not Linux
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for folder, most, now, cache in (
        ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with contextlib.suppress(OSError, LookupError, ValueError):  # "max" is no number, and no limit
            used = float(_text(f"{folder}/{now}")) - _numbers(f"{folder}/memory.stat")[cache]  # which gives way
            free = min(free, float(_text(f"{folder}/{most}")) - used)
    return free


def _text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _numbers(path: str) -> dict[str, float]:
    """The number after each line's first word."""
    return {words[0]: float(words[1]) for words in map(str.split, _text(path).splitlines())}
