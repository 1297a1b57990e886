"""What is kept of a teacher: a small file of logits, from which students learn in the teacher's place. It says whose it
is; a file that is another teacher's, under whatever name, is not taken."""

import dataclasses
import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from qkdlib import checks, experiment, files
from qkdlib.experiment import CUSTOM, Experiment, Teacher
from qkdlib.images.choice import Splits
from qkdlib.training.checkpoints import check_history
from qkdlib.workspace import Workspace

MOST_LOGITS = 1 << 29  # bytes of logits in a file: 13 million images of 10 classes
LARGEST_16 = 64.0  # the logits of trained networks are smaller; 16 bits round them by at most 1/64
OFFSET = 1.5  # of the largest difference between an image's logits: what exceeds it is common to all of them


@dataclass(frozen=True)
class TeacherLogits:
    """What is kept of a teacher: logits of every training and test image of the classes, and its history.

    `train` (N, C) and `test` (M, C) are float32, in the order of `Splits.all_train` and `all_test`. `history` has
    one entry per epoch with the mean `train_loss` and `test_accuracy` in [0, 1]; `meta` says who, when and how.
    """

    train: torch.Tensor
    test: torch.Tensor
    history: list[dict]
    meta: dict

    def save(self, path: Path, bits: int = 16) -> None:
        """Write atomically, as compressed npz without pickle. 16 `bits` round logits (by 0.005 at 10), but for those
        that they cannot hold; 32 keep them."""
        logits = {name: without_offset(getattr(self, name)).numpy() for name in ("train", "test")}
        most = max(np.abs(each).max(initial=0) for each in logits.values())
        kind = np.float16 if bits == 16 and most <= np.finfo(np.float16).max else np.float32
        text = json.dumps({"history": self.history, "meta": self.meta}, allow_nan=False)
        arrays = {name: each.astype(kind) for name, each in logits.items()}
        files.write_arrays(path, arrays | {"text": np.array(text)})

    @classmethod
    def load(cls, path: Path, most: int = MOST_LOGITS) -> "TeacherLogits":
        """Read what `save` wrote. `files.Damaged`: there are more than `most` bytes of logits, the file is damaged, or
        another teacher's under this name."""
        arrays = files.read_arrays(path, most + files.MOST_TEXT)
        with files.checked(path):
            if set(arrays) != {"train", "test", "text"}:
                raise ValueError(f"arrays {sorted(arrays)} in place of train, test and text")
            text = files.parse(str(arrays.pop("text")))
            history, meta = text["history"], text["meta"]
            _check_logits(**arrays)
            check_history(history)
            if not all("test_accuracy" in epoch for epoch in history):
                raise ValueError("no test accuracies")
            if not isinstance(meta, dict):
                raise ValueError(f"{checks.shortened(meta)} in place of the facts about it")
            if "teacher" in meta and (name := _own_name(meta)) != path.stem:
                raise ValueError(f"it is the file of another teacher, {name}")
        train, test = (torch.from_numpy(arrays[name].astype(np.float32)) for name in ("train", "test"))
        return cls(train, test, history, meta)

    @classmethod
    def find(cls, path: Path) -> "TeacherLogits | None":
        """As `load`; None where there is no file, or, with a warning, a damaged one."""
        try:
            return cls.load(path)
        except FileNotFoundError:
            return None
        except files.Damaged as damaged:
            warnings.warn(f"{damaged}; passed over", files.DamagedFile, stacklevel=2)
            return None


class TeacherTask(NamedTuple):
    """Of an experiment what a teacher depends on."""

    dataset: str
    classes: tuple[int, ...]
    image_size: int | None
    images: str


def load(path: Path, task: Experiment, parts: Splits) -> TeacherLogits:
    """The logits in a file, if they are of these images and classes; else `Damaged`."""
    shapes = [(len(images), len(task.classes)) for images in (parts.all_train, parts.all_test)]
    logits = TeacherLogits.load(path, most=4 * sum(map(math.prod, shapes)))
    if (found := [tuple(logits.train.shape), tuple(logits.test.shape)]) != shapes:
        raise files.Damaged(path, f"logits of shapes {found}, where these images and classes have {shapes}")
    return logits


def stored(path: Path, task: Experiment, parts: Splits) -> TeacherLogits | None:
    """As `load`; None where there is no file. One that is damaged is set aside."""
    return files.or_aside(load, path, task, parts)


def without_offset(logits: torch.Tensor) -> torch.Tensor:
    """Logits (N, C) less the largest of each image, where they are large or share an offset, which no softmax sees and
    rounding pays for; then rounding to 16 bits changes no probability by more than 0.001, at any temperature."""
    if not logits.numel():
        return logits
    largest, spread = logits.abs().max(), (logits.amax(1) - logits.amin(1)).max()
    if largest <= (OFFSET * spread).clamp_max(LARGEST_16):
        return logits
    return logits - logits.amax(1, keepdim=True)


def teacher_name(task: Experiment | TeacherTask, teacher: Teacher) -> str:
    """The file name of a teacher's logits: data set, classes, architecture, digest of all that changes them.
    `ValueError`: it is several, with a file each."""
    if teacher.networks > 1:
        checks.fail("teacher networks", teacher.networks, "1: each has a file of its own, that of teacher.of(seed)")
    if teacher.architecture.startswith(CUSTOM):  # its name says it all
        teacher = Teacher(architecture=teacher.architecture)
    teacher = dataclasses.replace(teacher, labels="own")  # what a student gets of it is not the teacher's
    images = {"images": task.images} if task.images else {}
    key = experiment.digest(teacher, dataset=task.dataset, classes=task.classes, image_size=task.image_size, **images)
    return f"{experiment.task_name(task)}_{experiment.slug(teacher.architecture)}_{key}"


def logits_path(workspace: Workspace, task: Experiment, teacher: Teacher) -> Path:
    """Where a teacher's logits lie, or will."""
    return workspace.teachers / f"{teacher_name(task, teacher)}.npz"


def identity(task: Experiment, teacher: Teacher) -> dict:
    """What `teacher_name` names, for a file to say of itself."""
    return {
        **{name: getattr(task, name) for name in ("dataset", "image_size", "images")},
        "classes": list(task.classes),
        "teacher": dataclasses.asdict(teacher),
    }


def _own_name(meta: dict) -> str:
    """The file name of the teacher that a file says it is of; files of earlier versions say less."""
    fields = dict(meta["teacher"])
    members = tuple(Teacher(**{**member, "members": ()}) for member in fields.pop("members", ()))
    task = TeacherTask(meta["dataset"], tuple(meta["classes"]), meta.get("image_size"), meta.get("images", ""))
    return teacher_name(task, Teacher(**fields, members=members))


def _check_logits(train: np.ndarray, test: np.ndarray) -> None:
    for each in (train, test):
        if each.ndim != 2 or each.dtype not in (np.float16, np.float32):
            raise ValueError(f"logits of shape {each.shape} and type {each.dtype}, not (images, classes) and float")
        if not np.isfinite(each).all():
            raise ValueError("logits that are NaN or infinite")
    if train.shape[1] != test.shape[1]:
        raise ValueError(f"logits of {train.shape[1]} and {test.shape[1]} classes")
