"""Qiskit and TorchQuantum: the translated circuit, TorchQuantum's matrices, and what its import leaves behind."""

import importlib
import math
import sys

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


# TorchQuantum's import


def stand_ins() -> list[str]:
    return [name for name, module in sys.modules.items() if isinstance(module, torchquantum_circuit._StandIn)]


def test_no_stand_in_is_left_after_torchquantum_is_loaded():
    torchquantum = torchquantum_circuit.load()
    assert torchquantum.__name__ == "torchquantum"
    assert hasattr(torchquantum, "QuantumDevice")
    assert stand_ins() == []
    assert torchquantum_circuit.load() is torchquantum


def test_stand_ins_stand_in_only_for_what_is_absent(monkeypatch):
    there = type(sys)("torchquantum.plugin")
    monkeypatch.setitem(sys.modules, "torchquantum.plugin", there)
    with torchquantum_circuit._stand_ins():
        assert sys.modules["torchquantum.plugin"] is there
        assert "torchquantum.plugin" not in stand_ins()
        assert "qiskit.providers.aer" in stand_ins()
    assert sys.modules["torchquantum.plugin"] is there
    assert stand_ins() == []


def test_missing_torchquantum_says_what_to_do(monkeypatch):
    importer = importlib.import_module

    def fail(name, *arguments):
        if name == "torchquantum":
            raise ModuleNotFoundError("No module named 'torchquantum'", name=name)
        return importer(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ImportError, match=r"make setup.*torchquantum==0\.1\.8"):
        torchquantum_circuit.load.__wrapped__()  # past the cache
    assert stand_ins() == []
