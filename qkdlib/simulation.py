"""Outcome probabilities, exact or sampled, and their gradients.

A circuit without an entangling gate never leaves the product states, so wire k is one Bloch vector (x, y, z) and a
gate is a rotation of it: real numbers, 3 Q of them in place of 2^(Q+1). This is exact, and tested against
TorchQuantum, Qiskit and the closed form p(i) = prod_k (1 +- sin theta_k) / 2 of the published circuit.
"""

import math
from collections.abc import Callable

import numpy as np
import torch

from qkdlib import checks
from qkdlib.circuits import Circuit
from qkdlib.randomness import stream

Draw = Callable[[torch.Tensor], torch.Tensor]


def probabilities(
    circuit: Circuit, angles: torch.Tensor, gradient: str = "autograd", draw: Draw | None = None
) -> torch.Tensor:
    """Outcome probabilities (..., 2^Q), wire 0 least significant, of angles (..., A) in radians.

    Args:
        gradient: `autograd`; `parameter_shift`, Eq. 12: [p(theta + pi/2) - p(theta - pi/2)] / 2, equal to autograd;
            `published_shift`: p(theta + pi/4) - p(theta - pi/4), which is sqrt(2) times the gradient.
        draw: turns probabilities into frequencies of samples, for the outcomes and for both shifted circuits.
    """
    if gradient == "autograd":
        if draw is not None:
            checks.fail("gradient", gradient, "parameter_shift or published_shift where outcomes are sampled")
        return bloch(circuit, angles)
    shift, factor = {"parameter_shift": (math.pi / 2, 0.5), "published_shift": (math.pi / 4, 1.0)}[gradient]
    return _Shifted.apply(circuit, angles, shift, factor, draw or (lambda exact: exact))


def bloch(circuit: Circuit, angles: torch.Tensor) -> torch.Tensor:
    """Outcome probabilities (..., 2^Q) of a circuit of single-wire gates, by one Bloch vector per wire."""
    columns = circuit.columns
    if angles.shape[-1] != circuit.angles:
        checks.fail("angles", tuple(angles.shape), f"a last axis of {circuit.angles} for circuit {circuit.name}")
    x, y, z = 0.0, 0.0, 1.0  # |0>; each becomes (..., Q)
    for name, places in columns:
        if name == "h":
            x, y, z = z, -y, x
            continue
        theta = angles if places == tuple(range(angles.shape[-1])) else angles[..., list(places)]  # (..., Q)
        cos, sin = torch.cos(theta), torch.sin(theta)
        if name == "rx":
            y, z = y * cos - z * sin, y * sin + z * cos
        elif name == "ry":
            x, z = x * cos + z * sin, z * cos - x * sin
        else:  # rz
            x, y = x * cos - y * sin, x * sin + y * cos
    return product(torch.as_tensor(z, dtype=angles.dtype).expand(*angles.shape[:-1], circuit.qubits))


def product(z: torch.Tensor) -> torch.Tensor:
    """Outcome probabilities (..., 2^Q) of independent wires with expectations <Z> of `z` (..., Q)."""
    wires = torch.stack([1 + z, 1 - z], dim=-1) / 2  # (..., Q, 2): p(0), p(1)
    outcomes = wires[..., 0, :]  # (..., 2)
    for wire in range(1, z.shape[-1]):
        # The later wire is the more significant digit, so it is the slower axis.
        outcomes = (wires[..., wire, :, None] * outcomes[..., None, :]).flatten(-2)  # (..., 2^(wire + 1))
    return outcomes


class _Shifted(torch.autograd.Function):
    """Outcomes whose gradient is a difference of shifted circuits, as a quantum computer has to take it.
    Exact only where each angle turns one gate, once, as in every circuit here."""

    @staticmethod
    def forward(ctx, circuit, angles, shift, factor, draw):
        if not ctx.needs_input_grad[1]:
            return draw(bloch(circuit, angles))
        size = angles.shape[-1]
        shifts = shift * torch.eye(size, dtype=angles.dtype, device=angles.device)
        shifts = torch.cat([torch.zeros_like(shifts[:1]), shifts, -shifts])  # (1 + 2 A, A)
        outcomes = draw(bloch(circuit, angles.unsqueeze(-2) + shifts))  # (..., 1 + 2 A, 2^Q)
        here, plus, minus = outcomes.split([1, size, size], dim=-2)
        ctx.save_for_backward(factor * (plus - minus))  # (..., A, 2^Q)
        return here.squeeze(-2).contiguous()

    @staticmethod
    def backward(ctx, upstream):
        (jacobian,) = ctx.saved_tensors
        return None, (jacobian * upstream.unsqueeze(-2)).sum(-1), None, None, None


class Multinomial:
    """Frequencies of `shots` samples in place of probabilities (S, ..., 2^Q); each seed has its own generator.

    Distributed as the counts of a sampling simulator, which it replaces where that would be the slowest part.
    """

    def __init__(self, shots: int, seeds: list[int], stage: str):
        self.shots = shots
        self.generators = [np.random.default_rng(stream(seed, stage)) for seed in seeds]

    def __call__(self, exact: torch.Tensor) -> torch.Tensor:
        """Frequencies in the shape of `exact`; they carry no gradient."""
        chances = exact.detach().double().cpu().numpy().clip(min=0)
        chances /= chances.sum(-1, keepdims=True)
        counts = [g.multinomial(self.shots, of_seed) for g, of_seed in zip(self.generators, chances, strict=True)]
        return torch.from_numpy(np.stack(counts) / self.shots).to(exact)
