"""The controlled experiment: does knowledge distillation help a quantum student that trains, and what of it is
knowledge?

Every arm of a task differs in one thing from the arm that it stands against: in what is distilled into the student, or
in one field of the student. Outcomes are exact in all arms, because a classical twin has no circuit to sample, and
`collapse` shows that samples change nothing. Seeds pair the arms.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from qkdlib.experiment import ARCHITECTURES, Experiment, Teacher
from qkdlib.study.collapse import changes
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised

ROBUST, REVISED = "robust", "revised"
# Validation chose 0.01, of 0.001 and 0.01, for 118 of these students' 120 seeds in `revised.CONVERGED`.
CONVERGED = revised.REGIMES[revised.CONVERGED] | {"learning_rates": (), "learning_rate": 1e-2}
REVISED_TASKS = tuple((dataset, qubits) for dataset in ("mnist", "fashion_mnist") for qubits in revised.QUBITS)

PLACEBO, LENET, TWIN = "placebo", "LeNet", "classical twin"
TAUGHT_TWIN, WEAK_TWIN = f"{TWIN}, LeNet", "weak twin"
# What a twin is if nobody looks at the circuit: a plain sigmoid, without the circuit's slope; linear sums, squashed.
WEAK = {ROBUST: {"angle_reach": 1 / (2 * math.pi)}, REVISED: {"ansatz": "classical_linear"}}
CONTROLS = {  # name: the teacher, and what the student gets of it
    LENET: ("lenet", "own"),
    "AlexNet": ("alexnet", "own"),
    "ensemble": ("ensemble", "own"),
    "smoothed labels": ("lenet", "smoothed"),
    "shuffled logits": ("lenet", "shuffled"),
}
OWN_IMAGES = "LeNet of the same images"
CHOSEN = (3.0, 2.0)  # temperature and kd_weight, by the validation accuracies of tables/grid
CHOSEN_ARM = "LeNet, chosen"
OWN_EPOCHS = 100  # of 150 images per class: a quarter of the steps of 10 epochs of all
SIZES = {ROBUST: (10, 30, 150), REVISED: (10, 30, 150, 500, None)}  # training images per class; None: all
SCALED_ARMS = (PLACEBO, LENET, TWIN, TAUGHT_TWIN)
TEMPERATURES, WEIGHTS = (1.0, 2.0, 3.0, 5.0, 10.0), (0.0, 0.1, 0.5, 0.9, 2.0, 8.1)
GRID_SEEDS = 5


@dataclass(frozen=True)
class Task:
    """One student on one selection of images, and its arms.

    Attributes:
        student: the protocol, `robust` or `revised`.
        arms: control -> experiment.
        against: control -> the arm that it is compared with; the placebo has none.
    """

    student: str
    arms: dict[str, Experiment]
    against: dict[str, str]

    @property
    def placebo(self) -> Experiment:
        """The arm without a teacher."""
        return self.arms[PLACEBO]


@functools.cache
def tasks() -> tuple[Task, ...]:
    """v1's six configurations under the robust protocol, and v2's original method trained to convergence."""
    placebos = [(ROBUST, robust(row)) for row in changes.ROWS]
    placebos += [(REVISED, converged(dataset, qubits)) for dataset, qubits in REVISED_TASKS]
    return tuple(task(student, placebo, teachers(student, placebo.dataset)) for student, placebo in placebos)


def robust(row: str) -> Experiment:
    """The placebo of a row of v1 under the robust protocol, with exact outcomes; `changes.SEEDS` seeds."""
    return changes.exact(row)


def converged(dataset: str, qubits: int) -> Experiment:
    """The placebo of v2's original method: best validation epoch of at most 100, learning rate 0.01; 10 seeds."""
    return revised.student(dataset, qubits, **CONVERGED)


def teachers(student: str, dataset: str) -> dict[str, Teacher]:
    """The paper's three teachers, each trained on all images of the student's classes, by architecture."""
    if student == ROBUST:
        return {name: paper.teacher(name, dataset) for name in ARCHITECTURES}
    return {name: revised.teacher(name) for name in ARCHITECTURES}


