"""tables/cost: what every teacher and student needs (v2's "computational analyses"), computed from the networks and the
circuits themselves; only the seconds come from records."""

import functools
import math

import numpy as np
import pandas as pd
import torch

from qkdlib import circuits, records, teachers
from qkdlib.experiment import Experiment
from qkdlib.records import statistics
from qkdlib.students import Student
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised
from qkdlib.teachers import TeacherLogits, logits_path
from qkdlib.workspace import Workspace

COLUMNS = (
    "network", "images", "classes", "qubits", "reducer", "encoder", "layers", "entangler", "classical_parameters",
    "quantum_parameters", "multiply_adds", "gates", "two_qubit_gates", "depth", "seconds_per_epoch", "seeds", "bytes",
    "error",
)  # fmt: skip
BASIS = ["cx", "rz", "sx", "x"]
SHAPES = {"28x28 grey": (1, 28, 28), "32x32 colour": (3, 32, 32)}
UNITS = (
    "Parameters are trained ones, classical and quantum; bytes: 4 for each. Multiply-adds: the classical ones for one "
    "image, in products and convolutions; a student's circuit comes on top. Gates and depth: encoding of one image and "
    "ansatz together, after Qiskit's transpilation to {" + ", ".join(BASIS) + "} (optimisation level 1, any wire with "
    "any other), with the angles of one generic image. Seconds per epoch: of a teacher with "
    "all training images; of all `seeds` students side by side on one core with 150 images per class, the one "
    "measurement on test images at the end included; from records of MNIST and CIFAR10, on whatever machine made them. "
    "Error: in percent on their test images, after the last epoch; of students the mean over seeds of the placebo."
)


def table(workspace: Workspace) -> pd.DataFrame:
    """One row per teacher and student with the columns `COLUMNS`."""
    rows = [_teacher(name, images, workspace) for images in SHAPES for name in ("lenet", "alexnet", "ensemble")]
    rows += [_student("v1 as run", paper.row(name).experiment, workspace) for name in ("M-B-3q-05", "M-B-4q-07")]
    described = {row.id: row.experiment for row in paper.described_rows()}
    rows += [_student("v1 as described", described[name], workspace) for name in ("M-B-3q-05", "M-B-4q-07")]
    for bar in revised.bars(revised.DEFAULT) + revised.variants():
        if bar.dataset != "fashion_mnist":  # the same student as MNIST's
            rows.append(_student(f"v2 {bar.method}", bar.experiment, workspace, *(c.experiment for c in bar.copies)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _teacher(name: str, images: str, workspace: Workspace) -> dict:
    members = ("lenet", "alexnet") if name == "ensemble" else (name,)
    counts, products = zip(*(_network(member, SHAPES[images]) for member in members), strict=True)
    dataset = "mnist" if images == "28x28 grey" else "cifar10"
    history = [_teacher_history(member, dataset, workspace) for member in members]
    seconds = [float(np.mean([epoch["seconds"] for epoch in epochs])) for epochs in history if epochs]
    own = _teacher_history(name, dataset, workspace)
    return {
        "network": name, "images": images, "classes": 10, "classical_parameters": sum(counts), "quantum_parameters": 0,
        "multiply_adds": sum(products), "bytes": 4 * sum(counts),
        "seconds_per_epoch": sum(seconds) if all(history) else None,
        "error": 100 * (1 - own[-1]["test_accuracy"]) if own else None,
    }  # fmt: skip


def _network(name: str, shape: tuple[int, int, int]) -> tuple[int, int]:
    """Parameters, and multiply-adds for one image, of a teacher of ten classes."""
    with torch.device("meta"):  # shapes without numbers: AlexNet would take seconds to fill
        network = teachers.build(name, shape, 10).eval()
        products = multiply_adds(lambda: network(torch.empty(1, *shape)))
    return sum(parameter.numel() for parameter in network.parameters()), products


def _teacher_history(name: str, dataset: str, workspace: Workspace) -> list[dict]:
    """A teacher's epochs on ten classes; none if it is not there."""
    for copy in revised.bar("original", dataset, 4).copies:
        path = logits_path(workspace, copy.experiment, revised.teacher(name))
        if logits := TeacherLogits.find(path):
            return logits.history
    return []


def _student(network: str, experiment: Experiment, workspace: Workspace, *copies: Experiment) -> dict:
    """`copies`: the experiment on each copy of its images; the first that has a record is shown."""
    images = "32x32 colour" if experiment.dataset == "cifar10" else "28x28 grey"
    shape = SHAPES[images]
    student = Student(experiment, shape, [0])
    count = student.parameter_count()
    recorded = (records.find(each, workspace) for each in copies or (experiment,))
    record = next(filter(None, recorded), None)
    return {
        "network": network, "images": images, "classes": len(experiment.classes),
        **{name: getattr(experiment, name) for name in ("qubits", "reducer", "encoder", "layers", "entangler")},
        "classical_parameters": count["classical"], "quantum_parameters": count["quantum"],
        "multiply_adds": _classical_products(student, shape), **executed(student),
        "bytes": 4 * sum(count.values()), **(_seconds(record) if record else {}),
    }  # fmt: skip


def _seconds(record: records.Record) -> dict:
    """Of the run that added most seeds."""
    run = max(record.provenance, key=lambda entry: len(entry["seeds"]))
    return {
        "seconds_per_epoch": run["seconds"]["training"] / record.experiment.epochs, "seeds": len(run["seeds"]),
        "error": 100 - float(np.mean(statistics.accuracies(record))),
    }  # fmt: skip


def _classical_products(student: Student, shape: tuple[int, int, int]) -> int:
    """Multiply-adds of reducer and head for one image."""
    images = torch.rand(2**student.experiment.qubits, *shape, generator=torch.Generator().manual_seed(0))
    student.fit_reducer(images)
    measured = student.signs.shape[1] if student.experiment.readout == "pauli_z" else student.signs.shape[0]
    with torch.inference_mode():
        reducer = multiply_adds(lambda: student.reducer(student.reducer.prepare(images[:1])))
        return reducer + multiply_adds(lambda: student.head(torch.zeros(1, 1, measured)))


def multiply_adds(compute) -> int:
    """Multiply-adds in the products and convolutions of `compute()`, half of torch's count of operations."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        compute()
    return counter.get_total_flops() // 2


def executed(student: Student) -> dict[str, int]:
    """Gates, gates between wires, and depth of one image's whole circuit on a machine that has the gates `BASIS`."""
    return _transpiled(student.executed)


@functools.cache
def _transpiled(circuit: circuits.GateList) -> dict[str, int]:
    from qiskit import transpile

    # Any angles will do: gates and depth are those of a generic image.
    turns = np.random.default_rng(0).uniform(-math.pi, math.pi, circuit.angles)
    bound = circuits.to_qiskit(circuit, measure=False).assign_parameters(turns)
    found = transpile(bound, basis_gates=BASIS, optimization_level=1, seed_transpiler=0)
    return {"gates": found.size(), "two_qubit_gates": found.num_nonlocal_gates(), "depth": found.depth()}


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Every column as text."""
    shown = frame.astype(object).where(frame.notna(), "")
    for name in (
        "classical_parameters",
        "multiply_adds",
        "gates",
        "two_qubit_gates",
        "depth",
        "bytes",
        "seeds",
        "qubits",
        "layers",
    ):
        shown[name] = ["" if value == "" else f"{int(value):,}" for value in shown[name]]
    for name in ("seconds_per_epoch", "error"):
        shown[name] = ["" if value == "" else f"{value:.2f}" for value in shown[name]]
    return shown
