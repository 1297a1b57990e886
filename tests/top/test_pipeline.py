"""From an experiment to its record: what is there is found, what is missing is computed, what is wrong is refused."""

import dataclasses
import importlib.metadata
import inspect
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TINY, run

from qkdlib import execution, pipeline, training
from qkdlib.experiment import Experiment, Teacher
from qkdlib.images import datasets
from qkdlib.records import outcomes
from qkdlib.study.v2 import revised
from qkdlib.training import student_training
from qkdlib.workspace import Workspace

CURVES = {
    "train_loss", "train_ce", "train_kl", "validation_loss", "validation_ce", "validation_kl", "test_ce",
    "validation_accuracy", "test_accuracy",
}  # fmt: skip
CONFUSIONS = {"confusion", "validation_confusion"}


def test_run_writes_a_record_with_curves_and_provenance(tmp_path):
    workspace = Workspace(tmp_path)
    record = run(TINY, workspace)
    assert sorted(record.seeds) == [0, 1]
    for results in record.seeds.values():
        assert set(results) == CURVES | CONFUSIONS | {"qasm_accuracy"}
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


def test_second_run_returns_the_record_without_training(tmp_path, refuse):
    workspace = Workspace(tmp_path)
    first = run(TINY, workspace)
    refuse("train_students")
    assert run(TINY, workspace) == first
    fewer = run(dataclasses.replace(TINY, seeds=1), workspace)
    assert fewer.seeds == {0: first.seeds[0]}


def test_more_seeds_compute_only_the_missing_ones(tmp_path, monkeypatch):
    workspace, train, asked = Workspace(tmp_path), training.train_students, []
    first = run(TINY, workspace)

    def watched(experiment, parts, logits, seeds, *more):
        asked.append(seeds)
        return train(experiment, parts, logits, seeds, *more)

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

    for place in (training, student_training):  # where teachers and students look it up
        monkeypatch.setattr(place, "fit", watched)
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
def test_experiment_that_does_not_fit_is_refused_before_training(tmp_path, changes, named, refuse):
    refuse("fit")
    with pytest.raises(ValueError, match=named):
        run(dataclasses.replace(TINY, **changes), Workspace(tmp_path))
    assert list(Workspace(tmp_path).students.iterdir()) == []


def test_images_too_small_for_the_student_are_refused_before_the_teacher_trains(tmp_path, refuse):
    # AlexNet takes 12x12 images and the student does not: nobody should wait for the teacher to learn that.
    for place, label in enumerate(("cat", "dog")):
        folder = tmp_path / "images" / label
        folder.mkdir(parents=True)
        for number in range(20):
            Image.new("L", (12, 12), 10 * number + place).save(folder / f"{number:02}.png")
    refuse("fit")
    small = dataclasses.replace(
        TINY, dataset=f"imagefolder:{tmp_path / 'images'}", classes=(0, 1), test_per_class=2,
        teacher=Teacher(architecture="alexnet", epochs=1), kd_weight=0.9,
    )  # fmt: skip
    with pytest.raises(ValueError, match="12x12.*16x16 or larger"):
        run(small, Workspace(tmp_path))


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5", "", "²"])
def test_invalid_qkd_threads_is_refused(tmp_path, monkeypatch, threads, refuse):
    monkeypatch.setenv("QKD_THREADS", threads)
    refuse("train_students")
    with pytest.raises(ValueError, match="^QKD_THREADS="):
        run(TINY, Workspace(tmp_path))


def test_cuda_without_cuda_is_refused(tmp_path, monkeypatch, refuse):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refuse("train_students")
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
def test_aer_seeds_that_are_no_count_are_refused_before_training(tmp_path, aer_seeds, refuse):
    refuse("train_students")
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
    assert set(record.seeds[0]) == CURVES | CONFUSIONS | {"qasm_accuracy"}


@pytest.mark.parametrize("method", ["pca", "original", "qubit"])
def test_revised_students_leave_a_record_with_their_last_and_best_epochs_test(tmp_path, method):
    task = revised.student(
        "digits", 2, method, classes=(0, 1, 2), train_per_class=5, validation_per_class=2, test_per_class=5, epochs=4,
        seeds=2, patience=1, learning_rates=(0.001, 0.1),
    )  # fmt: skip
    record = run(task, Workspace(tmp_path))
    assert run(task, Workspace(tmp_path)).seeds == record.seeds  # read from the file
    for results in record.seeds.values():
        assert set(results) == CURVES | CONFUSIONS | {"qasm_accuracy", "learning_rate", "zero_vectors"}
        assert results["learning_rate"] in (0.001, 0.1) and results["zero_vectors"] == 0
        lengths = {len(results[name]) for name in CURVES}
        assert len(lengths) == 1 and lengths <= {2, 3, 4}
        tested = [epoch for epoch, value in enumerate(results["test_accuracy"]) if value is not None]
        assert tested[-1] == lengths.pop() - 1 and len(tested) in (1, 2)
        assert [epoch for epoch, value in enumerate(results["test_ce"]) if value is not None] == tested
        found = outcomes(results)
        assert found["selected_epoch"] == tested[0] + 1
        assert found["qasm"] is None


def test_dropout_that_a_reducer_cannot_have_is_refused_before_training(tmp_path, refuse):
    refuse("fit")
    with pytest.raises(ValueError, match="^dropout=0.5 is not allowed"):
        run(dataclasses.replace(TINY, reducer="fully_connected"), Workspace(tmp_path))


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
