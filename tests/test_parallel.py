"""Many experiments in several processes: the same records as one after the other, and errors that are heard."""

import dataclasses
import warnings

import pytest

from qkdlib import parallel
from qkdlib.experiment import Experiment
from qkdlib.records import Record, read_all
from qkdlib.workspace import Workspace

TINY = Experiment(
    dataset="digits", train_per_class=5, validation_per_class=2, test_per_class=5, epochs=1, batch_size=5, seeds=2,
    shots=100,
)  # fmt: skip
SAMPLED = dataclasses.replace(TINY, gradient="published_shift", sampler="multinomial")
DESCRIBED = dataclasses.replace(
    TINY, reducer="fully_connected", encoder="amplitude_tanh", head="renormalised", dropout=0.0
)
FAILS = dataclasses.replace(TINY, classes=(3, 10))  # the digits end at 9, which shows when they are loaded


def by_name(workspace: Workspace) -> dict[str, Record]:
    return {record.experiment.name: record for record in read_all(workspace)}


def test_two_processes_give_the_records_of_one(tmp_path, monkeypatch):
    wanted, found, said = [TINY, SAMPLED, DESCRIBED], {}, {}
    for threads in ("1", "2"):
        monkeypatch.setenv("QKD_THREADS", threads)
        workspace, said[threads] = Workspace(tmp_path / threads), []
        parallel.run_all(wanted, workspace, aer_seeds=1, say=said[threads].append)
        found[threads] = by_name(workspace)
    assert found["1"].keys() == found["2"].keys() == {experiment.name for experiment in wanted}
    for name, alone in found["1"].items():
        assert found["2"][name].seeds == alone.seeds
        assert [entry["threads"] for entry in found["2"][name].provenance] == [1]
    assert sorted(said["1"]) == sorted(said["2"]) == sorted(f"{experiment.name} done" for experiment in wanted)
    assert [results["qasm_accuracy"] is None for results in found["2"][TINY.name].seeds.values()] == [False, True]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_error_of_an_experiment_is_raised_and_the_others_records_stay(tmp_path, monkeypatch, threads):
    monkeypatch.setenv("QKD_THREADS", threads)
    longer = dataclasses.replace(TINY, epochs=4)  # the longest is the first
    workspace = Workspace(tmp_path)
    with pytest.raises(ValueError, match="^classes=.*10"):
        parallel.run_all([FAILS, longer], workspace, say=lambda _text: None)
    assert by_name(workspace).keys() == {longer.name}


def test_records_that_are_there_are_not_made_again_but_where_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("QKD_THREADS", "1")
    workspace = Workspace(tmp_path)
    for aer_seeds, fresh, executed in ((0, False, 0), (2, False, 0), (2, True, 2), (0, False, 2)):
        parallel.run_all([TINY], workspace, fresh=fresh, aer_seeds=aer_seeds, say=lambda _text: None)
        results = by_name(workspace)[TINY.name].seeds.values()
        assert sum(of_seed["qasm_accuracy"] is not None for of_seed in results) == executed


def test_longest_experiments_come_first(tmp_path, monkeypatch):
    monkeypatch.setenv("QKD_THREADS", "1")
    order = []
    monkeypatch.setattr(parallel, "_run", lambda experiment, *_rest: order.append(experiment) or experiment.name)
    longer, all_images = dataclasses.replace(TINY, epochs=3), dataclasses.replace(TINY, train_per_class=None)
    more_classes = dataclasses.replace(TINY, classes=tuple(range(8)))  # eight instead of six
    parallel.run_all([TINY, more_classes, longer, all_images], Workspace(tmp_path), say=lambda _text: None)
    assert order == [all_images, longer, more_classes, TINY]


def test_nothing_to_run_is_nothing_done(tmp_path):
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel.run_all([], Workspace(tmp_path), say=said.append)
    assert said == [] and by_name(Workspace(tmp_path)) == {}
