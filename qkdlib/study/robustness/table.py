"""tables/robustness: placebo and distilled students under shots and noise, from records of executions alone."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from qkdlib.noise import IDEAL
from qkdlib.records import Gain, statistics
from qkdlib.study import verdicts
from qkdlib.study.cells import INTERVAL, P, columns, estimate, holm, text
from qkdlib.study.claims import Cases, Lacking
from qkdlib.study.robustness import sweeps
from qkdlib.study.robustness.executions import DEVICE, Condition
from qkdlib.study.robustness.sweeps import BASELINE, Pair, Recorded, baseline, recorded
from qkdlib.study.v2 import revised
from qkdlib.workspace import Workspace

COLUMNS = (
    "student", "teacher", "dataset", "qubits", "encoder", "condition", "level", "seeds", "mean_placebo",
    "mean_distilled", "delta", "ci_low", "ci_high", "p_holm", "depth", "two_qubit_gates", "verdict", "trained_under",
    "shots", "images", "loss_placebo", "loss_distilled", "spared", "spared_ci_low", "spared_ci_high", "spared_p_holm",
    "p", "spared_p",
)  # fmt: skip
UNITS = (
    "Accuracies in percent on the QASM simulator, mean over seeds, the same first test images of each class for all. "
    "Level: shots; the noise's level (0 to 1); qubits of the device. Delta: distilled minus placebo, paired by seed. "
    "Loss: accuracy without noise at 5000 shots minus accuracy under the condition. Spared: points that the distilled "
    f"student loses less than the placebo, paired by seed. {INTERVAL}; {P}, "
    "after Holm's correction over the levels of one condition of one student. Depth and two-qubit gates of one image's "
    "circuit as it is executed. Noise acts after every gate but RZ; the device is Qiskit's `GenericBackendV2` with "
    "{cx, rz, sx, x} in a line."
)
LESS_TO_LOSE = "less to lose"
RULE = (
    f"Verdict on `less sensitive`: `{verdicts.REPRODUCED}` if spared lies above 0 (95 % interval, corrected p below "
    f"{verdicts.LEVEL:g}); but `{LESS_TO_LOSE}` if the distilled student is then less accurate all the same (delta's "
    f"interval below 0), as one that has collapsed is. `{verdicts.CONTRADICTED}` if spared lies below "
    f"{verdicts.MARGIN:g} point (90 % interval); else `{verdicts.INCONCLUSIVE}`. `{verdicts.MISSING}`: no record yet."
)


def table(workspace: Workspace, chosen: Iterable[Pair] | None = None) -> pd.DataFrame:
    """One row for each pair and condition but the baselines, with the columns `COLUMNS`."""
    asked = sweeps.pairs() if chosen is None else chosen
    rows = [row for pair in asked for row in _rows(pair, workspace)]
    spared = [row.pop("gain", None) for row in rows]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    groups = frame.groupby(["student", "dataset", "qubits", "encoder", "trained_under", "condition"], sort=False)
    for name in ("p", "spared_p"):
        frame[f"{name}_holm"] = holm(groups, name)
    frame["verdict"] = [_verdict(*each) for each in zip(spared, frame.spared_p_holm, frame.ci_high, strict=True)]
    return frame


def _rows(pair: Pair, workspace: Workspace) -> list[dict]:
    found = recorded(pair, workspace)
    return [
        _identity(pair, name, condition) | _measured(found, name, condition)
        for name, condition in pair.conditions
        if name != BASELINE
    ]


def _identity(pair: Pair, name: str, condition: Condition) -> dict:
    student = pair.experiment
    return {
        "student": pair.student, "teacher": pair.teacher.architecture, "dataset": student.dataset,
        "qubits": student.qubits, "encoder": student.encoder, "condition": name,
        "level": condition.shots if name == "shots" else condition.level, "trained_under": str(pair.trained_under),
        "shots": condition.shots, "images": condition.images_per_class * len(student.classes),
    }  # fmt: skip


def _measured(found: Recorded, name: str, condition: Condition) -> dict:
    try:
        (placebo, distilled), before = found.under(condition, baseline(found.pair, name))
    except Lacking:
        return {}
    delta = statistics.paired_gain(distilled, placebo)
    spared = statistics.paired_gain(distilled - before[1], placebo - before[0])
    facts = found.results[0][condition].facts
    return {
        "seeds": found.pair.experiment.seeds, "mean_placebo": placebo.mean(), "mean_distilled": distilled.mean(),
        **columns(delta, "delta", p="p"), "depth": facts["depth"], "two_qubit_gates": facts["two_qubit_gates"],
        "loss_placebo": (before[0] - placebo).mean(), "loss_distilled": (before[1] - distilled).mean(),
        **columns(spared, "spared", "spared_", p="spared_p"), "gain": spared,
    }  # fmt: skip


def _verdict(spared: Gain | None, p: float, delta_high: float) -> str:
    if spared is None:
        return verdicts.MISSING
    verdict = verdicts.difference("gain", spared, p)
    return LESS_TO_LOSE if verdict == verdicts.REPRODUCED and delta_high < 0 else verdict


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that a reader wants first, rounded, as text."""
    return pd.DataFrame([_readable_row(row) for row in frame.to_dict("records")])


