"""From an experiment to its record: what is there is found, what is missing is computed, what is wrong is refused."""

import concurrent.futures
import contextlib
import dataclasses
import errno
import importlib.metadata
import inspect
import json
import os
import re
import resource
import tempfile
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from qkdlib import execution, files, pipeline, teachers, torch_settings, training
from qkdlib.drawing import figures
from qkdlib.experiment import Experiment, Teacher
from qkdlib.images import datasets
from qkdlib.records import Record, find, outcomes, summary
from qkdlib.students import Student
from qkdlib.study.v2 import revised
from qkdlib.workspace import Workspace

TINY = Experiment(
    dataset="digits", train_per_class=5, validation_per_class=2, test_per_class=5, epochs=1, batch_size=5, seeds=2,
    shots=200,
)  # fmt: skip
CURVES = {
    "train_loss", "train_ce", "train_kl", "validation_loss", "validation_ce", "validation_kl", "test_ce",
    "validation_accuracy", "test_accuracy",
}  # fmt: skip


def run(experiment: Experiment, workspace: Workspace, **options) -> Record:
    return pipeline.run(experiment, workspace=workspace, device="cpu", **options)


def refuse(monkeypatch, name: str):
    def fail(*_arguments, **_options):
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(training, name, fail)


def test_run_writes_a_record_with_curves_and_provenance(tmp_path):
    workspace = Workspace(tmp_path)
    record = run(TINY, workspace)
    assert sorted(record.seeds) == [0, 1]
    for results in record.seeds.values():
        assert set(results) == CURVES | {"qasm_accuracy"}
        assert all(len(results[name]) == 1 for name in CURVES)
        assert 0 <= results["qasm_accuracy"] <= 1
    (path,) = workspace.students.iterdir()
    assert path.name == f"{TINY.name}.json"
    body = json.loads(path.read_text())
    assert body["seeds"] == {str(seed): results for seed, results in record.seeds.items()}
    assert body["provenance"][0]["seeds"] == [0, 1]
    assert body["provenance"][0]["device"] == "cpu"
    assert body["provenance"][0]["versions"]["torch"] == importlib.metadata.version("torch")


def test_workspace_may_be_given_as_a_path(tmp_path):
    record = pipeline.run(TINY, workspace=str(tmp_path), device="cpu")
    assert record.seeds == run(TINY, Workspace(tmp_path)).seeds


def test_second_run_returns_the_record_without_training(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path)
    first = run(TINY, workspace)
    refuse(monkeypatch, "train_students")
    assert run(TINY, workspace) == first
    fewer = run(dataclasses.replace(TINY, seeds=1), workspace)
    assert fewer.seeds == {0: first.seeds[0]}


def test_more_seeds_compute_only_the_missing_ones(tmp_path, monkeypatch):
    workspace, train, asked = Workspace(tmp_path), training.train_students, []
    first = run(TINY, workspace)

    def watched(experiment, parts, logits, seeds, device):
        asked.append(seeds)
        return train(experiment, parts, logits, seeds, device)

    monkeypatch.setattr(training, "train_students", watched)
    more = run(dataclasses.replace(TINY, seeds=4), workspace)
    assert asked == [[2, 3]]
    assert sorted(more.seeds) == [0, 1, 2, 3]
    assert {seed: more.seeds[seed] for seed in (0, 1)} == first.seeds
    assert [entry["seeds"] for entry in more.provenance] == [[0, 1], [2, 3]]


def test_seed_computed_later_has_the_result_it_has_among_all(tmp_path):
    later = run(TINY, Workspace(tmp_path / "later"))
    later = run(dataclasses.replace(TINY, seeds=4), Workspace(tmp_path / "later"))
    at_once = run(dataclasses.replace(TINY, seeds=4), Workspace(tmp_path / "once"))
    for seed in range(4):
        assert later.seeds[seed]["train_loss"] == pytest.approx(at_once.seeds[seed]["train_loss"], abs=1e-4)


def test_fresh_computes_again_to_the_same_numbers(tmp_path, monkeypatch):
    workspace, train, calls = Workspace(tmp_path), training.train_students, []
    first = run(TINY, workspace)
    monkeypatch.setattr(training, "train_students", lambda *arguments: calls.append(1) or train(*arguments))
    again = run(TINY, workspace, fresh=True)
    assert calls == [1]
    assert again.seeds == first.seeds


