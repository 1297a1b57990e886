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
        weight: torch.Tensor = self.weight
        bias: torch.Tensor = self.bias
        outputs = weight.shape[1]
        if outputs == 1:  # a product with a vector, which one seed alone would round otherwise
            weight, bias = weight.expand(-1, 2, -1), bias.expand(-1, 2)
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))[..., :outputs]


class Linear:
    """That layer as a link (`chain`) of a training; `needed`: whether the gradient by x is."""

    def __init__(self, layer: StackedLinear, needed: bool):
        self.layer, self.needed = layer, needed

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        self.x = x
        return self.layer(x)

    def backward(self, upstream: torch.Tensor) -> torch.Tensor | None:
        layer = self.layer
        assert layer.weight.grad is not None and layer.bias.grad is not None
        torch.bmm(upstream.transpose(1, 2), self.x, out=layer.weight.grad)
        torch.sum(upstream, 1, out=layer.bias.grad)
        return torch.bmm(upstream, layer.weight) if self.needed else None


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
        return self.product(windows(x, self.size)).unflatten(2, (x.shape[2], height, width))

    def pooled(self, images: torch.Tensor) -> torch.Tensor:
        """`max_pool_relu(self(images))` for images (S, in, B, H, W) that need no gradient, by `blocks`."""
        patches, shape = self.blocks(images)
        return _MaxReLU.apply(*self.product(patches).unflatten(2, (4, *shape)).unbind(2))

    def blocks(self, images: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int, int]]:
        """The patches of images (S, in, B, H, W) as columns (S, in k k, 4 B H'/2 W'/2), such that the four places of a
        2x2 cell are four contiguous blocks of the product, which pool several times faster; and (B, H'/2, W'/2)."""
        found = images.unfold(3, self.size, 1).unfold(4, self.size, 1)  # (S, in, B, H', W', k, k), a view
        height, width = (side // 2 for side in found.shape[3:5])
        parted = found[:, :, :, : 2 * height, : 2 * width].unflatten(3, (height, 2)).unflatten(5, (width, 2))
        ordered = parted.permute(0, 1, 7, 8, 4, 6, 2, 3, 5)  # (S, in, k, k, 2, 2, B, H'/2, W'/2)
        columns = ordered.reshape(len(images), self.weight[0, 0].numel(), -1)
        return columns, (images.shape[2], height, width)

    def product(self, patches: torch.Tensor) -> torch.Tensor:
        """(S, out, N) of patches (S, in k k, N), S being 1 where all seeds see the same."""
        patches = patches.expand(len(self.weight), -1, -1)
        return torch.baddbmm(self.bias.unsqueeze(2), self.weight.flatten(2), patches)


def windows(x: torch.Tensor, size: int) -> torch.Tensor:
    """All k x k patches of images (S, in, B, H, W) as columns: (S, in k k, B H' W')."""
    found = x.unfold(3, size, 1).unfold(4, size, 1)  # (S, in, B, H', W', k, k), a view
    return found.permute(0, 1, 5, 6, 2, 3, 4).reshape(len(x), x.shape[1] * size * size, -1)


def cells(x: torch.Tensor) -> list[torch.Tensor]:
    """Views of the four places of 2x2 cells, each (..., H // 2, W // 2), of (..., H, W)."""
    height, width = (side // 2 * 2 for side in x.shape[-2:])
    return [x[..., row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)]


def max_pool_relu(x: torch.Tensor) -> torch.Tensor:
    """ReLU of the maximum over 2x2 cells: (..., H, W) -> (..., H // 2, W // 2). The same numbers and gradients as
    PyTorch's pooling, which is slower on images this small."""
    return _MaxReLU.apply(*cells(x))


def max_relu(places: Sequence[torch.Tensor]) -> torch.Tensor:
    """ReLU of the largest of four tensors, place by place."""
    first, second, third, fourth = places
    return torch.maximum(torch.maximum(first, second), torch.maximum(third, fourth)).clamp_min_(0)


def by_places(
    upstream: torch.Tensor, places: Sequence[torch.Tensor], best: torch.Tensor, gradients: Sequence[torch.Tensor]
) -> None:
    """Write the gradients by the four tensors of `max_relu` into `gradients`, from that by its result, `best`: where
    numbers tie, the first one takes it."""
    mask = torch.empty_like(best)  # 0 or 1 as numbers: products of numbers and truth values are slow
    left = upstream * torch.gt(best, 0, out=mask)
    for values, gradient in zip(places, gradients, strict=True):
        torch.mul(left, torch.eq(values, best, out=mask), out=gradient)
        left = left - gradient


class _MaxReLU(torch.autograd.Function):
    """`max_relu` with that gradient; autograd's own would divide it among equal numbers."""

    @staticmethod
    def forward(ctx: Any, *places: torch.Tensor) -> torch.Tensor:
        best = max_relu(places)
        ctx.save_for_backward(*places, best)
        return best

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, ...]:
        *places, best = ctx.saved_tensors
        gradients = [torch.empty_like(best) for _ in places]
        by_places(upstream, places, best, gradients)
        return tuple(gradients)
