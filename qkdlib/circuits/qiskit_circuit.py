"""A declared circuit as Qiskit's."""

from typing import TYPE_CHECKING

from qkdlib.circuits.gatelist import GateList

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


def to_qiskit(circuit: GateList, measure: bool = True) -> "QuantumCircuit":
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
