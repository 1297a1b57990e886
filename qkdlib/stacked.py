"""Layers of many models side by side: every parameter has a leading axis of S seeds.

S small models cost little more time than one, because a small model's time goes into Python and into starting
kernels. Seed s draws its initial weights from its own generator, as PyTorch draws those of one model: uniformly
from +-1/sqrt(fan_in). Inputs have a leading seed axis too, or none if all seeds see the same images.
"""

import math

import torch
from torch import nn
from torch.nn import functional


def uniform(shape: tuple[int, ...], fan_in: int, generators: list[torch.Generator]) -> nn.Parameter:
    """A parameter (S, *shape), PyTorch's default for linear and convolutional layers, one generator per seed."""
    bound = 1 / math.sqrt(fan_in)
    draws = [torch.empty(shape).uniform_(-bound, bound, generator=generator) for generator in generators]
    return nn.Parameter(torch.stack(draws))


class StackedLinear(nn.Module):
    """`x W^T + b` for each seed: (S, B, in) -> (S, B, out)."""

    def __init__(self, inputs: int, outputs: int, generators: list[torch.Generator]):
        super().__init__()
        self.weight = uniform((outputs, inputs), inputs, generators)  # (S, out, in)
        self.bias = uniform((outputs,), inputs, generators)  # (S, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight.transpose(1, 2))


class StackedConv2d(nn.Module):
    """A convolution without padding for each seed, as one grouped convolution.

    Between stacked convolutions the seeds stand beside the channels: (B, S*in, H, W) -> (B, S*out, H', W').
    """

    def __init__(self, inputs: int, outputs: int, size: int, generators: list[torch.Generator]):
        super().__init__()
        fan_in = inputs * size * size
        self.weight = uniform((outputs, inputs, size, size), fan_in, generators)  # (S, out, in, k, k)
        self.bias = uniform((outputs,), fan_in, generators)  # (S, out)

    def forward(self, x: torch.Tensor, shared: bool = False) -> torch.Tensor:
        """Convolve; `shared` says that `x` is (B, in, H, W), the same for all seeds."""
        groups = 1 if shared else len(self.weight)
        return functional.conv2d(x, self.weight.flatten(0, 1), self.bias.flatten(), groups=groups)
