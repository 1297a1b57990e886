"""Pure states: matrices, amplitudes and gradients are Qiskit's, in one matrix or in factors."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import Operator, Statevector

from qkdlib import circuits
from qkdlib.circuits import Gate, GateList, gatelist, product, pure
from qkdlib.experiment_checks import ENTANGLERS, RINGS

METHODS = ("matrix", "factors")
BUILT = list(itertools.product(RINGS, (2, 3, 4, 5, 8), (1, 2, 4), ENTANGLERS))


def draw_angles(seeds: int, circuit: GateList, seed: int = 0) -> torch.Tensor:
    """(S, A) in +-3 radians; single precision, as in a student."""
    return (torch.rand(seeds, circuit.angles, generator=torch.Generator().manual_seed(seed)) * 2 - 1) * 3


def draw_states(*shape: int, real: bool = True, seed: int = 1) -> torch.Tensor:
    """Amplitudes of norm 1, (S, B, 2^Q) if they are real, else (S, B, 2^Q, 2)."""
    values = torch.randn(*shape, 1 if real else 2, generator=torch.Generator().manual_seed(seed))
    values = values / values.square().sum((-2, -1), keepdim=True).sqrt()
    return values.squeeze(-1)


def whole(states: torch.Tensor) -> np.ndarray:
    """Given or final states as complex numbers of double precision, (S, B, 2^Q)."""
    if states.ndim == 5:  # (S, B, H, 2, L)
        states = states.transpose(3, 4).flatten(2, 3)
    if states.ndim == 3:
        return states.detach().double().numpy().astype(complex)
    return torch.view_as_complex(states.detach().double().contiguous()).numpy()


def probabilities(states: torch.Tensor) -> torch.Tensor:
    """(S, B, 2^Q) of final states."""
    return states.square().sum(3).flatten(2)


def bound(circuit: GateList, angles):
    """Qiskit's circuit with one seed's angles."""
    return circuits.to_qiskit(circuit, measure=False).assign_parameters([float(angle) for angle in angles])


def in_qiskit(circuit: GateList, states: np.ndarray, angles: torch.Tensor) -> np.ndarray:
    """Final states (S, B, 2^Q), by Qiskit."""
    evolved = []
    for of_seed, row in zip(states, angles.detach(), strict=True):
        quantum = bound(circuit, row)
        evolved.append([Statevector(state).evolve(quantum).data for state in of_seed])
    return np.array(evolved)


# Matrices of circuits


@pytest.mark.parametrize(("ansatz", "qubits", "layers", "entangler"), BUILT)
def test_unitary_is_qiskits_operator(ansatz, qubits, layers, entangler):
    circuit = circuits.build(ansatz, qubits, layers, entangler)
    angles = draw_angles(1 if qubits == 8 else 3, circuit)
    for found, row in zip(pure.unitary(circuit, angles), angles, strict=True):
        np.testing.assert_allclose(found, Operator(bound(circuit, row)).data, atol=1e-5)


@pytest.mark.parametrize("ansatz", RINGS)
@pytest.mark.parametrize("layers", [1, 3])
def test_layers_without_entangler_are_one_matrix_on_each_wire(ansatz, layers):
    circuit = circuits.build(ansatz, 4, layers)
    angles = draw_angles(2, circuit)
    assert len(pure.layers(circuit)) == 1
    found = pure.wire_matrices(circuit, angles)
    for seed, wire in np.ndindex(2, 4):
        own = [gate for gate in circuit.gates if gate.wires == (wire,)]
        places = [gate.angle for gate in own if gate.angle is not None]
        moved = [Gate(gate.name, (0,), None if gate.angle is None else places.index(gate.angle)) for gate in own]
        expected = Operator(bound(GateList("alone", 1, tuple(moved)), angles[seed, places])).data
        np.testing.assert_allclose(found[seed, wire], expected, atol=1e-5)


@pytest.mark.parametrize("entangler", ["ring_cnot", "ring_cz"])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_entangled_circuit_is_cut_behind_each_ring(entangler, layers):
    assert len(pure.layers(circuits.build("rx_ry_rz", 4, layers, entangler))) == layers


# States


@pytest.mark.parametrize("real", [True, False], ids=["real", "complex"])
@pytest.mark.parametrize(("ansatz", "qubits", "layers", "entangler"), BUILT)
def test_final_states_are_qiskits_and_torchquantums(ansatz, qubits, layers, entangler, real):
    circuit, seeds, batch = circuits.build(ansatz, qubits, layers, entangler), 2, 1 if qubits == 8 else 2
    states, angles = draw_states(seeds, batch, 2**qubits, real=real), draw_angles(seeds, circuit)
    expected = in_qiskit(circuit, whole(states), angles)
    rows = angles.repeat_interleave(batch, 0), torch.from_numpy(whole(states)).flatten(0, 1)
    by_gates = circuits.to_torchquantum(circuit)(*rows).view(seeds, batch, -1)
    for method in METHODS:
        found = pure.final_state(circuit, states, angles, method)
        np.testing.assert_allclose(whole(found), expected, atol=1e-5)
        torch.testing.assert_close(probabilities(found), by_gates, atol=1e-5, rtol=0)


@st.composite
def any_circuits(draw):
    """Columns of h, rx, ry, rz, with gates between any wires behind some of them."""
    qubits = draw(st.integers(2, 5))
    found, places = [], 0
    for _ in range(draw(st.integers(1, 3))):
        for name in draw(st.lists(st.sampled_from(("h", *gatelist.ROTATIONS)), min_size=1, max_size=3)):
            first = None if name == "h" else places
            found += [Gate(name, (wire,), None if first is None else first + wire) for wire in range(qubits)]
            places += 0 if first is None else qubits
        pairs = st.permutations(range(qubits)).map(lambda order: tuple(order[:2]))
        found += draw(st.lists(st.builds(Gate, st.sampled_from(("cx", "cz")), pairs), max_size=4))
    return GateList("any", qubits, tuple(found))


@settings(max_examples=40, database=None)
@given(any_circuits(), st.sampled_from([(1, 1), (1, 3), (2, 1), (3, 2)]), st.booleans(), st.integers(0, 99))
def test_final_states_of_any_columns_and_pairs_are_qiskits(circuit, lead, real, seed):
    states = draw_states(*lead, 2**circuit.qubits, real=real, seed=seed)
    angles = draw_angles(lead[0], circuit, seed)
    expected = in_qiskit(circuit, whole(states), angles)
    for method in METHODS:
        found = pure.final_state(circuit, states, angles, method)
        np.testing.assert_allclose(whole(found), expected, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_ground_state_goes_the_bloch_paths_way_and_basis_states_keep_their_digits(method):
    circuit = circuits.build("h_ry", 3)
    angles, basis = draw_angles(2, circuit), torch.eye(8)
    found = probabilities(pure.final_state(circuit, basis[:1].expand(2, 1, 8), angles, method))
    torch.testing.assert_close(found[:, 0], product.probabilities(circuit, angles), atol=1e-6, rtol=0)
    # RY(-pi/2) after H is Z up to a sign: every basis state stays where it is.
    same = pure.final_state(circuit, basis[None], torch.full((1, 3), -math.pi / 2), method)
    torch.testing.assert_close(probabilities(same)[0], basis, atol=1e-6, rtol=0)


@settings(max_examples=40, database=None)
@given(built=st.sampled_from(BUILT), method=st.sampled_from(METHODS), real=st.booleans(), seed=st.integers(0, 2**31))
def test_norm_is_kept(built, method, real, seed):
    circuit = circuits.build(*built)
    states = draw_states(2, 2, 2**circuit.qubits, real=real, seed=seed)
    found = pure.final_state(circuit, states, draw_angles(2, circuit, seed), method)
    torch.testing.assert_close(probabilities(found).sum(2), torch.ones(2, 2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ansatz", RINGS)
@pytest.mark.parametrize("qubits", [2, 3, 4, 8])
def test_ring_of_cz_after_one_layer_changes_signs_and_no_outcome(ansatz, qubits, method):
    plain, ring = (circuits.build(ansatz, qubits, 1, entangler) for entangler in ("none", "ring_cz"))
    states, angles = draw_states(2, 3, 2**qubits), draw_angles(2, plain)
    one, other = (pure.final_state(circuit, states, angles, method) for circuit in (plain, ring))
    assert torch.equal(probabilities(one), probabilities(other))
    assert not torch.equal(one, other)
    deeper = [circuits.build(ansatz, qubits, 2, entangler) for entangler in ("none", "ring_cz")]
    angles = draw_angles(2, deeper[0])
    one, other = (probabilities(pure.final_state(circuit, states, angles, method)) for circuit in deeper)
    assert (one - other).abs().max() > 1e-3  # a further layer sees the signs


def test_circuit_whose_wires_differ_is_refused():
    uneven = GateList("uneven", 2, (Gate("ry", (0,), 0), Gate("rx", (1,), 1)))
    for method in METHODS:
        with pytest.raises(ValueError, match="'uneven'.*wires all see the same"):
            pure.final_state(uneven, draw_states(1, 1, 4), draw_angles(1, uneven), method)


# Gradients

DIFFERENTIATED = [
    ("h_ry", 3, 1, "none"), ("h_ry", 3, 2, "ring_cz"), ("rx_ry_rz", 2, 2, "ring_cnot"), ("rx_ry_rz", 3, 1, "none"),
    ("rx_ry_rz", 4, 2, "ring_cz"), ("rx_ry_rz", 5, 1, "ring_cnot"),
]  # fmt: skip


def gradients(circuit: GateList, states, angles, weights, method: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Of a weighted sum of outcome probabilities, by states and by angles."""
    states, angles = states.clone().requires_grad_(), angles.clone().requires_grad_()
    (probabilities(pure.final_state(circuit, states, angles, method)) * weights).sum().backward()
    return states.grad, angles.grad


