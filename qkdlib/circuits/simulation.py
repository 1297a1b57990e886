"""Outcome probabilities, exact or sampled, and their gradients; by the cheapest of four exact simulators.

    state        simulator                                    where it is enough
    product      each wire by itself: 3 Q real numbers        no gate between wires, all of which see the same gates
    pure         2^Q amplitudes, one circuit per seed         the encoder makes the state; columns of gates, CNOT, CZ
    statevector  2^Q amplitudes, gate by gate                 nothing is noisy
    mixed        4^Q Pauli coefficients, a circuit per image  everywhere

`exact` chooses for a circuit from |0...0>, `after_encoding` for a state that an encoder has made. Each simulator is
tested against TorchQuantum, Qiskit and, for the published circuit, p(i) = prod_k (1 +- sin theta_k) / 2.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch

from qkdlib import checks
from qkdlib.circuits import ansatze, mixed, product, pure, real_states, statevector
from qkdlib.circuits.gatelist import GateList
from qkdlib.experiment_checks import ENTANGLERS
from qkdlib.noise import IDEAL, Noise

# Qubits, and circuits with the angles of a layer on each wire, whose records were made with Pauli coefficients.
FEW, RECORDED = 4, {"h_ry": 1, "rx_ry_rz": 3}
SHIFTS = {"parameter_shift": (math.pi / 2, 0.5), "published_shift": (math.pi / 4, 1.0)}  # and the factor
FOUR_TERMS = ("crx", "cry", "crz")  # their generator has the eigenvalues 0 and +-1/2

Outcomes = Callable[[GateList, torch.Tensor], torch.Tensor]


def probabilities(
    circuit: GateList, angles: torch.Tensor, gradient: str = "autograd", draw: Outcomes | None = None,
    noise: Noise = IDEAL,
) -> torch.Tensor:  # fmt: skip
    """Outcome probabilities (..., 2^Q), wire 0 least significant, of angles (..., A) in radians.

    Args:
        gradient: `autograd`; `parameter_shift`, Eq. 12: [p(theta + pi/2) - p(theta - pi/2)] / 2, equal to autograd,
            with the four terms of controlled rotations (Anselmetti et al. 2021, arXiv:2104.05695);
            `published_shift`: p(theta + pi/4) - p(theta - pi/4), which is sqrt(2) times the gradient, but for
            controlled rotations, of which it is up to 1.53 times as much.
        draw: gives frequencies of samples in place of probabilities, for the outcomes and for both shifted circuits.
            It knows its own noise.
        noise: on the circuit of the exact probabilities.
    """
    if gradient == "autograd":
        if draw is not None:
            checks.fail("gradient", gradient, "parameter_shift or published_shift where outcomes are sampled")
        return exact(circuit, angles, noise)
    return _Shifted.apply(circuit, angles, gradient, draw or exactly(noise))


def exact(circuit: GateList, angles: torch.Tensor, noise: Noise = IDEAL) -> torch.Tensor:
    """Outcome probabilities (..., 2^Q) of any circuit from |0...0>."""
    return {"product": product, "mixed": mixed, "statevector": statevector}[kind(circuit, noise)].probabilities(
        circuit, angles, *([] if noise.is_ideal else [noise])
    )


def exactly(noise: Noise = IDEAL) -> Outcomes:
    """`exact` under this noise, as `draw` is called."""
    return functools.partial(exact, noise=noise)


def kind(circuit: GateList, noise: Noise = IDEAL) -> str:
    """Which simulator `exact` takes."""
    if product.takes(circuit):
        return "product"
    return "mixed" if not noise.is_ideal or _is_recorded(circuit) else "statevector"


@functools.lru_cache(maxsize=1024)
def _is_recorded(circuit: GateList) -> bool:
    """Whether it is a circuit of the papers as records have it, by its gates: a name is no part of an experiment."""
    for ansatz, columns in RECORDED.items() if circuit.qubits <= FEW else ():
        layers, rest = divmod(circuit.angles, columns * circuit.qubits)
        if layers and not rest:
            alike = (ansatze.build(ansatz, circuit.qubits, layers, each) for each in ENTANGLERS)
            if any(each.gates == circuit.gates for each in alike):
                return True
    return False


def after_encoding(circuit: GateList, state: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Outcome probabilities (S, B, 2^Q) after a circuit whose angles (S, A) all images share, of encoded states:
    spinors (2, 2, S, B, Q) of product states, or real amplitudes (S, B, 2^Q)."""
    by_matrices = angles.dtype == torch.float32  # TorchQuantum's
    if state.ndim == 5 and product.takes(circuit) and by_matrices:
        return product.outcomes(wires_after_encoding(circuit, state, angles))
    amplitudes = product.amplitudes(state) if state.ndim == 5 else state
    if not (pure.takes(circuit) and by_matrices):
        of_images = angles[:, None].expand(-1, amplitudes.shape[1], -1)
        return statevector.probabilities(circuit, of_images, amplitudes)
    final = pure.final_state(circuit, amplitudes, angles)  # (S, B, H, 2, L)
    return (final * final).sum(3).flatten(2)


