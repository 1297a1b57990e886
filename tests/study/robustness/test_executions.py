"""Records of executions: conditions, what is written and found again, and that only what is missing is executed."""

import dataclasses
import json
import math
import os
import re

import numpy as np
import pytest

from qkdlib import backends, execution, files, pipeline, runtime
from qkdlib.experiment import Experiment
from qkdlib.images import datasets
from qkdlib.noise import Noise
from qkdlib.study.robustness import executing, executions
from qkdlib.study.robustness.executions import Condition
from qkdlib.study.v2 import revised
from qkdlib.workspace import Workspace

SIZES = {"train_per_class": 8, "validation_per_class": 2, "test_per_class": 10, "epochs": 2, "seeds": 2}
TASK = revised.student("digits", 2, "original", classes=(0, 1, 2), learning_rate=0.02, **SIZES)
IDEAL = Condition(shots=60, images_per_class=4)
NOISY = Condition("depolarising", 0.05, shots=60, images_per_class=5)
DEVICE = Condition("device", 3, shots=60, images_per_class=4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Workspace:
    """A workspace with trained students and the execution under one condition; not to be changed."""
    workspace = Workspace(tmp_path_factory.mktemp("trained"))
    run([IDEAL], workspace)
    return workspace


@pytest.fixture
def ready(trained, tmp_path) -> Workspace:
    """A copy of it."""
    for path in (*trained.folder().rglob("*.json"), *trained.checkpoints.glob("*.npz")):
        copy = tmp_path / path.relative_to(trained.folder())
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return Workspace(tmp_path)


@pytest.fixture
def executed(monkeypatch) -> list:
    """The backends, shots and numbers of images of every call of `execution.execute`."""
    calls, execute = [], execution.execute

    def counted(student, images, **options):
        calls.append((options["on"].name, options["on"].noise, options["shots"], len(images)))
        return execute(student, images, **options)

    monkeypatch.setattr(execution, "execute", counted)
    return calls


def run(conditions, workspace, task: Experiment = TASK) -> None:
    executing.run(task, conditions, workspace, device="cpu")


def record(workspace: Workspace, task: Experiment = TASK):
    return workspace.folder("results", "executions") / f"{task.name}.json"


# Conditions


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"noise": "dephasing"}, "noise='dephasing' is not allowed; allowed: one of none, depolarising"),
        ({"level": 0.1}, "noise_level=0.1 is not allowed"),
        ({"noise": "readout", "level": 0.6}, "noise_level=0.6 is not allowed; allowed: a number from 0 to 0.5"),
        ({"noise": "readout", "level": -0.1}, "noise_level=-0.1 is not allowed"),
        ({"noise": "readout", "level": math.nan}, "noise_level=nan is not allowed"),
        ({"shots": 0}, "shots=0 is not allowed; allowed: a whole number of 1 or more"),
        ({"shots": 2**31}, "shots=2147483648 is not allowed; allowed: a whole number of 1 or more, at most 10,000,000"),
        ({"noise": "device", "level": 10**6}, "level=1000000 is not allowed; allowed: a whole number from 2 to 100"),
        ({"images_per_class": 2.5}, "images_per_class=2.5 is not allowed; allowed: a whole number of 1 or more"),
        ({"noise": "device"}, "level=0 is not allowed; allowed: a whole number from 2 to 100"),
        ({"noise": "device", "level": 2.5}, "level=2.5 is not allowed; allowed: a whole number from 2 to 100"),
        ({"noise": "device", "level": 1}, "level=1 is not allowed; allowed: a whole number from 2 to 100"),
        ({"noise": "device", "level": -2}, "level=-2 is not allowed; allowed: a whole number from 2 to 100"),
    ],
)
def test_conditions_that_there_are_not_are_refused_by_name_value_and_what_is_allowed(fields, message):
    with pytest.raises(ValueError) as caught:
        Condition(**fields)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("level", [math.nan, math.inf, "five", None], ids=repr)
