"""The loss of a student (v1, Eq. 2, 3, 5, 6)."""

from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Loss:
    """Both parts of the loss and their weighted sum, each the mean over a batch, (S,) for S seeds."""

    total: torch.Tensor
    cross_entropy: torch.Tensor
    divergence: torch.Tensor


def distillation_loss(
    logits: torch.Tensor, labels: torch.Tensor, teacher_logits: torch.Tensor, *, ce_weight: float, kd_weight: float,
    temperature: float, temperature_squared: bool = True,
) -> Loss:  # fmt: skip
    """ce_weight * CE(logits, labels) + kd_weight * T^2 * KL(softmax(teacher / T) || softmax(student / T)).

    The cross entropy runs over all of the student's logits, the divergence over the first C, where C is the
    number of the teacher's logits. The factor T^2 (Hinton et al., arXiv 1503.02531) is in the published code
    and not in the paper's Eq. 6.

    Args:
        logits: (S, B, L).
        labels: (S, B), from 0 to C - 1.
        teacher_logits: (S, B, C).
    """
    classes = teacher_logits.shape[-1]
    cross_entropy = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")  # (S*B,)
    cross_entropy = cross_entropy.view(labels.shape).mean(1)  # (S,)
    teacher = functional.log_softmax(teacher_logits / temperature, dim=-1)
    student = functional.log_softmax(logits[..., :classes] / temperature, dim=-1)
    divergence = (teacher.exp() * (teacher - student)).sum(-1).mean(1)  # (S,)
    factor = kd_weight * (temperature**2 if temperature_squared else 1.0)
    return Loss(ce_weight * cross_entropy + factor * divergence, cross_entropy, divergence)
