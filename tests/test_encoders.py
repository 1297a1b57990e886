"""Amplitude encoding: states of norm 1, the formula in numpy, and what happens to a zero vector."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdlib.encoders import AMPLITUDES, amplitude, amplitude_tanh

# Sizes from 1e-6 on: below 1e-22 the square of a number is no longer one in single precision.
NUMBERS = st.just(0.0) | st.floats(1e-6, 1e3) | st.floats(-1e3, -1e-6)
VECTORS = st.lists(NUMBERS, min_size=8, max_size=8)
ENCODERS = {"amplitude": amplitude, **AMPLITUDES}


def in_numpy(name: str, features: np.ndarray) -> np.ndarray:
    """x / ||x||, after x' = pi tanh x where the encoder says so; |0...0> for the zero vector."""
    if not features.any():
        return np.eye(len(features))[0]
    x = math.pi * np.tanh(features) if name == "amplitude_tanh" else features
    return x / np.sqrt((x**2).sum())


@pytest.mark.parametrize("name", ENCODERS)
@settings(deadline=None, max_examples=60, database=None)
@given(vector=VECTORS)
def test_state_is_the_formula_and_has_norm_1(name, vector):
    found = ENCODERS[name](torch.tensor(vector, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(found, in_numpy(name, np.array(vector)), atol=1e-12)
    assert (found**2).sum() == pytest.approx(1, abs=1e-12)
    in_single_precision = ENCODERS[name](torch.tensor(vector))
    assert in_single_precision.square().sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ENCODERS)
def test_zero_vector_among_others_becomes_the_ground_state_and_leaves_them_alone(name):
    features = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features[1, 2] = 0
    found = ENCODERS[name](features)
    assert found[1, 2].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    for place in np.ndindex(3, 5):
        np.testing.assert_allclose(found[place], in_numpy(name, features[place].numpy()), atol=1e-12)


@pytest.mark.parametrize("name", ENCODERS)
@settings(deadline=None, max_examples=40, database=None)
@given(vector=VECTORS, rest=VECTORS)
def test_gradient_is_finite_also_at_the_zero_vector_and_beside_it(name, vector, rest):
    for rows in ([vector, rest], [vector, [0.0] * 8]):
        features = torch.tensor(rows, requires_grad=True)
        (ENCODERS[name](features) * torch.arange(8.0)).sum().backward()
        assert torch.isfinite(features.grad).all()
        assert not features.grad[~features.any(-1)].any()  # a zero vector is encoded as a constant


@pytest.mark.parametrize("name", ENCODERS)
def test_gradient_passes_gradcheck(name):
    features = torch.randn(4, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.autograd.gradcheck(ENCODERS[name], features.requires_grad_())


@settings(deadline=None, max_examples=40, database=None)
@given(vector=VECTORS, factor=st.floats(0.01, 100))
def test_amplitude_forgets_the_length_of_a_vector(vector, factor):
    features = torch.tensor(vector, dtype=torch.float64)
    torch.testing.assert_close(amplitude(factor * features), amplitude(features), atol=1e-12, rtol=0)


def test_signs_survive_which_a_probability_would_lose():
    found = amplitude_tanh(torch.tensor([0.0, -20.0, 20.0, 0.0], dtype=torch.float64))
    assert found.tolist() == pytest.approx([0, -math.sqrt(0.5), math.sqrt(0.5), 0])
