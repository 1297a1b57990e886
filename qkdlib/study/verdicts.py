"""The rules that turn a row's columns into verdicts. They are printed under every table that has verdicts.

A wide interval shows nothing, and its verdict says so; what was not run as published is no verdict on the paper.
"""

from collections.abc import Sequence

import numpy as np

from qkdlib.records import Gain, Summary

REPRODUCED, CONTRADICTED, INCONCLUSIVE, IN_PART = "reproduced", "contradicted", "inconclusive", "in part"
INSIDE, ABOVE, BELOW = "inside", "above all seeds", "below all seeds"
GAIN, HARM, NO_GAIN = "gain", "harm", "no gain"
YES, NO = "yes", "no"
NOT_AS_PUBLISHED, NOTHING_DISTILLED = "not run as published", "no distillation in the published code"
NOT_SHOWN, UNTESTED, MISSING = "no experiment in the paper", "untested", "missing"
BAND, MARGIN, LEVEL = 2.0, 1.0, 0.05  # points of an accuracy, points of a difference, of corrected p
DECIMALS = 2  # of the paper's accuracies

RULE = (
    f"Verdicts. Draw: whether the paper's accuracy lies among the seeds' best test epochs, which is how it chose "
    f"(`{INSIDE}`, `{ABOVE}`, `{BELOW}`); rank: the share of seeds below it. Mean, of the same: `{REPRODUCED}` if its "
    f"90 % interval lies within {BAND:g} points of the paper's accuracy, `{CONTRADICTED}` if its 95 % interval lies "
    f"outside of them, else `{INCONCLUSIVE}`. Gain, over the placebo with the same seeds: `{GAIN}` or `{HARM}` if the "
    f"95 % interval lies above or below 0 and p after Holm's correction is below {LEVEL:g}; `{NO_GAIN}` if the 90 % "
    f"interval lies within {MARGIN:g} point of 0; else `{INCONCLUSIVE}`. Paper's gain excluded: `{YES}` if it lies "
    f"outside of the gain's 95 % interval. `{NOTHING_DISTILLED}`: the notebook adds a constant or zero in place of the "
    f"divergence. Teacher: `{REPRODUCED}` within {MARGIN:g} point of the paper, else `{CONTRADICTED}`. "
    f"`{NOT_AS_PUBLISHED}`: another protocol or teacher than the notebook's, which is no verdict on the paper. "
    f"`{MISSING}`: no record yet."
)


def draw(paper: float, values: Sequence[float]) -> str:
    """Whether the paper's number, which has `DECIMALS`, could be one of these seeds, all in percent."""
    printed = np.round(values, DECIMALS)
    if paper > printed.max():
        return ABOVE
    return BELOW if paper < printed.min() else INSIDE


def rank(paper: float, values: Sequence[float]) -> float:
    """Share of seeds below the paper's number, which has `DECIMALS`, those equal to it counted half."""
    from scipy import stats

    return float(stats.percentileofscore(np.round(values, DECIMALS), paper, kind="mean")) / 100


def mean(paper: float, found: Summary, band: float = BAND) -> str:
    """Verdict on the paper's number from our mean over seeds, in points."""
    low, high = paper - band, paper + band
    if found.within(low, high):
        return REPRODUCED
    return CONTRADICTED if found.high < low or found.low > high else INCONCLUSIVE


def gain(found: Gain, p: float) -> str:
    """What a paired difference, in points, with its corrected p, shows."""
    if p < LEVEL and (found.low > 0 or found.high < 0):
        return GAIN if found.low > 0 else HARM
    return NO_GAIN if found.within(-MARGIN, MARGIN) else INCONCLUSIVE


def excluded(paper: float, found: Summary) -> str:
    """Whether the paper's gain lies outside of ours' 95 % interval."""
    return NO if found.low <= paper <= found.high else YES


def teacher(paper: float, ours: float) -> str:
    """Verdict on a teacher, one network, in percent."""
    return REPRODUCED if abs(paper - ours) <= MARGIN else CONTRADICTED


def difference(kind: str, found: Gain, p: float) -> str:
    """Verdict on a claimed difference in points, with its corrected p; `kind` is `gain` (above 0), `no_difference`, or
    `no_loss` (not below 0 by more than `MARGIN`)."""
    if kind == "no_loss":
        return REPRODUCED if found.low_90 >= -MARGIN else CONTRADICTED if found.high < -MARGIN else INCONCLUSIVE
    shown = gain(found, p)
    if kind == "no_difference":
        if found.within(-MARGIN, MARGIN):
            return REPRODUCED
        return INCONCLUSIVE if shown == INCONCLUSIVE else CONTRADICTED
    if shown == GAIN:
        return REPRODUCED
    return CONTRADICTED if found.high_90 <= MARGIN else INCONCLUSIVE


def count(shown: int, against: int, total: int) -> str:
    """Verdict on a claim about all of `total` cases, of which so many show it and so many show the contrary."""
    if shown == total:
        return REPRODUCED
    if shown:
        return IN_PART
    return CONTRADICTED if against else INCONCLUSIVE
