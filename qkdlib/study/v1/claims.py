"""What v1 of the paper claims, in short words of ours, with the test of each claim."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from qkdlib import records
from qkdlib.experiment import Experiment
from qkdlib.records import statistics
from qkdlib.students import Student
from qkdlib.study import verdicts
from qkdlib.study.chapter import TITLES
from qkdlib.study.claims import Cases, Chance, Claim, Evidence, Lacking
from qkdlib.study.v1 import audit, paper, tables
from qkdlib.study.v1.paper import MEANT, RAN, Row
from qkdlib.workspace import Workspace

TASKS = tuple((name, classes, qubits) for name in paper.TABLES for classes, qubits in ((6, 3), (8, 3), (8, 4)))
LARGE = [task for task in TASKS if task[1] == 8]
TEACHERS = ("alexnet", "lenet", "ensemble")


def accuracies(evidence: Evidence, experiment: Experiment) -> np.ndarray:
    """Accuracy after the last epoch in percent, per seed: (S,)."""
    return evidence.once(_accuracies, experiment)


def _accuracies(experiment: Experiment, workspace: Workspace) -> np.ndarray:
    record = records.complete(experiment, workspace)
    if record is None:
        raise Lacking(experiment.name)
    return np.array(statistics.accuracies(record))


def over_rows(values: Iterable[np.ndarray]) -> np.ndarray:
    """Mean over rows of numbers per seed, of the seeds that all have: (S,)."""
    return np.mean(_common(values), axis=0)


def minus(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Their difference, of the seeds that both have: (S,)."""
    first, second = _common((one, other))
    return first - second


def _common(values: Iterable[np.ndarray]) -> list[np.ndarray]:
    found = list(values)
    return [each[: min(map(len, found))] for each in found]


def distilled(run: str, table: int | None = None, teacher: str | None = None) -> list[Row]:
    """The distilled rows, `as run`, or `as meant` where the notebook deviates; of a table or teacher, or of all."""
    found = [row for row in paper.rows(table) if row.category == "Distillation" and teacher in (None, row.teacher)]
    meant = {row.id for row in found if row.run == MEANT} if run == MEANT else set()
    return [row for row in found if row.run == (MEANT if row.id in meant else RAN)]


def average_gain(evidence: Evidence, run: str, table: int | None = None, teacher: str | None = None) -> np.ndarray:
    """Mean over the distilled rows of the paired gain over the placebo, per seed: (S,)."""
    arms = [(row.experiment, row.experiment.placebo()) for row in distilled(run, table, teacher)]
    return over_rows(minus(accuracies(evidence, taught), accuracies(evidence, placebo)) for taught, placebo in arms)


def mean(evidence: Evidence, tasks: Sequence[tuple], teacher: str | None) -> np.ndarray:
    """Mean over tasks of the accuracy with that teacher (None: direct), all students with the same head, per seed:
    (S,)."""
    rows = {(r.dataset, len(r.classes), r.qubits, r.teacher): r for r in paper.rows()}  # `as meant` after `as run`
    return over_rows(accuracies(evidence, rows[*task, teacher].experiment) for task in tasks)


def printed_gains(table: int | None = None, teacher: str | None = None) -> list[float]:
    """Differences of the accuracies printed in the paper, distilled - direct, for the rows of a table or a teacher."""
    rows = audit.distilled()
    if table is not None:
        rows = rows[rows.dataset.map(paper.TABLES) == table]
    return rows[rows.teacher == teacher].gain.tolist() if teacher else rows.gain.tolist()


def printed_average(table: int, teacher: str | None = None) -> str:
    """Mean of the nine printed differences, or of a teacher's three."""
    return f"{np.mean(printed_gains(table, teacher)):.3f}"


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


def same_student() -> Cases:
    """Distilled rows whose notebook distils, and whose direct row has the same head."""
    rows = audit.distilled()
    same = int((rows.distils & rows.same_head).sum())
    return Cases(same, len(rows) - same, len(rows))


def distilling() -> Cases:
    """Rows called distillation whose notebook has a distillation loss that acts."""
    rows = audit.distilled()
    return Cases(int(rows.distils.sum()), int((~rows.distils).sum()), len(rows))


def as_run(evidence: Evidence, category: str | None = None) -> pd.DataFrame:
    """The student rows of Tables 1 and 2, as run, of one category or both."""
    both = pd.concat([evidence.once(make) for make in (tables.table_1, tables.table_2)])
    rows = both[(both.run == RAN) & (both.category == category if category else both.category != "Teacher")]
    if (rows[["verdict_gain", "verdict_draw"]] == verdicts.MISSING).any(axis=None):
        raise Lacking("of a row of Tables 1 and 2")
    return rows


