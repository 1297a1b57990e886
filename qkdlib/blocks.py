"""What is missing of an experiment as tasks: blocks of seeds, which any process computes, and what this one writes."""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qkdlib import files, runtime, torch_settings
from qkdlib.experiment import Experiment
from qkdlib.parts import check_registered
from qkdlib.records import Record, find, rounded
from qkdlib.trained import (
    Block,
    Trained,
    check_fit,
    keep,
    students_of,
    teachers_logits,
    train_block,
    weights_of,
    weights_path,
    with_weights,
)  # fmt: skip
from qkdlib.workspace import Workspace

LEAST = 5  # seeds of a block, where there are as many: few side by side take hardly longer than one
MOST = 100  # of a block; what an interruption costs, and what fits into a process's memory
ALONE = "torchquantum"  # the engine whose products round by how many seeds stand side by side


@dataclass(frozen=True, eq=False)
class Task:
    """A piece of work: `call(*given)`, which reads images and returns its results, and `done`, which writes them in
    this process."""

    experiment: Experiment | None  # whose images it needs
    call: Callable[..., Any]
    given: tuple
    done: Callable[[Any], None]


def shares(seeds: Sequence[int], pieces: int, least: int = LEAST, most: int = MOST) -> list[list[int]]:
    """The seeds in about `pieces` blocks of consecutive ones, as equal as can be."""
    count = max(min(pieces, len(seeds) // least), -(-len(seeds) // most), 1)
    return [each.tolist() for each in np.array_split(np.array(seeds, dtype=int), count)] if seeds else []


def check_places(experiment: Experiment, workspace: Workspace) -> None:
    """Raise what would keep the results of an experiment from being computed or written: `ValueError`, `OSError`."""
    check_registered(experiment)
    files.writable(workspace.students, workspace.teachers, workspace.checkpoints)
    with files.lock(workspace.checkpoints / f"{experiment.name}.lock"):
        pass  # as saving will


def write(
    record: Record, found: Trained, shape: tuple[int, int, int], workspace: Workspace, executed: Collection[int]
) -> dict:
    """Save the record with the results of a block, then the weights, which are larger, and forget what kept the
    training. Returns the entry of its provenance, which names the seeds to be `executed` as `unexecuted`, if any can.

    Args:
        shape: (C, H, W) of what the students see.
    """
    from qkdlib import training

    experiment, entry = record.experiment, found.entry
    for seed, results in zip(found.seeds, found.results, strict=True):
        record.seeds[seed] = rounded({**results, "qasm_accuracy": None})
    student = with_weights(experiment, found.seeds, found.weights, shape)
    # The record's own execution is that of students whose circuits differ from image to image anyway; v2's have 10,000
    # test images, and are executed where `robustness` asks for it; a twin has no circuit.
    waiting = [seed for seed in found.seeds if seed in executed]
    if waiting and not (student.encoder or student.layer.is_twin):
        entry["unexecuted"] = waiting
    record.provenance.append(entry)
    record.save(workspace)
    keep(student, workspace)
    training.forget(workspace.checkpoints, experiment, found.seeds, entry["device"])
    if diverged := [seed for seed in found.seeds if seed in record.diverged()]:
        warnings.warn(f"{experiment.name}: the training of seeds {diverged} diverged", stacklevel=4)
    return entry


class Missing:
    """What is missing of an experiment's record, for processes that train and execute it block by block.

    Args:
        fresh, aer_seeds: as of `pipeline.run`.
        weights: whether weights that are not kept are missing, too.
        near: the processes see the workspace's folders, and keep their trainings there.
    """

    def __init__(
        self, experiment: Experiment, workspace: Workspace, fresh: bool = False, aer_seeds: int | None = None,
        weights: bool = False, near: bool = True,
    ):  # fmt: skip
        self.experiment, self.workspace, self.record = experiment, workspace, Record(experiment)
        self.fresh, self.aer_seeds, self.weights, self.near = fresh, aer_seeds, weights, near

    def trainings(self, pieces: int) -> list[Task]:
        """Blocks of the seeds that are missing, about so many. Raises what `pipeline.run` raises of what does not fit,
        before any of them trains."""
        from qkdlib import teachers, training
        from qkdlib.images import datasets
        from qkdlib.students import Student

        experiment = self.experiment = datasets.identified(self.experiment)
        record = None if self.fresh else find(experiment, self.workspace)
        self.record = dataclasses.replace(record, experiment=experiment) if record else Record(experiment)
        missing, lost = self.record.missing(), []
        if not missing and not self.weights and (self.aer_seeds == 0 or not self.record.unexecuted()):
            return []
        check_places(experiment, self.workspace)
        device = runtime.start()
        with torch_settings.plain_torch():
            parts = teachers.seen(experiment, datasets.splits(experiment), self.workspace)
            self.shape = parts.shape
            if self.weights and (there := [seed for seed in range(experiment.seeds) if seed not in missing]):
                kept = Student(experiment, self.shape, there)
                read = functools.partial(kept.load_weights, weights_path(experiment, self.workspace))
                lost = [] if files.or_aside(read, self.record.diverged()) else there
            self.block = Block.of(experiment, [], parts)
            blocks = [each for seeds in (missing, lost) for each in self._shares(seeds, pieces)]
            if not blocks:
                return []
            check_fit(experiment, parts, max(map(len, blocks)))  # before a teacher trains
            seeds = [*missing, *lost]
            for teacher in dict.fromkeys(map(experiment.teacher.of, seeds)) if experiment.teacher else ():
                if not (path := teachers.logits_path(self.workspace, experiment, teacher)).exists():
                    raise RuntimeError(f"there are no logits of its teacher, {path.stem}")
            logits = teachers_logits(experiment, seeds, parts, self.workspace, device)
            folder = self.workspace.checkpoints if self.near else None
            block = Block.of(experiment, seeds, parts, logits, folder)
        executed = missing if self.aer_seeds is None else missing[: self.aer_seeds]
        tasks = []
        for seeds in blocks:
            if self.fresh:
                training.forget(self.workspace.checkpoints, experiment, seeds, device)
            done = self._keep if seeds[0] in lost else functools.partial(self._write, executed)
            tasks.append(Task(experiment, train_block, (block.share(seeds),), done))
        return tasks

    def executions(self, pieces: int) -> list[Task]:
        """Blocks of the seeds that wait for their execution on Aer."""
        from qkdlib import execution

        tasks = []
        for entry in self.record.unexecuted() if self.aer_seeds != 0 else ():
            for seeds in shares(entry["unexecuted"], pieces):
                block = self.block.share(seeds)
                done = functools.partial(self._executed, entry, seeds)
                tasks.append(Task(self.experiment, execution.execute_block, (block, self.weights_of(seeds)), done))
        return tasks

    def weights_of(self, seeds: list[int]) -> dict[str, np.ndarray]:
        """The weights of these seeds by name, each (S, ...), as they are kept; trained again where they are not."""
        from qkdlib.students import Student

        student = Student(self.experiment, self.shape, seeds)
        path = weights_path(self.experiment, self.workspace)
        if not files.or_aside(student.load_weights, path, self.record.diverged()):
            parts, device = self.block.share(seeds).parts(), runtime.start()
            with torch_settings.plain_torch():
                student = students_of(self.experiment, seeds, parts, self.record, self.workspace, device)
        return weights_of(student)

    def _shares(self, seeds: list[int], pieces: int) -> list[list[int]]:
        if self.experiment.engine == ALONE:
            return [seeds] if seeds else []
        return shares(seeds, pieces)

    def _write(self, executed: list[int], found: Trained) -> None:
        write(self.record, found, self.shape, self.workspace, executed)

    def _keep(self, found: Trained) -> None:
        from qkdlib import training

        keep(with_weights(self.experiment, found.seeds, found.weights, self.shape), self.workspace)
        training.forget(self.workspace.checkpoints, self.experiment, found.seeds, found.entry["device"])

    def _executed(self, entry: dict, seeds: list[int], found: Any) -> None:
        from qkdlib import execution

        execution.write_block(self.record, entry, seeds, found, self.workspace)
