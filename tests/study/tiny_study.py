"""An experiment of a second, and short ways to ask the study what it lacks and declares."""

import contextlib

import pytest

from qkdlib.experiment import Experiment
from qkdlib.records import statistics
from qkdlib.study import contents, missing
from qkdlib.workspace import Workspace

TINY = Experiment(
    dataset="digits", classes=(0, 1), train_per_class=6, validation_per_class=2, test_per_class=5,
    epochs=2, seeds=2, shots=20,
)  # fmt: skip

# What a png begins with: its mark, the length and the name of its header, its width.
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (300).to_bytes(4, "big")


def declared() -> list[Experiment]:
    """What all chapters declare, each once, in their order."""
    return list(dict.fromkeys(e for chapter in contents.CHAPTERS for e in chapter.experiments()))


def lacking(*names: str, workspace: Workspace, fresh: str = "no") -> list[Experiment]:
    """What of these parts has no record."""
    return missing.missing(contents.chosen(list(names)), workspace, fresh)


@contextlib.contextmanager
def quick_statistics():
    """Intervals of few resamples and p of few flips, which are forgotten afterwards."""
    remembered = (statistics._resamples, statistics._summary, statistics._signs, statistics._flipped)
    with pytest.MonkeyPatch.context() as patch:
        for each in remembered:
            each.cache_clear()
        patch.setattr(statistics, "RESAMPLES", 99)
        patch.setattr(statistics, "DRAWS", 499)
        yield
    for each in remembered:
        each.cache_clear()


def forbid(patch: pytest.MonkeyPatch, module, name: str) -> None:
    """A call of this function fails the test."""
    patch.setattr(module, name, lambda *_, **__: pytest.fail(f"{name} was called"))


def forbid_training(patch: pytest.MonkeyPatch) -> None:
    """No teacher and no student may be trained, and no image read."""
    from qkdlib import images, teachers, training
    from qkdlib.images import datasets
    from qkdlib.teachers import teacher_training
    from qkdlib.training import student_training

    for module, name in (
        (teachers, "train_teacher"), (teacher_training, "train_teacher"), (training, "train_students"),
        (training, "fit"), (student_training, "fit"), (images, "splits"), (datasets, "splits"),
    ):  # fmt: skip
        forbid(patch, module, name)
