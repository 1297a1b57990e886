"""A table's columns of one estimate, and numbers as the text of its cells."""

from collections.abc import Mapping

import pandas as pd
from pandas.api.typing import DataFrameGroupBy

from qkdlib.records import Gain, Summary, statistics

INTERVAL = "[ ]: 95 % interval of the mean over seeds, by t, or by the studentized bootstrap for few or skewed seeds"
P = "p: that the mean is 0, by flips of the differences' signs"


def columns(found: Summary | statistics.Share, mean: str, prefix: str = "", p: str = "") -> dict[str, float]:
    """The columns of an estimate, or of a share of seeds: `mean`, its interval as `<prefix>ci_low` and
    `<prefix>ci_high`, and if a difference's `p` has a column, that."""
    interval_ = {f"{prefix}ci_low": found.low, f"{prefix}ci_high": found.high}
    value = found.share if isinstance(found, statistics.Share) else found.mean
    return {mean: value, **interval_, **({p: found.p} if isinstance(found, Gain) and p else {})}


def holm(groups: DataFrameGroupBy, p: str) -> pd.Series:
    """The column `p` corrected by Holm's method within each group."""
    return groups[p].transform(lambda ps: statistics.holm(ps.astype(float)))


def estimate(row: Mapping, mean: str, prefix: str = "", sign: str = "", form: str = ".2f") -> str:
    """Those columns of a row as text: the number, and its interval in brackets; nothing where there is none."""
    return text(row[mean], sign + form) + interval(row[f"{prefix}ci_low"], row[f"{prefix}ci_high"], sign, form)


def text(value: float, form: str = ".2f", before: str = "", after: str = "") -> str:
    """A number as text; nothing where there is none."""
    return "" if pd.isna(value) else f"{before}{value:{form}}{after}"


def interval(low: float, high: float, sign: str = "", form: str = ".2f") -> str:
    """[low, high] as text; nothing where there is none."""
    return "" if pd.isna(low) else f" [{low:{sign}{form}}, {high:{sign}{form}}]"
