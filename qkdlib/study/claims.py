"""The paper's claims beside what its own tables give and what ours give: abstract, section 1, findings of section 5."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qkdlib import records
from qkdlib.experiment import Experiment
from qkdlib.records import statistics
from qkdlib.study import verdicts
from qkdlib.study.robustness import table as robustness_table
from qkdlib.study.v1 import paper, tables
from qkdlib.study.v1.paper import MEANT, RAN, Row
from qkdlib.workspace import Workspace

RULE = (
    "Printed: the paper's number. Recomputed: the same from the printed accuracies of Tables 1 and 2, and for v2 "
    "from the bars of Fig. 12. Ours: mean over seeds with its 95 % bootstrap interval; averages over rows are "
    "formed seed by seed, so that the rows' common seeds count once. Verdict of a difference: `reproduced` if the "
    "interval lies on the claimed side of 0, `within seed noise` if it holds 0, else `not reproduced`; of a claim "
    "that there is none: `reproduced` if the interval holds 0; that there is no loss: if it does not lie below 0. "
    f"Of a count: `reproduced` if all, `{verdicts.NOT_REPRODUCED}` if none, else `{verdicts.IN_PART}`. "
    f"`{verdicts.NOT_SHOWN}`: the paper reports no measurement of it. `{verdicts.MISSING}`: our records lack it. "
    "Gains as run count a notebook that distils nothing as 0; as meant is used where the claim compares teachers "
    "or heads have to be equal."
)
COLUMNS = ("id", "source", "claim", "printed", "recomputed", "ours", "ci_low", "ci_high", "verdict", "note")
TASKS = tuple((name, classes, qubits) for name in paper.TABLES for classes, qubits in ((6, 3), (8, 3), (8, 4)))


class Evidence:
    """What the claims are tested on: Tables 1 and 2, and per-seed accuracies of their rows, in percent; and the table
    of robustness. A missing record raises `LookupError`."""

    def __init__(self, workspace: Workspace, frames: list[pd.DataFrame] | None = None, executed=None):
        self.workspace = workspace
        self.tables = frames or [tables.paper_table(paper.rows(number), workspace) for number in (1, 2)]
        self.executed = robustness_table.table(workspace) if executed is None else executed

    def accuracies(self, experiment: Experiment) -> np.ndarray:
        record = records.complete(experiment, self.workspace)
        if record is None:
            raise LookupError(experiment.name)
        return np.array(statistics.accuracies(record))  # (S,)

    def gain(self, row: Row) -> np.ndarray:
        """Paired gain of a distilled row over its placebo, per seed: (S,)."""
        return self.accuracies(row.experiment) - self.accuracies(row.experiment.placebo())

    def distilled(self, run: str, table: int | None = None) -> list[Row]:
        """The distilled rows, `as run`, or `as meant` where the notebook deviates."""
        found = [row for row in paper.rows(table) if row.category == "Distillation"]
        meant = {row.id for row in found if row.run == MEANT} if run == MEANT else set()
        return [row for row in found if row.run == (MEANT if row.id in meant else RAN)]

    def average_gain(self, run: str, table: int | None = None) -> np.ndarray:
        """Mean gain over the distilled rows, per seed: (S,)."""
        return np.mean([self.gain(row) for row in self.distilled(run, table)], axis=0)

    def arm(self, task: tuple, teacher: str | None) -> np.ndarray:
        """Accuracies of a task's student with that teacher (None: direct), all with the same head: (S,)."""
        name, classes, qubits = task
        row = next(
            row
            for row in reversed(paper.rows())  # an `as meant` row before its `as run` twin
            if (row.dataset, len(row.classes), row.qubits, row.teacher) == (name, classes, qubits, teacher)
        )
        return self.accuracies(row.experiment)

    def mean(self, tasks, teacher: str | None) -> np.ndarray:
        """Mean of `arm` over tasks, per seed."""
        return np.mean([self.arm(task, teacher) for task in tasks], axis=0)


@dataclass(frozen=True)
class Claim:
    """A claim of the paper in our words, and how to test it. `ours` gives a number per seed, a (k, n) count, or text;
    `recomputed` is what the paper's own tables give."""

    id: str
    source: str
    claim: str
    printed: str
    kind: str
    recomputed: tuple[int, int] | str = ""
    ours: Callable[[Evidence], np.ndarray | tuple[int, int] | str] | None = None
    note: str = ""


def table(
    workspace: Workspace, frames: list[pd.DataFrame] | None = None, executed: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Every claim with the columns `COLUMNS`; one whose records are missing is `missing`.

    Args:
        frames: Tables 1 and 2, where they are there already.
        executed: the table of robustness, where it is.
    """
    from qkdlib.study.v1 import claims as claim_list
    from qkdlib.study.v2 import claims as claim_list_revised

    evidence = Evidence(workspace, frames, executed)
    claims = (*claim_list.CLAIMS, *claim_list_revised.CLAIMS)
    return pd.DataFrame([_row(claim, evidence) for claim in claims], columns=list(COLUMNS))


def _row(claim: Claim, evidence: Evidence) -> dict:
    columns = {name: getattr(claim, name) for name in ("id", "source", "claim", "printed", "note")}
    columns["recomputed"] = _text(claim.recomputed)
    if claim.ours is None:
        return columns | {"verdict": verdicts.NOT_SHOWN}
    try:
        measured = claim.ours(evidence)
    except LookupError as error:
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
    pairs = zip(shown.ci_low, shown.ci_high, strict=True)
    shown["ours"] += [f" [{low:+.2f}, {high:+.2f}]" if low != "" else "" for low, high in pairs]
    return shown.drop(columns=["ci_low", "ci_high"])
