"""The rule that turns a row's columns into a verdict. It is printed under every table that has verdicts."""

import math

REPRODUCED, NOISE, NOT_REPRODUCED, MISSING = "reproduced", "within seed noise", "not reproduced", "missing"
TEACHER_TOLERANCE = 1.0  # points of accuracy

RULE = (
    "Verdict. Student: `reproduced` if the paper's accuracy lies in the 95 % interval of the mean over seeds of the "
    "best test epoch (the paper's way of choosing), `within seed noise` if it lies outside but between the worst and "
    "the best seed, else `not reproduced`. Distillation: by the paired gain over the placebo with the same seeds, "
    "`reproduced` if its 95 % interval lies above 0, `within seed noise` if the interval holds 0, `not reproduced` if "
    f"it lies below. Teacher: `reproduced` within {TEACHER_TOLERANCE:g} point of the paper. `missing`: no record yet."
)


def student_verdict(paper: float, low: float, high: float, worst: float, best: float) -> str:
    """Verdict on a directly trained student; all numbers in percent, of the best test epoch."""
    if low <= paper <= high:
        return REPRODUCED
    return NOISE if worst <= paper <= best else NOT_REPRODUCED


def gain_verdict(low: float, high: float) -> str:
    """Verdict on a distilled student, from the 95 % interval of its paired gain."""
    if math.isnan(low) or math.isnan(high) or low > high:
        raise ValueError(f"interval=({low}, {high}) is not allowed; allowed: two numbers, the lower one first")
    if low > 0:
        return REPRODUCED
    return NOT_REPRODUCED if high < 0 else NOISE


def teacher_verdict(paper: float, ours: float) -> str:
    """Verdict on a teacher, in percent."""
    return REPRODUCED if abs(paper - ours) <= TEACHER_TOLERANCE else NOT_REPRODUCED
