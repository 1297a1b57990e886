"""The rows of the paper's tables: what was printed, what the authors' notebooks recorded, and our experiment.

This is the one place where the paper's rows are declared. The facts are in `data/published_runs.csv`.
"""

import csv
import functools
import importlib.resources
from dataclasses import dataclass

from qkdlib import checks
from qkdlib.experiment import Experiment, Teacher

TABLES = {"mnist": 1, "fashion_mnist": 2}
CATEGORIES = {"baseline": "Student", "teacher": "Teacher", "distillation": "Distillation"}
TITLES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "lenet": "LeNet", "alexnet": "AlexNet"}
COVERED = ("M-B-3q-05", "M-T-lenet-05", "M-D-lenet-3q-05")  # rows that the artefacts hold so far


@dataclass(frozen=True)
class Row:
    """One row of Table 1 or 2 of v1. Accuracies in percent; None where the paper has none.

    `experiment` is ours for that row: the published protocol, 20 seeds. A teacher's row has the experiment whose
    images it trains on.
    """

    id: str
    table: int
    category: str
    teacher: str | None
    qubits: int | None
    dataset: str
    classes: tuple[int, ...]
    paper_accuracy: float
    paper_delta: float | None
    recorded_best: float
    recorded_last: float
    experiment: Experiment

    @property
    def label(self) -> str:
        """A short name for figures and tables."""
        teacher = TITLES.get(self.teacher, self.teacher)
        who = {"Student": "direct", "Teacher": f"{teacher} (teacher)"}.get(self.category, f"from {teacher}")
        size = f", {self.qubits} qubits" if self.qubits else ""
        return f"{TITLES[self.dataset]} {self.classes[0]}-{self.classes[-1]}{size}, {who}"


@functools.cache
def all_rows() -> tuple[Row, ...]:
    """The 36 rows of Tables 1 and 2."""
    text = importlib.resources.files("qkdlib").joinpath("data/published_runs.csv").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(_row(values) for values in csv.DictReader(lines))


def rows(table: int | None = None) -> list[Row]:
    """The covered rows, of one table or of both, in the paper's order."""
    order = list(CATEGORIES.values())
    found = [row for row in all_rows() if row.id in COVERED and table in (None, row.table)]
    return sorted(found, key=lambda row: (row.table, order.index(row.category)))


def row(name: str) -> Row:
    """The row called `name`, e.g. `M-D-lenet-3q-05`."""
    named = {row.id: row for row in all_rows()}
    checks.one_of("row", name, named)
    return named[name]


def row_of(experiment: Experiment) -> Row | None:
    """The student's row, direct or distilled, that runs this experiment; None if the paper has none."""
    return next((row for row in all_rows() if row.category != "Teacher" and row.experiment == experiment), None)


def _row(values: dict[str, str]) -> Row:
    first, last = map(int, values["classes"].split("-"))
    classes = tuple(range(first, last + 1))
    experiment = Experiment(
        dataset=values["dataset"],
        classes=classes,
        qubits=int(values["qubits"] or 3),
        shots=int(values["shots"] or 5000),
        head=values["head"] or "sigmoid_complement",
    )
    if values["teacher"]:
        experiment = experiment.distilled(Teacher(architecture=values["teacher"]))
    return Row(
        id=values["id"],
        table=TABLES[values["dataset"]],
        category=CATEGORIES[values["role"]],
        teacher=values["teacher"] or None,
        qubits=int(values["qubits"]) if values["qubits"] else None,
        dataset=values["dataset"],
        classes=classes,
        paper_accuracy=float(values["paper_accuracy"]),
        paper_delta=float(values["paper_delta"]) if values["paper_delta"] else None,
        recorded_best=float(values["recorded_best"]),
        recorded_last=float(values["recorded_last"]),
        experiment=experiment,
    )
