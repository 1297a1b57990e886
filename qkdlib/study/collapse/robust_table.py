"""tables/robust: v1's six students as published and under the robust protocol, from records."""

import numpy as np
import pandas as pd

from qkdlib import records
from qkdlib.names import span
from qkdlib.records import Record, statistics
from qkdlib.study.cells import columns, estimate, interval, text
from qkdlib.study.collapse import changes
from qkdlib.study.collapse.table import lost, p_lost, student, validation
from qkdlib.workspace import Workspace

ARMS = {"robust": changes.robust, "exact": changes.exact, "published": changes.published}
SHARE = ("lost_class", "trained_share", "trained_ci_low", "trained_ci_high")
OF_ARM = ("seeds", *SHARE, "test_lost_class", "mean", "ci_low", "ci_high", "sd", "validation")
COLUMNS = (
    "dataset", "classes", "qubits", *(f"{arm}_{name}" for arm in ARMS for name in OF_ARM), "published_collapsed",
    "published_best", "to_best", "p_trained", "gain", "gain_ci_low", "gain_ci_high", "p", "p_holm", "pairs_trained",
    "trained_gain", "trained_gain_ci_low", "trained_gain_ci_high",
)  # fmt: skip
IN_README = (
    "student", "train as published", "robust", "accuracy as published", "accuracy, robust", "gain", "p (Holm)",
)  # fmt: skip
UNITS = (
    "The published placebo of v1's six configurations, as meant; the same under the robust protocol "
    f"({', '.join(f'{name} {value:.2g}' for name, value in changes.ROBUST.items())}), and that with exact outcomes, as "
    f"the controlled experiment uses it; {changes.SEEDS} seeds each. Trains: lost no class of validation images, and "
    "did not collapse, with Wilson's 95 % interval; p: McNemar's exact test of paired seeds. Accuracies in percent on "
    "test images after the last epoch, mean over all seeds. To best: robust mean minus the published recipe's best "
    "seed. Gain: robust minus published, paired by seed; p: of flipped signs, after Holm's correction over the table; "
    "where both train: the gain of those pairs alone, given that they train."
)


def table(workspace: Workspace) -> pd.DataFrame:
    """One row per configuration of v1 with the columns `COLUMNS`; without records, empty."""
    frame = pd.DataFrame([_row(row, workspace) for row in changes.ROWS], columns=list(COLUMNS))
    frame["p_holm"] = statistics.holm(frame["p"].astype(float))
    return frame


def _row(row: str, workspace: Workspace) -> dict:
    found = {arm: records.complete(make(row), workspace) for arm, make in ARMS.items()}
    task = changes.published(row)
    values = {"dataset": task.dataset, "classes": span(task.classes), "qubits": task.qubits}
    for arm, record in found.items():
        if record is not None:
            values |= {f"{arm}_{name}": value for name, value in _measured(record).items()}
    if found["robust"] is None or found["published"] is None:
        return values
    return values | _compared(found["robust"], found["published"])


def _measured(record: Record) -> dict:
    summary = statistics.summarise(statistics.accuracies(record))
    values = {"seeds": summary.seeds, **columns(summary, "mean"), "sd": summary.sd}
    values["validation"] = validation(record)[:, -1].mean()
    if (gone := lost(record)) is None:
        return values
    share = statistics.share((~gone).sum(), len(gone))
    return values | {
        "lost_class": int(gone.sum()), **columns(share, "trained_share", "trained_"),
        "test_lost_class": len(records.lost(record)),
    }  # fmt: skip


def _compared(robust: Record, published: Record) -> dict:
    """Of two arms of the same seeds, as far as both have them."""
    seeds = min(len(robust.seeds), len(published.seeds))
    ours, before = (np.array(statistics.accuracies(record)) for record in (robust, published))
    gain = statistics.paired_gain(ours[:seeds], before[:seeds])
    values = {
        "published_collapsed": int((before < statistics.collapse_limit(published.experiment)).sum()),
        "published_best": before.max(), "to_best": ours.mean() - before.max(),
        **columns(gain, "gain", "gain_", p="p"), "p_trained": p_lost(lost(robust), lost(published)),
    }  # fmt: skip
    gone = lost(robust), lost(published)
    if any(each is None for each in gone):
        return values
    both = ~(gone[0][:seeds] | gone[1][:seeds])
    values["pairs_trained"] = int(both.sum())
    if not both.any():
        return values
    conditional = statistics.summarise((ours[:seeds] - before[:seeds])[both])
    return values | columns(conditional, "trained_gain", "trained_gain_")


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rounded, as text."""
    rows = [
        {
            "student": student(row),
            "train as published": _share(row, "published"),
            "robust": _share(row, "robust"),
            "robust, exact outcomes": _share(row, "exact"),
            "p (McNemar)": text(row["p_trained"], ".3f"),
            "accuracy as published": estimate(row, "published_mean", "published_", form=".1f"),
            "best seed": text(row["published_best"], ".1f"),
            "accuracy, robust": estimate(row, "robust_mean", "robust_", form=".1f"),
            "to the best seed": text(row["to_best"], "+.1f"),
            "gain": estimate(row, "gain", "gain_", "+", ".1f"),
            "p (Holm)": text(row["p_holm"], ".3f"),
            "gain where both train": estimate(row, "trained_gain", "trained_gain_", "+", ".1f"),
        }
        for row in frame.to_dict("records")
    ]
    return pd.DataFrame(rows)


def _share(row: dict, arm: str) -> str:
    """How many seeds of an arm train."""
    lost, seeds = row[f"{arm}_lost_class"], row[f"{arm}_seeds"]
    trained = text(seeds - lost, ".0f", after=f" of {seeds:.0f}")
    return trained + interval(row[f"{arm}_trained_ci_low"], row[f"{arm}_trained_ci_high"], form=".0%")
