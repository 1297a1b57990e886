"""Students of every kind, small enough to train in a moment, and a teacher for them. Also trained by
`ground/train_protocols.py`, in a process of its own."""

import torch
from torch.nn import functional

from qkdlib import training
from qkdlib.experiment import Experiment
from qkdlib.images import datasets
from qkdlib.students import Student

DESCRIBED = {"reducer": "fully_connected", "encoder": "amplitude_tanh", "head": "renormalised", "dropout": 0.0}
REVISED = {
    "reducer": "fully_connected", "encoder": "amplitude", "ansatz": "rx_ry_rz", "readout": "pauli_z", "head": "linear",
    "dropout": 0.0,
}  # fmt: skip
PROTOCOLS = {
    "published": {},
    "published shift": {"gradient": "published_shift"},
    "published, sampled": {"gradient": "published_shift", "sampler": "multinomial", "shots": 100},
    "described": DESCRIBED,
    "revised": REVISED,
    "revised, qubit encoding": {**REVISED, "encoder": "qubit", "entangler": "ring_cz", "layers": 2},
    "revised, under noise": {**REVISED, "noise": "depolarising", "noise_level": 0.05},
    "revised, pca": {**REVISED, "reducer": "pca"},
    "twin": {**REVISED, "ansatz": "classical"},
}


def experiment(**fields) -> Experiment:
    """Of 60 images of digits, for one epoch, with other fields as given."""
    tiny = {
        "dataset": "digits", "train_per_class": 10, "validation_per_class": 5, "test_per_class": 10,
        "epochs": 1, "batch_size": 4,
    }  # fmt: skip
    return Experiment(**{**tiny, **fields})


def train(task: Experiment, seeds, logits: torch.Tensor | None = None) -> tuple[Student, list[dict]]:
    return training.train_students(task, datasets.splits(task), logits, list(seeds))


def teacher_logits(task: Experiment) -> torch.Tensor:
    """A teacher that is right and unsure in its own way about each image, so that a mix-up of images shows."""
    labels = datasets.splits(task).all_train.y
    noise = torch.randn(len(labels), len(task.classes), generator=torch.Generator().manual_seed(3))
    return noise + 4 * functional.one_hot(labels, len(task.classes))


def weights(student: Student, place: int = 0) -> torch.Tensor:
    """All parameters of the seed at this place."""
    return torch.cat([parameter[place].detach().flatten() for parameter in student.parameters()])
