"""Trained students of a workspace: with the weights that it keeps, else trained, on the logits of their teacher."""

import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from qkdlib import checks, files
from qkdlib.experiment import Experiment
from qkdlib.parts import check_registered
from qkdlib.records import Record
from qkdlib.workspace import Workspace

if TYPE_CHECKING:
    import torch

    from qkdlib.images import Splits
    from qkdlib.students import Student


def weights_path(experiment: Experiment, workspace: Workspace) -> Path:
    """Where the weights of an experiment's students lie, or will."""
    return workspace.checkpoints / f"{experiment.name}.npz"


def students_of(
    experiment: Experiment, seeds: list[int], parts: "Splits", record: Record | None, workspace: Workspace,
    device: "torch.device",
) -> "Student":  # fmt: skip
    """The trained students of `seeds`: with the weights that are kept, else (or if those are damaged) trained again."""
    from qkdlib import training
    from qkdlib.students import Student

    student = Student(experiment, parts.shape, seeds).fit_reducer(parts.train.x)
    try:
        if student.load_weights(weights_path(experiment, workspace), record.diverged() if record else ()):
            return student.to(device).eval()
    except files.Damaged as damaged:
        files.set_aside(damaged)
    if record is None:
        warnings.warn(f"{experiment.name}: there is no record of it; it is trained now", stacklevel=3)
    student, _, _ = train(experiment, seeds, parts, workspace, device, workspace.checkpoints)
    keep(student, workspace)
    training.forget(workspace.checkpoints, experiment, seeds, device)
    return student.to(device).eval()


def check_fit(experiment: Experiment, parts: "Splits") -> None:
    """Raise `ValueError` where the student and its loss do not fit each other, the images or the memory."""
    from qkdlib import training
    from qkdlib.students import Student

    one = Student(experiment, parts.shape, seeds=[0]).fit_reducer(parts.train.x)
    training.check_loss(one)
    checks.memory("seeds", experiment.seeds, experiment.seeds * one.memory_needed(parts.train.x), "their training")


def keep(student: "Student", workspace: Workspace) -> None:
    """Save the weights, which can be had again by training: without them a result is none the worse."""
    path = weights_path(student.experiment, workspace)
    try:
        student.save_weights(path)
    except (OSError, MemoryError) as error:
        warnings.warn(f"the weights are not kept: {path}: {error}", stacklevel=3)


def train(
    experiment: Experiment, seeds: list[int], parts: "Splits", workspace: Workspace, device: "str | torch.device",
    folder: Path | None = None,
) -> "tuple[Student, list[dict], float]":  # fmt: skip
    """The students of `seeds`, trained on `parts` with the logits of their teacher, which is trained first if it has
    none; their curves (`training.train_students`), and the seconds that took, without the teacher's. What `folder`
    keeps of a training that was interrupted is gone on from, and counted; `training.forget` removes it."""
    from qkdlib import training
    from qkdlib.teachers import controls, teacher_training

    check_registered(experiment)
    logits = None
    if experiment.teacher is not None:
        logits = teacher_training.train_teacher(experiment, experiment.teacher, parts, workspace, device).train
        logits = controls.apply(experiment, logits, parts)
    started = time.perf_counter()
    student, results = training.train_students(experiment, parts, logits, seeds, device, folder)
    return student, results, time.perf_counter() - started + student.seconds_before
