"""Which changes make the `robust` protocol: the rule, on the numbers of tables/collapse."""

import pandas as pd

from qkdlib.study.claims import Lacking
from qkdlib.study.collapse import changes
from qkdlib.study.collapse.table import student

PASSES, OUT, OPEN = "passes", "out", "open"
RULE = (
    f"The robust protocol is the smallest set of the candidates' changes with which none of {changes.SEEDS} seeds "
    "loses a class on validation images of any of v1's six tasks, or collapses; of equally small sets, the one with "
    "the highest validation accuracy, mean over the tasks. A set is out as soon as one seed has done so on one task; "
    "it need not be tried further."
)


def candidates(frame: pd.DataFrame) -> pd.DataFrame:
    """A row per candidate, by name, the smallest sets first: for each task how many seeds lost a class, as text such as
    `3 of 100` (empty: not tried); `verdict`: `passes`, `out`, or `open`, as long as records are missing; and of those
    that pass `mean_validation`, the mean over the tasks.

    Args:
        frame: as `table.table` makes it.
    """
    untried = dict.fromkeys(map(student, frame.to_dict("records")), "")
    names = sorted(changes.CANDIDATES, key=size)
    return pd.DataFrame([untried | _candidate(frame[frame.change == name]) for name in names], index=names)


def _candidate(lines: pd.DataFrame) -> dict:
    enough = (lines.lost_class == 0) & (lines.seeds >= changes.SEEDS)
    passes = enough.all() and len(lines) == len(changes.ROWS)
    verdict = PASSES if passes else OUT if (lines.lost_class > 0).any() else OPEN
    told = {student(line): _told(line) for line in lines.to_dict("records")}
    return told | {"verdict": verdict, "mean_validation": lines.mean_validation.mean() if passes else None}


def _told(line: dict) -> str:
    return "" if pd.isna(line["lost_class"]) else f"{line['lost_class']:.0f} of {line['seeds']:.0f}"


def size(candidate: str) -> int:
    """How many changes a candidate consists of."""
    return len(changes.CANDIDATES[candidate])


def chosen(frame: pd.DataFrame) -> str:
    """The candidate that `RULE` chooses.

    Args:
        frame: as `table.table` makes it.

    Raises:
        Lacking: a candidate that would be as small or smaller is open.
        ValueError: no candidate passes.
    """
    found = candidates(frame)
    for _, equal in found.groupby(found.index.map(size)):
        if (is_open := equal.index[equal.verdict == OPEN]).any():
            raise Lacking(f"records of {changes.SEEDS} seeds with {' or '.join(is_open)}")
        if (equal.verdict == PASSES).any():
            return equal.mean_validation[equal.verdict == PASSES].idxmax()
    raise ValueError("no candidate leaves every seed of every task all its classes")
