"""Reducers: images (B, C, H, W) -> features (B, F), for S seeds at once."""

import torch
from torch import nn
from torch.nn import functional

from qkdlib import checks
from qkdlib.stacked import StackedConv2d, StackedLinear

CONV1, CONV2, HIDDEN, KERNEL = 10, 20, 50, 5


class CNN(nn.Module):
    """The convolutional front end of the authors' student notebooks; v1 does not mention it.

    conv 1->10 5x5, max-pool 2, ReLU; conv 10->20 5x5, Dropout2d, max-pool 2, ReLU; linear ->50, ReLU, dropout;
    linear 50->F. For 28x28 grey images and F = 3 it has 21,483 parameters, which is all of the student's.
    """

    def __init__(self, shape: tuple[int, int, int], features: int, generators: list[torch.Generator], dropout: float):
        super().__init__()
        channels, *sides = shape
        sides = [((side - KERNEL + 1) // 2 - KERNEL + 1) // 2 for side in sides]
        if min(sides) < 1:
            checks.fail("image size", f"{shape[1]}x{shape[2]}", "16x16 or larger for the cnn reducer")
        self.dropout = dropout
        self.conv1 = StackedConv2d(channels, CONV1, KERNEL, generators)
        self.conv2 = StackedConv2d(CONV1, CONV2, KERNEL, generators)
        self.hidden = StackedLinear(CONV2 * sides[0] * sides[1], HIDDEN, generators)
        self.out = StackedLinear(HIDDEN, features, generators)

    @property
    def masks(self) -> int:
        """How many numbers decide the dropout of one image: one per channel of conv2, one per hidden unit."""
        return CONV2 + HIDDEN if self.dropout > 0 else 0

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Features (S, B, F).

        Args:
            x: images (S, B, C, H, W), or (B, C, H, W) if every seed sees the same.
            keep: dropout, (S, B, masks): 0, or 1 / (1 - dropout) to keep. None: nothing is dropped.
        """
        seeds, shared = len(self.conv1.weight), x.ndim == 4
        batch = x.shape[0] if shared else x.shape[1]
        if not shared:
            x = x.transpose(0, 1).flatten(1, 2)  # (B, S*C, H, W)
        x = functional.relu(functional.max_pool2d(self.conv1(x, shared=shared), 2))  # (B, S*10, 12, 12)
        x = self.conv2(x)  # (B, S*20, 8, 8)
        if keep is not None:
            x = x * keep[..., :CONV2].transpose(0, 1).reshape(batch, seeds * CONV2, 1, 1)
        x = functional.relu(functional.max_pool2d(x, 2))  # (B, S*20, 4, 4)
        x = functional.relu(self.hidden(x.reshape(batch, seeds, -1).transpose(0, 1)))  # (S, B, 50)
        if keep is not None:
            x = x * keep[..., CONV2:]
        return self.out(x)


REDUCERS = {"cnn": CNN}
