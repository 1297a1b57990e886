"""Product states: spinors, their products and their expectations are those of Qiskit's whole statevectors."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import SparsePauliOp, Statevector

from qkdlib import circuits
from qkdlib.circuits import ROTATIONS, Circuit, Gate, product, pure


def rotations(qubits: int, columns) -> Circuit:
    """One rotation on every wire for each column."""
    names = [name for name in columns for _ in range(qubits)]
    return Circuit("rotations", qubits, tuple(Gate(name, (j % qubits,), j) for j, name in enumerate(names)))


def draw_angles(*shape: int, seed: int = 0) -> torch.Tensor:
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 8 * values - 4


def in_qiskit(circuit: Circuit, angles: torch.Tensor) -> Statevector:
    """The state after the circuit on |0...0>, of angles (A,)."""
    return Statevector(circuits.to_qiskit(circuit, measure=False).assign_parameters(angles.tolist()))


def expected_z(state: Statevector) -> list[float]:
    """<Z> on each wire."""
    wires = range(state.num_qubits)
    return [state.expectation_value(SparsePauliOp("Z"), [wire]).real for wire in wires]


COLUMNS = st.lists(st.sampled_from(ROTATIONS), min_size=1, max_size=6)


@settings(deadline=None, max_examples=30, database=None)
@given(
    qubits=st.integers(1, 5), columns=COLUMNS, lead=st.sampled_from([(1, 1), (2, 1), (2, 3)]), seed=st.integers(0, 99)
)
def test_amplitudes_of_rotated_wires_are_qiskits(qubits, columns, lead, seed):
    circuit = rotations(qubits, columns)
    angles = draw_angles(*lead, circuit.angles, seed=seed)
    spinors = product.rotate(circuit, angles)
    assert spinors.shape == (2, 2, *lead, qubits)
    found = torch.view_as_complex(product.amplitudes(spinors))
    for place in np.ndindex(*lead):
        np.testing.assert_allclose(found[place], in_qiskit(circuit, angles[place]).data, atol=1e-12)


@pytest.mark.parametrize(
    "gates",
    [(Gate("h", (0,)), Gate("h", (1,))), (Gate("rx", (0,), 0), Gate("rx", (1,), 1), Gate("ry", (0,), 2))],
    ids=["no rotation", "half a column"],
)
def test_other_circuits_are_refused(gates):
    circuit = Circuit("other", 2, gates)
    with pytest.raises(ValueError, match="^circuit='other'.*columns of one rotation on every wire"):
        product.rotate(circuit, torch.zeros(1, 1, circuit.angles))


@pytest.mark.parametrize("qubits", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("ansatz", circuits.CIRCUITS)
@pytest.mark.parametrize("layers", [1, 3])
def test_expectations_are_those_of_the_whole_statevector(qubits, ansatz, layers):
    encoding, ansatz = rotations(qubits, ("rx", "ry", "rz")), circuits.build(ansatz, qubits, layers)
    angles, theta = draw_angles(2, 2, encoding.angles).float(), draw_angles(2, ansatz.angles, seed=1).float()
    spinors = product.rotate(encoding, angles)
    found = product.expectations(spinors, pure.wire_matrices(ansatz, theta))
    assert found.shape == (2, 2, qubits)
    for seed, image in np.ndindex(2, 2):
        turns = circuits.to_qiskit(ansatz, measure=False).assign_parameters(theta[seed].tolist())
        expected = expected_z(in_qiskit(encoding, angles[seed, image]).evolve(turns))
        np.testing.assert_allclose(found[seed, image], expected, atol=1e-5)


@settings(deadline=None, max_examples=30, database=None)
@given(columns=COLUMNS, seed=st.integers(0, 2**31))
def test_spinors_have_norm_1_and_expectations_lie_in_plus_minus_1(columns, seed):
    spinors = product.rotate(rotations(3, columns), draw_angles(2, 3, 3 * len(columns), seed=seed))
    torch.testing.assert_close(spinors.square().sum((0, 1)), torch.ones(2, 3, 3).double())
    same = torch.eye(2, dtype=torch.complex128).expand(2, 3, 2, 2)
    found = product.expectations(spinors, same)
    assert found.abs().max() <= 1 + 1e-12
    torch.testing.assert_close(found, (spinors[0] ** 2 - spinors[1] ** 2).sum(0))  # |a|^2 - |b|^2


def test_one_wire_turned_over_is_the_outcome_of_its_digit():
    for turned in range(3):
        angles = torch.zeros(1, 1, 3)
        angles[..., turned] = math.pi
        spinors = product.rotate(rotations(3, ("ry",)), angles)
        found = product.amplitudes(spinors)[0, 0].square().sum(1)
        assert found.argmax().item() == 2**turned
        assert found.max().item() == pytest.approx(1, abs=1e-6)


def test_gradients_pass_gradcheck():
    circuit, angles = rotations(2, ("rx", "ry", "rz", "rx")), draw_angles(2, 2, 8).requires_grad_()
    matrices = draw_angles(2, 2, 2, 2, 2, seed=1).requires_grad_()  # of wires, not unitary, real and imaginary part

    def expectations(turns: torch.Tensor, parts: torch.Tensor) -> torch.Tensor:
        return product.expectations(product.rotate(circuit, turns), torch.view_as_complex(parts))

    def amplitudes(turns: torch.Tensor) -> torch.Tensor:
        return product.amplitudes(product.rotate(circuit, turns))

    assert torch.autograd.gradcheck(expectations, (angles, matrices))
    assert torch.autograd.gradcheck(amplitudes, angles)
