"""Circuits of Qiskit and TorchQuantum as circuits of one's own: whose parameters they have, and what is refused."""

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import CU3Gate
from qiskit.quantum_info import Operator

from qkdlib import Circuit
from qkdlib.torchquantum_import import load

X, A, B, C, D = ParameterVector("x", 3), *map(Parameter, "abcd")


def turned() -> QuantumCircuit:
    quantum = QuantumCircuit(2)
    quantum.rx(X[0], 0)
    quantum.ry(X[2], 1)
    quantum.rz(X[1], 0)
    return quantum


def controlled(name: str) -> QuantumCircuit:
    """A circuit with a gate that Qiskit writes with sums as the angles of U."""
    quantum = QuantumCircuit(2)
    quantum.h(0)
    if name == "cu":
        quantum.cu(A, B, C, D, 0, 1)
    elif name == "cu3":
        quantum.append(CU3Gate(A, B, C), [1, 0])
    elif name == "u of sums":
        quantum.u(2 * A + B, B - 0.5, C + A, 1)
    else:
        quantum.r(A, B, 1)
    return quantum


@pytest.mark.parametrize("name", ["cu", "cu3", "u of sums", "r"])
def test_gates_with_sums_as_angles_are_qiskits_up_to_a_phase(name):
    quantum = controlled(name)
    values = np.linspace(0.3, 1.7, len(quantum.parameters))
    ours = Circuit.from_qiskit(quantum).to_qiskit(measure=False)
    assert Operator(ours.assign_parameters(values)).equiv(Operator(quantum.assign_parameters(values)))


def test_the_order_of_features_is_that_in_which_they_are_given():
    assert Circuit.from_qiskit(turned(), [X[2], X[0], X[1]]).gates == ("rx(x[1]) 0", "ry(x[0]) 1", "rz(x[2]) 0")


@pytest.mark.parametrize(
    ("inputs", "weights", "message"),
    [
        (X[0], None, "^inputs=.*parameters of the circuit, each once"),
        (None, None, "^inputs=None .*parameters of the circuit"),
        (["x[0]"], None, r"^inputs='x\[0\]' .*parameters of the circuit"),
        ([[X[0]]], None, "^inputs=.*parameters of the circuit"),
        ([X[0], X[0], X[1], X[2]], None, r"^inputs='x\[0\]' .*each once"),
        (ParameterVector("x", 4), None, r"^inputs='x\[0\]' "),  # another vector
        ([*X, A], None, "^inputs='a' "),
        ((), [*X, A], "^weights='a' "),
        (X, [X[1]], r"^inputs \+ weights='x\[1\]' .*in one of both"),
    ],
)
def test_parameters_that_are_not_the_circuits_or_stand_twice_are_refused(inputs, weights, message):
    with pytest.raises(ValueError, match=message):
        Circuit.from_qiskit(turned(), inputs, weights)


def test_a_gate_that_is_none_of_ours_names_each_that_is_once():
    quantum = QuantumCircuit(1)
    quantum.reset(0)
    with pytest.raises(ValueError, match="^gate='reset' .*gates among x, y, z") as error:
        Circuit.from_qiskit(quantum)
    assert str(error.value).count(" p,") == 1


def own(forward, **parameters):
    """A TorchQuantum module on two wires."""
    tq = load()

    class Own(tq.QuantumModule):
        def __init__(self):
            super().__init__()
            self.n_wires = 2
            for name, values in parameters.items():
                setattr(self, name, torch.nn.Parameter(torch.tensor(values)))
            self.turn = tq.RX(has_params=True, trainable=True)
            self.entangle = tq.CRZ(has_params=True, trainable=True)

        def forward(self, device):
            forward(self, device, tq)

    return Own()


def test_a_trained_parameter_is_one_weight_whichever_gates_it_turns():
    def forward(module, device, tq):
        module.turn(device, wires=0)
        module.entangle(device, wires=[0, 1])
        module.turn(device, wires=1)
        tq.functional.ry(device, wires=0, params=module.w[1])
        tq.functional.rz(device, wires=1, params=0.5)
        tq.functional.ry(device, wires=1, params=module.w[0])
        tq.functional.ry(device, wires=1, params=module.w[1])

    module = own(forward, w=[0.5, 0.5])  # alike, and still two
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert Circuit.from_torchquantum(module).gates == (
        "rx(w[0]) 0", "crz(w[1]) 0 1", "rx(w[0]) 1", "ry(w[2]) 0", "rz(0.5) 1", "ry(w[3]) 1", "ry(w[2]) 1",
    )  # fmt: skip
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda m, d, tq: tq.functional.rx(d, wires=0, params=2 * m.w[0]), "^op='rx' .*not computed from them"),
        (lambda m, d, tq: tq.functional.rx(d, wires=0, params=torch.rand(4, 1)), "^module=.*a batch of 1; it raised"),
        (lambda m, d, tq: d.missing, "^module=.*acts on a device alone.*AttributeError"),
        (lambda m, d, tq: tq.functional.rx(d, wires=0, params=0.5, inverse=True), "^op=.*no inverse"),
    ],
)
def test_a_module_that_is_no_circuit_is_one_line_and_keeps_its_weights(forward, message):
    module = own(forward, w=[0.25])
    with pytest.raises(ValueError, match=message) as error:
        Circuit.from_torchquantum(module)
    assert "\n" not in str(error.value) and module.w.item() == 0.25


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ({"func": "ry", "wires": [0], "input_idx": [0], "inverse": True}, "^op=.*no inverse of a gate with angles"),
        ({"func": "ry", "wires": ["a"], "input_idx": [0]}, "^op wires='a' "),
        ({"func": "ry", "wires": [-1], "input_idx": [0]}, "^op wires=-1 "),
        ({"func": "ry", "wires": [0], "input_idx": [0.5]}, "^op input_idx=0.5 "),
        ({"name": "rx", "wires": [0], "params": [[0.1], [0.2]]}, "^op params=.*not of a batch"),
    ],
)
def test_a_wrong_entry_of_an_op_list_is_named(op, message):
    with pytest.raises(ValueError, match=message):
        Circuit.from_torchquantum([op])


def test_more_wires_than_are_allowed_are_refused_before_their_state_is_made():
    for qubits in (0, 40):
        with pytest.raises(ValueError, match=f"^qubits={qubits} .*from 1 to 16"):
            Circuit.from_torchquantum(own(lambda m, d, tq: None), qubits)
    with pytest.raises(ValueError, match="^module=Linear.*a device alone"):
        Circuit.from_torchquantum(torch.nn.Linear(2, 2), 2)
    with pytest.raises(ValueError, match="^module=.*n_wires"):
        Circuit.from_torchquantum(lambda device: None, 2)


def test_what_does_not_fit_a_module_of_ours_is_named():
    tq, module = load(), Circuit(2, ["ry(x[1]) 0", "rz(x[0]) 1", "crx(w[0]) 0 1"]).to_torchquantum()
    for wires, x, w, message in (
        (2, 1, 1, r"^x=\(3, 1\) .*a last axis of 2"),
        (2, 2, 0, r"^w=\(0,\) "),
        (3, 2, 1, "^device="),
    ):
        with pytest.raises(ValueError, match=message):
            module(tq.QuantumDevice(n_wires=wires, bsz=3), torch.rand(3, x), torch.rand(w))


def test_op_lists_of_torchquantum_itself_are_taken():
    lists = load().encoder_op_list_name_dict
    found = {name: Circuit.from_torchquantum(ops).features for name, ops in lists.items() if len(ops) <= 16}
    assert found["4x4_u3_h_rx"] == 16 and len(found) > 10
