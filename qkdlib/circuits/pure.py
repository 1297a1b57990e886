"""Pure states: the amplitudes after a circuit whose angles do not depend on the image, for all seeds at once.

Such a circuit is one 2^Q x 2^Q matrix per seed and step, built from TorchQuantum's gate matrices. For many qubits and
few images that matrix is itself the cost; then each layer is applied to the states in two factors of Q/2 wires. The
sizes decide, by their multiply-adds. All products are real, and twice as few where the states are real.

States here are real tensors (S, B, H, 2, L): real and imaginary parts on the fourth axis, the amplitude of outcome
i at (i // L, i % L), wire 0 least significant.
"""

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import torch

from qkdlib.circuits import product, torchquantum_circuit
from qkdlib.circuits.gatelist import Gate, GateList

PRODUCT = 20_000  # multiply-adds that take as long as one more small product does


@dataclass(frozen=True)
class Layer:
    """Gates on single wires, the same on each, then a signed permutation that stands for the gates between wires:
    new[i] = signs[i] old[order[i]] (`order` None: no such gates; `signs` None: all 1)."""

    local: GateList
    order: torch.Tensor | None
    signs: torch.Tensor | None


@functools.lru_cache(maxsize=1024)
def takes(circuit: GateList) -> bool:
    """Whether its gates between wires are `cx` and `cz`, and in between all wires see the same gates."""
    if any(len(gate.wires) > 1 and gate.name not in ("cx", "cz") for gate in circuit.gates):
        return False
    return all(not layer.local.gates or product.takes(layer.local) for layer in layers(circuit))


def final_state(circuit: GateList, states: torch.Tensor, angles: torch.Tensor, method: str = "") -> torch.Tensor:
    """The states (S, B, H, 2, L) after the circuit.

    Args:
        states: real amplitudes (S, B, 2^Q), or complex ones as a real tensor (S, B, 2^Q, 2).
        angles: (S, A) in radians, one circuit per seed.
        method: `matrix` or `factors`; empty: whichever needs less.
    """
    cut = layers(circuit)
    method = method or fewer_operations(circuit, states.shape[1], states.ndim == 3)
    if method == "matrix":
        return _times(_split(states, 2**circuit.qubits), _joined(unitary(circuit, angles)), None)
    low = circuit.qubits // 2
    states = _split(states, 2**low)
    for layer in cut:
        wires = wire_matrices(layer.local, angles)  # (S, Q, 2, 2)
        states = _times(states, _joined(_kron(wires[:, :low])), _interleaved(_kron(wires[:, low:])))
        states = _permuted(layer, states)
    return states


