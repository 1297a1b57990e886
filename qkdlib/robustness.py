"""Are distilled students less sensitive to shots and noise? The declared students and conditions, and the table."""

import dataclasses
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from qkdlib import executions, paper, parallel, revised, statistics, tables, verdicts
from qkdlib.executions import DEVICE, Condition
from qkdlib.experiment import Experiment, Teacher
from qkdlib.noise import IDEAL, Noise
from qkdlib.workspace import Workspace

SEEDS = 10
SHOTS = (10, 30, 100, 300, 1000, 3000, 10_000)
LEVELS = {
    "depolarising": (0.005, 0.01, 0.02, 0.05, 0.1),
    "amplitude_damping": (0.005, 0.01, 0.02, 0.05, 0.1),
    "readout": (0.01, 0.02, 0.05, 0.1, 0.2),
}
SEEN = Noise("depolarising", 0.05)  # the noise that some students train under
IMAGES = {"published": 50, "revised": 20}  # per class: 300 and 200 test images
DEVICE_IMAGES, DEVICE_SHOTS = {4: 20, 8: 5}, 1000
BASELINE = "none"
COLUMNS = (
    "student", "teacher", "dataset", "qubits", "encoder", "condition", "level", "seeds", "mean_placebo",
    "mean_distilled", "delta", "ci_low", "ci_high", "p_holm", "depth", "two_qubit_gates", "verdict", "trained_under",
    "shots", "images", "loss_placebo", "loss_distilled", "spared", "spared_ci_low", "spared_ci_high", "spared_p_holm",
    "p_wilcoxon", "spared_p_wilcoxon",
)  # fmt: skip
UNITS = (
    "Accuracies in percent on the QASM simulator, mean over seeds, the same first test images of each class for all. "
    "Level: shots; the noise's level (0 to 1); qubits of the device. Delta: distilled minus placebo, paired by seed. "
    "Loss: accuracy without noise at 5000 shots minus accuracy under the condition. Spared: points that the distilled "
    "student loses less than the placebo, paired by seed. [ ]: 95 % bootstrap interval; p: Wilcoxon signed-rank, "
    "after Holm's correction over the levels of one condition of one student. Depth and two-qubit gates of one image's "
    "circuit as it is executed. Noise acts after every gate but RZ; the device is Qiskit's `GenericBackendV2` with "
    "{cx, rz, sx, x} in a line."
)
RULE = (
    "Verdict on `less sensitive`: `reproduced` if spared lies above 0 with p after Holm's correction below "
    f"{verdicts.LEVEL:g} and the distilled student is not less accurate there (delta's interval not below 0), because "
    "a student that has collapsed has nothing to lose; `not reproduced` if spared lies below 0, or delta does; else "
    "`within seed noise`. `missing`: no record yet."
)


@dataclass(frozen=True)
class Pair:
    """A placebo, its distilled twin, and the conditions under which both are executed. `student` names the protocol."""

    student: str
    experiment: Experiment
    teacher: Teacher
    conditions: tuple[tuple[str, Condition], ...]

    @property
    def arms(self) -> tuple[Experiment, Experiment]:
        """Placebo and distilled."""
        return self.experiment, self.experiment.distilled(self.teacher)

    @property
    def trained_under(self) -> Noise:
        """The noise of their training."""
        return Noise(self.experiment.noise, self.experiment.noise_level)


def sweep(images: int, shots=SHOTS, levels=MappingProxyType(LEVELS)) -> tuple[tuple[str, Condition], ...]:
    """Shots, each kind of noise, and neither, with the name of each condition; the first `images` of each class."""
    found = [(BASELINE, Condition(images_per_class=images))]
    found += [("shots", Condition(shots=number, images_per_class=images)) for number in shots]
    found += [
        (kind, Condition(noise=kind, level=level, images_per_class=images))
        for kind, steps in levels.items()
        for level in steps
    ]
    return tuple(found)


def on_device(qubits: int, images: int) -> tuple[tuple[str, Condition], ...]:
    """The device, and no noise with the same images and shots."""
    same = {"shots": DEVICE_SHOTS, "images_per_class": images}
    return (BASELINE, Condition(**same)), (DEVICE, Condition(noise=DEVICE, level=max(qubits, 5), **same))


