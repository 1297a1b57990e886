"""Exact probabilities and the three gradients of a circuit."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd.gradcheck import GradcheckError

from qkdlib import circuits, simulation
from qkdlib.circuits import Circuit, Gate

EXACT = ("autograd", "parameter_shift")


def draw(*shape: int, dtype=torch.float64, seed: int = 0) -> torch.Tensor:
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return ((values * 2 - 1) * 3).to(dtype)


def mixed(qubits: int = 3) -> Circuit:
    """A circuit with every gate, two angles per wire and angle places that do not follow the wires."""
    gates = [Gate("h", (wire,)) for wire in range(qubits)]
    gates += [Gate("rz", (wire,), angle=wire) for wire in range(qubits)]
    gates += [Gate("h", (wire,)) for wire in range(qubits)]
    gates += [Gate("ry", (wire,), angle=2 * qubits - 1 - wire) for wire in range(qubits)]
    return Circuit("mixed", qubits, tuple(gates))


CIRCUITS = {"h_ry": circuits.build("h_ry", 3), "mixed": mixed()}


def gradient(circuit: Circuit, angles: torch.Tensor, weights: torch.Tensor, which: str) -> torch.Tensor:
    """The gradient of a weighted sum of outcome probabilities."""
    angles = angles.clone().requires_grad_()
    (simulation.probabilities(circuit, angles, which) * weights).sum().backward()
    return angles.grad


def finite_difference(circuit: Circuit, angles: torch.Tensor, weights: torch.Tensor, step: float = 1e-5):
    result = torch.empty_like(angles)
    for place in np.ndindex(*angles.shape):
        values = []
        for sign in (1, -1):
            moved = angles.clone()
            moved[place] += sign * step
            values.append((simulation.bloch(circuit, moved) * weights).sum())
        result[place] = (values[0] - values[1]) / (2 * step)
    return result


@pytest.mark.parametrize("name", CIRCUITS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_parameter_shift_is_autograd(name, dtype, tolerance):
    circuit = CIRCUITS[name]
    angles, weights = draw(4, circuit.angles, dtype=dtype), draw(4, 8, dtype=dtype, seed=1)
    expected = gradient(circuit, angles, weights, "autograd")
    assert expected.abs().max() > 0.1  # a comparison of zeros would say nothing
    found = gradient(circuit, angles, weights, "parameter_shift")
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", CIRCUITS)
@pytest.mark.parametrize("which", EXACT)
def test_exact_gradients_are_finite_differences(name, which):
    circuit = CIRCUITS[name]
    angles, weights = draw(3, circuit.angles), draw(3, 8, seed=1)
    expected = finite_difference(circuit, angles, weights)
    torch.testing.assert_close(gradient(circuit, angles, weights, which), expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", CIRCUITS)
def test_published_shift_is_sqrt_2_times_the_gradient(name):
    circuit = CIRCUITS[name]
    angles, weights = draw(4, circuit.angles), draw(4, 8, seed=1)
    expected = math.sqrt(2) * gradient(circuit, angles, weights, "autograd")
    found = gradient(circuit, angles, weights, "published_shift")
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("which", EXACT)
def test_gradcheck_accepts_the_exact_gradients(which):
    circuit, angles = mixed(2), draw(2, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda theta: simulation.probabilities(circuit, theta, which), (angles,))


def test_gradcheck_refuses_the_published_shift():
    circuit, angles = mixed(2), draw(2, 4).requires_grad_()
    with pytest.raises(GradcheckError):
        torch.autograd.gradcheck(lambda theta: simulation.probabilities(circuit, theta, "published_shift"), (angles,))


@pytest.mark.parametrize("which", ["parameter_shift", "published_shift"])
def test_way_of_the_gradient_leaves_probabilities_as_they_are(which):
    circuit, angles = CIRCUITS["mixed"], draw(4, 6)
    assert torch.equal(simulation.probabilities(circuit, angles, which), simulation.bloch(circuit, angles))


@pytest.mark.parametrize("which", ["autograd", "parameter_shift", "published_shift"])
def test_seed_and_batch_axes_are_independent(which):
    circuit, angles, weights = CIRCUITS["mixed"], draw(2, 3, 6), draw(2, 3, 8, seed=1)
    together = gradient(circuit, angles, weights, which)
    for seed, row in np.ndindex(2, 3):
        alone = gradient(circuit, angles[seed, row], weights[seed, row], which)
        torch.testing.assert_close(together[seed, row], alone, atol=1e-12, rtol=0)


@settings(deadline=None, max_examples=30, database=None)
@given(angles=st.lists(st.floats(-100, 100), min_size=6, max_size=6))
def test_probabilities_are_probabilities(angles):
    found = simulation.bloch(CIRCUITS["mixed"], torch.tensor(angles, dtype=torch.float64))
    assert found.min() >= -1e-15
    assert found.sum().item() == pytest.approx(1, abs=1e-12)


@settings(deadline=None, max_examples=30, database=None)
@given(z=st.lists(st.floats(-1, 1), min_size=1, max_size=6))
def test_product_is_the_kronecker_product_of_the_wires(z):
    expected = np.ones(1)
    for value in z:
        expected = np.kron([(1 + value) / 2, (1 - value) / 2], expected)  # a later wire is more significant
    found = simulation.product(torch.tensor(z, dtype=torch.float64))
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_circuit_without_angles_is_uniform():
    circuit = Circuit("h", 3, tuple(Gate("h", (wire,)) for wire in range(3)))
    assert torch.equal(simulation.bloch(circuit, torch.zeros(2, 0)), torch.full((2, 8), 1 / 8))


def test_a_wrong_number_of_angles_is_named():
    with pytest.raises(ValueError, match=r"angles=\(2, 4\) is not allowed; allowed: a last axis of 3"):
        simulation.bloch(circuits.h_ry(3), torch.zeros(2, 4))
