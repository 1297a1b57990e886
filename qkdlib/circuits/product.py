"""Product states: wires that no gate has entangled, each of them simulated by itself.

From |0...0> on, with or without noise, wire k is one Bloch vector (x, y, z) and a gate is a rotation of it: real
numbers, 3 Q of them in place of 2^(Q+1). An encoder that turns wires hands on spinors (a, b) = a|0> + b|1>, which a
later gate may entangle; a batch of them is a real tensor (2, 2, S, B, Q): a and b on the first axis, real and
imaginary part on the second.
"""

import functools

import torch

from qkdlib import checks
from qkdlib.circuits.gatelist import ROTATIONS, GateList
from qkdlib.noise import IDEAL, QUIET_GATES, Noise

Component = float | torch.Tensor  # of Bloch vectors: a number where it is the same for all of them, else (..., Q)

# R(theta) v = cos(theta / 2) v + sin(theta / 2) G v, and G only swaps and negates the four numbers of a spinor.
FLIPS = {"rx": (0, 1), "ry": (0,), "rz": (1,)}
SIGNS = {"rx": ((1, -1), (1, -1)), "ry": ((-1, -1), (1, 1)), "rz": ((1, -1), (-1, 1))}


@functools.lru_cache(maxsize=1024)
def takes(circuit: GateList) -> bool:
    """Whether no gate acts between wires, all of which see the same gates, each `h` or a rotation."""
    try:
        return all(name in ("h", *ROTATIONS) for name, _ in circuit.columns)
    except ValueError:
        return False


def probabilities(circuit: GateList, angles: torch.Tensor, noise: Noise = IDEAL) -> torch.Tensor:
    """Outcome probabilities (..., 2^Q), wire 0 least significant, of angles (..., A) in radians, from |0...0>, by one
    Bloch vector per wire."""
    columns, (a, b, c) = circuit.columns, noise.bloch()
    if angles.shape[-1] != circuit.angles:
        checks.fail("angles", tuple(angles.shape), f"a last axis of {circuit.angles} for circuit {circuit.name}")
    x: Component
    y: Component
    z: Component
    x, y, z = 0.0, 0.0, 1.0  # |0>
    for name, places in columns:
        if name == "h":
            x, y, z = z, -y, x
        elif places and name in ROTATIONS:
            theta = angles if places == tuple(range(angles.shape[-1])) else angles[..., list(places)]  # (..., Q)
            x, y, z = _turned(name, torch.cos(theta), torch.sin(theta), x, y, z)
        else:
            checks.fail("gate", name, "h, rx, ry or rz where no gate acts between wires")
        if not noise.is_ideal and name not in QUIET_GATES:
            x, y, z = a * x, a * y, b * z + c
    if noise.flips:
        z = z * (1 - 2 * noise.flips)
    return outcomes(torch.as_tensor(z, dtype=angles.dtype).expand(*angles.shape[:-1], circuit.qubits))


def _turned(
    name: str, cos: torch.Tensor, sin: torch.Tensor, x: Component, y: Component, z: Component
) -> tuple[Component, Component, Component]:
    if name == "rx":
        return x, y * cos - z * sin, y * sin + z * cos
    if name == "ry":
        return x * cos + z * sin, y, z * cos - x * sin
    return x * cos - y * sin, x * sin + y * cos, z


def outcomes(z: torch.Tensor) -> torch.Tensor:
    """Outcome probabilities (..., 2^Q) of independent wires with expectations <Z> of `z` (..., Q)."""
    wires = torch.stack([1 + z, 1 - z], dim=-1) / 2  # (..., Q, 2): p(0), p(1)
    found = wires[..., 0, :]  # (..., 2)
    for wire in range(1, z.shape[-1]):
        # The later wire is the more significant digit, so it is the slower axis.
        found = (wires[..., wire, :, None] * found[..., None, :]).flatten(-2)  # (..., 2^(wire + 1))
    return found


def rotate(circuit: GateList, angles: torch.Tensor) -> torch.Tensor:
    """Spinors (2, 2, S, B, Q) after rotations on |0...0> by angles (S, B, A) in radians, of which angle j turns wire
    j mod Q, in the order of j."""
    kinds = [gate.name for gate in circuit.gates[:: circuit.qubits]]
    plain = [(gate.name, gate.wires) for gate in circuit.gates]
    if set(kinds) - set(ROTATIONS) or plain != [(name, (wire,)) for name in kinds for wire in range(circuit.qubits)]:
        checks.fail("circuit", circuit.name, "columns of one rotation on every wire")
    half = angles.unflatten(-1, (len(kinds), circuit.qubits)) / 2  # (S, B, layers, Q)
    cos, sin = torch.cos(half).unbind(2), torch.sin(half).unbind(2)
    spinors = torch.stack([torch.ones_like(cos[0]), *[torch.zeros_like(cos[0])] * 3]).unflatten(0, (2, 2))
    for name, c, s in zip(kinds, cos, sin, strict=True):
        signs = spinors.new_tensor(SIGNS[name])[:, :, None, None, None]
        spinors = torch.addcmul(c * spinors, s * signs, spinors.flip(FLIPS[name]))
    return spinors


def expectations(spinors: torch.Tensor, wires: torch.Tensor) -> torch.Tensor:
    """<Z> (S, B, Q) on every wire after one more matrix on each, `wires` (S, Q, 2, 2), complex."""
    parts = torch.view_as_real(wires)[:, None].movedim((3, 4, 5), (0, 1, 2))  # (2, 2, 2, S, 1, Q)
    (a_re, a_im), (b_re, b_im) = spinors
    chances = []  # of 0 and of 1
    for (u_re, u_im), (v_re, v_im) in parts:
        real = u_re * a_re - u_im * a_im + v_re * b_re - v_im * b_im
        imaginary = u_re * a_im + u_im * a_re + v_re * b_im + v_im * b_re
        chances.append(real * real + imaginary * imaginary)
    return chances[0] - chances[1]


def amplitudes(spinors: torch.Tensor) -> torch.Tensor:
    """All amplitudes (S, B, 2^Q, 2), real and imaginary part last, wire 0 least significant."""
    wires = torch.view_as_complex(spinors.movedim((0, 1), (-2, -1)).contiguous())  # (S, B, Q, 2)
    state = wires[..., 0, :]
    for wire in range(1, wires.shape[2]):
        state = (wires[..., wire, :, None] * state[..., None, :]).flatten(-2)
    return torch.view_as_real(state)
