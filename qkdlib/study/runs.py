"""Which experiments the project declares, which of them have no record yet, and running those."""

from collections.abc import Callable, Iterable

from qkdlib import checks, parallel, records, runtime
from qkdlib.experiment import Experiment, Teacher
from qkdlib.study.collapse import changes
from qkdlib.study.controlled import design
from qkdlib.study.robustness import sweeps
from qkdlib.study.v1 import paper
from qkdlib.study.v1.paper import Row
from qkdlib.study.v2 import revised
from qkdlib.teachers.teacher_files import teacher_name
from qkdlib.workspace import Workspace

FRESH = ("no", "students", "all")
AER_SEEDS = 2  # seeds of each experiment that also run on Aer, where sampling takes as long as training
V2_PARTS = {
    "v2-10-epochs": lambda: revised.bars(revised.DEFAULT),
    "v2-converged": lambda: revised.bars(revised.CONVERGED, ("lenet",)),
    "v2-converged-alexnet": lambda: revised.bars(revised.CONVERGED, ("alexnet",)),
    "v2-full-set": lambda: revised.bars(revised.FULL),
    "v2-entangler": lambda: revised.variants(),
}
PLAIN_PARTS = {
    "v1": lambda: experiments(declared_rows()),
    "robustness": lambda: sweeps.trainings(),
    "collapse": lambda: changes.experiments(),
    "controlled": lambda: design.experiments(),
}
PARTS = ("v1", *V2_PARTS, "robustness", "collapse", "controlled")


def declared_rows() -> list[Row]:
    """All rows of v1 that the project has an experiment for."""
    return paper.rows() + paper.described_rows()


def experiments(rows: list[Row]) -> list[Experiment]:
    """The experiments behind `rows`, each once: a distilled row needs its placebo too."""
    students = [row.experiment for row in rows if row.category != "Teacher"]
    return list(dict.fromkeys(e for experiment in students for e in (experiment.placebo(), experiment)))


def declared() -> list[Experiment]:
    """Every experiment whose record belongs to the project, on every copy of its images."""
    bars = [bar for part in V2_PARTS.values() for bar in part()]
    found = experiments(declared_rows()) + [e for bar in bars for copy in bar.copies for e in copy.arms.values()]
    plain = [experiment for part in PLAIN_PARTS.values() for experiment in part()]
    return list(dict.fromkeys([*found, *plain]))


def missing(parts: Iterable[str], workspace: Workspace, fresh: str = "no") -> list[Experiment]:
    """The experiments of some `PARTS` without a complete record, seeds that wait for their execution included, or all
    of them if `fresh`. A bar of v2 is complete on
    any copy of its images, and else runs on the copy that is at hand."""

    def lacks(experiment: Experiment) -> bool:
        record = None if fresh != "no" else records.complete(experiment, workspace)
        return record is None or record.unexecuted() != []

    found = []
    for part in parts:
        checks.one_of("part", part, PARTS)
        found += filter(lacks, PLAIN_PARTS.get(part, list)())
        for bar in V2_PARTS.get(part, list)():
            if all(any(map(lacks, copy.arms.values())) for copy in bar.copies):
                found += filter(lacks, revised.at_hand(bar).arms.values())
    return list(dict.fromkeys(found))


def run_missing(wanted: list[Experiment], workspace: Workspace, fresh: str, say: Callable[[str], None]) -> None:
    """Train and execute experiments, and their teachers first.

    Args:
        fresh: `no` goes on with what is there; `students` trains students anew, `all` teachers too.
        say: prints a line for the reader.

    Raises:
        Exception: of what failed, after everything else is done; as `parallel.each`.
    """
    if not wanted:
        return
    failures = parallel.Failures(say)
    with failures.of("training the teachers"):
        train_teachers([e for e in wanted if e.teacher], workspace, fresh == "all", say)
    say(f"{len(wanted)} experiments to run")
    with failures.of("training the students"):
        parallel.run_all(wanted, workspace, fresh=fresh != "no", aer_seeds=AER_SEEDS, say=say)
    failures.end()


def train_teachers(taught: list[Experiment], workspace: Workspace, fresh: bool, say) -> None:
    """Train the teachers of experiments that have no logits yet, with all cores, going on from their last epoch."""
    wanted: dict[str, tuple[Experiment, Teacher]] = {}
    for experiment in taught:
        for teacher in (*experiment.teacher.trained(), experiment.teacher):  # members before their ensemble
            wanted.setdefault(teacher_name(experiment, teacher), (experiment, teacher))
    there = {path.stem for path in workspace.teachers.glob("*.npz")}
    lacking = {name: pair for name, pair in wanted.items() if fresh or name not in there}
    if not lacking:
        return

    from qkdlib.images import datasets
    from qkdlib.teachers import teacher_training

    device, failures = runtime.start(), parallel.Failures(say)
    for name, (task, teacher) in lacking.items():
        say(f"teacher {name}")
        alone = fresh and teacher.trained() == (teacher,)  # an ensemble's members are fresh already
        if fresh and not alone:
            (workspace.teachers / f"{name}.npz").unlink(missing_ok=True)
        with failures.of(name):
            teacher_training.train_teacher(task, teacher, datasets.splits(task), workspace, device, fresh=alone)
    failures.end()


def all_teachers() -> list[Experiment]:
    """An experiment for every teacher of the tables, taught by it: v1's rows; on ten classes LeNet, AlexNet and their
    ensemble where AlexNet is trained; and the controls' teachers, which saw no more images than their students."""
    found = [row.experiment for row in paper.rows() if row.category == "Teacher"]
    for dataset, names in revised.TEACHERS.items():
        bar = revised.at_hand(revised.bar("original", dataset, 4))
        ensemble = ("ensemble",) if "alexnet" in names else ()
        found += [bar.experiment.distilled(revised.teacher(name)) for name in (*names, *ensemble)]
    return found + [task.arms[design.OWN_IMAGES] for task in design.tasks()]
