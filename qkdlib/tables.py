"""Tables, drawn from records alone: .csv with every column, .md and .tex to read."""

from pathlib import Path

import pandas as pd

from qkdlib import records, statistics, verdicts
from qkdlib.experiment import Experiment
from qkdlib.paper import TITLES, Row
from qkdlib.records import Record
from qkdlib.teacher_files import TeacherLogits, teacher_name
from qkdlib.workspace import Workspace, atomic

COLUMNS = (
    "category", "teacher", "qubits", "dataset", "classes", "paper_accuracy", "recorded_best", "recorded_last",
    "seeds", "mean_last", "sd_last", "ci_low", "ci_high", "mean_selected", "mean_best_test", "mean_qasm",
    "collapsed_share", "paper_delta", "delta_mean", "delta_ci_low", "delta_ci_high", "p_wilcoxon",
    "chance_single_pair", "verdict", "note",
)  # fmt: skip
UNITS = (
    "Accuracies in percent on the student's test images after the last epoch; the teacher's on all test images of the "
    "classes. [ ]: 95 % bootstrap interval of the mean over seeds. Recorded: best / last epoch in the authors' "
    "notebook. Collapsed: seeds below 1.5 times chance. Gain: distilled - placebo, paired by seed; the paper's is the "
    "difference of two single runs."
)


def paper_table(rows: list[Row], workspace: Workspace) -> pd.DataFrame:
    """One row for each of `rows`, in their order, with the columns `COLUMNS`; a row without a record is `missing`."""
    return pd.DataFrame([_paper_row(row, workspace) for row in rows], columns=list(COLUMNS))


def _paper_row(row: Row, workspace: Workspace) -> dict:
    names = (
        "category",
        "teacher",
        "qubits",
        "dataset",
        "paper_accuracy",
        "recorded_best",
        "recorded_last",
        "paper_delta",
    )
    columns = {name: getattr(row, name) for name in names} | {"classes": f"{row.classes[0]}-{row.classes[-1]}"}
    return columns | _measured(row, workspace)


def _measured(row: Row, workspace: Workspace) -> dict:
    if row.category == "Teacher":
        path = workspace.teachers / f"{teacher_name(row.experiment, row.experiment.teacher)}.npz"
        return _teacher_columns(TeacherLogits.load(path), row) if path.exists() else {"verdict": verdicts.MISSING}
    record = complete(row.experiment, workspace)
    if record is None:
        return {"verdict": verdicts.MISSING}
    columns = student_columns(record)
    if row.category == "Student":
        best = statistics.accuracies(record, "best_test")
        way = statistics.summarise(best)
        verdict = verdicts.student_verdict(row.paper_accuracy, way.low, way.high, min(best), max(best))
        return columns | {"verdict": verdict}
    placebo = complete(row.experiment.placebo(), workspace)
    if placebo is None:
        return columns | {"verdict": verdicts.MISSING, "note": "its placebo has no record"}
    columns |= gain_columns(record, placebo, row.paper_delta)
    return columns | {"verdict": verdicts.gain_verdict(columns["delta_ci_low"], columns["delta_ci_high"])}


def complete(experiment: Experiment, workspace: Workspace) -> Record | None:
    """The record of an experiment if it has all its seeds."""
    record = records.find(experiment, workspace)
    return None if record is None else record.asked(experiment)


def student_columns(record: Record) -> dict:
    """What a table says of one arm."""
    last = statistics.summarise(statistics.accuracies(record))
    means = {
        f"mean_{which}": statistics.summarise(statistics.accuracies(record, which)).mean
        for which in ("selected", "best_test", "qasm")
    }
    return {
        "seeds": last.seeds, "mean_last": last.mean, "sd_last": last.sd, "ci_low": last.low, "ci_high": last.high,
        **means, "collapsed_share": statistics.collapsed_share(record),
    }  # fmt: skip


