"""Which experiments of the chapters have no record yet, and running those."""

from collections.abc import Callable, Iterable

from qkdlib import checks, cluster, images, records, teachers, workers
from qkdlib.cluster import train_teachers
from qkdlib.experiment import Experiment
from qkdlib.study import contents
from qkdlib.study.chapter import Part, copies, on_copy
from qkdlib.workspace import Workspace

FRESH = ("no", "students", "all")
AER_SEEDS = 2  # seeds of each experiment that also run on Aer, where sampling takes as long as training


def run(
    workspace: Workspace, fresh: str = "no", only: list[str] | None = None, say: Callable[[str], None] = print
) -> None:
    """Train and execute what has no record, and name the records that no chapter declares.

    Args:
        fresh: `students` retrains every student, `all` the teachers, too.
        only: names of parts or chapters; None: all.
        say: prints a line for the reader.

    Raises:
        Exception: of what failed, after everything else is done; as `cluster.each`.
    """
    checks.one_of("fresh", fresh, FRESH)
    parts, failures = contents.chosen(only), cluster.Failures(say)
    workers.check()
    with failures.of("training what has no record"):
        train(missing(parts, workspace, fresh), workspace, fresh, say)
    for chapter in contents.CHAPTERS:
        if chapter.execute is not None and set(parts) & set(chapter.parts):
            with failures.of(f"{chapter.title}: executing what has no record"):
                chapter.execute(workspace, fresh != "no", say)
    for name in undeclared(workspace):
        say(f"left alone: {name}.json belongs to no declared experiment")
    failures.end()


def missing(parts: Iterable[Part], workspace: Workspace, fresh: str = "no") -> list[Experiment]:
    """The experiments of some parts without a complete record, seeds that wait for their execution included, or all of
    them if `fresh`. A group is complete on any copy of its images, and else runs on the copy that is at hand."""

    def lacks(experiment: Experiment) -> bool:
        record = None if fresh != "no" else records.complete(experiment, workspace)
        return record is None or record.unexecuted() != []

    found: list[Experiment] = []
    for group in (group for part in parts for group in part.groups()):
        if all(any(map(lacks, copy)) for copy in copies(group)):
            found += filter(lacks, on_copy(group, lambda experiment: images.at_hand(experiment.dataset)))
    return list(dict.fromkeys(found))


def undeclared(workspace: Workspace) -> list[str]:
    """Names of the records that nothing declared asks for; they stay."""
    declared = {experiment.name for chapter in contents.CHAPTERS for experiment in chapter.experiments()}
    names = (record.experiment.name for record in records.read_all(workspace))
    return [name for name in names if name not in declared]


def train(wanted: list[Experiment], workspace: Workspace, fresh: str, say: Callable[[str], None]) -> None:
    """Train experiments, and their teachers first.

    Args:
        fresh: `no` goes on with what is there; `students` trains students anew, `all` teachers too.

    Raises:
        Exception: as `run`.
    """
    if not wanted:
        return
    failures = cluster.Failures(say)
    with failures.of("training the teachers"):
        train_teachers([e for e in wanted if e.teacher], workspace, fresh == "all", say)
    say(f"{len(wanted)} experiments to run")
    with failures.of("training the students"):
        cluster.run_all(wanted, workspace, fresh=fresh != "no", aer_seeds=AER_SEEDS, say=say)
    failures.end()


def all_teachers(workspace: Workspace) -> list[Experiment]:
    """An experiment for every teacher of the tables, taught by it, on the copy of its images whose logits are there."""

    def is_there(task: Experiment) -> bool:
        return teachers.logits_path(workspace, task, task.teacher).exists()

    taught = (experiment for chapter in contents.CHAPTERS for experiment in chapter.taught())
    return [experiment for each in taught for experiment in on_copy((each,), is_there)]
