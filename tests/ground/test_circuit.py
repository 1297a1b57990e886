"""A circuit of one's own: as text, checked, and to Qiskit, OpenQASM 3 and TorchQuantum and back."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import efficient_su2, zz_feature_map
from qiskit.quantum_info import Operator, Statevector

from qkdlib import Circuit, Experiment
from qkdlib.circuit import GATES
from qkdlib.experiment import as_dict, from_dict
from qkdlib.torchquantum_import import load

OWN = ["h 0", "ry(x[0]) 1", "crx(-0.5*w[0]) 0 1", "u(pi/2, w[1], x[1]/2) 2", "rz(w[0]) 2", "ccx 0 1 2", "p(0.25) 0"]


def test_lines_are_kept_in_one_way_of_writing():
    circuit = Circuit(3, ["H 0".lower(), " ry( +x[0] )  1", "cx 0,1", "rz(-w[0]) 0", "rx(2 * x[1]/4) 2", "p(-pi/2) 0"])
    assert circuit.gates == (
        "h 0", "ry(x[0]) 1", "cx 0 1", "rz(-w[0]) 0", "rx(0.5*x[1]) 2", f"p({-math.pi / 2!r}) 0",
    )  # fmt: skip
    assert Circuit(3, circuit.gates) == circuit
    assert (circuit.features, circuit.weights, circuit.measured) == (2, 1, (0, 1, 2))


def test_the_name_is_no_part_of_what_a_circuit_is_and_all_wires_are_the_same_as_none_named():
    one, other = Circuit(3, OWN, measure=(0, 1, 2)), Circuit(3, OWN, name="mine")
    assert one == other and hash(one) == hash(other)
    assert Experiment(ansatz=one).digest == Experiment(ansatz=other).digest
    assert Experiment(ansatz=one).digest != Experiment(ansatz=Circuit(3, OWN, measure=(1, 0, 2))).digest
    assert Experiment(ansatz=one).digest != Experiment(ansatz=Circuit(3, [*OWN, "x 0"])).digest


def test_an_experiment_holds_it_and_comes_back_from_json():
    experiment = Experiment(ansatz=Circuit(3, OWN, measure=(2, 0, 1), name="mine"), layers=1)
    again = from_dict(json.loads(json.dumps(as_dict(experiment))))
    assert again == experiment and again.ansatz.name == "mine" and again.digest == experiment.digest


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["h 3"], r"^gate='h 3' .*wires from 0 to 2 of 3 qubits"),
        (["cx 1 1"], r"^gate='cx 1 1' .*2 different wires and 0 angles for cx"),
        (["ry 0"], r"^gate='ry 0' .*1 different wires and 1 angles for ry"),
        (["ry(1, 2) 0"], "1 angles for ry"),
        (["foo 0"], "^gate='foo' .*one of x, y, z, h"),
        (["ry(x[1]) 0"], r"^features='x\[0\]' .*every x\[i\] from 0 to 1 in some gate"),
        (["ry(w[0]) 0", "ry(w[2]) 0"], r"^weights='w\[1\]' "),
        (["ry(y[0]) 0"], "angles such as 0.5, pi/4"),
        (["ry(x[0]/0) 0"], "finite angles"),
        (["ry(__import__) 0"], "allowed"),
        ([3], "^gate=3 .*a line such as"),
        ([["h", 0]], r"^gate=\['h', 0\] .*a line such as"),
        ([f"h {'1' * 5000}"], "^gate=.*a line such as"),
        ([f"ry(x[{'1' * 5000}]) 0"], "^gate=.*angles such as"),
        ("h 0", "^gates='h 0' .*lines such as"),
        (["ry(x[99999999999]) 0"], "places below"),
    ],
)
def test_a_wrong_gate_is_one_line(lines, message):
    with pytest.raises(ValueError, match=message) as error:
        Circuit(3, lines)
    assert "\n" not in str(error.value)


WRONG = [{"qubits": 0}, {"qubits": 17}, {"qubits": "3"}, {"measure": (3,)}, {"measure": (0, 0)}]


@pytest.mark.parametrize("fields", WRONG)
def test_wrong_qubits_and_wires_to_measure_are_named(fields):
    (name,) = fields
    with pytest.raises(ValueError, match=f"{name}="):
        Circuit(**{"qubits": 3, "gates": ["h 0"], **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"qubits": 4}, "^qubits=4 .*3, as the circuit"), ({"layers": 2}, "^layers=2"),
        ({"entangler": "ring_cz"}, "^entangler="), ({"encoder": "amplitude"}, "^encoder="),
        ({"ansatz": Circuit(3, ["rx(w[0]) 0"])}, r"^ansatz=.*features x\[i\]"),
        ({"ansatz": Circuit(3, OWN, measure=(0, 1))}, r"^qubits that are measured=2 .*2\^qubits >= 6 classes"),
        ({"ansatz": "reuploading", "encoder": "angle"}, "^encoder="),
        ({"ansatz": QuantumCircuit(3)}, "^ansatz=.*or a qkdlib.Circuit, which Circuit.from_qiskit"),
        ({"ansatz": tuple(OWN)}, "^ansatz=.*or a qkdlib.Circuit"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_it_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Experiment(**{"ansatz": Circuit(3, OWN), **fields})


def test_a_damaged_description_is_one_line():
    for values, message in (
        ({"qubits": 2}, "^ansatz fields=.*have gates, too"),
        ({"qubits": 2, "gates": 3}, "^gates=3"),
    ):
        with pytest.raises(ValueError, match=message):
            from_dict({"ansatz": values})
    for qubits in (np.array([1, 2]), 3.0, "3"):
        with pytest.raises(ValueError, match="^qubits=.*a whole number"):
            Experiment(ansatz=Circuit(3, OWN), qubits=qubits)


def test_to_qiskit_and_back_is_the_same_circuit():
    circuit = Circuit(3, OWN, measure=(2, 0))
    quantum = circuit.to_qiskit()
    inputs = [p for p in quantum.parameters if p.vector.name == "x"]
    assert Circuit.from_qiskit(quantum, inputs=inputs) == circuit
    assert quantum.num_clbits == 2


def test_from_qiskit_takes_blocks_sums_barriers_and_gates_of_other_names():
    x, bias, scale = ParameterVector("x", 2), Parameter("bias"), Parameter("scale")
    quantum = QuantumCircuit(2)
    quantum.rx(2 * x[0] + bias - 0.3, 0)
    quantum.barrier()
    quantum.cu(0.1, 0.2, 0.3, 0.4, 0, 1)
    quantum.compose(efficient_su2(2, reps=1).assign_parameters(np.linspace(0, 1, 8)), inplace=True)
    quantum.crz(scale / 2, 1, 0)
    quantum.ry(x[1], 1)
    circuit = Circuit.from_qiskit(quantum, inputs=x)
    assert (circuit.features, circuit.weights) == (2, 2)
    given = {x[0]: 0.7, x[1]: -0.4, bias: 1.1, scale: 0.9}
    ours = circuit.to_qiskit(measure=False)
    values = {"x": [0.7, -0.4], "w": [1.1, 0.9]}  # the weights in Qiskit's order, by name
    bound = ours.assign_parameters({p: values[p.vector.name][p.index] for p in ours.parameters})
    assert Operator(bound).equiv(Operator(quantum.assign_parameters(given)))


def test_from_qiskit_keeps_the_order_of_the_measured_bits():
    quantum = QuantumCircuit(3, 2)
    quantum.h(0)
    quantum.measure(2, 0)
    quantum.measure(0, 1)
    assert Circuit.from_qiskit(quantum).measure == (2, 0)


@pytest.mark.parametrize(
    ("quantum", "inputs", "message"),
    [
        (zz_feature_map(2), (), "^angle=.*a sum of numbers, each times at most one parameter"),
        ("h 0", (), "^circuit='h 0' .*a qiskit.QuantumCircuit"),
    ],
)
def test_what_qiskit_has_and_a_circuit_cannot_is_one_line(quantum, inputs, message):
    with pytest.raises(ValueError, match=message):
        Circuit.from_qiskit(quantum, inputs)


def test_a_gate_behind_a_measurement_and_a_parameter_of_neither_kind_are_refused():
    quantum = QuantumCircuit(1, 1)
    quantum.rx(theta := Parameter("theta"), 0)
    with pytest.raises(ValueError, match=r"^inputs \+ weights='theta'"):
        Circuit.from_qiskit(quantum, weights=())
    quantum.measure(0, 0)
    quantum.h(0)
    with pytest.raises(ValueError, match="no gate on a wire that has been measured"):
        Circuit.from_qiskit(quantum, inputs=[theta])


def test_openqasm_3_says_the_same_circuit():
    text = Circuit(2, ["h 0", "ry(0.3) 1", "crz(-0.5) 0 1", "u(0.1, 0.2, 0.3) 1"]).to_qasm3()
    assert text.startswith("OPENQASM 3") and "crz(-0.5) q[0], q[1]" in text
    assert "input float[64] _x_0_;" in Circuit(1, ["ry(x[0]) 0"]).to_qasm3()


@settings(max_examples=10)
@given(seed=...)
def test_torchquantums_module_has_qiskits_amplitudes(seed: bool):
    tq, circuit = load(), Circuit(3, [*OWN, "ch 2 0", "cp(w[1]) 1 2", "swap 0 2", "sxdg 1", "ryy(x[0]) 0 1"])
    x, w = torch.tensor([[0.4, -1.2 + seed]]), torch.tensor([0.9, -0.3])
    device = tq.QuantumDevice(n_wires=3, bsz=1)
    circuit.to_torchquantum()(device, x, w)
    found = device.get_states_1d()[0].reshape(2, 2, 2).permute(2, 1, 0).flatten().numpy()  # wire 0 least significant
    quantum, values = circuit.to_qiskit(measure=False), {"x": x[0].tolist(), "w": w.tolist()}
    bound = quantum.assign_parameters({p: values[p.vector.name][p.index] for p in quantum.parameters})
    assert abs(np.vdot(found, Statevector(bound).data)) == pytest.approx(1, abs=1e-5)  # up to a phase


def test_from_torchquantum_takes_a_module_and_both_kinds_of_op_lists():
    tq = load()

    class Own(tq.QuantumModule):
        def __init__(self):
            super().__init__()
            self.n_wires = 2
            self.turn = tq.RX(has_params=True, trainable=True)
            self.fixed = tq.CRZ(has_params=True, trainable=False, init_params=0.25)

        def forward(self, device):
            self.turn(device, wires=0)
            self.fixed(device, wires=[0, 1])
            tq.functional.hadamard(device, wires=1)
            tq.functional.s(device, wires=0, inverse=True)

    assert Circuit.from_torchquantum(Own()).gates == ("rx(w[0]) 0", "crz(0.25) 0 1", "h 1", "sdg 0")
    encoder = [{"input_idx": [0], "func": "ry", "wires": [0]}, {"func": "cnot", "wires": [0, 2]},
               {"input_idx": [1, 2, 3], "func": "u3", "wires": [1]}]  # fmt: skip
    assert Circuit.from_torchquantum(encoder).gates == ("ry(x[0]) 0", "cx 0 2", "u(x[1], x[2], x[3]) 1")
    history = [{"name": "rzz", "wires": [1, 0], "params": 0.5, "trainable": True}]
    assert Circuit.from_torchquantum(history, qubits=3) == Circuit(3, ["rzz(w[0]) 1 0"])
    for wrong, message in ((3, "^module=3"), ([{"name": "multiqubit", "wires": 0}], "^op="), ([4], "^op=4")):
        with pytest.raises(ValueError, match=message):
            Circuit.from_torchquantum(wrong)


def test_every_gate_goes_to_torchquantum_and_back():
    for name, (wires, angles) in GATES.items():
        if name in ("ch", "ccx", "cp"):  # written by others there
            continue
        turns = f"({', '.join(f'x[{i}]' for i in range(angles))})" if angles else ""
        circuit = Circuit(3, [f"{name}{turns} {' '.join('120'[:wires])}"])
        device = load().QuantumDevice(n_wires=3, bsz=1, record_op=True)
        circuit.to_torchquantum()(device, torch.tensor([[0.5, 0.25, 0.125]]), torch.zeros(0))
        numbers = f"({', '.join(('0.5', '0.25', '0.125')[:angles])})" if angles else ""
        assert Circuit.from_torchquantum(device.op_history, 3).gates == (f"{name}{numbers} {' '.join('120'[:wires])}",)
