"""Shared fixtures. One thread each: tests are many small computations, and may run beside others."""

import os

import pytest
from hypothesis import settings

from qkdlib.workspace import Workspace

os.environ.setdefault("QKD_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch, where a test trains without `run`

settings.register_profile("any machine", deadline=None)  # a busy one is no fault
settings.load_profile("any machine")


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """An empty workspace."""
    return Workspace(tmp_path)


@pytest.fixture
def no_data_of_others(monkeypatch):
    """`load` remembers what it read; and no test may reach a network or a reader's own data."""
    from qkdlib.images import datasets

    def no_network(*arguments, **options):
        raise OSError("no network in tests")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.delenv("QKD_DATA", raising=False)
    datasets._load.cache_clear()
    yield
    datasets._load.cache_clear()


@pytest.fixture
def one_thread():
    """One torch thread, as in training: with two, a product of matrices may be split, which rounds differently."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A workspace with made-up records of every declared experiment of v1."""
    from synthetic import fill

    workspace = Workspace(tmp_path_factory.mktemp("whole"))
    fill(workspace, parts=("v1",))
    return workspace
