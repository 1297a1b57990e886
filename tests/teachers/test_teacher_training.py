"""The training of teachers: its file of logits, ensembles of trained networks, going on, and what is refused."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from small_teachers import GREY, LENET, TASK, SmallAlexNet, teacher_files, train
from torch import nn

from qkdlib import teachers, training
from qkdlib.experiment import Experiment, Teacher
from qkdlib.images import datasets, from_arrays
from qkdlib.teachers import TeacherLogits, teacher_name, teacher_training
from qkdlib.workspace import Workspace


def stored(teacher: Teacher, workspace: Workspace) -> TeacherLogits:
    return TeacherLogits.load(teachers.logits_path(workspace, TASK, teacher))


def test_ensemble_of_probabilities_trains_both_members_and_averages_them(tmp_path, refuse_training, small_alexnet):
    workspace = Workspace(tmp_path)
    ensemble = Teacher(architecture="ensemble", epochs=1, images_per_class=10)
    found = train(ensemble, workspace)
    members = [stored(member, workspace) for member in ensemble.trained()]
    assert [member.architecture for member in ensemble.trained()] == ["lenet", "alexnet"]
    assert len(teacher_files(workspace)) == 3
    for part in ("train", "test"):
        expected = sum(torch.softmax(getattr(member, part), -1) for member in members) / 2
        torch.testing.assert_close(torch.softmax(getattr(found, part), -1), expected, atol=1e-3, rtol=0)
    assert found.meta["parameters"] == 44_086 + 28 * 28 * 6 + 6
    refuse_training()
    assert torch.equal(train(ensemble, workspace).train, found.train)


def test_ensemble_combines_exactly_its_members(tmp_path, refuse_training, small_alexnet):
    workspace, parts = Workspace(tmp_path), datasets.splits(TASK)
    members = (
        Teacher(epochs=1, images_per_class=10, batch_size=16),
        Teacher(epochs=3, images_per_class=10, batch_size=16),
        Teacher(epochs=2, images_per_class=5, batch_size=16, architecture="alexnet", seed=1),
    )
    ensemble = Teacher(architecture="ensemble", members=members)
    found = train(ensemble, workspace)
    assert teacher_files(workspace) == sorted(f"{teacher_name(TASK, one)}.npz" for one in (ensemble, *members))
    trained = [stored(member, workspace) for member in members]
    assert [len(logits.history) for logits in trained] == [1, 3, 2]
    for part, images in (("train", parts.all_train), ("test", parts.all_test)):
        expected = sum(torch.softmax(getattr(member, part), -1) for member in trained) / 3
        torch.testing.assert_close(torch.softmax(getattr(found, part), -1), expected, atol=1e-3, rtol=0)
        assert len(expected) == len(images)
    right = (found.test.argmax(1) == parts.all_test.y).double().mean().item()
    assert found.history[0]["test_accuracy"] == pytest.approx(right, abs=0.01)
    # A member is the same network as a teacher of its own.
    refuse_training()
    assert torch.equal(train(members[1], workspace).train, trained[1].train)


def test_images_too_small_for_one_member_are_said_before_another_trains(tmp_path, refuse_training):
    refuse_training()
    x = torch.rand(24, 8, 8, generator=torch.Generator().manual_seed(0))
    name = from_arrays(x[:18], torch.arange(18) % 2, x[18:], torch.arange(6) % 2)
    fields = {"train_per_class": 3, "validation_per_class": 2, "test_per_class": 3, "dataset": name}
    task = dataclasses.replace(TASK, classes=(0, 1), **fields)
    alone, members = Teacher(), (Teacher(architecture="alexnet"), Teacher())
    for teacher in (alone, Teacher(architecture="ensemble", members=members)):
        with pytest.raises(ValueError, match="^image size='8x8' .*16x16 or larger for lenet"):
            teachers.train_teacher(task, teacher, datasets.splits(task), Workspace(tmp_path))


def test_the_network_of_a_teacher_is_the_one_that_gave_its_logits(tmp_path):
    workspace, parts = Workspace(tmp_path), datasets.splits(TASK)
    found = train(LENET, workspace)
    network = teacher_training.trained_network(TASK, LENET, parts, workspace)
    with torch.no_grad():
        torch.testing.assert_close(network(parts.all_train.x), found.train, atol=1e-2, rtol=1e-3)
    (checkpoint,) = workspace.checkpoints.glob("*.pt")
    checkpoint.unlink()
    again = teacher_training.trained_network(TASK, LENET, parts, workspace).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in network.state_dict().items())
    for architecture in ("ensemble", "custom:mine-01234567"):
        with pytest.raises(ValueError, match="^teacher=.*a single network to train, lenet or alexnet"):
            teacher_training.trained_network(TASK, Teacher(architecture=architecture), parts, workspace)


def test_file_name_of_the_default_teacher_is_the_committed_one():
    assert teacher_name(Experiment(), Teacher()) == "mnist_0-5_lenet_9ac6ea4a7f"
    ensemble = Teacher(architecture="ensemble")
    same = Teacher(architecture="ensemble", members=ensemble.trained())
    assert teacher_name(Experiment(), ensemble) != teacher_name(Experiment(), same)


def test_joint_ensemble_is_trained_as_one_network(tmp_path, small_alexnet):
    workspace = Workspace(tmp_path)
    joint = Teacher(architecture="ensemble", ensemble="joint_logits", epochs=1, images_per_class=10)
    assert train(joint, workspace).meta["parameters"] == 44_086 + 28 * 28 * 6 + 6
    assert len(teacher_files(workspace)) == 1


def test_trained_lenet_leaves_a_file_without_pickle_and_is_not_trained_again(tmp_path, refuse_training):
    workspace, parts = Workspace(tmp_path), datasets.splits(TASK)
    found = train(LENET, workspace)
    (name,) = teacher_files(workspace)
    with np.load(workspace.teachers / name, allow_pickle=False) as file:
        assert file["train"].shape == (len(parts.all_train), 6)
        assert file["test"].shape == (len(parts.all_test), 6)
        assert json.loads(str(file["text"]))["meta"]["parameters"] == 44_086
    assert [sorted(epoch) for epoch in found.history] == [["seconds", "test_accuracy", "train_loss"]] * 2
    assert found.history[-1]["test_accuracy"] == pytest.approx(
        (found.test.argmax(1) == parts.all_test.y).double().mean().item(), abs=0.01
    )
    assert found.meta["trained_on"] == 60

    refuse_training()
    again = train(LENET, workspace)
    assert torch.equal(again.train, found.train) and torch.equal(again.test, found.test)
    assert again.history == found.history


def test_teacher_learns_digits(tmp_path):
    found = train(Teacher(epochs=4, images_per_class=60, batch_size=16), Workspace(tmp_path))
    assert found.history[-1]["train_loss"] < found.history[0]["train_loss"]
    assert found.history[-1]["test_accuracy"] > 0.6


def test_training_of_a_teacher_repeats_and_leaves_the_global_random_state(tmp_path):
    torch.manual_seed(11)
    state = torch.get_rng_state()
    first = train(LENET, Workspace(tmp_path / "a"))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(12)
    second = train(LENET, Workspace(tmp_path / "b"))
    assert torch.equal(first.train, second.train)


def test_fresh_trains_again_to_the_same_logits(tmp_path, monkeypatch):
    workspace, fit, calls = Workspace(tmp_path), training.fit, []
    first = train(LENET, workspace)
    monkeypatch.setattr(training, "fit", lambda *a, **o: calls.append(len(history := fit(*a, **o))) or history)
    again = train(LENET, workspace, fresh=True)
    assert calls == [2]
    assert torch.equal(first.train, again.train)


def test_interrupted_training_of_a_teacher_goes_on_to_the_same_logits(tmp_path, monkeypatch):
    whole = train(LENET, Workspace(tmp_path / "whole"))
    workspace, accuracy, measured = Workspace(tmp_path / "interrupted"), teacher_training.accuracy, []

    def interrupted(logits, labels):
        if len(labels) == 300:  # the test images, once in each epoch
            measured.append(1)
            if len(measured) == 2:
                raise KeyboardInterrupt
        return accuracy(logits, labels)

    monkeypatch.setattr(teacher_training, "accuracy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(LENET, workspace)
    assert teacher_files(workspace) == []
    resumed = train(LENET, workspace)  # the third measurement and the only one of this call
    assert len(measured) == 3
    assert torch.equal(resumed.train, whole.train) and torch.equal(resumed.test, whole.test)


def test_a_teacher_that_diverges_is_an_error_and_leaves_no_logits(tmp_path):
    workspace = Workspace(tmp_path)
    with pytest.raises(ValueError, match=r"^teacher learning_rate=1e\+38 .*digits_0-5_lenet_.* diverged in epoch 1"):
        train(dataclasses.replace(LENET, learning_rate=1e38), workspace)
    assert teacher_files(workspace) == [] and not list(workspace.checkpoints.glob("*.pt"))


def test_a_teacher_that_has_learned_nothing_is_warned_of_whenever_it_is_asked_for(tmp_path, refuse_training):
    teacher, workspace = dataclasses.replace(LENET, learning_rate=1e-9), Workspace(tmp_path)
    with pytest.warns(teachers.DoubtfulTeacher, match="^teacher digits_0-5_lenet_.*: accuracy .*; near chance, 16.7%"):
        found = train(teacher, workspace)
    refuse_training()
    with pytest.warns(teachers.DoubtfulTeacher, match="near chance"):
        assert train(teacher, workspace).meta["accuracy"] == found.meta["accuracy"]


def test_accuracy_is_that_on_the_images_of_the_student_who_asks(tmp_path):
    workspace, whole = Workspace(tmp_path), dataclasses.replace(TASK, train_per_class=40, validation_per_class=20)
    for task in (TASK, whole):
        parts = datasets.splits(task)
        found = teacher_training.train_teacher(task, LENET, parts, workspace)
        for name, part in (("train", parts.train), ("validation", parts.validation)):
            rows = [parts.all_train.index.tolist().index(index) for index in part.index.tolist()]
            right = (found.train[rows].argmax(1) == part.y).float().mean().item()
            assert found.meta["accuracy"][name] == pytest.approx(right)
    assert len(teacher_files(workspace)) == 1


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("teacher", "lenet", "a qkdlib.Teacher; "), ("teacher", nn.Flatten(), r"run\(\.\.\., teacher=network\)"),
        ("task", LENET, "a qkdlib.Experiment"), ("parts", None, r"qkdlib.splits\(task\), of the classes 0, 1, 2"),
        ("parts", datasets.splits(dataclasses.replace(TASK, classes=(1, 0, 2, 3, 4, 5))), "of the classes 0, 1, 2"),
        ("workspace", 3, "a path"), ("device", "gpu", "one of auto, cpu, cuda"), ("fresh", "no", "True or False"),
    ],
)  # fmt: skip
def test_arguments_are_checked_before_a_teacher_trains(tmp_path, name, value, allowed, refuse_training):
    refuse_training()
    given = {"task": TASK, "teacher": LENET, "parts": datasets.splits(TASK), "workspace": tmp_path, name: value}
    said = {"task": "experiment"}.get(name, name)
    with pytest.raises(ValueError, match=f"^{said}=.* is not allowed; allowed: .*{allowed}"):
        teacher_training.train_teacher(**given)
    assert not list(tmp_path.rglob("*.npz"))


def test_a_workspace_may_be_a_path(tmp_path):
    logits = teacher_training.train_teacher(TASK, LENET, datasets.splits(TASK), str(tmp_path))
    assert torch.equal(train(LENET, Workspace(tmp_path)).train, logits.train)


def test_more_images_per_class_than_there_are_is_refused_before_training(tmp_path, refuse_training):
    refuse_training()
    with pytest.raises(ValueError, match="images_per_class=5000"):
        train(Teacher(images_per_class=5000), Workspace(tmp_path))


def test_logits_do_not_depend_on_the_evaluation_batch_and_have_no_dropout(monkeypatch):
    network, x = SmallAlexNet(GREY, 6), torch.rand(9, *GREY)
    with torch.no_grad():
        expected = network[2](x.flatten(1))
    monkeypatch.setattr(teacher_training, "EVALUATION_BATCH", 4)
    torch.testing.assert_close(teacher_training.logits_of(network, x), expected)
