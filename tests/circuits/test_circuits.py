"""Circuits: Bloch path, TorchQuantum, Qiskit and the closed form give the same outcome probabilities."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector

from qkdlib import circuits
from qkdlib.circuits import Circuit, Gate, simulation


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


def translated_qiskit(circuit: Circuit, angles: np.ndarray) -> np.ndarray:
    quantum = circuits.to_qiskit(circuit, measure=False)
    return np.stack([Statevector(quantum.assign_parameters(row)).probabilities() for row in angles])


@pytest.mark.parametrize("qubits", [2, 3, 4, 5])
@pytest.mark.parametrize("rows", [1, 2, 257])
def test_four_ways_to_the_outcome_probabilities_agree(qubits, rows):
    circuit, angles = circuits.build("h_ry", qubits), random_angles(rows, qubits)
    expected = closed_form(angles.double().numpy())
    found = {
        "bloch": simulation.bloch(circuit, angles).numpy(),
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
    np.testing.assert_allclose(simulation.bloch(circuit, angles), expected, atol=1e-5)
    np.testing.assert_allclose(circuits.to_torchquantum(circuit)(angles), expected, atol=1e-5)
    np.testing.assert_allclose(translated_qiskit(circuit, angles.numpy()), expected, atol=1e-5)


def test_angle_places_need_not_follow_the_wires():
    # Wire 0 takes angle 2: only it is turned to |1>.
    gates = tuple(Gate("ry", (wire,), angle=2 - wire) for wire in range(3))
    circuit, angles = Circuit("backwards", 3, gates), torch.tensor([[0.0, 0.0, math.pi]])
    for probabilities in (
        simulation.bloch(circuit, angles),
        circuits.to_torchquantum(circuit)(angles),
        torch.from_numpy(translated_qiskit(circuit, angles.numpy())),
    ):
        assert probabilities.argmax().item() == 1
        assert probabilities.max().item() == pytest.approx(1, abs=1e-5)


@settings(deadline=None, max_examples=20, database=None)
@given(qubits=st.integers(1, 5), lead=st.lists(st.integers(1, 3), max_size=2))
def test_reverse_wires_is_its_own_inverse(qubits, lead):
    outcomes = torch.arange(math.prod(lead) * 2**qubits).reshape(*lead, 2**qubits)
    assert torch.equal(circuits.reverse_wires(circuits.reverse_wires(outcomes, qubits), qubits), outcomes)


@pytest.mark.parametrize("qubits", [1, 2, 3, 5])
def test_reverse_wires_writes_the_binary_digits_backwards(qubits):
    expected = [int(f"{outcome:0{qubits}b}"[::-1], 2) for outcome in range(2**qubits)]
    assert circuits.reverse_wires(torch.arange(2**qubits), qubits).tolist() == expected


@st.composite
def mixed_circuits(draw):
    """A circuit of columns of h, rx, ry, rz, each column in any order of wires, with shuffled angle places."""
    qubits = draw(st.integers(1, 4))
    names = draw(st.lists(st.sampled_from(("h", *circuits.ROTATIONS)), min_size=1, max_size=6))
    places = draw(st.permutations(range(qubits * sum(name in circuits.ROTATIONS for name in names))))
    gates, taken = [], iter(places)
    for name in names:
        for wire in draw(st.permutations(range(qubits))):
            gates.append(Gate(name, (wire,), None if name == "h" else next(taken)))
    return Circuit("mixed", qubits, tuple(gates))


@settings(deadline=None, max_examples=40, database=None)
@given(circuit=mixed_circuits(), seed=st.integers(0, 2**31))
def test_bloch_path_of_any_mixed_circuit_is_qiskits(circuit, seed):
    angles = np.random.default_rng(seed).uniform(-7, 7, (3, circuit.angles))
    found = simulation.bloch(circuit, torch.from_numpy(angles)).numpy()
    np.testing.assert_allclose(found, translated_qiskit(circuit, angles), atol=1e-10)


@settings(deadline=None, max_examples=15, database=None)
@given(circuit=mixed_circuits(), seed=st.integers(0, 2**31))
def test_bloch_path_of_any_mixed_circuit_is_torchquantums(circuit, seed):
    angles = torch.from_numpy(np.random.default_rng(seed).uniform(-7, 7, (3, circuit.angles)).astype(np.float32))
    expected = circuits.to_torchquantum(circuit)(angles)
    torch.testing.assert_close(simulation.bloch(circuit, angles), expected, atol=1e-5, rtol=0)


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
        simulation.bloch(Circuit("uneven", 2, gates), torch.zeros(1, 2))


def test_circuit_is_equal_to_its_like_after_its_columns_were_read():
    # Transpiled circuits are kept by circuit; a circuit that changed with use would be transpiled again and again.
    used, new = circuits.build("h_ry", 3), circuits.build("h_ry", 3)
    assert used.columns == [("h", None), ("ry", (0, 1, 2))]
    assert used.columns is used.columns
    assert used == new and hash(used) == hash(new)


def test_measured_circuit_has_one_measurement_per_wire():
    counted = circuits.to_qiskit(circuits.build("h_ry", 4)).count_ops()
    assert {name: counted[name] for name in ("h", "ry", "measure")} == {"h": 4, "ry": 4, "measure": 4}


def test_angles_of_torchquantum_circuit_get_the_bloch_paths_gradient():
    circuit = circuits.build("h_ry", 3)
    weights, gradients = torch.linspace(-1, 2, 8), []
    for compute in (circuits.to_torchquantum(circuit), lambda angles: simulation.bloch(circuit, angles)):
        angles = random_angles(5, 3).requires_grad_()
        (compute(angles) * weights).sum().backward()
        gradients.append(angles.grad)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("h_rz", 3), "ansatz"),
        (("h_ry", 0), "qubits"),
        (("h_ry", 3, 0), "layers"),
        (("h_ry", 3, 1.0), "layers"),
        (("rx_ry_rz", 3, 1, "chain"), "entangler"),
    ],
)
def test_unknown_circuit_is_refused(arguments, named):
    with pytest.raises(ValueError, match=f"^{named}=.*is not allowed; allowed: "):
        circuits.build(*arguments)


# Gate lists


def listed(circuit: Circuit) -> list[tuple]:
    return [(gate.name, *gate.wires, gate.angle) for gate in circuit.gates]


def test_gates_of_two_layers_of_rx_ry_rz_with_a_ring():
    assert listed(circuits.build("rx_ry_rz", 3, 2, "ring_cnot")) == [
        ("rx", 0, 0), ("rx", 1, 1), ("rx", 2, 2), ("ry", 0, 3), ("ry", 1, 4), ("ry", 2, 5),
        ("rz", 0, 6), ("rz", 1, 7), ("rz", 2, 8),
        ("cx", 0, 1, None), ("cx", 1, 2, None), ("cx", 2, 0, None),
        ("rx", 0, 9), ("rx", 1, 10), ("rx", 2, 11), ("ry", 0, 12), ("ry", 1, 13), ("ry", 2, 14),
        ("rz", 0, 15), ("rz", 1, 16), ("rz", 2, 17),
        ("cx", 0, 1, None), ("cx", 1, 2, None), ("cx", 2, 0, None),
    ]  # fmt: skip


def test_gates_of_two_layers_of_h_ry_with_a_ring():
    ring = [("cz", 0, 1, None), ("cz", 1, 2, None), ("cz", 2, 0, None)]
    assert listed(circuits.build("h_ry", 3, 2, "ring_cz")) == [
        ("h", 0, None), ("h", 1, None), ("h", 2, None),
        ("ry", 0, 0), ("ry", 1, 1), ("ry", 2, 2), *ring, ("ry", 0, 3), ("ry", 1, 4), ("ry", 2, 5), *ring,
    ]  # fmt: skip


@pytest.mark.parametrize("qubits", range(1, 11))
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_angles_are_counted_through_wires_and_layers(qubits, layers):
    for entangler in circuits.ENTANGLERS:
        for ansatz, columns in (("rx_ry_rz", 3), ("h_ry", 1)):
            circuit = circuits.build(ansatz, qubits, layers, entangler)
            places = [gate.angle for gate in circuit.gates if gate.angle is not None]
            assert places == list(range(circuit.angles)) == list(range(columns * qubits * layers))


@pytest.mark.parametrize(("entangler", "gate"), [("ring_cnot", "cx"), ("ring_cz", "cz")])
def test_ring_joins_each_wire_with_the_next_and_the_last_with_the_first(entangler, gate):
    assert circuits.ring(entangler, 1) == []
    assert circuits.ring(entangler, 2) == [Gate(gate, (0, 1))]  # not twice, which would undo it
    assert circuits.ring(entangler, 4) == [Gate(gate, wires) for wires in ((0, 1), (1, 2), (2, 3), (3, 0))]
    assert circuits.ring("none", 4) == []


def test_only_rings_entangle():
    entangling = {
        (entangler, qubits)
        for entangler in circuits.ENTANGLERS
        for qubits in (1, 2, 3)
        if circuits.build("rx_ry_rz", qubits, 2, entangler).entangles
    }
    assert entangling == {("ring_cnot", 2), ("ring_cnot", 3), ("ring_cz", 2), ("ring_cz", 3)}


def test_gates_of_the_encodings():
    assert listed(circuits.angle_encoding(2, 10)) == [
        ("rx", 0, 0), ("rx", 1, 1), ("ry", 0, 2), ("ry", 1, 3), ("rz", 0, 4), ("rz", 1, 5), ("rx", 0, 6), ("rx", 1, 7),
        ("rx", 0, 8), ("rx", 1, 9),  # the fifth layer turns as the first
    ]  # fmt: skip
    assert listed(circuits.qubit_encoding(3)) == [("ry", 0, 0), ("ry", 1, 1), ("ry", 2, 2)]
