"""tables/ablation and tables/entangler: v2's Fig. 12 beside our students, from records alone."""

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qkdlib import records
from qkdlib.records import Record, statistics
from qkdlib.study import verdicts
from qkdlib.study.cells import INTERVAL, P, columns, estimate, holm, text
from qkdlib.study.v2 import revised
from qkdlib.study.v2.revised import Bar
from qkdlib.workspace import Workspace

COLUMNS = (
    "method", "reducer", "encoder", "dataset", "qubits", "regime", "seeds", "paper_error", "mean_error", "sd", "ci_low",
    "ci_high", "gain_kd", "gain_kd_ci_low", "gain_kd_ci_high", "verdict_mean", "verdict_gain", "images", "layers",
    "entangler", "quantum_parameters", "classical_parameters", "placebo_error", "placebo_sd", "placebo_ci_low",
    "placebo_ci_high", "p", "p_holm", "alexnet_error", "alexnet_gain", "alexnet_gain_ci_low", "alexnet_gain_ci_high",
    "alexnet_p", "alexnet_p_holm", "selected_error", "epochs", "learning_rate", "zero_vectors",
    "collapsed_share",
)  # fmt: skip
READING = 0.4  # points: how well a bar could be read off the picture
UNITS = (
    "Errors in percent on all test images, mean over seeds of the student taught by LeNet, after the last epoch (10 "
    "epochs, full set) or after the epoch that validation chose (converged). Placebo: "
    "the same students with `kd_weight` 0. Gain: accuracy of the distilled minus that of the placebo student, paired "
    f"by seed, with LeNet (`gain_kd`) and with AlexNet. {INTERVAL}; {P}, after Holm's correction over the bars "
    "of one data set in one regime. Regimes: 150 images per class for 10 epochs of batch 32; the same for up to 100 "
    "epochs, stopped on validation (patience 15), the learning rate chosen there from 0.001 and 0.01 for each seed; "
    "all training images for 10 epochs. Images: the copy of the data set that the numbers come from; `cifar10_jpeg` "
    "is CIFAR10 saved as JPEG. Parameters: quantum + classical. Zero vectors: validation and test images per seed "
    "whose features are all 0."
)
RULE = (
    "No code was published for v2, and its training-set size, batch, epochs and teacher are not at hand: the verdict "
    f"on the mean says whether our reading of it gives the bar, as read off the picture to {READING:g} points: "
    f"`{verdicts.REPRODUCED}` if the 90 % interval of our error lies within {verdicts.BAND + READING:g} points of it, "
    f"`{verdicts.CONTRADICTED}` if the 95 % interval lies outside of them, else `{verdicts.INCONCLUSIVE}`. On the gain "
    f"from LeNet: `{verdicts.GAIN}` or `{verdicts.HARM}` if its 95 % interval lies above or below 0 and corrected p "
    f"below {verdicts.LEVEL:g}; `{verdicts.NO_GAIN}` if the 90 % interval lies within {verdicts.MARGIN:g} point of 0; "
    f"else `{verdicts.INCONCLUSIVE}`. `{verdicts.MISSING}`: no record yet."
)


@dataclass(frozen=True)
class Evidence:
    """The records of one bar: `arms` has the placebo under None and one per teacher, all on the same `images`."""

    bar: Bar
    images: str
    arms: dict[str | None, Record]

    def errors(self, teacher: str | None) -> np.ndarray:
        """Error of each seed in percent, (S,): of the student that its training keeps."""
        record = self.arms[teacher]
        return 100 - np.array(statistics.accuracies(record, statistics.kept_outcome(record)))

    def gain(self, teacher: str) -> statistics.Gain:
        """Accuracy of the distilled student minus the placebo's, paired by seed, in points."""
        return statistics.paired_gain(-self.errors(teacher), -self.errors(None))


