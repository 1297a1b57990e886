"""What the benchmarks share: a training's step, and how long a function takes."""

import dataclasses
import time
from collections.abc import Callable

import torch

from qkdlib.experiment import Experiment
from qkdlib.images.datasets import Images, Splits
from qkdlib.training.student_training import StudentTraining

SHAPE, BATCHES = (1, 28, 28), 10


def stepper(experiment: Experiment, seeds: int, device: str = "cpu", batch: int | None = None) -> Callable[[], None]:
    """A function that does one training step (forward, loss with a teacher in it, backward, optimiser) of `seeds`
    students on random images."""
    task = dataclasses.replace(experiment, batch_size=batch or experiment.batch_size)
    classes, count = len(task.classes), BATCHES * task.batch_size
    images = Images(torch.rand(count, *SHAPE), torch.arange(count) % classes, torch.arange(count))
    parts = Splits(images, images, images, images, images, tuple(map(str, range(classes))))
    training = StudentTraining(task, task.learning_rate, parts, torch.randn(count, classes), list(range(seeds)), device)
    masks = training.student.reducer.masks
    rows = torch.randint(count, (seeds, task.batch_size), device=device)
    keep = torch.ones(seeds, task.batch_size, masks, device=device) if masks else None

    @torch.no_grad()
    def step() -> None:
        training.step(rows, keep)

    return step


def milliseconds(step: Callable[[], object], count: int) -> float:
    """Mean milliseconds of `count` calls."""
    started = time.perf_counter()
    for _ in range(count):
        step()
    return 1000 * (time.perf_counter() - started) / count
