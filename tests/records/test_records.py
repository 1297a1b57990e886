"""Run records: saving, merging, finding, damage, and what is read off a seed's curves. All curves are made up."""

import json
import multiprocessing
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdlib.experiment import NUMERICS, Experiment, Teacher
from qkdlib.files import DamagedFile, atomic
from qkdlib.records import Record, find, outcomes, read, read_all, summary
from qkdlib.workspace import Workspace

TASK = Experiment(dataset="digits", epochs=3, seeds=2)


def curves(last=0.9, qasm=0.8):
    """A made-up seed of three epochs."""
    return {
        "validation_accuracy": [0.5, 0.7, 0.6],
        "validation_ce": [1.0, 0.8, 0.9],
        "test_accuracy": [0.4, 0.6, last],
        "qasm_accuracy": qasm,
    }


def saved(workspace, experiment=TASK, seeds=(0, 1)):
    return Record(experiment, {seed: curves(0.5 + seed / 100) for seed in seeds}, [{"seeds": list(seeds)}]).save(
        workspace
    )


def edited(path, change):
    """Change a record's JSON in place."""
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))


# Saving and finding


def test_save_find_and_read_give_the_same_record(tmp_path):
    workspace = Workspace(tmp_path)
    for e in (TASK, TASK.distilled(Teacher(architecture="ensemble", epochs=2))):
        record = Record(e, {1: curves(), 0: curves(0.25)}, [{"seeds": [0, 1], "device": "cpu"}])
        path = record.save(workspace)
        assert path == tmp_path / "results" / "students" / f"{e.name}.json"
        assert find(e, workspace) == read(path) == record
    assert len(read_all(workspace)) == 2


def test_nothing_is_found_where_nothing_is(tmp_path):
    workspace = Workspace(tmp_path)
    assert find(TASK, workspace) is None
    assert read_all(workspace) == []


def test_a_record_is_found_whatever_its_number_of_seeds(tmp_path):
    workspace = Workspace(tmp_path)
    saved(workspace)
    more = Experiment(dataset="digits", epochs=3, seeds=7)
    assert sorted(find(more, workspace).seeds) == [0, 1]
    assert find(Experiment(dataset="digits", epochs=4), workspace) is None


def test_a_file_is_json_with_one_line_per_seed(tmp_path):
    path = saved(Workspace(tmp_path))
    body = json.loads(path.read_text())
    assert body["digest"] == TASK.digest
    assert body["numerics"] == NUMERICS
    assert body["experiment"]["dataset"] == "digits"
    lines = path.read_text().splitlines()
    assert [json.loads(line.strip().rstrip(",").partition(": ")[2]) for line in lines if '"test_accuracy"' in line] == [
        curves(0.5), curves(0.51),
    ]  # fmt: skip


def test_saving_twice_gives_the_same_file(tmp_path):
    workspace = Workspace(tmp_path)
    first = saved(workspace).read_bytes()
    path = saved(workspace)
    assert path.read_bytes() == first
    find(TASK, workspace).save(workspace)
    assert path.read_bytes() == first


def test_seeds_of_another_process_are_not_lost(tmp_path):
    workspace = Workspace(tmp_path)
    saved(workspace, seeds=(0,))
    mine = find(TASK, workspace)
    saved(workspace, seeds=(5, 6))  # another process, after this one has read
    mine.seeds[1] = curves(0.77)
    mine.provenance.append({"seeds": [1]})
    mine.save(workspace)
    found = find(TASK, workspace)
    assert sorted(found.seeds) == [0, 1, 5, 6]
    assert found.seeds[1] == curves(0.77)
    assert found.seeds[6] == curves(0.56)
    assert sorted(sum((entry["seeds"] for entry in found.provenance), [])) == [0, 1, 5, 6]


ROUNDS = 12


def save_one_seed(root: str, seed: int, together) -> None:
    """Save `seed` of one experiment after another, each at the same time as another process."""
    for number in range(ROUNDS):
        record = Record(Experiment(dataset="digits", epochs=3, data_seed=number), {seed: curves(seed / 10)})
        record.provenance.append({"seeds": [seed]})
        together.wait(timeout=60)
        record.save(Workspace(root))


def test_seeds_that_wait_for_their_execution_still_wait_when_others_are_added(tmp_path):
    workspace = Workspace(tmp_path)
    Record(TASK, {0: curves()}, [{"seeds": [0], **waiting([0])}]).save(workspace)
    more = find(TASK, workspace)
    more.seeds[1], more.provenance = curves(), [*more.provenance, {"seeds": [1]}]
    more.save(workspace)
    assert [entry["unexecuted"] for entry in find(TASK, workspace).unexecuted()] == [[0]]


def test_two_processes_that_save_at_the_same_time_lose_no_seed(tmp_path):
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    saving = [context.Process(target=save_one_seed, args=(str(tmp_path), seed, together)) for seed in (3, 5)]
    for process in saving:
        process.start()
    for process in saving:
        process.join(timeout=120)
    assert [process.exitcode for process in saving] == [0, 0]
    found = read_all(Workspace(tmp_path))
    assert len(found) == ROUNDS
    for record in found:
        assert record.seeds == {3: curves(0.3), 5: curves(0.5)}
        assert sorted(entry["seeds"][0] for entry in record.provenance) == [3, 5]


