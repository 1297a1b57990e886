"""Quantum circuits as one declared gate list, and their translations to Qiskit and TorchQuantum.

Bit order. Outcome i of a circuit is the integer whose k-th binary digit is the bit measured on wire k: wire 0 is
the least significant, as in Qiskit. TorchQuantum has wire 0 leftmost (most significant); `reverse_wires` converts.
"""

import functools
from dataclasses import dataclass

import torch

from qkdlib import checks

ROTATIONS = ("rx", "ry", "rz")
FIXED = ("h",)


@dataclass(frozen=True)
class Gate:
    """One gate: its name (`h`, `rx`, `ry`, `rz`), the wires it acts on, and for a rotation the place of its
    angle in the circuit's angle vector."""

    name: str
    wires: tuple[int, ...]
    angle: int | None = None


@dataclass(frozen=True)
class Circuit:
    """A gate list on `qubits` wires with `angles` open angles, in the order in which the gates act."""

    name: str
    qubits: int
    gates: tuple[Gate, ...]

    @property
    def angles(self) -> int:
        """How many angles the circuit takes."""
        return sum(gate.angle is not None for gate in self.gates)

    @functools.cached_property
    def columns(self) -> list[tuple[str, tuple[int, ...] | None]]:
        """The gates by columns of one name over all wires: (name, the wires' angle places or None).

        Raises:
            ValueError: the wires do not all see the same gates.
        """
        per_wire = [[gate for gate in self.gates if gate.wires == (wire,)] for wire in range(self.qubits)]
        names = {tuple(gate.name for gate in gates) for gates in per_wire}
        if len(names) != 1 or sum(map(len, per_wire)) != len(self.gates):
            checks.fail("circuit", self.name, "a circuit whose wires all see the same single-wire gates")
        return [
            (column[0].name, None if column[0].angle is None else tuple(gate.angle for gate in column))
            for column in zip(*per_wire, strict=True)
        ]


def h_ry(qubits: int) -> Circuit:
    """Hadamard on every wire, then RY(theta_k) on wire k (v1, section 4.4 and Fig. 5)."""
    gates = [Gate("h", (wire,)) for wire in range(qubits)]
    gates += [Gate("ry", (wire,), angle=wire) for wire in range(qubits)]
    return Circuit("h_ry", qubits, tuple(gates))


CIRCUITS = {"h_ry": h_ry}


def build(ansatz: str, qubits: int) -> Circuit:
    """The circuit named `ansatz` on `qubits` wires."""
    checks.one_of("ansatz", ansatz, CIRCUITS)
    checks.whole("qubits", qubits)
    return CIRCUITS[ansatz](qubits)


def reverse_wires(outcomes: torch.Tensor, qubits: int) -> torch.Tensor:
    """Reorder outcomes (..., 2^Q) from wire 0 most significant to wire 0 least significant, or back."""
    lead = outcomes.shape[:-1]
    grid = outcomes.reshape(*lead, *[2] * qubits)
    wires = range(len(lead), len(lead) + qubits)
    return grid.permute(*range(len(lead)), *reversed(wires)).reshape(*lead, 2**qubits)


def to_qiskit(circuit: Circuit, measure: bool = True):
    """The circuit as a `qiskit.QuantumCircuit` whose `ParameterVector` theta holds the angles in order."""
    from qiskit import QuantumCircuit
    from qiskit.circuit import ParameterVector

    angles = ParameterVector("θ", circuit.angles)
    quantum = QuantumCircuit(circuit.qubits, name=circuit.name)
    for gate in circuit.gates:
        arguments = () if gate.angle is None else (angles[gate.angle],)
        getattr(quantum, gate.name)(*arguments, *gate.wires)
    if measure:
        quantum.measure_all()
    return quantum


def to_torchquantum(circuit: Circuit) -> torch.nn.Module:
    """The circuit as a TorchQuantum module that maps angles (N, A) to outcome probabilities (N, 2^Q)."""
    from qkdlib.torchquantum_circuit import TorchQuantumCircuit

    return TorchQuantumCircuit(circuit)
