"""A declared circuit as a TorchQuantum module. Importing this module imports TorchQuantum, which takes seconds."""

import torch

from qkdlib.circuits import Circuit, reverse_wires
from qkdlib.torchquantum_import import load

tq = load()
FUNCTIONS = {"h": "hadamard", "rx": "rx", "ry": "ry", "rz": "rz", "cx": "cnot", "cz": "cz"}


class TorchQuantumCircuit(tq.QuantumModule):
    """Gate-by-gate statevector simulation by TorchQuantum.

    The precision is TorchQuantum's: complex64, about 1e-6.
    """

    def __init__(self, circuit: Circuit):
        super().__init__()
        self.circuit = circuit

    def forward(self, angles: torch.Tensor, amplitudes: torch.Tensor | None = None) -> torch.Tensor:
        """Outcome probabilities (N, 2^Q), wire 0 least significant, of angles (N, A) in radians, from |0...0> or from
        `amplitudes` (N, 2^Q)."""
        device = tq.QuantumDevice(n_wires=self.circuit.qubits, bsz=len(angles), device=angles.device)
        if amplitudes is not None:
            grid = reverse_wires(amplitudes, self.circuit.qubits).to(torch.complex64)
            device.states = grid.reshape(device.states.shape)
        for gate in self.circuit.gates:
            params = None if gate.angle is None else angles[:, gate.angle : gate.angle + 1]  # (N, 1)
            getattr(tq.functional, FUNCTIONS[gate.name])(device, wires=list(gate.wires), params=params)
        state = device.get_states_1d()  # (N, 2^Q), wire 0 most significant
        return reverse_wires(state.abs() ** 2, self.circuit.qubits)
