"""tables/cost in closed form: parameters, multiply-adds, gates; seconds from records and nowhere else."""

import itertools

import numpy as np
import pytest
import qiskit
import synthetic
import torch
from qiskit.quantum_info import Statevector
from synthetic import SECONDS, few_bars, revised_record, save_logits

from qkdlib import records
from qkdlib.students import Student
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import cost, revised
from qkdlib.workspace import Workspace

VALUES = {"28x28 grey": 784, "32x32 colour": 3072}
BASIS = {"cx", "rz", "sx", "x"}
VARIANT = list(itertools.product((1, 2, 4), ("none", "ring_cnot", "ring_cz")))
COUNTS = ["gates", "two_qubit_gates", "depth"]


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """The table of a workspace without any record."""
    return cost.table(Workspace(tmp_path_factory.mktemp("empty")))


@pytest.fixture(scope="module")
def v2(frame):
    return frame[frame.network.str.startswith("v2 ")]


def lenet(channels: int, side: int) -> tuple[int, int]:
    """Parameters and multiply-adds of LeNet-5 for ten classes: two convolutions of 5x5, each halved by pooling."""
    first, second = side - 4, (side - 4) // 2 - 4
    maps = [(channels, 6, first), (6, 16, second)]
    linear = [(16 * (second // 2) ** 2, 120), (120, 84), (84, 10)]
    count = sum((25 * n + 1) * m for n, m, _ in maps) + sum((n + 1) * m for n, m in linear)
    return count, sum(25 * n * m * s**2 for n, m, s in maps) + sum(n * m for n, m in linear)


def alexnet(channels: int, side: int) -> tuple[int, int]:
    """The same of the paper's AlexNet: three padded convolutions of 3x3, the first two halved by pooling."""
    maps = [(channels, 64, side), (64, 192, side // 2), (192, 384, side // 4)]
    linear = [(384 * (side // 4) ** 2, 4096), (4096, 4096), (4096, 10)]
    count = sum((9 * n + 1) * m for n, m, _ in maps) + sum((n + 1) * m for n, m in linear)
    return count, sum(9 * n * m * s**2 for n, m, s in maps) + sum(n * m for n, m in linear)


# Which rows there are


def test_every_teacher_and_student_is_there(frame, v2):
    assert frame.columns.tolist() == list(cost.COLUMNS)
    assert not frame.duplicated(["network", "images", "qubits", "layers", "entangler"]).any()
    assert len(frame) == 6 + 4 + len(v2)
    assert frame.network[:6].tolist() == ["lenet", "alexnet", "ensemble"] * 2
    assert frame.network[6:10].tolist() == ["v1 as run"] * 2 + ["v1 as described"] * 2
    methods, sizes = revised.METHODS, list(itertools.product(VALUES, (4, 8)))
    wanted = {(f"v2 {name}", *size, 1, "none") for name in methods for size in sizes}
    wanted |= {("v2 original", *size, *variant) for size in sizes for variant in VARIANT}
    assert len(v2) == len(wanted) == 28 + 32
    assert set(v2[["network", "images", "qubits", "layers", "entangler"]].itertuples(index=False, name=None)) == wanted


def test_classes_of_v1_and_v2(frame, v2):
    assert frame.classes[6:10].tolist() == [6, 8, 6, 8]
    assert set(v2.classes) == set(frame.classes[:6]) == {10}


# Classical


def test_teachers_in_closed_form(frame):
    for line, (shape, build) in zip(
        frame[:6].itertuples(), itertools.product(((1, 28), (3, 32)), (lenet, alexnet, None)), strict=True
    ):
        both = [build(*shape)] if build else [lenet(*shape), alexnet(*shape)]  # an ensemble needs both
        assert (line.classical_parameters, line.multiply_adds) == tuple(np.sum(both, axis=0))
        assert line.quantum_parameters == 0
    assert lenet(1, 28) == (44_426, 281_640)


def test_students_of_v1_in_closed_form(frame):
    """The notebooks' convolutional front end; as described one linear layer, and an angle for each wire."""
    three, four, described_three, described_four = frame[6:10].itertuples()
    convolutions, products = 10 * 26 + 20 * 251 + 50 * 321, 10 * 25 * 24**2 + 20 * 250 * 8**2 + 50 * 320
    for line, qubits in ((three, 3), (four, 4)):
        assert (line.classical_parameters, line.quantum_parameters) == (convolutions + 51 * qubits, 0)
        assert line.multiply_adds == products + 50 * qubits
    for line, qubits in ((described_three, 3), (described_four, 4)):
        assert (line.classical_parameters, line.quantum_parameters) == (785 * 2**qubits, qubits)
        assert line.multiply_adds == 784 * 2**qubits


def test_students_of_v2_in_closed_form(v2):
    for line in v2.itertuples():
        values, head = VALUES[line.images], line.qubits * 10
        features = line.qubits if line.encoder == "qubit" else 2**line.qubits
        trained = (values + 1) * features if line.reducer == "fully_connected" else 0
        assert line.classical_parameters == trained + head + 10, line
        assert line.quantum_parameters == 3 * line.qubits * line.layers
        # PCA's components are found and not trained, but multiplied like any other.
        assert line.multiply_adds == (values * features if line.reducer in ("fully_connected", "pca") else 0) + head


def test_bytes_are_four_for_each_parameter(frame):
    assert (frame.bytes == 4 * (frame.classical_parameters + frame.quantum_parameters)).all()


def test_multiply_adds_of_a_product_and_a_convolution():
    linear, convolution = torch.nn.Linear(5, 3), torch.nn.Conv2d(2, 4, 3)
    assert cost.multiply_adds(lambda: linear(torch.zeros(2, 5))) == 2 * 5 * 3
    assert cost.multiply_adds(lambda: convolution(torch.zeros(1, 2, 6, 7))) == 4 * 5 * 4 * 2 * 9
    assert cost.multiply_adds(lambda: torch.zeros(3) + 1) == 0


# Circuits


def test_teachers_have_no_circuit(frame):
    assert frame.loc[:5, COUNTS].isna().all(axis=None) and frame.loc[6:, COUNTS].notna().all(axis=None)


def test_angle_and_qubit_encodings_are_one_rotation_per_wire(v2):
    """However many features are turned into angles: any rotation is RZ SX RZ SX RZ."""
    found = v2[v2.encoder.isin(["angle", "qubit"])]
    assert len(found) == 2 * 4
    assert (found.gates == 5 * found.qubits).all() and set(found.depth) == {5}
    assert set(found.two_qubit_gates) == {0}


def test_a_real_state_needs_a_gate_between_wires_for_all_but_two_of_its_amplitudes(frame):
    """2^Q - 2 CNOTs: a tree of rotations, 2^k of them for the wire with k controls, k > 0."""
    plain = frame[frame.encoder.isin(["amplitude", "amplitude_tanh"]) & (frame.entangler == "none")]
    assert set(plain.qubits) == {3, 4, 8}
    assert (plain.two_qubit_gates == 2**plain.qubits - 2).all()
    assert (plain.depth > plain.two_qubit_gates).all()


def test_an_entangler_adds_a_gate_between_wires_per_wire_and_layer(v2):
    """And layers without one add nothing: their gates on a wire are one rotation again."""
    plain = v2[(v2.network == "v2 original") & (v2.entangler == "none")].set_index(["images", "qubits", "layers"])
    for (images, qubits, _), line in plain.iterrows():
        assert line[COUNTS].tolist() == plain.loc[(images, qubits, 1), COUNTS].tolist()
    for line in v2[v2.entangler != "none"].itertuples():
        without = plain.loc[(line.images, line.qubits, line.layers)]
        assert line.two_qubit_gates == without.two_qubit_gates + line.layers * line.qubits
        assert line.gates > without.gates and line.depth > without.depth


def test_the_same_circuit_costs_the_same_whatever_the_image(v2):
    names = ["network", "qubits", "layers", "entangler"]
    grey, colour = (v2[v2.images == name].set_index(names)[COUNTS] for name in VALUES)
    assert grey.sort_index().equals(colour.sort_index())


@pytest.fixture
def transpiled(monkeypatch):
    """The circuits that are transpiled, before and after."""
    pairs, transpile = [], qiskit.transpile

    def watched(circuit, *given, **named):
        pairs.append((circuit, transpile(circuit, *given, **named)))
        return pairs[-1][1]

    monkeypatch.setattr(qiskit, "transpile", watched)
    cost._transpiled.cache_clear()
    yield pairs
    cost._transpiled.cache_clear()


@pytest.mark.parametrize(
    ("experiment", "gates"),
    [
        (revised.student(), 35 + 12),  # the state, and three rotations on each wire
        (revised.student(layers=2, entangler="ring_cz"), 35 + 2 * (12 + 4)),
        (revised.student(method="angle"), 16 + 12),
        (revised.student(method="qubit"), 4 + 12),
        (paper.row("M-B-3q-05").experiment, 3 + 3),
    ],
    ids=["amplitude", "entangled", "angle", "qubit", "v1"],
)
def test_what_is_counted_is_the_whole_circuit_in_the_gates_of_the_basis(transpiled, experiment, gates):
    counted = cost.executed(Student(experiment, (1, 28, 28), [0]))
    ((before, after),) = transpiled
    assert before.size() == gates
    assert set(after.count_ops()) <= BASIS
    assert Statevector(after).equiv(Statevector(before))
    between = sum(count for name, count in after.count_ops().items() if name == "cx")
    assert counted == {"gates": sum(after.count_ops().values()), "two_qubit_gates": between, "depth": after.depth()}


# Seconds


def test_without_records_there_are_no_seconds(frame):
    assert frame[["seconds_per_epoch", "seeds", "error"]].isna().all(axis=None)


@pytest.fixture
def few(monkeypatch):
    few_bars(monkeypatch)
    monkeypatch.setattr(cost, "executed", lambda student: {})


def seconds(workspace) -> dict:
    """Seconds per epoch and seeds, of the rows that have them, by network and depth."""
    frame = cost.table(workspace).set_index(["network", "images", "qubits", "layers", "entangler"])
    found = frame[frame.seconds_per_epoch.notna()]
    return {
        tuple(part for part in name if part == part): (line.seconds_per_epoch, line.seeds)
        for name, line in found.iterrows()
    }


def run_of(experiment, *parts: tuple[int, float]) -> records.Record:
    """A record whose seeds were trained in several runs, of so many seeds in so many seconds."""
    lasts = [0.5] * sum(count for count, _ in parts)
    if experiment.tested == "every_epoch":
        record = synthetic.record(experiment, lasts)
    else:
        record = revised_record(experiment, lasts, np.random.default_rng(0))
    record.provenance, first = [], 0
    for count, time in parts:
        record.provenance.append({"seeds": list(range(first, first + count)), "seconds": {"training": time}})
        first += count
    return record


def test_seconds_of_a_student_are_those_of_the_run_with_most_seeds(few, workspace):
    bar = revised.bar("qubit", "mnist", 4)
    run_of(bar.experiment, (3, 900.0), (7, 20.0)).save(workspace)
    run_of(bar.arms["lenet"], (10, 70.0)).save(workspace)  # the placebo's are shown
    run_of(revised.bar("qubit", "mnist", 4, regime=revised.CONVERGED).experiment, (10, 80.0)).save(workspace)
    run_of(revised.variants()[0].experiment, (10, 50.0)).save(workspace)
    assert seconds(workspace) == {
        ("v2 qubit", "28x28 grey", 4, 1, "none"): (2.0, 7), ("v2 original", "28x28 grey", 4, 2, "none"): (5.0, 10),
    }  # fmt: skip


def test_seconds_of_cifar10_are_those_of_the_first_copy_that_has_a_record(few, monkeypatch, workspace):
    bar = revised.bar("angle", "cifar10", 8)
    monkeypatch.setattr(revised, "bars", lambda *_: [bar])
    original, jpeg = bar.copies
    name = ("v2 angle", "32x32 colour", 8, 1, "none")
    run_of(jpeg.experiment, (10, 30.0)).save(workspace)
    assert seconds(workspace) == {name: (3.0, 10)}
    run_of(original.experiment, (10, 40.0)).save(workspace)
    assert seconds(workspace) == {name: (4.0, 10)}


def test_seconds_of_v1s_students(few, workspace):
    for place, name in enumerate(("M-B-3q-05", "M-B-4q-07", "F-B-4q-07")):
        run_of(paper.row(name).experiment, (20, 10.0 + place)).save(workspace)
    described = {row.id: row.experiment for row in paper.described_rows()}["M-B-4q-07"]
    run_of(described, (20, 15.0)).save(workspace)
    assert seconds(workspace) == {
        ("v1 as run", "28x28 grey", 3, 1, "none"): (1.0, 20), ("v1 as run", "28x28 grey", 4, 1, "none"): (1.1, 20),
        ("v1 as described", "28x28 grey", 4, 1, "none"): (1.5, 20),
    }  # fmt: skip


def test_seconds_of_teachers_are_means_over_epochs_and_an_ensembles_those_of_both(few, workspace):
    def save(dataset: str, name: str, copy: int = 0) -> None:
        task = revised.bar("original", dataset, 4).copies[copy].experiment
        save_logits(workspace, task.distilled(revised.teacher(name)), [0.5, 0.6, 0.7])

    def found() -> dict:
        return {name[:2]: time for name, (time, _) in seconds(workspace).items()}

    save("mnist", "alexnet")
    save("fashion_mnist", "lenet")  # not shown
    assert found() == {("alexnet", "28x28 grey"): SECONDS}
    save("mnist", "lenet")
    save("cifar10", "lenet", -1)
    assert found() == {
        ("lenet", "28x28 grey"): SECONDS, ("alexnet", "28x28 grey"): SECONDS, ("ensemble", "28x28 grey"): 2 * SECONDS,
        ("lenet", "32x32 colour"): SECONDS,
    }  # fmt: skip


# Errors


def test_errors_are_those_of_the_last_epoch_and_students_those_of_the_placebo(few, workspace):
    """An ensemble's are its own, not its members', and each data set's those of the images that the row is about."""
    bar = revised.bar("qubit", "mnist", 4)
    accuracies = {None: np.linspace(0.6, 0.78, 10), "lenet": [0.9] * 10, "alexnet": [0.8] * 10}
    for name, experiment in bar.arms.items():
        revised_record(experiment, accuracies[name], np.random.default_rng(0)).save(workspace)
    for name, last in (("lenet", 0.97), ("alexnet", 0.98), ("ensemble", 0.99)):
        save_logits(workspace, bar.experiment.distilled(revised.teacher(name)), [0.999, last])
    jpeg = revised.bar("original", "cifar10", 4).copies[-1].experiment
    save_logits(workspace, jpeg.distilled(revised.teacher("lenet")), [0.7, 0.6])
    there = cost.table(workspace).set_index(["network", "images"])
    found = there.error[there.error.notna()].to_dict()
    assert found == pytest.approx({
        ("lenet", "28x28 grey"): 3, ("alexnet", "28x28 grey"): 2, ("ensemble", "28x28 grey"): 1,
        ("lenet", "32x32 colour"): 40, ("v2 qubit", "28x28 grey"): 31,
    })  # fmt: skip
    shown = cost.readable(there.reset_index()).set_index(["network", "images"]).error
    assert (shown["v2 qubit", "28x28 grey"], shown["alexnet", "32x32 colour"]) == ("31.00", "")


# Text


def test_readable_text(frame):
    shown = cost.readable(frame)
    assert shown.columns.tolist() == list(cost.COLUMNS)
    assert not shown.map(lambda cell: str(cell).lower() in ("nan", "<na>")).any(axis=None)
    lenet_, *_ = shown.to_dict("records")
    assert (lenet_["classical_parameters"], lenet_["multiply_adds"], lenet_["bytes"]) == (
        "44,426",
        "281,640",
        "177,704",
    )
    assert lenet_["gates"] == lenet_["qubits"] == lenet_["seconds_per_epoch"] == lenet_["encoder"] == ""
    assert shown.qubits[10:].isin(["4", "8"]).all()