def test_a_device_whose_size_is_no_number_is_refused_by_name(level):
    with pytest.raises(ValueError, match="^level=.* is not allowed; allowed: a whole number from 2 to 100$"):
        Condition("device", level)


def test_a_condition_knows_its_backend():
    for condition, name, noise in (
        (IDEAL, "aer_simulator", "none"), (NOISY, "aer_simulator", "depolarising 0.05"),
        (DEVICE, "generic_3q_line", "GenericBackendV2"),
    ):  # fmt: skip
        backend = condition.backend()
        assert (backend.name, backend.noise) == (name, noise)
    assert Condition("readout", 0) == Condition("readout", 0.0) and Condition("device", 5) == Condition("device", 5.0)


# Records


def test_nothing_is_found_and_everything_missing_where_nothing_ran(workspace):
    assert executions.find(TASK, workspace) == {}
    assert executions.missing(TASK, [NOISY, IDEAL], workspace) == [NOISY, IDEAL]


def test_a_record_says_what_was_executed_and_how(trained):
    body = json.loads(record(trained).read_text())
    assert body["digest"] == TASK.digest and body["experiment"]["qubits"] == 2
    (entry,) = body["conditions"]
    assert entry["condition"] == {"noise": "none", "level": 0.0, "shots": 60, "images_per_class": 4}
    assert (entry["jobs"], entry["circuits"], entry["threads"]) == (2, 2 * 12, runtime.threads())
    assert entry["seconds"] >= 0 and entry["versions"]["qiskit-aer"] and entry["created"].startswith("20")
    result = executions.find(TASK, trained)[IDEAL]
    assert (result.condition, set(result.accuracies)) == (IDEAL, {0, 1})
    assert (result.facts["backend"], result.facts["noise"]) == ("aer_simulator", "none")
    assert result.facts["two_qubit_gates"] == 2  # amplitudes of two qubits


def test_accuracies_are_those_of_the_trained_students_in_percent(ready):
    run([IDEAL, NOISY], ready)
    student = pipeline.trained_student(TASK, workspace=ready, device="cpu")
    for condition, noise in ((IDEAL, None), (NOISY, Noise("depolarising", 0.05))):
        few = dataclasses.replace(TASK, test_per_class=condition.images_per_class)
        expected = execution.execute(student, datasets.splits(few).test, shots=60, on=noise).accuracies
        found = executions.find(TASK, ready)[condition].accuracies
        assert found == pytest.approx({seed: 100 * value for seed, value in expected.items()}, abs=1e-5)
        assert all(0 < value <= 100 for value in found.values())


def test_only_what_is_missing_is_executed_and_what_is_there_is_kept(ready, executed):
    before = record(ready).read_text()
    run([IDEAL], ready)
    assert executed == [] and record(ready).read_text() == before
    (line,) = [line for line in before.splitlines() if '"condition":' in line]
    run([DEVICE, IDEAL, NOISY], ready)
    called = [("generic_3q_line", "GenericBackendV2", 60, 12), ("aer_simulator", "depolarising 0.05", 60, 15)]
    assert executed == called
    assert line.rstrip(",") in [each.rstrip(",") for each in record(ready).read_text().splitlines()]
    assert set(executions.find(TASK, ready)) == {IDEAL, NOISY, DEVICE}
    assert executions.missing(TASK, [IDEAL, NOISY, DEVICE], ready) == []
    assert executions.missing(TASK, [dataclasses.replace(IDEAL, shots=61)], ready) != []


def test_conditions_with_seeds_that_are_missing_are_missing(ready, executed):
    more, fewer = (dataclasses.replace(TASK, seeds=seeds) for seeds in (3, 1))
    before = executions.find(TASK, ready)[IDEAL].accuracies
    assert executions.missing(fewer, [IDEAL], ready) == []
    assert executions.missing(more, [IDEAL], ready) == [IDEAL]
    run([IDEAL], ready, more)
    found = executions.find(more, ready)[IDEAL].accuracies
    assert set(found) == {0, 1, 2} and len(executed) == 1
    assert {seed: found[seed] for seed in before} == before
    assert len(json.loads(record(ready).read_text())["conditions"]) == 1


