"""v1's Tables 1 and 2, and the same for the students that its text describes, from records alone."""

import numpy as np
import pandas as pd

from qkdlib import records
from qkdlib.names import span
from qkdlib.records import Record, statistics
from qkdlib.study import verdicts
from qkdlib.study.cells import INTERVAL, P, columns, estimate, text
from qkdlib.study.chapter import TITLES
from qkdlib.study.v1 import paper
from qkdlib.study.v1.paper import DESCRIBED, RAN, Row, all_rows
from qkdlib.teachers import TeacherLogits, logits_path
from qkdlib.workspace import Workspace

COLUMNS = (
    "category", "teacher", "qubits", "dataset", "classes", "paper_accuracy", "recorded_best", "recorded_last",
    "seeds", "mean_last", "sd_last", "ci_low", "ci_high", "mean_selected", "mean_best_test", "collapsed_share",
    "paper_delta", "delta_mean", "delta_ci_low", "delta_ci_high", "p", "p_holm", "chance_single_pair",
    "verdict", "note", "id", "run", "median_last", "best_test_ci_low", "best_test_ci_high", "best_test_min",
    "best_test_max", "over_direct_mean", "over_direct_ci_low", "over_direct_ci_high", "qasm_seeds",
    "qasm_minus_last",
)  # fmt: skip
BEST_TEST = ("best_test_ci_low", "best_test_ci_high", "best_test_min", "best_test_max")
UNITS = (
    "Accuracies in percent on the student's test images after the last epoch; the teacher's on all test images of the "
    f"classes. {INTERVAL}. Recorded: best / last epoch in the authors' "
    "notebook. Selected: the epoch with the best validation accuracy; best test: the epoch with the best test "
    "accuracy, the paper's way. Collapsed: seeds below 1.5 times chance. Gain: distilled - placebo, paired by seed; "
    f"the paper's is the difference of two single runs. {P}, after Holm's correction over the "
    "table. Chance: that one single unpaired pair of runs shows at least the paper's gain. In the csv also "
    "`over_direct`: the difference to the direct row as run, as in the paper, whatever its head; `qasm_minus_last`: "
    "accuracy on Qiskit's QASM simulator minus `last`, mean over the `qasm_seeds` seeds that were executed there."
)
RUNS = (
    "As run: the row's notebook as it is, with its head, its shots and its weights; a notebook that distils nothing "
    "is its placebo. As meant: the same row without what sets its notebook apart from its siblings (see note). "
    "Every distilled student is compared with a placebo that has its own head and shots."
)
AS_DESCRIBED = (
    "As described: the students of v1's text, taken literally, with exact outcomes. Paper and recorded: of the row's "
    "notebook, which runs another student."
)


def paper_table(rows: list[Row], workspace: Workspace) -> pd.DataFrame:
    """One row for each of `rows`, in their order, with the columns `COLUMNS`; a row without a record is `missing`."""
    found = pd.DataFrame([_identity(row) | _measured(row, workspace) for row in rows], columns=list(COLUMNS))
    found["p_holm"] = statistics.holm(found["p"].astype(float))
    found["verdict"] = [_verdict(row, values) for row, values in zip(rows, found.to_dict("records"), strict=True)]
    return found


def table_1(workspace: Workspace) -> pd.DataFrame:
    """v1's Table 1, as run and as meant."""
    return paper_table(paper.rows(1), workspace)


def table_2(workspace: Workspace) -> pd.DataFrame:
    """v1's Table 2, as run and as meant."""
    return paper_table(paper.rows(2), workspace)


def described(workspace: Workspace) -> pd.DataFrame:
    """The students that v1's text describes."""
    return paper_table(paper.described_rows(), workspace)


def students(dataset: str, workspace: Workspace) -> dict[str, Record]:
    """The direct students of a data set that have a record, by their row's label."""
    rows = [row for row in paper.rows(paper.TABLES[dataset]) if row.category == "Student"]
    found = {row.label: records.complete(row.experiment, workspace) for row in rows}
    return {label: record for label, record in found.items() if record is not None}


def pairs(dataset: str, workspace: Workspace) -> dict[str, tuple[Record, Record]]:
    """Placebo and distilled student of each row of a data set that distils and has both records, by the row's label."""
    rows = [row for row in paper.rows(paper.TABLES[dataset]) if row.distils]
    arms = {row.label: (row.experiment.placebo(), row.experiment) for row in rows}
    found = {label: [records.complete(each, workspace) for each in both] for label, both in arms.items()}
    return {label: (placebo, taught) for label, (placebo, taught) in found.items() if placebo and taught}


def _identity(row: Row) -> dict:
    names = (
        "id", "run", "category", "teacher", "qubits", "dataset", "paper_accuracy", "recorded_best", "recorded_last",
        "paper_delta",
    )  # fmt: skip
    values = {name: getattr(row, name) for name in names}
    return values | {"classes": span(row.classes), "note": _note(row)}


def _note(row: Row) -> str:
    if not row.deviation or row.run == RAN:
        return row.deviation
    return f"without: {row.deviation}"


