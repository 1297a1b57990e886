"""Outcome probabilities, exact or sampled, and their gradients.

A circuit without an entangling gate never leaves the product states, so wire k is one Bloch vector (x, y, z) and a
gate is a rotation of it: real numbers, 3 Q of them in place of 2^(Q+1). This is exact, and tested against
TorchQuantum, Qiskit and the closed form p(i) = prod_k (1 +- sin theta_k) / 2 of the published circuit.
"""

import functools
import math
from collections.abc import Callable

import torch

from qkdlib import checks, pauli
from qkdlib.circuits import Circuit
from qkdlib.noise import IDEAL, QUIET_GATES, Noise

Outcomes = Callable[[Circuit, torch.Tensor], torch.Tensor]


def probabilities(
    circuit: Circuit, angles: torch.Tensor, gradient: str = "autograd", draw: Outcomes | None = None,
    noise: Noise = IDEAL,
) -> torch.Tensor:  # fmt: skip
    """Outcome probabilities (..., 2^Q), wire 0 least significant, of angles (..., A) in radians.

    Args:
        gradient: `autograd`; `parameter_shift`, Eq. 12: [p(theta + pi/2) - p(theta - pi/2)] / 2, equal to autograd;
            `published_shift`: p(theta + pi/4) - p(theta - pi/4), which is sqrt(2) times the gradient.
        draw: gives frequencies of samples in place of probabilities, for the outcomes and for both shifted circuits.
            It knows its own noise.
        noise: on the circuit of the exact probabilities.
    """
    if gradient == "autograd":
        if draw is not None:
            checks.fail("gradient", gradient, "parameter_shift or published_shift where outcomes are sampled")
        return exact(circuit, angles, noise)
    shift, factor = {"parameter_shift": (math.pi / 2, 0.5), "published_shift": (math.pi / 4, 1.0)}[gradient]
    return _Shifted.apply(circuit, angles, shift, factor, draw or functools.partial(exact, noise=noise))


def exact(circuit: Circuit, angles: torch.Tensor, noise: Noise = IDEAL) -> torch.Tensor:
    """Outcome probabilities (..., 2^Q) of any circuit, by the cheapest exact simulation."""
    return pauli.probabilities(circuit, angles, noise) if circuit.entangles else bloch(circuit, angles, noise)


def bloch(circuit: Circuit, angles: torch.Tensor, noise: Noise = IDEAL) -> torch.Tensor:
    """Outcome probabilities (..., 2^Q) of a circuit of single-wire gates, by one Bloch vector per wire."""
    columns = circuit.columns
    a, b, c = noise.bloch()
    if angles.shape[-1] != circuit.angles:
        checks.fail("angles", tuple(angles.shape), f"a last axis of {circuit.angles} for circuit {circuit.name}")
    x, y, z = 0.0, 0.0, 1.0  # |0>; each becomes (..., Q)
    for name, places in columns:
        if name == "h":
            x, y, z = z, -y, x
        else:
            theta = angles if places == tuple(range(angles.shape[-1])) else angles[..., list(places)]  # (..., Q)
            x, y, z = _turned(name, torch.cos(theta), torch.sin(theta), x, y, z)
        if not noise.is_ideal and name not in QUIET_GATES:
            x, y, z = a * x, a * y, b * z + c
    if noise.flips:
        z = z * (1 - 2 * noise.flips)
    return product(torch.as_tensor(z, dtype=angles.dtype).expand(*angles.shape[:-1], circuit.qubits))


def _turned(name: str, cos, sin, x, y, z):
    if name == "rx":
        return x, y * cos - z * sin, y * sin + z * cos
    if name == "ry":
        return x * cos + z * sin, y, z * cos - x * sin
    if name == "rz":
        return x * cos - y * sin, x * sin + y * cos, z
    return checks.fail("gate", name, "h, rx, ry or rz where circuits are simulated wire by wire")


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
            return draw(circuit, angles)
        size = angles.shape[-1]
        shifts = shift * torch.eye(size, dtype=angles.dtype, device=angles.device)
        shifts = torch.cat([torch.zeros_like(shifts[:1]), shifts, -shifts])  # (1 + 2 A, A)
        outcomes = draw(circuit, angles.unsqueeze(-2) + shifts)  # (..., 1 + 2 A, 2^Q)
        here, plus, minus = outcomes.split([1, size, size], dim=-2)
        ctx.save_for_backward(factor * (plus - minus))  # (..., A, 2^Q)
        return here.squeeze(-2).contiguous()

    @staticmethod
    def backward(ctx, upstream):
        (jacobian,) = ctx.saved_tensors
        return None, (jacobian * upstream.unsqueeze(-2)).sum(-1), None, None, None
