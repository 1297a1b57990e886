"""Which class each test image is taken for."""

import torch

MOST_CLASSES = 100  # whose confusion is kept: its table grows with their square


def predicted(logits: torch.Tensor, classes: int) -> torch.Tensor:
    """The class (S, B) that logits (S, B, L) say, from 0 to C - 1, by argmax over all of them; C for an outcome that is
    no class, and where a logit is not finite."""
    return torch.where(logits.isfinite().all(-1), logits.argmax(-1).clamp_max(classes), classes)


def matrices(predicted: torch.Tensor, labels: torch.Tensor, classes: int) -> list[list[list[int]]]:
    """For each seed how many images of each class (C rows) were taken for each one, or for none (C + 1 columns).

    Args:
        predicted: (S, N), as `predicted` gives them.
        labels: (N,), or (S, N) where each seed has its own images, from 0 to C - 1.
    """
    seeds = torch.arange(len(predicted), device=predicted.device)[:, None]
    cells = (seeds * classes + labels) * (classes + 1) + predicted
    shape = (len(predicted), classes, classes + 1)
    return torch.bincount(cells.flatten(), minlength=shape[0] * shape[1] * shape[2]).view(shape).tolist()