def task(student: str, placebo: Experiment, teachers: Mapping[str, Teacher], chosen=CHOSEN) -> Task:
    """A placebo and its arms.

    Args:
        student: `robust` or `revised`; it says how wires are entangled.
        teachers: by architecture; `lenet` must be there, and controls whose teacher is not are left out.
        chosen: temperature and kd_weight of the arm `CHOSEN_ARM`.
    """
    taught = {
        name: dataclasses.replace(teachers[architecture], labels=labels)
        for name, (architecture, labels) in CONTROLS.items()
        if architecture in teachers
    }
    taught[OWN_IMAGES] = Teacher(images_per_class=placebo.train_per_class, epochs=OWN_EPOCHS)
    temperature, weight = chosen
    at_best = dataclasses.replace(placebo.distilled(taught[LENET], weight), temperature=temperature)
    arms = {PLACEBO: placebo} | {name: placebo.distilled(each) for name, each in taught.items()}
    arms |= {CHOSEN_ARM: at_best, TWIN: dataclasses.replace(placebo, ansatz="classical")}
    against = dict.fromkeys(list(arms)[1:], PLACEBO)
    arms[TAUGHT_TWIN], against[TAUGHT_TWIN] = arms[TWIN].distilled(taught[LENET]), TWIN
    for name, other, change in ((WEAK_TWIN, TWIN, WEAK[student]), *entangled(student)):
        arms[name], against[name] = dataclasses.replace(arms[other], **change), other
    return Task(student, arms, against)


def entangled(student: str) -> list[tuple[str, str, dict]]:
    """(arm, the arm it stands against, what is changed): a ring of CNOTs after each layer of the ansatz.

    One layer of v1's student with a ring only swaps outcomes, so that one needs two layers.
    """
    ring = {"entangler": "ring_cnot"}
    if student == REVISED:
        return [("ring of CNOTs", PLACEBO, ring)]
    return [("two layers", PLACEBO, {"layers": 2}), ("two layers, ring of CNOTs", "two layers", ring)]


@functools.cache
def grid() -> dict[tuple[str, float, float], Experiment]:
    """`grid_of` the robust student of MNIST 0-7 with 3 qubits and the revised one of FashionMNIST with 4, 5 seeds."""
    placebos = {ROBUST: robust("M-B-3q-07"), REVISED: converged("fashion_mnist", 4)}
    placebos = {name: dataclasses.replace(each, seeds=GRID_SEEDS) for name, each in placebos.items()}
    lenets = {name: teachers(name, each.dataset)[LENET.lower()] for name, each in placebos.items()}
    return grid_of(placebos, lenets, TEMPERATURES, WEIGHTS)


def grid_of(placebos: Mapping, lenets: Mapping, temperatures, weights) -> dict[tuple[str, float, float], Experiment]:
    """(student, temperature, kd_weight) -> the student distilled that way; weight 0 is the placebo, whatever the
    temperature.

    Args:
        placebos, lenets: student -> its placebo, its teacher.
    """
    found = {}
    for student, temperature, weight in itertools.product(placebos, temperatures, weights):
        taught = placebos[student].distilled(lenets[student], weight)
        taught = dataclasses.replace(taught, temperature=temperature)
        found[student, temperature, weight] = taught if weight else placebos[student]
    return found


def scaled(whole: Task, size: int | None) -> Task:
    """The arms of `SCALED_ARMS` on that many training images per class.

    All images are passed at most ten times, which is ten times the steps that 150 per class converge in.
    """
    change = {"train_per_class": size} | ({"epochs": 10} if size is None else {})
    arms = {name: dataclasses.replace(whole.arms[name], **change) for name in SCALED_ARMS}
    return Task(whole.student, arms, {name: whole.against[name] for name in SCALED_ARMS[1:]})


def scaled_tasks() -> list[tuple[Task, tuple[int | None, ...]]]:
    """The students whose images are varied, and how many per class: three qubits with eight classes, and four with ten.

    Images of v1 are passed one by one: on 500 per class all arms would take 40 minutes of a core, on all nine hours.
    """
    chosen = [(3, 8), (4, 10)]
    found = [each for each in tasks() if (each.placebo.qubits, len(each.placebo.classes)) in chosen]
    return [(each, SIZES[each.student]) for each in found]


def taught() -> list[Experiment]:
    """An experiment for each teacher that saw no more images than its students."""
    return [each.arms[OWN_IMAGES] for each in tasks()]


def experiments() -> list[Experiment]:
    """Everything that the study needs, each once; those of the grid that are arms too have the arms' seeds."""
    arms = [arm for each in tasks() for arm in each.arms.values()]
    sizes = [arm for each, sizes in scaled_tasks() for size in sizes for arm in scaled(each, size).arms.values()]
    return list({experiment.name: experiment for experiment in (*grid().values(), *arms, *sizes)}.values())
