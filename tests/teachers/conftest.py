"""What tests of teachers put in the place of a training, and of a network that is too large for them."""

import pytest
from small_teachers import SmallAlexNet

from qkdlib import training
from qkdlib.teachers import networks
from qkdlib.training import student_training


@pytest.fixture
def refuse_training(monkeypatch):
    """A function: once it is called, neither a teacher nor a student may train any more."""

    def fail(*_arguments, **_options):
        raise AssertionError("trained although it must not")

    def now():
        for place in (training, student_training):
            monkeypatch.setattr(place, "fit", fail)

    return now


@pytest.fixture
def small_alexnet(monkeypatch):
    """`SmallAlexNet` as AlexNet."""
    monkeypatch.setattr(networks, "AlexNet", SmallAlexNet)
