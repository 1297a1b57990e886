"""Seeds that have their own training images, and their own teacher: each ends as it does alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from protocols import PROTOCOLS, experiment, teacher_logits, weights
from torch.nn import functional

from qkdlib import training
from qkdlib.experiment import Teacher
from qkdlib.images import datasets
from qkdlib.training import steps

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
        drawn = ("random", seed) if task.selection == "each_seed" else ("first", 0)
        assert (single.selection, single.data_seed, single.teacher.seed) == (*drawn, seed % networks)
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


@given(
    batch=st.integers(1, 13), train=st.integers(1, 4), validation=st.integers(1, 4), networks=st.integers(1, 4),
    kind=st.sampled_from(["kl", "dkd", "rkd", "none"]), selection=st.sampled_from(["each_seed", "first"]),
)  # fmt: skip
@settings(max_examples=12, deadline=None)
def test_a_seed_ends_as_alone_whatever_the_sizes(batch, train, validation, networks, kind, selection):
    sizes = {"batch_size": max(batch, 2) if kind == "rkd" else batch, "test_per_class": 3}
    sizes |= {"train_per_class": train, "validation_per_class": validation}
    check_each({**REVISED, **sizes, "kd_loss": kind, "selection": selection}, networks)


def test_logits_of_each_seed_are_counted_over_its_own_images():
    """The teacher's entropy is part of the divergence, and each seed's its own."""
    draw = torch.Generator().manual_seed(0)
    labels, teacher = torch.randint(3, (4, 10), generator=draw), torch.randn(4, 10, 3, generator=draw)
    logits, rows = torch.randn(4, 10, 5, generator=draw), torch.arange(10).expand(4, -1)
    loss = steps.Distillation(labels, teacher, 5, 4, 10, 1.0, 0.5, 2.0)
    gradient, means = loss.gradient(logits, rows), loss.means()
    leaf = logits.clone().requires_grad_()
    for seed in range(4):
        entropy = functional.cross_entropy(leaf[seed], labels[seed])
        softened = (functional.log_softmax(leaf[seed][:, :3] / 2, 1), functional.log_softmax(teacher[seed] / 2, 1))
        divergence = functional.kl_div(*softened, reduction="batchmean", log_target=True)
        (entropy + 0.5 * divergence).backward()
        assert means["ce"][seed] == pytest.approx(entropy.item(), abs=1e-6)
        assert means["kl"][seed] == pytest.approx(divergence.item(), abs=1e-6)
    torch.testing.assert_close(gradient, leaf.grad)
