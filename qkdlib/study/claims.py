"""The paper's claims beside what its own tables give and what ours give; each chapter tests those that it can."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from qkdlib import checks
from qkdlib.records import Gain, paired_gain, statistics
from qkdlib.study import verdicts
from qkdlib.study.cells import INTERVAL, P, columns, interval, text
from qkdlib.workspace import Workspace

RULE = (
    "Printed: the paper's number. Recomputed: the same from the printed accuracies of Tables 1 and 2, and for v2 "
    "from the bars of Fig. 12. Ours: mean over seeds; averages over rows are formed seed by seed, so that the rows' "
    f"common seeds count once. {INTERVAL}; {P}, after Holm's correction over all claims that have one. Verdict of a "
    f"claimed difference: `{verdicts.REPRODUCED}` if it is shown (95 % interval on the claimed side of 0, corrected p "
    f"below {verdicts.LEVEL:g}), `{verdicts.CONTRADICTED}` if there is none of more than {verdicts.MARGIN:g} point (90 "
    f"% interval below that), else `{verdicts.INCONCLUSIVE}`; of a claim that there is none: `{verdicts.REPRODUCED}` "
    f"if the 90 % interval lies within {verdicts.MARGIN:g} point of 0, `{verdicts.CONTRADICTED}` if a difference is "
    f"shown; that there is no loss: if the 90 % interval lies above, the 95 % interval below -{verdicts.MARGIN:g}; "
    "what gains more than another has to gain at all. Of a claim about all cases: "
    f"`{verdicts.REPRODUCED}` if all show it, `{verdicts.IN_PART}` if some do, `{verdicts.CONTRADICTED}` if none does "
    f"and one shows the contrary, else `{verdicts.INCONCLUSIVE}`. Of a claim that the paper's runs are draws of its "
    f"recipe: `{verdicts.CONTRADICTED}` if corrected p is below {verdicts.LEVEL:g}, else `{verdicts.INCONCLUSIVE}`. "
    f"`{verdicts.NOT_AS_PUBLISHED}`: one of the teachers is not the published one. `{verdicts.NOT_SHOWN}`: a fact of "
    f"ours beside what the paper does not measure. `{verdicts.UNTESTED}`: neither measures it. `{verdicts.MISSING}`: "
    "our records lack it. Excluded: whether the printed number lies outside of our 95 % interval. Gains as run count a "
    "notebook that distils nothing as 0; as meant is used where the claim compares teachers or heads have to be equal."
)
COLUMNS = (
    "id", "source", "claim", "printed", "recomputed", "ours", "ci_low", "ci_high", "p", "p_holm", "verdict", "excluded",
    "note",
)  # fmt: skip


class Lacking(LookupError):
    """Records or images that a claim, a figure or a row needs are not there; its text says which."""


class Cases(NamedTuple):
    """In how many of `total` cases a claim is shown, and in how many the contrary."""

    shown: int
    against: int
    total: int

    def __str__(self) -> str:
        return f"{self.shown} of {self.total}"


class Chance(NamedTuple):
    """What was seen, as text, and how likely that or more is if the paper's runs are draws of its recipe."""

    seen: str
    p: float

    def __str__(self) -> str:
        return self.seen


Measured = Gain | Cases | Chance | str | Lacking | None  # of one claim


class Evidence:
    """What claims are tested on: a workspace, and what has been made of its records, each once."""

    def __init__(self, workspace: Workspace):
        self.workspace = workspace
        self._made: dict[tuple, Any] = {}

    def once(self, make: Callable, *of: Hashable) -> Any:
        """`make(*of, workspace)`, remembered, because several claims look at one table or record."""
        if (make, *of) not in self._made:
            self._made[make, *of] = make(*of, self.workspace)
        return self._made[make, *of]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper in our words, and how to test it.

    Attributes:
        kind: of its verdict, of a number per seed: `gain`, `no_difference`, `no_loss`.
        recomputed: what the paper's own tables give.
        ours: gives a number in points per seed, `Cases`, a `Chance`, or text; where a record is missing it raises
            `Lacking`.
        value: the printed number, in points, if it is that of ours.
        after: the claim of another chapter that it follows in the paper; "": those of its own chapter.
        as_published: whether all that it is tested on is what the paper says.
        premise: gives a number in points per seed that has to be a gain: what gains more has to gain.
    """

    id: str
    source: str
    claim: str
    printed: str
    kind: str
    recomputed: Cases | str = ""
    ours: Callable[[Evidence], np.ndarray | Cases | Chance | str] | None = None
    note: str = ""
    after: str = ""
    value: float | None = None
    as_published: bool = True
    premise: Callable[[Evidence], np.ndarray] | None = None


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
    evidence, asked = Evidence(workspace), in_order(claims)
    found = [_measured(claim.ours, evidence) for claim in asked]
    premises = [_measured(claim.premise, evidence) for claim in asked]
    rows = [_row(claim, each) for claim, each in zip(asked, found, strict=True)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["p_holm"] = statistics.holm(frame["p"].astype(float))
    given = zip(asked, found, premises, frame["p_holm"], strict=True)
    return frame.assign(verdict=[_verdict(*each) for each in given])


def _measured(test: Callable | None, evidence: Evidence) -> Measured:
    if test is None:
        return None
    try:
        found = test(evidence)
    except Lacking as error:
        return error
    return paired_gain(found, np.zeros_like(found)) if isinstance(found, np.ndarray) else found


def _row(claim: Claim, found: Measured) -> dict:
    row = {name: getattr(claim, name) for name in ("id", "source", "claim", "printed", "note")}
    row["recomputed"] = str(claim.recomputed)
    if isinstance(found, Lacking):
        return row | {"note": f"no record {found}"}
    if isinstance(found, Gain):
        row |= columns(found, "ours", p="p") | {"ours": f"{found.mean:+.2f}"}
        if claim.value is None:
            return row
        excluded = verdicts.excluded(claim.value, found) if claim.as_published else verdicts.NOT_AS_PUBLISHED
        return row | {"excluded": excluded}
    return row | {"ours": str(found or ""), "p": found.p if isinstance(found, Chance) else None}


def _verdict(claim: Claim, found: Measured, premise: Measured, p: float) -> str:
    if isinstance(found, Lacking) or isinstance(premise, Lacking):
        return verdicts.MISSING
    if found is None:
        return verdicts.UNTESTED
    if isinstance(found, str):
        return verdicts.NOT_SHOWN
    if not claim.as_published:
        return verdicts.NOT_AS_PUBLISHED
    if isinstance(found, Gain):
        verdict = verdicts.difference(claim.kind, found, p)
        if verdict != verdicts.REPRODUCED or not isinstance(premise, Gain):
            return verdict
        return verdicts.difference("gain", premise, premise.p)
    if isinstance(found, Chance):
        return verdicts.CONTRADICTED if p < verdicts.LEVEL else verdicts.INCONCLUSIVE
    return verdicts.count(*found)


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as text: the interval stands beside our number."""
    shown = frame.astype(object).fillna("")
    shown["ours"] += [interval(low, high, "+") for low, high in zip(frame.ci_low, frame.ci_high, strict=True)]
    shown["p (Holm)"] = [text(value, ".3f") for value in frame.p_holm]
    return shown[[*COLUMNS[:6], "p (Holm)", *COLUMNS[10:]]]


def tested(shown: pd.DataFrame) -> pd.DataFrame:
    """Of the readable table the claims that something was measured for, as the README has them."""
    return shown[shown["ours"] != ""].drop(columns=["id", "note"])
