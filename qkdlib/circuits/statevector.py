"""Any circuit, gate by gate, on the amplitudes of all rows (seeds times images) at once, with exact gradients.

A state is two real planes, of real and imaginary parts, (2, 2^Q, N): rows lie last, so that every gate is a few
operations on long contiguous blocks, whatever its wires. A gate acts on pairs of amplitudes (a, b) that differ in its
target, by one of six kernels; `PAIRS` says which pairs, and its controls leave out those in which they are 0.

Gradients are adjoint (Jones and Gacon 2020, arXiv:2009.02823): nothing is kept on the way but the last state.
Backwards, with g the gradient by the state behind a gate U(theta) and psi that state,

    dL/dtheta = <g, dU/dtheta U^-1 psi>,   dU/dtheta U^-1 = -i P / 2 for exp(-i theta P / 2), i |1><1| for a phase,

and both psi and g go back through U^-1, as one state of twice as many rows. So memory is four states, not one per gate.
"""

import functools
import math
from typing import Any, NamedTuple

import torch

from qkdlib import checks
from qkdlib.circuits.gatelist import Gate, GateList
from qkdlib.rounding import LANE

HALF = 2**-0.5
MATRICES = {  # ((real), (imaginary)) of u00, u01, u10, u11
    "y": ((0, 0, 0, 0), (0, -1, 1, 0)),
    "h": ((HALF, HALF, HALF, -HALF), (0, 0, 0, 0)),
    "sx": ((0.5, 0.5, 0.5, 0.5), (0.5, -0.5, -0.5, 0.5)),
    "sxdg": ((0.5, 0.5, 0.5, 0.5), (-0.5, 0.5, 0.5, -0.5)),
}
PHASES = {"z": math.pi, "s": math.pi / 2, "sdg": -math.pi / 2, "t": math.pi / 4, "tdg": -math.pi / 4}
TURNS = ("rx", "ry", "rz")
STATES = 5  # that are held at once, at most, with a gradient
CHUNK = 1 << 24  # numbers of a state beyond which rows without a gradient go one chunk after the other

# Pairs of amplitudes by the bits of a gate's targets: (a, b, sign).
ONE = ((0,), (1,), 1.0)
PAIRS = {
    "rxx": ("rx", (((0, 0), (1, 1), 1.0), ((0, 1), (1, 0), 1.0))),
    "ryy": ("rx", (((0, 0), (1, 1), -1.0), ((0, 1), (1, 0), 1.0))),
    "rzz": ("rz", (((0, 0), (0, 1), 1.0), ((1, 1), (1, 0), 1.0))),
    "swap": ("x", (((0, 1), (1, 0), 1.0),)),
}
CONTROLLED = {"cx": "x", "cy": "y", "cz": "z", "cp": "p", "crx": "rx", "cry": "ry", "crz": "rz", "ccx": "x"}

Pair = tuple[torch.Tensor, torch.Tensor, float]


class Step(NamedTuple):
    """A gate as a kernel on pairs of amplitudes, each an index into planes (2, 2, ..., 2, N), the last wire first."""

    kernel: str
    pairs: tuple[tuple[tuple, tuple, float], ...]
    angle: int | None


def probabilities(circuit: GateList, angles: torch.Tensor, amplitudes: torch.Tensor | None = None) -> torch.Tensor:
    """Outcome probabilities (..., 2^Q), wire 0 least significant, of angles (..., A) in radians, in their precision.

    `amplitudes`: the state before, real (..., 2^Q) or as (..., 2^Q, 2); None: |0...0>.
    """
    lead, rows = angles.shape[:-1], angles.reshape(math.prod(angles.shape[:-1]), angles.shape[-1])
    start = _planes(amplitudes, len(lead))
    chunk = len(rows)
    if not (torch.is_grad_enabled() and (angles.requires_grad or (start is not None and start.requires_grad))):
        chunk = max(LANE, CHUNK >> circuit.qubits)
    found = []
    for first in range(0, len(rows), chunk):
        part = slice(first, first + chunk)
        real, imaginary = _run(circuit, rows[part], None if start is None else start[..., part])
        found.append((real * real + imaginary * imaginary).T)  # (N, 2^Q)
    # Row by row in memory, too: sums over outcomes would be rounded by how many rows there are.
    return torch.cat(found).contiguous().view(*lead, -1)


