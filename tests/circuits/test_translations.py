"""Qiskit and TorchQuantum: the translated circuit, and TorchQuantum's matrices."""

import math

import numpy as np
import pytest
import torch
from qiskit.circuit import library
from qiskit.quantum_info import Operator

from qkdlib import circuits
from qkdlib.circuits import gatelist, torchquantum_circuit


def test_measured_circuit_has_one_measurement_per_wire():
    counted = circuits.to_qiskit(circuits.build("h_ry", 4)).count_ops()
    assert {name: counted[name] for name in ("h", "ry", "measure")} == {"h": 4, "ry": 4, "measure": 4}


# TorchQuantum's matrices of gates


@pytest.mark.parametrize("name", gatelist.ROTATIONS)
@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (2, 3, 1)])
def test_rotations_are_qiskits(name, shape):
    angles = torch.linspace(-7, 7, math.prod(shape)).view(shape)
    found, kind = torchquantum_circuit.rotation(name, angles), getattr(library, f"{name.upper()}Gate")
    assert found.shape == (*shape, 2, 2)
    for place in np.ndindex(*shape):
        np.testing.assert_allclose(found[place], kind(angles[place].item()).to_matrix(), atol=1e-6)


@pytest.mark.parametrize("name", gatelist.ROTATIONS)
def test_gradient_of_a_rotation_is_the_difference_of_qiskits_matrices(name):
    angles = torch.linspace(-7, 7, 30).view(2, 3, 5).requires_grad_()
    upstream = torch.randn(2, 3, 5, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    (torch.view_as_real(torchquantum_circuit.rotation(name, angles)) * upstream).sum().backward()
    kind, step = getattr(library, f"{name.upper()}Gate"), 1e-5
    for place in np.ndindex(2, 3, 5):
        ahead, behind = (kind(angles[place].item() + sign * step).to_matrix() for sign in (1, -1))
        slope = torch.view_as_real(torch.from_numpy((ahead - behind) / (2 * step)))
        assert angles.grad[place].item() == pytest.approx((slope * upstream[place]).sum().item(), abs=2e-6)


@pytest.mark.parametrize(
    ("name", "kind"), [("h", library.HGate), ("cx", library.CXGate), ("cz", library.CZGate)], ids=["h", "cx", "cz"]
)
def test_gates_without_angle_are_qiskits(name, kind):
    # Qiskit's control is wire 0, the right factor.
    np.testing.assert_allclose(torchquantum_circuit.fixed(name), Operator(kind()).reverse_qargs().data, atol=1e-6)
