"""tables/answers: the controlled experiment's questions, each with the differences that answer it, over all tasks of
one kind of student. A difference is formed for each task and seed, and averaged over the tasks seed by seed."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qkdlib.experiment import Experiment
from qkdlib.records import statistics
from qkdlib.study import verdicts
from qkdlib.study.cells import INTERVAL, P, columns, estimate, holm, text
from qkdlib.study.controlled import design
from qkdlib.study.controlled import table as controlled_table
from qkdlib.study.controlled.design import CHOSEN_ARM, LENET, OWN_IMAGES, PLACEBO, TAUGHT_TWIN, TWIN, WEAK_TWIN, Task
from qkdlib.study.controlled.table import Grown
from qkdlib.workspace import Workspace

HELP, WHAT, QUANTUM, WHEN = (
    "does distillation help?", "what of it is knowledge?", "does the quantum layer add anything?", "when?",
)  # fmt: skip
Read = Callable[[Experiment], np.ndarray | None]  # an arm's accuracies, as `controlled_table.accuracies`
COLUMNS = (
    "question", "student", "difference", "images_per_class", "tasks", "seeds", "points", "ci_low", "ci_high", "median",
    "p", "p_holm", "better", "worse",
)  # fmt: skip
RULE = (
    "Points of test accuracy, formed for each task and seed and averaged over the tasks seed by seed, with their 95 % "
    f"interval, and their median, which a few lost seeds do not move. {INTERVAL}; {P}, "
    "after Holm's correction over the lines of one question and student. Better, worse: tasks where the same "
    "difference is significant (the same test, Holm over the tasks of the line, 0.05). Tasks: v1's six "
    "configurations for the robust student; MNIST and FashionMNIST with 4 and 8 qubits for the revised one; for "
    "`when?` MNIST and FashionMNIST, classes 0-7 with 3 qubits and 0-9 with 4."
)


@dataclass(frozen=True)
class Difference:
    """A question, and two arms of a task whose difference bears on it."""

    question: str
    name: str
    first: str
    second: str

    @property
    def arms(self) -> set[str]:
        """The names of both."""
        return {self.first, self.second}

    def of(self, task: Task, read: Read) -> np.ndarray | None:
        """The difference in points for each seed, (S,); None without both records."""
        found = [read(task.arms[name]) for name in (self.first, self.second)]
        return None if any(each is None for each in found) else found[0] - found[1]


TEACHERS = (LENET, "AlexNet", "ensemble", CHOSEN_ARM)
DIFFERENCES = (
    *(Difference(HELP, f"{name} - placebo", name, PLACEBO) for name in TEACHERS),
    *(
        Difference(WHAT, f"{name} - placebo", name, PLACEBO)
        for name in ("smoothed labels", "shuffled logits", OWN_IMAGES)
    ),
    *(
        Difference(WHAT, f"LeNet - {name}", LENET, name)
        for name in ("smoothed labels", "shuffled logits", OWN_IMAGES)
    ),
    Difference(QUANTUM, "quantum - twin", PLACEBO, TWIN),
    Difference(QUANTUM, "quantum - twin, both from LeNet", LENET, TAUGHT_TWIN),
    Difference(QUANTUM, "quantum - weak twin", PLACEBO, WEAK_TWIN),
    Difference(QUANTUM, "twin: LeNet - placebo", TAUGHT_TWIN, TWIN),
)  # fmt: skip
SCALED = (
    Difference(WHEN, "LeNet - placebo", LENET, PLACEBO),
    Difference(WHEN, "twin: LeNet - placebo", TAUGHT_TWIN, TWIN),
    Difference(WHEN, "quantum - twin", PLACEBO, TWIN),
    Difference(WHEN, "quantum - twin, both from LeNet", LENET, TAUGHT_TWIN),
)


def table(workspace: Workspace, tasks: Sequence[Task] | None = None, grown: Sequence[Grown] | None = None):
    """One row per question, kind of student and difference with the columns `COLUMNS`; a difference that lacks a
    record of one of its tasks is empty.

    Args:
        tasks, grown: as in `controlled_table.table`.
    """
    tasks = design.tasks() if tasks is None else tasks
    grown = design.scaled_tasks() if grown is None else grown
    # Most arms stand in several differences, and a record is read from its file.
    read = functools.cache(functools.partial(controlled_table.accuracies, workspace=workspace))
    rows = []
    for student in dict.fromkeys(task.student for task in tasks):
        chosen = [task for task in tasks if task.student == student]
        there = [each for each in (*DIFFERENCES, *_entangler(student)) if each.arms <= chosen[0].arms.keys()]
        rows += [_row(difference, chosen, read) for difference in there]
        growing = [(task, sizes) for task, sizes in grown if task.student == student]
        for difference in SCALED:
            for size in growing[0][1] if growing else ():
                rows.append(_row(difference, [design.scaled(task, size) for task, _ in growing], read))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    groups = frame.groupby(["question", "student"], sort=False)
    frame["p_holm"] = holm(groups, "p")
    order = [HELP, WHAT, QUANTUM, WHEN]
    return frame.sort_values("question", key=lambda names: names.map(order.index), kind="stable", ignore_index=True)


def _entangler(student: str) -> list[Difference]:
    changes = design.entangled(student)
    return [Difference(QUANTUM, f"{name} - {other}", name, other) for name, other, _ in changes]


def _row(difference: Difference, tasks: list[Task], read: Read) -> dict:
    found = [difference.of(task, read) for task in tasks]
    row = {
        "question": difference.question, "student": tasks[0].student, "difference": difference.name,
        "images_per_class": controlled_table.identity(tasks[0])["images_per_class"], "tasks": len(tasks),
    }  # fmt: skip
    if any(each is None for each in found):
        return row
    over_tasks, means = np.mean(found, axis=0), np.mean(found, axis=1)  # (seeds,), (tasks,)
    summary = statistics.summarise(over_tasks)
    significant = np.array(statistics.holm([statistics.flipped(values) for values in found])) < verdicts.LEVEL
    return row | {
        "seeds": summary.seeds, **columns(summary, "points"),
        "median": float(np.median(over_tasks)), "p": statistics.flipped(over_tasks),
        "better": int((significant & (means > 0)).sum()), "worse": int((significant & (means < 0)).sum()),
    }  # fmt: skip


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Every column rounded, as text."""
    rows = [
        {
            "question": row["question"],
            "student": row["student"],
            "difference": row["difference"],
            "images per class": row["images_per_class"],
            "points": estimate(row, "points", sign="+"),
            "median": text(row["median"], "+.2f"),
            "p (Holm)": text(row["p_holm"], ".3f"),
            "better": text(row["better"], ".0f", after=f" of {row['tasks']}"),
            "worse": text(row["worse"], ".0f", after=f" of {row['tasks']}"),
        }
        for row in frame.to_dict("records")
    ]
    return pd.DataFrame(rows)
