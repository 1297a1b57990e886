"""Records: saving, merging and finding them. All curves are made up."""

import json
import multiprocessing
import warnings

from few_records import TASK, curves, saved, waiting
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdlib.experiment import NUMERICS, Experiment, Teacher
from qkdlib.files import atomic
from qkdlib.records import Record, complete, find, load, read, read_all
from qkdlib.workspace import Workspace

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
    assert list(tmp_path.iterdir()) == []  # reading makes no folder


def test_a_workspace_may_be_named_by_its_root(tmp_path):
    saved(Workspace(tmp_path))
    for root in (tmp_path, str(tmp_path)):
        assert find(TASK, root) == complete(TASK, root) == read_all(root)[0] is not None
        assert len(load(root)) == 2


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
        task = Experiment(dataset="digits", epochs=3, selection="random", data_seed=number)
        record = Record(task, {seed: curves(seed / 10)})
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


@given(st.dictionaries(st.integers(0, 99), st.floats(0, 1), min_size=1, max_size=5))
@settings(max_examples=20)
def test_any_seeds_survive_writing(tmp_path_factory, seeds):
    workspace = Workspace(tmp_path_factory.mktemp("records"))
    record = Record(TASK, {seed: curves(last) for seed, last in seeds.items()})
    assert read(record.save(workspace)).seeds == record.seeds
