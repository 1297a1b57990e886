"""The controlled experiment: does distillation help a quantum student? Arms that differ in one declared field, paired
by seed, on students that train (the `robust` protocol of `collapse`, and v2's original method, converged)."""

import dataclasses
import functools
from dataclasses import dataclass

from qkdlib import collapse, paper, revised
from qkdlib.experiment import Experiment, Teacher

V1_ROWS = ("M-B-3q-05", "M-B-3q-07", "M-B-4q-07", "F-B-3q-05", "F-B-3q-07", "F-B-4q-07")
V2_TASKS = tuple((dataset, qubits) for dataset in ("mnist", "fashion_mnist") for qubits in revised.QUBITS)
TEACHERS = ("lenet", "alexnet", "ensemble")
PLACEBO, TWIN, DEEP, RINGED = "placebo", "classical twin", "two layers", "two layers, ring of CNOTs"
CONTROLS = {  # name: the teacher that it takes, and what the student gets of it
    "LeNet": ("lenet", "own"), "AlexNet": ("alexnet", "own"), "ensemble": ("ensemble", "own"),
    "smoothed labels": ("lenet", "smoothed"), "LeNet's logits shuffled in the class": ("lenet", "shuffled"),
}  # fmt: skip
OWN_IMAGES = "LeNet of the student's images"


@dataclass(frozen=True)
class Task:
    """One student and its arms. `student` names the protocol; `arms` maps a control to its experiment, and
    `against` to the arm that it is compared with, from which it differs in one field."""

    student: str
    arms: dict[str, Experiment]
    against: dict[str, str]

    @property
    def placebo(self) -> Experiment:
        """The arm without a teacher."""
        return self.arms[PLACEBO]


@functools.cache
def tasks() -> tuple[Task, ...]:
    """v1's six configurations under the robust protocol, 20 seeds, and v2's original method, converged, 10 seeds."""
    found = [_task("robust", collapse.robust(row), _teachers_of_v1) for row in V1_ROWS]
    for dataset, qubits in V2_TASKS:
        student = revised.bar("original", dataset, qubits, revised.CONVERGED).experiment
        found.append(_task("revised", student, lambda name, _: revised.teacher(name)))
    return tuple(found)


def _teachers_of_v1(name: str, dataset: str) -> Teacher:
    return paper.teacher(name, dataset)


def _task(student: str, placebo: Experiment, teacher) -> Task:
    arms, against = {PLACEBO: placebo}, {}

    def add(name: str, experiment: Experiment, other: str) -> None:
        arms[name], against[name] = experiment, other

    for name, (architecture, labels) in CONTROLS.items():
        taught = dataclasses.replace(teacher(architecture, placebo.dataset), labels=labels)
        add(name, placebo.distilled(taught), PLACEBO)
    own = Teacher(images_per_class=placebo.train_per_class)
    add(OWN_IMAGES, placebo.distilled(own), PLACEBO)
    lenet = arms["LeNet"].teacher
    twin = dataclasses.replace(placebo, ansatz="classical")
    add(TWIN, twin, PLACEBO)
    add(f"{TWIN}, LeNet", twin.distilled(lenet), TWIN)
    deep = dataclasses.replace(placebo, layers=2)
    ringed = dataclasses.replace(deep, entangler="ring_cnot")
    add(DEEP, deep, PLACEBO)
    add(RINGED, ringed, DEEP)
    add(f"{RINGED}, LeNet", ringed.distilled(lenet), RINGED)
    return Task(student, arms, against)


def experiments() -> list[Experiment]:
    """Every arm of every task, each once."""
    return list(dict.fromkeys(arm for task in tasks() for arm in task.arms.values()))