def improved(evidence: Evidence) -> Cases:
    """Distilled rows, as run, with a gain; the contrary is harm, no gain, and a notebook that distils nothing."""
    shown = as_run(evidence, "Distillation").verdict_gain
    contrary = (verdicts.HARM, verdicts.NO_GAIN, verdicts.NOTHING_DISTILLED)
    return Cases(int((shown == verdicts.GAIN).sum()), int(shown.isin(contrary).sum()), len(shown))


def none_collapsed(evidence: Evidence) -> Chance:
    """Of the student rows that are run as published: how many of the paper's runs ended collapsed, and how likely so
    few are, each with its row's share of our seeds."""
    rows = as_run(evidence)
    rows = rows[rows.verdict_draw != verdicts.NOT_AS_PUBLISHED]
    limits = rows.id.map(lambda name: statistics.collapse_limit(paper.row(name).experiment))
    theirs, chances = int((rows.recorded_last < limits).sum()), np.array([1.0])
    for share in rows.collapsed_share:  # the distribution of how many collapse, row by row
        chances = np.convolve(chances, [1 - share, share])
    seen = f"{theirs} of {len(rows)} runs; expected {rows.collapsed_share.sum():.1f}"
    return Chance(seen, float(chances[: theirs + 1].sum()))


def ranks(evidence: Evidence) -> Chance:
    """Where the printed accuracies lie among our seeds' best test epochs, and how likely such ranks are if each is a
    draw (Kolmogorov-Smirnov)."""
    from scipy import stats

    rows = as_run(evidence)
    rows = rows[rows.verdict_draw != verdicts.NOT_AS_PUBLISHED]
    outside = int((rows.verdict_draw != verdicts.INSIDE).sum())
    seen = f"mean rank {rows['rank'].mean():.2f}, {outside} of {len(rows)} outside of all seeds"
    return Chance(seen, float(stats.kstest(rows["rank"].astype(float), "uniform").pvalue))


def trained(evidence: Evidence) -> str:
    """Share of seeds that lose no class, of the placebos and of the distilled students, mean over the rows that
    distil."""
    rows = as_run(evidence, "Distillation")
    rows = rows[rows.verdict_gain != verdicts.NOTHING_DISTILLED]
    return f"{rows.placebo_trained_share.mean():.0%} of placebos train, {rows.trained_share.mean():.0%} distilled"


def ensemble_over_singles(tasks):
    """A test: accuracy from the ensemble minus the mean of both single teachers."""
    singles = ("lenet", "alexnet")
    return lambda e: minus(mean(e, tasks, "ensemble"), over_rows(mean(e, tasks, name) for name in singles))


def lenet_and_ensemble_over_alexnet(evidence: Evidence) -> np.ndarray:
    """Mean accuracy from LeNet and from the ensemble, minus that from AlexNet, over all tasks, per seed."""
    others = over_rows(mean(evidence, TASKS, name) for name in ("lenet", "ensemble"))
    return minus(others, mean(evidence, TASKS, "alexnet"))


def four_over_three_qubits(evidence: Evidence) -> np.ndarray:
    """Accuracy with 4 minus with 3 qubits on eight classes, mean over data sets and arms, per seed."""
    arms = (None, "lenet")
    by_qubits = {q: [mean(evidence, [t for t in LARGE if t[2] == q], arm) for arm in arms] for q in (3, 4)}
    return minus(over_rows(by_qubits[4]), over_rows(by_qubits[3]))


def trained_parameters(_: Evidence | None = None) -> str:
    """Trained parameters of the published 3-qubit student."""
    count = Student(paper.row("M-B-3q-05").experiment, (1, 28, 28), [0]).parameter_count()
    return f"{count['quantum']} of {sum(count.values()):,} trained parameters are quantum"


