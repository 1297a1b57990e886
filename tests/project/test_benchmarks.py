"""The benchmarks: each imports, names only what qkdlib has, and does its steps at a tiny size."""

import importlib
import sys
import types
from pathlib import Path

import pytest
from names_of_qkdlib import missing

from qkdlib import circuits

FOLDER = Path(__file__).parents[2] / "benchmarks"
HELPER = "timing"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != HELPER)


@pytest.fixture
def benchmark(monkeypatch, one_thread):
    """A function that imports the benchmark of that name as its own process would, and forgets it afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)

    def load(name: str) -> types.ModuleType:
        module = importlib.import_module(name)
        assert Path(module.__file__) == FOLDER / f"{name}.py"
        return module

    yield load
    for name in {HELPER, *NAMES} & set(sys.modules) - before:
        del sys.modules[name]


def test_a_name_that_is_gone_is_seen():
    source = "circuits.build('h_ry', 3); circuits.h_rx(3); other.h_rx; x = circuits.simulation.exact"
    assert missing(source, {"circuits": circuits, "other": 1}) == ["circuits.h_rx"]


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_imports_and_every_name_of_qkdlib_in_it_is_there(name, benchmark):
    module = benchmark(name)
    assert missing(Path(module.__file__).read_text(encoding="utf-8"), vars(module)) == []


def test_execution_counts_circuits_and_times_epochs(benchmark, capsys):
    execution = benchmark("execution")
    execution.in_jobs(rows=2)
    execution.in_the_loop(images=6)  # one of each class
    execution.beside_aer(rows=2, repeats=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 8 + 1 + 3 + 3 + 1
    assert lines[-3].startswith("  aer: batch 1: ") and lines[-1].endswith(" circuits/s")


def test_portable_steps_every_student_and_a_teacher(benchmark):
    portable = benchmark("portable")
    for task, _, _ in portable.CASES.values():
        portable.stepper(task, seeds=1)()
    portable.of_teacher("lenet", batch=2)()  # AlexNet takes seconds


def test_engines_prints_a_line_for_each_student_and_number_of_qubits(benchmark, capsys):
    engines = benchmark("engines")
    engines.measure(steps=1, rounds=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" qubits")[0].split()[-1] for line in lines] == 3 * ["4"] + 3 * ["8"]
    assert all(f"{engines.SEEDS} seeds" in line and "TorchQuantum" in line for line in lines)
    engines.large("re-uploading", qubits=5)
    assert "5 qubits, 1 seed" in capsys.readouterr().out


def test_training_prints_a_line_for_each_case(benchmark, capsys):
    training = benchmark("training")
    training.main(steps=1, rounds=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 * len(training.CASES) and all(line.endswith(" ms") for line in lines[1:])


def test_scaling_schedules_blocks_as_a_list(benchmark, capsys):
    """By hand: 4, 3, 3, 2 on two cores end after 6; a block of five seeds of ten takes half of what is not fixed."""
    scaling = benchmark("scaling")
    assert scaling.makespan([3, 2, 4, 3], 2, start=0.0) == 6.0 and scaling.makespan([3, 2], 9, start=1.0) == 4.0
    assert scaling.in_blocks([(10, 8.0)], 5, 0.5) == [6.0, 6.0] and scaling.in_blocks([(10, 8.0)], 100, 0.5) == [8.0]
    scaling.simulate([(10, 100.0)] * 3, 0.4)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(scaling.SIZES) * len(scaling.CORES)
    assert lines[-1].endswith(", the longest block")
