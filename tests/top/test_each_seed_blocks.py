"""Experiments whose seeds have their own images and teachers, block by block: trained, executed, and gone on with."""

import dataclasses
import functools
import pickle

import pytest
from tiny import TINY, run

import qkdlib
from qkdlib import blocks, cluster, execution, records
from qkdlib.experiment import Teacher
from qkdlib.workspace import Workspace

DRAWN = dataclasses.replace(
    TINY, selection="each_seed", seeds=3, gradient="published_shift", sampler="multinomial", shots=50
)
TAUGHT = DRAWN.distilled(Teacher(epochs=1, networks=2, seed=4))


@pytest.mark.parametrize("experiment", [DRAWN, TAUGHT, dataclasses.replace(TAUGHT, selection="first")])
def test_blocks_of_seeds_give_the_same_record(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "shares", functools.partial(blocks.shares, least=1))
    there, here = Workspace(tmp_path / "blocks"), Workspace(tmp_path / "whole")
    cluster.train_teachers([experiment] if experiment.teacher else [], there, say=str)
    missing = blocks.Missing(experiment, there)
    for stage, count in ((missing.trainings, 3), (missing.executions, 3)):
        tasks = stage(3)
        assert len(tasks) == count
        for task in reversed(tasks):
            task.done(task.call(*pickle.loads(pickle.dumps(task.given))))
    assert records.find(experiment, there).seeds == run(experiment, here).seeds


def test_an_execution_that_was_cut_off_goes_on_with_its_own_images(workspace):
    """Also where fewer seeds are asked for now."""
    expected = run(TAUGHT, workspace).seeds
    record = records.find(TAUGHT, workspace)
    for seed in (1, 2):
        record.seeds[seed]["qasm_accuracy"] = None
    record.provenance[0]["unexecuted"] = [1, 2]
    (workspace.students / f"{TAUGHT.name}.json").unlink()
    record.save(workspace)
    for seeds in (1, 3):
        run(dataclasses.replace(TAUGHT, seeds=seeds), workspace)
    assert records.find(TAUGHT, workspace).seeds == expected


def test_seeds_that_are_added_are_those_that_they_would_have_been(workspace, tmp_path):
    run(dataclasses.replace(TAUGHT, seeds=1), workspace)
    assert run(TAUGHT, workspace).seeds == run(TAUGHT, Workspace(tmp_path / "at once")).seeds


def test_teachers_of_many_experiments_are_trained_once_each(workspace):
    said = []
    cluster.train_teachers([TAUGHT, dataclasses.replace(TAUGHT, seeds=1)], workspace, say=said.append)
    assert len(said) == len(list(workspace.teachers.glob("*.npz"))) == 2


def test_memory_of_a_process_does_not_grow_with_the_number_of_seeds():
    many = dataclasses.replace(DRAWN, dataset="mnist", seeds=100)
    few = dataclasses.replace(many, selection="random", train_per_class=None)
    assert cluster.memory_of(many) == cluster.memory_of(dataclasses.replace(many, seeds=1)) <= cluster.memory_of(few)


# What is executed


def test_the_executed_images_are_those_of_the_students(workspace):
    run(TAUGHT, workspace, aer_seeds=0)
    student = qkdlib.trained_student(TAUGHT, workspace=workspace, device="cpu")
    parts = qkdlib.splits(TAUGHT)
    found = execution.execute(student, parts.test, seeds=2).accuracies
    for seed in found:
        single = qkdlib.trained_student(TAUGHT, workspace=workspace, device="cpu")
        assert execution.execute(single, qkdlib.splits(TAUGHT.of_seed(seed)).test).accuracies[seed] == found[seed]
    with pytest.raises(ValueError, match="^images='of 2 seeds' .*; allowed: images of the student's 3 seeds"):
        execution.execute(student, parts.of([0, 1]).test)
