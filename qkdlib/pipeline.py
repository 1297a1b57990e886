"""From an experiment to its record: images, teacher, training of all seeds side by side, execution on Aer."""

import dataclasses
import datetime
import time
from pathlib import Path

from qkdlib import checks, runtime
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
    aer_seeds: int | None = None,
) -> Record:
    """The record of an experiment: found if it is there, else made. Only missing seeds are computed.

    Args:
        experiment: what to run.
        teacher: a `torch.nn.Module` of your own that maps images (B, C, H, W) in [0, 1] to logits (B, classes);
            it takes the place of `experiment.teacher`. With `kd_weight` 0 the weight becomes 0.9.
        workspace: where records and checkpoints lie.
        device: `auto`, `cpu` or `cuda`.
        fresh: compute all seeds anew and replace their results.
        aer_seeds: how many of the seeds computed now are executed on Aer, which takes as long as training them; None
            for all of them. Only students whose angles depend on the image can be.

    Raises:
        ValueError: something in the experiment does not fit; before any training starts.
        FileNotFoundError: the data set is neither there nor to be downloaded.
    """
    workspace = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
    runtime.threads()
    if aer_seeds is not None:
        checks.whole("aer_seeds", aer_seeds, minimum=0)
    if teacher is not None and not hasattr(teacher, "state_dict"):
        checks.fail("teacher", teacher, "a torch.nn.Module; for a qkdlib.Teacher use experiment.distilled(teacher)")
    record = None if fresh or teacher is not None else find(experiment, workspace)
    if record is not None and (found := record.asked(experiment)):
        return found

    from qkdlib import datasets, teacher_training
    from qkdlib.students import Student

    device = runtime.start(device)
    parts = datasets.splits(experiment)
    # What does not fit the images says so before a teacher trains.
    Student(experiment, parts.shape, seeds=[0]).fit_reducer(parts.train.x)
    if teacher is not None:
        named = teacher_training.save_custom(experiment, teacher, parts, workspace, device)
        experiment = experiment.distilled(named, experiment.kd_weight or 0.9)
        record = None if fresh else find(experiment, workspace)
    record = dataclasses.replace(record, experiment=experiment) if record else Record(experiment)
    missing = record.missing()
    if missing:
        _compute(record, missing, parts, workspace, device, aer_seeds)
        record.save(workspace)
    return record.asked(experiment)


def trained_student(experiment: Experiment, *, workspace: Workspace | str = ".", device: str = "auto"):
    """The trained `students.Student` of all seeds, in evaluation mode: `student(images)` gives logits (S, B, L).

    The weights of the last run lie in the workspace's checkpoints. Where they are not (they are never committed),
    the students are trained again, to the same result.
    """
    from qkdlib import datasets
    from qkdlib.students import Student

    workspace = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
    device = runtime.start(device)
    parts, seeds = datasets.splits(experiment), list(range(experiment.seeds))
    student = Student(experiment, parts.shape, seeds).fit_reducer(parts.train.x)
    if not student.load_weights(_weights(experiment, workspace)):
        student, _, _ = _train(experiment, seeds, parts, workspace, device)
    return student.to(device).eval()


def _weights(experiment: Experiment, workspace: Workspace) -> Path:
    return workspace.checkpoints / f"{experiment.name}.npz"


def _train(experiment: Experiment, seeds: list[int], parts, workspace: Workspace, device):
    from qkdlib import controls, teacher_training, training

    logits = None
    if experiment.teacher is not None:
        logits = teacher_training.train_teacher(experiment, experiment.teacher, parts, workspace, device).train
        logits = controls.apply(experiment, logits, parts)
    started = time.perf_counter()
    student, results = training.train_students(experiment, parts, logits, seeds, device)
    seconds = time.perf_counter() - started
    student.save_weights(_weights(experiment, workspace))
    return student, results, seconds


def _compute(
    record: Record, seeds: list[int], parts, workspace: Workspace, device, aer_seeds: int | None = None
) -> None:
    """Train and execute `seeds`, and add their results to the record."""
    from qkdlib import execution

    started = time.perf_counter()
    student, results, training_seconds = _train(record.experiment, seeds, parts, workspace, device)
    trained = time.perf_counter()
    # The record's own execution is that of students whose circuits differ from image to image anyway; v2's have
    # 10,000 test images, and are executed where `robustness` asks for it; a twin has no circuit.
    wanted = 0 if student.encoder or student.twin else len(seeds) if aer_seeds is None else min(aer_seeds, len(seeds))
    executed = execution.execute(student, parts.test, seeds=wanted).accuracies if wanted else {}
    seconds = {
        "training": round(training_seconds, 1),
        "execution": round(time.perf_counter() - trained, 1),
        "all": round(time.perf_counter() - started, 1),
    }
    for seed, found in zip(seeds, results, strict=True):
        record.seeds[seed] = _rounded({**found, "qasm_accuracy": executed.get(seed)})
    record.provenance.append(
        {
            "seeds": seeds,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": seconds,
            "threads": runtime.threads(),
            "device": str(device),
            **runtime.provenance(),
        }
    )


def _rounded(results: dict) -> dict:
    """Numbers with `DIGITS` decimals, in curves too; None stays None."""
    return {name: _short(value) for name, value in results.items()}


def _short(value):
    if isinstance(value, list):
        return [_short(each) for each in value]
    return round(value, DIGITS) if isinstance(value, float) else value
