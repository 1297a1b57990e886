"""Experiments whose seeds have their own images and teachers, from the data set to the record."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny import TINY, run

import qkdlib
from qkdlib import checks, teachers
from qkdlib.experiment import Teacher
from qkdlib.teachers import LeNet

DRAWN = dataclasses.replace(
    TINY, selection="each_seed", seeds=3, gradient="published_shift", sampler="multinomial", shots=50
)
TAUGHT = DRAWN.distilled(Teacher(epochs=1, networks=2, seed=4))


def alone(experiment, seed, workspace):
    """The results of a seed in the experiment that is known already, and its weights."""
    single = dataclasses.replace(experiment.of_seed(seed), seeds=seed + 1)
    found = run(single, workspace).seeds[seed]
    return found, weights_of(single, seed, workspace)


def weights_of(experiment, seed, workspace):
    student = qkdlib.trained_student(experiment, workspace=workspace, device="cpu").one(seed)
    return {name: value.numpy() for name, value in student.state_dict().items()}


@pytest.mark.parametrize("experiment", [
    DRAWN, TAUGHT,
    DRAWN.distilled(Teacher(epochs=1, labels="smoothed")),
    DRAWN.distilled(Teacher(epochs=1, labels="shuffled", networks=2)),
    dataclasses.replace(TAUGHT, selection="first"),
])  # fmt: skip
def test_a_seed_has_the_record_that_it_has_alone(experiment, workspace):
    """Curves, accuracies on Aer and weights, of images of its own and of its own teacher."""
    record = run(experiment, workspace)
    for seed in (1, 2):
        found, expected = alone(experiment, seed, workspace)
        assert record.seeds[seed] == found
        for name, values in weights_of(experiment, seed, workspace).items():
            np.testing.assert_array_equal(values, expected[name])


def test_each_network_has_the_file_of_its_own(workspace):
    """Those of single teachers, of which the seeds need three."""
    single = [Teacher(epochs=1, seed=seed) for seed in (4, 5)]
    run(dataclasses.replace(DRAWN, seeds=1).distilled(single[0]), workspace, aer_seeds=0)
    before = {path.name: path.stat().st_mtime_ns for path in workspace.teachers.glob("*.npz")}
    run(TAUGHT, workspace, aer_seeds=0)
    there = {path.name: path.stat().st_mtime_ns for path in workspace.teachers.glob("*.npz")}
    assert set(there) == {f"{teachers.teacher_name(DRAWN, each)}.npz" for each in single} and len(there) == 2
    assert before.items() <= there.items()  # trained once


# What is refused, before any work


@qkdlib.register("reducer", "fitted_each")
class Fitted(torch.nn.Module):
    def __init__(self, shape, features, generators, dropout):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.rand(len(generators), features))

    def fit(self, images):
        raise AssertionError("it is refused before")

    def forward(self, prepared, keep=None):
        return prepared.mean((-3, -2, -1))[..., None] * self.weight[:, None]


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        ({"reducer": "pca", "dropout": 0.0}, {}, "^reducer='pca' .*each_seed: what is fitted"),
        ({"reducer": "fitted_each", "dropout": 0.0}, {}, "^reducer='?fitted_each.*: one without `fit` .*each_seed"),
        ({"reducer": "fully_connected", "dropout": 0.0}, {"features": torch.nn.Flatten()},
         "^selection='each_seed' .*first or random where features"),
        ({"teacher": Teacher(networks=2)}, {"teacher": LeNet((1, 28, 28), 6)}, "^teacher networks=2 .*teacher=network"),
        ({"teacher": Teacher(networks=2), "selection": "first", "reducer": "fully_connected", "dropout": 0.0},
         {"features": "teacher"}, "^features='teacher' .*networks=1, not 2"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(fields, options, message, workspace):
    with pytest.raises(ValueError, match=message):
        run(dataclasses.replace(DRAWN, **fields), workspace, **options)
    assert not any(any(folder.iterdir()) for folder in (workspace.students, workspace.teachers))


def test_several_teachers_have_no_common_file(workspace):
    with pytest.raises(ValueError, match=r"^teacher networks=2 .*: 1: each has a file of its own.*teacher.of\(seed\)"):
        qkdlib.train_teacher(DRAWN, Teacher(networks=2), qkdlib.splits(DRAWN), workspace)


def test_too_many_seeds_for_the_memory_are_refused(workspace, monkeypatch):
    """Evaluation looks at images of each seed, of which there are more at once where a step takes few."""
    task = dataclasses.replace(
        DRAWN, reducer="fully_connected", dropout=0.0, batch_size=1, test_per_class=50, classes=tuple(range(8))
    )
    free = 4 * 400 * 784 * 3
    monkeypatch.setattr(checks, "available_memory", lambda: free)
    run(dataclasses.replace(task, selection="random", seeds=3), workspace, aer_seeds=0)
    with pytest.raises(ValueError, match="^seeds=3 .* fits into memory"):
        run(task, workspace, aer_seeds=0)
