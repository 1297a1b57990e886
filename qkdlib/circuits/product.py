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
        return x, *_in_plane(cos, sin, y, z)
    if name == "ry":
        z, x = _in_plane(cos, sin, z, x)
        return x, y, z
    return *_in_plane(cos, sin, x, y), z


def _in_plane(cos: torch.Tensor, sin: torch.Tensor, a: Component, b: Component) -> tuple[Component, Component]:
    """(a cos - b sin, a sin + b cos), in fewer operations where one is the number 0."""
    if isinstance(a, float) and a == 0:
        return (a, b) if isinstance(b, float) and b == 0 else (-(b * sin), b * cos)
    if isinstance(b, float) and b == 0:
        return a * cos, a * sin
    return a * cos - b * sin, a * sin + b * cos


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


def directions(circuit: GateList, angles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Unit vectors, each component (..., Q), of a circuit without gates between wires, with angles (..., A): measuring
    Z on wire k after it is measuring n_k . (X, Y, Z) before it (Heisenberg picture)."""
    x: Component
    y: Component
    z: Component
    x, y, z = 0.0, 0.0, 1.0
    for name, places in reversed(circuit.columns):
        if places is None:  # h
            x, y, z = z, -y, x
        else:
            theta = angles[..., places[0] : places[-1] + 1] if _in_turn(places) else angles[..., list(places)]
            x, y, z = _turned(name, torch.cos(theta), -torch.sin(theta), x, y, z)
    shape = (*angles.shape[:-1], circuit.qubits)
    x, y, z = (each if isinstance(each, torch.Tensor) else angles.new_full(shape, each) for each in (x, y, z))
    return x, y, z


def bloch(spinors: torch.Tensor) -> torch.Tensor:
    """<X>, <Y> and <Z> of every wire, (3, S, B, Q), of spinors (2, 2, S, B, Q)."""
    (a_re, a_im), (b_re, b_im) = spinors
    x, y = a_re * b_re + a_im * b_im, a_re * b_im - a_im * b_re
    return torch.stack([2 * x, 2 * y, a_re * a_re + a_im * a_im - b_re * b_re - b_im * b_im])


def _in_turn(places: tuple[int, ...]) -> bool:
    """Whether a slice takes them, which is faster than an index."""
    return places == tuple(range(places[0], places[-1] + 1))


def amplitudes(spinors: torch.Tensor) -> torch.Tensor:
    """All amplitudes (S, B, 2^Q, 2), real and imaginary part last, wire 0 least significant."""
    wires = torch.view_as_complex(spinors.movedim((0, 1), (-2, -1)).contiguous())  # (S, B, Q, 2)
    state = wires[..., 0, :]
    for wire in range(1, wires.shape[2]):
        state = (wires[..., wire, :, None] * state[..., None, :]).flatten(-2)
    return torch.view_as_real(state)
