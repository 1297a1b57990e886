"""Students of circuits of one's own, small enough to train in a moment."""

import dataclasses

from qkdlib import Circuit, training
from qkdlib.experiment import Experiment
from qkdlib.images import datasets
from qkdlib.students import Student

PLAIN = {"classes": (0, 1, 2), "reducer": "fully_connected", "dropout": 0.0, "head": "softmax"}
LINES = [
    "h 0", "rx(x[0]) 0", "rx(2*x[1]) 1", "ry(x[2]) 2", "crx(w[0]) 0 1", "crz(-0.5*w[1]) 1 2", "u(w[2], x[0], 0.3) 2",
    "rxx(w[0]) 0 2", "ryy(w[3]) 0 1", "ry(w[4]) 0", "ch 0 2", "ccx 0 1 2", "ry(w[4]) 2",
]  # fmt: skip
OWN = {
    "own, all wires": {"ansatz": Circuit(3, LINES)},
    "own, two wires": {"ansatz": Circuit(3, LINES, measure=(2, 0))},
    "own, pauli_z of one wire": {"ansatz": Circuit(3, LINES, measure=(1,)), "readout": "pauli_z", "head": "linear"},
    "reuploading": {"ansatz": "reuploading", "layers": 2, "readout": "pauli_z", "head": "linear"},
    "weights alone": {
        "ansatz": Circuit(2, ["rx(w[0]) 0", "rx(w[0]) 1", "crz(w[1]) 0 1", "ry(w[2]) 0", "ry(w[2]) 1"]),
        "encoder": "amplitude", "readout": "pauli_z", "head": "linear",
    },
    "one feature": {
        "ansatz": Circuit(3, ["ry(x[0]) 0", "ry(x[0]) 1", "crx(w[0]) 0 1", "ry(x[0]) 1", "cx 1 2"], measure=(2, 0)),
    },
    "strongly entangling": {
        "ansatz": "strongly_entangling", "layers": 2, "encoder": "amplitude", "readout": "pauli_z", "head": "linear",
    },
}  # fmt: skip


def tried(**fields) -> Experiment:
    """Of 30 images of digits, for one epoch of batches of 6, with other fields as given."""
    tiny = {
        "dataset": "digits", "train_per_class": 10, "validation_per_class": 5, "test_per_class": 5, "epochs": 1,
        "batch_size": 6,
    }  # fmt: skip
    return Experiment(**{**tiny, **PLAIN, **fields})


def train(task: Experiment, seeds: list[int], steps: int | None = None) -> tuple[Student, list[dict]]:
    """Train for so many steps, or as the experiment says."""
    if steps is not None:
        each = -(-task.train_per_class * len(task.classes) // task.batch_size)
        task = dataclasses.replace(task, epochs=steps // each)
    return training.train_students(task, datasets.splits(task), None, seeds)