def test_what_another_process_has_saved_meanwhile_is_kept(ready, monkeypatch):
    execute = execution.execute

    def meanwhile(*arguments, **options):
        monkeypatch.setattr(execution, "execute", execute)
        run([DEVICE], ready)
        return execute(*arguments, **options)

    monkeypatch.setattr(execution, "execute", meanwhile)
    run([NOISY], ready)
    assert set(executions.find(TASK, ready)) == {IDEAL, NOISY, DEVICE}


def test_conditions_before_a_crash_are_saved_and_jobs_are_kept_until_then(ready, monkeypatch, executed):
    sample, calls = backends.sample, []

    def crashing(*arguments, **options):
        calls.append(options["keep"])
        if len(calls) == 4:  # the second seed of the second condition
            raise RuntimeError("lost")
        return sample(*arguments, **options)

    monkeypatch.setattr(backends, "sample", crashing)
    with pytest.raises(RuntimeError, match="lost"):
        run([NOISY, DEVICE], ready)
    assert set(executions.find(TASK, ready)) == {IDEAL, NOISY}
    assert len(list(calls[-1].glob("*.npz"))) == 1  # the first seed of the second condition
    run([NOISY, DEVICE], ready)
    assert [name for name, *_ in executed] == ["aer_simulator", "generic_3q_line", "generic_3q_line"]
    assert executions.missing(TASK, [NOISY, DEVICE], ready) == [] and list(calls[-1].glob("*.npz")) == []


