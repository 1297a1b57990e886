"""The gradient of a batch's loss by the logits, and the sums of the loss's parts.

With p(T) = softmax(logits / T) and the teacher's q = softmax(teacher / T), the parts (v1, Eq. 2 and 3) and what they
add to the gradient by the logits l of an image are

    CE = -log p_label(1)            dCE/dl = p(1) - onehot(label)
    KL = sum_c q_c log(q_c / p_c)   dKL/dl = (p(T) - q) / T

So both are one log-softmax with targets, of logits with the temperatures 1 and T: two rows (2, L) for each image, of
which a row of scores a has the loss log sum_i exp(a_i) - sum_i target_i a_i, but for the teacher's entropy. A batch's
loss is the mean over its images; the divergence's weight is `kd_weight` T^2, or `kd_weight` (Eq. 6).
"""

from typing import Protocol

import torch

from qkdlib import names
from qkdlib.students import Student, own_parts
from qkdlib.training import losses

NEVER = -1e30  # a logit of no chance: infinity times a target of 0 would be NaN
STEPS = 64  # whose parts are added up in 32 bits


class BatchLoss(Protocol):
    """The loss of batches of images, and the sums of its parts."""

    def gradient(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """That of the sum of all seeds' losses by their logits (S, B, L), for the images in `rows` (S, B); it counts
        the loss's parts, too."""
        ...

    def count(self, logits: torch.Tensor, rows: torch.Tensor) -> None:
        """Add up the loss's parts."""
        ...

    def means(self) -> dict[str, list[float]]:
        """Mean of each part over the images that were counted, one number per seed; starts anew."""
        ...

    def state_dict(self) -> dict[str, int]:
        """What the next sums depend on, between two epochs."""
        ...

    def load_state_dict(self, state: dict[str, int]) -> None: ...


class Tables:
    """Labels and teacher's logits of N images: the same for all S seeds, or of each seed its own, which lie one after
    the other.

    Args:
        labels: (N,), or (S, N).
        teacher_logits: (N, C), or (S, N, C).
    """

    def __init__(self, labels: torch.Tensor, teacher_logits: torch.Tensor):
        self.images, self.classes = teacher_logits.shape[-2:]
        labels, logits = labels.view(-1, self.images), teacher_logits.reshape(-1, self.images, self.classes)
        count = max(len(labels), len(logits))  # 1 or S
        self.labels = labels.expand(count, -1).reshape(-1)
        self.logits = logits.expand(count, -1, -1).reshape(-1, self.classes)
        starts = torch.arange(count, device=labels.device)[:, None] * self.images
        self.starts = starts if count > 1 else None

    def at(self, rows: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """What a table with a line for each of these images has for each seed's `rows` (S, B): (S, B, ...)."""
        places = rows if self.starts is None else rows + self.starts
        return table.index_select(0, places.reshape(-1)).view(*rows.shape, *table.shape[1:])


class Distillation:
    """CE and KL, by that formula.

    Args:
        labels, teacher_logits: of all images, as of `Tables`.
        outputs: L, of which KL sees the first C.
    """

    def __init__(
        self, labels: torch.Tensor, teacher_logits: torch.Tensor, outputs: int, seeds: int, batch: int,
        ce_weight: float, kd_weight: float, temperature: float,
    ):  # fmt: skip
        self.tables, like = Tables(labels, teacher_logits), teacher_logits
        classes, images = self.tables.classes, self.tables.images
        self.targets = like.new_zeros(len(self.tables.labels), 2, classes)  # of further outputs 0
        self.targets[:, 0].scatter_(1, self.tables.labels[:, None], 1.0)
        entropies = []
        # One seed after the other: each number is as it would be without the others.
        for table, logits in zip(self.targets.split(images), self.tables.logits.split(images), strict=True):
            log_q = torch.log_softmax(logits / temperature, -1)
            table[:, 1] = log_q.exp()
            entropies.append((log_q.exp() * log_q).double().sum() / images)
        self.negative_entropy = torch.stack(entropies)  # (1,) or (S,)
        self.scales, self.biases = like.new_tensor([[1.0], [1 / temperature]]), like.new_zeros(2, outputs)
        self.biases[1, classes:] = NEVER
        self.weights, slopes = (ce_weight, kd_weight), like.new_tensor([[ce_weight], [kd_weight / temperature]])
        batch = min(batch, images)
        self.slopes = {count: slopes / count for count in (batch, images % batch) if count}
        self.sums, self.norms = (like.new_zeros(seeds, batch, 2, numbers) for numbers in (classes, 1))
        self.totals = like.new_zeros(seeds, 2, dtype=torch.double)
        self.steps, self.images = 0, 0

    def gradient(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        targets, chances, norms = self._counted(logits, rows)
        wrong = chances / norms
        wrong[..., : targets.shape[-1]] -= targets
        plain, softened = (wrong * self.slopes[rows.shape[1]]).unbind(2)
        return plain + softened

    def count(self, logits: torch.Tensor, rows: torch.Tensor) -> None:
        self._counted(logits, rows)

    def _counted(self, logits: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Targets (S, B, 2, C), and the chances (S, B, 2, L) whose sums are the norms (S, B, 2, 1)."""
        targets = self.tables.at(rows, self.targets)
        # PyTorch's own log-softmax takes three times as long on so few logits.
        scores = logits.unsqueeze(2) * self.scales + self.biases
        scores -= scores.amax(-1, keepdim=True)
        chances = torch.exp(scores)
        norms = chances.sum(-1, keepdim=True)
        self.sums[:, : rows.shape[1]] += targets * scores[..., : targets.shape[-1]]
        self.norms[:, : rows.shape[1]] += torch.log(norms)
        self.images += rows.shape[1]
        self.steps += 1
        if self.steps % STEPS == 0:
            self._add()
        return targets, chances, norms

    def _add(self) -> None:
        self.totals += self.sums.double().sum((1, 3)) - self.norms.double().sum((1, 3))
        self.sums.zero_()
        self.norms.zero_()

    def means(self) -> dict[str, list[float]]:
        self._add()
        cross_entropy, divergence = (-self.totals / self.images).unbind(1)
        divergence = divergence + self.negative_entropy
        total = self.weights[0] * cross_entropy + self.weights[1] * divergence
        self.totals.zero_()
        self.images = 0
        parts = zip(losses.PARTS, (total, cross_entropy, divergence), strict=True)
        return {name: each.tolist() for name, each in parts}

    def state_dict(self) -> dict[str, int]:
        return {"steps": self.steps}  # which say where sums of 32 bits end, and so how they round

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.steps = state.get("steps", 0)


class ByAutograd:
    """Any loss that `losses` knows."""

    def __init__(self, labels: torch.Tensor, teacher_logits: torch.Tensor, settings: losses.Settings):
        self.tables, self.settings = Tables(labels, teacher_logits), settings
        self.sums, self.images = torch.zeros(()), 0

    def gradient(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            logits = logits.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self._counted(logits, rows).sum(), logits)
        return gradient

    def count(self, logits: torch.Tensor, rows: torch.Tensor) -> None:
        self._counted(logits, rows)

    def _counted(self, logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        labels, teacher_logits = (self.tables.at(rows, table) for table in (self.tables.labels, self.tables.logits))
        found = losses.distillation_loss(logits, labels, teacher_logits, **self.settings)
        parts = torch.stack([found.total, found.cross_entropy, found.divergence]).detach() * rows.shape[1]
        self.sums = parts + self.sums if self.images else parts
        self.images += rows.shape[1]
        return found.total

    def means(self) -> dict[str, list[float]]:
        means = (self.sums / self.images).tolist()
        self.images = 0
        return dict(zip(losses.PARTS, means, strict=True))

    def state_dict(self) -> dict[str, int]:
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        pass


def loss(
    student: Student, labels: torch.Tensor, teacher_logits: torch.Tensor | None, batch: int
) -> BatchLoss:  # fmt: skip
    """The loss of a student's experiment on images with these labels and teacher's logits, as of `Tables`, in batches
    of at most so many; without a teacher with the divergence from a uniform one."""
    experiment, settings = student.experiment, losses.settings(student.experiment)
    plain = teacher_logits is None or names.acting(experiment).kd_loss == "kl"
    if teacher_logits is None:
        teacher_logits = torch.zeros(labels.shape[-1], len(experiment.classes), device=labels.device)
    if not plain:
        return ByAutograd(labels, teacher_logits, settings)
    factor = settings["kd_weight"] * (settings["temperature"] ** 2 if settings["temperature_squared"] else 1.0)
    outputs, seeds = own_parts.outputs(student), len(student.seeds)
    return Distillation(
        labels, teacher_logits, outputs, seeds, batch, settings["ce_weight"], factor, settings["temperature"]
    )
