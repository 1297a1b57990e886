"""Gate lists: their gates, wires and angles in order, circuits one after the other, and what a measurement sees."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import Operator

from qkdlib import circuits
from qkdlib.circuits import Gate, GateList, ansatze
from qkdlib.experiment_checks import ENTANGLERS


@settings(max_examples=20, database=None)
@given(qubits=st.integers(1, 5), lead=st.lists(st.integers(1, 3), max_size=2))
def test_reverse_wires_is_its_own_inverse(qubits, lead):
    outcomes = torch.arange(math.prod(lead) * 2**qubits).reshape(*lead, 2**qubits)
    assert torch.equal(circuits.reverse_wires(circuits.reverse_wires(outcomes, qubits), qubits), outcomes)


@pytest.mark.parametrize("qubits", [1, 2, 3, 5])
def test_reverse_wires_writes_the_binary_digits_backwards(qubits):
    expected = [int(f"{outcome:0{qubits}b}"[::-1], 2) for outcome in range(2**qubits)]
    assert circuits.reverse_wires(torch.arange(2**qubits), qubits).tolist() == expected


def test_circuit_is_equal_to_its_like_after_its_columns_were_read():
    # Transpiled circuits are kept by circuit; a circuit that changed with use would be transpiled again and again.
    used, new = circuits.build("h_ry", 3), circuits.build("h_ry", 3)
    assert used.columns == [("h", None), ("ry", (0, 1, 2))]
    assert used.columns is used.columns
    assert used == new and hash(used) == hash(new)


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


# Gates


def listed(circuit: GateList) -> list[tuple]:
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
    for entangler in ENTANGLERS:
        for ansatz, columns in (("rx_ry_rz", 3), ("h_ry", 1)):
            circuit = circuits.build(ansatz, qubits, layers, entangler)
            places = [gate.angle for gate in circuit.gates if gate.angle is not None]
            assert places == list(range(circuit.angles)) == list(range(columns * qubits * layers))


@pytest.mark.parametrize(("entangler", "gate"), [("ring_cnot", "cx"), ("ring_cz", "cz")])
def test_ring_joins_each_wire_with_the_next_and_the_last_with_the_first(entangler, gate):
    assert ansatze.ring(entangler, 1) == []
    assert ansatze.ring(entangler, 2) == [f"{gate} 0 1"]  # not twice, which would undo it
    assert ansatze.ring(entangler, 4) == [f"{gate} {wires}" for wires in ("0 1", "1 2", "2 3", "3 0")]
    assert ansatze.ring("none", 4) == []


def test_only_rings_entangle():
    entangling = {
        (entangler, qubits)
        for entangler in ENTANGLERS
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


# Circuits one after the other


def test_joined_angles_are_those_of_the_first_then_those_of_the_second():
    first, second = circuits.amplitude_encoding(3), circuits.build("rx_ry_rz", 3, entangler="ring_cnot")
    joined = circuits.join(first, second)
    assert (joined.qubits, joined.angles) == (3, 7 + 9)
    assert joined.gates[: len(first.gates)] == first.gates
    rest = joined.gates[len(first.gates) :]
    assert [(gate.name, gate.wires) for gate in rest] == [(gate.name, gate.wires) for gate in second.gates]
    shifts = [(gate.angle, other.angle) for gate, other in zip(rest, second.gates, strict=True)]
    assert [place for place, _ in shifts if place is not None] == list(range(7, 16))
    assert all((place is None) == (before is None) for place, before in shifts)
    assert first.name in joined.name and second.name in joined.name


PAIRS = [
    (circuits.amplitude_encoding(3), circuits.build("rx_ry_rz", 3, entangler="ring_cnot")),
    (circuits.angle_encoding(3, 9), circuits.build("rx_ry_rz", 3, layers=2)),
    (circuits.qubit_encoding(2), circuits.build("h_ry", 2, entangler="ring_cz")),
    (GateList("turned", 2, (Gate("sx", (1,)), Gate("cx", (1, 0)))), circuits.build("h_ry", 2)),  # no angles before
    (circuits.build("h_ry", 1), GateList("bare", 1, (Gate("h", (0,)),))),  # no angles after
    (circuits.join(circuits.build("h_ry", 2), circuits.amplitude_encoding(2)), circuits.build("rx_ry_rz", 2)),
]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{a.name}+{b.name}" for a, b in PAIRS])
def test_joined_circuit_is_qiskits_composition(first, second):
    angles = np.random.default_rng(0).uniform(-3, 3, first.angles + second.angles)
    joined = circuits.to_qiskit(circuits.join(first, second), measure=False).assign_parameters(angles)
    one = circuits.to_qiskit(first, measure=False).assign_parameters(angles[: first.angles])
    other = circuits.to_qiskit(second, measure=False).assign_parameters(angles[first.angles :])
    found = Operator(joined).data
    np.testing.assert_allclose(found, Operator(one.compose(other)).data, atol=1e-12)
    swapped = circuits.to_qiskit(circuits.join(second, first), measure=False)
    turned = Operator(swapped.assign_parameters(np.roll(angles, second.angles))).data
    assert not np.allclose(found, turned, atol=1e-3)  # the order counts


def test_joined_circuits_need_equal_numbers_of_qubits():
    with pytest.raises(ValueError, match="^qubits=2 is not allowed; allowed: 3, as in circuit amplitude_encoding$"):
        circuits.join(circuits.amplitude_encoding(3), circuits.build("rx_ry_rz", 2))


@pytest.mark.parametrize("entangler", ["none", "ring_cnot", "ring_cz"])
def test_measured_keeps_what_an_outcome_depends_on(entangler):
    whole = circuits.build("rx_ry_rz", 3, 2, entangler)
    kept = circuits.measured(whole)
    assert circuits.measured(circuits.build("h_ry", 3, 2, "ring_cnot")) == circuits.build("h_ry", 3, 2, "ring_cnot")
    assert [gate.angle for gate in whole.gates if gate not in kept.gates] == [15, 16, 17]
    between = {"none": 0, "ring_cnot": 6, "ring_cz": 3}  # the last CNOTs permute outcomes, CZs do nothing
    assert sum(len(gate.wires) == 2 for gate in kept.gates) == between[entangler]
