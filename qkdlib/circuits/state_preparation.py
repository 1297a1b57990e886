"""Amplitude encoding as a circuit: the angles that prepare a real state, and their gradient.

The state is split in halves again and again, by its most significant wire first. A node's angle turns |0> to the
norms of its two halves, alpha = 2 atan2(||low||, ||high||), and at the leaves to the two amplitudes with their signs.
The alphas of one level become the angles between CNOTs by a Walsh-Hadamard transform in Gray code (Moettoenen et al.
2004, arXiv:quant-ph/0407010, Eq. 3).
"""

import functools

import numpy as np
import torch
from torch.nn import functional

from qkdlib.rounding import LANE, shared_product

TINY = 1e-30  # squared norm, the largest amplitude being 1/2 to 1, of a half that counts as empty: its angle is 0


def angles(amplitudes: torch.Tensor) -> torch.Tensor:
    """Angles (..., 2^Q - 1) in radians of `circuits.amplitude_encoding` for real amplitudes (..., 2^Q), wire 0 least
    significant. The length of the vector does not matter; one of zeros gives |0...0>."""
    # By a power of 2, which rounds nothing: squares of very short or long vectors would not fit.
    _, exponent = torch.frexp(amplitudes.detach().abs().amax(-1, keepdim=True))
    levels, state = [], torch.ldexp(amplitudes, -exponent)
    while state.shape[-1] > 1:
        low, high = state.unflatten(-1, (-1, 2)).unbind(-1)  # (..., nodes): of the level's wire 0 and 1
        alphas = 2 * _safe_atan2(high, low)  # (..., 2^k): one for each state of the k controls
        if (size := alphas.shape[-1]) > 1:
            alphas = shared_product(alphas, torch.from_numpy(_gray(size)).to(alphas))
        levels.append(alphas)
        state = _norm(low, high)
    return torch.cat(levels[::-1], dim=-1)


@functools.cache
def _gray(size: int) -> np.ndarray:
    """(size, size): (-1)^(j . g_i) / size for control state j and the i-th Gray code. Kept as numpy's: a tensor made in
    inference mode would have no gradient later."""
    signs = [[(-1) ** (j & (i ^ i >> 1)).bit_count() for i in range(size)] for j in range(size)]
    return np.array(signs, dtype=float) / size


def _safe_atan2(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    empty = x * x + y * y < TINY
    y, x = torch.where(empty, 0.0, y), torch.where(empty, 1.0, x)
    # In whole vector registers: torch rounds the rest of a tensor differently, and so the last of the seeds.
    y, x = (functional.pad(each.flatten(), (0, -each.numel() % LANE), value=1.0) for each in (y, x))
    return torch.atan2(y, x)[: empty.numel()].view_as(empty)


def _norm(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    squared = low * low + high * high
    empty = squared < TINY
    return torch.where(empty, 0.0, torch.where(empty, 1.0, squared).sqrt())