def test_distilled_run_trains_its_teacher_once(tmp_path, monkeypatch):
    workspace, teacher = Workspace(tmp_path), Teacher(epochs=1, images_per_class=10)
    record = run(TINY.distilled(teacher), workspace)
    assert record.experiment.teacher == teacher
    placebo = run(TINY, workspace)
    assert record.seeds[0]["train_loss"] != placebo.seeds[0]["train_loss"]
    fit, titles = training.fit, []

    def watched(*arguments, **options):
        titles.append(inspect.signature(fit).bind(*arguments, **options).arguments["title"])
        return fit(*arguments, **options)

    monkeypatch.setattr(training, "fit", watched)
    other = run(dataclasses.replace(TINY.distilled(teacher), temperature=5.0), workspace)
    assert titles == [other.experiment.name]  # a student's training, no teacher's


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"classes": (3, 10)}, "classes"),
        ({"train_per_class": 150}, "train_per_class"),
        ({"test_per_class": 51}, "test_per_class"),
        ({"dataset": "imagefolder:/nowhere/at/all"}, "dataset"),
        ({"teacher": Teacher(images_per_class=1000), "kd_weight": 0.9}, "images_per_class"),
        ({"teacher": Teacher(architecture="custom:mine"), "kd_weight": 0.9}, "teacher"),
    ],
)
def test_experiment_that_does_not_fit_is_refused_before_training(tmp_path, monkeypatch, changes, named):
    refuse(monkeypatch, "fit")
    with pytest.raises(ValueError, match=named):
        run(dataclasses.replace(TINY, **changes), Workspace(tmp_path))
    assert list(Workspace(tmp_path).students.iterdir()) == []


def test_images_too_small_for_the_student_are_refused_before_the_teacher_trains(tmp_path, monkeypatch):
    # AlexNet takes 12x12 images and the student does not: nobody should wait for the teacher to learn that.
    for place, label in enumerate(("cat", "dog")):
        folder = tmp_path / "images" / label
        folder.mkdir(parents=True)
        for number in range(20):
            Image.new("L", (12, 12), 10 * number + place).save(folder / f"{number:02}.png")
    refuse(monkeypatch, "fit")
    small = dataclasses.replace(
        TINY, dataset=f"imagefolder:{tmp_path / 'images'}", classes=(0, 1), test_per_class=2,
        teacher=Teacher(architecture="alexnet", epochs=1), kd_weight=0.9,
    )  # fmt: skip
    with pytest.raises(ValueError, match="12x12.*16x16 or larger"):
        run(small, Workspace(tmp_path))


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5", "", "²"])
def test_invalid_qkd_threads_is_refused(tmp_path, monkeypatch, threads):
    monkeypatch.setenv("QKD_THREADS", threads)
    refuse(monkeypatch, "train_students")
    with pytest.raises(ValueError, match="^QKD_THREADS="):
        run(TINY, Workspace(tmp_path))


def test_cuda_without_cuda_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refuse(monkeypatch, "train_students")
    with pytest.raises(ValueError, match="^device='cuda'"):
        pipeline.run(TINY, workspace=Workspace(tmp_path), device="cuda")


def test_unknown_device_is_refused(tmp_path):
    with pytest.raises(ValueError, match="^device='gpu'.*auto, cpu, cuda"):
        pipeline.run(TINY, workspace=Workspace(tmp_path), device="gpu")


def test_interrupted_run_leaves_no_record(tmp_path, monkeypatch):
    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_students", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(TINY, Workspace(tmp_path))
    assert list(Workspace(tmp_path).students.iterdir()) == []


def test_each_seed_gets_its_own_curves_and_executed_accuracy(tmp_path, monkeypatch):
    executed = SimpleNamespace(accuracies={0: 0.25, 1: 0.75})
    monkeypatch.setattr(execution, "execute", lambda *_arguments, **_options: executed)
    record = run(TINY, Workspace(tmp_path))
    assert [record.seeds[seed]["qasm_accuracy"] for seed in (0, 1)] == [0.25, 0.75]
    _, results = training.train_students(TINY, datasets.splits(TINY), None, [0, 1])
    for seed in (0, 1):
        assert record.seeds[seed]["train_loss"] == pytest.approx(results[seed]["train_loss"], abs=1e-6)
    assert record.seeds[0]["train_loss"] != record.seeds[1]["train_loss"]


