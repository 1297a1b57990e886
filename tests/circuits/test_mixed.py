"""Mixed states: noisy probabilities against Qiskit Aer's density matrices, in closed form, and their gradients."""

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import Statevector
from random_circuits import inputs, own_circuits

from qkdlib import aer_import, circuits
from qkdlib.backends.backend import _aer_model
from qkdlib.circuit import GATES
from qkdlib.circuits import Gate, GateList, gatelist, mixed, product
from qkdlib.noise import MOST, NOISY_GATES, PURE_GATES, QUIET_GATES, Noise

WIRES = {"h": 1, "sx": 1, "sxdg": 1, "rx": 1, "ry": 1, "rz": 1, "cx": 2, "cz": 2}
NOISES = [
    Noise("depolarising", 0.03), Noise("depolarising", 0.6), Noise("amplitude_damping", 0.07),
    Noise("amplitude_damping", 0.8), Noise("readout", 0.02), Noise("readout", 0.4),
]  # fmt: skip
PRODUCTS = {
    "h_ry": circuits.build("h_ry", 3, layers=2), "rx_ry_rz": circuits.build("rx_ry_rz", 3, layers=2),
    "angle": circuits.join(circuits.angle_encoding(3, 9), circuits.build("rx_ry_rz", 3)),
    "qubit": circuits.join(circuits.qubit_encoding(4), circuits.build("rx_ry_rz", 4)),
    "one wire": circuits.build("rx_ry_rz", 1),
}  # fmt: skip
ENTANGLED = {
    "amplitude": circuits.join(circuits.amplitude_encoding(3), circuits.build("rx_ry_rz", 3)),
    "ring_cnot": circuits.build("h_ry", 3, layers=2, entangler="ring_cnot"),
    "ring_cz": circuits.build("rx_ry_rz", 2, layers=2, entangler="ring_cz"),
}


def random_circuit(qubits: int, seed: int, gates: int = 25) -> GateList:
    """Gates of every name on random wires, whose angles do not lie in the order of the gates."""
    rng = np.random.default_rng([qubits, seed])
    names = [*WIRES, *rng.choice(list(WIRES), gates - len(WIRES))]
    rng.shuffle(names)
    places = iter(rng.permutation(sum(name in gatelist.ROTATIONS for name in names)).tolist())
    return GateList(f"random {seed}", qubits, tuple(
        Gate(name, tuple(rng.permutation(qubits)[: WIRES[name]].tolist()),
             next(places) if name in gatelist.ROTATIONS else None)
        for name in names
    ))  # fmt: skip


def random_angles(circuit: GateList, rows: int = 2, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(rows, circuit.angles, generator=generator, dtype=torch.float64) * 2 - 1) * 3


def on_aer(circuit: GateList, angles: torch.Tensor, noise: Noise) -> np.ndarray:
    """Outcome probabilities of Aer's density matrices, and read-out errors by hand: Aer puts none into them."""
    simulator = aer_import.load().AerSimulator(method="density_matrix", noise_model=_aer_model(noise))
    found = []
    for row in angles.tolist():
        quantum = circuits.to_qiskit(circuit, measure=False).assign_parameters(row)
        quantum.save_probabilities()
        found.append(simulator.run(quantum).result().data()["probabilities"])
    flip = noise.level if noise.kind == "readout" else 0.0
    confusion = functools.reduce(np.kron, [np.array([[1 - flip, flip], [flip, 1 - flip]])] * circuit.qubits)
    return np.array(found) @ confusion


# Numbers


@pytest.mark.parametrize("noise", [Noise(), *NOISES], ids=str)
@pytest.mark.parametrize("qubits", [2, 3, 4])
def test_probabilities_of_random_circuits_are_those_of_aers_density_matrices(qubits, noise):
    for seed in range(2):
        circuit = random_circuit(qubits, seed)
        angles = random_angles(circuit)
        found = mixed.probabilities(circuit, angles, noise)
        np.testing.assert_allclose(found, on_aer(circuit, angles, noise), atol=1e-9)
        if noise.level:  # it is seen
            assert (found - mixed.probabilities(circuit, angles)).abs().max() > 0.003


@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("name", ENTANGLED)
def test_probabilities_of_the_librarys_circuits_are_aers(name, noise):
    circuit = ENTANGLED[name]
    angles = random_angles(circuit)
    np.testing.assert_allclose(circuits.exact(circuit, angles, noise), on_aer(circuit, angles, noise), atol=1e-9)


