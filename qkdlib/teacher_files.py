"""What is kept of a teacher: a small file of logits, from which students learn in the teacher's place."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from qkdlib import experiment
from qkdlib.experiment import Experiment, Teacher
from qkdlib.files import atomic


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

    def save(self, path: Path) -> None:
        """Write atomically, as compressed npz without pickle. Logits are rounded to 16 bits (0.005 at 10)."""
        arrays = {name: getattr(self, name).numpy().astype(np.float16) for name in ("train", "test")}
        text = json.dumps({"history": self.history, "meta": self.meta})
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays, text=np.array(text))

    @classmethod
    def load(cls, path: Path) -> "TeacherLogits":
        """Read what `save` wrote.

        Raises:
            ValueError: the file is damaged.
        """
        try:
            with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
                text = json.loads(str(file["text"]))
                logits = [torch.from_numpy(file[name].astype(np.float32)) for name in ("train", "test")]
            return cls(*logits, text["history"], text["meta"])
        except Exception as error:
            raise ValueError(
                f"{path} is not a teacher's file ({error}); delete it to train the teacher again"
            ) from error


def teacher_name(task: Experiment, teacher: Teacher) -> str:
    """The file name of a teacher's logits: data set, classes, architecture, digest of all that changes them."""
    teacher = dataclasses.replace(teacher, labels="own")  # what a student gets of it is not the teacher's
    key = experiment.digest(teacher, dataset=task.dataset, classes=task.classes, image_size=task.image_size)
    return f"{experiment.task_name(task)}_{experiment.slug(teacher.architecture)}_{key}"
