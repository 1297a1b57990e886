"""Fixtures of the backends' tests."""

import pytest

from qkdlib.backends import submission


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A job that has failed is tried again at once."""
    monkeypatch.setattr(submission, "PAUSE", 0)
