"""What v1 of the paper claims, in short words of ours, with the test of each claim."""

from collections.abc import Sequence

import numpy as np

from qkdlib import records
from qkdlib.experiment import Experiment
from qkdlib.records import statistics
from qkdlib.students import Student
from qkdlib.study import verdicts
from qkdlib.study.chapter import TITLES
from qkdlib.study.claims import Claim, Evidence, Lacking
from qkdlib.study.v1 import audit, paper, tables
from qkdlib.study.v1.paper import MEANT, RAN, Row

TASKS = tuple((name, classes, qubits) for name in paper.TABLES for classes, qubits in ((6, 3), (8, 3), (8, 4)))
LARGE = [task for task in TASKS if task[1] == 8]
TEACHERS = ("alexnet", "lenet", "ensemble")


def accuracies(evidence: Evidence, experiment: Experiment) -> np.ndarray:
    """Accuracy after the last epoch in percent, per seed: (S,)."""
    record = records.complete(experiment, evidence.workspace)
    if record is None:
        raise Lacking(experiment.name)
    return np.array(statistics.accuracies(record))


def distilled(run: str, table: int | None = None) -> list[Row]:
    """The distilled rows, `as run`, or `as meant` where the notebook deviates."""
    found = [row for row in paper.rows(table) if row.category == "Distillation"]
    meant = {row.id for row in found if row.run == MEANT} if run == MEANT else set()
    return [row for row in found if row.run == (MEANT if row.id in meant else RAN)]


def average_gain(evidence: Evidence, run: str, table: int | None = None) -> np.ndarray:
    """Mean over the distilled rows of the paired gain over the placebo, per seed: (S,)."""
    arms = [(row.experiment, row.experiment.placebo()) for row in distilled(run, table)]
    return np.mean([accuracies(evidence, taught) - accuracies(evidence, placebo) for taught, placebo in arms], axis=0)


def mean(evidence: Evidence, tasks: Sequence[tuple], teacher: str | None) -> np.ndarray:
    """Mean over tasks of the accuracy with that teacher (None: direct), all students with the same head, per seed:
    (S,)."""
    rows = {(r.dataset, len(r.classes), r.qubits, r.teacher): r for r in paper.rows()}  # `as meant` after `as run`
    return np.mean([accuracies(evidence, rows[*task, teacher].experiment) for task in tasks], axis=0)


def printed_gains(table: int | None = None, teacher: str | None = None) -> list[float]:
    """Differences of the accuracies printed in the paper, distilled - direct, for the rows of a table or a teacher."""
    rows = audit.distilled()
    if table is not None:
        rows = rows[rows.dataset.map(paper.TABLES) == table]
    return rows[rows.teacher == teacher].gain.tolist() if teacher else rows.gain.tolist()


def printed_average(table: int) -> str:
    """Mean of the nine printed differences."""
    return f"{np.mean(printed_gains(table)):.3f}"


def printed_improved() -> str:
    """How many of the printed differences are above 0."""
    gains = printed_gains()
    return f"{sum(gain > 0 for gain in gains)} of {len(gains)} above 0"


def printed_by_teacher() -> str:
    """Mean printed gain of each teacher over both tables."""
    return ", ".join(f"{TITLES[name]} {np.mean(printed_gains(None, name)):.2f}" for name in TEACHERS)


def printed_ensemble_first() -> str:
    """In how many of the tasks with eight classes the printed ensemble row is the best of the distilled three."""
    rows = [row for row in paper.all_rows() if row.category == "Distillation" and len(row.classes) == 8]
    tasks = {row.task for row in rows}
    best = [max((row for row in rows if row.task == task), key=lambda row: row.paper_accuracy) for task in tasks]
    return f"first in {sum(row.teacher == 'ensemble' for row in best)} of {len(tasks)} tasks"


def printed_four_qubits() -> str:
    """Printed difference of the direct 4- and 3-qubit students on eight classes."""
    rows = [row for row in paper.all_rows() if row.category == "Student" and len(row.classes) == 8]
    by = {(row.dataset, row.qubits): row.paper_accuracy for row in rows}
    return ", ".join(f"{TITLES[name]} {by[name, 4] - by[name, 3]:+.2f}" for name in paper.TABLES)


def same_student() -> tuple[int, int]:
    """Distilled rows whose notebook distils, and whose direct row has the same head."""
    rows = audit.distilled()
    return int((rows.distils & rows.same_head).sum()), len(rows)


def distilling() -> tuple[int, int]:
    """Rows called distillation whose notebook has a distillation loss that acts."""
    rows = audit.distilled()
    return int(rows.distils.sum()), len(rows)


def improved(evidence: Evidence) -> tuple[int, int]:
    """Distilled rows, as run, whose gain is above 0 after correction."""
    frames = [evidence.once(make) for make in (tables.table_1, tables.table_2)]
    found = [frame[(frame.category == "Distillation") & (frame.run == RAN)] for frame in frames]
    rows = [row for frame in found for row in frame.to_dict("records")]
    if any(row["verdict"] == verdicts.MISSING for row in rows):
        raise Lacking("of a distilled row")
    return sum(row["delta_ci_low"] > 0 and row["p_holm"] < verdicts.LEVEL for row in rows), len(rows)


