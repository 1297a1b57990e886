"""The jobs, as this library describes them, and what the processes that do them are told."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import protocol
import torch

from qkdlib import torch_settings
from qkdlib.experiment import Experiment, as_dict
from qkdlib.students import Student
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised
from qkdlib.teachers.teacher_files import logits_path
from qkdlib.training import losses
from qkdlib.training.optimizers import FlatAdam
from qkdlib.workspace import Workspace, data_root

ORIGINAL, PUBLISHED = "v2 original", "published, sampled"
SHAPE = (1, 28, 28)


def step_jobs() -> list[tuple[str, Experiment]]:
    """Student and experiment of each step job."""
    taught = {qubits: revised.student(qubits=qubits).distilled(revised.teacher("lenet")) for qubits in revised.QUBITS}
    found = [(ORIGINAL, dataclasses.replace(taught[qubits], seeds=seeds)) for qubits in taught for seeds in (1, 10)]
    sampled = paper.row("M-D-lenet-3q-05").experiment
    return found + [(PUBLISHED, dataclasses.replace(sampled, seeds=seeds)) for seeds in (1, 20)]


def whole_jobs() -> list[tuple[str, str, Experiment]]:
    """Student, name and experiment of each whole job."""
    found = []
    for regime in revised.REGIMES:
        for qubits in revised.QUBITS:
            arm = revised.bar("original", "mnist", qubits, regime).experiment.distilled(revised.teacher("lenet"))
            found.append((ORIGINAL, f"{ORIGINAL}, {regime}", arm))
    sampled = paper.row("M-D-lenet-3q-05").experiment
    return found + [(PUBLISHED, PUBLISHED, dataclasses.replace(sampled, seeds=seeds)) for seeds in (20, 100)]


def inputs(experiment: Experiment, steps: int) -> tuple[protocol.Inputs, np.ndarray]:
    """Random images for an epoch of so many steps, initial weights and the rows of three batches; and our losses (S, 3)
    of the first three steps, without what is random: exact outcomes, no dropout."""
    draw, seeds = torch.Generator().manual_seed(0), list(range(experiment.seeds))
    batch, classes = experiment.batch_size, len(experiment.classes)
    count = steps * batch
    x, labels = torch.rand(count, *SHAPE, generator=draw), torch.arange(count) % classes
    teacher = 3 * torch.randn(count, classes, generator=draw)
    rows = torch.stack([torch.randperm(count, generator=draw)[: 3 * batch] for _ in seeds])
    with torch_settings.one_thread(), torch_settings.plain_torch():
        student = Student(dataclasses.replace(experiment, sampler="exact", dropout=0.0), SHAPE, seeds)
        weights = {name: value.detach().numpy().copy() for name, value in student.named_parameters()}
        optimizer, found = FlatAdam(student.parameters(), experiment.learning_rate), []
        settings = losses.settings(experiment)
        prepared = student.reducer.prepare(x)
        for places in rows.split(batch, 1):
            optimizer.zero_grad()
            logits = student.logits(prepared[places])
            total = losses.distillation_loss(logits, labels[places], teacher[places], **settings).total
            total.sum().backward()
            optimizer.step()
            found.append(total.detach())
    given = (each.numpy() for each in (x, labels, teacher, rows))
    return protocol.Inputs(as_dict(experiment), *given, weights), torch.stack(found, 1).numpy()


def whole_job(experiment: Experiment, folder: Path) -> dict:
    """What the processes of a whole job are told; the workspace in `folder` holds the teacher's logits."""
    logits = logits_path(Workspace(), experiment, experiment.teacher)
    kept = logits_path(Workspace(folder / "workspace"), experiment, experiment.teacher)
    shutil.copy(logits, kept)
    shapes = {name: tuple(each.shape[1:]) for name, each in Student(experiment, SHAPE, [0]).named_parameters()}
    return {
        "experiment": as_dict(experiment), "workspace": str(folder / "workspace"), "data": str(data_root()),
        "teacher": str(kept), "results": str(folder / "results.json"), "shapes": shapes,
    }  # fmt: skip
