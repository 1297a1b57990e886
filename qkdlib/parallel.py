"""Many experiments side by side: one process with one thread per core, each running whole experiments.

A stack of students keeps one core busy by itself; two processes of one thread finish twice the experiments, where one
process with two threads is hardly faster than with one.
"""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from qkdlib import runtime
from qkdlib.experiment import Experiment
from qkdlib.workspace import Workspace

MOST_WORKERS = 8  # each holds torch and a data set: about 1 GB


def run_all(
    experiments: Iterable[Experiment], workspace: Workspace, *, fresh: bool = False, aer_seeds: int | None = None,
    say=print,
) -> None:  # fmt: skip
    """Run experiments, on all cores; each leaves its record as soon as it is done.

    Args:
        fresh, aer_seeds: as in `pipeline.run`.
        say: prints a line for the reader.
    """
    # The longest first, so that no core waits for a long last one.
    wanted = sorted(experiments, key=lambda e: -(e.train_per_class or 10**4) * len(e.classes) * e.epochs)
    each(_run, [(experiment, workspace.folder(), fresh, aer_seeds) for experiment in wanted], say)


def each(job: Callable[..., str], calls: list[tuple], say=print) -> None:
    """`job(*call)` for each call, on all cores, one thread each.

    Ctrl-C or a killed process loses the calls in hand and nothing else. On a machine with CUDA, and with
    `QKD_THREADS=1`, they run one after the other in this process.

    Args:
        job: a function of a module, which saves its own results and returns its name.
        say: prints a line for the reader.
    """
    workers = 1 if _cuda() else min(runtime.threads(), MOST_WORKERS, len(calls))
    with runtime.progress(total=len(calls), desc="experiments") as bar:
        for name in _finished(job, calls, workers):
            bar.update()
            if bar.disable:
                say(f"{name} done")


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _finished(job: Callable[..., str], calls: list[tuple], workers: int):
    """What the calls return, as they finish."""
    if workers <= 1:
        for call in calls:
            yield job(*call)
        return
    # Spawned, because a process that has used its threads cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_alone)
    try:
        running = [pool.submit(job, *call) for call in calls]
        for done in concurrent.futures.as_completed(running):
            yield done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _alone() -> None:
    """A worker computes on one thread and leaves the progress bar to its parent."""
    os.environ["QKD_THREADS"] = "1"
    os.environ["OMP_NUM_THREADS"] = "1"
    runtime.QUIET = True


def _run(experiment: Experiment, root: Path, fresh: bool, aer_seeds: int | None) -> str:
    from qkdlib.pipeline import run

    run(experiment, workspace=Workspace(root), fresh=fresh, aer_seeds=aer_seeds)
    return experiment.name
