"""Imports: the package is light, its public names are there, and the command line answers."""

import importlib
import subprocess
import sys

import pytest

import qkdlib
from qkdlib import checks
from qkdlib.workspace import Workspace

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


def test_public_names_are_found_and_others_are_not():
    assert qkdlib.Workspace is Workspace
    assert qkdlib.checks is checks
    assert all(getattr(qkdlib, name) is not None for name in qkdlib.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = qkdlib.nothing


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
