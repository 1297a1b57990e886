"""The rules that turn a row's columns into a verdict. They are printed under every table that has verdicts."""

import math

from qkdlib import checks

REPRODUCED, NOISE, NOT_REPRODUCED, MISSING = "reproduced", "within seed noise", "not reproduced", "missing"
NOTHING_DISTILLED = "no distillation in the published code"
NOT_SHOWN, IN_PART = "no experiment in the paper", "in part"
TEACHER_TOLERANCE = 1.0  # points of accuracy
LEVEL = 0.05

RULE = (
    "Verdict. Student: `reproduced` if the paper's accuracy lies in the 95 % interval of the mean over seeds of the "
    "best test epoch (the paper's way of choosing), `within seed noise` if it lies outside but between the worst "
    "and the best seed, else `not reproduced`. Distillation: by the paired gain over the placebo with the same "
    f"seeds. `reproduced` if its 95 % interval lies above 0 and p after Holm's correction is below {LEVEL:g}; `not "
    "reproduced` if the interval lies below 0; else `within seed noise`. Where the paper prints a gain of 0.00, "
    f"`reproduced` if the interval holds 0. `{NOTHING_DISTILLED}` for a row whose notebook adds a constant or zero "
    f"in place of the divergence. Teacher: `reproduced` within {TEACHER_TOLERANCE:g} point of the paper. `missing`: "
    "no record yet."
)


def student_verdict(paper: float, low: float, high: float, worst: float, best: float) -> str:
    """Verdict on a directly trained student; all numbers in percent, of the best test epoch."""
    if low <= paper <= high:
        return REPRODUCED
    return NOISE if worst <= paper <= best else NOT_REPRODUCED


def error_verdict(paper: float, reading: float, low: float, high: float, best: float, worst: float) -> str:
    """Verdict on an error that was read off a figure, with an accuracy of `reading` points; all in percent."""
    if low - reading <= paper <= high + reading:
        return REPRODUCED
    return NOISE if best <= paper <= worst else NOT_REPRODUCED


def gain_verdict(claimed: float, low: float, high: float, p: float) -> str:
    """Verdict on a distilled student, from the 95 % interval of its paired gain in points and its corrected p."""
    if math.isnan(low) or math.isnan(high) or low > high:
        checks.fail("interval", (low, high), "two numbers, the lower one first")
    if claimed == 0:
        return REPRODUCED if low <= 0 <= high else NOT_REPRODUCED
    if low > 0 and p < LEVEL:
        return REPRODUCED
    return NOT_REPRODUCED if high < 0 else NOISE


def difference_verdict(kind: str, low: float, high: float) -> str:
    """Verdict on a claimed difference from its 95 % interval; `kind` is `gain` (above 0), `no_difference`, or
    `no_loss` (not below 0)."""
    if kind == "no_loss":
        return REPRODUCED if high >= 0 else NOT_REPRODUCED
    if kind == "no_difference":
        return REPRODUCED if low <= 0 <= high else NOT_REPRODUCED
    if low > 0:
        return REPRODUCED
    return NOT_REPRODUCED if high < 0 else NOISE


def count_verdict(found: int, total: int) -> str:
    """Verdict on a claim about all of `total` rows, of which `found` show it."""
    return REPRODUCED if found == total else IN_PART if found else NOT_REPRODUCED


def teacher_verdict(paper: float, ours: float) -> str:
    """Verdict on a teacher, in percent."""
    return REPRODUCED if abs(paper - ours) <= TEACHER_TOLERANCE else NOT_REPRODUCED
