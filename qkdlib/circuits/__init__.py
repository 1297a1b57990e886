"""Circuits: what acts on the wires, as one gate list; and its outcomes, exactly.

The gate list is translated to Qiskit and to TorchQuantum, which is the reference for every simulator here. Nothing in
this wing knows images, students or experiments' results.
"""

from qkdlib.circuits.ansatze import (
    basic_entangler,
    build,
    compiled,
    described,
    h_ry,
    named,
    reuploading,
    rx_ry_rz,
    strongly_entangling,
)
from qkdlib.circuits.gatelist import (
    Gate,
    GateList,
    amplitude_encoding,
    angle_encoding,
    join,
    measured,
    qubit_encoding,
    reverse_wires,
)
from qkdlib.circuits.qiskit_circuit import to_qiskit
from qkdlib.circuits.simulation import exact, probabilities
from qkdlib.circuits.torchquantum_circuit import to_torchquantum

__all__ = [
    "Gate", "GateList", "amplitude_encoding", "angle_encoding", "basic_entangler", "build", "compiled", "described",
    "exact", "h_ry", "join", "measured", "named", "probabilities", "qubit_encoding", "reuploading", "reverse_wires",
    "rx_ry_rz", "strongly_entangling", "to_qiskit", "to_torchquantum",
]  # fmt: skip
