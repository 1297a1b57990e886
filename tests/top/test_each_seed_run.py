"""Experiments whose seeds have their own images and teachers, from the data set to the record."""

import dataclasses

import numpy as np
import pytest
from tiny import TINY, run

import qkdlib
from qkdlib import teachers
from qkdlib.experiment import Teacher

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
    for seed in range(experiment.seeds):
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
