"""Fields that change nothing: a record is found whatever they say, also under the names of earlier versions."""

import dataclasses
import json
from pathlib import Path

import pytest
from few_records import TASK, curves, edited, saved

from qkdlib.experiment import Teacher, digest
from qkdlib.records import Record, complete, find, read_all
from qkdlib.workspace import Workspace

ROOT = Path(__file__).parents[2]
HOT = dataclasses.replace(TASK, temperature=7.0)
UNSQUARED = dataclasses.replace(TASK, kd_temperature_squared=False)


def of_old(workspace: Workspace, experiment=HOT) -> Path:
    """The path of a record as a version wrote it whose digests covered every field."""
    path, old = saved(workspace, experiment), digest(experiment)
    edited(path, lambda body: body.update(digest=old))
    return path.rename(path.with_name(f"{experiment.name[:-10]}{old}.json"))


@pytest.mark.parametrize("asked", [TASK, HOT, UNSQUARED, dataclasses.replace(TASK, kd_loss="none", data_seed=4)])
def test_a_placebo_is_found_whatever_its_distillation_would_have_been(workspace, asked):
    saved(workspace, HOT)
    assert find(asked, workspace).seeds == {0: curves(0.5), 1: curves(0.51)}
    assert complete(asked, workspace).experiment == asked


def test_what_acts_is_another_record(workspace):
    taught = dataclasses.replace(TASK, kd_weight=0.5, teacher=Teacher())
    saved(workspace, taught)
    assert find(taught, workspace) and not find(TASK, workspace)
    for fields in ({"temperature": 7.0}, {"kd_temperature_squared": False}, {"kd_loss": "dkd"}):
        assert not find(dataclasses.replace(taught, **fields), workspace)
    assert find(dataclasses.replace(taught, dkd_beta=1.0), workspace)


def test_a_record_of_an_earlier_version_is_read_found_and_gone_on_with(workspace):
    path = of_old(workspace)
    assert path.stem != HOT.name
    (record,) = read_all(workspace)
    assert record.experiment == HOT and find(HOT, workspace).seeds == record.seeds
    more = Record(HOT, {2: curves(0.7)}, [{"seeds": [2]}])
    assert more.save(workspace) == path
    (record,) = read_all(workspace)
    assert sorted(record.seeds) == [0, 1, 2]
    assert json.loads(path.read_text())["digest"] == digest(HOT)


@pytest.mark.parametrize(("kept", "asked"), [(UNSQUARED, TASK), (TASK, UNSQUARED), (UNSQUARED, HOT)])
def test_seeds_are_added_where_a_record_of_the_same_numbers_lies(workspace, kept, asked):
    path = saved(workspace, kept)
    more = Record(dataclasses.replace(asked, seeds=3), {2: curves(0.7)}, [{"seeds": [2]}])
    assert more.save(workspace) == path
    (record,) = read_all(workspace)
    assert sorted(record.seeds) == [0, 1, 2]
    assert record.experiment == dataclasses.replace(kept, seeds=3)  # what it was called stays


@pytest.mark.filterwarnings("ignore::qkdlib.files.DamagedFile")
def test_a_damaged_record_in_one_place_does_not_cost_that_in_another(workspace):
    other = saved(workspace, UNSQUARED)
    damaged = workspace.students / f"{TASK.name}.json"
    damaged.write_text("{}")
    assert Record(TASK, {2: curves(0.7)}, [{"seeds": [2]}]).save(workspace) == other
    assert sorted(find(TASK, workspace).seeds) == [0, 1, 2] and not damaged.exists()


def test_a_record_under_a_name_that_is_not_its_own_is_still_nobodys(workspace):
    path = saved(workspace, dataclasses.replace(TASK, epochs=4))
    path.rename(workspace.students / f"{TASK.name}.json")
    with pytest.warns(UserWarning, match="passed over"):
        assert find(TASK, workspace) is None


def test_committed_placebos_are_found_with_and_without_the_square(tmp_path):
    """The six of them that are named by a field that does nothing for them keep their names."""
    workspace, found = Workspace(ROOT), []
    for record in read_all(workspace):
        e = record.experiment
        if e.kd_weight == 0 and not e.kd_temperature_squared:
            found.append(e)
            for other in ({"kd_temperature_squared": True}, {"temperature": 9.0}, {"kd_loss": "none"}):
                again = find(dataclasses.replace(e, **other), workspace)
                assert again is not None and again.seeds.keys() == record.seeds.keys()
    assert len(found) == 6