ALL_PUBLISHED = all(row.as_published for row in distilled(RAN))
TAUGHT_AS_PUBLISHED = all(row.experiment.teacher in paper.PUBLISHED.values() for row in distilled(MEANT))
CLAIMS = (
    Claim("RQ2", "1", "how distillation affects the quantum student", "", "", "", trained,
          "seeds that lose no class, rows of Tables 1 and 2 that distil"),
    Claim("A1", "abstract; 5(2); 6", "average gain on MNIST, points", "0.80", "gain",
          printed_average(1), lambda e: average_gain(e, RAN, 1), value=0.80, as_published=ALL_PUBLISHED),
    Claim("A1m", "abstract; 5(2); 6", "the same, every row as meant", "0.80", "gain",
          printed_average(1), lambda e: average_gain(e, MEANT, 1), value=0.80, as_published=TAUGHT_AS_PUBLISHED),
    Claim("A1l", "abstract; 5(2); 6", "the same, as meant, from LeNet alone", "0.80", "gain",
          printed_average(1, "lenet"), lambda e: average_gain(e, MEANT, 1, "lenet"), value=0.80),
    Claim("A2", "abstract; 5(2); 6", "average gain on FashionMNIST, points", "5.40", "gain",
          printed_average(2), lambda e: average_gain(e, RAN, 2), "5.40 counts the one loss (-1.75) as 0",
          value=5.40, as_published=ALL_PUBLISHED),
    Claim("A2m", "abstract; 5(2); 6", "the same, every row as meant", "5.40", "gain",
          printed_average(2), lambda e: average_gain(e, MEANT, 2), value=5.40, as_published=TAUGHT_AS_PUBLISHED),
    Claim("A2l", "abstract; 5(2); 6", "the same, as meant, from LeNet alone", "5.40", "gain",
          printed_average(2, "lenet"), lambda e: average_gain(e, MEANT, 2, "lenet"), value=5.40),
    Claim("A3", "abstract; contribution 4", "distillation improves the students significantly", "18 of 18", "count",
          printed_improved(), improved, "ours: rows with the verdict gain; three rows distil nothing",
          as_published=ALL_PUBLISHED),
    Claim("A4", "abstract; contribution 1", "pre-trained classical networks spare the training of large quantum models",
          "", "", "", trained_parameters, "no large quantum model is trained for comparison"),
    Claim("R1", "Tables 1, 2", "no run of a student collapses", "0 of 24", "", "", none_collapsed,
          "ours: rows run as published; collapsed: below 1.5 times chance after the last epoch"),
    Claim("R2", "Tables 1, 2", "the printed accuracies are draws of the published recipe", "", "", "", ranks,
          "ours: rows run as published; rank 0.5 is the median seed"),
    Claim("C1", "contribution 1; 1", "more teachers help the student more", "", "gain",
          printed_by_teacher(), ensemble_over_singles(TASKS), "ours: from the ensemble minus the mean of both singles",
          as_published=TAUGHT_AS_PUBLISHED, premise=lambda e: average_gain(e, MEANT, None, "ensemble")),
    Claim("C2", "contribution 2", "systematic study of the effect of distillation", "18 rows", "count",
          distilling(), lambda _: distilling(), "rows whose notebook has a distillation loss that acts"),
    Claim("C3", "contribution 3", "the same student with and without distillation", "18 rows", "count",
          same_student(), lambda _: same_student(), "rows that distil and have the head of their direct row"),
    Claim("C4b", "contribution 4", "distillation makes the student more efficient", "", "",
          note="both arms have the same circuit and the same number of parameters"),
    Claim("C4c", "contribution 4", "cross-domain and cross-hardware use", "", "", note="no hardware, no second domain"),
    Claim("C4d", "contribution 4", "distillation makes the student interpretable", "", ""),
    Claim("F1", "5(1)", "LeNet and the ensemble teach better than AlexNet", "", "gain",
          printed_by_teacher(), lenet_and_ensemble_over_alexnet, "ours: mean of both minus AlexNet, as meant",
          as_published=TAUGHT_AS_PUBLISHED),
    Claim("F2", "5(2)", "FashionMNIST gains more than MNIST", "5.40 > 0.80", "gain",
          f"{printed_average(2)} > {printed_average(1)}",
          lambda e: minus(average_gain(e, RAN, 2), average_gain(e, RAN, 1)), "ours: the difference of A2 and A1",
          value=4.60, as_published=ALL_PUBLISHED, premise=lambda e: average_gain(e, RAN, 2)),
    Claim("F3", "5(3)", "distillation improves students on FashionMNIST significantly", "5.40", "gain",
          printed_average(2), lambda e: average_gain(e, MEANT, 2), "as meant: equal heads in both arms", value=5.40,
          as_published=TAUGHT_AS_PUBLISHED),
    Claim("F4", "5(4)", "4 qubits do not clearly outperform 3", "", "no_difference",
          printed_four_qubits(), four_over_three_qubits, "ours: classes 0-7, both data sets, direct and from LeNet, "
          "as meant"),
    Claim("F5", "5(5)", "the ensemble is the best teacher on the 0-7 sets", "", "gain",
          printed_ensemble_first(), ensemble_over_singles(LARGE), "ours: minus the mean of both singles",
          as_published=TAUGHT_AS_PUBLISHED),
    Claim("F6", "5(6)", "gains are consistent over all subsets", "18 of 18", "count",
          printed_improved(), improved, "as A3", as_published=ALL_PUBLISHED),
)  # fmt: skip
