"""What tests of whole runs put in the place of a training."""

import pytest

from qkdlib import training
from qkdlib.training import student_training


@pytest.fixture
def refuse(monkeypatch):
    """A function: once it is called, `train_students` or `fit`, whichever it names, must not be called any more."""

    def now(name: str):
        def fail(*_arguments, **_options):
            raise AssertionError(f"{name} was called")

        for place in (training, student_training):
            monkeypatch.setattr(place, name, fail)

    return now
