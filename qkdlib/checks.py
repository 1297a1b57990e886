"""Checks of parameters. Each raises one `ValueError` that names the parameter, the value and what is allowed."""

import math
import numbers
from collections.abc import Iterable


def fail(name: str, value, allowed: str):
    """Raise the one kind of error that a wrong parameter gets."""
    raise ValueError(f"{name}={value!r} is not allowed; allowed: {allowed}")


def one_of(name: str, value, allowed: Iterable) -> None:
    """`value` is one of `allowed`."""
    allowed = list(allowed)
    if value not in allowed:
        fail(name, value, "one of " + ", ".join(map(str, allowed)))


def whole(name: str, value, minimum: int = 1, maximum: int | None = None) -> None:
    """`value` is an integer between `minimum` and `maximum`."""
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or value < minimum or (maximum is not None and value > maximum):
        bound = f"from {minimum} to {maximum}" if maximum is not None else f"of {minimum} or more"
        fail(name, value, f"a whole number {bound}")


def real(name: str, value, positive: bool = False) -> None:
    """`value` is a finite number, at least 0, or greater than 0 if `positive`."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not is_real or value < 0 or (positive and value == 0):
        fail(name, value, "a finite number greater than 0" if positive else "a finite number of 0 or more")