def ensemble_over_singles(tasks):
    """A test: accuracy from the ensemble minus the mean of both single teachers."""
    return lambda e: mean(e, tasks, "ensemble") - (mean(e, tasks, "lenet") + mean(e, tasks, "alexnet")) / 2


def lenet_and_ensemble_over_alexnet(evidence: Evidence) -> np.ndarray:
    """Mean accuracy from LeNet and from the ensemble, minus that from AlexNet, over all tasks, per seed."""
    singles = (mean(evidence, TASKS, name) for name in ("lenet", "ensemble"))
    return sum(singles) / 2 - mean(evidence, TASKS, "alexnet")


def four_over_three_qubits(evidence: Evidence) -> np.ndarray:
    """Accuracy with 4 minus with 3 qubits on eight classes, mean over data sets and arms, per seed."""
    arms = (None, *TEACHERS)
    by_qubits = {q: [mean(evidence, [t for t in LARGE if t[2] == q], arm) for arm in arms] for q in (3, 4)}
    return np.mean(by_qubits[4], axis=0) - np.mean(by_qubits[3], axis=0)


def trained_parameters(_: Evidence | None = None) -> str:
    """Trained parameters of the published 3-qubit student."""
    count = Student(paper.row("M-B-3q-05").experiment, (1, 28, 28), [0]).parameter_count()
    return f"{count['quantum']} of {sum(count.values()):,} trained parameters are quantum"


CLAIMS = (
    Claim("A1", "abstract; 5(2); 6", "average gain on MNIST, points", "0.80", "gain",
          printed_average(1), lambda e: average_gain(e, RAN, 1)),
    Claim("A1m", "abstract; 5(2); 6", "the same, every row as meant", "0.80", "gain",
          printed_average(1), lambda e: average_gain(e, MEANT, 1)),
    Claim("A2", "abstract; 5(2); 6", "average gain on FashionMNIST, points", "5.40", "gain",
          printed_average(2), lambda e: average_gain(e, RAN, 2), "5.40 counts the one loss (-1.75) as 0"),
    Claim("A2m", "abstract; 5(2); 6", "the same, every row as meant", "5.40", "gain",
          printed_average(2), lambda e: average_gain(e, MEANT, 2)),
    Claim("A3", "abstract; contribution 4", "distillation improves the students significantly", "18 of 18", "count",
          printed_improved(), improved, "ours: gain above 0 after Holm's correction; three rows distil nothing"),
    Claim("A4", "abstract; contribution 1", "pre-trained classical networks spare the training of large quantum models",
          "", "fact", "", trained_parameters, "no large quantum model is trained for comparison"),
    Claim("A5", "abstract", "quantum networks surpass classical ones of similar size", "", "fact",
          note="cited from other studies; most of the student is a classical network of 21,483 parameters"),
    Claim("C1", "contribution 1; 1", "more teachers help the student more", "", "gain",
          printed_by_teacher(), ensemble_over_singles(TASKS), "ours: from the ensemble minus the mean of both singles"),
    Claim("C2", "contribution 2", "systematic study of the effect of distillation", "18 rows", "count",
          distilling(), lambda _: distilling(), "rows whose notebook has a distillation loss that acts"),
    Claim("C3", "contribution 3", "the same student with and without distillation", "18 rows", "count",
          same_student(), lambda _: same_student(), "rows that distil and have the head of their direct row"),
    Claim("C4b", "contribution 4", "distillation makes the student more efficient", "", "fact",
          note="both arms have the same circuit and the same number of parameters"),
    Claim("C4c", "contribution 4", "cross-domain and cross-hardware use", "", "fact"),
    Claim("C5", "contribution 5", "insight into what drives the transfer", "", "fact",
          note="no study of temperature, weight or the teacher's quality is reported"),
    Claim("F1", "5(1)", "LeNet and the ensemble teach better than AlexNet", "", "gain",
          printed_by_teacher(), lenet_and_ensemble_over_alexnet, "ours: mean of both minus AlexNet, as meant"),
    Claim("F2", "5(2)", "FashionMNIST gains more than MNIST", "5.40 > 0.80", "gain",
          f"{printed_average(2)} > {printed_average(1)}",
          lambda e: average_gain(e, RAN, 2) - average_gain(e, RAN, 1), "ours: the difference of A2 and A1"),
    Claim("F3", "5(3)", "distillation improves students on FashionMNIST significantly", "5.40", "gain",
          printed_average(2), lambda e: average_gain(e, MEANT, 2), "as meant: equal heads in both arms"),
    Claim("F4", "5(4)", "4 qubits do not clearly outperform 3", "", "no_difference",
          printed_four_qubits(), four_over_three_qubits, "ours: classes 0-7, both data sets, all four arms, as meant"),
    Claim("F5", "5(5)", "the ensemble is the best teacher on the 0-7 sets", "", "gain",
          printed_ensemble_first(), ensemble_over_singles(LARGE), "ours: minus the mean of both singles"),
    Claim("F6", "5(6)", "gains are consistent over all subsets", "18 of 18", "count",
          printed_improved(), improved, "as A3"),
)  # fmt: skip