def evidence(bar: Bar, workspace: Workspace) -> Evidence | None:
    """The bar's records on the first copy of its images that has all of them; None if none has. AlexNet's is left out
    where it is missing."""
    for copy in bar.copies:
        arms = {name: records.complete(experiment, workspace) for name, experiment in copy.arms.items()}
        if arms[None] is not None and arms["lenet"] is not None:
            there = {name: record for name, record in arms.items() if record is not None}
            return Evidence(copy, copy.experiment.dataset, there)
    return None


def students(dataset: str, workspace: Workspace) -> dict[str, Record]:
    """The placebos of Fig. 12's bars on a data set, trained to convergence, that have records, by method and qubits."""
    return {label: placebo for label, (placebo, _) in pairs(dataset, workspace).items()}


def pairs(dataset: str, workspace: Workspace) -> dict[str, tuple[Record, Record]]:
    """The same, each with the student taught by LeNet; the original method first."""
    shown = [bar for bar in revised.bars(revised.CONVERGED) if bar.dataset == dataset]
    shown.sort(key=lambda bar: bar.method != "original")
    found = {f"{bar.method}, {bar.qubits} qubits": evidence(bar, workspace) for bar in shown}
    return {label: (each.arms[None], each.arms["lenet"]) for label, each in found.items() if each is not None}


def bars(workspace: Workspace) -> pd.DataFrame:
    """`table` of all bars of Fig. 12."""
    return table(revised.bars(), workspace)


def variants(workspace: Workspace) -> pd.DataFrame:
    """`table` of the variants that Fig. 12 does not have."""
    return table(revised.variants(), workspace)


def rankings(workspace: Workspace) -> pd.DataFrame:
    """`ranking` of all bars of Fig. 12."""
    return ranking(bars(workspace))


def table(shown: list[Bar], workspace: Workspace) -> pd.DataFrame:
    """One row per bar with the columns `COLUMNS`; a bar without records is `missing`."""
    rows = [_row(bar, evidence(bar, workspace)) for bar in shown]
    gains = [row.pop("gain", None) for row in rows]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    by_table = frame.groupby(["dataset", "regime"])
    for prefix in ("", "alexnet_"):
        frame[f"{prefix}p_holm"] = holm(by_table, f"{prefix}p")
    there = zip(gains, frame.p_holm, strict=True)
    frame["verdict_gain"] = [verdicts.gain(gain, p) if gain else verdicts.MISSING for gain, p in there]
    return frame


def _row(bar: Bar, found: Evidence | None) -> dict:
    student = bar.experiment
    values = {
        "method": bar.method, "reducer": student.reducer, "encoder": student.encoder, "dataset": bar.dataset,
        "qubits": bar.qubits, "regime": bar.regime, "paper_error": bar.paper_error, "layers": student.layers,
        "entangler": student.entangler, **_parameters(bar.qubits, bar.method, bar.dataset, student.layers),
    }  # fmt: skip
    if found is None:
        return values | dict.fromkeys(("verdict_mean", "verdict_gain"), verdicts.MISSING)
    errors = found.errors("lenet")
    summary, placebo, gain = statistics.summarise(errors), statistics.summarise(found.errors(None)), found.gain("lenet")
    values |= {
        "images": found.images, "seeds": summary.seeds, "sd": summary.sd, "placebo_sd": placebo.sd,
        **columns(summary, "mean_error"), **columns(gain, "gain_kd", "gain_kd_", p="p"),
        **columns(placebo, "placebo_error", "placebo_"),
        "verdict_mean": verdicts.NOT_SHOWN if bar.paper_error is None else verdicts.mean(
            bar.paper_error, summary, verdicts.BAND + READING
        ), "gain": gain, **_training(found.arms["lenet"]),
    }  # fmt: skip
    if "alexnet" in found.arms:
        gain = found.gain("alexnet")
        values["alexnet_error"] = float(found.errors("alexnet").mean())
        values |= columns(gain, "alexnet_gain", "alexnet_gain_", p="alexnet_p")
    return values