def setting(built, real: bool, seeds: int = 2, batch: int = 2):
    circuit = circuits.build(*built)
    shape = (seeds, batch, 2**circuit.qubits)
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    return circuit, draw_states(*shape, real=real), draw_angles(seeds, circuit), weights


@pytest.mark.parametrize("real", [True, False], ids=["real", "complex"])
@pytest.mark.parametrize("built", [*DIFFERENTIATED, ("rx_ry_rz", 8, 1, "none"), ("rx_ry_rz", 8, 2, "ring_cnot")])
def test_both_methods_have_the_same_gradients(built, real):
    one, other = (gradients(*setting(built, real), method) for method in METHODS)
    for by_matrix, by_factors in zip(one, other, strict=True):
        assert by_matrix.abs().max() > 0.1
        torch.testing.assert_close(by_matrix, by_factors, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("built", DIFFERENTIATED)
def test_gradient_of_angles_is_the_parameter_shift_rule_of_qiskits_probabilities(built):
    circuit, states, angles, weights = setting(built, real=False, batch=1)

    def loss(theta: torch.Tensor) -> np.ndarray:  # of each seed, in double precision
        return (np.abs(in_qiskit(circuit, whole(states), theta)) ** 2 * weights.numpy()).sum((1, 2))

    shifts = math.pi / 2 * torch.eye(circuit.angles)
    expected = np.stack([(loss(angles + shift) - loss(angles - shift)) / 2 for shift in shifts], axis=1)
    for method in METHODS:
        _, found = gradients(circuit, states, angles, weights, method)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("real", [True, False], ids=["real", "complex"])
@pytest.mark.parametrize("built", DIFFERENTIATED)
def test_gradient_of_states_is_that_of_qiskits_matrix(built, real):
    # d/d psi* of sum_i w_i |U psi|_i^2 is U^+ (w * U psi); its real and imaginary part count twice.
    circuit, states, angles, weights = setting(built, real)
    for method in METHODS:
        found, _ = gradients(circuit, states, angles, weights, method)
        for seed, row in enumerate(angles):
            matrix = Operator(bound(circuit, row)).data
            final = whole(states)[seed] @ matrix.T
            expected = 2 * (weights[seed].numpy() * final) @ matrix.conj()
            parts = expected.real if real else np.stack([expected.real, expected.imag], -1)
            np.testing.assert_allclose(found[seed], parts, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_seeds_and_images_do_not_mix(method):
    circuit, states, angles, weights = setting(("rx_ry_rz", 3, 2, "ring_cnot"), real=False)
    weights[1] = 0
    weights[0, 1] = 0
    by_states, by_angles = gradients(circuit, states, angles, weights, method)
    assert by_states[0, 0].abs().min() > 0 and not by_states[0, 1].any() and not by_states[1].any()
    assert by_angles[0].abs().max() > 0.01 and not by_angles[1].any()


# The choice of the method


@pytest.mark.parametrize(
    ("qubits", "batch", "layers", "entangler", "expected"),
    [
        (1, 1, 1, "none", "matrix"),
        (4, 32, 1, "none", "matrix"),
        (4, 32, 4, "ring_cnot", "matrix"),
        (8, 32, 1, "none", "factors"),
        (8, 32, 4, "ring_cnot", "factors"),
        (5, 32, 4, "ring_cnot", "factors"),
        (5, 1000, 4, "ring_cnot", "matrix"),  # of many images the matrix of several layers is built but once
        (7, 10_000, 4, "ring_cnot", "matrix"),
    ],
)
def test_sizes_decide_which_method_is_cheaper(qubits, batch, layers, entangler, expected):
    assert pure.fewer_operations(circuits.build("rx_ry_rz", qubits, layers, entangler), batch) == expected


@pytest.mark.parametrize(("qubits", "batch"), [(4, 3), (8, 2)])
def test_method_that_is_not_named_is_the_cheaper_one(qubits, batch):
    circuit, states, angles, _ = setting(("rx_ry_rz", qubits, 1, "none"), real=True, batch=batch)
    found = pure.final_state(circuit, states, angles)
    named = pure.final_state(circuit, states, angles, pure.fewer_operations(circuit, batch))
    assert torch.equal(found, named)


@pytest.mark.parametrize(
    "circuit", [circuits.build("rx_ry_rz", 3, 1, "ring_cz"), circuits.build("h_ry", 3, 2, "ring_cnot")]
)
def test_a_circuit_first_used_in_inference_mode_can_be_trained_afterwards(circuit):
    pure.layers.cache_clear()
    states = torch.eye(8)[None, :2]
    with torch.inference_mode():
        pure.final_state(circuit, states, torch.zeros(1, circuit.angles))
    for method in ("matrix", "factors"):
        angles = torch.ones(1, circuit.angles, requires_grad=True)
        outcomes = pure.final_state(circuit, states, angles, method).square().sum(3)
        outcomes.flatten()[::3].sum().backward()
        assert angles.grad.abs().max() > 1e-3


def test_angles_in_any_order_find_their_wires():
    wires = (0, 2, 1, 3)
    circuit = GateList("any order", 4, tuple(Gate("ry", (wire,), place) for wire, place in enumerate(wires)))
    angles = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    found = pure.final_state(circuit, torch.eye(16)[None, :1], angles).square().sum(3).flatten(2)[0, 0]
    torch.testing.assert_close(found, product.probabilities(circuit, angles)[0], atol=1e-6, rtol=0)
