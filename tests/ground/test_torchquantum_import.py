"""TorchQuantum's import: either release, what it leaves behind, and what is said where there is none."""

import functools
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qiskit.circuit.library import StatePreparation
from qiskit.quantum_info import Operator

from qkdlib import aer_import, torchquantum_import

# What the two releases do at their import with Qiskit, as far as it matters here; their own trees are far larger.
OLD = """
from qiskit.providers.aer.noise.device.parameters import gate_error_values
from torchquantum.plugin.qiskit import QISKIT_INCOMPATIBLE_FUNC_NAMES
from qiskit_ibm_runtime import IBMRuntimeService
"""
NEW = """
from qiskit import QuantumCircuit
from qiskit_aer.noise import NoiseModel
QuantumCircuit.unitary = None
"""
SAY = """
import sys
from qkdlib import torchquantum_import as found
torchquantum = found.load()
left = [name for name, module in sys.modules.items() if isinstance(module, found._StandIn)]
from qiskit import QuantumCircuit
print(torchquantum.__version__, torchquantum.__file__, left, found.aer_import.load.cache_info().currsize)
assert QuantumCircuit.unitary.__module__ == "qiskit.circuit.quantumcircuit"
"""


def imported(folder, version: str, body: str, stated: str | None = None) -> subprocess.CompletedProcess:
    """What a new process says of a made-up release of TorchQuantum in `folder`, which states a version."""
    (folder / "torchquantum").mkdir()
    (folder / "torchquantum" / "__init__.py").write_text(f'__version__ = "{version}"\n{body}')
    (folder / "torchquantum" / "__version__.py").write_text(f'"""Licence"""\n\nversion = "{stated or version}"\n')
    names = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.getcwd()])}
    return subprocess.run([sys.executable, "-c", SAY], env=names, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(("version", "body", "aer"), [("0.1.8", OLD, 0), ("0.2.0", NEW, 1)])
def test_either_release_is_imported(tmp_path, version, body, aer):
    """0.1.8 with stand-ins and without Aer, the fork as it is and after Aer has been loaded in our way."""
    ended = imported(tmp_path, version, body)
    assert ended.stdout.split() == [version, f"{tmp_path}/torchquantum/__init__.py", "[]", str(aer)], ended.stderr


def test_the_fork_gets_no_stand_ins(tmp_path):
    ended = imported(tmp_path, "0.2.0", OLD)
    assert ended.returncode == 1
    assert "qiskit.providers.aer" in ended.stderr and "pip install torchquantum-ng==0.2.0" in ended.stderr


def test_the_installed_release_is_the_one_that_the_lock_pins():
    """Not so where 0.1.8 was installed by hand, whose numbers the tests of circuits compare all the same."""
    pins = (Path(__file__).parents[2] / "requirements.lock").read_text().split()
    assert f"torchquantum-ng=={torchquantum_import.load().__version__}" in pins or torchquantum_import._is_old()


def test_qiskit_stays_as_it_is():
    torchquantum_import.load()
    state = np.array([0.6, 0.8j, 0, 0])
    there_and_back = StatePreparation(state).inverse().definition  # fails with the fork's `unitary`
    np.testing.assert_allclose(abs(Operator(there_and_back).data @ state), [1, 0, 0, 0], atol=1e-12)


def test_aer_is_loaded_before_the_fork_that_imports_it(monkeypatch):
    order = []
    monkeypatch.setattr(torchquantum_import, "_is_old", lambda: False)
    monkeypatch.setattr(aer_import, "load", functools.partial(order.append, "aer"))
    monkeypatch.setattr(importlib, "import_module", order.append)
    torchquantum_import.load.__wrapped__()  # past the cache
    assert order == ["aer", "torchquantum"]


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
    with pytest.raises(ImportError, match=r"make setup.*torchquantum-ng==0\.2\.0"):
        torchquantum_import.load.__wrapped__()  # past the cache
    assert stand_ins() == []