def gain_columns(distilled: Record, placebo: Record, claimed: float | None) -> dict:
    """What a table says of a distilled arm beside its placebo."""
    gain = statistics.paired_gain(statistics.accuracies(distilled), statistics.accuracies(placebo), claimed)
    return {
        "delta_mean": gain.mean, "delta_ci_low": gain.low, "delta_ci_high": gain.high,
        "p_wilcoxon": gain.p_wilcoxon, "chance_single_pair": gain.chance_single_pair,
    }  # fmt: skip


def _teacher_columns(logits: TeacherLogits, row: Row) -> dict:
    curve = [100 * epoch["test_accuracy"] for epoch in logits.history]
    return {
        "seeds": 1,
        "mean_last": curve[-1],
        "mean_best_test": max(curve),
        "verdict": verdicts.teacher_verdict(row.paper_accuracy, curve[-1]),
        "note": _teacher_note(logits),
    }


def _teacher_note(logits: TeacherLogits) -> str:
    if "trained_on" not in logits.meta:
        return "mean of trained networks"
    return f"{len(logits.history)} epochs on {logits.meta['trained_on']} images"


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns a reader wants first, rounded, as text."""

    return pd.DataFrame([_readable_row(row) for row in frame.to_dict("records")])


def _readable_row(row: dict) -> dict[str, str]:
    words = [row[name] for name in ("category", "teacher", "dataset", "classes") if isinstance(row[name], str)]
    return {
        "row": " ".join(TITLES.get(word, word) for word in words) + _text(row["qubits"], ".0f", ", ", " qubits"),
        "paper": _text(row["paper_accuracy"]),
        "recorded": f"{row['recorded_best']:.2f} / {row['recorded_last']:.2f}",
        "ours": _text(row["mean_last"]) + _interval(row["ci_low"], row["ci_high"]),
        "sd": _text(row["sd_last"]),
        "QASM": _text(row["mean_qasm"]),
        "seeds": _text(row["seeds"], ".0f"),
        "collapsed": _text(row["collapsed_share"], ".0%"),
        "paper's gain": _text(row["paper_delta"], "+.2f"),
        "our gain": _text(row["delta_mean"], "+.2f") + _interval(row["delta_ci_low"], row["delta_ci_high"], "+"),
        "verdict": row["verdict"],
    }


def _text(value, form: str = ".2f", before: str = "", after: str = "") -> str:
    return "" if pd.isna(value) else f"{before}{value:{form}}{after}"


def _interval(low, high, sign: str = "") -> str:
    return "" if pd.isna(low) else f" [{low:{sign}.2f}, {high:{sign}.2f}]"


def write(frame: pd.DataFrame, folder: Path, name: str, notes: list[str], shown: pd.DataFrame | None = None) -> None:
    """Write `<name>.csv` (all of `frame`), `.md` and `.tex` (booktabs; `shown`, or all), each atomically.

    Args:
        notes: paragraphs below the .md and .tex table: units and rules.
    """
    shown = frame if shown is None else shown
    with atomic(folder / f"{name}.csv") as path:
        frame.to_csv(path, index=False, float_format="%.6g")
    with atomic(folder / f"{name}.md") as path:
        path.write_text(shown.to_markdown(index=False, disable_numparse=True) + "\n\n" + "\n\n".join(notes) + "\n")
    with atomic(folder / f"{name}.tex") as path:
        escaped = [note.replace("%", r"\%").replace("_", r"\_").replace("`", "'") for note in notes]
        path.write_text(shown.to_latex(index=False, escape=True) + "\n" + "\n\n".join(escaped) + "\n")


def embed(page: Path, name: str, text: str) -> None:
    """Put `text` between the page's markers `<!-- begin: name -->` and `<!-- end: name -->`, so that the numbers of a
    page are never copied by hand. A page without the markers stays as it is."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    if not page.exists() or begin not in (before := page.read_text()):
        return
    head, rest = before.split(begin, 1)
    _, tail = rest.split(end, 1)
    after = f"{head}{begin}\n{text}\n{end}{tail}"
    if after != before:
        with atomic(page) as path:
            path.write_text(after)
