"""The three gradients of a circuit, exact and from samples."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_circuits import inputs, own_circuits
from torch.autograd.gradcheck import GradcheckError

from qkdlib import Circuit, circuits
from qkdlib.backends.samplers import Multinomial
from qkdlib.circuits import Gate, GateList, product, simulation, state_preparation

EXACT = ("autograd", "parameter_shift")


def draw(*shape: int, dtype=torch.float64, seed: int = 0) -> torch.Tensor:
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return ((values * 2 - 1) * 3).to(dtype)


def mixed_columns(qubits: int = 3) -> GateList:
    """A circuit with every gate, two angles per wire and angle places that do not follow the wires."""
    gates = [Gate("h", (wire,)) for wire in range(qubits)]
    gates += [Gate("rz", (wire,), angle=wire) for wire in range(qubits)]
    gates += [Gate("h", (wire,)) for wire in range(qubits)]
    gates += [Gate("ry", (wire,), angle=2 * qubits - 1 - wire) for wire in range(qubits)]
    return GateList("mixed", qubits, tuple(gates))


CIRCUITS = {"h_ry": circuits.build("h_ry", 3), "mixed": mixed_columns()}


def gradient(circuit: GateList, angles: torch.Tensor, weights: torch.Tensor, which: str) -> torch.Tensor:
    """The gradient of a weighted sum of outcome probabilities."""
    angles = angles.clone().requires_grad_()
    (simulation.probabilities(circuit, angles, which) * weights).sum().backward()
    return angles.grad


def finite_difference(circuit: GateList, angles: torch.Tensor, weights: torch.Tensor, step: float = 1e-5):
    result = torch.empty_like(angles)
    for place in np.ndindex(*angles.shape):
        values = []
        for sign in (1, -1):
            moved = angles.clone()
            moved[place] += sign * step
            values.append((product.probabilities(circuit, moved) * weights).sum())
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
    circuit, angles = mixed_columns(2), draw(2, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda theta: simulation.probabilities(circuit, theta, which), (angles,))


def test_gradcheck_refuses_the_published_shift():
    circuit, angles = mixed_columns(2), draw(2, 4).requires_grad_()
    with pytest.raises(GradcheckError):
        torch.autograd.gradcheck(lambda theta: simulation.probabilities(circuit, theta, "published_shift"), (angles,))


@pytest.mark.parametrize("which", ["parameter_shift", "published_shift"])
def test_way_of_the_gradient_leaves_probabilities_as_they_are(which):
    circuit, angles = CIRCUITS["mixed"], draw(4, 6)
    assert torch.equal(simulation.probabilities(circuit, angles, which), product.probabilities(circuit, angles))


@pytest.mark.parametrize("which", ["autograd", "parameter_shift", "published_shift"])
def test_seed_and_batch_axes_are_independent(which):
    circuit, angles, weights = CIRCUITS["mixed"], draw(2, 3, 6), draw(2, 3, 8, seed=1)
    together = gradient(circuit, angles, weights, which)
    for seed, row in np.ndindex(2, 3):
        alone = gradient(circuit, angles[seed, row], weights[seed, row], which)
        torch.testing.assert_close(together[seed, row], alone, atol=1e-12, rtol=0)


@settings(max_examples=30, database=None)
@given(angles=st.lists(st.floats(-100, 100), min_size=6, max_size=6))
def test_probabilities_are_probabilities(angles):
    found = product.probabilities(CIRCUITS["mixed"], torch.tensor(angles, dtype=torch.float64))
    assert found.min() >= -1e-15
    assert found.sum().item() == pytest.approx(1, abs=1e-12)


# Samples

SHOTS = 5000


@pytest.mark.parametrize("which", ["parameter_shift", "published_shift"])
def test_sampled_gradient_is_unbiased(which):
    circuit, angles, weights, draws = CIRCUITS["mixed"], draw(1, 1, 6), draw(8, seed=1), 2000
    exact = gradient(circuit, angles, weights, which)
    many = angles.expand(1, draws, -1).clone().requires_grad_()
    sampled = simulation.probabilities(circuit, many, which, Multinomial(20, [0], "training shots"))
    (sampled * weights).sum().backward()
    error = many.grad[0].std(0) / math.sqrt(draws)
    assert error.min() > 0  # it is sampled
    assert ((many.grad[0].mean(0) - exact[0, 0]) / error).abs().max() < 4.5
    assert (exact[0, 0] / error).abs().max() > 20  # far from zero, so that a wrong gradient would be seen


def test_outcome_and_shifted_circuits_are_samples_of_their_own():
    circuit, angles = circuits.build("h_ry", 2), torch.zeros(1, 1, 2, requires_grad=True)
    seen = []

    def sample(circuit, angles):
        seen.append(Multinomial(SHOTS, [0], "training shots")(circuit, angles))
        return seen[-1]

    found = simulation.probabilities(circuit, angles, "published_shift", sample)
    (sampled,) = seen  # one call for all of them: (1, 1, 1 + 2 A, 2^Q)
    assert sampled.shape == (1, 1, 5, 4)
    assert torch.equal(found, sampled[:, :, 0])
    jacobian = torch.autograd.grad(found[0, 0, 0], angles)[0][0, 0]
    torch.testing.assert_close(jacobian, sampled[0, 0, 1:3, 0] - sampled[0, 0, 3:5, 0])


def test_outcomes_without_a_gradient_are_sampled_once():
    seen = []
    with torch.inference_mode():
        found = simulation.probabilities(
            circuits.build("h_ry", 3), draw(2, 4, 3), "published_shift",
            lambda circuit, angles: seen.append(angles.shape) or product.probabilities(circuit, angles),
        )  # fmt: skip
    assert found.shape == (2, 4, 8) and seen == [(2, 4, 3)]


def test_autograd_through_samples_is_refused():
    sample = Multinomial(SHOTS, [0], "training shots")
    with pytest.raises(ValueError, match="^gradient='autograd'.*where outcomes are sampled"):
        simulation.probabilities(circuits.build("h_ry", 3), draw(1, 1, 3), "autograd", sample)


# Circuits of one's own


@settings(max_examples=25)
@given(circuit=own_circuits(most_qubits=3))
def test_parameter_shift_of_any_circuit_is_autograd(circuit):
    listed, binding = circuits.compiled(circuit)
    x, w = inputs(seeds=1, images=2)
    weights = draw(1, 2, 2**circuit.qubits, seed=1)
    found = []
    for which in ("autograd", "parameter_shift"):
        given = x.clone().requires_grad_(), w.clone().requires_grad_()
        (simulation.probabilities(listed, binding.angles(*given), which) * weights).sum().backward()
        found.append([each.grad for each in given])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=0)


def test_only_controlled_rotations_take_four_circuits():
    angles = {
        name: simulation.shifted_circuits(circuits.compiled(Circuit(2, [f"{name}(w[0]) {wires}"]))[0])
        for name, wires in (("rx", 0), ("p", 1), ("cp", "0 1"), ("rzz", "0 1"), ("crx", "0 1"), ("crz", "1 0"))
    }
    assert angles == {"rx": 3, "p": 3, "cp": 3, "rzz": 3, "crx": 5, "crz": 5}


@settings(max_examples=20)
@given(circuit=own_circuits(most_qubits=3, most_gates=8), product_state=st.booleans())
def test_any_circuit_after_an_encoder_is_the_joined_circuit(circuit, product_state):
    """The weights' circuit behind an encoder's state, and both as one circuit from |0...0>."""
    listed, binding = circuits.compiled(circuit)
    x, w = inputs(seeds=2, images=3)
    angles = binding.angles(x, w)[:, 0]  # (S, A)
    if product_state:
        encoder = circuits.qubit_encoding(circuit.qubits)
        encoding = draw(2, 3, circuit.qubits)
        state = product.rotate(encoder, encoding)
    else:
        encoder = circuits.amplitude_encoding(circuit.qubits)
        state = torch.nn.functional.normalize(draw(2, 3, 2**circuit.qubits), dim=-1)
        encoding = state_preparation.angles(state)
    whole = circuits.join(encoder, listed)
    joined = torch.cat([encoding, angles[:, None].expand(-1, 3, -1)], -1)
    found = simulation.after_encoding(listed, state, angles)
    torch.testing.assert_close(found, simulation.exact(whole, joined), atol=1e-10, rtol=0)
