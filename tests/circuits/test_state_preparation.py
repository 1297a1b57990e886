"""Amplitude encoding as a circuit: the state that Qiskit reaches with its angles, its size and its gradient."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit.library import StatePreparation
from qiskit.quantum_info import Statevector

from qkdlib import circuits
from qkdlib.circuits import state_preparation

QUBITS = range(1, 9)


def random_state(qubits: int, seed: int = 0, zeros: float = 0.0) -> np.ndarray:
    """Amplitudes of both signs, not normalised; some of them, and with them whole branches, are zero."""
    rng = np.random.default_rng([qubits, seed])
    state = rng.normal(size=2**qubits)
    state[rng.random(2**qubits) < zeros] = 0
    state[rng.integers(2**qubits)] = -1.5  # never all of them
    return state


def prepared(amplitudes: np.ndarray, dtype=torch.float64) -> np.ndarray:
    """The state of the library's circuit, run by Qiskit."""
    angles = state_preparation.angles(torch.tensor(amplitudes, dtype=dtype))
    assert torch.isfinite(angles).all()
    circuit = circuits.amplitude_encoding(int(math.log2(len(amplitudes))))
    return Statevector(circuits.to_qiskit(circuit, measure=False).assign_parameters(angles.tolist())).data


def check(amplitudes: np.ndarray, tolerance: float = 1e-9, **options) -> None:
    """The circuit's state is the normalised vector, up to a global sign."""
    expected = amplitudes / np.linalg.norm(amplitudes)
    found = prepared(amplitudes, **options)
    sign = np.sign((expected @ found).real)
    np.testing.assert_allclose(sign * found, expected, atol=tolerance)


# States


@pytest.mark.parametrize("qubits", QUBITS)
def test_circuit_prepares_random_states_of_both_signs(qubits):
    for seed in range(3):
        state = random_state(qubits, seed)
        assert qubits == 1 or (state.min() < 0 < state.max())
        check(state)


@pytest.mark.parametrize("qubits", QUBITS)
@pytest.mark.parametrize("zeros", [0.3, 0.8])
def test_circuit_prepares_states_with_zeros(qubits, zeros):
    check(random_state(qubits, seed=1, zeros=zeros))


@pytest.mark.parametrize("qubits", range(1, 5))
@pytest.mark.parametrize("sign", [1, -1])
def test_circuit_prepares_every_basis_state(qubits, sign):
    for place in range(2**qubits):
        check(sign * 2.5 * np.eye(2**qubits)[place])


