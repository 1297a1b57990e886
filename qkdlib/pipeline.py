"""From an experiment to its record: images, teacher, training of all seeds side by side, execution on Aer."""

import dataclasses
import datetime
import time

from qkdlib import runtime
from qkdlib.experiment import Experiment
from qkdlib.records import DIGITS, Record, find
from qkdlib.workspace import Workspace


def run(
    experiment: Experiment,
    *,
    teacher=None,
    workspace: Workspace | str = ".",
    device: str = "auto",
    fresh: bool = False,
) -> Record:
    """The record of an experiment: found if it is there, else made. Only missing seeds are computed.

    Args:
        experiment: what to run.
        teacher: a `torch.nn.Module` of your own that maps images (B, C, H, W) in [0, 1] to logits (B, classes);
            it takes the place of `experiment.teacher`. With `kd_weight` 0 the weight becomes 0.9.
        workspace: where records and checkpoints lie.
        device: `auto`, `cpu` or `cuda`.
        fresh: compute all seeds anew and replace their results.

    Raises:
        ValueError: something in the experiment does not fit; before any training starts.
        FileNotFoundError: the data set is neither there nor to be downloaded.
    """
    workspace = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
    runtime.threads()
    record = None if fresh or teacher is not None else find(experiment, workspace)
    if record is not None and not (missing := _missing(record, experiment)):
        return _asked(record, experiment)

    from qkdlib import datasets, execution, teacher_training, training

    device = runtime.start(device)
    parts = datasets.splits(experiment)
    if teacher is not None:
        named = teacher_training.save_custom(experiment, teacher, parts, workspace, device)
        experiment = experiment.distilled(named, experiment.kd_weight or 0.9)
        record = None if fresh else find(experiment, workspace)
    record = record or Record(experiment)
    missing = _missing(record, experiment)
    if not missing:
        return _asked(record, experiment)

    started = time.perf_counter()
    logits = None
    if experiment.teacher is not None:
        logits = teacher_training.train_teacher(experiment, experiment.teacher, parts, workspace, device).train
    trained_at = time.perf_counter()
    student, history = training.train_students(experiment, parts, logits, missing, device)
    executed_at = time.perf_counter()
    accuracies = execution.execute_students(student, parts.test, experiment.shots)
    finished = time.perf_counter()

    record.seeds |= {
        seed: _results(history, place, accuracies[place]) for place, seed in enumerate(missing)
    }  # fmt: skip
    record.provenance.append(
        {
            "seeds": missing,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": {
                "teacher": round(trained_at - started, 1),
                "training": round(executed_at - trained_at, 1),
                "execution": round(finished - executed_at, 1),
            },
            "threads": runtime.threads(),
            "device": str(device),
            **runtime.provenance(),
        }
    )
    record.save(workspace)
    return _asked(record, experiment)


def _missing(record: Record, experiment: Experiment) -> list[int]:
    return [seed for seed in range(experiment.seeds) if seed not in record.seeds]


def _asked(record: Record, experiment: Experiment) -> Record:
    """The record with the seeds that were asked for, if it has more."""
    seeds = {seed: record.seeds[seed] for seed in range(experiment.seeds)}
    return dataclasses.replace(record, experiment=experiment, seeds=seeds)


def _results(history: list[dict], place: int, qasm_accuracy: float) -> dict:
    curves = [name for name in history[0] if name != "seconds"]
    results = {name: [round(epoch[name][place], DIGITS) for epoch in history] for name in curves}
    return results | {"qasm_accuracy": round(qasm_accuracy, DIGITS)}