@pytest.mark.parametrize("noise", [Noise(), *NOISES], ids=str)
@pytest.mark.parametrize("name", PRODUCTS)
def test_bloch_vectors_pauli_coefficients_and_aer_agree_where_no_wire_is_entangled(name, noise):
    circuit = PRODUCTS[name]
    angles = random_angles(circuit, rows=3)
    found = product.probabilities(circuit, angles, noise)
    torch.testing.assert_close(found, mixed.probabilities(circuit, angles, noise), atol=1e-12, rtol=0)
    np.testing.assert_allclose(found, on_aer(circuit, angles, noise), atol=1e-9)


@pytest.mark.parametrize("qubits", [1, 2, 3, 4, 5])
def test_without_noise_the_probabilities_are_those_of_qiskits_state(qubits):
    wires = {name: count for name, count in WIRES.items() if count <= qubits}
    circuit = random_circuit(qubits, seed=3) if qubits > 1 else GateList("one", 1, tuple(
        Gate(name, (0,), None if name in ("h", "sx", "sxdg") else ("rz", "ry", "rx").index(name)) for name in wires
    ))  # fmt: skip
    angles = random_angles(circuit)
    for row, found in zip(angles.tolist(), mixed.probabilities(circuit, angles), strict=True):
        quantum = circuits.to_qiskit(circuit, measure=False).assign_parameters(row)
        np.testing.assert_allclose(found, Statevector(quantum).probabilities(), atol=1e-12)


@pytest.mark.parametrize("kind", MOST)
def test_level_0_is_no_noise_at_all(kind):
    for simulate, circuit in (
        (mixed.probabilities, random_circuit(3, 5)),
        (product.probabilities, PRODUCTS["rx_ry_rz"]),
    ):
        angles = random_angles(circuit)
        assert torch.equal(simulate(circuit, angles, Noise(kind, 0)), simulate(circuit, angles))


@pytest.mark.parametrize("name", [*PRODUCTS, *ENTANGLED])
def test_the_most_of_each_noise_leaves_nothing_of_the_angles(name):
    circuit = (PRODUCTS | ENTANGLED)[name]
    angles, size = random_angles(circuit), 2**circuit.qubits
    uniform = torch.full((2, size), 1 / size, dtype=torch.float64)
    ground = torch.eye(size, dtype=torch.float64)[:1].expand(2, -1)
    for kind, expected in (("depolarising", uniform), ("readout", uniform), ("amplitude_damping", ground)):
        found = circuits.exact(circuit, angles, Noise(kind, MOST[kind]))
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_noise_on_one_gate_is_what_it_says():
    # RX(pi) |0> is |1>; RZ adds no noise of its own.
    one = GateList("x", 1, (Gate("rx", (0,), 0), Gate("rz", (0,), 1)))
    angles = torch.tensor([[math.pi, 0.7]], dtype=torch.float64)
    for noise, up in (("depolarising", 1 - 0.2 / 2), ("amplitude_damping", 0.8), ("readout", 0.8)):
        for found in (
            mixed.probabilities(one, angles, Noise(noise, 0.2)),
            product.probabilities(one, angles, Noise(noise, 0.2)),
        ):
            torch.testing.assert_close(found, torch.tensor([[1 - up, up]], dtype=torch.float64), atol=1e-12, rtol=0)
    bell = GateList("bell", 2, (Gate("rz", (0,), 0), Gate("cx", (0, 1))))  # depolarising of both wires at once
    found = mixed.probabilities(bell, angles[:, :1], Noise("depolarising", 0.2))
    torch.testing.assert_close(found, torch.tensor([[0.85, 0.05, 0.05, 0.05]], dtype=torch.float64), atol=1e-12, rtol=0)