def final_state(circuit: GateList, angles: torch.Tensor, amplitudes: torch.Tensor | None = None) -> torch.Tensor:
    """Amplitudes (..., 2^Q, 2), real and imaginary part last, after the circuit; arguments as of `probabilities`."""
    lead, rows = angles.shape[:-1], angles.reshape(math.prod(angles.shape[:-1]), angles.shape[-1])
    return _run(circuit, rows, _planes(amplitudes, len(lead))).permute(2, 1, 0).contiguous().view(*lead, -1, 2)


def _planes(amplitudes: torch.Tensor | None, lead: int) -> torch.Tensor | None:
    """(2, 2^Q, N) of amplitudes (..., 2^Q) or (..., 2^Q, 2) with so many leading axes."""
    if amplitudes is None:
        return None
    if amplitudes.ndim == lead + 1:
        amplitudes = torch.stack([amplitudes, torch.zeros_like(amplitudes)], -1)
    return amplitudes.reshape(-1, *amplitudes.shape[-2:]).permute(2, 1, 0)


def _run(circuit: GateList, rows: torch.Tensor, start: torch.Tensor | None) -> torch.Tensor:
    """Planes (2, 2^Q, N) after the circuit, of angles (N, A)."""
    least = 1 + max((gate.angle for gate in circuit.gates if gate.angle is not None), default=-1)
    if rows.shape[-1] < least:
        checks.fail("angles", tuple(rows.shape), f"a last axis of {least} for circuit {circuit.name}")
    # In whole vector registers: torch may round the rest of a block differently, and so the last of the seeds.
    size = len(rows)
    padding = (0, -size % LANE)
    columns = torch.nn.functional.pad(rows.T, padding)  # (A, N)
    if start is None:
        start = columns.new_zeros(2, 2**circuit.qubits, columns.shape[1])
        start[0, 0] = 1
    else:
        start = torch.nn.functional.pad(start.to(columns.dtype), padding)
    return _Run.apply(circuit, columns, start)[..., :size]


@functools.lru_cache(maxsize=1024)
def steps(circuit: GateList) -> tuple[Step, ...]:
    """The gates of a circuit as steps."""
    return tuple(_step(gate, circuit.qubits) for gate in circuit.gates)


def _step(gate: Gate, qubits: int) -> Step:
    kernel, pairs = PAIRS.get(gate.name, (CONTROLLED.get(gate.name, gate.name), (ONE,)))
    targets = gate.wires[-len(pairs[0][0]) :]
    controls = gate.wires[: len(gate.wires) - len(targets)]

    def index(bits: tuple[int, ...]) -> tuple:
        at: list[Any] = [slice(None)] * (qubits + 1)  # the planes, then the wires from the last to the first
        for wire, bit in (*zip(controls, [1] * len(controls), strict=True), *zip(targets, bits, strict=True)):
            at[qubits - wire] = bit
        return tuple(at)

    return Step(kernel, tuple((index(a), index(b), sign) for a, b, sign in pairs), gate.angle)


class _Run(torch.autograd.Function):
    """Planes before the circuit -> planes after it."""

    @staticmethod
    def forward(ctx: Any, circuit: GateList, angles: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        state, (cos, sin) = start.clone(memory_format=torch.contiguous_format), _turns(circuit, angles)
        for step in steps(circuit):
            _apply(step, state, circuit.qubits, cos, sin)
        ctx.circuit = circuit
        ctx.save_for_backward(cos, sin, state)
        return state

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor]:
        cos, sin, state = ctx.saved_tensors
        size, qubits = state.shape[-1], ctx.circuit.qubits
        both = torch.cat([state, upstream], -1)  # (2, 2^Q, 2 N)
        gradient = torch.zeros_like(cos)
        cos, sin = cos.repeat(1, 2), -sin.repeat(1, 2)
        for step in reversed(steps(ctx.circuit)):
            if step.angle is not None:
                for a, b, sign in _views(step, both, qubits):
                    gradient[step.angle] += _slope(step.kernel, a, b, sign, size)
            _apply(step, both, qubits, cos, sin, inverse=True)
        return None, gradient, both[..., size:]


