"""Runs on features of a frozen network: what its students see, how it is named and kept, and what is no extractor."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from tiny import TINY, run
from torch import nn

from qkdlib import images, pipeline, teachers, training
from qkdlib.experiment import Teacher
from qkdlib.files import DamagedFile
from qkdlib.teachers import LeNet, last_hidden
from qkdlib.workspace import Workspace

TASK = dataclasses.replace(TINY, reducer="fully_connected", dropout=0.0)
TAUGHT = TASK.distilled(Teacher(epochs=1, images_per_class=10, batch_size=16))


@pytest.fixture(autouse=True)
def untrained():
    """The warnings about networks that know nothing are not what is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", teachers.DoubtfulTeacher)
        yield


def network(seed: int = 0, width: int = 10) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.Tanh())


def by_hand(extractor: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return extractor(x)


def kept(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in workspace.checkpoints.glob("features_*.npz"))


def same_training(record, other) -> bool:
    """All that was trained and tested, whatever the experiments are called."""
    return record.seeds == other.seeds


# What a student sees


AMPLITUDE = {"encoder": "amplitude", "readout": "pauli_z", "head": "linear"}


@pytest.mark.parametrize("changes", [{}, AMPLITUDE, {"reducer": "pca", **AMPLITUDE}])
def test_a_student_of_features_is_one_of_arrays_of_them(workspace, changes):
    task = dataclasses.replace(TASK, **changes)
    extractor = nn.Sequential(network(), nn.Sigmoid())  # in [0, 1], as images are
    record = run(task, workspace, features=extractor)
    parts = images.splits(task)
    x = torch.cat([parts.train.x, parts.validation.x])
    y = torch.cat([parts.train.y, parts.validation.y])
    found, of_test = (by_hand(extractor, each)[:, :, None, None] for each in (x, parts.test.x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = images.from_arrays(found, y, of_test, parts.test.y)
    arrays = dataclasses.replace(task, dataset=name)
    assert images.splits(arrays).shape == (10, 1, 1)
    other = run(arrays, workspace)
    for seed, results in other.seeds.items():
        measured = {curve: numbers for curve, numbers in record.seeds[seed].items() if numbers is not None}
        assert measured.keys() == {curve for curve, numbers in results.items() if numbers is not None}
        for curve, numbers in measured.items():
            np.testing.assert_allclose(numbers, results[curve], rtol=1e-4, atol=1e-5, err_msg=curve)


def test_a_linear_layer_of_features_as_torchs_own_modules_compute_it(workspace):
    """The student by hand: torch's linear layer on features, theta = pi tanh, products of (1 +- sin theta) / 2."""
    extractor = network()
    record = run(TASK, workspace, features=extractor)
    student = pipeline.trained_student(record, workspace=workspace, device="cpu")
    x = images.splits(TASK).test.x
    seen = by_hand(extractor, x)
    weight, bias = (dict(student.named_parameters())[f"reducer.out.{name}"][1] for name in ("weight", "bias"))
    angles = torch.pi * torch.tanh(nn.functional.linear(seen, weight, bias))
    ones = (1 - torch.sin(angles)) / 2, (1 + torch.sin(angles)) / 2  # H, then RY(theta)
    expected = torch.stack(
        [torch.stack([ones[outcome >> wire & 1][:, wire] for wire in range(3)]).prod(0) for outcome in range(8)], dim=1
    )
    found = student.probabilities(seen[:, :, None, None])[1]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_teacher_beside_them_sees_the_images(workspace):
    taught = run(TASK, workspace, features=network(), teacher=network(1, 6))
    plain = run(TASK, workspace, teacher=network(1, 6))
    assert taught.experiment.teacher == plain.experiment.teacher
    assert taught.experiment.placebo() == run(TASK, workspace, features=network()).experiment
    of_own = run(TAUGHT, workspace, features=network())
    assert of_own.experiment.distilled(TAUGHT.teacher) == of_own.experiment
    assert len(kept(workspace)) == 1 and len({each.experiment.name for each in (taught, plain, of_own)}) == 3


@pytest.mark.parametrize("shape", ["(B, F)", "(B, F, 1, 1)"])
def test_features_may_come_with_two_axes_of_one(workspace, shape):
    extractor = network() if shape == "(B, F)" else nn.Sequential(network(), nn.Unflatten(1, (10, 1, 1)))
    record = run(TASK, workspace, features=extractor)
    parts = teachers.seen(record.experiment, images.splits(TASK), workspace)
    assert parts.shape == (10, 1, 1) and parts.all_train.shape == (1, 28, 28)
    torch.testing.assert_close(parts.validation.x[:, :, 0, 0], by_hand(network(), images.splits(TASK).validation.x))


# Named and kept


def test_a_record_is_found_again_by_network_and_by_name_and_goes_on(workspace, refuse):
    record = run(TASK, workspace, features=network())
    assert record.experiment.features.startswith("custom:Sequential-")
    more = run(dataclasses.replace(record.experiment, seeds=3), workspace)
    assert {seed: more.seeds[seed] for seed in (0, 1)} == record.seeds and 2 in more.seeds
    other = run(dataclasses.replace(TASK, seeds=3), Workspace(workspace.folder("other")), features=network())
    pipeline.trained_student(more, workspace=workspace, device="cpu")  # keeps the weights of all three
    assert same_training(more, other)
    refuse("train_students")
    assert run(TASK, workspace, features=network()).seeds == record.seeds
    assert run(record.experiment, workspace).seeds == record.seeds
    for options in ({}, {"features": network()}):
        student = pipeline.trained_student(more, workspace=workspace, device="cpu", **options)
        assert student.seeds == [0, 1, 2]


def test_a_student_of_kept_weights_classifies_as_its_record_says(workspace):
    record = run(TASK, workspace, features=network())
    student = pipeline.trained_student(record, workspace=workspace, device="cpu")
    parts = images.splits(TASK)
    logits = student(teachers.Extractor(network())(parts.test.x))
    for place, seed in enumerate(record.seeds):
        right = (logits[place].argmax(-1) == parts.test.y).float().mean()
        assert float(right) == pytest.approx(record.seeds[seed]["test_accuracy"][-1], abs=1e-4)


def test_without_the_network_and_its_file_the_network_is_asked_for(workspace):
    record = run(TASK, workspace, features=network())
    for path in workspace.checkpoints.glob("features_*"):
        path.unlink()
    asked = "^features='custom:Sequential-.*features=network; what it gave is not kept here"
    with pytest.raises(ValueError, match=asked):
        pipeline.trained_student(record, workspace=workspace, device="cpu")
    with pytest.raises(ValueError, match=asked):
        run(dataclasses.replace(record.experiment, seeds=3), workspace)
    assert run(record.experiment, workspace).seeds == record.seeds  # which needs no images
    again = pipeline.trained_student(record, workspace=workspace, device="cpu", features=network())
    assert again.experiment == record.experiment
    with pytest.raises(ValueError, match="^features='custom:Sequential-.*those of the record, custom:Sequential-"):
        pipeline.trained_student(record, workspace=workspace, device="cpu", features=network(1))


def test_other_weights_and_other_images_are_other_features(workspace):
    changed = network()
    with torch.no_grad():
        changed[1].bias[0] += 0.02
    found = [
        run(task, workspace, features=each).experiment.features
        for task, each in ((TASK, network()), (TASK, changed), (dataclasses.replace(TASK, data_seed=1), network()),
                           (dataclasses.replace(TASK, train_per_class=6), network()))
    ]  # fmt: skip
    assert found[0] != found[1] and found[0] != found[3] and len(kept(workspace)) == 4
    assert found[0] == found[2]  # the first images, whatever the seed


class Rounded(nn.Module):
    """Features with relative noise, the same each time: what another processor may do to them."""

    def __init__(self, noise: float, scale: float):
        super().__init__()
        self.network, self.noise, self.scale = network(), noise, scale

    def forward(self, x):
        found = self.scale * self.network(x)
        return found * (1 + self.noise * torch.randn(found.shape, generator=torch.Generator().manual_seed(len(x))))


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e-6])
def test_a_network_is_found_again_whatever_rounds_its_features(workspace, refuse, scale):
    record = run(TASK, workspace, features=Rounded(0.0, scale))
    refuse("train_students")
    for noise in (1e-7, 1e-5):
        again = run(TASK, workspace, features=Rounded(noise, scale))
        assert (again.experiment, again.seeds) == (record.experiment, record.seeds)
    assert len(kept(workspace)) == 1


@pytest.mark.parametrize("damage", ["no file", "other images", "another name", "NaN"])
def test_a_damaged_file_of_features_is_set_aside_and_written_again(workspace, damage):
    record = run(TASK, workspace, features=network())
    path = workspace.checkpoints / kept(workspace)[0]
    with np.load(path) as file:
        arrays = dict(file)
    if damage == "other images":
        arrays["test"] = arrays["test"][1:]
    if damage == "another name":
        arrays["name"] = np.array("features_of_others")
    if damage == "NaN":
        arrays["train"][0, 0] = np.nan
    path.write_bytes(b"damaged") if damage == "no file" else np.savez(path, **arrays)
    with pytest.warns(DamagedFile, match=path.name):
        again = run(TASK, workspace, features=network(), fresh=True)
    assert (again.experiment, again.seeds) == (record.experiment, record.seeds) and kept(workspace) == [path.name]


# The teacher's last hidden layer


def test_the_teachers_last_hidden_layer(workspace, monkeypatch):
    fit, trainings = training.fit, []
    monkeypatch.setattr(training, "fit", lambda *a, **o: trainings.append(a[4]) or fit(*a, **o))
    record = run(TAUGHT, workspace, features="teacher")
    assert record.experiment.features.startswith("custom:LeNetLastHidden-")
    (checkpoint,) = workspace.checkpoints.glob("*lenet*.pt")
    teacher = LeNet((1, 28, 28), 6)
    teacher.load_state_dict(torch.load(checkpoint, weights_only=True)["model"])
    parts = images.splits(TASK)
    expected = by_hand(nn.Sequential(*list(teacher)[:-1]), parts.test.x)
    seen = teachers.seen(record.experiment, parts, workspace)
    torch.testing.assert_close(seen.test.x[:, :, 0, 0], expected, atol=1e-5, rtol=1e-4)
    assert same_training(run(TAUGHT, workspace, features=last_hidden(teacher)), record)
    checkpoint.unlink()  # it is trained again, to the same weights
    for path in workspace.checkpoints.glob("features_*"):
        path.unlink()
    again = pipeline.trained_student(TAUGHT, workspace=workspace, device="cpu", features="teacher")
    assert again.experiment == record.experiment and checkpoint.exists()


def test_a_network_of_ones_own_is_teacher_and_extractor(workspace):
    torch.manual_seed(2)
    own = LeNet((1, 28, 28), 6)
    record = run(TASK, workspace, features="teacher", teacher=own)
    assert record.experiment.teacher.architecture.startswith("custom:LeNet-")
    assert same_training(record, run(TASK, workspace, features=last_hidden(own), teacher=own))
    assert own.training and not any(module._forward_pre_hooks for module in own.modules())


def test_the_placebo_of_a_teachers_features_has_a_student_of_the_same_features(workspace):
    record = run(TAUGHT, workspace, features="teacher")
    placebo = run(record.experiment.placebo(), workspace)
    assert placebo.experiment.features == record.experiment.features and placebo.experiment.teacher is None


def test_a_frozen_resnet_that_resizes_images_itself(workspace):
    """As the documentation shows it: transforms before, the last layer away; weights would come from torchvision."""
    from torchvision import models
    from torchvision.transforms import v2

    torch.manual_seed(5)
    resnet = models.resnet18(weights=None)
    extractor = nn.Sequential(v2.RGB(), v2.Resize(32), last_hidden(resnet))
    task = dataclasses.replace(TASK, classes=(0, 1), train_per_class=2, validation_per_class=1, test_per_class=2)
    record = run(task, workspace, features=extractor)
    parts = teachers.seen(record.experiment, images.splits(task), workspace)
    resnet.fc = nn.Identity()
    expected = by_hand(extractor[:2].append(resnet).eval(), images.splits(task).test.x)
    torch.testing.assert_close(parts.test.x[:, :, 0, 0], expected, atol=1e-4, rtol=1e-3)
    assert parts.shape == (512, 1, 1)


# What does not go together, in a line, before any training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reducer": "cnn"}, "^reducer='cnn' .*fully_connected or pca where features"),
        ({"reducer": "avg_pool", "encoder": "amplitude"}, "^reducer='avg_pool' .*fully_connected or pca"),
        ({"pixel_mean": (0.1,), "pixel_std": (0.3,)}, r"^pixel_mean=\(0.1,\) .*may begin with torchvision"),
    ],
)
def test_what_does_not_go_with_features_is_said_before_images_are_loaded(workspace, monkeypatch, changes, message):
    monkeypatch.setattr(images.datasets, "splits", lambda _: pytest.fail("images were loaded"))
    with pytest.raises(ValueError, match=message):
        run(dataclasses.replace(TASK, **changes), workspace, features=network())


@pytest.mark.parametrize("architecture", ["ensemble", "custom:mine-0123abcd"])
def test_the_hidden_layer_of_several_networks_or_of_an_absent_one_is_refused(workspace, architecture):
    task = TASK.distilled(Teacher(architecture=architecture))
    with pytest.raises(ValueError, match=f"^features='teacher' .*lenet or alexnet, not {architecture}"):
        run(task, workspace, features="teacher")


def test_a_student_that_does_not_fit_the_hidden_layer_says_so_before_the_teacher_trains(workspace, monkeypatch):
    monkeypatch.setattr(training, "fit", lambda *a, **o: pytest.fail("a teacher trains"))
    task = dataclasses.replace(TAUGHT, reducer="pca", qubits=7, classes=(0, 1), encoder="amplitude")
    with pytest.raises(ValueError, match="^reducer='pca' .*128 features"):
        run(task, workspace, features="teacher")


@pytest.mark.parametrize("name", ["lenet", "custom:", "custom: ", "custom:" + "a" * 101, "custom:a\n", 5, None])
def test_names_of_features(name):
    with pytest.raises(ValueError, match="^features=.*(custom:<name>|text)"):
        dataclasses.replace(TASK, features=name)
