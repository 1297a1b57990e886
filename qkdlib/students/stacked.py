"""Layers of many models side by side: every parameter has a leading axis of S seeds.

S small models cost little more time than one, because a small model's time goes into Python and into starting
kernels. Seed s draws its initial weights from its own generator, as PyTorch draws those of one model: uniformly
from +-1/sqrt(fan_in). Everything is a batched matrix product or acts element by element, so that a seed's arithmetic
on one thread is the same whatever other seeds stand beside it (a grouped convolution would group, and round, them
differently); `optimizers` and `readouts` see to the rest.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from qkdlib import checks


def uniform(shape: tuple[int, ...], fan_in: int, generators: Sequence[torch.Generator]) -> nn.Parameter:
    """A parameter (S, *shape), PyTorch's default for linear and convolutional layers, one generator per seed.
    `ValueError`: it does not fit into memory."""
    checks.memory("shape of weights", shape, 4.0 * math.prod(shape) * len(generators), "that layer of all seeds")
    bound = 1 / math.sqrt(fan_in)
    draws = [torch.empty(shape).uniform_(-bound, bound, generator=generator) for generator in generators]
    return nn.Parameter(torch.stack(draws))


class StackedLinear(nn.Module):
    """`x W^T + b` for each seed: (S, B, in) -> (S, B, out)."""

    def __init__(self, inputs: int, outputs: int, generators: Sequence[torch.Generator]):
        super().__init__()
        self.weight = uniform((outputs, inputs), inputs, generators)  # (S, out, in)
        self.bias = uniform((outputs,), inputs, generators)  # (S, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _Linear.apply(x, self.weight, self.bias)


class _Linear(torch.autograd.Function):
    """PyTorch's own gradient of the weights comes transposed, which costs more than the product where they are many."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        outputs = weight.shape[1]
        if outputs == 1:  # a product with a vector, which one seed alone would round otherwise
            weight, bias = weight.expand(-1, 2, -1), bias.expand(-1, 2)
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))[..., :outputs]

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor, torch.Tensor]:
        x, weight = ctx.saved_tensors
        images = upstream @ weight if ctx.needs_input_grad[0] else None
        return images, upstream.transpose(1, 2) @ x, upstream.sum(1)


class StackedConv2d(nn.Module):
    """A convolution without padding for each seed, as one product of weights and image patches. Between stacked
    convolutions the batch stands behind the channels: (S, in, B, H, W) -> (S, out, B, H', W')."""

    def __init__(self, inputs: int, outputs: int, size: int, generators: Sequence[torch.Generator]):
        super().__init__()
        fan_in = inputs * size * size
        self.size = size
        self.weight = uniform((outputs, inputs, size, size), fan_in, generators)  # (S, out, in, k, k)
        self.bias = uniform((outputs,), fan_in, generators)  # (S, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve (S, in, B, H, W); S is 1 where all seeds see the same images."""
        height, width = (side - self.size + 1 for side in x.shape[-2:])
        return self._product(_Patches.apply(x, self.size)).unflatten(2, (x.shape[2], height, width))

    def pooled(self, images: torch.Tensor) -> torch.Tensor:
        """`max_pool_relu(self(images))` for images that need no gradient: their patches are laid out such that the
        four places of a 2x2 cell are four contiguous blocks, which pool several times faster. They are
        (S, in, B, H, W), S being 1 where all seeds see the same."""
        windows = images.unfold(3, self.size, 1).unfold(4, self.size, 1)  # (S, in, B, H', W', k, k), a view
        height, width = (side // 2 for side in windows.shape[3:5])
        cells = windows[:, :, :, : 2 * height, : 2 * width].unflatten(3, (height, 2)).unflatten(5, (width, 2))
        blocks = cells.permute(0, 1, 7, 8, 4, 6, 2, 3, 5)  # (S, in, k, k, 2, 2, B, H'/2, W'/2)
        products = self._product(blocks.reshape(len(images), self.weight[0, 0].numel(), -1))
        places = products.unflatten(2, (4, images.shape[2], height, width)).unbind(2)
        return _MaxReLU.apply(*places)

    def _product(self, patches: torch.Tensor) -> torch.Tensor:
        patches = patches.expand(len(self.weight), -1, -1)  # (S, in k k, N)
        return torch.baddbmm(self.bias.unsqueeze(2), self.weight.flatten(2), patches)  # (S, out, N)


class _Patches(torch.autograd.Function):
    """All k x k patches of images (S, in, B, H, W) as columns: (S, in k k, B H' W')."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, size: int) -> torch.Tensor:
        ctx.shape, ctx.size = x.shape, size
        windows = x.unfold(3, size, 1).unfold(4, size, 1)  # (S, in, B, H', W', k, k), a view
        return windows.permute(0, 1, 5, 6, 2, 3, 4).reshape(len(x), x.shape[1] * size * size, -1)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        seeds, channels, batch, *sides = ctx.shape
        columns = upstream.view(seeds, upstream.shape[1], batch, -1).transpose(1, 2)  # (S, B, in k k, H' W')
        images = functional.fold(columns.flatten(0, 1), sides, ctx.size)  # (S B, in, H, W)
        return images.view(seeds, batch, channels, *sides).transpose(1, 2), None


def max_pool_relu(x: torch.Tensor) -> torch.Tensor:
    """ReLU of the maximum over 2x2 cells: (..., H, W) -> (..., H // 2, W // 2). The same numbers and gradients as
    PyTorch's pooling (where numbers tie, the first one takes the gradient), which is slower on images this small."""
    height, width = (side // 2 * 2 for side in x.shape[-2:])
    return _MaxReLU.apply(*(x[..., row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)))


class _MaxReLU(torch.autograd.Function):
    """ReLU of the largest of four tensors, place by place."""

    @staticmethod
    def forward(
        ctx: Any, first: torch.Tensor, second: torch.Tensor, third: torch.Tensor, fourth: torch.Tensor
    ) -> torch.Tensor:
        best = torch.maximum(torch.maximum(first, second), torch.maximum(third, fourth))
        ctx.save_for_backward(first, second, third, fourth, best)
        return best.clamp_min(0)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, ...]:
        *places, best = ctx.saved_tensors
        mask = torch.empty_like(best)  # 0 or 1 as numbers: products of numbers and truth values are slow
        left, gradients = upstream * torch.gt(best, 0, out=mask), []
        for values in places:
            gradients.append(left * torch.eq(values, best, out=mask))
            left = left - gradients[-1]
        return tuple(gradients)