def _measured(row: Row, workspace: Workspace) -> dict:
    if row.category == "Teacher":
        path = logits_path(workspace, row.experiment, row.experiment.teacher)
        return _teacher_columns(logits) if (logits := TeacherLogits.find(path)) else {}
    record = records.complete(row.experiment, workspace)
    if record is None:
        return {}
    arm = student_columns(record)
    if row.category == "Student":
        return arm
    if not row.distils:
        same = statistics.accuracies(record)
        chance = statistics.paired_gain(same, same, row.paper_delta).chance_single_pair
        return arm | {"delta_mean": 0.0, "chance_single_pair": chance}
    placebo = records.complete(row.experiment.placebo(), workspace)
    if placebo is None:
        return arm | {"note": "; ".join(filter(None, (_note(row), "its placebo is missing")))}
    return arm | gain_columns(record, placebo, row.paper_delta) | _over_direct(row, record, workspace)


def _over_direct(row: Row, record: Record, workspace: Workspace) -> dict:
    """The difference that the paper's table takes: to the direct row as run, whatever head that one has."""
    direct = next(r for r in all_rows() if r.category == "Student" and r.task == row.task)
    found = records.complete(direct.experiment, workspace)
    if found is None or row.run == DESCRIBED:
        return {}
    gain = statistics.paired_gain(statistics.accuracies(record), statistics.accuracies(found))
    return columns(gain, "over_direct_mean", "over_direct_")


def _verdict(row: Row, values: dict) -> str:
    if pd.isna(values["mean_last"]) or (row.category == "Distillation" and pd.isna(values["delta_mean"])):
        return verdicts.MISSING
    if row.category == "Teacher":
        return verdicts.teacher_verdict(row.paper_accuracy, values["mean_last"])
    if row.category == "Student":
        return verdicts.student_verdict(row.paper_accuracy, *(values[name] for name in BEST_TEST))
    if not row.distils:
        return verdicts.NOTHING_DISTILLED
    return verdicts.gain_verdict(row.paper_delta, values["delta_ci_low"], values["delta_ci_high"], values["p_holm"])


def student_columns(record: Record) -> dict:
    """What a table says of one arm."""
    last = statistics.summarise(statistics.accuracies(record))
    best_test = statistics.accuracies(record, "best_test")
    best = statistics.summarise(best_test)
    qasm = statistics.qasm_differences(record)
    return {
        "seeds": last.seeds, **columns(last, "mean_last"), "sd_last": last.sd,
        "median_last": float(np.median(statistics.accuracies(record))),
        "mean_selected": statistics.summarise(statistics.accuracies(record, "selected")).mean,
        "mean_best_test": best.mean,
        **dict(zip(BEST_TEST, (best.low, best.high, min(best_test), max(best_test)), strict=True)),
        "collapsed_share": statistics.collapsed_share(record),
        "qasm_seeds": len(qasm), "qasm_minus_last": float(np.mean(qasm)) if qasm else None,
    }  # fmt: skip


def gain_columns(distilled: Record, placebo: Record, claimed: float | None) -> dict:
    """What a table says of a distilled arm beside its placebo."""
    gain = statistics.paired_gain(statistics.accuracies(distilled), statistics.accuracies(placebo), claimed)
    return {
        **columns(gain, "delta_mean", "delta_", p="p"),
        "chance_single_pair": gain.chance_single_pair,
    }  # fmt: skip


def _teacher_columns(logits: TeacherLogits) -> dict:
    curve = [100 * epoch["test_accuracy"] for epoch in logits.history]
    return {"seeds": 1, "mean_last": curve[-1], "mean_best_test": max(curve), "note": _teacher_note(logits)}


def _teacher_note(logits: TeacherLogits) -> str:
    if "trained_on" not in logits.meta:
        return "mean of the two trained networks' probabilities"
    return f"{len(logits.history)} epochs on {logits.meta['trained_on']} images"


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns a reader wants first, rounded, as text."""
    return pd.DataFrame([_readable_row(row) for row in frame.to_dict("records")])


def _readable_row(row: dict) -> dict[str, str]:
    words = [row[name] for name in ("category", "teacher", "dataset", "classes") if isinstance(row[name], str)]
    run = "" if row["run"] == RAN else f", {row['run']}"
    return {
        "row": " ".join(TITLES.get(word, word) for word in words) + text(row["qubits"], ".0f", ", ", " qubits") + run,
        "paper": text(row["paper_accuracy"]),
        "recorded": f"{row['recorded_best']:.2f} / {row['recorded_last']:.2f}",
        "seeds": text(row["seeds"], ".0f"),
        "ours": estimate(row, "mean_last"),
        "sd": text(row["sd_last"]),
        "selected": text(row["mean_selected"]),
        "best test": text(row["mean_best_test"]),
        "collapsed": text(row["collapsed_share"], ".0%"),
        "paper's gain": text(row["paper_delta"], "+.2f"),
        "our gain": estimate(row, "delta_mean", "delta_", "+"),
        "p (Holm)": text(row["p_holm"], ".3f"),
        "chance": text(row["chance_single_pair"], ".0%"),
        "verdict": row["verdict"],
        "note": row["note"] if isinstance(row["note"], str) else "",
    }
