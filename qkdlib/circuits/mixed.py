"""Noisy circuits, exactly: a density matrix as its 4^Q Pauli coefficients tr(P rho), all of them real.

A gate mixes or permutes coefficients and noise shrinks them, so that even circuits that entangle and lose purity are a
few real operations per gate, with gradients. Meant for few qubits: 256 numbers for 4 of them, 65,536 for 8.

Coefficient i belongs to the Pauli string whose k-th base-4 digit (I, X, Y, Z) is the Pauli matrix on wire k.
"""

import functools
from collections.abc import Sequence

import numpy as np
import torch

from qkdlib import checks
from qkdlib.circuits import statevector
from qkdlib.circuits.gatelist import Gate, GateList
from qkdlib.noise import IDEAL, QUIET_GATES, Noise
from qkdlib.rounding import shared_product

PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
TURNED = {"rx": (2, 3), "ry": (3, 1), "rz": (1, 2)}  # the two components that a rotation mixes
FIXED = {
    "h": np.array([[1, 1], [1, -1]]) / 2**0.5,
    "sx": np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2,
    "sxdg": np.array([[1 - 1j, 1 + 1j], [1 + 1j, 1 - 1j]]) / 2,
    "cx": np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]),
    "cz": np.diag([1, 1, 1, -1]),
}


def probabilities(circuit: GateList, angles: torch.Tensor, noise: Noise = IDEAL) -> torch.Tensor:
    """Outcome probabilities (..., 2^Q), wire 0 least significant, of angles (..., A) in radians, from |0...0>."""
    if angles.shape[-1] != circuit.angles:
        checks.fail("angles", tuple(angles.shape), f"a last axis of {circuit.angles} for circuit {circuit.name}")
    rows = angles.reshape(-1, angles.shape[-1])
    strings = _diagonal(circuit, rows, noise)  # (N, 2^Q): expectations of products of Z
    if noise.flips:
        strings = strings * _kept(circuit.qubits, noise.flips, rows.dtype, rows.device)
    signs = _signs(circuit.qubits, rows.dtype, rows.device)
    outcomes = shared_product(strings.view(*angles.shape[:-1], -1), signs) / len(signs)
    return outcomes.clamp_min(0)


