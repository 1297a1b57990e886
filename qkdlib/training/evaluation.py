"""What students make of images: their losses, accuracy and the class that each image is taken for."""

import dataclasses
from typing import NamedTuple

import torch

from qkdlib.images.datasets import Images
from qkdlib.students import Student
from qkdlib.training import confusion, losses
from qkdlib.training.losses import Loss, distillation_loss


@dataclasses.dataclass
class LossSums:
    """Sums of a loss's parts over the batches of an epoch."""

    parts: torch.Tensor = dataclasses.field(init=False)  # (3, S), once there are images
    images: int = 0

    def add(self, loss: Loss, images: int) -> None:
        """Count a batch of `images`."""
        parts = torch.stack([loss.total.detach(), loss.cross_entropy.detach(), loss.divergence.detach()]) * images
        self.parts = self.parts + parts if self.images else parts
        self.images += images

    def means(self, prefix: str) -> dict[str, list[float]]:
        """Mean of each part over the images, one number per seed; starts anew."""
        means = (self.parts / self.images).tolist()
        self.images = 0
        return {f"{prefix}_{name}": row for name, row in zip(losses.PARTS, means, strict=True)}


class Evaluated(NamedTuple):
    """Mean loss parts, the accuracy of each seed in [0, 1], and the class (S, N) that each image is taken for; C, the
    number of classes, for an outcome that is no class."""

    losses: LossSums
    accuracy: list[float]
    predicted: torch.Tensor


def evaluate(student: Student, images: Images, teacher_logits: torch.Tensor | None = None) -> Evaluated:
    """What every seed makes of the same images.

    Args:
        images: `x` is what the student's reducer prepares of them.
        teacher_logits: (N, C); without them the divergence is taken from a uniform teacher, whatever the loss.
    """
    sums, found = LossSums(), []
    seeds, classes = len(student.seeds), len(student.experiment.classes)
    settings, step = losses.settings(student.experiment), student.evaluation_batch
    if teacher_logits is None:
        teacher_logits, settings["term"] = torch.zeros(len(images), classes, device=images.y.device), None
    elif losses.of_batches(student.experiment):
        step = student.experiment.batch_size  # as in training
    for start in range(0, len(images), step):
        chunk = slice(start, start + step)
        labels = images.y[chunk].expand(seeds, -1)  # (S, B)
        logits = student.logits(images.x[chunk])  # (S, B, L)
        loss = distillation_loss(logits, labels, teacher_logits[chunk].expand(seeds, -1, -1), **settings)
        sums.add(loss, labels.shape[1])
        found.append(confusion.predicted(logits, classes))
    predicted = torch.cat(found, dim=1)
    return Evaluated(sums, ((predicted == images.y).sum(1) / len(images)).tolist(), predicted)
