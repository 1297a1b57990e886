"""TorchQuantum's gate matrices, for many angles at once and with their gradient. Importing this module imports
TorchQuantum, which takes seconds."""

import math

import torch

from qkdlib.circuits import ROTATIONS
from qkdlib.torchquantum_import import load

load()
from torchquantum.functional import mat_dict  # noqa: E402  (its import needs the stand-ins of `load`)

NAMES = {"h": "hadamard", "cx": "cnot", "cz": "cz"}


def rotation(name: str, angles: torch.Tensor) -> torch.Tensor:
    """Matrices (..., 2, 2), complex, of `rx`, `ry` or `rz` with `angles` (...) in radians."""
    return _Rotation.apply(name, angles)


def fixed(name: str) -> torch.Tensor:
    """The matrix of a gate without angle: `h` (2, 2); `cx` or `cz` (4, 4), the control being the left factor."""
    return mat_dict[NAMES[name]]


class _Rotation(torch.autograd.Function):
    """TorchQuantum's matrix function, with the derivative R'(theta) = R(theta + pi) / 2 in place of a graph of a
    dozen complex operations."""

    @staticmethod
    def forward(ctx, name, angles):
        assert name in ROTATIONS, name
        both = torch.stack([angles, angles + math.pi])  # (2, ...)
        here, ahead = mat_dict[name](both.reshape(-1, 1)).view(*both.shape, 2, 2)
        ctx.save_for_backward(ahead)
        return here.contiguous()

    @staticmethod
    def backward(ctx, upstream):
        (ahead,) = ctx.saved_tensors
        return None, (torch.view_as_real(upstream) * torch.view_as_real(ahead)).sum((-3, -2, -1)) / 2
