"""Samples that are drawn on the device of the probabilities: distributed as a multinomial law says."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from qkdlib.backends.samplers import Multinomial, counts

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SHOTS, ROWS = 40, 20_000
CHANCES = [[0.1, 0.2, 0.3, 0.4], [0.0, 0.5, 0.5, 0.0], [1.0, 0.0, 0.0, 0.0], [0.001, 0.004, 0.005, 0.99]]


def generator(device: str, seed: int = 0) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("chances", CHANCES, ids=str)
def test_each_outcome_is_binomial_and_two_of_them_covary_as_they_should(chances, device):
    p = np.array(chances)
    found = counts(torch.tensor(chances, dtype=torch.float64, device=device).expand(ROWS, -1), SHOTS, generator(device))
    found = found.cpu().numpy()
    assert (found.sum(1) == SHOTS).all() and (found >= 0).all() and (found == found.round()).all()
    assert (found[:, p == 0] == 0).all()
    covariance = SHOTS * (np.diag(p) - np.outer(p, p))
    np.testing.assert_allclose(np.cov(found.T), covariance, atol=0.06 * max(covariance.max(), 1e-9))
    for drawn, chance in zip(found.T, p, strict=True):
        expected = ROWS * stats.binom.pmf(np.arange(SHOTS + 1), SHOTS, chance)
        seen, often = np.bincount(drawn.astype(int), minlength=SHOTS + 1), expected >= 5
        if often.sum() > 1:
            seen, expected = (np.append(each[often], each[~often].sum()) for each in (seen, expected))
            keep = expected > 0
            assert stats.chisquare(seen[keep], expected[keep], sum_check=False).pvalue > 1e-4


@pytest.mark.parametrize("device", DEVICES)
def test_many_shots_and_outcomes_come_near_their_chances(device):
    chances = torch.softmax(torch.randn(5, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64), -1)
    shots = 5000
    found = counts(chances.to(device), shots, generator(device)).cpu().numpy()
    values = [stats.chisquare(each, shots * p).pvalue for each, p in zip(found, chances.numpy(), strict=True)]
    assert min(values) > 1e-4 and len(set(map(tuple, found.tolist()))) == 5


@given(
    rows=st.lists(st.lists(st.floats(0, 1), min_size=8, max_size=8), min_size=1, max_size=4),
    shots=st.integers(1, 10_000), seed=st.integers(0, 1000), scale=st.sampled_from([1.0, 1e-6, 50.0]),
)  # fmt: skip
def test_any_rows_that_need_not_add_up_give_counts_that_do(rows, shots, seed, scale):
    chances = scale * torch.tensor(rows, dtype=torch.float64)
    found, again = (counts(chances, shots, generator("cpu", seed)) for _ in range(2))
    assert found.shape == chances.shape and torch.equal(found.nan_to_num(-1), again.nan_to_num(-1))
    for each, row in zip(found, chances, strict=True):
        if row.sum() > 0:
            assert each.sum() == shots and (each[row == 0] == 0).all() and (each >= 0).all()
        else:
            assert each.isnan().all()


def test_a_row_without_numbers_gives_none_and_leaves_the_others():
    chances = torch.tensor([[0.5, torch.nan], [torch.inf, 0.5], [0.0, 0.0], [0.0, 1.0], [-1e-9, 1.0]])
    found = counts(chances, 10, generator("cpu"))
    assert found[:3].isnan().all() and found[3:].tolist() == [[0, 10], [0, 10]]


@pytest.mark.parametrize("device", DEVICES)
def test_a_sampler_draws_where_the_probabilities_are_and_goes_on_from_its_generators(device):
    exact = torch.tensor(CHANCES, device=device)[:, None].expand(-1, 3, -1)  # (S, 3, 4)
    sampler = Multinomial(100, [0, 1, 2, 3], "test shots")
    first = sampler.frequencies(exact)
    states = [each.bit_generator.state for each in sampler.generators]
    second = sampler.frequencies(exact)
    assert first.device == exact.device and first.dtype == exact.dtype and not torch.equal(first, second)
    for each, state in zip(sampler.generators, states, strict=True):
        each.bit_generator.state = state
    assert torch.equal(sampler.frequencies(exact), second)
    assert torch.equal((100 * first).round(), 100 * first) or torch.allclose((100 * first).round(), 100 * first)
    torch.testing.assert_close(first.sum(-1), torch.ones(4, 3, device=device))