@pytest.mark.parametrize(("aer_seeds", "there"), [(None, [True, True]), (1, [True, False]), (0, [False, False])])
def test_only_as_many_seeds_as_asked_are_executed(tmp_path, aer_seeds, there):
    record = run(TINY, Workspace(tmp_path), aer_seeds=aer_seeds)
    found = run(TINY, Workspace(tmp_path))  # read from the file
    assert [results["qasm_accuracy"] is not None for results in record.seeds.values()] == there
    assert found.seeds == record.seeds
    assert all(results["test_accuracy"] for results in record.seeds.values())


def test_executed_seeds_are_counted_among_those_computed_now(tmp_path):
    run(TINY, Workspace(tmp_path), aer_seeds=0)
    more = run(dataclasses.replace(TINY, seeds=4), Workspace(tmp_path), aer_seeds=1)
    assert [seed for seed in range(4) if more.seeds[seed]["qasm_accuracy"] is not None] == [2]


@pytest.mark.parametrize("aer_seeds", [-1, 1.5, True, "2"])
def test_aer_seeds_that_are_no_count_are_refused_before_training(tmp_path, monkeypatch, aer_seeds):
    refuse(monkeypatch, "train_students")
    with pytest.raises(ValueError, match=f"^aer_seeds={aer_seeds!r} is not allowed; allowed: a whole number of 0"):
        run(TINY, Workspace(tmp_path), aer_seeds=aer_seeds)


def test_students_that_see_samples_leave_a_record_that_repeats(tmp_path):
    sampled = dataclasses.replace(TINY, gradient="published_shift", sampler="multinomial", shots=50)
    first, second = (run(sampled, Workspace(tmp_path / name)) for name in ("one", "two"))
    assert first.seeds == second.seeds
    exact = run(dataclasses.replace(TINY, gradient="published_shift"), Workspace(tmp_path / "one"))
    assert first.seeds[0]["train_loss"] != exact.seeds[0]["train_loss"]
    assert first.seeds[0]["qasm_accuracy"] is not None


def test_described_students_leave_a_record_without_execution(tmp_path):
    described = dataclasses.replace(
        TINY, reducer="fully_connected", encoder="amplitude_tanh", head="renormalised", dropout=0.0
    )
    record = run(described, Workspace(tmp_path))
    assert run(described, Workspace(tmp_path)).seeds == record.seeds
    assert [results["qasm_accuracy"] for results in record.seeds.values()] == [None, None]
    assert set(record.seeds[0]) == CURVES | {"qasm_accuracy"}


@pytest.mark.parametrize("method", ["pca", "original", "qubit"])
def test_revised_students_leave_a_record_with_their_last_and_best_epochs_test(tmp_path, method):
    task = revised.student(
        "digits", 2, method, classes=(0, 1, 2), train_per_class=5, validation_per_class=2, test_per_class=5, epochs=4,
        seeds=2, patience=1, learning_rates=(0.001, 0.1),
    )  # fmt: skip
    record = run(task, Workspace(tmp_path))
    assert run(task, Workspace(tmp_path)).seeds == record.seeds  # read from the file
    for results in record.seeds.values():
        assert set(results) == CURVES | {"qasm_accuracy", "learning_rate", "zero_vectors"}
        assert results["learning_rate"] in (0.001, 0.1) and results["zero_vectors"] == 0
        lengths = {len(results[name]) for name in CURVES}
        assert len(lengths) == 1 and lengths <= {2, 3, 4}
        tested = [epoch for epoch, value in enumerate(results["test_accuracy"]) if value is not None]
        assert tested[-1] == lengths.pop() - 1 and len(tested) in (1, 2)
        assert [epoch for epoch, value in enumerate(results["test_ce"]) if value is not None] == tested
        found = outcomes(results)
        assert found["selected_epoch"] == tested[0] + 1
        assert found["qasm"] is None


def test_dropout_that_a_reducer_cannot_have_is_refused_before_training(tmp_path, monkeypatch):
    refuse(monkeypatch, "fit")
    with pytest.raises(ValueError, match="^dropout=0.5 is not allowed"):
        run(dataclasses.replace(TINY, reducer="fully_connected"), Workspace(tmp_path))