@functools.cache
def pairs() -> tuple[Pair, ...]:
    """Every pair of the table."""
    published = {dataset: paper.row(id).experiment for dataset, id in PUBLISHED.items()}
    found = [_published(experiment) for experiment in published.values()]
    found.append(_published(under(published["mnist"], SEEN)))
    for dataset, qubits, method in REVISED:
        swept = sweep(IMAGES["revised"]) if qubits == 4 else ()
        student = revised.bar(method, dataset, qubits, revised.CONVERGED).experiment
        found.append(_revised(student, (*swept, *on_device(qubits, DEVICE_IMAGES[qubits]))))
    noisy = under(revised.bar("original", "mnist", 4, revised.CONVERGED).experiment, SEEN)
    return (*found, _revised(noisy, sweep(IMAGES["revised"])))


# Of the paper's three teachers the one whose published students collapse least, so that there is something to lose.
PUBLISHED = {"mnist": "M-D-ens-3q-05", "fashion_mnist": "F-D-ens-3q-05"}
REVISED = (
    ("mnist", 4, "original"), ("fashion_mnist", 4, "original"), ("mnist", 4, "qubit"), ("mnist", 8, "original"),
    ("mnist", 8, "qubit"),
)  # fmt: skip


def under(experiment: Experiment, noise: Noise) -> Experiment:
    """The same experiment, trained under noise."""
    return dataclasses.replace(experiment, noise=noise.kind, noise_level=noise.level)


def _published(experiment: Experiment) -> Pair:
    placebo = dataclasses.replace(experiment.placebo(), seeds=SEEDS)
    return Pair("published", placebo, experiment.teacher, sweep(IMAGES["published"]))


def _revised(experiment: Experiment, conditions) -> Pair:
    return Pair("revised", dataclasses.replace(experiment, seeds=SEEDS), revised.teacher("lenet"), conditions)


def trainings() -> list[Experiment]:
    """The experiments that only this table needs: students trained under noise. The others are v1's and v2's."""
    return [arm for pair in pairs() if pair.trained_under != IDEAL for arm in pair.arms]


def missing(
    workspace: Workspace, fresh: bool = False, chosen: Iterable[Pair] | None = None
) -> list[tuple[Experiment, list[Condition]]]:
    """The arms of the `chosen` pairs (None: all declared ones) with conditions that have no record; with all their
    conditions if `fresh`."""
    asked: dict[Experiment, dict[Condition, None]] = {}
    for pair in pairs() if chosen is None else chosen:
        for arm in pair.arms:
            asked.setdefault(arm, {}).update(dict.fromkeys(condition for _, condition in pair.conditions))
    calls = [(arm, list(conditions)) for arm, conditions in asked.items()]
    if fresh:
        return calls
    found = [(arm, executions.missing(arm, conditions, workspace)) for arm, conditions in calls]
    return [(arm, conditions) for arm, conditions in found if conditions]


def run_missing(workspace: Workspace, fresh: bool = False, say=print, chosen: Iterable[Pair] | None = None) -> None:
    """Train and execute whatever has no record, or execute everything anew, on all cores; as `missing`."""
    wanted = missing(workspace, fresh, chosen)
    # The longest first: those that train under noise, then those with the largest density matrices.
    wanted.sort(key=lambda call: (call[0].noise == "none", -(4 ** call[0].qubits) * len(call[1])))
    parallel.each(_execute, [(arm, conditions, workspace.folder(), fresh) for arm, conditions in wanted], say)


def _execute(arm: Experiment, conditions: list[Condition], root, fresh: bool) -> str:
    executions.run(arm, conditions, Workspace(root), fresh=fresh)
    return f"{arm.name}, {len(conditions)} conditions"


def table(workspace: Workspace, chosen: Iterable[Pair] | None = None) -> pd.DataFrame:
    """One row for each pair and condition but the baselines, with the columns `COLUMNS`."""
    asked = pairs() if chosen is None else chosen
    frame = pd.DataFrame([row for pair in asked for row in _rows(pair, workspace)], columns=list(COLUMNS))
    groups = frame.groupby(["student", "dataset", "qubits", "encoder", "trained_under", "condition"], sort=False)
    for name in ("p", "spared_p"):
        frame[f"{name}_holm"] = groups[f"{name}_wilcoxon"].transform(lambda ps: statistics.holm(ps.astype(float)))
    frame["verdict"] = [_verdict(row) for row in frame.to_dict("records")]
    return frame


