"""Reducers: images (B, C, H, W) -> features (B, F), for S seeds at once."""

import inspect
import math
from collections.abc import Callable

import torch
from torch.nn import functional

from qkdlib import checks, parts
from qkdlib.students.fixed_reducers import PCA, AvgPool, CenterCrop, MaxPool, Reducer
from qkdlib.students.stacked import StackedConv2d, StackedLinear, max_pool_relu

CONV1, CONV2, HIDDEN, KERNEL = 10, 20, 50, 5


class CNN(Reducer):
    """The convolutional front end of the authors' student notebooks; v1 does not mention it.

    conv 1->10 5x5, max-pool 2, ReLU; conv 10->20 5x5, Dropout2d, max-pool 2, ReLU; linear ->50, ReLU, dropout;
    linear 50->F. For 28x28 grey images and F = 3 it has 21,483 parameters, which is all of the student's.
    """

    evaluation_batch = 8  # patches of more images leave the cache: twice as slow
    kept = 80  # most of them in patches

    def __init__(self, shape: tuple[int, int, int], features: int, generators: list[torch.Generator], dropout: float):
        super().__init__()
        channels, *image = shape
        sides = [((side - KERNEL + 1) // 2 - KERNEL + 1) // 2 for side in image]
        if min(sides) < 1:
            checks.fail("image size", f"{shape[1]}x{shape[2]}", "16x16 or larger for the cnn reducer")
        self.masks = CONV2 + HIDDEN if dropout > 0 else 0  # a number for each channel of conv2 and each hidden unit
        self.conv1 = StackedConv2d(channels, CONV1, KERNEL, generators)
        self.conv2 = StackedConv2d(CONV1, CONV2, KERNEL, generators)
        self.hidden = StackedLinear(CONV2 * sides[0] * sides[1], HIDDEN, generators)
        self.out = StackedLinear(HIDDEN, features, generators)

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Features (S, B, F).

        Args:
            x: images (S, B, C, H, W), or (B, C, H, W) if every seed sees the same.
            keep: dropout, (S, B, masks): 0, or 1 / (1 - dropout) to keep. None: nothing is dropped.
        """
        x = x.unsqueeze(0) if x.ndim == 4 else x  # one copy of the images where all seeds see the same
        x = self.conv1.pooled(x.transpose(1, 2))  # (S, 10, B, 12, 12)
        x = max_pool_relu(self.conv2(x))  # (S, 20, B, 4, 4)
        if keep is not None:  # a factor that is not negative may as well come after pooling and ReLU
            x = x * keep[..., :CONV2].transpose(1, 2)[..., None, None]
        x = self.hidden(x.transpose(1, 2).flatten(2))  # (S, B, 50)
        x = functional.leaky_relu(x, self.leak) if self.leak else functional.relu(x)
        if keep is not None:
            x = x * keep[..., CONV2:]
        return self.out(x)


class FullyConnected(Reducer):
    """All pixels of all channels into one trainable linear layer (v1, section 3.4, and v2)."""

    def __init__(self, shape: tuple[int, int, int], features: int, generators: list[torch.Generator], dropout: float):
        super().__init__()
        if dropout:
            checks.fail("dropout", dropout, "0 for the fully_connected reducer, which has nothing to drop")
        self.out = StackedLinear(math.prod(shape), features, generators)

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(-3)

    def forward(self, x: torch.Tensor, keep: None = None) -> torch.Tensor:
        """Features (S, B, F) of values (S, B, C H W), or (B, C H W) if every seed sees the same."""
        return self.out(x if x.ndim == 3 else x.expand(len(self.out.weight), -1, -1))


Make = Callable[[tuple[int, int, int], int, list[torch.Generator], float], Reducer]
REDUCERS: dict[str, Make] = {
    "cnn": CNN, "fully_connected": FullyConnected, "avg_pool": AvgPool, "max_pool": MaxPool,
    "center_crop": CenterCrop, "pca": PCA,
}  # fmt: skip


def build(
    name: str, shape: tuple[int, int, int], features: int, generators: list[torch.Generator], dropout: float
) -> Reducer:
    """The reducer called `name`, built in or registered. A registered class of `nn.Module` that is no `Reducer` gets
    what it lacks of one."""
    make = parts.find("reducer", name, REDUCERS)
    if inspect.isclass(make) and not issubclass(make, Reducer):
        make = type(make.__name__, (make, Reducer), {})
    return make(shape, features, generators, dropout)