def shifted_circuits(circuit: GateList) -> int:
    """How many circuits outcomes and their gradient by shifts take."""
    return 1 + 2 * circuit.angles + 2 * len(_of_four_terms(circuit))


@functools.lru_cache(maxsize=1024)
def _of_four_terms(circuit: GateList) -> tuple[int, ...]:
    return tuple(gate.angle for gate in circuit.gates if gate.angle is not None and gate.name in FOUR_TERMS)


def wires_after_encoding(circuit: GateList, state: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """<Z> on each wire, (S, B, Q), after a circuit without gates between wires whose angles (S, A) all images share, of
    encoded states as `after_encoding` takes them."""
    seen = product.bloch(state) if state.ndim == 5 else real_states.bloch(state)
    pairs = zip(product.directions(circuit, angles), seen, strict=True)
    return sum(component.unsqueeze(1) * expectation for component, expectation in pairs)


def shifted(
    circuit: GateList, angles: torch.Tensor, gradient: str, draw: Outcomes
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outcomes (..., 2^Q) and what takes the place of their derivatives by the angles, (..., A, 2^Q): differences of
    shifted circuits, as a quantum computer has to take them. Each angle turns one gate, once; what turns several is
    bound to them before (`ansatze.Binding`). Arguments as of `probabilities`."""
    shift, factor = SHIFTS[gradient]
    size, four = angles.shape[-1], _of_four_terms(circuit) if shift == math.pi / 2 else ()
    outcomes = draw(circuit, angles.unsqueeze(-2) + _shifts(size, four, shift, angles.dtype, angles.device))
    here, plus, minus, *further = outcomes.split([1, size, size, len(four), len(four)], dim=-2)
    jacobian = factor * (plus - minus)  # (..., A, 2^Q)
    if four:
        root = math.sqrt(2)
        jacobian[..., four, :] *= (root + 1) / (2 * root)
        jacobian[..., four, :] -= (root - 1) / (4 * root) * (further[0] - further[1])
    return here.squeeze(-2).contiguous(), jacobian


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)
def _shifts(size: int, four: tuple[int, ...], shift: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """What is added to the angles, (1 + 2 A + 2 E, A): nothing, then shifts of each, then of those with four terms."""
    unit = torch.eye(size, dtype=dtype, device=device)
    far = 3 * shift * unit[list(four)]
    return torch.cat([torch.zeros_like(unit[:1]), shift * unit, -shift * unit, far, -far])


class _Shifted(torch.autograd.Function):
    """`shifted` for autograd."""

    @staticmethod
    def forward(ctx: Any, circuit: GateList, angles: torch.Tensor, gradient: str, draw: Outcomes) -> torch.Tensor:
        if not ctx.needs_input_grad[1]:
            return draw(circuit, angles)
        outcomes, jacobian = shifted(circuit, angles, gradient, draw)
        ctx.save_for_backward(jacobian)
        return outcomes

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[None, torch.Tensor, None, None]:
        (jacobian,) = ctx.saved_tensors
        return None, (jacobian * upstream.unsqueeze(-2)).sum(-1), None, None