@settings(max_examples=30, database=None, derandomize=True)
@given(
    kind=st.sampled_from(sorted(MOST)), share=st.floats(0, 1), seed=st.integers(0, 5), qubits=st.integers(2, 3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_noisy_probabilities_are_probabilities(kind, share, seed, qubits, dtype):
    noise, precise = Noise(kind, share * MOST[kind]), 1e-5 if dtype is torch.float32 else 1e-12
    for circuit in (random_circuit(qubits, seed), circuits.build("rx_ry_rz", qubits)):
        found = circuits.exact(circuit, random_angles(circuit, seed=seed).to(dtype), noise)
        assert found.dtype == dtype and found.shape == (2, 2**qubits)
        assert found.min() >= -precise
        assert (found.sum(-1) - 1).abs().max() <= precise


def test_axes_before_the_angles_are_kept():
    circuit = ENTANGLED["amplitude"]
    angles = random_angles(circuit, rows=6)
    found = mixed.probabilities(circuit, angles.view(2, 3, -1), NOISES[0])
    torch.testing.assert_close(found.view(6, -1), mixed.probabilities(circuit, angles, NOISES[0]), atol=1e-14, rtol=0)


def test_a_wrong_number_of_angles_is_named():
    with pytest.raises(
        ValueError, match=r"^angles=\(2, 4\) is not allowed; allowed: a last axis of 6 for circuit h_ry"
    ):
        mixed.probabilities(ENTANGLED["ring_cnot"], torch.zeros(2, 4))


# Gradients


def gradient(circuit: GateList, angles: torch.Tensor, which: str, noise: Noise) -> torch.Tensor:
    angles = angles.clone().requires_grad_()
    weights = torch.linspace(-1, 2, 2**circuit.qubits, dtype=angles.dtype) ** 2
    (circuits.probabilities(circuit, angles, which, noise=noise) * weights).sum().backward()
    return angles.grad


@pytest.mark.parametrize("noise", [Noise(), *NOISES[::2]], ids=str)
def test_gradient_of_noisy_probabilities_is_that_of_finite_differences(noise):
    circuit = random_circuit(3, seed=7)
    angles = random_angles(circuit).requires_grad_()
    assert torch.autograd.gradcheck(lambda theta: mixed.probabilities(circuit, theta, noise), (angles,), atol=1e-7)


@pytest.mark.parametrize("noise", [Noise(), *NOISES[::2]], ids=str)
@pytest.mark.parametrize("name", [*PRODUCTS, *ENTANGLED])
def test_shifts_are_the_gradient_under_noise_and_the_published_ones_sqrt_2_times_it(name, noise):
    circuit = (PRODUCTS | ENTANGLED)[name]
    angles = random_angles(circuit)
    expected = gradient(circuit, angles, "autograd", noise)
    assert expected.abs().max() > 0.05
    found = gradient(circuit, angles, "parameter_shift", noise)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
    published = gradient(circuit, angles, "published_shift", noise)
    torch.testing.assert_close(published, math.sqrt(2) * expected, atol=1e-10, rtol=0)


def test_gradients_work_after_a_first_use_in_inference_mode():
    """What is computed once and kept must not be a tensor of inference mode."""
    circuit = circuits.join(circuits.amplitude_encoding(2), circuits.build("rx_ry_rz", 2, 1, "ring_cz"))
    noise = Noise("depolarising", 0.0123)  # used nowhere else, so that nothing is kept of it
    with torch.inference_mode():
        mixed.probabilities(circuit, torch.zeros(1, circuit.angles), noise)
    angles = torch.full((1, circuit.angles), 0.3, requires_grad=True)
    mixed.probabilities(circuit, angles, noise)[0, 0].backward()
    assert angles.grad.abs().max() > 0.01


# Every gate


@settings(max_examples=15)
@given(
    circuit=own_circuits(most_qubits=3, most_gates=8, names=sorted(set(GATES) - set(PURE_GATES))),
    noise=st.sampled_from([*NOISES, Noise()]),
)
def test_any_circuit_under_noise_is_aers_and_has_gradients(circuit, noise):
    listed, binding = circuits.compiled(circuit)
    angles = binding.angles(*inputs(seeds=1, images=2))[0]
    np.testing.assert_allclose(mixed.probabilities(listed, angles, noise), on_aer(listed, angles, noise), atol=1e-9)
    row = angles[:1].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda row: mixed.probabilities(listed, row, noise), (row,), atol=1e-6)


def test_every_gate_has_noise_or_none_as_noise_says():
    written_in_others = {"u", "ch"}
    names = {*QUIET_GATES, *PURE_GATES, *(name for names in NOISY_GATES.values() for name in names)}
    assert names == set(GATES) - written_in_others
    assert all(GATES[name][0] == wires for wires, names in NOISY_GATES.items() for name in names)
