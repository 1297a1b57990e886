"""A fixture of the tests of the executions."""

import few_pairs
import pytest

from qkdlib.study.robustness import sweeps


@pytest.fixture
def few(monkeypatch) -> tuple[sweeps.Pair, sweeps.Pair]:
    """`few_pairs.pairs`, in force as all that is declared."""
    pairs = few_pairs.pairs()
    monkeypatch.setattr(sweeps, "pairs", lambda: pairs)
    return pairs