def fewer_operations(circuit: GateList, batch: int, real: bool = True) -> str:
    """`matrix` or `factors`, whichever takes fewer multiply-adds for a batch of this many images per seed."""
    size, depth = 2**circuit.qubits, len(layers(circuit))
    parts = 1 if real else 2
    matrix = 4 * size**2 + 4 * size**3 * (depth - 1) + batch * parts * size * 2 * size
    low, high = 2 ** (circuit.qubits // 2), 2 ** (circuit.qubits - circuit.qubits // 2)
    factors = batch * 2 * size * (2 * depth * high + (2 * depth - 2 + parts) * low) + 2 * depth * PRODUCT
    return "matrix" if matrix <= factors else "factors"


def unitary(circuit: GateList, angles: torch.Tensor) -> torch.Tensor:
    """The circuit's matrix (S, 2^Q, 2^Q), complex, wire 0 least significant, of angles (S, A) in radians."""
    found = []
    for layer in layers(circuit):
        matrix = _kron(wire_matrices(layer.local, angles))
        if layer.order is not None:
            matrix = matrix[:, layer.order.to(matrix.device)]
        if layer.signs is not None:
            matrix = matrix * layer.signs.to(matrix.device)[:, None]
        found.append(matrix)
    return functools.reduce(lambda earlier, matrix: matrix @ earlier, found)


def wire_matrices(circuit: GateList, angles: torch.Tensor) -> torch.Tensor:
    """The product (S, Q, 2, 2), complex, of the gates on each wire of a circuit without gates between wires."""
    total = None
    for name, places in circuit.columns:
        if places is None:
            matrix = torchquantum_circuit.fixed(name).to(angles.device).expand(len(angles), circuit.qubits, 2, 2)
        else:
            in_turn = places == tuple(range(places[0], places[0] + len(places)))  # a slice is faster than an index
            of_wires = angles[:, places[0] : places[0] + len(places)] if in_turn else angles[:, list(places)]
            matrix = torchquantum_circuit.rotation(name, of_wires)
        total = matrix if total is None else matrix @ total
    if total is None:  # no gate on any wire
        return torch.eye(2, dtype=torch.complex64, device=angles.device).expand(len(angles), circuit.qubits, 2, 2)
    return total


@functools.cache
@torch.inference_mode(False)  # they are kept, and may be needed in a training later
def layers(circuit: GateList) -> tuple[Layer, ...]:
    """The circuit cut behind each run of gates between wires."""
    found = []
    local: tuple[Gate, ...] = ()
    for between, gates in itertools.groupby(circuit.gates, lambda gate: len(gate.wires) > 1):
        run = tuple(gates)
        if between:
            found.append(Layer(GateList(circuit.name, circuit.qubits, local), *_permutation(run, circuit.qubits)))
            local = ()
        else:
            local = run
    if local:
        found.append(Layer(GateList(circuit.name, circuit.qubits, local), None, None))
    return tuple(found)


def _permutation(run: tuple[Gate, ...], qubits: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Order and signs of a run of `cx` and `cz` gates, read off their matrices; None where they change nothing."""
    outcomes = torch.arange(2**qubits)
    order, signs = outcomes, torch.ones(2**qubits)
    for gate in run:
        matrix = torchquantum_circuit.fixed(gate.name).real
        control, target = (outcomes >> wire & 1 for wire in gate.wires)
        row = matrix[2 * control + target]  # (2^Q, 4), one entry of which is 1 or -1
        column = row.abs().argmax(1)
        cleared = outcomes & ~(1 << gate.wires[0]) & ~(1 << gate.wires[1])
        source = cleared | (column >> 1) << gate.wires[0] | (column & 1) << gate.wires[1]
        order, signs = order[source], row.sum(1) * signs[source]
    return None if torch.equal(order, outcomes) else order, signs if (signs < 0).any() else None


def _kron(wires: torch.Tensor) -> torch.Tensor:
    """Kronecker product (S, 2^q, 2^q) of wire matrices (S, q, 2, 2); the later wire is the more significant digit, so
    it is the left factor."""
    matrices = list(wires.unbind(1))
    while len(matrices) > 1:
        pairs = zip(matrices[::2], matrices[1::2], strict=False)
        joined = [(b[:, :, None, :, None] * a[:, None, :, None, :]).flatten(3).flatten(1, 2) for a, b in pairs]
        matrices = joined + matrices[2 * len(joined) :]
    return matrices[0]


def _joined(matrix: torch.Tensor) -> torch.Tensor:
    """[Re^T | Im^T] and [-Im^T | Re^T] below it, (S, 2, D, 2, D): what real and imaginary parts of a row become."""
    real, imaginary = matrix.real.transpose(1, 2), matrix.imag.transpose(1, 2)
    return torch.stack([torch.stack([real, imaginary], 2), torch.stack([-imaginary, real], 2)], 1)


def _interleaved(matrix: torch.Tensor) -> torch.Tensor:
    """The complex matrix as a real one (S, 2D, 2D) on columns whose real and imaginary parts alternate."""
    real, imaginary = matrix.real, matrix.imag
    blocks = torch.stack([torch.stack([real, -imaginary], 3), torch.stack([imaginary, real], 3)], 2)
    return blocks.flatten(3).flatten(1, 2)  # (S, D, 2, D, 2) -> (S, 2D, 2D)


def _split(states: torch.Tensor, low: int) -> torch.Tensor:
    """(S, B, H, L) of real states, (S, B, H, 2, L) of complex ones."""
    if states.ndim == 3:
        return states.unflatten(2, (-1, low))
    return states.unflatten(2, (-1, low)).transpose(3, 4)


def _times(states: torch.Tensor, low: torch.Tensor, high: torch.Tensor | None) -> torch.Tensor:
    """(S, B, H, 2, L): the states after the matrices of the low wires (`_joined`) and of the high ones
    (`_interleaved`)."""
    seeds, batch, rows, *_, size = states.shape
    low = low[:, 0] if states.ndim == 4 else low.flatten(1, 2)  # (S, L or 2L, 2, L)
    states = states.reshape(seeds, batch * rows, low.shape[1]) @ low.flatten(2)  # (S, B H, 2L)
    if high is not None:
        columns = states.view(seeds, batch, 2 * rows, size).transpose(1, 2).reshape(seeds, 2 * rows, batch * size)
        states = (high @ columns).view(seeds, 2 * rows, batch, size).transpose(1, 2)
    return states.reshape(seeds, batch, rows, 2, size)


def _permuted(layer: Layer, states: torch.Tensor) -> torch.Tensor:
    rows, _, size = states.shape[2:]
    if layer.order is not None:
        order = layer.order.to(states.device)
        places = torch.arange(states[0, 0].numel(), device=states.device).view(rows, 2, size)
        places = places[order // size, :, order % size].view(rows, size, 2).transpose(1, 2).flatten()
        states = _Reordered.apply(states.flatten(2), places).view_as(states)
    if layer.signs is not None:
        states = states * layer.signs.to(states.device).view(rows, 1, size)
    return states


class _Reordered(torch.autograd.Function):
    """The last axis in another order; PyTorch's own gradient of an index would add up where nothing meets."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(places)
        return values.index_select(-1, places)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        (places,) = ctx.saved_tensors
        return upstream.index_select(-1, places.argsort()), None
