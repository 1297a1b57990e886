"""Many experiments at once, on all cores of this machine or on a cluster (`workers`): block by block of their seeds.

A stack of students keeps one core busy by itself; two processes of one thread finish twice the experiments, where one
process with two threads is hardly faster than with one. Workers compute blocks and return them; this process writes
what they return, as soon as it is there. So the records are the same whatever the number of workers, and where they
are. An error ends its own experiment alone; a worker that dies costs its block, which another one computes.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from qkdlib import checks, parts, runtime, workers
from qkdlib.blocks import LEAST, Missing
from qkdlib.experiment import Experiment, Teacher, check_experiment
from qkdlib.spreading import Job, Spread
from qkdlib.teaching import teacher_job
from qkdlib.workspace import Workspace

WORKER = 0.8e9  # bytes of a process with torch, before it reads images
GREY, COLOUR = 784, 3072  # numbers in an image
SIZES = {"digits": (1797, GREY), "mnist": (70_000, GREY), "fashion_mnist": (70_000, GREY)}  # (images, numbers of each)
LARGE = (60_000, COLOUR)  # CIFAR10; and what a folder of images is taken for, whose size shows when it is read


class Failures:
    """Errors of single pieces of work, which do not stop the others: each is said when it comes, all at the end."""

    def __init__(self, say: Callable[[str], None]):
        self.say = say
        self.errors: dict[str, Exception] = {}

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Keep an error of the work called `name`."""
        try:
            yield
        except Exception as error:
            self.errors.setdefault(name, error)  # what follows from the first one says less
            self.say(f"{name} failed: {type(error).__name__}: {error}")

    def end(self) -> None:
        """Raise the error if there was one; of several, one that names all."""
        if len(self.errors) == 1:
            raise next(iter(self.errors.values()))
        if self.errors:
            kind = ValueError if all(isinstance(each, ValueError) for each in self.errors.values()) else RuntimeError
            told = "; ".join(f"{name} ({type(each).__name__}: {each})" for name, each in self.errors.items())
            raise kind(f"{len(self.errors)} failed: {told}")


def run_all(
    experiments: Iterable[Experiment], workspace: Workspace | str | Path, *, fresh: bool = False,
    aer_seeds: int | None = None, say: Callable[[str], None] = print,
) -> None:  # fmt: skip
    """Run experiments, on all cores or on the cluster of `QKD_SCHEDULER`; each leaves its record block by block, as
    soon as one is done. Arguments as of `pipeline.run`, and `say`, which prints a line for the reader. In a script it
    stands below `if __name__ == "__main__":`. Errors as of `each`."""
    wanted, place = [check_experiment(experiment) for experiment in experiments], Workspace.of(workspace)
    # The longest first, so that no core waits for a long last one.
    wanted.sort(key=lambda e: -(e.train_per_class or 10**4) * len(e.classes) * e.epochs)
    jobs = [_job(experiment, place, fresh, aer_seeds) for experiment in dict.fromkeys(wanted)]
    failures, (_, out, _) = Failures(say), _shared(jobs)
    if taught := [job.experiment for job in out if job.experiment.teacher]:
        workers.check()
        with failures.of("training the teachers"):
            train_teachers(taught, place, say=say)
    if not failures.errors:
        return each(jobs, say)
    with failures.of("training the students"):
        each(jobs, say)
    failures.end()


def _job(experiment: Experiment, workspace: Workspace, fresh: bool, aer_seeds: int | None) -> Job:
    from qkdlib import pipeline

    near = workers.scheduler() is None
    missing = Missing(experiment, workspace, fresh=fresh, aer_seeds=aer_seeds, near=near)
    here = functools.partial(pipeline.run, experiment, workspace=workspace, fresh=fresh, aer_seeds=aer_seeds)
    return Job(experiment.name, experiment, here, (missing.trainings, missing.executions), f"{experiment.name} done")


def train_teachers(
    taught: Iterable[Experiment], workspace: Workspace, fresh: bool = False, say: Callable[[str], None] = print
) -> None:
    """Train the teachers of experiments that have no logits yet, going on from their last epoch: large networks one
    after the other with all cores of this machine, small ones side by side, and on a cluster all of them. With `fresh`
    all are trained anew. Errors as of `each`."""
    from qkdlib import teachers

    wanted: dict[str, tuple[Experiment, Teacher]] = {}
    for experiment in taught:
        for teacher in (each for single in experiment.teachers() for each in (*single.trained(), single)):
            wanted.setdefault(teachers.teacher_name(experiment, teacher), (experiment, teacher))
    there = {path.stem for path in workspace.teachers.glob("*.npz")}
    lacking = [pair for name, pair in wanted.items() if fresh or name not in there]
    each([teacher_job(*pair, workspace, fresh, say, workers.scheduler() is None) for pair in lacking], say, "teachers")


def each(jobs: list[Job], say: Callable[[str], None] = print, what: str = "experiments") -> None:
    """Do each job: where workers are, by them. On a machine with CUDA, with `QKD_THREADS=1`, and for what lives in this
    process alone (`parts.of_this_process`), it is done in this process, one after the other.

    Ctrl-C or a killed process loses the tasks in hand and nothing else. What fails is raised when the others are done.

    Args:
        say: prints a line for the reader.
        what: the jobs, on the bar that shows the progress.

    Raises:
        ValueError: `QKD_SCHEDULER` is no cluster that can compute this; before any work.
    """
    if not jobs:
        return
    failures, (here, out, count) = Failures(say), _shared(jobs)
    with runtime.progress(total=len(jobs), desc=what) as bar:

        def ended(job: Job) -> None:
            bar.update()
            if bar.disable and job.said and job.name not in failures.errors:
                say(job.said)

        if out:
            with workers.connected(count, say) as client:
                Spread(client, failures.of, ended).all(out)
        for job in here:
            with failures.of(job.name):
                job.here()
            ended(job)
    failures.end()


def _shared(jobs: list[Job]) -> tuple[list[Job], list[Job], int]:
    """The jobs of this process, those of workers, and how many workers of this machine those take."""
    out = [job for job in jobs if not job.alone and not parts.of_this_process(job.experiment)]
    count = workers_for([job.experiment for job in out])
    if count <= 1 and workers.scheduler() is None:
        return jobs, [], 1
    return [job for job in jobs if job not in out], out, count


def workers_for(experiments: list[Experiment]) -> int:
    """How many processes on this machine: one per core, as far as there are blocks of seeds for them and memory for the
    data of each; this one alone where there is CUDA."""
    if not experiments or _cuda():
        return 1
    room = checks.available_memory() / max(map(memory_of, experiments))
    blocks = sum(max(1, experiment.seeds // LEAST) for experiment in experiments)
    return max(1, int(min(runtime.threads(), blocks, room)))


def memory_of(experiment: Experiment) -> float:
    """About how many bytes a process takes for an experiment: all images as they are read and as float32, and those
    of its splits twice more."""
    images, numbers = SIZES.get(experiment.dataset, LARGE)
    per_class = (experiment.train_per_class, experiment.validation_per_class, experiment.test_per_class)
    asked = len(experiment.classes) * sum(each or 0 for each in per_class)
    if experiment.selection == "each_seed":  # they are looked up among all
        return WORKER + numbers * (10 if experiment.pixel_mean else 6) * images
    chosen = images if None in per_class else min(images, asked)
    return WORKER + numbers * (6 * images + 8 * chosen)


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()