def _rows(pair: Pair, workspace: Workspace) -> list[dict]:
    found = [executions.find(arm, workspace) for arm in pair.arms]
    return [
        _identity(pair, name, condition) | _measured(found, condition, baseline(pair, name), pair.experiment.seeds)
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


def _measured(found: list[dict], condition: Condition, same: Condition, seeds: int) -> dict:
    if any(each not in results for results in found for each in (condition, same)):
        return {}
    placebo, distilled = (accuracies(results[condition], seeds) for results in found)
    before = [accuracies(results[same], seeds) for results in found]
    delta = statistics.paired_gain(distilled, placebo)
    spared = statistics.paired_gain(distilled - before[1], placebo - before[0])
    facts = found[0][condition].facts
    return {
        "seeds": seeds, "mean_placebo": placebo.mean(), "mean_distilled": distilled.mean(), "delta": delta.mean,
        "ci_low": delta.low, "ci_high": delta.high, "p_wilcoxon": delta.p_wilcoxon, "depth": facts["depth"],
        "two_qubit_gates": facts["two_qubit_gates"], "loss_placebo": (before[0] - placebo).mean(),
        "loss_distilled": (before[1] - distilled).mean(), "spared": spared.mean, "spared_ci_low": spared.low,
        "spared_ci_high": spared.high, "spared_p_wilcoxon": spared.p_wilcoxon,
    }  # fmt: skip


def less_sensitive(workspace: Workspace) -> tuple[int, int]:
    """Rows with noise in which the distilled student is less sensitive, of all of them.

    Raises:
        LookupError: a row has no records.
    """
    frame = table(workspace)
    noisy = frame[frame.condition != "shots"]
    if (noisy.verdict == verdicts.MISSING).any():
        raise LookupError("of a row of tables/robustness")
    return int((noisy.verdict == verdicts.REPRODUCED).sum()), len(noisy)


def mean_spared(student: str, workspace: Workspace) -> np.ndarray:
    """Points that distilled students lose less than placebos, mean over every level of every noise of the pairs of that
    protocol that were trained without noise, per seed: (S,).

    Raises:
        LookupError: an execution has no record.
    """
    spared = []
    for pair in pairs():
        if pair.student != student or pair.trained_under != IDEAL:
            continue
        found = [executions.find(arm, workspace) for arm in pair.arms]
        for name, condition in pair.conditions:
            if name not in (BASELINE, "shots"):
                same = baseline(pair, name)
                if any(each not in results for results in found for each in (condition, same)):
                    raise LookupError(f"of executions of {pair.experiment.name}")
                seeds = pair.experiment.seeds
                placebo, distilled = (accuracies(r[condition], seeds) - accuracies(r[same], seeds) for r in found)
                spared.append(distilled - placebo)
    return np.mean(spared, axis=0)


def baseline(pair: Pair, name: str) -> Condition:
    """No noise, with the images and shots of the pair's condition `name`."""
    return [condition for each, condition in pair.conditions if each == BASELINE][-1 if name == DEVICE else 0]


def accuracies(result: executions.Result, seeds: int) -> np.ndarray:
    """Accuracies in percent of the first seeds, (S,)."""
    return np.array([result.accuracies[seed] for seed in range(seeds)])


def _verdict(row: dict) -> str:
    if pd.isna(row["delta"]):
        return verdicts.MISSING
    verdict = verdicts.gain_verdict(1.0, row["spared_ci_low"], row["spared_ci_high"], row["spared_p_holm"])
    return verdicts.NOT_REPRODUCED if row["ci_high"] < 0 else verdict


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that a reader wants first, rounded, as text."""
    return pd.DataFrame([_readable_row(row) for row in frame.to_dict("records")])


def _readable_row(row: dict) -> dict[str, str]:
    text, interval = tables.text, tables.interval
    encoder = "angles" if row["encoder"] == "ansatz_angles" else row["encoder"]
    trained = "" if row["trained_under"] == str(IDEAL) else f", trained under {row['trained_under']}"
    return {
        "student": f"{row['student']}, {row['dataset']}, {row['qubits']} qubits, {encoder}{trained}",
        "teacher": row["teacher"],
        "condition": row["condition"],
        "level": f"{row['level']:g}",
        "placebo": text(row["mean_placebo"], ".1f"),
        "distilled": text(row["mean_distilled"], ".1f"),
        "delta": text(row["delta"], "+.1f") + interval(row["ci_low"], row["ci_high"], "+", ".1f"),
        "p (Holm)": text(row["p_holm"], ".3f"),
        "spared": text(row["spared"], "+.2f") + interval(row["spared_ci_low"], row["spared_ci_high"], "+"),
        "p of spared (Holm)": text(row["spared_p_holm"], ".3f"),
        "depth": text(row["depth"], ".0f"),
        "two-qubit gates": text(row["two_qubit_gates"], ".0f"),
        "verdict": row["verdict"],
    }
