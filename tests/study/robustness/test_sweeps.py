"""Which students are executed under which conditions, and which of these are run because they have no record."""

import dataclasses

import pytest
from few_pairs import NOISES
from synthetic import fill_executions

from qkdlib.study import contents
from qkdlib.study.robustness import executions, sweeps
from qkdlib.study.robustness.executions import Condition
from qkdlib.workspace import Workspace

# What is declared


def test_pairs_differ_in_the_teacher_alone():
    for pair in sweeps.pairs():
        placebo, distilled = pair.arms
        assert placebo.teacher is None and placebo.kd_weight == 0 and distilled.kd_weight == 0.9
        assert dataclasses.replace(distilled, teacher=None, kd_weight=0.0) == placebo
        assert placebo.seeds == 10


def test_published_and_revised_students_are_executed_under_noise_that_they_did_and_did_not_see():
    for student in ("published", "revised"):
        named = [pair for pair in sweeps.pairs() if pair.student == student]
        assert {pair.experiment.dataset for pair in named} == {"mnist", "fashion_mnist"}
        assert {str(pair.trained_under) for pair in named} == {"none", "depolarising 0.05"}
        for pair in named:
            kinds = {name for name, _ in pair.conditions}
            if pair.experiment.qubits < 8:
                assert {"none", "shots", *NOISES} <= kinds
            assert ("device" in kinds) == (student == "revised" and pair.trained_under.is_ideal)
    twins = {pair.experiment.digest for pair in sweeps.pairs() if pair.trained_under.is_ideal}
    for pair in sweeps.pairs():
        ideal = dataclasses.replace(pair.experiment, noise="none", noise_level=0.0)
        assert ideal.digest in twins  # what was trained under noise has a twin that was not


def test_levels_go_from_10_shots_to_10000_and_from_none_to_a_tenth():
    conditions = dict.fromkeys(condition for _, condition in sweeps.sweep(50))
    shots = sorted(condition.shots for condition in conditions if condition.noise == "none")
    assert (shots[0], shots[-1]) == (10, 10_000) and 5000 in shots
    for kind in ("depolarising", "amplitude_damping"):
        levels = [condition.level for condition in conditions if condition.noise == kind]
        assert max(levels) == 0.1 and {condition.shots for condition in conditions if condition.noise == kind} == {5000}


def test_a_device_is_compared_with_no_noise_at_its_own_shots_and_images():
    for pair in sweeps.pairs():
        for name, condition in pair.conditions:
            same = sweeps.baseline(pair, name)
            assert same.noise == "none" and same.images_per_class == condition.images_per_class
            if name not in ("shots", sweeps.BASELINE):
                assert same.shots == condition.shots


# What is run


def test_only_what_has_no_record_is_asked_for(workspace, few):
    every = sweeps.missing(workspace)
    assert [arm for arm, _ in every] == [arm for pair in few for arm in pair.arms]
    assert [len(conditions) for _, conditions in every] == [1 + 2 + 3 * 2] * 2 + [2] * 2
    fill_executions(workspace, few[:1])
    assert [arm for arm, _ in sweeps.missing(workspace)] == list(few[1].arms)
    assert sweeps.missing(workspace, fresh=True) == every
    assert sweeps.missing(workspace, chosen=few[:1]) == []


def test_committed_executions_are_those_that_are_declared():
    assert "robustness" in contents.parts()
    for pair in sweeps.pairs():
        for arm in pair.arms:
            asked = {condition for _, condition in pair.conditions}
            assert set(executions.find(arm, Workspace())) == asked


def test_a_condition_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="^noise_level=0.7 is not allowed; allowed: a number from 0 to 0.5"):
        Condition(noise="readout", level=0.7)
