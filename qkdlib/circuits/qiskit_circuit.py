"""A declared circuit as Qiskit's."""

from typing import TYPE_CHECKING

from qkdlib.circuit import Circuit
from qkdlib.circuits.gatelist import GateList

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


def to_qiskit(circuit: GateList | Circuit, measure: bool = True) -> "QuantumCircuit":
    """The circuit as a `qiskit.QuantumCircuit` whose `ParameterVector` theta holds the angles in order; one of your own
    as its `to_qiskit` says."""
    if isinstance(circuit, Circuit):
        return circuit.to_qiskit(measure)
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