@pytest.mark.parametrize("qubits", range(2, 6))
def test_circuit_prepares_states_of_which_one_half_or_quarter_is_empty(qubits):
    size = 2**qubits
    for empty in (slice(0, size // 2), slice(size // 2, size), slice(0, None, 2), slice(size // 4, size // 2)):
        state = random_state(qubits, seed=2)
        state[empty] = 0
        if state.any():
            check(state)


@pytest.mark.parametrize("qubits", QUBITS)
def test_vector_of_zeros_becomes_the_ground_state(qubits):
    found = prepared(np.zeros(2**qubits))
    assert abs(found[0]) == pytest.approx(1, abs=1e-12) and np.abs(found[1:]).max() < 1e-12


@settings(max_examples=30, database=None, derandomize=True)
@given(st.data(), st.integers(1, 5))
def test_circuit_prepares_any_state(data, qubits):
    values = st.one_of(st.floats(-1, 1), st.just(0.0), st.just(-0.0))
    state = np.array(data.draw(st.lists(values, min_size=2**qubits, max_size=2**qubits)))
    if np.linalg.norm(state) > 1e-3:
        check(state)


@pytest.mark.parametrize("qubits", [1, 3, 6])
def test_state_is_that_of_qiskits_own_preparation(qubits):
    state = random_state(qubits, seed=3, zeros=0.2)
    quantum = QuantumCircuit(qubits)
    quantum.append(StatePreparation(state / np.linalg.norm(state)), range(qubits))
    theirs, ours = Statevector(quantum).data, prepared(state)
    phase = np.vdot(theirs, ours)
    assert abs(phase) == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(ours, phase * theirs, atol=1e-9)


def test_wire_0_is_the_least_significant_digit():
    state = np.array([0.0, 3.0, 0, 0, 1.0, 0, 0, 0])  # 3 |001> + |100>, which in reverse would be 3 |100> + |001>
    found = Statevector(np.abs(prepared(state)))
    assert found.probabilities([0]) == pytest.approx([0.1, 0.9])  # wire 0
    assert found.probabilities([1]) == pytest.approx([1, 0])
    assert found.probabilities([2]) == pytest.approx([0.9, 0.1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", [1e-9, 1e-3, 1e3, 1e9])
def test_length_of_the_vector_does_not_matter(length, dtype):
    for qubits in (1, 4, 7):
        state = random_state(qubits)
        found = state_preparation.angles(torch.tensor(length * state, dtype=dtype))
        expected = state_preparation.angles(torch.tensor(state, dtype=dtype))
        torch.testing.assert_close(found, expected, atol=2e-5 if dtype is torch.float32 else 1e-11, rtol=0)


@pytest.mark.parametrize("length", [1e-25, 1e-16, 1e20, 1e25])
def test_not_even_a_tiny_or_huge_length_matters_in_32_bits(length):
    check(length * np.array([1.0, -2.0, 3.0, 4.0]), 1e-5, dtype=torch.float32)


def test_32_bits_are_enough_for_eight_qubits():
    check(random_state(8, seed=4), 1e-5, dtype=torch.float32)


def test_each_row_has_the_angles_that_it_has_alone():
    rows = torch.tensor(np.stack([random_state(4, seed, zeros=0.3) for seed in range(6)])).view(2, 3, 16)
    found = state_preparation.angles(rows)
    assert found.shape == (2, 3, 15)
    for place in np.ndindex(2, 3):
        torch.testing.assert_close(found[place], state_preparation.angles(rows[place]), atol=1e-14, rtol=0)


# Size


@pytest.mark.parametrize("qubits", QUBITS)
def test_circuit_has_an_angle_less_than_amplitudes_and_a_cnot_less_than_angles(qubits):
    circuit = circuits.amplitude_encoding(qubits)
    assert circuit.angles == 2**qubits - 1 == state_preparation.angles(torch.ones(2**qubits)).shape[-1]
    assert sorted(gate.angle for gate in circuit.gates if gate.angle is not None) == list(range(2**qubits - 1))
    counts = circuits.to_qiskit(circuit, measure=False).count_ops()
    assert counts.get("cx", 0) == 2**qubits - 2
    assert counts["ry"] == 1 and counts.get("rz", 0) == 2**qubits - 2
    assert counts.get("sx", 0) == counts.get("sxdg", 0) == qubits - 1
    assert circuit.entangles == (qubits > 1)


# Gradient


@pytest.mark.parametrize("qubits", range(1, 5))
def test_gradient_is_that_of_finite_differences(qubits):
    rows = torch.tensor(np.stack([random_state(qubits, seed) for seed in (5, 6)]), requires_grad=True)
    assert torch.autograd.gradcheck(state_preparation.angles, (rows,), atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("qubits", [1, 2, 4])
def test_gradient_is_finite_where_halves_are_empty(qubits, dtype):
    size = 2**qubits
    rows = [np.zeros(size), *np.eye(size), *-np.eye(size), np.repeat([1.0, 0], size // 2), np.tile([0, 2.0], size // 2)]
    rows += [random_state(qubits, seed, zeros=0.7) for seed in range(4)]
    states = torch.tensor(np.stack(rows), dtype=dtype, requires_grad=True)
    weights = torch.linspace(1, 2, size - 1, dtype=dtype)  # so that no two angles cancel
    (state_preparation.angles(states) * weights).sum().backward()
    assert torch.isfinite(states.grad).all()
    assert (states.grad[0] == 0).all()  # of a vector without direction
    assert (states.grad[-4:] != 0).any(-1).all()
