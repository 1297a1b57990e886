"""Quantum circuits as one gate list, in which every angle has a place of its own: what all simulators and backends
take; and the circuits by which features become a state.

Bit order. Outcome i of a circuit is the integer whose k-th binary digit is the bit measured on wire k: wire 0 is
the least significant, as in Qiskit. TorchQuantum has wire 0 leftmost (most significant); `reverse_wires` converts.
"""

import dataclasses
import functools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from qkdlib import checks

ROTATIONS = ("rx", "ry", "rz")
DIAGONAL = ("rz", "cz", "z", "s", "sdg", "t", "tdg", "p", "cp", "crz", "rzz")
PERMUTING = ("cx", "x", "ccx", "swap")  # outcomes


@dataclass(frozen=True)
class Gate:
    """One gate: its name (one of `circuit.GATES`, but for `u`), the wires it acts on (controls first), and the place of
    its angle in the circuit's angle vector, if it has one."""

    name: str
    wires: tuple[int, ...]
    angle: int | None = None


@dataclass(frozen=True)
class GateList:
    """A gate list on `qubits` wires with `angles` open angles, in the order in which the gates act."""

    name: str
    qubits: int
    gates: tuple[Gate, ...]

    @functools.cached_property
    def angles(self) -> int:
        """How many angles the circuit takes."""
        return sum(gate.angle is not None for gate in self.gates)

    def __hash__(self) -> int:
        return self._key

    @functools.cached_property
    def _key(self) -> int:
        # Caches ask for it at every step; that of a text would be another in another process.
        return zlib.crc32(repr((self.name, self.qubits, self.gates)).encode())

    @functools.cached_property
    def columns(self) -> list[tuple[str, tuple[int, ...] | None]]:
        """The gates by columns of one name over all wires: (name, the wires' angle places or None). `ValueError`: the
        wires do not all see the same gates."""
        per_wire = [[gate for gate in self.gates if gate.wires == (wire,)] for wire in range(self.qubits)]
        names = {tuple(gate.name for gate in gates) for gates in per_wire}
        if len(names) != 1 or sum(map(len, per_wire)) != len(self.gates):
            checks.fail("circuit", self.name, "a circuit whose wires all see the same single-wire gates")
        return [
            (column[0].name, None if column[0].angle is None else tuple(gate.angle for gate in column))
            for column in zip(*per_wire, strict=True)
        ]

    @property
    def entangles(self) -> bool:
        """Whether any gate acts between wires."""
        return any(len(gate.wires) > 1 for gate in self.gates)


def angle_encoding(qubits: int, features: int) -> GateList:
    """Feature j turns wire j mod Q; layer j div Q uses RX, RY, RZ, RX in turn (v2, Fig. 1)."""
    names = (*ROTATIONS, "rx")
    gates = [Gate(names[j // qubits % 4], (j % qubits,), angle=j) for j in range(features)]
    return GateList("angle_encoding", qubits, tuple(gates))


def qubit_encoding(qubits: int) -> GateList:
    """RY(angle k) on wire k."""
    return GateList("qubit_encoding", qubits, tuple(Gate("ry", (wire,), angle=wire) for wire in range(qubits)))


def amplitude_encoding(qubits: int) -> GateList:
    """Real amplitudes by 2^Q - 1 angles (`state_preparation.angles`) and 2^Q - 2 CNOTs, the same gates for every image:
    the wires from the last to the first, each turned by RY under control of the ones before (Moettoenen et al. 2004,
    arXiv:quant-ph/0407010). RY is SX^-1 RZ SX, and SX commutes with the target of a CNOT, so that a device turns
    frames (RZ) between CNOTs and nothing else."""
    last = qubits - 1
    gates, angle = [Gate("ry", (last,), angle=0)], 1
    for target in range(last - 1, -1, -1):
        controls = last - target
        gates.append(Gate("sx", (target,)))
        for step in range(2**controls):
            # Gray code: between steps one digit changes; after the last one, the highest.
            digit = min((step + 1 & -(step + 1)).bit_length() - 1, controls - 1)
            gates += [Gate("rz", (target,), angle=angle), Gate("cx", (target + 1 + digit, target))]
            angle += 1
        gates.append(Gate("sxdg", (target,)))
    return GateList("amplitude_encoding", qubits, tuple(gates))


def measured(circuit: GateList, wires: Sequence[int] = ()) -> GateList:
    """The circuit without the gates that no measurement of these wires (all of them, if none are given) can see: those
    on wires from which no later gate leads to a measured one; and diagonal ones (`rz`, `cz`) after which their wires
    meet nothing but diagonal gates and those that only permute outcomes (`cx`).

    The angles of such gates have a gradient of exactly 0. Simulated, it would be rounding noise, of which Adam makes
    whole steps. The other angles keep their places.
    """
    kept: list[Gate] = []
    seen = set(wires or range(circuit.qubits))
    mixed: set[int] = set()  # wires on which a later gate turns phases into probabilities
    for gate in reversed(circuit.gates):
        if not seen & set(gate.wires):
            continue
        meets_mixed = mixed & set(gate.wires)
        if meets_mixed or gate.name not in DIAGONAL:
            kept.append(gate)
            seen |= set(gate.wires)
        if meets_mixed or gate.name not in (*DIAGONAL, *PERMUTING):
            mixed |= set(gate.wires)
    return dataclasses.replace(circuit, gates=tuple(reversed(kept)))


def join(first: GateList, second: GateList) -> GateList:
    """One circuit after the other; its angles are those of the first, then those of the second."""
    if first.qubits != second.qubits:
        checks.fail("qubits", second.qubits, f"{first.qubits}, as in circuit {first.name}")
    count = first.angles
    shifted = (Gate(g.name, g.wires, None if g.angle is None else g.angle + count) for g in second.gates)
    return GateList(f"{first.name}+{second.name}", first.qubits, (*first.gates, *shifted))


def pauli_z(qubits: int) -> torch.Tensor:
    """Signs (2^Q, Q): outcome probabilities times them are the expectations <Z> on each wire."""
    wires = torch.arange(qubits)
    return (1 - 2 * (torch.arange(2**qubits)[:, None] >> wires & 1)).float()


def reverse_wires(outcomes: torch.Tensor, qubits: int) -> torch.Tensor:
    """Reorder outcomes (..., 2^Q) from wire 0 most significant to wire 0 least significant, or back."""
    lead = outcomes.shape[:-1]
    grid = outcomes.reshape(*lead, *[2] * qubits)
    wires = range(len(lead), len(lead) + qubits)
    return grid.permute(*range(len(lead)), *reversed(wires)).reshape(*lead, 2**qubits)