def _readable_row(row: dict) -> dict[str, str]:
    encoder = "angles" if row["encoder"] == "ansatz_angles" else row["encoder"]
    trained = "" if row["trained_under"] == str(IDEAL) else f", trained under {row['trained_under']}"
    return {
        "student": f"{row['student']}, {row['dataset']}, {row['qubits']} qubits, {encoder}{trained}",
        "teacher": row["teacher"],
        "condition": row["condition"],
        "level": f"{row['level']:g}",
        "placebo": text(row["mean_placebo"], ".1f"),
        "distilled": text(row["mean_distilled"], ".1f"),
        "delta": estimate(row, "delta", sign="+", form=".1f"),
        "p (Holm)": text(row["p_holm"], ".3f"),
        "spared": estimate(row, "spared", "spared_", "+"),
        "p of spared (Holm)": text(row["spared_p_holm"], ".3f"),
        "depth": text(row["depth"], ".0f"),
        "two-qubit gates": text(row["two_qubit_gates"], ".0f"),
        "verdict": row["verdict"],
    }


def less_sensitive(frame: pd.DataFrame) -> Cases:
    """Rows with noise in which the distilled student is less sensitive, from `table`.

    Raises:
        Lacking: a row has no records.
    """
    noisy = frame[frame.condition != "shots"].verdict
    if (noisy == verdicts.MISSING).any():
        raise Lacking("of a row of tables/robustness")
    against = noisy.isin((verdicts.CONTRADICTED, LESS_TO_LOSE))
    return Cases(int((noisy == verdicts.REPRODUCED).sum()), int(against.sum()), len(noisy))


def lost_on_device(method: str, dataset: str, qubits: int, workspace: Workspace) -> np.ndarray:
    """Accuracy in points that distilled students of v2 gain on the device over no noise, per seed: (S,).

    Raises:
        Lacking: an execution has no record.
    """
    wanted = revised.bar(method, dataset, qubits, revised.CONVERGED).experiment.digest
    pair = next(pair for pair in sweeps.pairs() if pair.experiment.digest == wanted)
    on = (dict(pair.conditions)[DEVICE], baseline(pair, DEVICE))
    (_, on_device), (_, ideal) = recorded(pair, workspace).under(*on)
    return on_device - ideal


def mean_spared(student: str, workspace: Workspace) -> np.ndarray:
    """Points that distilled students lose less than placebos, mean over every level of every noise of the pairs of that
    protocol that were trained without noise, per seed: (S,).

    Raises:
        Lacking: an execution has no record.
    """
    spared = []
    for pair in sweeps.pairs():
        if pair.student != student or pair.trained_under != IDEAL:
            continue
        found = recorded(pair, workspace)
        for name, condition in pair.conditions:
            if name not in (BASELINE, "shots"):
                (placebo, distilled), before = found.under(condition, baseline(pair, name))
                spared.append((distilled - before[1]) - (placebo - before[0]))
    return np.mean(spared, axis=0)
