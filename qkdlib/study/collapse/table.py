"""tables/collapse: what each change of the published recipe does to its seeds, from records."""

import numpy as np
import pandas as pd

from qkdlib import records
from qkdlib.names import span
from qkdlib.records import Record, statistics
from qkdlib.study.cells import columns, estimate, interval, text
from qkdlib.study.chapter import TITLES
from qkdlib.study.collapse import changes
from qkdlib.workspace import Workspace

COLUMNS = (
    "dataset", "classes", "qubits", "change", "seeds", "lost_class", "lost_share", "lost_ci_low", "lost_ci_high",
    "p_mcnemar", "collapsed", "first_epoch_collapsed", "trained_validation", "trained_ci_low", "trained_ci_high",
    "trained_test", "mean_validation", "ci_low", "ci_high", "sd", "worst", "best", "mean_test",
)  # fmt: skip
UNITS = (
    "Placebos of v1: the published recipe, as meant, with one thing changed. Accuracies in percent after the last "
    "epoch, on validation images, which choose; on test images beside them. Lost a class or collapsed: seeds that "
    "take no validation image of some class for what it is, or end below 1.5 times chance, with Wilson's 95 % "
    "interval of their share; p: McNemar's exact test of the seeds that both arms have, against the published recipe. "
    "Collapsed: after the last and after the first epoch. Seeds that train: all others. Without a number: no record, "
    "or one of an earlier version, which did not look at single classes."
)


def table(workspace: Workspace) -> pd.DataFrame:
    """One row per task and change with the columns `COLUMNS`; without a record, empty."""
    rows, published = [], {}
    for row, change, experiment in changes.variants():
        record = records.complete(experiment, workspace)
        task = {"dataset": experiment.dataset, "classes": span(experiment.classes), "qubits": experiment.qubits}
        published.setdefault(row, record)
        rows.append({**task, "change": change, **({} if record is None else _measured(record, published[row]))})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def validation(record: Record) -> np.ndarray:
    """Validation accuracy in percent after each epoch, (S, epochs)."""
    return 100 * np.array([record.seeds[seed]["validation_accuracy"] for seed in sorted(record.seeds)])


def lost(record: Record | None) -> np.ndarray | None:
    """Which seeds lost a class on validation images, or collapsed, (S,); None: an earlier version made a seed, and
    cannot say."""
    if record is None or not records.has_confusions(record, "validation"):
        return None
    return ~records.trains(record, "validation")


def lost_recalls(record: Record | None) -> pd.DataFrame:
    """Recalls of the seeds that lost a class, and their mean, in percent of validation images, a row per seed; empty
    where no seed did, and where there is no record or one that cannot say."""
    if (gone := lost(record)) is None:
        return pd.DataFrame()
    names = [f"class {label}" for label in record.experiment.classes]
    found = pd.DataFrame(100 * records.recalls(record, "validation"), sorted(record.seeds), names)[gone]
    return found.assign(mean=found.mean(axis=1)).round(1).rename_axis("seed")


def p_lost(one: np.ndarray | None, other: np.ndarray | None) -> float | None:
    """p of McNemar's exact test of two arms' `lost`, of the first seeds, which both have."""
    if one is None or other is None:
        return None
    seeds = min(len(one), len(other))
    return statistics.mcnemar(one[:seeds], other[:seeds])


def _measured(record: Record, published: Record | None) -> dict:
    curves, limit = validation(record), statistics.collapse_limit(record.experiment)
    summary, tests = statistics.summarise(curves[:, -1]), np.array(statistics.accuracies(record))
    found = {
        "seeds": len(curves), "collapsed": int((curves[:, -1] < limit).sum()),
        "first_epoch_collapsed": int((curves[:, 0] < limit).sum()), **columns(summary, "mean_validation"),
        "sd": summary.sd, "worst": curves[:, -1].min(), "best": curves[:, -1].max(), "mean_test": tests.mean(),
    }  # fmt: skip
    if (gone := lost(record)) is None:
        return found
    share = statistics.share(gone.sum(), len(gone))
    found |= {
        "lost_class": share.count, **columns(share, "lost_share", "lost_"),
        "p_mcnemar": p_lost(gone, lost(published)),
    }  # fmt: skip
    if gone.all():
        return found
    trained = statistics.summarise(curves[~gone, -1])
    return found | columns(trained, "trained_validation", "trained_") | {"trained_test": tests[~gone].mean()}


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Every column rounded, as text."""
    rows = [
        {
            "student": student(row),
            "change": row["change"],
            "lost a class or collapsed": text(row["lost_class"], ".0f", after=f" of {row['seeds']:.0f}")
            + interval(row["lost_ci_low"], row["lost_ci_high"], form=".0%"),
            "p (McNemar)": text(row["p_mcnemar"], ".3f"),
            "collapsed": text(row["collapsed"], ".0f", after=f" of {row['seeds']:.0f}"),
            "after the first epoch": text(row["first_epoch_collapsed"], ".0f"),
            "seeds that train": estimate(row, "trained_validation", "trained_", form=".1f"),
            "on test": text(row["trained_test"], ".1f"),
            "all seeds": estimate(row, "mean_validation", form=".1f"),
            "worst, best": text(row["worst"], ".1f") + text(row["best"], ".1f", ", "),
        }
        for row in frame.to_dict("records")
    ]
    return pd.DataFrame(rows)


def student(row: dict) -> str:
    """Data set, classes and qubits of a line."""
    return f"{TITLES.get(row['dataset'], row['dataset'])} {row['classes']}, {row['qubits']} qubits"
