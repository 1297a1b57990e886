"""Sweeps: what they run, what they find again, what their table and heat map show, and what they refuse before any
work."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
from intervals import near_p
from tiny import TINY

import qkdlib
from qkdlib import cluster, pipeline, sweeping, training
from qkdlib.circuit import Circuit
from qkdlib.experiment import Experiment, Teacher
from qkdlib.records import Record, find, read_all

TASK = Experiment(dataset="digits", classes=(0, 1), epochs=1, seeds=3)
TAUGHT = TASK.distilled(Teacher())


def made_up(workspace, experiment, accuracies) -> Record:
    """A saved record whose seeds end with these accuracies."""
    same = {"validation_accuracy": [0.5], "validation_ce": [1.0], "qasm_accuracy": None}
    record = Record(experiment, {seed: {**same, "test_accuracy": [value]} for seed, value in enumerate(accuracies)})
    record.save(workspace)
    return record


def accuracies(temperature: float, weight: float) -> list[float]:
    return [0.8 + temperature / 100, 0.6 + weight / 10, 0.7] if weight else [0.75, 0.6, 0.65]


@pytest.fixture
def filled(workspace, monkeypatch):
    """A workspace with a record for each of six combinations; nothing may be run."""
    for temperature, weight in itertools.product((1.0, 5.0), (0.0, 0.5, 0.9)):
        task = dataclasses.replace(TAUGHT, temperature=temperature, kd_weight=weight)
        made_up(workspace, task if weight else task.placebo(), accuracies(temperature, weight))
    monkeypatch.setattr(cluster, "run_all", lambda *_given, **_named: pytest.fail("something is run"))
    return workspace


# What comes out


def test_the_frame_has_a_row_per_combination_with_what_its_seeds_say(filled):
    found = qkdlib.sweep(TAUGHT, temperature=[1.0, 5.0], kd_weight=[0, 0.5, 0.9], workspace=filled)
    frame = found.frame
    assert list(zip(frame.temperature, frame.kd_weight, strict=True)) == list(
        itertools.product((1.0, 5.0), (0.0, 0.5, 0.9))
    )
    alone = np.array(accuracies(1.0, 0.0))
    for row, record in zip(frame.itertuples(), found.records, strict=True):
        values = np.array(accuracies(row.temperature, row.kd_weight))
        assert (row.seeds, row.name) == (3, record.experiment.name)
        assert (row.accuracy, row.sd) == (pytest.approx(100 * values.mean()), pytest.approx(100 * values.std(ddof=1)))
        assert row.low <= row.accuracy <= row.high and row.collapsed == pytest.approx(100 * (values < 0.75).mean())
        if row.kd_weight:
            assert row.gain == pytest.approx(100 * (values - alone).mean())
            assert row.gain_p == near_p(100 * (values - alone))
            assert row.gain_low <= row.gain <= row.gain_high
        else:
            assert np.isnan([row.gain, row.gain_low, row.gain_high, row.gain_p]).all()
    assert frame[frame.kd_weight == 0].name.nunique() == 1  # one placebo, whatever the temperature
    assert str(found).startswith(" temperature  kd_weight") and "<table" in found._repr_html_()


def test_a_gain_needs_the_placebo(workspace):
    for weight in (0.5, 0.9):
        made_up(workspace, dataclasses.replace(TAUGHT, kd_weight=weight), accuracies(3.0, weight))
    assert qkdlib.sweep(TAUGHT, kd_weight=[0.5, 0.9], workspace=workspace).frame.gain.isna().all()
    made_up(workspace, dataclasses.replace(TASK, temperature=9.0), accuracies(3.0, 0.0))
    assert qkdlib.sweep(TAUGHT, kd_weight=[0.5, 0.9], workspace=workspace).frame.gain.notna().all()


def test_a_heat_map_has_the_values_in_the_order_that_was_given(filled):
    found = qkdlib.sweep(TAUGHT, temperature=[5.0, 1.0], kd_weight=[0.9, 0, 0.5], workspace=filled)
    (axis,) = found.heatmap("temperature", "kd_weight").axes
    expected = [[100 * np.mean(accuracies(t, w)) for t in (5.0, 1.0)] for w in (0.9, 0, 0.5)]
    np.testing.assert_allclose(axis.images[0].get_array(), expected)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["5.0", "1.0"]
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title()) == ("temperature", "kd_weight", "accuracy")
    (gains,) = found.heatmap("kd_weight", "temperature", "gain").axes
    assert np.isnan(np.ma.filled(gains.images[0].get_array(), np.nan)[:, 1]).all()


def test_a_heat_map_of_a_sweep_of_three_fields_takes_a_value_of_the_third(workspace):
    for reducer, temperature, weight in itertools.product(("cnn", "pca"), (1.0, 5.0), (0.5, 0.9)):
        task = dataclasses.replace(TAUGHT, temperature=temperature, kd_weight=weight, reducer=reducer)
        made_up(workspace, task, [weight * temperature / 10 + 0.1 * (reducer == "pca")] * 3)
    fields = {"temperature": [1.0, 5.0], "kd_weight": [0.5, 0.9], "reducer": ["cnn", "pca"]}
    found = qkdlib.sweep(TAUGHT, workspace=workspace, **fields)
    (axis,) = found.heatmap("temperature", "kd_weight", reducer="pca").axes
    np.testing.assert_allclose(axis.images[0].get_array(), [[15, 35], [19, 55]])
    assert axis.get_title() == "accuracy, reducer pca"
    for wrong, named in (
        ({}, "heatmap's fields"), ({"reducer": "fft"}, "reducer"),
        ({"reducer": "pca", "layers": 2}, "heatmap's fields"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{named}="):
            found.heatmap("temperature", "kd_weight", **wrong)
    for x, y, value, named in (
        ("layers", "kd_weight", "sd", "x"), ("kd_weight", "kd_weight", "sd", "y"),
        ("kd_weight", "temperature", "name", "value"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{named}="):
            found.heatmap(x, y, value, reducer="pca")


def test_parts_of_ones_own_and_teachers_are_shown_by_what_they_are(workspace):
    one, other = (Circuit(qubits=3, gates=(f"{gate}(x[0]) 0", "ry(x[1]) 1"), name="mine") for gate in ("rx", "ry"))
    teachers = [None, Teacher(), Teacher(epochs=3), Teacher(architecture="alexnet")]
    for circuit, teacher in itertools.product((one, other, "h_ry"), teachers):
        task = dataclasses.replace(TASK, ansatz=circuit)
        made_up(workspace, task.distilled(teacher) if teacher else task, [0.5, 0.6, 0.7])
    found = qkdlib.sweep(TAUGHT, ansatz=[one, other, "h_ry"], teacher=teachers, workspace=workspace)
    circuits = found.frame.ansatz.unique()
    assert (
        len(circuits) == 3 and circuits[2] == "h_ry" and all(re.fullmatch("mine #....", each) for each in circuits[:2])
    )
    assert [*found.frame.teacher[:4]] == ["none", "lenet, epochs 10", "lenet, epochs 3", "alexnet, epochs 10"]
    assert found.heatmap("teacher", "ansatz").axes[0].images[0].get_array().shape == (3, 4)


# What is run


def test_what_is_there_is_not_run_again_and_what_is_added_is(workspace, monkeypatch):
    asked, train = [], training.train_students

    def watched(experiment, *more):
        asked.append(experiment.learning_rate)
        return train(experiment, *more)

    monkeypatch.setattr(training, "train_students", watched)
    said = []
    first = qkdlib.sweep(TINY, learning_rate=[0.01, 0.1], workspace=workspace, say=said.append)
    assert sorted(asked) == [0.01, 0.1] and len(said) == 2
    assert len(read_all(workspace)) == 2 and first.frame.learning_rate.tolist() == [0.01, 0.1]
    assert all(results["qasm_accuracy"] is None for record in first.records for results in record.seeds.values())
    again = qkdlib.sweep(TINY, learning_rate=(0.1, 0.01, 0.5), workspace=str(workspace.root), say=said.append)
    assert sorted(asked) == [0.01, 0.1, 0.5] and len(said) == 3
    assert again.frame.accuracy.tolist()[:2] == first.frame.accuracy.tolist()[::-1]
    qkdlib.sweep(TINY, learning_rate=[0.1], workspace=workspace, fresh=True, say=said.append)
    assert asked.count(0.1) == 2
    alone = pipeline.run(dataclasses.replace(TINY, learning_rate=0.1), workspace=workspace.root / "alone", aer_seeds=0)
    assert alone.seeds == again.records[0].seeds


def test_a_sweep_that_was_interrupted_runs_the_rest(workspace, monkeypatch):
    train, begun = training.train_students, []

    def interrupted(*given):
        begun.append(1)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return train(*given)

    monkeypatch.setattr(training, "train_students", interrupted)
    fields = {"learning_rate": [0.01, 0.1, 0.2]}
    with pytest.raises(KeyboardInterrupt):
        qkdlib.sweep(TINY, workspace=workspace, say=lambda _: None, **fields)
    assert len(read_all(workspace)) == 1
    assert len(qkdlib.sweep(TINY, workspace=workspace, say=lambda _: None, **fields).frame) == 3
    assert len(begun) == 4


def test_an_execution_that_is_asked_for_is_done(workspace):
    qkdlib.sweep(TINY, learning_rate=[0.1], workspace=workspace, aer_seeds=1, say=lambda _: None)
    (record,) = read_all(workspace)
    assert [results["qasm_accuracy"] is None for results in record.seeds.values()] == [False, True]


def test_records_that_are_gone_are_named(filled):
    found = qkdlib.sweep(TAUGHT, kd_weight=[0.5, 0.9], temperature=[1.0, 5.0], workspace=filled)
    for path in filled.students.iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match="is not there any more; sweep again"):
        _ = found.frame
    assert find(TAUGHT, filled) is None


# What is refused


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "fields="),
        ({"temprature": [1, 2]}, "field='temprature' .*nearest: temperature"),
        ({"seeds": [1, 2]}, "field='seeds'"),
        ({"epochs": 3}, "epochs=3 .*a list of values"),
        ({"reducer": "pca"}, "reducer='pca' .*a list of values"),
        ({"epochs": []}, "epochs=.*one or more"),
        ({"epochs": [1, 2, 1]}, "epochs=.*all different"),
        ({"epochs": [1, 0]}, "epochs=0 "),
        ({"reducer": ["cnn", "fft"]}, "reducer='fft'"),
        ({"qubits": [3, 2]}, "qubits=2 .*6 classes"),
        ({"kd_weight": [0.5]}, "kd_weight=0.5 .*without a teacher"),
        ({"temperature": [1, 2]}, "temperature=.*values that change a number"),
        ({"epochs": [1, 2], "data_seed": [1, 2]}, "data_seed=.*values that change a number"),
        ({"teacher": [None, Teacher()]}, "kd_weight=0.0 .*where teachers are swept"),
        ({"classes": [(0, 1), (3, 10)]}, r"classes=\(3, 10\)"),
        ({"train_per_class": [5, 5000]}, "train_per_class"),
        ({"reducer": ["cnn", "fully_connected"]}, "dropout=0.5"),
        ({"reducer": ["pca"], "dropout": [0.0], "train_per_class": [5, 1], "qubits": [3, 7]}, "train_per_class='6 im"),
        ({"features": ["", "custom:Net-0123abcd"], "reducer": ["pca"], "dropout": [0.0]}, "features='custom:Net"),
        ({"epochs": range(1, 200), "batch_size": range(1, 200)}, "combinations=39601"),
    ],
)  # fmt: skip
def test_what_is_no_sweep_is_refused_before_any_work(workspace, monkeypatch, fields, said):
    monkeypatch.setattr(cluster, "run_all", lambda *_given, **_named: pytest.fail("something is run"))
    with pytest.raises(ValueError, match=f"^{said}"):
        qkdlib.sweep(TINY, workspace=workspace, **fields)


def test_a_heat_map_needs_two_fields(workspace):
    with pytest.raises(ValueError, match=r"^fields=\['epochs'\] .*two or more"):
        sweeping.Sweep({"epochs": (1, 2)}, (TINY, TINY), workspace).heatmap("epochs", "epochs")


@pytest.mark.parametrize(("option", "value"), [("fresh", 1), ("aer_seeds", -1), ("workspace", "")])
def test_options_that_are_none_are_refused(workspace, option, value):
    with pytest.raises(ValueError, match="=.* is not allowed"):
        qkdlib.sweep(TINY, epochs=[1], **{"workspace": workspace, option: value})
    with pytest.raises(ValueError, match="^experiment="):
        qkdlib.sweep("digits", epochs=[1], workspace=workspace)


def test_a_teacher_that_does_not_fit_its_images_is_refused_before_any_work(workspace, monkeypatch):
    monkeypatch.setattr(cluster, "run_all", lambda *_given, **_named: pytest.fail("something is run"))
    x, y = np.random.default_rng(0).random((40, 8, 8)), np.arange(40) % 2
    name = qkdlib.images.from_arrays(x[:20], y[:20], x[20:], y[20:])
    task = Experiment(
        dataset=name, classes=(0, 1), train_per_class=5, validation_per_class=2, test_per_class=5,
        reducer="fully_connected", dropout=0.0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="^image size='8x8' .*for lenet"):
        qkdlib.sweep(task, teacher=[None, Teacher()], kd_weight=[0.5], workspace=workspace)
