"""Imports: the package is light, TorchQuantum's stand-ins leave, and the command line answers."""

import importlib
import subprocess
import sys

import pytest

import qkdlib
from qkdlib.circuits import torchquantum_import

HEAVY = ("torch", "torchquantum", "qiskit", "qiskit_aer", "torchvision", "matplotlib", "pandas", "scipy", "sklearn")


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)


def test_import_takes_less_than_half_a_second():
    code = "import time; started = time.perf_counter(); import qkdlib; print(time.perf_counter() - started)"
    seconds = [float(python("-c", code).stdout) for _ in range(5)]
    assert min(seconds) < 0.5


def test_import_brings_no_heavy_library():
    finished = python("-c", f"import qkdlib, sys; print([name for name in {HEAVY} if name in sys.modules])")
    assert finished.stdout.strip() == "[]", finished.stderr


def test_describing_an_experiment_brings_no_heavy_library():
    code = f"import qkdlib, sys; qkdlib.Experiment().name; print([name for name in {HEAVY} if name in sys.modules])"
    finished = python("-c", code)
    assert finished.stdout.strip() == "[]", finished.stderr


@pytest.mark.parametrize("name", qkdlib.__all__)
def test_public_names_are_there(name):
    assert getattr(qkdlib, name) is getattr(importlib.import_module(f"qkdlib.{qkdlib._HOME[name]}"), name)


@pytest.mark.parametrize("name", ["circuits", "students", "pipeline"])
def test_submodules_are_attributes(name):
    assert getattr(qkdlib, name).__name__ == f"qkdlib.{name}"


@pytest.mark.parametrize("name", ["nothing", "Experimint", "__wrapped__"])
def test_unknown_attribute_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=name):
        getattr(qkdlib, name)


def test_failing_import_inside_a_submodule_is_not_called_an_unknown_attribute(monkeypatch):
    def fail(name):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ModuleNotFoundError, match="torch"):
        qkdlib.__getattr__("students")


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


def test_summary_of_an_empty_workspace_works(tmp_path):
    finished = python("-m", "qkdlib", "summary", "--workspace", str(tmp_path))
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == f"no records in {tmp_path / 'results' / 'students'}"


@pytest.mark.parametrize("arguments", [["no-such-command"], [], ["summary", "--no-such-option"]])
def test_bad_command_exits_2_with_the_usage(arguments):
    finished = python("-m", "qkdlib", *arguments)
    assert finished.returncode == 2
    assert "usage: python -m qkdlib" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_wrong_parameter_is_one_line_and_exit_status_2(monkeypatch, capsys, tmp_path):
    from qkdlib import __main__
    from qkdlib.records import summary

    def fail(_workspace):
        raise ValueError("qubits=0 is not allowed; allowed: 1 or more")

    monkeypatch.setattr(summary, "text", fail)
    assert __main__.main(["summary", "--workspace", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: qubits=0 is not allowed; allowed: 1 or more\n"
