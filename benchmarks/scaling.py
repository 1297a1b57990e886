"""Blocks of seeds on one and two processes of this machine, what a killed process costs, and the whole study on up to a
thousand cores: list scheduling, the longest block first, of the seconds that its committed records took."""

import dataclasses
import functools
import heapq
import math
import os
import signal
import tempfile
import threading
import time
from pathlib import Path

from qkdlib import records, trained, workers
from qkdlib.blocks import Missing, shares
from qkdlib.cluster import Failures
from qkdlib.experiment import Experiment
from qkdlib.images import datasets
from qkdlib.spreading import Job, Spread
from qkdlib.workspace import Workspace

TASK = Experiment(
    dataset="digits", train_per_class=60, validation_per_class=20, test_per_class=20, epochs=2, batch_size=6, seeds=10,
)  # fmt: skip
CORES, SIZES = (1, 10, 100, 1000), (100, 10, 5, 2, 1)
START, IMAGES = 6.0, 0.6  # seconds of a worker to import torch, and to get MNIST's 55 MB at 100 MB/s, once


def jobs(count: int, root: Path) -> list[Job]:
    """As many experiments as that, each a block."""
    tasks = [dataclasses.replace(TASK, learning_rate=1e-3 + number * 1e-5) for number in range(count)]
    return [Job(task.name, task, None, (Missing(task, Workspace(root), aer_seeds=0).trainings,)) for task in tasks]


def blocks_per_second(processes: int, count: int, killed: bool = False) -> float:
    """Of so many processes, once they have imported everything; one may be killed after a third of the blocks."""
    failures, ended = Failures(print), []

    def kill(pid: int, _job: Job) -> None:
        ended.append(pid)
        if killed and len(ended) == math.ceil(count / 3):
            threading.Timer(0.1, os.kill, (pid, signal.SIGKILL)).start()  # amid a block

    with tempfile.TemporaryDirectory() as root, workers.connected(processes, lambda _: None) as client:
        Spread(client, failures.of, lambda _: None).all(jobs(2 * processes, Path(root) / "first"))
        victim = next(iter(client.run(os.getpid).values()))
        started = time.perf_counter()
        Spread(client, failures.of, functools.partial(kill, victim)).all(jobs(count, Path(root) / "then"))
        seconds = time.perf_counter() - started
    failures.end()
    return count / seconds


def fixed_share(seeds: int = 10, rounds: int = 3) -> float:
    """The part of a block's time that does not grow with its seeds, by blocks of one seed and of several."""
    parts, seconds = datasets.splits(TASK), {}
    for count in (1, seeds):
        block = functools.partial(trained.train_seeds, TASK, list(range(count)), parts, None, "cpu", None)
        seconds[count] = min(_seconds(block) for _ in range(rounds))
    slope = (seconds[seeds] - seconds[1]) / (seeds - 1)
    return min(1.0, max(0.0, 1 - slope * seeds / seconds[seeds]))


def _seconds(call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def of_records(workspace: Workspace) -> list[tuple[int, float]]:
    """Seeds and seconds of every run of the records."""
    entries = [entry for record in records.read_all(workspace) for entry in record.provenance if entry.get("seeds")]
    return [(len(entry["seeds"]), entry["seconds"]["all"]) for entry in entries]


def in_blocks(runs: list[tuple[int, float]], size: int, share: float) -> list[float]:
    """Seconds of the blocks of at most `size` seeds into which the runs are cut."""
    pieces = [(len(block), seeds, seconds) for seeds, seconds in runs for block in shares(range(seeds), 1, 1, size)]
    return [seconds * (share + (1 - share) * part / seeds) for part, seeds, seconds in pieces]


def makespan(blocks: list[float], cores: int, start: float = START + IMAGES) -> float:
    """Seconds until all blocks are done, the longest first, each on the core that is free first."""
    free = [start] * min(cores, len(blocks))
    for seconds in sorted(blocks, reverse=True):
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def simulate(runs: list[tuple[int, float]], share: float) -> None:
    """A line for each size of blocks and number of cores."""
    whole = sum(seconds for _, seconds in runs)
    print(f"{len(runs)} runs, {whole / 3600:.1f} hours on one core; {share:.0%} of a run's time is there for any seeds")
    print("seeds a block, cores: hours, efficiency, bound by")
    for size in SIZES:
        blocks = in_blocks(runs, size, share)
        for cores in CORES:
            total, beginning = makespan(blocks, cores), START + IMAGES
            bounds = {"work": sum(blocks) / cores, "the longest block": max(blocks), "start and images": beginning}
            bound, efficiency = max(bounds, key=bounds.get), whole / cores / total
            print(f"  {size:3d}, {cores:4d}: {total / 3600:7.3f} h, {efficiency:4.0%}, {bound}")


def main(count: int = 16) -> None:
    """Measure, then simulate."""
    one, two, killed = (blocks_per_second(*each) for each in ((1, count), (2, count), (2, count, True)))
    print(f"blocks/s: 1 process {one:.2f}, 2 processes {two:.2f} ({two / one:.2f} times), one killed {killed:.2f}")
    simulate(of_records(Workspace(Path(__file__).parents[1])), fixed_share())


if __name__ == "__main__":
    main()
