"""Checks of parameters. Each raises one `ValueError` that names the parameter, its value and what is allowed.

Values are shortened. Types are strict: text that looks like a number is no number, and 1 is not True.
"""

import math
import numbers
import os
import reprlib
from collections.abc import Iterable

LONGEST = 80  # characters of a value in a message


def shortened(value) -> str:
    """`repr(value)` on one line of at most `LONGEST` characters; of a large container only its first members."""
    if isinstance(value, type):
        text = f"the class {value.__name__}"
    else:
        brief = reprlib.Repr()
        brief.maxdict, brief.maxlist, brief.maxtuple, brief.maxset, brief.maxlevel = 2, 4, 12, 4, 3
        brief.maxstring, brief.maxother, brief.maxlong = LONGEST, LONGEST, 40
        try:
            text = " ".join(brief.repr(value).split())
        except Exception:  # a stranger's __repr__
            text = f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def fail(name: str, value, allowed: str):
    """Raise the one kind of error that a wrong parameter gets."""
    raise ValueError(f"{name}={shortened(value)} is not allowed; allowed: {allowed}")


def one_of(name: str, value, allowed: Iterable) -> None:
    """`value` is one of `allowed`, which are all of one type."""
    allowed = list(allowed)
    if not any(type(value) is type(each) and value == each for each in allowed):
        fail(name, value, "one of " + ", ".join(map(str, allowed)))


def text(name: str, value) -> None:
    """`value` is a string that is not empty."""
    if not isinstance(value, str) or not value.strip():
        fail(name, value, "a text that is not empty")


def flag(name: str, value) -> None:
    """`value` is True or False, and nothing that only counts as it."""
    if not isinstance(value, bool):
        fail(name, value, "True or False")


def whole(name: str, value, minimum: int = 1, maximum: int | None = None) -> None:
    """`value` is an integer between `minimum` and `maximum`."""
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or value < minimum or (maximum is not None and value > maximum):
        bound = f"from {minimum} to {maximum:,}" if maximum is not None else f"of {minimum} or more"
        fail(name, value, f"a whole number {bound}")


def real(name: str, value, positive: bool = False, maximum: float | None = None) -> None:
    """`value` is a finite number, at least 0, or greater than 0 if `positive`, and at most `maximum`."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        in_range = is_real and math.isfinite(value) and (value > 0 if positive else value >= 0)
    except OverflowError:  # an integer that no float can hold
        in_range = False
    if not in_range or (maximum is not None and value > maximum):
        bound = "greater than 0" if positive else "of 0 or more"
        fail(name, value, f"a finite number {bound}" + (f", at most {maximum:g}" if maximum is not None else ""))


def memory(name: str, value, needed: float, what: str) -> None:
    """`needed` bytes for `what` are free, so that a value that is too large says so before they are taken."""
    free = available_memory()
    if needed > free:
        fail(name, value, f"a value for which {what} fits into memory: it takes about {needed / 2**30:.1f} GB, and "
             f"{free / 2**30:.1f} GB are free")  # fmt: skip


def available_memory() -> float:
    """Bytes that can still be taken: of the machine, or of the control group if that allows less."""
    free = float("inf")
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            known = dict(line.split(":", 1) for line in lines)
        free = 1024 * float(known["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for group in ("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"):
        try:
            with open(f"/sys/fs/cgroup/{group[0]}") as most, open(f"/sys/fs/cgroup/{group[1]}") as now:
                free = min(free, float(most.read()) - float(now.read()))
        except (OSError, ValueError):
            continue
    return free
