"""What the paper asks or says of knowledge, speed and classical networks, tested where students train."""

import functools

import numpy as np

from qkdlib import records
from qkdlib.experiment import Experiment
from qkdlib.study.claims import Claim, Evidence, Lacking
from qkdlib.study.controlled import design, table
from qkdlib.study.controlled.design import LENET, PLACEBO, REVISED, ROBUST, TWIN


def accuracy(experiment: Experiment, evidence: Evidence) -> np.ndarray:
    """Test accuracy in percent of each seed's kept student, (S,)."""
    if (found := table.accuracies(experiment, evidence.workspace)) is None:
        raise Lacking(experiment.name)
    return found


def speed(experiment: Experiment, evidence: Evidence) -> np.ndarray:
    """Mean validation accuracy over all epochs, in percent, of each seed, (S,): the area below its learning curve."""
    if (record := records.complete(experiment, evidence.workspace)) is None:
        raise Lacking(experiment.name)
    return np.array([100 * np.mean(record.seeds[seed]["validation_accuracy"]) for seed in sorted(record.seeds)])


def over_tasks(student: str, first: str, second: str, measure, evidence: Evidence) -> np.ndarray:
    """`measure` of one arm minus that of another, mean over the tasks of a kind of student, per seed: (S,)."""
    tasks = [task for task in design.tasks() if task.student == student]
    return np.mean(
        [measure(task.arms[first], evidence) - measure(task.arms[second], evidence) for task in tasks], axis=0
    )


def _of(student: str, first: str, second: str, measure=accuracy):
    return functools.partial(over_tasks, student, first, second, measure)


def _each_student(id: str, source: str, claim: str, first: str, second: str, note: str, after: str) -> list[Claim]:
    """One claim, tested on both kinds of students that train."""
    named = (("r", ROBUST), ("v", REVISED))
    return [
        Claim(id + letter, source, f"{claim} ({student})", "", "gain", "", _of(student, first, second), note, after)
        for letter, student in named
    ]


CLAIMS = (
    Claim("I1", "1", "quantum networks converge faster than classical ones of similar size", "", "gain", "",
          _of(ROBUST, PLACEBO, TWIN, speed), "cited from other studies; ours: mean validation accuracy over all "
          "epochs, robust student minus its classical twin", after="RQ2"),
    *_each_student("RQ1", "1", "knowledge of a classical teacher reaches the quantum student", LENET, "smoothed labels",
                   "ours: from LeNet minus labels smoothed to the same entropy, students that train", "RQ2"),
    *_each_student("RQ3", "1", "distillation can improve the quantum model", LENET, PLACEBO,
                   "ours: from LeNet minus placebo, students that train", "RQ2"),
    *_each_student("A5", "abstract", "quantum networks surpass classical ones of similar size", PLACEBO, TWIN,
                   "cited from other studies; ours: untaught student minus its classical twin", "A4"),
    *_each_student("C5", "contribution 5", "what drives the transfer is what the teacher knows of each image", LENET,
                   "shuffled logits", "our reading of insight into the transfer; ours: from LeNet minus LeNet's logits "
                   "for another image of the class", "C4d"),
)  # fmt: skip
