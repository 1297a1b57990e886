"""Records that are damaged, are another experiment's, or hold what is no number."""

import pytest
from few_records import TASK, curves, edited, saved, waiting

from qkdlib.experiment import NUMERICS, Experiment, Teacher
from qkdlib.files import DamagedFile
from qkdlib.records import Record, find, outcomes, read, read_all
from qkdlib.workspace import Workspace

# Damage


def test_a_damaged_file_is_named_in_a_warning_and_passed_over(tmp_path):
    workspace = Workspace(tmp_path)
    path = saved(workspace)
    path.write_text(path.read_text()[:-40])  # cut off
    saved(workspace, TASK.distilled(Teacher()))
    with pytest.warns(DamagedFile, match=path.name):
        found = read_all(workspace)
    assert [record.experiment.teacher for record in found] == [Teacher()]
    with pytest.warns(DamagedFile, match="passed over"):
        assert find(TASK, workspace) is None


def without(*names):
    def change(body):
        for name in names[:-1]:
            body = body[name]
        del body[names[-1]]

    return change


DAMAGES = {
    "no experiment": without("experiment"),
    "no seeds": without("seeds"),
    "no provenance": without("provenance"),
    "no digest": without("digest"),
    "no numerics": without("numerics"),
    "a seed without test accuracy": without("seeds", "0", "test_accuracy"),
    "a seed without validation accuracy": without("seeds", "0", "validation_accuracy"),
    "a seed without QASM accuracy": without("seeds", "1", "qasm_accuracy"),
    "a seed that is no number": lambda body: body["seeds"].update(first=curves()),
    "a seed that is empty": lambda body: body["seeds"].update({"0": None}),
    "seeds as a list": lambda body: body.update(seeds=[curves()]),
    "a curve too short": lambda body: body["seeds"]["0"]["test_accuracy"].pop(),
    "a validation curve too short": lambda body: body["seeds"]["0"]["validation_accuracy"].pop(),
    "an unknown field": lambda body: body["experiment"].update(colour="red"),
    "a field that is not allowed": lambda body: body["experiment"].update(qubits=0),
    "a teacher of unknown fields": lambda body: body["experiment"].update(teacher={"depth": 3}),
    "another experiment": lambda body: body["experiment"].update(learning_rate=0.5),
    "another digest": lambda body: body.update(digest="0123456789"),
    "a digest that is no text": lambda body: body.update(digest=None, numerics=0),
    "numerics that are no number": lambda body: body.update(numerics="1"),
    "no list of provenance": lambda body: body.update(provenance=None),
    "provenance of something else": lambda body: body.update(provenance=["cpu"]),
    "an accuracy in percent": lambda body: body["seeds"]["0"].update(test_accuracy=[97.5] * 3),
    "a negative accuracy": lambda body: body["seeds"]["0"].update(qasm_accuracy=-0.1),
    "an accuracy that is text": lambda body: body["seeds"]["0"].update(test_accuracy=["0.9"] * 3),
    "an accuracy that is true": lambda body: body["seeds"]["0"].update(test_accuracy=[True] * 3),
    "a loss that is NaN": lambda body: body["seeds"]["0"].update(validation_ce=[1.0, float("nan"), 1.0]),
    "a loss that is infinite": lambda body: body["seeds"]["0"].update(validation_ce=[1.0, float("inf"), 1.0]),
    "a loss of 400 digits": lambda body: body["seeds"]["0"].update(validation_ce=[10**400] * 3),
    "a rate of 400 digits": lambda body: body["experiment"].update(learning_rate=10**400),
    "a curve of lists": lambda body: body["seeds"]["0"].update(train_loss=[[1.0]] * 3),
    "a loss that is missing though nothing diverged": lambda body: body["seeds"]["0"].update(train_loss=[None] * 3),
    "an accuracy that is missing": lambda body: body["seeds"]["0"].update(validation_accuracy=[None] * 3, diverged=1),
    "an epoch that was not tested": lambda body: body["seeds"]["0"].update(test_accuracy=[None, 0.5, 0.5]),
    "diverged before the first epoch": lambda body: body["seeds"]["0"].update(diverged=0),
    "diverged after the last epoch": lambda body: body["seeds"]["0"].update(diverged=4),
    "a seed twice": lambda body: body["seeds"].update({"01": curves()}),
    "a negative seed": lambda body: body["seeds"].update({"-1": curves()}),
    "a seed too large": lambda body: body["seeds"].update({"1000001": curves()}),
    "no seed at all": lambda body: body.update(seeds={}),
    "a seed to be executed that is not there": lambda body: body.update(provenance=[waiting([7])]),
    "a seed to be executed that is no whole number": lambda body: body.update(provenance=[waiting([0.0])]),
    "seeds to be executed as text": lambda body: body.update(provenance=[waiting("01")]),
    "an execution whose seconds cannot be added": lambda body: body.update(provenance=[{"unexecuted": [0]}]),
}