DAMAGES = {
    "cut": lambda body: json.dumps(body)[:-20],
    "a list": lambda body: "[]",
    "of another experiment": lambda body: json.dumps({**body, "digest": "0123456789"}),
    "without conditions": lambda body: json.dumps({name: body[name] for name in ("experiment", "digest")}),
    "an unknown field": lambda body: json.dumps(body).replace('"images_per_class"', '"pictures"'),
    "no accuracies": lambda body: json.dumps(body).replace('"accuracies"', '"accuracy"'),
    "97.5 as 9750": lambda body: re.sub(r'("accuracies": {"0": )[0-9.]+', r"\g<1>9750", json.dumps(body)),
    "not a number": lambda body: re.sub(r'("accuracies": {"0": )[0-9.]+', r"\g<1>NaN", json.dumps(body)),
    "a depth that is none": lambda body: json.dumps(body).replace('"depth": ', '"depth": -'),
    "a seed that is none": lambda body: json.dumps(body).replace('"accuracies": {"0"', '"accuracies": {"-1"'),
    "nested deeply": lambda body: "[" * 100_000,
    "a level above its kind's": lambda body: json.dumps(body).replace('"level": 0.0', '"level": 7.0'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_passed_over_by_readers_and_set_aside_by_the_next_execution(ready, executed, damage):
    path = record(ready)
    path.write_text(DAMAGES[damage](json.loads(path.read_text())))
    before = path.read_text()
    with pytest.warns(files.DamagedFile, match=f"^{re.escape(str(path))} is damaged: .*; passed over$"):
        assert executions.find(TASK, ready) == {}
    assert path.read_text() == before and executed == []
    with pytest.warns(files.DamagedFile, match=f"set aside as {path.name}.damaged$"):
        run([NOISY], ready)
    assert path.with_name(f"{path.name}.damaged").read_text() == before
    assert set(executions.find(TASK, ready)) == {NOISY}


def test_a_condition_that_fails_is_named_and_the_others_go_on(ready, monkeypatch):
    execute = execution.execute

    def failing(student, images, **options):
        if options["on"].noise == "depolarising 0.05":
            raise OSError("disk\nfull")
        return execute(student, images, **options)

    monkeypatch.setattr(execution, "execute", failing)
    with pytest.raises(RuntimeError) as caught:
        run([NOISY, DEVICE], ready)
    assert str(caught.value) == f"{TASK.name}: 1 of 2 conditions failed: {NOISY}: OSError: disk full"
    assert set(executions.find(TASK, ready)) == {IDEAL, DEVICE}


def test_two_executions_at_once_take_none_of_each_others_jobs_away(ready, monkeypatch):
    """The second one begins and ends while the first one is about to put its first job in its place."""
    replace, done = os.replace, []

    def meanwhile(source, target):
        if "job_" in str(target) and not done:
            done.append(target)
            run([NOISY], ready)
            done.extend(executions.find(TASK, ready)[NOISY].accuracies.items())
        replace(source, target)

    monkeypatch.setattr(os, "replace", meanwhile)
    run([NOISY], ready)
    assert done[1:] == list(executions.find(TASK, ready)[NOISY].accuracies.items()) != []
    assert list(done[0].parent.iterdir()) == []


def test_a_seed_that_diverged_is_recorded_as_such_and_the_others_are_executed(ready, executed):
    (path,) = ready.checkpoints.glob("*.npz")
    with np.load(path) as file:
        arrays = dict(file)
    arrays["head.weight"][1] = np.nan
    np.savez(path, **arrays)
    students = ready.students / f"{TASK.name}.json"
    body = json.loads(students.read_text())
    body["seeds"]["1"]["diverged"] = 2
    students.write_text(json.dumps(body))
    with pytest.warns(UserWarning, match=r"seeds \[1\] of .* diverged, and are not executed"):
        run([NOISY], ready)
    (entry,) = [each for each in json.loads(record(ready).read_text())["conditions"] if each["condition"]["level"]]
    assert entry["accuracies"]["1"] is None and 0 < entry["accuracies"]["0"] <= 100
    assert math.isnan(executions.find(TASK, ready)[NOISY].accuracies[1])
    assert executions.missing(TASK, [NOISY], ready) == []


# Weights


def test_weights_that_are_not_those_of_the_record_are_warned_of(ready):
    (path,) = ready.checkpoints.glob("*.npz")
    with np.load(path) as file:
        arrays = dict(file)
    arrays["head.weight"], arrays["head.bias"] = -arrays["head.weight"], -arrays["head.bias"]
    np.savez(path, **arrays)
    with pytest.warns(UserWarning, match=f"^{TASK.name}: weights with accuracies up to .* points off those"):
        run([NOISY], ready)
    assert NOISY in executions.find(TASK, ready)


def test_students_without_weights_are_trained_again_to_the_same_result(ready, trained):
    (path,) = ready.checkpoints.glob("*.npz")
    path.unlink()
    record(ready).unlink()
    run([IDEAL], ready)
    assert path.exists()
    assert executions.find(TASK, ready)[IDEAL].accuracies == executions.find(TASK, trained)[IDEAL].accuracies


STUDENTS = {
    "stopped on validation": dataclasses.replace(TASK, epochs=4, patience=1, learning_rates=(0.001, 0.1)),
    "trained on samples": dataclasses.replace(TASK, gradient="parameter_shift", sampler="multinomial", shots=4000),
    "published": Experiment(dataset="digits", batch_size=8, qubits=3, **SIZES),
}


@pytest.mark.parametrize("task", STUDENTS.values(), ids=STUDENTS)
def test_students_of_every_kind_are_trained_and_executed_without_a_warning(workspace, task):
    run([IDEAL], workspace, task)
    assert set(executions.find(task, workspace)[IDEAL].accuracies) == {0, 1}
    results = pipeline.run(task, workspace=workspace, device="cpu").seeds
    assert [of_seed["qasm_accuracy"] for of_seed in results.values()] == [None, None]
