"""Jobs on workers: their tasks go out, what comes back is written, and what a dead one had in hand goes out again."""

import collections
import contextlib
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qkdlib import workers
from qkdlib.blocks import Task
from qkdlib.experiment import Experiment
from qkdlib.trained import Block

if TYPE_CHECKING:
    import distributed

PATIENCE = 1.0  # seconds after which workers are counted again
TRIES = 4  # workers that a task may kill
GONE = "the scheduler is gone; what was finished is saved, and the next run goes on from there"


@dataclass(eq=False)
class Job:
    """Work under one name.

    Args:
        experiment: whose data set it needs.
        here: does all of it in this process.
        stages: give it as tasks for workers, each stage in about so many pieces as it is told, once those of the one
            before it are done.
        said: the line for the reader when all is done; "": none.
        alone: it is done in this process, wherever the others are.
    """

    name: str
    experiment: Experiment
    here: Callable[[], Any]
    stages: tuple[Callable[[int], list[Task]], ...] = ()
    said: str = ""
    alone: bool = False
    left: int = field(default=0, init=False)  # tasks of its stage
    coming: Iterator[Callable[[int], list[Task]]] = field(init=False)

    def __post_init__(self) -> None:
        self.coming = iter(self.stages)


class Spread:
    """Jobs on the workers of a client. A worker has one task at a time, which is sent to it alone: so one that kills
    its worker takes no other with it, and is known.

    Args:
        failing: `failing(name)` is a context that keeps the error of a job.
        ended: told each job when it is at its end.
    """

    def __init__(
        self, client: "distributed.Client", failing: Callable[[str], contextlib.AbstractContextManager],
        ended: Callable[[Job], None],
    ):  # fmt: skip
        self.client, self.failing, self.ended = client, failing, ended
        self.ready: collections.deque[tuple[Job, Task]] = collections.deque()
        self.running: dict[distributed.Future, tuple[Job, Task, str]] = {}
        self.killed: collections.Counter[Task] = collections.Counter()
        self.contents: dict[tuple[str, int | None], workers.Images] = {}
        self.sent: dict[workers.Images, distributed.Future] = {}
        self.expected = workers.facts() if workers.scheduler() else {}

    def all(self, jobs: list[Job]) -> None:
        """Compute and write all of them. `RuntimeError`: the scheduler is gone."""
        import distributed

        coming, self.jobs = collections.deque(jobs), len(jobs)
        while coming or self.ready or self.running:
            try:
                there = list(self.client.nthreads())
            except OSError as error:
                raise RuntimeError(GONE) from error
            for future in [each for each, (*_, worker) in self.running.items() if worker not in there]:
                self._lose(future)
            self.count = max(1, len(there))
            while coming and len(self.running) + len(self.ready) <= self.count:  # one waits for the next free worker
                self._start(coming.popleft())
            for worker in set(there).difference(worker for *_, worker in self.running.values()):
                if self.ready:
                    self._submit(*self.ready.popleft(), worker)
            if not self.running:
                time.sleep(PATIENCE * bool(self.ready))  # for workers
                continue
            with contextlib.suppress(TimeoutError):
                distributed.wait(list(self.running), PATIENCE, "FIRST_COMPLETED")
            for future in [each for each in self.running if each.done()]:
                self._take(future)

    def _start(self, job: Job) -> None:
        """The next stage of a job that has tasks, or its end."""
        with self.failing(job.name):
            for stage in job.coming:
                if tasks := stage(-(-self.count // self.jobs)):
                    for task in tasks:
                        self._images(task)
                    job.left = len(tasks)
                    self.ready.extend((job, task) for task in tasks)
                    return
        self.ended(job)

    def _submit(self, job: Job, task: Task, worker: str, lacking: bool = False) -> None:
        """Send a task to a worker, with its images if that lacks them."""
        images, more = self._images(task), {}
        if images and lacking:
            if images not in self.sent:
                self.sent[images] = self._send(workers.same, workers.handed(images))
            more = {"handed": self.sent[images]}
        future = self._send(workers.work, task.call, task.given, images, self.expected, **more, workers=[worker])
        self.running[future] = job, task, worker

    def _send(self, *given: Any, **named: Any) -> "distributed.Future":
        with warnings.catch_warnings(action="ignore"):  # of large arguments, as images are
            return self.client.submit(*given, **named, pure=False)

    def _images(self, task: Task) -> workers.Images | None:
        if task.experiment is None:
            return None
        key = task.experiment.dataset, task.experiment.image_size
        if key not in self.contents:
            self.contents[key] = workers.Images.of(*key)
        return self.contents[key]

    def _take(self, future: "distributed.Future") -> None:
        """Write what a task returned, or send it out again with its images."""
        import distributed

        job, task, worker = self.running[future]
        if future.cancelled():
            raise RuntimeError(GONE)
        with self.failing(job.name):
            try:
                found = future.result()
            except workers.Lacking:
                return self._submit(*self.running.pop(future), lacking=True)
            except distributed.KilledWorker:
                return self._lose(future)
            task.done(found)
        self._end(future)

    def _lose(self, future: "distributed.Future") -> None:
        """Send out again what a worker had in hand that is gone, if it has not killed too many."""
        job, task, _ = self.running[future]
        self.killed[task] += 1
        if self.killed[task] < TRIES:
            del self.running[future]
            future.cancel()
            return self.ready.appendleft((job, task))
        with self.failing(job.name):
            tries = f"each of the {TRIES} processes that computed {_shown(task)}"
            raise RuntimeError(f"{tries} was killed, perhaps for lack of memory")
        self._end(future)

    def _end(self, future: "distributed.Future") -> None:
        job, *_ = self.running.pop(future)
        job.left -= 1
        if not job.left:
            self._start(job)


def _shown(task: Task) -> str:
    """What a task computes, in a message."""
    seeds: list[int] = next((each.seeds for each in task.given if isinstance(each, Block)), [])
    return f"seeds {seeds[0]} to {seeds[-1]}" if seeds else "it"
