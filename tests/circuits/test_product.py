"""Product states: outcome probabilities by Bloch vectors, and spinors, are those of the closed form, of TorchQuantum
and of Qiskit's whole statevectors."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector

from qkdlib import circuits
from qkdlib.circuits import Gate, GateList, gatelist, product, simulation
from qkdlib.experiment_checks import RINGS


def rotations(qubits: int, columns) -> GateList:
    """One rotation on every wire for each column."""
    names = [name for name in columns for _ in range(qubits)]
    return GateList("rotations", qubits, tuple(Gate(name, (j % qubits,), j) for j, name in enumerate(names)))


def draw_angles(*shape: int, seed: int = 0) -> torch.Tensor:
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 8 * values - 4


def in_qiskit(circuit: GateList, angles: torch.Tensor) -> Statevector:
    """The state after the circuit on |0...0>, of angles (A,)."""
    return Statevector(circuits.to_qiskit(circuit, measure=False).assign_parameters(angles.tolist()))


def expected_z(state: Statevector) -> list[float]:
    """<Z> on each wire."""
    wires = range(state.num_qubits)
    return [state.expectation_value(SparsePauliOp("Z"), [wire]).real for wire in wires]


COLUMNS = st.lists(st.sampled_from(gatelist.ROTATIONS), min_size=1, max_size=6)


@settings(max_examples=30, database=None)
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
    circuit = GateList("other", 2, gates)
    with pytest.raises(ValueError, match="^circuit='other'.*columns of one rotation on every wire"):
        product.rotate(circuit, torch.zeros(1, 1, circuit.angles))


@pytest.mark.parametrize("qubits", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("ansatz", RINGS)
@pytest.mark.parametrize("layers", [1, 3])
def test_expectations_are_those_of_the_whole_statevector(qubits, ansatz, layers):
    encoding, ansatz = rotations(qubits, ("rx", "ry", "rz")), circuits.build(ansatz, qubits, layers)
    angles, theta = draw_angles(2, 2, encoding.angles).float(), draw_angles(2, ansatz.angles, seed=1).float()
    found = simulation.wires_after_encoding(ansatz, product.rotate(encoding, angles), theta)
    assert found.shape == (2, 2, qubits)
    for seed, image in np.ndindex(2, 2):
        turns = circuits.to_qiskit(ansatz, measure=False).assign_parameters(theta[seed].tolist())
        expected = expected_z(in_qiskit(encoding, angles[seed, image]).evolve(turns))
        np.testing.assert_allclose(found[seed, image], expected, atol=1e-5)


@settings(max_examples=30, database=None)
@given(
    qubits=st.integers(1, 4), columns=st.lists(st.sampled_from(["h", *gatelist.ROTATIONS]), max_size=5),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_expectations_of_real_amplitudes_are_qiskits(qubits, columns, seed):
    gates, count = [], 0
    for name in columns:
        for wire in range(qubits):
            gates.append(Gate(name, (wire,), None if name == "h" else count))
            count += name != "h"
    ansatz = GateList("columns", qubits, tuple(gates))
    theta, values = draw_angles(2, count, seed=seed), draw_angles(2, 3, 2**qubits, seed=seed + 1)
    amplitudes = values / values.norm(dim=-1, keepdim=True)
    found = simulation.wires_after_encoding(ansatz, amplitudes, theta)
    for place in np.ndindex(2, 3):
        turns = circuits.to_qiskit(ansatz, measure=False).assign_parameters(theta[place[0]].tolist())
        expected = expected_z(Statevector(amplitudes[place].numpy()).evolve(turns))
        np.testing.assert_allclose(found[place], expected, atol=1e-12)


@settings(max_examples=30, database=None)
@given(columns=COLUMNS, seed=st.integers(0, 2**31))
def test_spinors_have_norm_1_and_bloch_vectors_too(columns, seed):
    spinors = product.rotate(rotations(3, columns), draw_angles(2, 3, 3 * len(columns), seed=seed))
    torch.testing.assert_close(spinors.square().sum((0, 1)), torch.ones(2, 3, 3).double())
    vectors = product.bloch(spinors)
    torch.testing.assert_close(vectors.square().sum(0), torch.ones(2, 3, 3).double())
    torch.testing.assert_close(vectors[2], (spinors[0] ** 2 - spinors[1] ** 2).sum(0))  # |a|^2 - |b|^2


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
    theta = draw_angles(2, 8, seed=1).requires_grad_()

    def expectations(turns: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        return simulation.wires_after_encoding(circuit, product.rotate(circuit, turns), theta)

    def amplitudes(turns: torch.Tensor) -> torch.Tensor:
        return product.amplitudes(product.rotate(circuit, turns))

    assert torch.autograd.gradcheck(expectations, (angles, theta))
    assert torch.autograd.gradcheck(amplitudes, angles)


# Outcome probabilities by Bloch vectors


def random_angles(rows: int, count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1000 * rows + count)
    return (torch.rand(rows, count, generator=generator) * 2 - 1) * 2 * math.pi


def closed_form(angles: np.ndarray) -> np.ndarray:
    """p(i) = prod_k (1 + sin theta_k) / 2 where digit k of i is 1, (1 - sin theta_k) / 2 where it is 0."""
    rows, qubits = angles.shape
    result = np.ones((rows, 2**qubits))
    for outcome in range(2**qubits):
        for wire in range(qubits):
            sign = 1 if outcome >> wire & 1 else -1
            result[:, outcome] *= (1 + sign * np.sin(angles[:, wire])) / 2
    return result


def hand_built_qiskit(angles: np.ndarray) -> np.ndarray:
    """The published circuit in Qiskit, written out here, so that it shares nothing with `to_qiskit`."""
    rows = []
    for row in angles:
        quantum = QuantumCircuit(len(row))
        for wire, theta in enumerate(row):
            quantum.h(wire)
            quantum.ry(float(theta), wire)
        rows.append(Statevector(quantum).probabilities())
    return np.stack(rows)


def translated_qiskit(circuit: GateList, angles: np.ndarray) -> np.ndarray:
    quantum = circuits.to_qiskit(circuit, measure=False)
    return np.stack([Statevector(quantum.assign_parameters(row)).probabilities() for row in angles])


@pytest.mark.parametrize("qubits", [2, 3, 4, 5])
@pytest.mark.parametrize("rows", [1, 2, 257])
def test_four_ways_to_the_outcome_probabilities_agree(qubits, rows):
    circuit, angles = circuits.build("h_ry", qubits), random_angles(rows, qubits)
    expected = closed_form(angles.double().numpy())
    found = {
        "bloch": product.probabilities(circuit, angles).numpy(),
        "torchquantum": circuits.to_torchquantum(circuit)(angles).numpy(),
        "qiskit by hand": hand_built_qiskit(angles.numpy()),
        "to_qiskit": translated_qiskit(circuit, angles.double().numpy()),
    }
    for way, probabilities in found.items():
        np.testing.assert_allclose(probabilities, expected, atol=1e-5, rtol=0, err_msg=way)


@pytest.mark.parametrize("qubits", [2, 3, 4])
@pytest.mark.parametrize("turned", [0, 1])
def test_one_wire_in_state_one_is_the_outcome_of_its_digit(qubits, turned):
    # RY(pi/2) after H gives |1>, RY(-pi/2) gives |0>: a reversed bit order would move the 1 elsewhere.
    circuit, angles = circuits.build("h_ry", qubits), torch.full((1, qubits), -math.pi / 2)
    angles[0, turned] = math.pi / 2
    expected = np.zeros((1, 2**qubits))
    expected[0, 2**turned] = 1
    np.testing.assert_allclose(product.probabilities(circuit, angles), expected, atol=1e-5)
    np.testing.assert_allclose(circuits.to_torchquantum(circuit)(angles), expected, atol=1e-5)
    np.testing.assert_allclose(translated_qiskit(circuit, angles.numpy()), expected, atol=1e-5)


def test_angle_places_need_not_follow_the_wires():
    # Wire 0 takes angle 2: only it is turned to |1>.
    gates = tuple(Gate("ry", (wire,), angle=2 - wire) for wire in range(3))
    circuit, angles = GateList("backwards", 3, gates), torch.tensor([[0.0, 0.0, math.pi]])
    for probabilities in (
        product.probabilities(circuit, angles),
        circuits.to_torchquantum(circuit)(angles),
        torch.from_numpy(translated_qiskit(circuit, angles.numpy())),
    ):
        assert probabilities.argmax().item() == 1
        assert probabilities.max().item() == pytest.approx(1, abs=1e-5)


@st.composite
def mixed_circuits(draw):
    """A circuit of columns of h, rx, ry, rz, each column in any order of wires, with shuffled angle places."""
    qubits = draw(st.integers(1, 4))
    names = draw(st.lists(st.sampled_from(("h", *gatelist.ROTATIONS)), min_size=1, max_size=6))
    places = draw(st.permutations(range(qubits * sum(name in gatelist.ROTATIONS for name in names))))
    gates, taken = [], iter(places)
    for name in names:
        for wire in draw(st.permutations(range(qubits))):
            gates.append(Gate(name, (wire,), None if name == "h" else next(taken)))
    return GateList("mixed", qubits, tuple(gates))


@settings(max_examples=40, database=None)
@given(circuit=mixed_circuits(), seed=st.integers(0, 2**31))
def test_bloch_path_of_any_mixed_circuit_is_qiskits(circuit, seed):
    angles = np.random.default_rng(seed).uniform(-7, 7, (3, circuit.angles))
    found = product.probabilities(circuit, torch.from_numpy(angles)).numpy()
    np.testing.assert_allclose(found, translated_qiskit(circuit, angles), atol=1e-10)


@settings(max_examples=15, database=None)
@given(circuit=mixed_circuits(), seed=st.integers(0, 2**31))
def test_bloch_path_of_any_mixed_circuit_is_torchquantums(circuit, seed):
    angles = torch.from_numpy(np.random.default_rng(seed).uniform(-7, 7, (3, circuit.angles)).astype(np.float32))
    expected = circuits.to_torchquantum(circuit)(angles)
    torch.testing.assert_close(product.probabilities(circuit, angles), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "gates",
    [
        (Gate("h", (0,)),),
        (Gate("h", (0,)), Gate("ry", (0,), 0), Gate("ry", (1,), 1), Gate("h", (1,))),
        (Gate("ry", (0,), 0), Gate("rx", (1,), 1)),
        (Gate("h", (0,)), Gate("h", (1,)), Gate("h", (0, 1))),
    ],
    ids=["a wire without gates", "another order", "another axis", "a gate on two wires"],
)
def test_circuit_whose_wires_differ_is_refused(gates):
    with pytest.raises(ValueError, match="'uneven'.*wires all see the same"):
        product.probabilities(GateList("uneven", 2, gates), torch.zeros(1, 2))


def test_angles_of_torchquantum_circuit_get_the_bloch_paths_gradient():
    circuit = circuits.build("h_ry", 3)
    weights, gradients = torch.linspace(-1, 2, 8), []
    for compute in (circuits.to_torchquantum(circuit), lambda angles: product.probabilities(circuit, angles)):
        angles = random_angles(5, 3).requires_grad_()
        (compute(angles) * weights).sum().backward()
        gradients.append(angles.grad)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=0)


@settings(max_examples=30, database=None)
@given(z=st.lists(st.floats(-1, 1), min_size=1, max_size=6))
def test_product_is_the_kronecker_product_of_the_wires(z):
    expected = np.ones(1)
    for value in z:
        expected = np.kron([(1 + value) / 2, (1 - value) / 2], expected)  # a later wire is more significant
    found = product.outcomes(torch.tensor(z, dtype=torch.float64))
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_circuit_without_angles_is_uniform():
    circuit = GateList("h", 3, tuple(Gate("h", (wire,)) for wire in range(3)))
    assert torch.equal(product.probabilities(circuit, torch.zeros(2, 0)), torch.full((2, 8), 1 / 8))


def test_a_wrong_number_of_angles_is_named():
    with pytest.raises(ValueError, match=r"angles=\(2, 4\) is not allowed; allowed: a last axis of 3"):
        product.probabilities(circuits.build("h_ry", 3), torch.zeros(2, 4))
