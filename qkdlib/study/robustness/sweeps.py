"""Are distilled students less sensitive to shots and noise? The declared students and conditions, and their executions;
what came of them is in `robustness.table`."""

import dataclasses
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from qkdlib import cluster, spreading, workers
from qkdlib.experiment import Experiment, Teacher
from qkdlib.noise import IDEAL, Noise
from qkdlib.study.claims import Lacking
from qkdlib.study.robustness import executing, executions
from qkdlib.study.robustness.executions import DEVICE, Condition
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised
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


def executed() -> list[Experiment]:
    """The experiments whose students are executed."""
    return list(dict.fromkeys(arm for pair in pairs() for arm in pair.arms))


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
    near, jobs = workers.scheduler() is None, []
    for arm, conditions in wanted:
        here = functools.partial(executing.run, arm, conditions, workspace, fresh=fresh)
        stages = executing.stages(arm, conditions, workspace, fresh, near)
        jobs.append(spreading.Job(arm.name, arm, here, stages, f"{arm.name}, {len(conditions)} conditions done"))
    cluster.each(jobs, say)


def baseline(pair: Pair, name: str) -> Condition:
    """No noise, with the images and shots of the pair's condition `name`."""
    return [condition for each, condition in pair.conditions if each == BASELINE][-1 if name == DEVICE else 0]


@dataclass(frozen=True)
class Recorded:
    """What is recorded of the executions of a pair: `results` of the placebo, and of the distilled student."""

    pair: Pair
    results: tuple[dict[Condition, executions.Result], ...]

    def under(self, *conditions: Condition) -> list[tuple[np.ndarray, ...]]:
        """For each condition the accuracies in percent of the placebo's and of the distilled student's seeds, each
        (S,).

        Raises:
            Lacking: an arm has no record of a condition for each seed, or a seed has diverged.
        """
        return [tuple(self._accuracies(results.get(each)) for results in self.results) for each in conditions]

    def _accuracies(self, result: executions.Result | None) -> np.ndarray:
        there = result.accuracies if result else {}
        values = np.array([there.get(seed, np.nan) for seed in range(self.pair.experiment.seeds)])
        if np.isnan(values).any():
            raise Lacking(f"of executions of {self.pair.experiment.name}")
        return values


def recorded(pair: Pair, workspace: Workspace) -> Recorded:
    """What a workspace has of a pair, read once."""
    return Recorded(pair, tuple(executions.find(arm, workspace) for arm in pair.arms))
