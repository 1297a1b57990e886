"""Amplitude encoding as a circuit: the angles that prepare a real state, and their gradient.

The state is split in halves again and again, by its most significant wire first. A node's angle turns |0> to the
norms of its two halves, alpha = 2 atan2(||low||, ||high||), and at the leaves to the two amplitudes with their signs.
The alphas of one level become the angles between CNOTs by a Walsh-Hadamard transform in Gray code (Moettoenen et al.
2004, arXiv:quant-ph/0407010, Eq. 3).
"""

import functools

import torch

TINY = 1e-30  # squared norm of a half that counts as empty: its angle is 0, and has no gradient


def angles(amplitudes: torch.Tensor) -> torch.Tensor:
    """Angles (..., 2^Q - 1) in radians of `circuits.amplitude_encoding` for real amplitudes (..., 2^Q), wire 0 least
    significant. The length of the vector does not matter; one of zeros gives |0...0>."""
    levels, state = [], amplitudes
    while state.shape[-1] > 1:
        low, high = state.unflatten(-1, (-1, 2)).unbind(-1)  # (..., nodes): of the level's wire 0 and 1
        levels.append(_multiplexed(2 * _safe_atan2(high, low)))
        state = _norm(low, high)
    return torch.cat(levels[::-1], dim=-1)


def _multiplexed(alphas: torch.Tensor) -> torch.Tensor:
    """Angles between the CNOTs for rotations alphas (..., 2^k), one per state of the k controls."""
    return alphas @ _gray(alphas.shape[-1]).to(alphas) if alphas.shape[-1] > 1 else alphas


@functools.cache
def _gray(size: int) -> torch.Tensor:
    """(size, size): (-1)^(j . g_i) / size for control state j and the i-th Gray code."""
    signs = [[(-1) ** (j & (i ^ i >> 1)).bit_count() for i in range(size)] for j in range(size)]
    return torch.tensor(signs, dtype=torch.float64) / size


def _safe_atan2(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    empty = x * x + y * y < TINY
    return torch.atan2(torch.where(empty, 0.0, y), torch.where(empty, 1.0, x))


def _norm(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    squared = low * low + high * high
    empty = squared < TINY
    return torch.where(empty, 0.0, torch.where(empty, 1.0, squared).sqrt())
