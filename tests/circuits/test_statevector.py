"""Any circuit gate by gate: against Qiskit, against TorchQuantum, its gradients, one seed alone, and memory."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from random_circuits import by_qiskit, inputs, own_circuits

from qkdlib import circuits
from qkdlib.circuit import GATES, Circuit
from qkdlib.circuits import statevector


@settings(max_examples=60)
@given(circuit=own_circuits())
def test_amplitudes_are_qiskits(circuit):
    listed, binding = circuits.compiled(circuit)
    x, w = inputs()
    found = torch.view_as_complex(statevector.final_state(listed, binding.angles(x, w))).numpy()
    for seed in range(2):
        for image in range(3):
            expected = by_qiskit(circuit, x[seed, image], w[seed])
            np.testing.assert_allclose(found[seed, image], expected, atol=1e-12)


@settings(max_examples=15)
@given(circuit=own_circuits(most_qubits=3))
def test_probabilities_are_torchquantums_gate_by_gate(circuit):
    listed, binding = circuits.compiled(circuit)
    angles = binding.angles(*inputs(dtype=torch.float32)).flatten(0, 1)
    expected = circuits.to_torchquantum(listed)(angles)
    torch.testing.assert_close(statevector.probabilities(listed, angles), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", GATES)
def test_every_gate_is_qiskits_matrix_also_from_a_state_and_in_32_bits(name):
    wires, count = GATES[name]
    turns = ", ".join(("0.4", "-1.1", "2.3")[:count])
    circuit = Circuit(
        3, [f"{name}({turns}) {' '.join('201'[:wires])}" if count else f"{name} {' '.join('201'[:wires])}"]
    )
    listed, binding = circuits.compiled(circuit)
    basis = torch.eye(8, dtype=torch.float32)
    angles = binding.angles(None, torch.zeros(1, 0)).expand(8, -1)
    found = torch.view_as_complex(statevector.final_state(listed, angles, basis)).T.numpy()
    from qiskit.quantum_info import Operator

    np.testing.assert_allclose(found, Operator(circuit.to_qiskit(measure=False)).data, atol=1e-6)


@settings(max_examples=10)
@given(circuit=own_circuits(most_qubits=3, most_gates=10))
def test_gradients_of_features_weights_and_state_are_finite_differences(circuit):
    listed, binding = circuits.compiled(circuit)
    x, w = inputs(seeds=1, images=2)
    state = torch.rand(1, 2, 2**circuit.qubits, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for each in (x, w, state):
        each.requires_grad_()

    def outcomes(x, w, state):
        return statevector.probabilities(listed, binding.angles(x, w), state)

    assert torch.autograd.gradcheck(outcomes, (x, w, state))


def test_a_seed_is_the_same_to_the_bit_alone_and_beside_others(one_thread):
    circuit = circuits.reuploading(4, layers=2)
    listed, binding = circuits.compiled(circuit)
    draw = torch.Generator().manual_seed(0)
    x, w = torch.rand(5, 7, 4, generator=draw), torch.rand(5, circuit.weights, generator=draw)

    def run(x, w):
        x, w = x.clone().requires_grad_(), w.clone().requires_grad_()
        outcomes = statevector.probabilities(listed, binding.angles(x, w))
        (outcomes * torch.arange(16.0).sqrt()).sum().backward()
        return outcomes, x.grad, w.grad

    together = run(x, w)
    for place in range(5):
        alone = run(x[place : place + 1], w[place : place + 1])
        assert all(torch.equal(one[0], many[place]) for one, many in zip(alone, together, strict=True))


def test_rows_without_a_gradient_may_go_in_chunks(monkeypatch):
    listed, binding = circuits.compiled(circuits.reuploading(3))
    draw = torch.Generator().manual_seed(0)
    angles = binding.angles(torch.rand(2, 40, 3, generator=draw), torch.rand(2, 6, generator=draw))
    whole = statevector.probabilities(listed, angles)
    monkeypatch.setattr(statevector, "CHUNK", 64)
    assert torch.equal(statevector.probabilities(listed, angles), whole)


def test_angles_of_another_number_are_one_error():
    listed, _ = circuits.compiled(circuits.reuploading(3))
    with pytest.raises(ValueError, match=r"^angles=\(2, 5\) is not allowed; allowed: a last axis of 9 for"):
        statevector.probabilities(listed, torch.zeros(2, 5))


def test_memory_is_a_few_states_and_not_one_for_each_gate():
    # 14 qubits, 8 rows, 200 gates: a state has 1 MiB; autograd over the gates would keep some hundred of them.
    code = """
import resource, torch
from qkdlib import circuits
from qkdlib.circuits import statevector
listed, binding = circuits.compiled(circuits.reuploading(14, layers=4))
w = torch.rand(1, binding.weights, requires_grad=True)
statevector.probabilities(listed, binding.angles(torch.rand(1, 1, 14), w)).sum().backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
statevector.probabilities(listed, binding.angles(torch.rand(1, 16, 14), w)).sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(ran.stdout) * unit < 3 * statevector.STATES * 2 * 2**14 * 16 * 4  # bytes
