"""v2's students: sizes, gradients, seeds, refusals, and their logits written down gate by gate in Qiskit."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector
from torch.nn import functional

from qkdlib.experiment import Experiment
from qkdlib.students import Student
from qkdlib.study.v2 import revised

GREY, COLOUR = (1, 28, 28), (3, 32, 32)
SHAPES = {"mnist": GREY, "cifar10": COLOUR}
ENCODERS = ("amplitude", "angle", "qubit")
EVERY = list(itertools.product(revised.METHODS, revised.QUBITS, SHAPES))


def images(count: int, shape=GREY, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


def student(seeds=(0, 3), shape=GREY, **fields) -> Student:
    """Fitted to as many images as it takes, where it is fitted."""
    model = Student(revised.student(**fields), shape, list(seeds))
    if model.experiment.reducer == "pca":
        model.fit_reducer(images(2**model.experiment.qubits + 8, shape, seed=5))
    return model


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Cross entropy (S, B, 10) -> (), image i being of class i."""
    return functional.cross_entropy(logits.flatten(0, 1), torch.arange(logits.shape[1]).repeat(len(logits)))


def count_of_features(encoder: str, qubits: int) -> int:
    if encoder == "qubit":
        return qubits
    return 2**qubits if encoder == "amplitude" else math.ceil(2**qubits / qubits) * qubits


# Sizes and gradients


@pytest.mark.parametrize(("method", "qubits", "dataset"), EVERY)
def test_parameters_are_counted_in_closed_form(method, qubits, dataset):
    shape, (reducer, encoder) = SHAPES[dataset], revised.METHODS[method]
    values = math.prod(shape)
    linear = (values + 1) * count_of_features(encoder, qubits) if reducer == "fully_connected" else 0
    for depth in ({"layers": 1}, {"layers": 4, "entangler": "ring_cnot"}):
        task, layers = revised.student(dataset, qubits, method, **depth), depth["layers"]
        model = Student(task, shape, [0, 1, 2])
        assert model.parameter_count() == {"classical": linear + (qubits + 1) * 10, "quantum": 3 * qubits * layers}
        assert sum(parameter.numel() for parameter in model.parameters()) == 3 * sum(model.parameter_count().values())


@pytest.mark.parametrize(("method", "qubits", "dataset"), EVERY)
def test_logits_and_gradients_are_finite_and_reach_every_parameter(method, qubits, dataset):
    model = student((0, 1, 2), SHAPES[dataset], dataset=dataset, method=method, qubits=qubits)
    logits = model(images(4, SHAPES[dataset]))
    assert logits.shape == (3, 4, 10) and torch.isfinite(logits).all()
    entropy(logits).backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        if name != "theta":
            assert parameter.grad.flatten(1).abs().amax(1).min() > 1e-6, name
            assert (parameter.grad != 0).any(0).all(), name
    turns, last = model.theta.grad.split([2 * qubits, qubits], dim=1)
    assert turns.abs().amax(0).min() > 1e-5  # of one seed it may cross 0
    assert last.abs().max() < 1e-6  # RZ turns about the axis that is measured


@pytest.mark.parametrize("method", ["original", "angle", "qubit"])
@pytest.mark.parametrize("qubits", [4, 8])
@pytest.mark.parametrize("entangler", ["none", "ring_cnot", "ring_cz"])
def test_only_the_last_rz_is_lost_on_the_read_out(method, qubits, entangler):
    # CZ is diagonal as RZ is, and CNOT only reorders the outcomes, whose chances RZ leaves alone.
    model = student(method=method, qubits=qubits, layers=2, entangler=entangler)
    entropy(model(images(3))).backward()
    sizes = model.theta.grad.abs().amax(0)
    assert sizes[-qubits:].max() < 1e-6
    assert sizes[:-qubits].min() > 1e-5


# Numbers


