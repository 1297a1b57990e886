"""The links of a training's chain: their logits and gradients are autograd's of the student itself, whose simulators
are tested against Qiskit; and which students have links of their own."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from qkdlib import circuits, parts
from qkdlib.circuit import Circuit
from qkdlib.circuits import simulation
from qkdlib.experiment import Experiment
from qkdlib.students import Student
from qkdlib.students.chain import ByAutograd, Chain, Sampled, SigmoidComplement
from qkdlib.students.convolutions import Convolutional
from qkdlib.students.expectations import WiresOfRealStates
from qkdlib.students.stacked import Linear, StackedLinear

REVISED = {
    "reducer": "fully_connected", "encoder": "amplitude", "ansatz": "rx_ry_rz", "readout": "pauli_z", "head": "linear",
    "dropout": 0.0, "qubits": 4,
}  # fmt: skip
PUBLISHED = {"gradient": "published_shift"}
TWICE = Circuit(2, ["ry(x[1]) 0", "ry(2*x[0]) 1", "cx 0 1", "rx(x[0]) 1"], name="twice")
OWN = Circuit(3, ["rx(2*w[0]) 0", "ry(w[0]) 1", "cx 0 1", "ry(w[1]) 2"], measure=(0, 2), name="own")
STUDENTS = {
    "published": PUBLISHED,
    "published, leaky, reach": {**PUBLISHED, "activation": "leaky_relu", "angle_reach": 0.5},
    "published, softmax": {**PUBLISHED, "head": "softmax"},
    "shifts, noise": {"gradient": "parameter_shift", "noise": "amplitude_damping", "noise_level": 0.1},
    "autograd": {},
    "scaled": {**PUBLISHED, "logit_scale": 3.0},
    "revised": REVISED,
    "revised, one wire": {**REVISED, "qubits": 1},
    "revised, six wires": {**REVISED, "qubits": 6},
    "two layers": {**REVISED, "layers": 2},
    "H and RY": {**REVISED, "ansatz": "h_ry"},
    "entangled": {**REVISED, "entangler": "ring_cnot", "layers": 2},
    "tanh": {**REVISED, "encoder": "amplitude_tanh"},
    "angle": {**REVISED, "encoder": "angle"},
    "twin": {**REVISED, "ansatz": "classical"},
    "pooled": {**REVISED, "reducer": "avg_pool"},
    "own circuit": {**REVISED, "ansatz": OWN, "qubits": 3},
    "without weights": {**REVISED, "ansatz": Circuit(2, ["h 0", "h 1"], name="hadamard"), "qubits": 2},
    "own features": {"gradient": "parameter_shift", "ansatz": TWICE, "qubits": 2, "classes": (0, 1)},
    "described": {
        **REVISED, "encoder": "amplitude_tanh", "ansatz": "h_ry", "readout": "outcomes", "head": "renormalised",
    },
}  # fmt: skip
LINKS = {
    "published": (Convolutional, Sampled, SigmoidComplement),
    "shifts, noise": (Convolutional, Sampled, SigmoidComplement),
    "autograd": (Convolutional, ByAutograd, SigmoidComplement),
    "revised": (Linear, WiresOfRealStates, Linear),
    "revised, six wires": (Linear, WiresOfRealStates, Linear),
    "pooled": (ByAutograd, WiresOfRealStates, Linear),
    "entangled": (Linear, ByAutograd, Linear),
    "own circuit": (Linear, ByAutograd, Linear),
    "without weights": (Linear, ByAutograd, Linear),
    "own features": (Convolutional, ByAutograd, SigmoidComplement),
}
SHAPES = {"grey": (1, 28, 28), "odd, colour": (3, 17, 22)}


def made(fields: dict, shape=(1, 28, 28)) -> Student:
    """Three students in 64 bits, with gradients of which nobody knows what they hold."""
    student = Student(Experiment(**{"classes": (0, 1, 2), "qubits": 3, **fields}), shape, [0, 1, 2]).double()
    for parameter in student.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    return student.train()


def batch(student: Student, count: int = 5) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """Prepared images, dropout, and a gradient by the logits."""
    draw = torch.Generator().manual_seed(1)
    images = torch.rand(3, count, *student.shape, generator=draw, dtype=torch.float64)
    images[:, 0] = 0  # of which all patches tie
    prepared, masks = student.reducer.prepare(images), student.reducer.masks
    keep = (torch.rand(3, count, masks, generator=draw) < 0.5).double() * 2 if masks else None
    with torch.no_grad():
        upstream = torch.randn(student.logits(prepared, keep).shape, generator=draw, dtype=torch.float64)
    return prepared, keep, upstream


def gradients(student: Student) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in student.named_parameters()}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", STUDENTS)
def test_logits_and_gradients_are_autograds(name, shape):
    student = made(STUDENTS[name], SHAPES[shape])
    prepared, keep, upstream = batch(student)
    with torch.no_grad():
        chain = Chain(student)
        logits = chain.forward(prepared, keep)
        chain.backward(upstream)
    found = gradients(student)
    student.zero_grad()
    expected = student.logits(prepared, keep)
    torch.testing.assert_close(logits, expected.detach())
    expected.backward(upstream)
    for parameter, (part, gradient) in zip(student.parameters(), found.items(), strict=True):
        if parameter.grad is not None and part != "theta":
            torch.testing.assert_close(gradient, parameter.grad, msg=part)
        elif parameter.grad is not None:  # no gradient reaches angles that no measurement sees, which stay as they are
            seen = gradient != 7.0
            torch.testing.assert_close(gradient[seen], parameter.grad[seen])
            assert not parameter.grad[~seen].any() and seen.any()


@pytest.mark.parametrize("name", LINKS)
def test_students_of_the_papers_have_links_of_their_own(name):
    chain = Chain(made(STUDENTS[name]))
    assert (type(chain.reducer), type(chain.layer), type(chain.head)) == LINKS[name]


@settings(max_examples=25, database=None)
@given(
    qubits=st.integers(1, 7),
    layers=st.integers(0, 3),
    ansatz=st.sampled_from(["rx_ry_rz", "h_ry"]),
    seed=st.integers(0, 99),
)
def test_expectations_and_their_gradients_are_those_of_the_state_itself(qubits, layers, ansatz, seed):
    draw = torch.Generator().manual_seed(seed)
    described = circuits.build(ansatz, qubits, max(layers, 1))
    circuit = dataclasses.replace(described, gates=described.gates if layers else ())
    theta = torch.nn.Parameter(torch.randn(2, max(described.angles, 1), generator=draw, dtype=torch.float64))
    theta.grad = torch.zeros_like(theta)
    outcomes = torch.arange(2**qubits)
    signs = 1 - 2 * (outcomes[:, None] >> torch.arange(qubits) & 1).double()
    features = torch.randn(2, 3, 2**qubits, generator=draw, dtype=torch.float64)
    upstream = torch.randn(2, 3, qubits, generator=draw, dtype=torch.float64)
    with torch.no_grad():
        link = WiresOfRealStates(circuit, theta, needed=True)
        found, by_features = link.forward(features), link.backward(upstream)
    f = features.clone().requires_grad_()
    state = f / f.norm(dim=-1, keepdim=True)
    expected = simulation.after_encoding(circuit, state, theta[:, : circuit.angles]) @ signs
    torch.testing.assert_close(found, expected.detach())
    leaves = [f, theta] if circuit.angles else [f]
    by_f, *by_theta = torch.autograd.grad(expected, leaves, upstream)
    torch.testing.assert_close(by_features, by_f)
    for each in by_theta:
        torch.testing.assert_close(theta.grad, each)


def test_a_zero_vector_is_the_ground_state_and_moves_nothing():
    student = made(REVISED)
    link = Chain(student).layer
    features = torch.zeros(3, 2, 16, dtype=torch.float64)
    features[:, 1, 0] = 2.5  # |0...0>, too
    with torch.no_grad():
        found = link.forward(features)
        by_features = link.backward(torch.ones(3, 2, 4, dtype=torch.float64))
    torch.testing.assert_close(found[:, 0], found[:, 1])
    assert not by_features[:, 0].any() and by_features.isfinite().all()


class Frozen(nn.Module):
    """A reducer of two layers, of which the first is not trained."""

    def __init__(self, shape, features, generators, dropout):
        super().__init__()
        self.first = StackedLinear(math.prod(shape), 5, generators).requires_grad_(False)
        self.second = StackedLinear(5, features, generators)

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        x = x.flatten(-3)
        return self.second(torch.tanh(self.first(x if x.ndim == 3 else x.expand(len(self.first.weight), -1, -1))))


@pytest.fixture
def frozen(monkeypatch) -> Student:
    monkeypatch.setattr(parts, "_registered", dict(parts._registered))
    monkeypatch.setattr(parts, "_latest", dict(parts._latest))
    parts.register("reducer", "frozen", "1", code=Frozen)
    return made({**REVISED, "reducer": "frozen"})


def test_weights_that_are_not_trained_are_left_alone(frozen):
    prepared, _, upstream = batch(frozen)
    with torch.no_grad():
        chain = Chain(frozen)
        chain.forward(prepared)
        chain.backward(upstream)
    assert all((parameter.grad == 7).all() for parameter in frozen.reducer.first.parameters())
    second = list(frozen.reducer.second.parameters())
    expected = torch.autograd.grad(frozen.logits(prepared), second, upstream)
    torch.testing.assert_close(tuple(parameter.grad for parameter in second), expected)
    frozen.reducer.requires_grad_(False)  # all of it
    with torch.no_grad():
        chain = Chain(frozen)
        chain.forward(prepared)
        chain.backward(upstream)
    (expected,) = torch.autograd.grad(frozen.logits(prepared), [frozen.theta], upstream)
    torch.testing.assert_close(frozen.theta.grad[:, :8], expected[:, :8])  # no measurement sees the last angles


def test_weights_that_a_batch_does_not_see_have_no_gradient_of_an_earlier_one():
    weight, other = (nn.Parameter(torch.ones(3)) for _ in range(2))
    weight.grad, other.grad = torch.full((3,), 7.0), torch.full((3,), 7.0)
    link = ByAutograd(lambda x: x * weight if x.any() else x * other, [weight, other], needed=True)
    for x, expected in (
        (torch.arange(3.0), (torch.arange(3.0), torch.zeros(3))),
        (torch.zeros(3), (torch.zeros(3),) * 2),
    ):
        with torch.no_grad():
            link.forward(x)
            link.backward(torch.ones(3))
        assert torch.equal(weight.grad, expected[0]) and torch.equal(other.grad, expected[1])
