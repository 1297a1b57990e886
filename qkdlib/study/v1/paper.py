"""The rows of the paper's tables: what was printed, what the authors' notebooks recorded, and our experiments.

This is the one place where the paper's rows are declared. The facts are in `published_runs.csv`.
"""

import dataclasses
import functools
from dataclasses import dataclass

from qkdlib import checks
from qkdlib.experiment import Experiment, Teacher
from qkdlib.names import span
from qkdlib.study.chapter import TITLES, facts

TABLES = {"mnist": 1, "fashion_mnist": 2}
CATEGORIES = {"baseline": "Student", "teacher": "Teacher", "distillation": "Distillation"}
# The paper trains every teacher for 10 epochs. One of AlexNet's takes 4 to 8 minutes on two cores, so these are fewer.
ALEXNET_EPOCHS = {"mnist": 3, "fashion_mnist": 5}
RAN, MEANT, DESCRIBED, DRAWN = "as run", "as meant", "as described", "redrawn"
DRAWN_SEEDS, NETWORKS = 50, 10
SEEDS, FEW = 20, 20  # few: of rows whose teacher is not the published one, which judge nothing
PUBLISHED = {  # the teachers of the authors' notebooks
    "lenet": Teacher(), "alexnet": Teacher(architecture="alexnet"),
    "ensemble": Teacher(architecture="ensemble", ensemble="joint_logits"),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One row of Table 1 or 2 of v1. Accuracies in percent; None where the paper has none.

    `experiment` is ours for that row, `SEEDS` or `FEW` seeds. A teacher's row has the experiment whose images it
    trains on. `run` says which protocol: `as run` by the row's notebook, with its head, shots and weights; `as meant`,
    where the notebook deviates from its siblings in something that the paper does not mention (`deviation`); `as
    described` by v1's text; `redrawn`: as meant, but every seed has its own images and one of ten teachers.
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
    run: str = RAN
    deviation: str = ""

    @property
    def task(self) -> str:
        """Data set, classes and qubits, e.g. `MNIST 0-5, 3 qubits`."""
        size = f", {self.qubits} qubits" if self.qubits else ""
        return f"{TITLES[self.dataset]} {span(self.classes)}{size}"

    @property
    def label(self) -> str:
        """A short name for figures and tables."""
        teacher = TITLES.get(self.teacher, self.teacher)
        who = {"Student": "direct", "Teacher": f"{teacher} (teacher)"}.get(self.category, f"from {teacher}")
        return f"{self.task}, {who}" + ("" if self.run == RAN else f", {self.run}")

    @property
    def distils(self) -> bool:
        """Whether the row's experiment has a teacher; three of the notebooks called distillation have none."""
        return self.category == "Distillation" and self.experiment.teacher is not None

    @property
    def as_published(self) -> bool:
        """Whether it runs what the row's notebook runs, with the teacher of that; only then it can judge the paper."""
        return self.run == RAN and self.experiment.teacher in (None, *PUBLISHED.values())


def teacher(architecture: str, dataset: str) -> Teacher:
    """The teacher of the tables: the paper's training but for AlexNet's epochs; the ensemble is the mean of the two
    trained networks' probabilities (Eq. 16)."""
    return one_of_three(architecture, ALEXNET_EPOCHS[dataset])


def one_of_three(architecture: str, alexnet_epochs: int) -> Teacher:
    """LeNet, AlexNet trained for so many epochs, or the ensemble of these two."""
    lenet, alexnet = Teacher(), Teacher(architecture="alexnet", epochs=alexnet_epochs)
    single = {"lenet": lenet, "alexnet": alexnet}
    return single.get(architecture) or Teacher(architecture="ensemble", members=(lenet, alexnet))


@functools.cache
def all_rows() -> tuple[Row, ...]:
    """The 36 rows of Tables 1 and 2, as run by the authors' notebooks, in the paper's order of categories."""
    order = list(CATEGORIES.values())
    found = [_row(values) for values in facts(__package__, "published_runs.csv")]
    return tuple(sorted(found, key=lambda row: (row.table, order.index(row.category))))


def rows(table: int | None = None) -> list[Row]:
    """The rows of one table or of both, each followed by its `as meant` twin if its notebook deviates."""
    found = []
    for row in all_rows():
        if table in (None, row.table):
            found += [row, as_meant(row)] if row.deviation else [row]
    return found


def as_meant(row: Row) -> Row:
    """The row without its notebook's deviation: its siblings' head and shots, and distillation with weight 0.9."""
    siblings = [r.experiment for r in all_rows() if r.category != "Teacher" and r.task == row.task and not r.deviation]
    experiment = dataclasses.replace(siblings[0], teacher=None, kd_weight=0.0)
    if row.category == "Distillation":
        experiment = experiment.distilled(teacher(row.teacher, row.dataset))
    return dataclasses.replace(row, experiment=_seeded(experiment), run=MEANT)


def drawn_rows() -> list[Row]:
    """The six students as meant, direct and taught by LeNet, each seed on its own random 150 training images per class
    (and validation and test images) and with one of ten LeNets."""
    return [_drawn(row) for row in _direct_and_lenet()]


def _drawn(row: Row) -> Row:
    meant = (as_meant(row) if row.deviation else row).experiment
    experiment = dataclasses.replace(meant, selection="each_seed", seeds=DRAWN_SEEDS)
    if experiment.teacher:
        experiment = experiment.distilled(Teacher(networks=NETWORKS), meant.kd_weight)
    return dataclasses.replace(row, experiment=experiment, run=DRAWN, deviation="")


def _direct_and_lenet() -> list[Row]:
    wanted = [row for row in all_rows() if row.category == "Student" or row.teacher == "lenet" and row.qubits]
    return sorted(wanted, key=lambda row: (row.table, row.task))


def described_rows() -> list[Row]:
    """The six students, direct and taught by LeNet, in the protocol that v1's text describes: 150 random images per
    class, one linear layer to 2^Q features, amplitude encoding of pi tanh, H and trainable RY, the first C outcomes
    renormalised, CE (Eq. 2) + 0.9 KL without T^2 (Eq. 3 and 6); trained on exact outcomes, executed with 5000 shots."""
    return [_described(row) for row in _direct_and_lenet()]


def _described(row: Row) -> Row:
    experiment = Experiment(
        dataset=row.dataset, classes=row.classes, selection="random", qubits=row.qubits, reducer="fully_connected",
        encoder="amplitude_tanh", head="renormalised", dropout=0.0, kd_temperature_squared=False, seeds=SEEDS,
    )  # fmt: skip
    if row.category == "Distillation":
        experiment = experiment.distilled(teacher(row.teacher, row.dataset))
    return dataclasses.replace(row, experiment=experiment, run=DESCRIBED, deviation="")


def taught() -> list[Experiment]:
    """An experiment for every teacher's row."""
    return [row.experiment for row in all_rows() if row.category == "Teacher"]


def drawn() -> list[Experiment]:
    """Those of the redrawn rows."""
    return [row.experiment for row in drawn_rows()]


def experiments() -> list[Experiment]:
    """Those of all other student rows, each once: a distilled row needs its placebo too."""
    students = [row.experiment for row in rows() + described_rows() if row.category != "Teacher"]
    placebos = [dataclasses.replace(each.placebo(), seeds=SEEDS) for each in students]
    return list(dict.fromkeys(each for pair in zip(placebos, students, strict=True) for each in pair))


def row(name: str) -> Row:
    """The row called `name`, e.g. `M-D-lenet-3q-05`, as its notebook ran it."""
    named = {row.id: row for row in all_rows()}
    checks.one_of("row", name, named)
    return named[name]


def _seeded(experiment: Experiment) -> Experiment:
    published = experiment.teacher in (None, *PUBLISHED.values())
    return dataclasses.replace(experiment, seeds=SEEDS if published else FEW)


def _row(values: dict[str, str]) -> Row:
    first, last = map(int, values["classes"].split("-"))
    classes = tuple(range(first, last + 1))
    experiment = Experiment(dataset=values["dataset"], classes=classes)
    if values["qubits"]:
        experiment = dataclasses.replace(
            experiment, qubits=int(values["qubits"]), shots=int(values["shots"]), head=values["head"],
            sampler="multinomial", gradient="published_shift",
        )  # fmt: skip
    # The csv has the weight of the divergence itself, T^2 = 9 included.
    weight = round(float(values["kd_weight_effective"] or 0) / 9, 6)
    if values["role"] == "teacher" or weight:
        experiment = experiment.distilled(teacher(values["teacher"], values["dataset"]), weight)
    experiment = _seeded(experiment)
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
        deviation=values["deviation"],
    )
