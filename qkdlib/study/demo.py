"""A first look, on real digits that come with scikit-learn: the published student and the robust one, each on labels
alone and with a teacher's help. No data set to download, no notebook, no checkout."""

import dataclasses
import time
from collections.abc import Callable

import qkdlib
from qkdlib import drawing, records, runtime
from qkdlib.drawing import figures
from qkdlib.experiment import Experiment, Teacher
from qkdlib.images import describe
from qkdlib.records import statistics
from qkdlib.study.collapse import changes
from qkdlib.workspace import Workspace

TASK = Experiment(
    dataset="digits", classes=(0, 1, 2, 3, 4, 5), train_per_class=70, validation_per_class=30, test_per_class=50,
    qubits=3, epochs=10, seeds=5, shots=5000,
)  # fmt: skip
TEACHER = Teacher(epochs=40)


def run(
    workspace: Workspace, say: Callable[[str], None] = print, task: Experiment = TASK, teacher: Teacher = TEACHER
) -> dict[str, records.Record]:
    """Train what the workspace has no record of, with a line for each step. Returns the records of the four arms by
    what they are; their figure is `seed_spread` in the workspace."""
    arms = {
        "published, on labels alone": task,
        "published, distilled": task.distilled(teacher),
        "robust, on labels alone": dataclasses.replace(task, **changes.ROBUST),
        "robust, distilled": dataclasses.replace(task, **changes.ROBUST).distilled(teacher),
    }
    step = _Steps(say, len(arms) + 3)
    images = qkdlib.splits(task)
    parts = ", ".join(f"{count} {part}" for part, count in describe(images).items())
    step(f"images of {len(task.classes)} classes, {task.dataset}: {parts}")
    logits = qkdlib.train_teacher(task, teacher, images, workspace, runtime.start())
    step(f"teacher: {teacher.architecture}, {100 * logits.history[-1]['test_accuracy']:.1f} % right")
    found = {}
    for name, experiment in arms.items():
        found[name] = qkdlib.run(experiment, workspace=workspace)
        summary = statistics.summarise(statistics.accuracies(found[name]))
        step(f"{name}: {experiment.qubits} qubits, {summary.seeds} seeds, {summary} % right")
    drawing.save(figures.seed_spread(found), workspace.figures, "seed_spread")
    step(f"figure: {workspace.figures / 'seed_spread.png'}, every seed a point")
    say(_moral(found))
    return found


def _moral(found: dict[str, records.Record]) -> str:
    """What the numbers of this run say."""
    published, distilled, robust, both = found.values()
    said = []
    for name, helped, alone in (("published", distilled, published), ("robust", both, robust)):
        gain = statistics.paired_gain(statistics.accuracies(helped), statistics.accuracies(alone))
        said.append(f"{name} student {gain.mean:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}]")
    return f"what the teacher added, in points with a 95 % interval over seeds: {', '.join(said)}"


class _Steps:
    """Numbers the lines, and says how long each took."""

    def __init__(self, say: Callable[[str], None], count: int):
        self.say, self.count, self.done, self.since = say, count, 0, time.perf_counter()

    def __call__(self, text: str) -> None:
        self.done, now = self.done + 1, time.perf_counter()
        self.say(f"[{self.done}/{self.count}] {text} ({now - self.since:.0f} s)")
        self.since = now
