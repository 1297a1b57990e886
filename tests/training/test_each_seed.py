"""Seeds that have their own training images, and their own teacher: each ends as it does alone."""

import pytest
import torch
from protocols import PROTOCOLS, experiment, teacher_logits, weights

from qkdlib import training
from qkdlib.experiment import Teacher
from qkdlib.images import datasets

SEEDS = [0, 2, 3]
OWN = {"selection": "each_seed", "seeds": 4}
REVISED = PROTOCOLS["revised"]
TRAININGS = {name: fields for name, fields in PROTOCOLS.items() if "pca" not in name} | {
    "published, batch 1": {"gradient": "published_shift", "sampler": "multinomial", "shots": 50, "batch_size": 1},
    "revised, batch 32": {**REVISED, "batch_size": 32, "epochs": 3},
    "patience": {**REVISED, "epochs": 6, "patience": 1, "tested": "at_end", "learning_rates": (0.1, 0.001)},
    "dkd": {**REVISED, "kd_loss": "dkd"},
    "rkd": {"kd_loss": "rkd", "batch_size": 7},
    "pooled": {**REVISED, "reducer": "avg_pool", "encoder": "qubit", "qubits": 4},
    "normalised": {"pixel_mean": (0.2,), "pixel_std": (0.4,)},
    "all test images": {**REVISED, "test_per_class": None},
    "all other training images": {**REVISED, "train_per_class": None, "validation_per_class": 120},
}


def check_each(fields, networks=2):
    """Train the seeds side by side, and each alone by what is known already: the selection `random`."""
    task = experiment(**{**OWN, **fields}).distilled(Teacher(networks=networks))
    singles = {seed: task.of_seed(seed) for seed in SEEDS}
    alone, stacked = {}, []
    for seed, single in singles.items():
        assert (single.selection, single.data_seed, single.teacher.seed) == ("random", seed, seed % networks)
        alone[seed] = teacher_logits(single) + 3.0 * torch.eye(len(task.classes))[seed % networks]
        stacked.append(alone[seed][torch.cat(datasets.splits(single).students_rows())])
    students, curves = training.train_students(task, datasets.splits(task), torch.stack(stacked), SEEDS)
    for place, (seed, single) in enumerate(singles.items()):
        student, (expected,) = training.train_students(single, datasets.splits(single), alone[seed], [seed])
        assert curves[place] == expected, seed
        assert torch.equal(weights(students, place), weights(student)), seed
    assert len({str(each["train_loss"]) for each in curves}) == len(SEEDS)


@pytest.mark.parametrize("fields", TRAININGS.values(), ids=TRAININGS)
def test_a_seed_beside_others_ends_as_alone(fields):
    check_each(fields)
