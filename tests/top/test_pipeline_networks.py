"""Runs with a network of one's own as the teacher: its weight in the loss, its controls, and what is no network."""

import warnings

import pytest
import torch
from tiny import TINY, run

from qkdlib import teachers
from qkdlib.experiment import Teacher
from qkdlib.images import datasets
from qkdlib.workspace import Workspace


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 6))


@pytest.fixture
def untrained():
    """The warnings about networks that know nothing are not what is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", teachers.DoubtfulTeacher)
        yield


@pytest.mark.parametrize(
    ("task", "options", "weight"),
    [
        (TINY, {}, 0.9), (TINY, {"kd_weight": 0.5}, 0.5), (TINY, {"kd_weight": 0}, 0.0),
        (TINY.distilled(Teacher(), 0.3), {}, 0.3), (TINY.distilled(Teacher(), 0.3), {"kd_weight": 0.5}, 0.5),
    ],
)  # fmt: skip
def test_the_weight_of_a_network_of_ones_own(tmp_path, untrained, task, options, weight):
    assert run(task, Workspace(tmp_path), teacher=network(), **options).experiment.kd_weight == weight


@pytest.mark.parametrize("weight", [-1, "0.5", True, float("nan")])
def test_a_weight_that_is_none_is_refused(tmp_path, weight):
    with pytest.raises(ValueError, match="^kd_weight="):
        run(TINY, Workspace(tmp_path), teacher=network(), kd_weight=weight)


def test_a_weight_without_a_network_is_refused(tmp_path):
    with pytest.raises(ValueError, match="^kd_weight=0.5 is not allowed; allowed: None without teacher=network"):
        run(TINY, Workspace(tmp_path), kd_weight=0.5)


@pytest.mark.parametrize("labels", ["shuffled", "smoothed"])
def test_a_network_of_ones_own_can_be_a_control(tmp_path, untrained, labels):
    plain = run(TINY, Workspace(tmp_path), teacher=network())
    control = run(TINY.distilled(Teacher(labels=labels)), Workspace(tmp_path), teacher=network())
    assert control.experiment.teacher.labels == labels
    assert control.experiment.teacher.architecture == plain.experiment.teacher.architecture
    assert control.seeds[0]["train_loss"] != plain.seeds[0]["train_loss"]


@pytest.mark.parametrize("wrong", [{"weight": torch.zeros(3)}, torch.nn.Linear, [network()], "teacher.pt", Teacher()])
def test_what_is_no_network_is_said_in_a_line_before_images_are_loaded(tmp_path, monkeypatch, wrong):
    monkeypatch.setattr(datasets, "splits", lambda _: pytest.fail("images were loaded"))
    with pytest.raises(ValueError, match="^teacher=.{,90} is not allowed; allowed: a torch.nn.Module.{,200}$"):
        run(TINY, Workspace(tmp_path), teacher=wrong)
