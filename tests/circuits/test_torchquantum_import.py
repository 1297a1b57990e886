"""TorchQuantum's import, and what it leaves behind."""

import importlib
import sys

import pytest

from qkdlib.circuits import torchquantum_import


def stand_ins() -> list[str]:
    return [name for name, module in sys.modules.items() if isinstance(module, torchquantum_import._StandIn)]


def test_no_stand_in_is_left_after_torchquantum_is_loaded():
    torchquantum = torchquantum_import.load()
    assert torchquantum.__name__ == "torchquantum"
    assert hasattr(torchquantum, "QuantumDevice")
    assert stand_ins() == []
    assert torchquantum_import.load() is torchquantum


def test_stand_ins_stand_in_only_for_what_is_absent(monkeypatch):
    there = type(sys)("torchquantum.plugin")
    monkeypatch.setitem(sys.modules, "torchquantum.plugin", there)
    with torchquantum_import._stand_ins():
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
        torchquantum_import.load.__wrapped__()  # past the cache
    assert stand_ins() == []
