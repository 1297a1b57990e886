"""v1's Tables 1 and 2, and the same for the students that its text describes, from records alone."""

import dataclasses

import pandas as pd

from qkdlib import records
from qkdlib.names import span
from qkdlib.records import Gain, Record, statistics
from qkdlib.study import verdicts
from qkdlib.study.cells import INTERVAL, P, columns, estimate, text
from qkdlib.study.chapter import TITLES
from qkdlib.study.v1 import measures, paper
from qkdlib.study.v1.paper import MEANT, RAN, Row, all_rows
from qkdlib.teachers import TeacherLogits, logits_path
from qkdlib.workspace import Workspace

COLUMNS = (
    "category", "teacher", "qubits", "dataset", "classes", "paper_accuracy", "recorded_best", "recorded_last",
    "seeds", "mean_last", "sd_last", "ci_low", "ci_high", "mean_selected", "mean_best_test", "collapsed_share",
    "trained_share", "trained_ci_low", "trained_ci_high", "paper_delta", "delta_mean", "delta_ci_low", "delta_ci_high",
    "p", "p_holm", "chance_single_pair", "verdict_draw", "rank", "verdict_mean", "verdict_gain", "paper_gain_excluded",
    "note", "id", "run", "median_last", "best_test_ci_low", "best_test_ci_high", "best_test_90_low",
    "best_test_90_high", "best_test_min", "best_test_max", "delta_90_low", "delta_90_high", "trained_mean",
    "placebo_trained_share", "p_trained", "pairs_trained", "trained_delta", "trained_delta_ci_low",
    "trained_delta_ci_high", "over_direct_mean", "over_direct_ci_low", "over_direct_ci_high", "interval",
    "qasm_seeds", "qasm_minus_last",
)  # fmt: skip
ROUNDED = 0.01  # points that two decimals of two accuracies can take from a difference
VERDICTS = ("verdict_draw", "verdict_mean", "verdict_gain", "paper_gain_excluded")
UNITS = (
    "Accuracies in percent on the student's test images after the last epoch; the teacher's on all test images of the "
    f"classes. {INTERVAL}. Recorded: best / last epoch in the authors' notebook. Selected: the epoch with the best "
    "validation accuracy; best test: the epoch with the best test accuracy, the paper's way. Collapsed: seeds below "
    "1.5 times chance. Trains: seeds that lost no class, and did not collapse, with Wilson's 95 % interval. Gain: "
    "distilled - placebo, paired by seed, over all seeds; of pairs that train: over those whose both arms do, which "
    "is what is left when the question whether a seed trains is answered; the paper's is the difference of two single "
    f"runs. {P}, after Holm's correction over the rows that distil in the table. Chance: that one single unpaired pair "
    "of runs shows at least the paper's gain. All seeds see the same images and, of a kind, the same teacher: the "
    "intervals do not hold what other ones would change. In the csv also `p_trained`: that as many seeds train in "
    "both arms, by McNemar's exact test; `over_direct`: the difference to the direct row as run, as in the paper, "
    "whatever its head; `qasm_minus_last`: accuracy on Qiskit's QASM simulator minus `last`, mean over the "
    "`qasm_seeds` seeds that were executed there."
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
AS_DRAWN = (
    "Redrawn: the students as meant, but every seed has its own random 150 training images per class, its own "
    "validation and test images, and one of ten LeNets, so that the intervals hold what other images and other "
    "teachers would change. Paper and recorded: of the row's notebook, which takes the first images of each class."
)


def paper_table(rows: list[Row], workspace: Workspace) -> pd.DataFrame:
    """One row for each of `rows`, in their order, with the columns `COLUMNS`; a row without a record is `missing`."""
    measured = [_measured(row, workspace) for row in rows]
    gains = [each.pop("gain", None) for each in measured]
    found = pd.DataFrame(
        [_identity(row) | each for row, each in zip(rows, measured, strict=True)], columns=list(COLUMNS)
    )
    found["p_holm"] = statistics.holm(found["p"].astype(float))
    said = [_of_gain(*each) for each in zip(rows, gains, found["p_holm"], strict=True)]
    found["verdict_gain"], found["paper_gain_excluded"] = zip(*said, strict=True)
    found[list(VERDICTS)] = found[list(VERDICTS)].astype(object)
    found.loc[found["mean_last"].isna(), list(VERDICTS)] = verdicts.MISSING
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


def drawn(workspace: Workspace) -> pd.DataFrame:
    """The students whose images and teachers are drawn for each seed."""
    return paper_table(paper.drawn_rows(), workspace)


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
    """The columns of a row's own records, and its paired `gain`, if it has one."""
    if row.category == "Teacher":
        path = logits_path(workspace, row.experiment, row.experiment.teacher)
        return _teacher_columns(row, logits) if (logits := TeacherLogits.find(path)) else {}
    record = records.complete(row.experiment, workspace)
    if record is None:
        return {}
    arm = measures.student_columns(record) | _of_accuracy(row, record)
    if row.category == "Student":
        return arm
    if not row.distils:
        same = statistics.accuracies(record)
        chance = statistics.paired_gain(same, same, row.paper_delta - ROUNDED).chance_single_pair
        return arm | {"delta_mean": 0.0, "chance_single_pair": chance}
    placebo = records.complete(row.experiment.placebo(), workspace)
    if placebo is None:
        return arm | {"note": "; ".join(filter(None, (_note(row), "its placebo is missing")))}
    taught, alone = statistics.accuracies(record), statistics.accuracies(placebo)
    gain = statistics.paired_gain(taught, alone, row.paper_delta - ROUNDED)
    return (
        arm
        | measures.gain_columns(gain)
        | measures.trained_columns(record, placebo)
        | _over_direct(row, record, workspace)
        | {"gain": gain}
    )


def _over_direct(row: Row, record: Record, workspace: Workspace) -> dict:
    """The difference that the paper's table takes: to the direct row as run, whatever head that one has."""
    if row.run not in (RAN, MEANT):
        return {}
    direct = next(r for r in all_rows() if r.category == "Student" and r.task == row.task)
    found = records.complete(dataclasses.replace(direct.experiment, seeds=len(record.seeds)), workspace)
    if found is None:
        return {}
    gain = statistics.paired_gain(statistics.accuracies(record), statistics.accuracies(found))
    return columns(gain, "over_direct_mean", "over_direct_")


def _of_accuracy(row: Row, record: Record) -> dict:
    """The verdicts on a row's printed accuracy, which is that of a best test epoch."""
    if not row.as_published:
        return dict.fromkeys(("verdict_draw", "verdict_mean"), verdicts.NOT_AS_PUBLISHED)
    seeds, paper_ = statistics.accuracies(record, "best_test"), row.paper_accuracy
    return {
        "verdict_draw": verdicts.draw(paper_, seeds), "rank": verdicts.rank(paper_, seeds),
        "verdict_mean": verdicts.mean(paper_, statistics.summarise(seeds)),
    }  # fmt: skip


def _of_gain(row: Row, gain: Gain | None, p: float) -> tuple[str | None, str | None]:
    """The verdict on a distilled row's gain, and whether it excludes the paper's."""
    if row.category != "Distillation":
        return None, None
    if not row.distils:
        return verdicts.NOTHING_DISTILLED, verdicts.NOTHING_DISTILLED
    if gain is None:
        return verdicts.MISSING, verdicts.MISSING
    excluded = verdicts.excluded(row.paper_delta, gain) if row.as_published else verdicts.NOT_AS_PUBLISHED
    return verdicts.gain(gain, p), excluded


def _teacher_columns(row: Row, logits: TeacherLogits) -> dict:
    curve = [100 * epoch["test_accuracy"] for epoch in logits.history]
    verdict = verdicts.teacher(row.paper_accuracy, curve[-1]) if row.as_published else verdicts.NOT_AS_PUBLISHED
    return {
        "seeds": 1, "mean_last": curve[-1], "mean_best_test": max(curve), "note": _teacher_note(logits),
        "verdict_mean": verdict,
    }  # fmt: skip


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
        "trains": estimate(row, "trained_share", "trained_", form=".0%"),
        "paper's gain": text(row["paper_delta"], "+.2f"),
        "our gain": estimate(row, "delta_mean", "delta_", "+"),
        "p (Holm)": text(row["p_holm"], ".3f"),
        "of pairs that train": estimate(row, "trained_delta", "trained_delta_", "+")
        + text(row["pairs_trained"], ".0f", " (", ")"),
        "chance": text(row["chance_single_pair"], ".0%"),
        "draw": _said(row["verdict_draw"]) + text(row["rank"], ".2f", ", rank "),
        "mean": _said(row["verdict_mean"]),
        "gain": _said(row["verdict_gain"]),
        "paper's gain excluded": _said(row["paper_gain_excluded"]),
        "note": _said(row["note"]),
    }


def _said(cell: object) -> str:
    return cell if isinstance(cell, str) else ""
