"""Fixtures of the study's tests: which images are at hand, and that nothing is trained."""

import pytest
import tiny_study

from qkdlib import images
from qkdlib.images import datasets


@pytest.fixture
def at_hand(monkeypatch) -> set[str]:
    """A set of the data sets that are at hand: all but the original CIFAR10, as where the records were made."""
    there = {"mnist", "fashion_mnist", "cifar10_jpeg"}
    for module in (images, datasets):
        monkeypatch.setattr(module, "at_hand", lambda name: name in there)
    return there


@pytest.fixture
def no_training(monkeypatch) -> None:
    """No teacher and no student may be trained, and no image read."""
    tiny_study.forbid_training(monkeypatch)
