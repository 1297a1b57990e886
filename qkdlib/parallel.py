"""Many experiments side by side: one process with one thread per core, each running whole experiments.

A stack of students keeps one core busy by itself; two processes of one thread finish twice the experiments, where one
process with two threads is hardly faster than with one. An error ends its own experiment alone.
"""

import concurrent.futures
import contextlib
import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from qkdlib import checks, parts, runtime
from qkdlib.experiment import Experiment, check_experiment
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
        """Keep an error of the work called `name`, but not that a process was killed, which is the end of all."""
        try:
            yield
        except concurrent.futures.BrokenExecutor as error:
            lost = "a process was killed, perhaps for lack of memory, or could not start, because the script has no " \
                   'if __name__ == "__main__": above what it calls; what was finished before is saved'  # fmt: skip
            raise RuntimeError(f"{name}: {lost}") from error
        except Exception as error:
            self.errors[name] = error
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
    """Run experiments, on all cores; each leaves its record as soon as it is done. Arguments as of `pipeline.run`, and
    `say`, which prints a line for the reader. In a script it stands below `if __name__ == "__main__":`."""
    wanted, root = [check_experiment(experiment) for experiment in experiments], Workspace.of(workspace).folder()
    # The longest first, so that no core waits for a long last one.
    wanted.sort(key=lambda e: -(e.train_per_class or 10**4) * len(e.classes) * e.epochs)
    each(_run, [(experiment, root, fresh, aer_seeds) for experiment in wanted], say)


def each(job: Callable[..., str], calls: list[tuple], say: Callable[[str], None] = print) -> None:
    """`job(*call)` for each call, on all cores, one thread each.

    Ctrl-C or a killed process loses the calls in hand and nothing else. On a machine with CUDA, and with
    `QKD_THREADS=1`, they run one after the other in this process. What fails is raised when the others are done.

    Args:
        job: a function of a module, which saves its own results and returns its name. The first of its arguments is an
            experiment.
        say: prints a line for the reader.
    """
    failures, workers = Failures(say), workers_for([call[0] for call in calls])
    with runtime.progress(total=len(calls), desc="experiments") as bar:
        for call, result in _finished(job, calls, workers):
            with failures.of(call[0].name):
                name = result()
                if bar.disable:
                    say(f"{name} done")
            bar.update()
    failures.end()


def workers_for(experiments: list[Experiment]) -> int:
    """How many processes: one per core, as far as there are experiments for them and memory for the data of each; this
    one alone where an experiment needs what lives in it (`parts.of_this_process`)."""
    if any(map(parts.of_this_process, experiments)) or _cuda():
        return 1
    room = checks.available_memory() / max(map(memory_of, experiments), default=WORKER)
    return max(1, int(min(runtime.threads(), len(experiments), room)))


def memory_of(experiment: Experiment) -> float:
    """About how many bytes a process takes for an experiment: all images as they are read and as float32, and those
    of its splits twice more."""
    images, numbers = SIZES.get(experiment.dataset, LARGE)
    per_class = (experiment.train_per_class, experiment.validation_per_class, experiment.test_per_class)
    asked = len(experiment.classes) * sum(each or 0 for each in per_class)
    chosen = images if None in per_class else min(images, asked)
    return WORKER + numbers * (6 * images + 8 * chosen)


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _finished(job: Callable[..., str], calls: list[tuple], workers: int) -> Iterator[tuple[tuple, Callable[[], str]]]:
    """Each call and a function that gives what it returns or raises, as they finish."""
    if workers <= 1:
        for call in calls:
            yield call, functools.partial(job, *call)
        return
    # Spawned, because a process that has used its threads cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_become_worker)
    try:
        running = {pool.submit(job, *call): call for call in calls}
        for done in concurrent.futures.as_completed(running):
            yield running[done], done.result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _become_worker() -> None:
    """A worker computes on one thread, leaves the progress bar to its parent, and ends with it."""
    os.environ["QKD_THREADS"] = "1"
    os.environ["OMP_NUM_THREADS"] = "1"
    runtime.QUIET = True
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()  # however it ended: it closes a pipe
        os._exit(1)


def _run(experiment: Experiment, root: Path, fresh: bool, aer_seeds: int | None) -> str:
    from qkdlib.pipeline import run

    run(experiment, workspace=Workspace(root), fresh=fresh, aer_seeds=aer_seeds)
    return experiment.name