def _training(record: Record) -> dict:
    """How the seeds trained: means over them."""
    seeds = record.seeds.values()
    rates = [results.get("learning_rate", record.experiment.learning_rate) for results in seeds]
    return {
        "selected_error": 100 - float(np.mean(statistics.accuracies(record, "selected"))),
        "epochs": float(np.mean([len(results["validation_accuracy"]) for results in seeds])),
        "learning_rate": float(np.median(rates)),
        "zero_vectors": float(np.mean([results["zero_vectors"] for results in seeds])),
        "collapsed_share": statistics.collapsed_share(record),
    }


@functools.cache
def _parameters(qubits: int, method: str, dataset: str, layers: int) -> dict[str, int]:
    from qkdlib.students import Student

    shape = (3, 32, 32) if dataset == "cifar10" else (1, 28, 28)
    count = Student(revised.student(dataset, qubits, method, layers=layers), shape, [0]).parameter_count()
    return {"quantum_parameters": count["quantum"], "classical_parameters": count["classical"]}


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that a reader wants first, rounded, as text."""
    return pd.DataFrame([_readable_row(row) for row in frame.to_dict("records")])


def _readable_row(row: dict) -> dict[str, str]:
    variant = {"layers": str(row["layers"]), "entangler": row["entangler"]} if pd.isna(row["paper_error"]) else {}
    return {
        "method": row["method"],
        "images": row["images"] if isinstance(row["images"], str) else row["dataset"],
        "qubits": str(row["qubits"]),
        **variant,
        "regime": row["regime"],
        "seeds": text(row["seeds"], ".0f"),
        "paper": text(row["paper_error"], ".1f"),
        "distilled": estimate(row, "mean_error", form=".1f"),
        "placebo": estimate(row, "placebo_error", "placebo_", form=".1f"),
        "gain (LeNet)": estimate(row, "gain_kd", "gain_kd_", "+"),
        "p (Holm)": text(row["p_holm"], ".3f"),
        "gain (AlexNet)": estimate(row, "alexnet_gain", "alexnet_gain_", "+"),
        "parameters": f"{row['quantum_parameters']} + {row['classical_parameters']:,}",
        "mean": row["verdict_mean"],
        "gain": row["verdict_gain"],
    }


RANKING = (
    "Methods from the lowest error to the highest, mean over seeds, error in percent in brackets; rho: Spearman's rank "
    "correlation of the errors with the paper's."
)


def ranking(frame: pd.DataFrame) -> pd.DataFrame:
    """The order of the methods for each data set and number of qubits: the paper's, and ours in each regime with
    (`distilled`) and without (`placebo`) a teacher.

    Args:
        frame: what `table` gave for the bars of Fig. 12.
    """
    rows = []
    for (dataset, qubits), group in frame.groupby(["dataset", "qubits"], sort=False):
        default = group[group.regime == revised.DEFAULT]
        rows.append(_order(dataset, qubits, "paper", default, "paper_error"))
        for regime in (revised.DEFAULT, revised.CONVERGED):
            there = group[group.regime == regime].dropna(subset=["mean_error"])
            if len(there) == len(revised.METHODS):
                rows.append(_order(dataset, qubits, f"{regime}, distilled", there, "mean_error"))
                rows.append(_order(dataset, qubits, f"{regime}, placebo", there, "placebo_error"))
    return pd.DataFrame(rows)


def _order(dataset: str, qubits: int, source: str, bars: pd.DataFrame, column: str) -> dict:
    from scipy import stats

    ordered = bars.sort_values(column, kind="stable")
    named = [f"{method} ({error:.1f})" for method, error in zip(ordered.method, ordered[column], strict=True)]
    rho = stats.spearmanr(bars[column], bars.paper_error).statistic
    places = {f"{place}.": name for place, name in enumerate(named, 1)}
    return {"dataset": dataset, "qubits": qubits, "source": source, **places, "rho": f"{rho:.2f}"}