# The order of work


@pytest.mark.parametrize("place", ["students", "teachers", "checkpoints"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_place_that_cannot_be_written_is_named_before_any_work(tmp_path, monkeypatch, place, number):
    folder, make = getattr(Workspace(tmp_path), place), tempfile.mkstemp

    def refused(*given, **named):
        if named.get("dir") == folder:
            raise OSError(number, os.strerror(number))
        return make(*given, **named)

    monkeypatch.setattr(tempfile, "mkstemp", refused)
    monkeypatch.setattr(datasets, "splits", lambda _: pytest.fail("images were loaded"))
    with pytest.raises(OSError, match=re.escape(f"{folder} cannot be written: {os.strerror(number)}")):
        run(TINY, Workspace(tmp_path))


def test_a_workspace_below_a_file_is_refused(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(OSError, match="results/students cannot be written"):
        run(TINY, Workspace(tmp_path))


def test_trying_a_place_leaves_nothing_there(tmp_path):
    files.writable(tmp_path / "new", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["new"]


def test_what_fails_while_the_weights_are_written_does_not_cost_the_record(tmp_path, monkeypatch):
    def full(_student, path):
        assert find(TINY, Workspace(tmp_path)) is not None  # the small file is there already
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Student, "save_weights", full)
    with pytest.warns(UserWarning, match=f"weights are not kept: .*{TINY.name}.npz.*No space left"):
        record = run(TINY, Workspace(tmp_path))
    assert run(TINY, Workspace(tmp_path)) == record


@pytest.mark.parametrize("error", [MemoryError("no memory"), RuntimeError("no memory"), ValueError("no memory")])
def test_what_fails_while_aer_runs_does_not_cost_the_training(tmp_path, monkeypatch, error):
    sound = run(TINY, Workspace(tmp_path / "sound"))

    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(execution, "execute", fail)
    saved = f"Aer failed \\({type(error).__name__}: no memory\\); the training is saved, .*{TINY.name}.json"
    with pytest.raises(RuntimeError, match=saved):
        run(TINY, Workspace(tmp_path))
    refuse(monkeypatch, "train_students")
    found = run(TINY, Workspace(tmp_path))
    assert found.seeds == {seed: {**results, "qasm_accuracy": None} for seed, results in sound.seeds.items()}
    assert pipeline.trained_student(TINY, workspace=tmp_path, device="cpu").seeds == [0, 1]  # without training


@pytest.mark.parametrize("weights", ["kept", "lost"])
def test_an_execution_that_was_cut_off_goes_on_from_the_training(tmp_path, monkeypatch, weights):
    sound, workspace = run(TINY, Workspace(tmp_path / "sound"), aer_seeds=1), Workspace(tmp_path / "cut")

    def cut_off(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(execution, "execute", cut_off)
        run(TINY, workspace, aer_seeds=1)
    cut = find(TINY, workspace)
    assert [entry["unexecuted"] for entry in cut.unexecuted()] == [[0]]
    assert run(TINY, workspace, aer_seeds=0) == cut  # nothing is to be executed
    if weights == "kept":
        refuse(monkeypatch, "train_students")
    else:
        (workspace.checkpoints / f"{TINY.name}.npz").unlink()
    assert run(TINY, workspace).seeds == sound.seeds == find(TINY, workspace).seeds
    [entry] = find(TINY, workspace).provenance
    assert "unexecuted" not in entry


def test_of_two_that_execute_one_record_none_loses_what_the_other_has(tmp_path):
    # The second one saves new seeds, with what it read before the first had executed its own.
    workspace = Workspace(tmp_path)
    done = run(TINY, workspace, aer_seeds=1)
    before = [{**done.provenance[0], "unexecuted": [0]}]
    early = {seed: {**results, "qasm_accuracy": None} for seed, results in done.seeds.items()}
    Record(TINY, early, before).save(workspace)
    assert find(TINY, workspace) == done
    again = run(TINY, workspace, fresh=True, aer_seeds=0)  # what is trained anew waits for no execution
    assert find(TINY, workspace).unexecuted() == [] and again.seeds.keys() == done.seeds.keys()


@pytest.mark.parametrize("room", [1 << 16, 1 << 18])
def test_a_disk_that_is_full_while_a_teacher_trains_is_said_with_the_file(tmp_path, room):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))  # the system writes no more of any file
    try:
        with pytest.raises(OSError, match="lenet.*.pt cannot be written: File too large"):
            run(TINY.distilled(Teacher(epochs=1, images_per_class=10)), Workspace(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_threads_take_turns_because_they_share_torchs_settings_and_random_numbers():
    both = threading.Barrier(2)

    def compute(_number) -> bool:
        with torch_settings.plain_torch(), contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
            return True
        return False

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(compute, range(2))) == [False, False]


# Seeds that diverge


def spoilt(monkeypatch, place: int, epoch: int):
    """From an epoch on, counted from 0, the training loss of the seed at this place is NaN."""
    batches, now = training._Training._batches, []

    def counted(self, number):
        now.append(number)
        return batches(self, number)

    def spoil(real):
        def changed(*given, **named):
            loss = real(*given, **named)
            if not torch.is_grad_enabled() or now[-1] < epoch:
                return loss
            factor = torch.ones(len(loss.total))
            factor[place] = float("nan")
            return dataclasses.replace(loss, total=loss.total * factor)

        return changed

    monkeypatch.setattr(training._Training, "_batches", counted)
    monkeypatch.setattr(training, "distillation_loss", spoil(training.distillation_loss))


REVISED = revised.student(
    "digits", 2, classes=(0, 1), train_per_class=10, validation_per_class=5, test_per_class=5, epochs=4, seeds=3,
    learning_rate=0.01,
)  # fmt: skip
SAMPLED = dataclasses.replace(TINY, gradient="published_shift", sampler="multinomial", epochs=4, seeds=3)


@pytest.mark.parametrize(
    "task",
    [
        dataclasses.replace(TINY, epochs=4, seeds=3), SAMPLED, REVISED,
        dataclasses.replace(REVISED, patience=2, learning_rates=(0.01, 0.1)),
    ],
    ids=["published", "sampled", "revised", "patient"],
)  # fmt: skip
def test_a_seed_that_diverges_is_recorded_as_that_and_leaves_the_others_alone(tmp_path, monkeypatch, task):
    sound = run(task, Workspace(tmp_path / "sound"))
    spoilt(monkeypatch, place=1, epoch=2)
    with pytest.warns(UserWarning, match=r"seeds \[1\].* diverged"):
        record = run(task, Workspace(tmp_path))
    assert {seed: record.seeds[seed] for seed in (0, 2)} == {seed: sound.seeds[seed] for seed in (0, 2)}
    bad = record.seeds[1]
    assert record.diverged() == [1] and bad["diverged"] == 3 and bad["qasm_accuracy"] is None
    assert bad["train_loss"][:2] == sound.seeds[1]["train_loss"][:2] and set(bad["train_loss"][2:]) == {None}
    assert bad["validation_accuracy"][2:] == [0.0] * (len(bad["validation_accuracy"]) - 2)  # no number is no answer
    assert run(task, Workspace(tmp_path)) == record  # read from the file, which is JSON
    assert summary.arms([record])["diverged"].tolist() == [1]
    assert "diverged" not in summary.arms([sound])
    for seeds in (record.seeds, {1: bad}):
        figures.loss_curves({"all or the bad one": dataclasses.replace(record, seeds=seeds)})
    student = pipeline.trained_student(task, workspace=tmp_path, device="cpu")  # without training
    finite = [all(p[seed].isfinite().all() for p in student.parameters()) for seed in range(3)]
    assert finite == [True, task.patience > 0, True]  # with patience its best epoch's, before it diverged


@pytest.mark.parametrize("task", [TINY, REVISED], ids=["published", "revised"])
def test_a_learning_rate_too_large_is_a_training_that_diverged(tmp_path, task):
    with pytest.warns(UserWarning, match="diverged"):
        record = run(dataclasses.replace(task, learning_rate=1e38), Workspace(tmp_path))
    assert record.diverged() == list(record.seeds)
    assert all(0 <= results["test_accuracy"][-1] <= 1 for results in record.seeds.values())


# A network of one's own


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 6))


@pytest.fixture
def untrained():
    """The warnings about networks that know nothing are not what is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", teachers.DoubtfulTeacher)
        yield


@pytest.mark.parametrize(
    ("task", "options", "weight"),
    [
        (TINY, {}, 0.9), (TINY, {"kd_weight": 0.5}, 0.5), (TINY, {"kd_weight": 0}, 0.0),
        (TINY.distilled(Teacher(), 0.3), {}, 0.3), (TINY.distilled(Teacher(), 0.3), {"kd_weight": 0.5}, 0.5),
    ],
)  # fmt: skip
def test_the_weight_of_a_network_of_ones_own(tmp_path, untrained, task, options, weight):
    assert run(task, Workspace(tmp_path), teacher=network(), **options).experiment.kd_weight == weight


@pytest.mark.parametrize("weight", [-1, "0.5", True, float("nan")])
def test_a_weight_that_is_none_is_refused(tmp_path, weight):
    with pytest.raises(ValueError, match="^kd_weight="):
        run(TINY, Workspace(tmp_path), teacher=network(), kd_weight=weight)


def test_a_weight_without_a_network_is_refused(tmp_path):
    with pytest.raises(ValueError, match="^kd_weight=0.5 is not allowed; allowed: None without teacher=network"):
        run(TINY, Workspace(tmp_path), kd_weight=0.5)


@pytest.mark.parametrize("labels", ["shuffled", "smoothed"])
def test_a_network_of_ones_own_can_be_a_control(tmp_path, untrained, labels):
    plain = run(TINY, Workspace(tmp_path), teacher=network())
    control = run(TINY.distilled(Teacher(labels=labels)), Workspace(tmp_path), teacher=network())
    assert control.experiment.teacher.labels == labels
    assert control.experiment.teacher.architecture == plain.experiment.teacher.architecture
    assert control.seeds[0]["train_loss"] != plain.seeds[0]["train_loss"]


@pytest.mark.parametrize("wrong", [{"weight": torch.zeros(3)}, torch.nn.Linear, [network()], "teacher.pt", Teacher()])
def test_what_is_no_network_is_said_in_a_line_before_images_are_loaded(tmp_path, monkeypatch, wrong):
    monkeypatch.setattr(datasets, "splits", lambda _: pytest.fail("images were loaded"))
    with pytest.raises(ValueError, match="^teacher=.{,90} is not allowed; allowed: a torch.nn.Module.{,200}$"):
        run(TINY, Workspace(tmp_path), teacher=wrong)


# What changes from session to session


def test_settings_of_the_session_change_no_number(tmp_path):
    plain = run(TINY.distilled(Teacher(epochs=1, images_per_class=10)), Workspace(tmp_path / "plain"))
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.inference_mode(), torch.device("meta"):
            again = run(plain.experiment, Workspace(tmp_path))
    finally:
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)
    assert again.seeds == plain.seeds


def test_other_images_under_the_same_name_are_another_experiment(tmp_path):
    def paint(brightness: int) -> None:
        for place, label in enumerate(("cat", "dog")):
            (tmp_path / "images" / label).mkdir(parents=True, exist_ok=True)
            for number in range(20):
                pixels = np.random.default_rng([place, number, brightness]).integers(0, brightness, (28, 28))
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "images" / label / f"{number:02}.png")

    task = dataclasses.replace(TINY, dataset=f"imagefolder:{tmp_path / 'images'}", classes=(0, 1), test_per_class=2)
    found = []
    for brightness in (255, 255, 100):
        paint(brightness)
        found.append(run(task, Workspace(tmp_path)))
    first, same, other = found
    assert same == first
    assert first.experiment.images != other.experiment.images and first.experiment.images
    assert first.seeds[0]["train_loss"] != other.seeds[0]["train_loss"]
    assert len(list(Workspace(tmp_path).students.iterdir())) == 2
    with pytest.raises(ValueError, match="^images="):
        run(first.experiment, Workspace(tmp_path))


@pytest.mark.parametrize("call", [pipeline.run, pipeline.trained_student])
def test_what_is_no_experiment_is_refused(tmp_path, call):
    for wrong in ("digits", {"dataset": "digits"}, Experiment, Teacher(), None):
        with pytest.raises(ValueError, match="^experiment=.* is not allowed; allowed: a qkdlib.Experiment"):
            call(wrong, workspace=tmp_path)
