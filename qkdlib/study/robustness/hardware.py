"""tables/hardware: what one test set and one epoch of training would ask of a quantum computer, computed from the
declared students and their circuits."""

import functools

import pandas as pd

from qkdlib import backends
from qkdlib.circuits import simulation
from qkdlib.experiment import Experiment
from qkdlib.students import Student
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised

SHOTS = 5000
SECONDS_PER_SHOT = 250e-6  # reset, circuit and read-out of a superconducting device; queues and loading not counted
SHAPE = (1, 28, 28)
COLUMNS = (
    "student", "qubits", "encoder", "depth", "two_qubit_gates", "line_depth", "line_two_qubit_gates", "test_images",
    "test_circuits", "test_shots", "test_hours", "training_images", "circuits_per_image", "epoch_circuits",
    "epoch_shots", "epoch_hours",
)  # fmt: skip
TESTED = {"published": 150, "revised": 1000}  # images per class of MNIST, about
UNITS = (
    f"One test set, and one epoch of training by the parameter-shift rule, {SHOTS} shots per circuit. A training image "
    "takes 1 + 2 A circuits for A angles, because the reducer's gradient needs those of the encoder, too. Depth and "
    "two-qubit gates of one image's circuit as it is written, and on a device with {cx, rz, sx, x} and its qubits in "
    f"a line. Hours: {1e6 * SECONDS_PER_SHOT:.0f} microseconds per shot, without queues."
)


def table() -> pd.DataFrame:
    """One row per kind of student with the columns `COLUMNS`."""
    rows = [_row("published", paper.row(name).experiment) for name in ("M-B-3q-05", "M-B-4q-07")]
    for method in ("qubit", "angle", "original"):
        rows += [_row("revised", revised.student("mnist", qubits, method)) for qubits in (4, 8, 10)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@functools.cache
def _row(name: str, experiment: Experiment) -> dict:
    circuit, classes = Student(experiment, SHAPE, [0]).executed, len(experiment.classes)
    written, line = backends.aer().facts(circuit), backends.noiseless_device(experiment.qubits).facts(circuit)
    tested, trained = TESTED[name] * classes, experiment.train_per_class * classes
    per_image = simulation.shifted_circuits(circuit)
    return {
        "student": name, "qubits": experiment.qubits, "encoder": experiment.encoder, "depth": written.depth,
        "two_qubit_gates": written.two_qubit_gates, "line_depth": line.depth,
        "line_two_qubit_gates": line.two_qubit_gates, "test_images": tested, "test_circuits": tested,
        "test_shots": tested * SHOTS, "test_hours": _hours(tested), "training_images": trained,
        "circuits_per_image": per_image, "epoch_circuits": trained * per_image,
        "epoch_shots": trained * per_image * SHOTS, "epoch_hours": _hours(trained * per_image),
    }  # fmt: skip


def _hours(circuits: int) -> float:
    return circuits * SHOTS * SECONDS_PER_SHOT / 3600


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that a reader wants first, as text."""
    return pd.DataFrame([_readable_row(row) for row in frame.to_dict("records")])


def _readable_row(row: dict) -> dict[str, str]:
    encoder = "angles" if row["encoder"] == "ansatz_angles" else row["encoder"]
    return {
        "student": f"{row['student']}, {row['qubits']} qubits, {encoder}",
        "depth": f"{row['depth']:,}",
        "CNOTs": f"{row['two_qubit_gates']:,}",
        "depth, CNOTs in a line": f"{row['line_depth']:,}, {row['line_two_qubit_gates']:,}",
        "test set: circuits x shots": f"{row['test_circuits']:,} x {SHOTS:,}",
        "hours": f"{row['test_hours']:.1f}",
        "epoch: circuits x shots": f"{row['epoch_circuits']:,} x {SHOTS:,}",
        "hours of an epoch": f"{row['epoch_hours']:,.1f}",
    }
