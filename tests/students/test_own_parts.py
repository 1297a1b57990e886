"""Parts of one's own in a student: an example of each kind, and what is said of one that does not fit."""

import math
import re

import pytest
import torch
from torch import nn
from torch.nn import functional

import qkdlib
from qkdlib import circuits, parts, students
from qkdlib.experiment import Experiment
from qkdlib.students import Student
from qkdlib.students.stacked import StackedLinear, uniform

GREY = (1, 28, 28)
BASE = {
    "dataset": "digits", "classes": (0, 1, 2), "reducer": "fully_connected", "encoder": "qubit", "ansatz": "rx_ry_rz",
    "readout": "pauli_z", "head": "linear", "dropout": 0.0, "qubits": 3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_parts(monkeypatch):
    """Nothing is registered, before and after."""
    monkeypatch.setattr(parts, "_registered", {})
    monkeypatch.setattr(parts, "_latest", {})


class TwoLayers(nn.Module):
    """A reducer: two linear layers, with dropout between."""

    def __init__(self, shape, features, generators, dropout):
        super().__init__()
        self.masks = 12 if dropout else 0
        self.first = StackedLinear(math.prod(shape), 12, generators)
        self.second = StackedLinear(12, features, generators)

    def forward(self, images, keep=None):
        flat = images.flatten(-3)
        hidden = torch.tanh(self.first(flat if flat.ndim == 3 else flat.expand(len(self.first.weight), -1, -1)))
        return self.second(hidden if keep is None else hidden * keep)


class Prepared(students.Reducer):
    """A reducer: a linear layer of the rows' means, which `prepare` computes once."""

    def __init__(self, shape, features, generators, dropout):
        super().__init__()
        self.layer = StackedLinear(shape[1], features, generators)

    def prepare(self, images):
        return images.mean((-3, -1))

    def forward(self, rows, keep=None):
        return self.layer(rows if rows.ndim == 3 else rows.expand(len(self.layer.weight), -1, -1))


class Arctan(students.Angle):
    """An encoder: angles 2 arctan f."""

    def angles(self, features):
        return 2 * torch.atan(features)


class Pair(students.Encoder):
    """An encoder of real amplitudes: RY(pi f) on the first wire alone, then a CNOT to the next one."""

    def __init__(self, qubits):
        gates = (circuits.Gate("ry", (0,), 0), circuits.Gate("cx", (0, 1)))
        self.circuit = circuits.GateList("pair", qubits, gates)

    @staticmethod
    def features(qubits):
        return 1

    def angles(self, features):
        return math.pi * features

    def state(self, features):
        half = math.pi * features[..., 0] / 2
        places = functional.one_hot(torch.tensor([0, 3]), 2**self.circuit.qubits).to(half)
        return torch.cos(half)[..., None] * places[0] + torch.sin(half)[..., None] * places[1]


def logarithm(outcomes):
    return torch.log(outcomes + 1e-6)


class Scaled(nn.Module):
    """A head with weights: a factor for each measured number, of which the first are the classes."""

    def __init__(self, measured, classes, generators):
        super().__init__()
        self.scale = uniform((measured,), 1, generators)

    def forward(self, measured):
        return 5 * self.scale[:, None] * measured


EXAMPLES = {
    "reducer": (TwoLayers, {}),
    "reducer with dropout": (TwoLayers, {"dropout": 0.2}),
    "prepared reducer": (Prepared, {"learning_rate": 0.01}),
    "encoder": (Arctan, {}),
    "encoder of amplitudes": (Pair, {}),
    "head": (logarithm, {"readout": "outcomes"}),
    "head with weights": (Scaled, {}),
}


def kind_of(name: str) -> str:
    """Of an example."""
    return next(kind for kind in parts.FIELDS if kind in name)


def with_part(kind: str, code, **fields) -> Experiment:
    """An experiment with this part, registered anew."""
    qkdlib.register(kind, "part", code=code)
    return Experiment(**{**BASE, parts.FIELDS[kind]: "part", **fields})


def images(count: int = 4) -> torch.Tensor:
    return torch.rand(count, *GREY, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_part_of_each_kind_trains_through_run_and_is_found_again(name, workspace):
    code, fields = EXAMPLES[name]
    training = {
        "classes": (0, 1), "train_per_class": 20, "validation_per_class": 2, "test_per_class": 20, "epochs": 20,
        "batch_size": 10, "learning_rate": 0.003, "seeds": 3,
    }  # fmt: skip
    task = with_part(kind_of(name), code, **{**training, **fields})
    record = qkdlib.run(task, workspace=workspace, device="cpu")
    accuracy = [results["test_accuracy"][-1] for results in record.seeds.values()]
    assert sum(accuracy) / 3 > 0.65  # chance is 0.5
    assert qkdlib.run(task, workspace=workspace, device="cpu").seeds == record.seeds
    student = qkdlib.trained_student(record, workspace=workspace, device="cpu")
    assert student(images()).shape[:2] == (3, 4)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_seed_is_the_same_alone_and_beside_others(name):
    code, fields = EXAMPLES[name]
    task = with_part(kind_of(name), code, **fields)
    stack, alone = (Student(task, GREY, seeds).fit_reducer(images()).eval() for seeds in ([0, 3, 5], [3]))
    torch.testing.assert_close(stack(images())[1], alone(images())[0])


def test_an_own_encoder_is_executed_as_it_is_simulated():
    student = Student(with_part("encoder", Pair), GREY, [0, 1]).fit_reducer(images())
    features = student.reducer(student.reducer.prepare(images()))
    executed = circuits.exact(student.executed, student.angles(images()))
    torch.testing.assert_close(student.probabilities(images()), executed, atol=1e-6, rtol=0)
    assert features.shape == (2, 4, 1)


def test_features_may_be_pixels_for_an_encoder_as_for_the_built_in_ones():
    seen = Student(with_part("encoder", Arctan, reducer="avg_pool", qubits=4), GREY, [0])
    assert seen.encoder.pixels and not Student(with_part("encoder", Arctan), GREY, [0]).encoder.pixels


# Parts that do not fit


class Narrow(TwoLayers):
    def forward(self, images, keep=None):
        return super().forward(images, keep)[..., :-1]


class Shared(nn.Module):
    def __init__(self, shape, features, generators, dropout):
        super().__init__()
        self.layer = nn.Linear(math.prod(shape), features)

    def forward(self, images, keep=None):
        return self.layer(images.flatten(-3))


class Broken(TwoLayers):
    def forward(self, images, keep=None):
        return images @ self.first.weight


class Infinite(TwoLayers):
    def forward(self, images, keep=None):
        return super().forward(images, keep) / 0


class Other(Arctan):
    def angles(self, features):
        return super().angles(features) + 1

    def state(self, features):
        return Arctan.state(self, features * 0)


class Few(Arctan):
    def angles(self, features):
        return super().angles(features)[..., 1:]


class Real(Pair):
    def state(self, features):
        return super().state(features)[..., :4]


class Wide(Pair):
    def __init__(self, qubits):
        super().__init__(qubits + 1)


class NoState:
    features, circuit, product = staticmethod(lambda qubits: qubits), None, True

    def __init__(self, qubits):
        pass

    def angles(self, features):
        return features


class Centred(TwoLayers):
    def forward(self, images, keep=None):
        features = super().forward(images, keep)
        return features - features.mean((0, 1))


class Counting(TwoLayers):
    def __init__(self, *given):
        super().__init__(*given)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images, keep=None):
        self.seen += 1
        return super().forward(images, keep)


class Random(TwoLayers):
    def forward(self, images, keep=None):
        return functional.dropout(super().forward(images, keep))


class Normed(nn.Module):
    def __init__(self, measured, classes, generators):
        super().__init__()
        self.layer, self.norm = StackedLinear(measured, classes, generators), nn.BatchNorm1d(2, affine=False)

    def forward(self, measured):
        return self.norm(self.layer(measured))


@pytest.mark.parametrize(
    ("kind", "code", "fields", "message"),
    [
        ("reducer", Centred, {}, "does not mix the seeds"),
        ("reducer", Counting, {}, "whose buffers stay as they are once it is fitted; seen changes"),
        ("reducer", Random, {}, "gives the same numbers again; dropout is a reducer's `masks`"),
        ("head", lambda z: z - z.mean((0, 1)), {}, "does not mix the seeds"),
        ("head", Normed, {}, "whose buffers stay as they are once it is fitted; norm.running_mean changes"),
        ("reducer", Narrow, {}, r"3 features of every image.*shape \(2, 2, 3\), and not \(2, 2, 2\)"),
        ("reducer", Shared, {}, "weights have a first axis of 2 seeds; layer.weight has"),
        ("reducer", Broken, {}, "3 features of every image; it raised RuntimeError"),
        ("reducer", Infinite, {}, "all of them finite"),
        ("encoder", Other, {}, "whose state is what its circuit prepares.*differ by up to 0"),
        ("encoder", Few, {}, r"angles of its circuit: shape \(1, 2, 9\), and not \(1, 2, 8\)"),
        ("encoder", Real, {}, r"amplitudes where product is False: shape \(1, 2, 8\), and not \(1, 2, 4\)"),
        ("encoder", Wide, {}, "whose circuit has 3 qubits, not 4"),
        ("encoder", NoState, {}, "a class with features, circuit, product, angles, state; it has no state"),
        ("head", lambda z: z[..., :2], {}, r"3 classes or more: shape \(2, 2, 3\), and not \(2, 2, 2\)"),
        ("head", lambda z: z[0], {}, r"and not \(2, 3\)"),
        ("head", lambda z: torch.log(z - 9), {}, "all of them finite"),
        ("head", lambda z: 1, {}, "and not int"),
        ("head", lambda z: z @ z, {}, "it raised RuntimeError"),
    ],
)
def test_a_part_that_does_not_fit_is_one_line_before_a_training(kind, code, fields, message):
    task = with_part(kind, code, **fields)
    description = getattr(task, parts.FIELDS[kind])
    with pytest.raises(ValueError, match=f"^{kind}='{re.escape(description)}' .*{message}") as caught:
        Student(task, GREY, [0, 1]).fit_reducer(images())
    assert len(str(caught.value).splitlines()) == 1


def test_dropout_that_a_reducer_does_not_know_is_refused():
    task = with_part("reducer", Prepared, dropout=0.5)
    with pytest.raises(ValueError, match="^dropout=0.5 .*0 for reducer part@.*no masks"):
        Student(task, GREY, [0]).fit_reducer(images())


@pytest.mark.parametrize("kind", ["reducer", "encoder", "head"])
def test_a_part_of_another_process_cannot_be_built(kind, workspace):
    task = Experiment(**{**BASE, parts.FIELDS[kind]: "part@1a2b3c4d"})
    message = f"^{kind}='part@1a2b3c4d' .*qkdlib.register.*none called part is registered"
    with pytest.raises(ValueError, match=message):
        Student(task, GREY, [0])
    for asked in (qkdlib.run, qkdlib.trained_student):
        with pytest.raises(ValueError, match=message):
            asked(task, workspace=workspace, device="cpu")
    assert not list(workspace.students.glob("*"))