def _turns(circuit: GateList, angles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines (A, N): of phases, and of half the angles of rotations."""
    scaled = angles * angles.new_tensor(_scales(circuit, len(angles)))[:, None]  # (A, N)
    return torch.cos(scaled), torch.sin(scaled)


@functools.lru_cache(maxsize=1024)
def _scales(circuit: GateList, count: int) -> list[float]:
    """What each of so many angles is multiplied by."""
    turned = {step.angle for step in steps(circuit) if step.kernel in TURNS}
    return [0.5 if place in turned else 1.0 for place in range(count)]


def _views(step: Step, state: torch.Tensor, qubits: int) -> list[Pair]:
    grid = state.view(2, *[2] * qubits, state.shape[-1])
    return [(grid[at_a], grid[at_b], sign) for at_a, at_b, sign in step.pairs]


def _apply(
    step: Step, state: torch.Tensor, qubits: int, cos: torch.Tensor, sin: torch.Tensor, inverse: bool = False
) -> None:
    """One gate on planes, in place; `sin` has the sign of the inverse already."""
    for a, b, sign in _views(step, state, qubits):
        if step.angle is not None:
            c, s = cos[step.angle], sin[step.angle] * sign if sign < 0 else sin[step.angle]
            KERNELS[step.kernel](a, b, c, s)
        elif step.kernel == "x":
            kept = a.clone()
            a.copy_(b)
            b.copy_(kept)
        elif step.kernel in PHASES:
            phase = -PHASES[step.kernel] if inverse else PHASES[step.kernel]
            _phase(a, b, round(math.cos(phase), 15), round(math.sin(phase), 15))
        else:
            _matrix(a, b, *MATRICES[step.kernel], inverse)


def _rx(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, s: torch.Tensor) -> None:
    new_a, new_b = a * c, b * c
    new_a[0].addcmul_(b[1], s)
    new_a[1].addcmul_(b[0], s, value=-1)
    new_b[0].addcmul_(a[1], s)
    new_b[1].addcmul_(a[0], s, value=-1)
    a.copy_(new_a)
    b.copy_(new_b)


def _ry(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, s: torch.Tensor) -> None:
    new_a = (a * c).addcmul_(b, s, value=-1)
    b.mul_(c).addcmul_(a, s)
    a.copy_(new_a)


def _rz(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, s: torch.Tensor) -> None:
    _phase(a, a, c, -s)
    _phase(b, b, c, s)


def _phase(_: torch.Tensor, b: torch.Tensor, c: torch.Tensor | float, s: torch.Tensor | float) -> None:
    """b times c + i s."""
    real, imaginary = b
    turned = imaginary * s
    imaginary.mul_(c).add_(real * s)
    real.mul_(c).sub_(turned)


def _matrix(a: torch.Tensor, b: torch.Tensor, real: tuple, imaginary: tuple, inverse: bool) -> None:
    """A constant matrix, or its adjoint, on a pair."""
    entries = [complex(x, y) for x, y in zip(real, imaginary, strict=True)]
    if inverse:
        entries = [entries[place].conjugate() for place in (0, 2, 1, 3)]
    new_a, new_b = (_times(first, a) + _times(second, b) for first, second in (entries[:2], entries[2:]))
    a.copy_(new_a)
    b.copy_(new_b)


def _times(number: complex, plane: torch.Tensor) -> torch.Tensor:
    if not number.imag:
        return plane * number.real
    turned = torch.stack([plane[1] * -number.imag, plane[0] * number.imag])
    return turned + plane * number.real if number.real else turned


KERNELS = {"rx": _rx, "ry": _ry, "rz": _rz, "p": _phase}


def _slope(kernel: str, a: torch.Tensor, b: torch.Tensor, sign: float, size: int) -> torch.Tensor:
    """<g, dU/dtheta U^-1 psi> (N,) of pairs whose last axis holds psi and then g."""
    (a, g_a), (b, g_b) = ((v[..., :size], v[..., size:]) for v in (a, b))
    factor = 0.5 * sign
    if kernel == "rx":
        inner = g_a[0] * b[1] - g_a[1] * b[0] + g_b[0] * a[1] - g_b[1] * a[0]
    elif kernel == "ry":
        inner = g_b * a - g_a * b
    elif kernel == "rz":
        inner = g_a[0] * a[1] - g_a[1] * a[0] - g_b[0] * b[1] + g_b[1] * b[0]
    else:
        inner, factor = g_b[1] * b[0] - g_b[0] * b[1], 1.0
    sums = inner.reshape(-1, size)  # a power of 2 of them
    while len(sums) > 1:  # by halves: torch's own sum rounds by how many rows stand side by side
        sums = sums[: len(sums) // 2] + sums[len(sums) // 2 :]
    return sums[0] * factor
