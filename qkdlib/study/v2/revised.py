"""v2's experiments: the seven methods of its Fig. 12, what that figure says, and our experiments for each bar.

No code was published for them, and v2's training-set size, batch and epochs are not at hand: `REGIMES` are ours. The
bars were read off the figure, about +-0.4 points, into `figure_12.csv`.
"""

import dataclasses
import functools
from dataclasses import dataclass

from qkdlib import checks, images
from qkdlib.experiment import Experiment, Teacher
from qkdlib.experiment_checks import ENTANGLERS
from qkdlib.study.chapter import copies, facts, on_copy
from qkdlib.study.v1 import paper

METHODS = {  # in the order of Fig. 12: reducer and encoder
    "max_pool": ("max_pool", "amplitude"),
    "center_crop": ("center_crop", "amplitude"),
    "pca": ("pca", "amplitude"),
    "avg_pool": ("avg_pool", "amplitude"),
    "angle": ("fully_connected", "angle"),
    "qubit": ("fully_connected", "qubit"),
    "original": ("fully_connected", "amplitude"),
}
DATASETS = ("mnist", "fashion_mnist", "cifar10")
TEACHERS = {"mnist": ("lenet", "alexnet"), "fashion_mnist": ("lenet", "alexnet"), "cifar10": ("lenet",)}
ALEXNET_EPOCHS = 3  # the paper's 10 take two hours of a core for each data set
QUBITS = (4, 8)
LAYERS = (1, 2, 4)
SEEDS = 10
DEFAULT, CONVERGED, FULL = "10 epochs", "converged", "full set"
REGIMES = {
    DEFAULT: {"epochs": 10},
    CONVERGED: {"epochs": 100, "patience": 15, "learning_rates": (1e-3, 1e-2)},
    FULL: {"epochs": 10, "train_per_class": None},
}


@dataclass(frozen=True)
class Bar:
    """One bar of Fig. 12 in one regime, or a variant of the original method that the figure does not have.

    `experiment` is the placebo, `teachers` names those of its distilled arms. `paper_error` is in percent, None for a
    variant.
    """

    method: str
    dataset: str
    qubits: int
    regime: str
    experiment: Experiment
    paper_error: float | None
    teachers: tuple[str, ...]

    @property
    def copies(self) -> list["Bar"]:
        """This bar on each copy of its images."""
        return [dataclasses.replace(self, experiment=experiment) for (experiment,) in copies((self.experiment,))]

    @property
    def arms(self) -> dict[str | None, Experiment]:
        """The placebo, called None, and the same student with each teacher."""
        taught = {name: self.experiment.distilled(teacher(name)) for name in self.teachers}
        return {None: self.experiment, **taught}


def student(dataset: str = "mnist", qubits: int = 4, method: str = "original", **changes) -> Experiment:
    """v2's student, untaught, in the default regime: 150 images per class, batch 32, 10 epochs, Adam 0.001, RX RY RZ on
    every wire, Pauli-Z expectations and a linear layer, tested on all test images.

    Args:
        method: one of `METHODS`; it names the reducer and the encoder.
        changes: any other field of `Experiment`.
    """
    checks.one_of("method", method, METHODS)
    reducer, encoder = METHODS[method]
    fields = {
        "dataset": dataset, "classes": tuple(range(10)), "test_per_class": None, "qubits": qubits, "reducer": reducer,
        "encoder": encoder, "ansatz": "rx_ry_rz", "readout": "pauli_z", "head": "linear", "dropout": 0.0,
        "batch_size": 32, "tested": "at_end", "seeds": SEEDS,
    }  # fmt: skip
    return Experiment(**{**fields, **changes})


def teacher(architecture: str) -> Teacher:
    """A teacher on ten classes: the paper's training but for AlexNet's epochs."""
    return paper.one_of_three(architecture, ALEXNET_EPOCHS)


def bars(regime: str | None = None, teachers: tuple[str, ...] | None = None) -> list[Bar]:
    """Fig. 12's 42 bars in both regimes on 150 images per class, and the original method's on the full set.

    Args:
        regime: those of this regime alone.
        teachers: with these teachers alone, and without the bars that have none of them.
    """
    found = [
        _bar(method, dataset, qubits, each)
        for each in (DEFAULT, CONVERGED)
        for dataset in DATASETS
        for qubits in QUBITS
        for method in METHODS
    ]
    found += [_bar("original", dataset, qubits, FULL) for dataset in DATASETS for qubits in QUBITS]
    if regime is not None:
        found = [bar for bar in found if bar.regime == regime]
    if teachers is not None:
        chosen = [dataclasses.replace(bar, teachers=tuple(n for n in bar.teachers if n in teachers)) for bar in found]
        found = [bar for bar in chosen if bar.teachers]
    return found


def variants() -> list[Bar]:
    """The original method with other depths and with entangling gates, 10 epochs."""
    return [
        _bar("original", dataset, qubits, DEFAULT, layers=layers, entangler=entangler)
        for dataset in DATASETS
        for qubits in QUBITS
        for entangler in ENTANGLERS
        for layers in LAYERS
        if (layers, entangler) != (1, "none")
    ]


@functools.cache  # they are looked up by name again and again
def _bar(method: str, dataset: str, qubits: int, regime: str, **changes) -> Bar:
    experiment = student(dataset, qubits, method, **REGIMES[regime], **changes)
    if changes:
        return Bar(method, dataset, qubits, regime, experiment, None, (TEACHERS[dataset][0],))
    return Bar(method, dataset, qubits, regime, experiment, printed()[method, dataset, qubits], TEACHERS[dataset])


def bar(method: str, dataset: str, qubits: int, regime: str = DEFAULT) -> Bar:
    """The bar of Fig. 12 with that method, data set and qubits."""
    found = {(each.method, each.dataset, each.qubits, each.regime): each for each in bars()}
    checks.one_of("bar", (method, dataset, qubits, regime), found)
    return found[method, dataset, qubits, regime]


def at_hand(bar: Bar) -> Bar:
    """The bar on the first copy of its images that is at hand, or on the one that can be downloaded."""
    (experiment,) = on_copy((bar.experiment,), lambda each: images.at_hand(each.dataset))
    return dataclasses.replace(bar, experiment=experiment)


def taught() -> list[Experiment]:
    """An experiment for every teacher on ten classes: LeNet, AlexNet and their ensemble where AlexNet is trained."""
    found = []
    for dataset, names in TEACHERS.items():
        placebo = at_hand(bar("original", dataset, 4)).experiment
        ensemble = ("ensemble",) if "alexnet" in names else ()
        found += [placebo.distilled(teacher(name)) for name in (*names, *ensemble)]
    return found


@functools.cache
def printed() -> dict[tuple[str, str, int], float]:
    """Fig. 12's errors in percent, by method, data set and qubits."""
    rows = facts(__package__, "figure_12.csv")
    return {(row["method"], row["dataset"], int(row["qubits"])): float(row["error_percent"]) for row in rows}
