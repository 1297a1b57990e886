"""The controlled experiment: does knowledge distillation help a quantum student that trains, and what of it is
knowledge?

Every arm of a task differs in one thing from the arm that it stands against: in what is distilled into the student, or
in one field of the student. Outcomes are exact in all arms, because a classical twin has no circuit to sample, and
`collapse` shows that samples change nothing. Seeds pair the arms.
"""

import dataclasses
import functools
import itertools
from dataclasses import dataclass

from qkdlib import collapse, paper, revised
from qkdlib.experiment import Experiment, Teacher

ROBUST, REVISED = "robust", "revised"
EXACT = {"sampler": "exact", "gradient": "autograd", "tested": "at_end"}
# Validation chose 0.01, of 0.001 and 0.01, for 118 of these students' 120 seeds in `revised.CONVERGED`.
CONVERGED = {"epochs": 100, "patience": 15, "learning_rate": 1e-2}
REVISED_TASKS = tuple((dataset, qubits) for dataset in ("mnist", "fashion_mnist") for qubits in revised.QUBITS)

PLACEBO, LENET, TWIN = "placebo", "LeNet", "classical twin"
TAUGHT_TWIN = f"{TWIN}, LeNet"
CONTROLS = {  # name: the teacher, and what the student gets of it
    LENET: ("lenet", "own"),
    "AlexNet": ("alexnet", "own"),
    "ensemble": ("ensemble", "own"),
    "smoothed labels": ("lenet", "smoothed"),
    "shuffled logits": ("lenet", "shuffled"),
}
OWN_IMAGES = "LeNet of the same images"
CHOSEN = (3.0, 0.9)  # temperature and kd_weight, by the validation accuracies of tables/grid
CHOSEN_ARM = "LeNet, chosen"
OWN_EPOCHS = 100  # of 40 times fewer images than the others' 10, so that it is trained as well as they allow
SIZES = (10, 30, 150, 500, None)  # training images per class; None: all
SCALED_ARMS = (PLACEBO, LENET, TWIN, TAUGHT_TWIN)
TEMPERATURES, WEIGHTS = (1.0, 2.0, 3.0, 5.0, 10.0), (0.0, 0.1, 0.5, 0.9, 2.0, 8.1)
GRID, GRID_SEEDS = (ROBUST, REVISED), 5


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
    placebos = [(ROBUST, robust(row)) for row in collapse.ROWS]
    placebos += [(REVISED, converged(dataset, qubits)) for dataset, qubits in REVISED_TASKS]
    return tuple(_task(student, placebo) for student, placebo in placebos)


def robust(row: str) -> Experiment:
    """The placebo of a row of v1 under the robust protocol, with exact outcomes; 20 seeds."""
    return dataclasses.replace(collapse.robust(row), **EXACT)


def converged(dataset: str, qubits: int) -> Experiment:
    """The placebo of v2's original method: best validation epoch of at most 100, learning rate 0.01; 10 seeds."""
    return revised.student(dataset, qubits, **CONVERGED)


def teacher(student: str, architecture: str, dataset: str) -> Teacher:
    """The paper's teacher of that architecture, trained on all images of the student's classes."""
    return paper.teacher(architecture, dataset) if student == ROBUST else revised.teacher(architecture)


def _task(student: str, placebo: Experiment) -> Task:
    taught = {
        name: dataclasses.replace(teacher(student, architecture, placebo.dataset), labels=labels)
        for name, (architecture, labels) in CONTROLS.items()
    }
    taught[OWN_IMAGES] = Teacher(images_per_class=placebo.train_per_class, epochs=OWN_EPOCHS)
    temperature, weight = CHOSEN
    chosen = dataclasses.replace(placebo.distilled(taught[LENET], weight), temperature=temperature)
    arms = {PLACEBO: placebo} | {name: placebo.distilled(each) for name, each in taught.items()}
    arms |= {CHOSEN_ARM: chosen, TWIN: dataclasses.replace(placebo, ansatz="classical")}
    against = dict.fromkeys(list(arms)[1:], PLACEBO)
    arms[TAUGHT_TWIN], against[TAUGHT_TWIN] = arms[TWIN].distilled(taught[LENET]), TWIN
    for name, other, change in entangled(student):
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
    """(student, temperature, kd_weight) -> LeNet's student on MNIST (robust) or FashionMNIST (revised), five seeds.

    Weight 0 is the placebo, at any temperature.
    """
    placebos = {ROBUST: robust("M-B-3q-07"), REVISED: converged("fashion_mnist", 4)}
    found = {}
    for student, temperature, weight in itertools.product(GRID, TEMPERATURES, WEIGHTS):
        placebo = dataclasses.replace(placebos[student], seeds=GRID_SEEDS)
        taught = placebo.distilled(teacher(student, "lenet", placebo.dataset), weight)
        found[student, temperature, weight] = (
            dataclasses.replace(taught, temperature=temperature) if weight else placebo
        )
    return found


def scaled(task: Task, size: int | None) -> Task:
    """The arms of `SCALED_ARMS` on that many training images per class.

    All images are passed at most ten times, which is ten times the steps that 150 per class converge in.
    """
    change = {"train_per_class": size} | ({"epochs": 10} if size is None else {})
    arms = {name: dataclasses.replace(task.arms[name], **change) for name in SCALED_ARMS}
    return Task(task.student, arms, {name: task.against[name] for name in SCALED_ARMS[1:]})


def scaled_tasks() -> list[tuple[Task, tuple[int | None, ...]]]:
    """The students whose images are varied, and how many per class: three qubits with eight classes, and four with ten.

    Training v1's student image by image on all of them would take eight hours of a core.
    """
    chosen = [(3, 8), (4, 10)]
    found = [task for task in tasks() if (task.placebo.qubits, len(task.placebo.classes)) in chosen]
    return [(task, SIZES if task.student == REVISED else SIZES[:-1]) for task in found]


def experiments() -> list[Experiment]:
    """Everything that the study needs, each once."""
    arms = [arm for task in tasks() for arm in task.arms.values()]
    sizes = [arm for task, sizes in scaled_tasks() for size in sizes for arm in scaled(task, size).arms.values()]
    return list(dict.fromkeys([*grid().values(), *arms, *sizes]))
