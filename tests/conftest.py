"""Shared fixtures. One thread each: tests are many small computations, and may run beside others."""

import os

import pytest

from qkdlib.workspace import Workspace

os.environ.setdefault("QKD_THREADS", "1")


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """An empty workspace."""
    return Workspace(tmp_path)