@functools.cache
@torch.inference_mode(False)  # what is kept may be needed in a training later
def _kept(qubits: int, flips: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """What flipped bits leave of each Z string (2^Q,)."""
    ones = torch.tensor([bits.bit_count() for bits in range(2**qubits)], dtype=dtype)
    return ((1 - 2 * flips) ** ones).to(device)


@functools.cache
@torch.inference_mode(False)
def _signs(qubits: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """(2^Q, 2^Q): the sign of each Z string in each outcome."""
    places = torch.arange(2**qubits)
    common = places[:, None] & places
    parity = torch.stack([common >> wire & 1 for wire in range(qubits)]).sum(0) % 2
    return (1 - 2 * parity).to(device, dtype)


def _diagonal(circuit: GateList, angles: torch.Tensor, noise: Noise) -> torch.Tensor:
    """<Z string> (N, 2^Q); the k-th binary digit says whether wire k has a Z."""
    state = _start(circuit.qubits, angles.dtype, angles.device).expand(len(angles), -1)
    for gate in circuit.gates:
        if gate.name in TURNED:
            state = _rotate(state, gate, angles[:, gate.angle], noise)
        elif gate.name in FIXED:
            state = _fixed(state, gate, circuit.qubits, noise)
        else:
            state = _any(state, gate, circuit.qubits, angles, noise)
    grid = state.view(-1, *[4] * circuit.qubits)
    for axis in range(1, circuit.qubits + 1):
        grid = grid.index_select(axis, _identity_and_z(grid.device))
    return grid.reshape(len(angles), -1)


@functools.cache
@torch.inference_mode(False)
def _start(qubits: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Coefficients (4^Q,) of |0...0>."""
    ground = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=dtype, device=device)
    return functools.reduce(lambda low, _: torch.kron(ground, low), range(qubits - 1), ground)


@functools.cache
@torch.inference_mode(False)
def _identity_and_z(device: torch.device) -> torch.Tensor:
    return torch.tensor([0, 3], device=device)


def _rotate(state: torch.Tensor, gate: Gate, theta: torch.Tensor, noise: Noise) -> torch.Tensor:
    parts = list(_wire(state, gate.wires[0]).unbind(2))  # each (N, H, L)
    cos, sin = torch.cos(theta)[:, None, None], torch.sin(theta)[:, None, None]
    first, second = TURNED[gate.name]
    u, v = parts[first], parts[second]
    parts[first], parts[second] = cos * u - sin * v, cos * v + sin * u
    if gate.name not in QUIET_GATES:
        parts = _after_noise(parts, noise)
    return torch.stack(parts, 2).flatten(1)


def _fixed(state: torch.Tensor, gate: Gate, qubits: int, noise: Noise) -> torch.Tensor:
    order, weights = _permutation(gate, qubits, noise, state.dtype, state.device)
    return _each_wire(state[:, order] * weights, gate, noise)


def _any(state: torch.Tensor, gate: Gate, qubits: int, angles: torch.Tensor, noise: Noise) -> torch.Tensor:
    """Any other gate, by the transfer matrix of its unitary."""
    rows = angles[:1, :0] if gate.angle is None else angles[:, gate.angle, None]  # (1, 0) or (N, 1)
    transfer = _transfer_of(gate, rows)  # (1 or N, 4^n, 4^n)
    quiet = noise.is_ideal or gate.name in QUIET_GATES
    if noise.kind == "depolarising" and not quiet:
        transfer = torch.cat([transfer[:, :1], transfer[:, 1:] * (1 - noise.level)], 1)
    axes = [qubits - wire for wire in reversed(gate.wires)]  # the first wire is the fastest digit
    order = [axis for axis in range(qubits + 1) if axis not in axes] + axes
    grid = state.view(-1, *[4] * qubits).permute(order)
    moved = (grid.reshape(len(state), -1, transfer.shape[-1]) @ transfer.transpose(1, 2)).view(grid.shape)
    state = moved.permute([order.index(axis) for axis in range(qubits + 1)]).flatten(1)
    return state if quiet else _each_wire(state, gate, noise)


def _each_wire(state: torch.Tensor, gate: Gate, noise: Noise) -> torch.Tensor:
    """What noise does to each wire of a gate by itself, as only damping does."""
    for wire in gate.wires if noise.kind == "amplitude_damping" else ():
        state = torch.stack(_after_noise(_wire(state, wire).unbind(2), noise), 2).flatten(1)
    return state


def _transfer_of(gate: Gate, angles: torch.Tensor) -> torch.Tensor:
    """Pauli transfer matrices (N, 4^n, 4^n) of a gate with angles (N, 0 or 1); its first wire is the fastest digit."""
    wires, size = tuple(range(len(gate.wires))), 2 ** len(gate.wires)
    alone = GateList(gate.name, len(wires), (Gate(gate.name, wires, None if gate.angle is None else 0),))
    basis = torch.eye(size, dtype=angles.dtype, device=angles.device).expand(len(angles), -1, -1)
    columns = statevector.final_state(alone, angles[:, None].expand(-1, size, -1), basis)  # (N, in, out, 2)
    unitary = torch.view_as_complex(columns.contiguous()).transpose(1, 2)  # (N, out, in)
    strings = _strings(len(wires), unitary.dtype, unitary.device)
    after = unitary[:, None] @ strings @ unitary.conj().transpose(1, 2)[:, None]  # (N, 4^n, 2^n, 2^n): U P_j U^+
    return torch.einsum("iab,njba->nij", strings, after).real / size


@functools.cache
@torch.inference_mode(False)
def _strings(wires: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Pauli strings (4^n, 2^n, 2^n) on so many wires; the first wire is the fastest digit of both."""
    strings = PAULIS
    for _ in range(wires - 1):
        strings = np.array([np.kron(pauli, string) for pauli in PAULIS for string in strings])
    return torch.from_numpy(strings).to(device, dtype)


def _wire(state: torch.Tensor, wire: int) -> torch.Tensor:
    """(N, H, 4, L): the digit of one wire on an axis of its own."""
    return state.view(len(state), -1, 4, 4**wire)


def _after_noise(parts: Sequence[torch.Tensor], noise: Noise) -> list[torch.Tensor]:
    """I, X, Y, Z parts of one wire after the noise of a gate on it."""
    a, b, c = noise.bloch()
    if (a, b, c) == (1, 1, 0):
        return list(parts)
    i, x, y, z = parts
    return [i, a * x, a * y, b * z + c * i if c else b * z]


@functools.cache
@torch.inference_mode(False)
def _permutation(
    gate: Gate, qubits: int, noise: Noise, dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """A gate of `FIXED` is a Clifford gate: new[i] = weights[i] old[order[i]] for the 4^Q coefficients. The weights
    are signs, and depolarising noise in them shrinks what is not the identity on all wires of the gate."""
    transfer = _transfer(gate.name)  # (4^n, 4^n), the first of the gate's wires being the slower digit
    index = np.arange(4**qubits)
    digits = [index // 4**wire % 4 for wire in gate.wires]
    local = functools.reduce(lambda high, low: 4 * high + low, digits)
    source = np.abs(transfer).argmax(1)[local]
    order = index.copy()
    for place, (wire, digit) in enumerate(zip(gate.wires, digits, strict=True)):
        there = source // 4 ** (len(gate.wires) - 1 - place) % 4
        order = order + (there - digit) * 4**wire
    weights = transfer[local, source]
    if noise.kind == "depolarising":
        weights = weights * np.where(local == 0, 1, 1 - noise.level)
    return torch.from_numpy(order).to(device), torch.from_numpy(weights).to(device, dtype)


@functools.cache
def _transfer(name: str) -> np.ndarray:
    """Pauli transfer matrix tr(P_i U P_j U^+) / 2^n."""
    unitary = FIXED[name]
    strings = PAULIS if len(unitary) == 2 else [np.kron(a, b) for a in PAULIS for b in PAULIS]
    moved = [unitary @ string @ unitary.conj().T for string in strings]
    return np.array([[np.trace(i @ j).real for j in moved] for i in strings]).round(12) / len(unitary)
