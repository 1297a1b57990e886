"""Executing the trained students of an experiment under conditions, in this process or as tasks for workers; what comes
of it is recorded by `executions`."""

import dataclasses
import datetime
import functools
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from qkdlib import checks, records, runtime
from qkdlib import experiment as experiments
from qkdlib.blocks import Missing, Task, shares
from qkdlib.execution import Executed
from qkdlib.experiment import Experiment
from qkdlib.records import Record, statistics
from qkdlib.study.robustness import executions
from qkdlib.study.robustness.executions import Condition
from qkdlib.trained import Block, weights_of, with_weights
from qkdlib.workspace import Workspace

SAME, SAMPLED = 0.2, 5.0  # points of accuracy between equal weights: rounding; other samples


def run(
    experiment: Experiment, conditions: list[Condition], workspace: Workspace, fresh: bool = False, device: str = "auto"
) -> None:
    """Execute the trained students of an experiment under each condition that has no record, saving after each.
    Students without a record or without weights are trained first. A damaged file is set aside, and made anew.

    Args:
        fresh: execute under all conditions anew.

    Raises:
        RuntimeError: some conditions failed; it names them. The others are executed first.
    """
    if not (wanted := executions.wanted(experiment, conditions, workspace, fresh)):
        return
    from qkdlib import pipeline

    record = pipeline.run(experiment, workspace=workspace, device=device, aer_seeds=0)
    student, failed = pipeline.trained_student(record, workspace=workspace, device=device), {}
    _compare(student, record)
    for condition in runtime.progress(wanted, desc=experiment.name):
        try:
            if fresh or executions.missing(experiment, [condition], workspace):  # unless another process was faster
                _execute(student, condition, workspace, fresh)
        except Exception as error:
            failed[condition] = error
    if failed:
        each = checks.line("; ".join(f"{condition}: {checks.line(error)}" for condition, error in failed.items()), 1000)
        said = f"{experiment.name}: {len(failed)} of {len(wanted)} conditions failed: {each}"
        raise RuntimeError(said) from next(iter(failed.values()))


def _execute(student, condition: Condition, workspace: Workspace, fresh: bool) -> None:
    """Execute and save. Of several processes that do this at once each takes the others' finished jobs; what is removed
    in the end is those, and never the folder to which another one is writing."""
    keep = _keep(student.experiment, condition, workspace, fresh)
    executions.save(
        student.experiment, student.seeds, condition, _executed(student, condition, keep), _about(), workspace
    )
    _remove_jobs(keep)


def stages(
    experiment: Experiment, conditions: list[Condition], workspace: Workspace, fresh: bool = False, near: bool = True
) -> tuple[Callable[[int], list[Task]], ...]:
    """The same as tasks for workers, the stages of a `spreading.Job`: first training, then all conditions, each in
    blocks of seeds. `near`: workers keep what is unfinished in the workspace's folders."""
    lacking = Missing(experiment, workspace, aer_seeds=0, weights=True, near=near)

    def executing(pieces: int) -> list[Task]:
        from qkdlib import pipeline

        record = records.complete(lacking.experiment, workspace)
        if record is None:
            raise RuntimeError(f"{experiment.name} has no record to execute")
        wanted, tasks = executions.wanted(experiment, conditions, workspace, fresh), []
        student = pipeline.trained_student(record, workspace=workspace)
        _compare(student, record)
        for condition in wanted:
            keep, found = _keep(experiment, condition, workspace, fresh), []
            blocks = shares(student.seeds, -(-pieces // len(wanted)))
            done = functools.partial(_collect, student, condition, workspace, keep, found, len(blocks))
            for seeds in blocks:
                rows = [student.seeds.index(seed) for seed in seeds]
                weights = {name: value[rows] for name, value in weights_of(student).items()}
                given = Block(student.experiment, seeds), weights, condition, keep if near else None
                tasks.append(Task(student.experiment, execute_block, given, done))
        return tasks

    return lacking.trainings, executing


def execute_block(
    block: Block, weights: dict[str, np.ndarray], condition: Condition, keep: Path | None
) -> tuple[Executed, dict]:
    """Execute the students of a block, whose weights these are, and say what computed it; `keep` is a folder for
    finished jobs. `RuntimeError`: it failed."""
    parts, device = block.parts(), runtime.start()
    student = with_weights(block.experiment, block.seeds, weights, parts.shape)
    try:
        executed = _executed(student.fit_reducer(parts.train.x).to(device).eval(), condition, keep)
    except Exception as error:
        raise RuntimeError(f"{condition}: {checks.line(error, 1000)}") from error
    return executed, _about()


def _collect(
    student, condition: Condition, workspace: Workspace, keep: Path, found: list, blocks: int,
    executed: tuple[Executed, dict],
) -> None:  # fmt: skip
    """Save a condition once all its blocks are there."""
    found.append(executed)
    if len(found) < blocks:
        return
    each, of_seeds = [executed for executed, _ in found], {}
    for one in each:
        of_seeds |= one.accuracies
    facts = dataclasses.replace(each[0].facts, earlier_jobs=sum(one.facts.earlier_jobs for one in each))
    jobs, seconds = sum(one.jobs for one in each), sum(one.seconds for one in each)
    whole = dataclasses.replace(each[0], accuracies=of_seeds, facts=facts, jobs=jobs, seconds=seconds)
    executions.save(student.experiment, student.seeds, condition, whole, found[0][1], workspace)
    _remove_jobs(keep)


def _executed(student, condition: Condition, keep: Path | None) -> Executed:
    from qkdlib import execution
    from qkdlib.images import datasets

    images = datasets.splits(dataclasses.replace(student.experiment, test_per_class=condition.images_per_class)).test
    return execution.execute(student, images, shots=condition.shots, on=condition.backend(), keep=keep)


def _keep(experiment: Experiment, condition: Condition, workspace: Workspace, fresh: bool) -> Path:
    """The folder of finished jobs, empty if `fresh`."""
    keep = workspace.folder("checkpoints", "jobs", f"{experiment.name}_{experiments.digest(condition)}")
    if fresh:
        _remove_jobs(keep)
    return keep


def _remove_jobs(folder: Path) -> None:
    for path in folder.glob("job_*"):
        path.unlink(missing_ok=True)


def _compare(student, record: Record) -> None:
    """Warn if these weights are not those that the record tells of: checkpoints are not committed, and another
    processor may train to other weights."""
    from qkdlib import training
    from qkdlib.images import datasets

    experiment = record.experiment
    images = datasets.splits(experiment).test
    with torch.inference_mode():
        x = student.reducer.prepare(images.x.to(student.signs.device))
        prepared = dataclasses.replace(images, x=x, y=images.y.to(x.device))
        found = np.array(training.evaluate(student, prepared).accuracy) * 100
    kept = np.array(statistics.accuracies(record, statistics.kept_outcome(record)))
    sound = [seed not in record.diverged() for seed in student.seeds]
    differs = np.abs(found - kept)[sound].max(initial=0)
    if differs > (SAMPLED if experiment.sampler != "exact" else SAME):
        text = f"{experiment.name}: weights with accuracies up to {differs:.1f} points off those of the record"
        warnings.warn(text, stacklevel=2)


def _about() -> dict:
    """What computes: threads, versions, processor."""
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"threads": runtime.threads(), "created": created, **runtime.provenance()}
