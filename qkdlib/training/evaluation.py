"""What students make of images that they do not train on."""

from typing import NamedTuple

import torch

from qkdlib.images.choice import Images
from qkdlib.students import Student
from qkdlib.training import confusion, losses, steps


class Evaluated(NamedTuple):
    """Of each seed the mean of each part of the loss (`losses.PARTS`), the accuracy in [0, 1], how many images have a
    zero vector of features, and the class (S, N) that each image is taken for; C, the number of classes, for an outcome
    that is no class."""

    losses: dict[str, list[float]]
    accuracy: list[float]
    zero_vectors: list[int]
    predicted: torch.Tensor


@torch.no_grad()
def evaluate(student: Student, images: Images, teacher_logits: torch.Tensor | None = None) -> Evaluated:
    """What every seed makes of the same images, or of its own.

    Args:
        images: `x` is what the student's reducer prepares of them.
        teacher_logits: (N, C), or (S, N, C) where seeds have their own; without them the divergence is taken from a
            uniform teacher, whatever the loss.
    """
    classes, step, scale = len(student.experiment.classes), student.evaluation_batch, student.experiment.logit_scale
    if teacher_logits is not None and losses.of_batches(student.experiment):
        step = student.experiment.batch_size  # as in training
    loss, found, zero = steps.loss(student, images.y, teacher_logits, step), [], []
    everything = torch.arange(len(images), device=images.y.device)
    for x, rows in zip(images.chunks(step), everything.split(step), strict=True):
        features = student.reducer(x)
        zero.append(student.zero_vectors(features))
        logits = scale * student.head(student.measured(features))  # (S, B, L)
        loss.count(logits, rows.expand(len(logits), -1))
        found.append(confusion.predicted(logits, classes))
    predicted = torch.cat(found, dim=1)
    accuracy = ((predicted == images.y).sum(1) / len(images)).tolist()
    return Evaluated(loss.means(), accuracy, torch.stack(zero).sum(0).tolist(), predicted)