@pytest.mark.parametrize("change", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_found_and_named(tmp_path, change):
    workspace = Workspace(tmp_path)
    path = saved(workspace)
    edited(path, change)
    with pytest.raises(ValueError, match=f"{path.name} is damaged"):
        read(path)
    with pytest.warns(DamagedFile, match=path.name):
        assert read_all(workspace) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b'{"experiment": 5}',
        b'{"provenance": ' + 5000 * b"[" + 5000 * b"]" + b"}",
    ],
)
def test_a_file_of_something_else_is_damaged(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        read(path)


def test_a_digest_that_is_not_the_experiments_is_said(tmp_path):
    path = saved(Workspace(tmp_path))
    edited(path, DAMAGES["another digest"])
    with pytest.raises(ValueError, match="its digest 0123456789 is not its experiment's"):
        read(path)


def test_records_of_older_numerics_can_be_read(tmp_path):
    path = saved(Workspace(tmp_path))

    def older(body):
        body.update(numerics=NUMERICS - 1, digest="0123456789")

    edited(path, older)
    assert read(path).experiment == TASK


def test_a_new_record_takes_the_place_of_a_damaged_one_which_is_set_aside(tmp_path):
    workspace = Workspace(tmp_path)
    path = saved(workspace)
    for number, name in ((1, f"{path.name}.damaged"), (2, f"{path.name}.damaged-2")):
        path.write_text(f"damage {number}")
        with pytest.warns(DamagedFile, match=f"set aside as {name}"):
            saved(workspace)
        assert path.with_name(name).read_text() == f"damage {number}"
        assert sorted(read(path).seeds) == [0, 1]
    assert len(read_all(workspace)) == 1  # what is set aside is no record


def test_a_folder_in_a_records_place_is_set_aside(tmp_path):
    workspace = Workspace(tmp_path)
    path = workspace.students / f"{TASK.name}.json"
    path.mkdir()
    with pytest.warns(DamagedFile, match="set aside"):
        saved(workspace)
    assert sorted(read(path).seeds) == [0, 1]


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b" ", b""),
    ],
    ids=["byte-order mark", "CRLF", "other spaces"],
)
def test_what_an_editor_does_to_a_record_is_no_damage(tmp_path, edit):
    workspace = Workspace(tmp_path)
    path = saved(workspace)
    path.write_bytes(edit(path.read_bytes()))
    assert sorted(find(TASK, workspace).seeds) == [0, 1]
    saved(workspace, seeds=(7,))
    assert sorted(read(path).seeds) == [0, 1, 7]


# Identity


OTHER = Experiment(dataset="digits", epochs=3, seeds=2, learning_rate=0.5)


@pytest.mark.parametrize("change", [None, lambda body: body.update(numerics=0, digest=OTHER.digest)])
def test_a_record_under_anothers_name_is_neither_returned_nor_merged(tmp_path, change):
    workspace = Workspace(tmp_path)
    path = saved(workspace)
    foreign = path.with_name(f"{OTHER.name}.json")
    foreign.write_bytes(path.read_bytes())
    if change:
        edited(foreign, change)
    with pytest.warns(DamagedFile, match=f"passed over.*{foreign.name}.*another experiment, {TASK.name}"):
        assert find(OTHER, workspace) is None
    with pytest.warns(DamagedFile, match=f"set aside as {foreign.name}.damaged"):
        saved(workspace, OTHER, seeds=(4,))
    assert sorted(find(OTHER, workspace).seeds) == [4]
    assert find(OTHER, workspace).provenance == [{"seeds": [4]}]
    assert sorted(find(TASK, workspace).seeds) == [0, 1]


def test_a_copy_of_a_record_is_not_counted_twice(tmp_path):
    workspace = Workspace(tmp_path)
    path = saved(workspace)
    path.with_name(f"{path.stem} (1).json").write_bytes(path.read_bytes())
    with pytest.warns(DamagedFile, match=r"\(1\).json.*a copy"):
        assert [record.experiment for record in read_all(workspace)] == [TASK]


# Seeds that diverged


def test_a_seed_that_diverged_has_none_for_what_is_not_finite(tmp_path):
    bad = {**curves(qasm=None), "validation_ce": [1.0, None, None], "train_loss": [2.0, None, None], "diverged": 2}
    record = read(Record(TASK, {0: curves(), 1: bad}).save(Workspace(tmp_path)))
    assert record.seeds == {0: curves(), 1: bad}
    assert record.diverged() == [1]
    assert outcomes(bad) == {**outcomes(curves()), "qasm": None}


def test_nan_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        Record(TASK, {0: curves(last=float("nan"))}).save(Workspace(tmp_path))
    assert read_all(Workspace(tmp_path)) == []
