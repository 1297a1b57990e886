"""Encoders: features (..., F) -> quantum state, here as real amplitudes (..., 2^Q), wire 0 least significant."""

import math

import torch


def amplitude(features: torch.Tensor) -> torch.Tensor:
    """sum_i f_i |i> / ||f|| (v1, Eq. 14); a zero vector becomes |0...0>."""
    norm = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
    blank = norm == 0
    ground = torch.zeros_like(features)
    ground[..., 0] = 1.0
    return torch.where(blank, ground, features / torch.where(blank, 1.0, norm))


def amplitude_tanh(features: torch.Tensor) -> torch.Tensor:
    """Amplitude encoding of x' = pi tanh f (v1, section 3.4 and Eq. 15). The factor pi cancels in the norm."""
    return amplitude(math.pi * torch.tanh(features))


AMPLITUDES = {"amplitude_tanh": amplitude_tanh}
