"""tables/collapse and tables/robust: what each change of the published recipe does to its seeds, from records."""

import numpy as np
import pandas as pd

from qkdlib import records
from qkdlib.names import span
from qkdlib.records import Record, statistics
from qkdlib.study.cells import columns, estimate, text
from qkdlib.study.chapter import TITLES
from qkdlib.study.collapse import changes
from qkdlib.workspace import Workspace

COLUMNS = (
    "dataset", "change", "seeds", "collapsed", "mean_validation", "sd", "ci_low", "ci_high", "worst", "best",
    "p_fisher", "first_epoch_collapsed", "mean_test",
)  # fmt: skip
UNITS = (
    "Placebos of 20 seeds, classes 0-7, 3 qubits: the published recipe with one thing changed. Accuracies in percent "
    "on validation images after the last epoch, which choose; mean on test images beside them. Collapsed: seeds below "
    "1.5 times chance; p: Fisher's exact test against the published recipe. First epoch collapsed: seeds below it "
    "after the first epoch."
)


def table(workspace: Workspace) -> pd.DataFrame:
    """One row per data set and change with the columns `COLUMNS`; without a record, empty."""
    rows, published = [], {}
    for dataset, change, experiment in changes.variants():
        record = records.complete(experiment, workspace)
        measured = {} if record is None else _row(record)
        published.setdefault(dataset, measured)
        if measured and published[dataset]:
            measured["p_fisher"] = _fisher(measured, published[dataset])
        rows.append({"dataset": dataset, "change": change, **measured})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def validation(record: Record) -> np.ndarray:
    """Validation accuracy in percent after each epoch, (S, epochs)."""
    return 100 * np.array([record.seeds[seed]["validation_accuracy"] for seed in sorted(record.seeds)])


def _row(record: Record) -> dict:
    curves, limit = validation(record), statistics.collapse_limit(record.experiment)
    summary = statistics.summarise(curves[:, -1])
    return {
        "seeds": len(curves), "collapsed": int((curves[:, -1] < limit).sum()), **columns(summary, "mean_validation"),
        "sd": summary.sd, "worst": curves[:, -1].min(),
        "best": curves[:, -1].max(), "first_epoch_collapsed": int((curves[:, 0] < limit).sum()),
        "mean_test": float(np.mean(statistics.accuracies(record))),
    }  # fmt: skip


def _fisher(one: dict, other: dict) -> float:
    from scipy import stats

    counts = [[each["collapsed"], each["seeds"] - each["collapsed"]] for each in (one, other)]
    return float(stats.fisher_exact(counts).pvalue)


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Every column rounded, as text."""
    rows = [
        {
            "data set": TITLES.get(row["dataset"], row["dataset"]),
            "change": row["change"],
            "collapsed": text(row["collapsed"], ".0f", after=f" of {row['seeds']:.0f}" if row["seeds"] > 0 else ""),
            "p (Fisher)": text(row["p_fisher"], ".3f"),
            "after the first epoch": text(row["first_epoch_collapsed"], ".0f"),
            "validation accuracy": estimate(row, "mean_validation", form=".1f"),
            "worst, best": text(row["worst"], ".1f") + text(row["best"], ".1f", ", "),
            "test accuracy": text(row["mean_test"], ".1f"),
        }
        for row in frame.to_dict("records")
    ]
    return pd.DataFrame(rows)


ROBUST_COLUMNS = (
    "dataset", "classes", "qubits", "seeds", "collapsed", "mean", "sd", "ci_low", "ci_high", "published_collapsed",
    "published_mean", "published_best", "to_best", "gain", "gain_ci_low", "gain_ci_high", "p", "p_holm",
)  # fmt: skip
ROBUST_UNITS = (
    "The published placebo of v1's six configurations, as meant, and the same under the robust protocol "
    f"({', '.join(f'{name} {value:.2g}' for name, value in changes.ROBUST.items())}), 20 seeds each. Accuracies in "
    "percent on test images after the last epoch. To best: robust mean minus the published recipe's best seed. Gain: "
    "robust minus published, paired by seed; p: Wilcoxon signed-rank, after Holm's correction over the table."
)


def robust_table(workspace: Workspace) -> pd.DataFrame:
    """One row per configuration of v1 with the columns `ROBUST_COLUMNS`; without records, empty."""
    frame = pd.DataFrame([_robust_row(row, workspace) for row in changes.ROWS], columns=list(ROBUST_COLUMNS))
    frame["p_holm"] = statistics.holm(frame["p"].astype(float))
    return frame


def _robust_row(row: str, workspace: Workspace) -> dict:
    published = changes.published(row)
    labels = published.classes
    values = {
        "dataset": published.dataset, "classes": span(labels), "qubits": published.qubits,
    }  # fmt: skip
    both = [records.complete(each, workspace) for each in (changes.robust(row), published)]
    if None in both:
        return values
    ours, before = (np.array(statistics.accuracies(record)) for record in both)
    limit = statistics.collapse_limit(published)
    summary, gain = statistics.summarise(ours), statistics.paired_gain(ours, before)
    return values | {
        "seeds": summary.seeds, "collapsed": int((ours < limit).sum()), **columns(summary, "mean"),
        "sd": summary.sd,
        "published_collapsed": int((before < limit).sum()), "published_mean": before.mean(),
        "published_best": before.max(), "to_best": summary.mean - before.max(),
        **columns(gain, "gain", "gain_", p="p"),
    }  # fmt: skip


def readable_robust(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rounded, as text."""
    rows = [
        {
            "student": f"{TITLES.get(row['dataset'], row['dataset'])} {row['classes']}, {row['qubits']} qubits",
            "collapsed as published": text(row["published_collapsed"], ".0f"),
            "collapsed": text(row["collapsed"], ".0f"),
            "as published: mean": text(row["published_mean"], ".1f"),
            "best seed": text(row["published_best"], ".1f"),
            "robust": estimate(row, "mean", form=".1f"),
            "to the best seed": text(row["to_best"], "+.1f"),
            "gain": estimate(row, "gain", "gain_", "+", ".1f"),
            "p (Holm)": text(row["p_holm"], ".3f"),
        }
        for row in frame.to_dict("records")
    ]  # fmt: skip
    return pd.DataFrame(rows)