def test_the_folder_of_records_holds_records_alone(tmp_path):
    saved(Workspace(tmp_path))
    assert [path.name for path in Workspace(tmp_path).students.iterdir()] == [f"{TASK.name}.json"]


def test_a_seed_that_was_computed_anew_takes_the_place_of_the_old_one(tmp_path):
    workspace = Workspace(tmp_path)
    saved(workspace)
    Record(TASK, {1: curves(0.99)}).save(workspace)
    found = find(TASK, workspace)
    assert found.seeds[1] == curves(0.99)
    assert found.seeds[0] == curves(0.5)


@given(st.integers(1, 12), st.sets(st.integers(0, 15), max_size=12))
def test_missing_seeds(asked, there):
    record = Record(Experiment(seeds=asked), {seed: curves() for seed in there})
    assert set(record.missing()) == set(range(asked)) - there
    assert record.missing() == sorted(record.missing())


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


def waiting(seeds) -> dict:
    """An entry of the provenance."""
    return {"unexecuted": seeds, "seconds": {"all": 1.0}}


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


def test_of_equally_good_epochs_one_that_did_not_diverge_is_selected():
    bad = {**curves(), "validation_accuracy": [0.5, 0.5, 0.5], "validation_ce": [None, 0.7, None], "diverged": 1}
    assert outcomes(bad)["selected_epoch"] == 2


def test_nan_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        Record(TASK, {0: curves(last=float("nan"))}).save(Workspace(tmp_path))
    assert read_all(Workspace(tmp_path)) == []


def test_the_committed_records_are_read_without_a_warning():
    names = sorted(path.name for path in Workspace().students.glob("*.json"))
    assert [f"{record.experiment.name}.json" for record in read_all()] == names != []


def test_a_file_that_another_process_is_writing_is_no_record_yet(tmp_path):
    workspace = Workspace(tmp_path)
    path = saved(workspace)
    with atomic(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("error")
        temporary.write_text('{"experiment":')
        found = read_all(workspace)
        temporary.write_text(path.read_text())
        found_later = read_all(workspace)  # complete, but its place is not yet taken: not a second record
    assert len(found) == len(found_later) == 1


# One seed's numbers


def test_outcomes_by_hand():
    assert outcomes(curves(last=0.9, qasm=0.85)) == {
        "last": 90.0, "selected": 60.0, "selected_epoch": 2, "best_test": 90.0, "qasm": 85.0,
    }  # fmt: skip


def test_a_seed_that_was_not_executed_says_so_after_writing_and_reading(tmp_path):
    record = read(Record(TASK, {0: curves(qasm=None), 1: curves(qasm=0.0)}).save(Workspace(tmp_path)))
    assert record.seeds[0]["qasm_accuracy"] is None
    assert outcomes(record.seeds[0]) == {**outcomes(curves()), "qasm": None}
    assert outcomes(record.seeds[1])["qasm"] == 0
    frame = summary.load(Workspace(tmp_path))
    assert frame.qasm.isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("accuracy", "ce", "epoch"),
    [
        ([0.5, 0.9, 0.9], [1.0, 0.5, 0.4], 3),  # equal accuracy: the lower cross entropy
        ([0.9, 0.9, 0.5], [0.4, 0.5, 0.1], 1),  # a lower cross entropy does not make up for accuracy
        ([0.9, 0.9, 0.9], [0.4, 0.4, 0.4], 1),  # all equal: the earliest
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], 3),
    ],
)
def test_the_epoch_is_selected_on_validation_images_alone(accuracy, ce, epoch):
    test = [0.11, 0.22, 0.33]
    results = {"validation_accuracy": accuracy, "validation_ce": ce, "test_accuracy": test, "qasm_accuracy": 0.5}
    found = outcomes(results)
    assert found["selected_epoch"] == epoch
    assert found["selected"] == pytest.approx(100 * test[epoch - 1])
    assert found["best_test"] == pytest.approx(33)


FRACTIONS = st.lists(st.floats(0, 1), min_size=5, max_size=5)


@given(FRACTIONS, FRACTIONS, FRACTIONS)
def test_no_choice_of_epoch_beats_the_best_test_epoch(accuracy, ce, test):
    found = outcomes(
        {"validation_accuracy": accuracy, "validation_ce": ce, "test_accuracy": test, "qasm_accuracy": 0.5}
    )
    assert found["best_test"] >= max(found["selected"], found["last"])
    best = max(accuracy)
    assert accuracy[found["selected_epoch"] - 1] == best
    assert ce[found["selected_epoch"] - 1] == min(c for c, a in zip(ce, accuracy, strict=True) if a == best)


# Test accuracy of the best and the last epoch alone


