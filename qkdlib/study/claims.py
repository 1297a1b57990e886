"""The paper's claims beside what its own tables give and what ours give; each chapter tests those that it can."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qkdlib import checks
from qkdlib.records import statistics
from qkdlib.study import verdicts
from qkdlib.study.cells import interval
from qkdlib.workspace import Workspace

RULE = (
    "Printed: the paper's number. Recomputed: the same from the printed accuracies of Tables 1 and 2, and for v2 "
    "from the bars of Fig. 12. Ours: mean over seeds with its 95 % interval; averages over rows are "
    "formed seed by seed, so that the rows' common seeds count once. Verdict of a difference: `reproduced` if the "
    "interval lies on the claimed side of 0, `within seed noise` if it holds 0, else `not reproduced`; of a claim "
    "that there is none: `reproduced` if the interval holds 0; that there is no loss: if it does not lie below 0. "
    f"Of a count: `reproduced` if all, `{verdicts.NOT_REPRODUCED}` if none, else `{verdicts.IN_PART}`. "
    f"`{verdicts.NOT_SHOWN}`: the paper reports no measurement of it. `{verdicts.MISSING}`: our records lack it. "
    "Gains as run count a notebook that distils nothing as 0; as meant is used where the claim compares teachers "
    "or heads have to be equal."
)
COLUMNS = ("id", "source", "claim", "printed", "recomputed", "ours", "ci_low", "ci_high", "verdict", "note")


class Lacking(LookupError):
    """Records or images that a claim, a figure or a row needs are not there; its text says which."""


class Evidence:
    """What claims are tested on: a workspace, and what has been made of its records, each once."""

    def __init__(self, workspace: Workspace):
        self.workspace = workspace
        self._made: dict[Callable, object] = {}

    def once(self, make: Callable[[Workspace], pd.DataFrame]) -> pd.DataFrame:
        """`make(workspace)`, remembered, because several claims look at one table."""
        if make not in self._made:
            self._made[make] = make(self.workspace)
        return self._made[make]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper in our words, and how to test it.

    Attributes:
        kind: of its verdict: `gain`, `no_difference`, `no_loss` (of a number per seed), `count`, `fact`.
        recomputed: what the paper's own tables give.
        ours: gives a number per seed, a (k, n) count, or text; where a record is missing it raises `Lacking`.
        after: the claim of another chapter that it follows in the paper; "": those of its own chapter.
    """

    id: str
    source: str
    claim: str
    printed: str
    kind: str
    recomputed: tuple[int, int] | str = ""
    ours: Callable[[Evidence], np.ndarray | tuple[int, int] | str] | None = None
    note: str = ""
    after: str = ""


def in_order(claims: Iterable[Claim]) -> list[Claim]:
    """The claims in the order of the paper."""
    found: list[Claim] = []
    for claim in claims:
        behind = [place for place, other in enumerate(found, 1) if claim.after in ("", other.id, other.after)]
        if claim.after and not behind:
            checks.fail("after", claim.after, f"the id of a claim that stands before {claim.id}")
        found.insert(max(behind, default=0), claim)
    return found


def table(claims: Iterable[Claim], workspace: Workspace) -> pd.DataFrame:
    """Every claim with the columns `COLUMNS`; one whose records are missing is `missing`."""
    evidence = Evidence(workspace)
    return pd.DataFrame([_row(claim, evidence) for claim in in_order(claims)], columns=list(COLUMNS))


def _row(claim: Claim, evidence: Evidence) -> dict:
    columns = {name: getattr(claim, name) for name in ("id", "source", "claim", "printed", "note")}
    columns["recomputed"] = _text(claim.recomputed)
    if claim.ours is None:
        return columns | {"verdict": verdicts.NOT_SHOWN}
    try:
        measured = claim.ours(evidence)
    except Lacking as error:
        return columns | {"verdict": verdicts.MISSING, "note": f"no record {error}"}
    if isinstance(measured, np.ndarray):
        summary = statistics.summarise(measured)
        columns |= {"ours": f"{summary.mean:+.2f}", "ci_low": summary.low, "ci_high": summary.high}
        return columns | {"verdict": verdicts.difference_verdict(claim.kind, summary.low, summary.high)}
    verdict = verdicts.count_verdict(*measured) if isinstance(measured, tuple) else verdicts.NOT_SHOWN
    return columns | {"ours": _text(measured), "verdict": verdict}


def _text(found: tuple[int, int] | str) -> str:
    return "{} of {}".format(*found) if isinstance(found, tuple) else found


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as text: the interval stands beside our number."""
    shown = frame.astype(object).fillna("")
    shown["ours"] += [interval(low, high, "+") for low, high in zip(frame.ci_low, frame.ci_high, strict=True)]
    return shown.drop(columns=["ci_low", "ci_high"])


def tested(shown: pd.DataFrame) -> pd.DataFrame:
    """Of the readable table the claims that something was measured for, as the README has them."""
    return shown[shown["ours"] != ""].drop(columns=["id", "note"])
