"""A declared circuit as a TorchQuantum module, and TorchQuantum's gate matrices."""

import math
from typing import Any

import torch

from qkdlib.circuit_translations import NAMES, apply
from qkdlib.circuits.gatelist import ROTATIONS, GateList, reverse_wires
from qkdlib.torchquantum_import import load


def to_torchquantum(circuit: GateList) -> torch.nn.Module:
    """The circuit as a TorchQuantum module that maps angles (N, A) to outcome probabilities (N, 2^Q)."""
    return TorchQuantumCircuit(circuit)


class TorchQuantumCircuit(torch.nn.Module):
    """Gate-by-gate statevector simulation by TorchQuantum, in its precision: complex64, about 1e-6."""

    def __init__(self, circuit: GateList):
        super().__init__()
        self.circuit = circuit

    def forward(self, angles: torch.Tensor, amplitudes: torch.Tensor | None = None) -> torch.Tensor:
        """Outcome probabilities (N, 2^Q), wire 0 least significant, of angles (N, A) in radians, from |0...0> or from
        `amplitudes` (N, 2^Q), real or complex."""
        tq = load()
        device = tq.QuantumDevice(n_wires=self.circuit.qubits, bsz=len(angles), device=angles.device)
        if amplitudes is not None:
            grid = reverse_wires(amplitudes, self.circuit.qubits).to(torch.complex64)
            device.states = grid.reshape(device.states.shape)
        for gate in self.circuit.gates:
            params = None if gate.angle is None else angles[:, gate.angle : gate.angle + 1]  # (N, 1)
            apply(tq, device, gate.name, gate.wires, params)
        state = device.get_states_1d()  # (N, 2^Q), wire 0 most significant
        return reverse_wires(state.abs() ** 2, self.circuit.qubits)


def rotation(name: str, angles: torch.Tensor) -> torch.Tensor:
    """TorchQuantum's matrices (..., 2, 2), complex, of `rx`, `ry` or `rz` with `angles` (...) in radians, with their
    gradient."""
    return _Rotation.apply(name, angles)


def fixed(name: str) -> torch.Tensor:
    """TorchQuantum's matrix of a gate without angle: `h` (2, 2); `cx` or `cz` (4, 4), the control being the left
    factor."""
    return load().functional.mat_dict[NAMES[name]]


class _Rotation(torch.autograd.Function):
    """TorchQuantum's matrix function, with the derivative R'(theta) = R(theta + pi) / 2 in place of a graph of a
    dozen complex operations."""

    @staticmethod
    def forward(ctx: Any, name: str, angles: torch.Tensor) -> torch.Tensor:
        assert name in ROTATIONS, name
        both = torch.stack([angles, angles + math.pi])  # (2, ...)
        here, ahead = load().functional.mat_dict[name](both.reshape(-1, 1)).view(*both.shape, 2, 2)
        ctx.save_for_backward(ahead)
        return here.contiguous()

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[None, torch.Tensor]:
        (ahead,) = ctx.saved_tensors
        return None, (torch.view_as_real(upstream) * torch.view_as_real(ahead)).sum((-3, -2, -1)) / 2