def at_the_end(accuracy, tested: dict[int, float], ce=None) -> dict:
    """A seed with the learning rate that was chosen, and test results of the epochs `tested`, counted from 1."""
    test = [tested.get(epoch + 1) for epoch in range(len(accuracy))]
    return {
        "validation_accuracy": accuracy, "validation_ce": ce or [1.0] * len(accuracy), "test_ce": test,
        "test_accuracy": test, "learning_rate": 0.01, "zero_vectors": 3, "qasm_accuracy": None,
    }  # fmt: skip


AT_END = Experiment(dataset="digits", epochs=4, seeds=2, tested="at_end")
PATIENT = Experiment(dataset="digits", epochs=4, seeds=2, tested="at_end", patience=1)


def test_epochs_without_a_test_are_none_in_the_file_and_back(tmp_path):
    seeds = {0: at_the_end([0.5, 0.7, 0.6, 0.6], {2: 0.4, 4: 0.45}), 1: at_the_end([0.1, 0.2, 0.3, 0.4], {4: 0.25})}
    path = Record(AT_END, seeds, [{"seeds": [0, 1]}]).save(Workspace(tmp_path))
    assert json.loads(path.read_text())["seeds"]["0"]["test_accuracy"] == [None, 0.4, None, 0.45]
    assert read(path).seeds == seeds
    frame = summary.load(Workspace(tmp_path))
    assert frame.best_test.isna().all() and frame["last"].tolist() == pytest.approx([45, 25])


def test_outcomes_of_epochs_without_a_test():
    assert outcomes(at_the_end([0.5, 0.7, 0.6, 0.6], {2: 0.4, 4: 0.45})) == {
        "last": 45.0, "selected": 40.0, "selected_epoch": 2, "best_test": None, "qasm": None,
    }  # fmt: skip
    only_last = outcomes(at_the_end([0.1, 0.2, 0.3, 0.4], {4: 0.25}))
    assert (only_last["selected_epoch"], only_last["selected"], only_last["last"]) == (4, 25.0, 25.0)
    one_epoch = outcomes(at_the_end([0.5], {1: 0.3}))
    assert (one_epoch["selected"], one_epoch["last"], one_epoch["best_test"]) == (30.0, 30.0, 30.0)


def test_equal_validation_results_after_rounding_select_the_epoch_that_was_tested():
    # The cross entropy of epoch 2 was lower in digits that a record does not keep.
    found = outcomes(at_the_end([0.6, 0.6, 0.5, 0.4], {2: 0.3, 4: 0.2}, [0.5, 0.5, 0.6, 0.7]))
    assert (found["selected_epoch"], found["selected"]) == (2, pytest.approx(30))


def test_seeds_of_different_lengths_are_no_damage_where_they_stop_by_themselves(tmp_path):
    seeds = {0: at_the_end([0.7, 0.6], {1: 0.4, 2: 0.5}), 1: at_the_end([0.1, 0.2, 0.3, 0.4], {4: 0.25})}
    path = Record(PATIENT, seeds).save(Workspace(tmp_path))
    assert read(path).seeds == seeds
    impatient = Record(AT_END, seeds).save(Workspace(tmp_path))
    with pytest.raises(ValueError, match="is damaged: .*curves of .2. epochs"):
        read(impatient)


@pytest.mark.parametrize("epochs", [0, 5])
def test_more_epochs_than_asked_and_none_at_all_are_damage(tmp_path, epochs):
    curve = [0.5] * epochs
    path = Record(PATIENT, {0: at_the_end(curve, {epochs: 0.5})}).save(Workspace(tmp_path))
    with pytest.raises(ValueError, match="is damaged"):
        read(path)


# As a table


def test_load_gives_a_row_per_experiment_and_seed(tmp_path):
    workspace = Workspace(tmp_path)
    distilled = TASK.distilled(Teacher(architecture="alexnet"))
    saved(workspace, TASK, (0, 1, 2))
    saved(workspace, distilled, (0, 1))
    frame = summary.load(workspace)
    assert len(frame) == 5
    assert frame.groupby("name").seed.apply(list).to_dict() == {TASK.name: [0, 1, 2], distilled.name: [0, 1]}
    assert {"dataset", "qubits", "kd_weight", "last", "selected", "selected_epoch", "best_test", "qasm"} <= {*frame}
    taught = frame[frame.name == distilled.name]
    assert set(taught.teacher) == {"alexnet"} and set(taught.kd_weight) == {0.9}
    assert frame[frame.name == TASK.name].teacher.isna().all()
    assert taught["last"].tolist() == pytest.approx([50, 51])
    assert frame.classes.tolist() == [(0, 1, 2, 3, 4, 5)] * 5


def test_load_of_an_empty_workspace_is_an_empty_table(tmp_path):
    assert len(summary.load(Workspace(tmp_path))) == 0


@given(st.dictionaries(st.integers(0, 99), st.floats(0, 1), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_any_seeds_survive_writing(tmp_path_factory, seeds):
    workspace = Workspace(tmp_path_factory.mktemp("records"))
    record = Record(TASK, {seed: curves(last) for seed, last in seeds.items()})
    assert read(record.save(workspace)).seeds == record.seeds
