"""Named circuits: their gates, written out by hand; how angles follow from features and weights; what is left out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator
from random_circuits import by_qiskit, inputs, own_circuits

from qkdlib import Circuit, circuits
from qkdlib.circuits import ansatze, simulation, statevector
from qkdlib.students import readouts


def bound(circuit: Circuit, weights: np.ndarray) -> np.ndarray:
    quantum = circuit.to_qiskit(measure=False)
    return Operator(quantum.assign_parameters(dict(zip(quantum.parameters, weights, strict=True)))).data


@pytest.mark.parametrize(("qubits", "layers"), [(2, 1), (3, 3), (4, 2), (5, 5)])
def test_strongly_entangling_is_pennylanes_template_written_out(qubits, layers):
    circuit = circuits.strongly_entangling(qubits, layers)
    assert circuit.weights == 3 * qubits * layers
    weights = np.random.default_rng(0).uniform(-3, 3, circuit.weights)
    quantum = QuantumCircuit(qubits)
    for layer, turns in enumerate(weights.reshape(layers, 3, qubits)):
        for wire in range(qubits):
            for name, angle in zip(("rz", "ry", "rz"), turns[:, wire], strict=True):  # Rot(phi, theta, omega)
                getattr(quantum, name)(angle, wire)
        reach = layer % (qubits - 1) + 1
        for wire in range(qubits if qubits > 2 else 1):
            quantum.cx(wire, (wire + reach) % qubits)
    np.testing.assert_allclose(bound(circuit, weights), Operator(quantum).data, atol=1e-12)


@pytest.mark.parametrize(("qubits", "layers"), [(1, 2), (3, 1), (4, 2)])
def test_basic_entangler_is_a_column_of_rx_and_a_ring(qubits, layers):
    circuit = circuits.basic_entangler(qubits, layers)
    weights = np.random.default_rng(0).uniform(-3, 3, circuit.weights)
    quantum = QuantumCircuit(qubits)
    for turns in weights.reshape(layers, qubits):
        for wire, angle in enumerate(turns):
            quantum.rx(angle, wire)
        for wire in range(qubits if qubits > 2 else 0):
            quantum.cx(wire, (wire + 1) % qubits)
    np.testing.assert_allclose(bound(circuit, weights), Operator(quantum).data, atol=1e-12)


def test_reuploading_turns_the_same_features_in_every_layer():
    circuit = circuits.reuploading(2, 2)
    assert circuit.gates == (
        "rx(x[0]) 0", "rx(x[1]) 1", "rz(w[0]) 0", "rz(w[1]) 1", "ry(w[2]) 0", "ry(w[3]) 1", "cx 0 1",
        "rx(x[0]) 0", "rx(x[1]) 1", "rz(w[4]) 0", "rz(w[5]) 1", "ry(w[6]) 0", "ry(w[7]) 1", "cx 0 1",
    )  # fmt: skip
    assert (circuit.features, circuit.weights) == (2, 8)


def test_ring_circuits_have_a_weight_for_each_angle_in_the_order_of_the_gates():
    for name in ansatze.RINGS:
        _, binding = circuits.compiled(circuits.named(name, 3, 2, "ring_cz"))
        weights = torch.rand(4, binding.weights)
        assert binding.angles(None, weights) is weights


def test_angles_are_factors_times_features_and_weights_and_numbers():
    circuit = Circuit(2, ["rx(2*x[1]) 0", "ry(-w[0]) 1", "u(0.5, w[1]/2, x[0]) 0", "crz(w[0]) 0 1"])
    listed, binding = circuits.compiled(circuit)
    x, w = torch.tensor([[[3.0, 5.0]]]), torch.tensor([[7.0, 11.0]])
    assert [gate.name for gate in listed.gates] == ["rx", "ry", "p", "ry", "p", "crz"]  # u as P RY P
    assert binding.angles(x, w).tolist() == [[[10.0, -7.0, 3.0, 0.5, 5.5, 7.0]]]
    _, numbers = circuits.compiled(Circuit(1, ["rx(0.5) 0", "ry(1) 0"]))
    assert numbers.angles(None, torch.zeros(2, 0)).tolist() == [[0.5, 1.0]] * 2


@pytest.mark.parametrize("name", ansatze.CIRCUITS)
@pytest.mark.parametrize(
    ("fields", "message"),
    [({"qubits": 0}, "qubits=0"), ({"qubits": 17}, "qubits=17"), ({"qubits": 2.0}, "qubits=2.0"),
     ({"layers": 0}, "layers=0"), ({"layers": "3"}, "layers='3'"), ({"entangler": "ring"}, "entangler='ring'")],
)  # fmt: skip
def test_a_wrong_argument_of_a_named_circuit_is_named(name, fields, message):
    given = {"qubits": 2, **fields}
    with pytest.raises(ValueError, match=f"^{message} "):
        circuits.named(name, **given)
    if name in ansatze.RINGS or "entangler" not in fields:
        with pytest.raises(ValueError, match=f"^{message} "):
            ansatze.CIRCUITS[name](**given)


def test_a_circuits_name_changes_no_bit_whatever_was_compiled_before():
    angles = torch.rand(5, 8, generator=torch.Generator().manual_seed(0))
    for ansatz in ansatze.RINGS:
        gates = circuits.named(ansatz, 2, 1, "ring_cnot").gates
        found = []
        for name in ("mine", ansatz, "basic_entangler"):
            listed, binding = circuits.compiled(Circuit(2, gates, name=name))
            assert listed.name == name
            found.append(circuits.exact(listed, angles[:, : binding.weights]))
        listed = circuits.build(ansatz, 2, 1, "ring_cnot")
        assert simulation.kind(listed) == "mixed"  # as its records were made
        expected = circuits.exact(listed, angles[:, : listed.angles])
        assert listed.name == ansatz and all(torch.equal(each, expected) for each in found)
    own, _ = circuits.compiled(Circuit(2, ["ry(w[0]) 0", "cx 0 1"], name="h_ry"))
    assert simulation.kind(own) == "statevector"


@pytest.mark.parametrize("ansatz", ansatze.RINGS)
@pytest.mark.parametrize("entangler", ["ring_cnot", "ring_cz"])
def test_the_papers_circuits_of_few_qubits_are_simulated_as_in_their_records(ansatz, entangler):
    for qubits in (2, 3, 4, 5):
        for layers in (1, 3):
            listed = circuits.build(ansatz, qubits, layers, entangler)
            assert simulation.kind(listed) == ("mixed" if qubits <= 4 else "statevector")
    assert simulation.kind(circuits.build(ansatz, 3)) == "product"


def test_shared_weights_gather_the_gradients_of_all_their_gates():
    # v2's drawing read with three angles: RX, RY and RZ turn all wires alike.
    shared = Circuit(
        3, [f"{name}(w[{place}]) {wire}" for place, name in enumerate(("rx", "ry", "rz")) for wire in range(3)]
    )
    apart = circuits.rx_ry_rz(3)
    w = torch.rand(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    each = w.detach().repeat_interleave(3, 1).requires_grad_()
    factors = torch.arange(8.0)
    for circuit, weights in ((shared, w), (apart, each)):
        listed, binding = circuits.compiled(circuit)
        (statevector.probabilities(listed, binding.angles(None, weights)) * factors).sum().backward()
    torch.testing.assert_close(w.grad, each.grad.unflatten(1, (3, 3)).sum(2))


@settings(max_examples=40)
@given(circuit=own_circuits(most_qubits=4))
def test_what_no_measurement_of_the_chosen_wires_sees_changes_nothing(circuit):
    for wires in ((0,), tuple(range(circuit.qubits))[::-1], ()):
        listed, binding = circuits.compiled(circuit)
        angles = binding.angles(*inputs())
        visible = circuits.measured(listed, wires)
        assert len(visible.gates) <= len(listed.gates)
        found, expected = (statevector.probabilities(each, angles) for each in (visible, listed))
        torch.testing.assert_close(
            readouts.marginal(found, wires), readouts.marginal(expected, wires), atol=1e-12, rtol=0
        )


@settings(max_examples=20)
@given(circuit=own_circuits(most_qubits=4))
def test_marginals_are_qiskits(circuit):
    from qiskit.quantum_info import Statevector

    x, w = inputs()
    amplitudes = by_qiskit(circuit, x[0, 0], w[0])
    wires = list(range(circuit.qubits))[::-1][:2]
    found = readouts.marginal(torch.from_numpy(np.abs(amplitudes) ** 2)[None], wires)[0]
    np.testing.assert_allclose(found, Statevector(amplitudes).probabilities(wires), atol=1e-12)


def test_gates_that_lead_to_no_measured_wire_are_left_out():
    circuit, _ = circuits.compiled(Circuit(3, ["ry(w[0]) 0", "ry(w[1]) 1", "cx 0 1", "ry(w[2]) 2", "rz(w[3]) 1"]))
    kept = [(gate.name, gate.wires) for gate in circuits.measured(circuit, (1,)).gates]
    assert kept == [("ry", (0,)), ("ry", (1,)), ("cx", (0, 1))]