def in_qiskit(model: Student, features: np.ndarray, seed: int) -> np.ndarray:
    """<Z> on each wire for one image: encoding and ansatz written out here."""
    qubits, task = model.experiment.qubits, model.experiment
    quantum, start = QuantumCircuit(qubits), Statevector.from_int(0, 2**qubits)
    if task.encoder == "amplitude":
        start = Statevector(features / np.linalg.norm(features))
    elif task.encoder == "angle":
        for place, feature in enumerate(features):
            turn = (quantum.rx, quantum.ry, quantum.rz, quantum.rx)[place // qubits % 4]
            turn(math.pi * (feature if model.reducer.pixels else math.tanh(feature)), place % qubits)
    else:
        for wire, feature in enumerate(features):
            quantum.ry(math.pi * (feature if model.reducer.pixels else 1 / (1 + math.exp(-feature))), wire)
    angles = iter(model.theta[seed].tolist())
    for _ in range(task.layers):
        for turn in (quantum.rx, quantum.ry, quantum.rz):
            for wire in range(qubits):
                turn(next(angles), wire)
        for wire in range(qubits if task.entangler != "none" else 0):
            {"ring_cnot": quantum.cx, "ring_cz": quantum.cz}[task.entangler](wire, (wire + 1) % qubits)
    final = start.evolve(quantum)
    return np.array([final.expectation_value(SparsePauliOp("Z"), [wire]).real for wire in range(qubits)])


@pytest.mark.parametrize("qubits", [4, 5])
@pytest.mark.parametrize(("layers", "entangler"), [(1, "none"), (1, "ring_cnot"), (2, "ring_cz"), (2, "ring_cnot")])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_logits_are_those_of_qiskits_expectations(encoder, layers, entangler, qubits):
    model = student(reducer="fully_connected", encoder=encoder, qubits=qubits, layers=layers, entangler=entangler)
    check_logits(model)


@pytest.mark.parametrize("method", ["max_pool", "center_crop", "pca", "avg_pool"])
def test_logits_of_fixed_reducers_are_those_of_qiskits_expectations(method):
    check_logits(student(method=method))


@pytest.mark.parametrize(("reducer", "encoder"), [("avg_pool", "angle"), ("pca", "qubit"), ("max_pool", "qubit")])
def test_pixels_and_components_become_angles_in_their_own_way(reducer, encoder):
    check_logits(student(reducer=reducer, encoder=encoder))


def check_logits(model: Student):
    x = images(3)
    with torch.no_grad():
        logits, features = model(x), model.reducer(model.reducer.prepare(x)).double().numpy()
    for seed, image in np.ndindex(2, 3):
        expectations = in_qiskit(model, features[seed, image], seed)
        weight, bias = (value[seed].detach().double().numpy() for value in (model.head.weight, model.head.bias))
        np.testing.assert_allclose(logits[seed, image], weight @ expectations + bias, atol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("entangler", ["none", "ring_cnot"])
def test_outcomes_are_probabilities_whose_expectations_are_read_out(encoder, entangler):
    model, x = student(reducer="fully_connected", encoder=encoder, entangler=entangler), images(4)
    with torch.no_grad():
        outcomes, logits = model.outcomes(x), model(x)
        assert torch.equal(outcomes, model.probabilities(x))
    torch.testing.assert_close(outcomes.sum(-1), torch.ones(2, 4), atol=1e-5, rtol=0)
    wires = outcomes.unflatten(2, (2,) * 4)  # wire 3 first
    z = torch.stack([wires.select(5 - wire, 0).sum((2, 3, 4)) * 2 - 1 for wire in range(4)], -1)
    expected = torch.baddbmm(model.head.bias[:, None], z, model.head.weight.transpose(1, 2))
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("readout", ["outcomes", "pauli_z"])
def test_linear_head_takes_what_is_measured(readout):
    model = student(readout=readout, qubits=3)
    assert model.head.weight.shape == (2, 10, {"outcomes": 8, "pauli_z": 3}[readout])
    assert model(images(2)).shape == (2, 2, 10)


def test_other_heads_go_with_the_new_encoders():
    model = student(encoder="qubit", readout="outcomes", head="renormalised", qubits=4)
    with torch.no_grad():
        chances, outcomes = model(images(3)).exp(), model.outcomes(images(3))
    torch.testing.assert_close(chances, outcomes[..., :10] / outcomes[..., :10].sum(-1, keepdim=True))


# Seeds, files, sizes


@pytest.mark.parametrize(("method", "qubits", "dataset"), EVERY)
def test_a_seed_is_the_same_alone_and_in_a_stack(method, qubits, dataset):
    found, x = [], images(5, SHAPES[dataset])
    for seeds in ([3], [1, 3, 0, 2]):
        model = student(seeds, SHAPES[dataset], dataset=dataset, method=method, qubits=qubits)
        logits, place = model(x), seeds.index(3)
        logits.square().sum().backward()
        found.append([logits[place].detach(), *(parameter.grad[place] for parameter in model.parameters())])
    for alone, stacked in zip(*found, strict=True):
        assert torch.equal(alone, stacked)
    assert not torch.allclose(logits[0], logits[1], atol=1e-3)


@pytest.mark.parametrize("method", revised.METHODS)
def test_weights_survive_a_file(tmp_path, method):
    model, other = student((0, 1, 2), method=method), student((2, 0), method=method)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    model.save_weights(tmp_path / "weights.npz")
    assert other.load_weights(tmp_path / "weights.npz")
    for mine, loaded in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine[[2, 0]], loaded)
    torch.testing.assert_close(other(images(3)), model(images(3))[[2, 0]], atol=1e-6, rtol=0)


@pytest.mark.parametrize("qubits", range(2, 11))
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("entangler", ["none", "ring_cnot"])
def test_2_to_10_qubits_work(qubits, encoder, entangler):
    model = student(reducer="fully_connected", encoder=encoder, qubits=qubits, entangler=entangler)
    logits = model(images(1))
    logits.square().sum().backward()
    assert logits.shape == (2, 1, 10) and torch.isfinite(logits).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert model.reducer.out.weight.grad.abs().max() > 1e-6


def test_zero_vectors_are_counted_for_amplitudes_alone():
    x = torch.cat([images(3), torch.zeros(2, *GREY)])
    for method, expected in (("max_pool", [2, 2]), ("original", [0, 0]), ("angle", [0, 0])):
        model = student(method=method)
        assert model.zero_vectors(model.reducer(model.reducer.prepare(x))).tolist() == expected
    published = Student(Experiment(), GREY, [0, 1])
    assert published.zero_vectors(published.reducer(x)).tolist() == [0, 0]


def test_blank_images_have_logits_of_the_ground_state():
    model = student(method="max_pool")
    logits = model(torch.zeros(2, *GREY))
    logits.sum().backward()
    assert torch.isfinite(logits).all() and torch.isfinite(model.theta.grad).all()
    for seed in range(2):  # <Z> of |0> after RX, RY is cos cos
        rx, ry = model.theta[seed, :4], model.theta[seed, 4:8]
        expected = torch.cos(rx) * torch.cos(ry) @ model.head.weight[seed].T + model.head.bias[seed]
        torch.testing.assert_close(logits[seed, 0], expected, atol=1e-6, rtol=0)


# Refusals

PUBLISHED = {"encoder": "ansatz_angles", "readout": "outcomes", "head": "sigmoid_complement"}
PARTS = [
    ({"reducer": "avg_pool", **PUBLISHED}, "^reducer='avg_pool'.*for encoder ansatz_angles"),
    ({"encoder": "ansatz_angles"}, "^head='linear'.*any but linear for encoder ansatz_angles"),
    ({"method": "max_pool", "encoder": "angle", "qubits": 5}, "^reducer='max_pool'.*35 features"),
    ({"head": "softmax"}, "^head='softmax'.*linear for readout pauli_z"),
    ({"readout": "outcomes", "head": "softmax", "qubits": 3}, "^qubits=3.*>= 10 classes"),
    ({"tested": "every_epoch", "patience": 5}, "^tested='every_epoch'.*at_end where patience"),
    ({"tested": "every_epoch", "learning_rates": (1e-3,)}, "^tested='every_epoch'.*at_end where patience"),
    ({"sampler": "multinomial"}, "^gradient='autograd'.*where outcomes are sampled"),
    ({"method": "median_pool"}, "^method='median_pool'.*one of max_pool, center_crop"),
    ({"dropout": 0.5}, "^dropout=0.5.*0 for the fully_connected reducer"),
]


@pytest.mark.parametrize(("fields", "message"), PARTS, ids=[next(iter(fields)) for fields, _ in PARTS])
def test_parts_that_do_not_fit_are_refused_with_one_message(fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        Student(revised.student(**fields), GREY, [0])
    assert "; allowed: " in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.__context__ is None


def test_an_experiment_is_the_methods_reducer_and_encoder():
    for method, (reducer, encoder) in revised.METHODS.items():
        task = revised.student("cifar10", 8, method)
        assert (task.dataset, task.qubits, task.reducer, task.encoder) == ("cifar10", 8, reducer, encoder)
        assert (task.ansatz, task.readout, task.head, task.teacher) == ("rx_ry_rz", "pauli_z", "linear", None)
        assert dataclasses.replace(task, seeds=3).digest == task.digest
