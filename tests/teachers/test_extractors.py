"""Feature extractors: the last hidden layer of networks, use without a run, and what is none, said in a line."""

import dataclasses

import numpy as np
import pytest
import torch
from small_teachers import GREY, TASK, lenet
from torch import nn

from qkdlib import pipeline, teachers
from qkdlib.images import datasets, from_arrays
from qkdlib.teachers import Extractor, LeNet, last_hidden, networks

STUDENT = dataclasses.replace(TASK, reducer="fully_connected", dropout=0.0)


def hidden(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return last_hidden(network).eval()(images)


# The last hidden layer


def test_the_last_hidden_layer_is_what_the_last_linear_layer_gets():
    network, images = lenet(), torch.rand(5, *GREY)
    found = hidden(network, images)
    assert found.shape == (5, 84)
    torch.testing.assert_close(nn.functional.linear(found, network[-1].weight, network[-1].bias), network(images))


class Named(nn.Module):
    """Calls its layers in another order than it names them, one by keyword, and works in place."""

    def __init__(self):
        super().__init__()
        self.last, self.first, self.unused = nn.Linear(7, 3), nn.Linear(784, 7), nn.Linear(2, 2)

    def forward(self, x):
        x = self.first(x.flatten(1)).relu_()
        logits = self.last(input=x)
        x.zero_()
        return logits


def test_the_layer_that_is_called_last_counts():
    network, images = Named(), torch.rand(4, *GREY)
    found = hidden(network, images)
    torch.testing.assert_close(found, network.first(images.flatten(1)).relu().detach())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_a_resnets_last_hidden_layer_is_its_pooled_one():
    import torchvision

    torch.manual_seed(0)
    network, images = torchvision.models.resnet18(weights=None).eval(), torch.rand(2, 3, 32, 32)
    found = hidden(network, images)
    network.fc = nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(found, network(images))
    assert found.shape == (2, 512)


class Never(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (3, "^network=3 .*a torch.nn.Module"),
        (nn.Flatten(), "^network='Flatten' .*has a torch.nn.Linear"),
        (Never(), "^network='Never' .*calls a torch.nn.Linear"),
    ],
)
def test_networks_without_a_hidden_layer(network, message):
    with pytest.raises(ValueError, match=message):
        hidden(network, torch.zeros(2, *GREY))


# An extractor by itself


@pytest.mark.parametrize("lead", [(3,), (2, 3), (70,), (0,)])
def test_an_extractor_gives_features_of_one_pixel(lead):
    images = torch.rand(*lead, *GREY)
    network = lenet().double()
    found = Extractor(last_hidden(network))(images)
    assert found.shape == (*lead, 84, 1, 1) and found.dtype == torch.float32
    expected = hidden(network, images.reshape(-1, *GREY).double()).float()
    torch.testing.assert_close(found.reshape(-1, 84), expected, atol=1e-6, rtol=1e-5)


def test_an_extractor_is_used_in_evaluation_mode_and_left_as_it_was():
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5), nn.Flatten(), nn.Linear(784, 4))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    extractor, images = Extractor(network), torch.rand(6, *GREY)
    found, again = extractor(images), extractor(images[:1])
    torch.testing.assert_close(found[:1], again)
    assert not found.requires_grad and network.training and network[1].training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_equal_features_are_equal_but_for_rounding():
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(50, 8, generator=draw)
    assert networks.same_features(rows, rows * (1 + 1e-6)) and networks.same_features(rows, rows.clone())
    assert not networks.same_features(rows, rows + 1e-2)  # which logits would not notice
    assert networks.same_logits(rows, rows + 1e-2)
    assert not networks.same_features(rows, rows[:, :7]) and not networks.same_features(rows, rows[1:])


# What is no extractor


class Batch(nn.Module):
    def forward(self, x):
        flat = x.flatten(1)
        return (flat - flat.mean(0))[:, 300:310]


class Random(nn.Module):
    def forward(self, x):
        return torch.rand(len(x), 4)


class Says(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output(x)


@pytest.mark.parametrize(
    ("extractor", "message"),
    [
        (Batch(), "^features='Batch' .*depend on the images beside"),
        (Random(), "^features='Random' .*two passes over the same images differ"),
        (Says(lambda x: x), r"^features='Says' .*\(images, features\), not \(\d+, 1, 28, 28\)"),
        (Says(lambda x: x.flatten(1) / 0), "^features='Says' .*finite features; these hold NaN"),
        (Says(lambda x: x.flatten(1).long()), "^features='Says' .*real numbers, not torch.int64"),
        (Says(lambda x: x.flatten(1)[:, :0]), "^features='Says' .*features of shape"),
        (Says(lambda x: x.flatten(1)[:1]), r"^features='Says' .*features of shape \(30, 784\) for these images, not"),
        (Says(lambda x: [x]), "^features='Says' .*returns features, not a list"),
        (nn.Linear(3, 3), r"^features='Linear' .*a network for images of shape \(1, 28, 28\): .*mat1"),
        (LeNet((3, 28, 28), 6), r"^features='LeNet' .*shape \(B, 3, 28, 28\)"),
        ("resnet18", "^features='resnet18' .*'teacher' for the teacher's last hidden layer"),
        (nn.Linear, "^features=the class Linear .*a torch.nn.Module"),
        ("teacher", "^features='teacher' .*teacher=network or a qkdlib.Teacher lenet or alexnet, not None"),
    ],
)
def test_what_is_no_extractor_is_refused_before_any_training(workspace, refuse_training, extractor, message):
    refuse_training()
    with pytest.raises(ValueError, match=message) as error:
        pipeline.run(STUDENT, workspace=workspace, features=extractor, device="cpu")
    assert len(str(error.value).splitlines()) == 1 and not [*workspace.checkpoints.glob("features_*")]


def test_features_of_the_shape_of_the_images_are_refused(workspace, refuse_training):
    draw, y = np.random.default_rng(0), np.arange(30) % 3
    name = from_arrays(draw.random((30, 5, 1, 1)), y, draw.random((30, 5, 1, 1)), y)
    task = dataclasses.replace(STUDENT, dataset=name, classes=(0, 1, 2), train_per_class=5)
    refuse_training()
    with pytest.raises(ValueError, match=r"^features='Sequential' .*another shape than the images, \(5, 1, 1\)"):
        pipeline.run(task, workspace=workspace, features=nn.Sequential(nn.Flatten(), nn.Linear(5, 5)), device="cpu")


def test_an_extractor_of_images_of_another_shape_says_so():
    with pytest.raises(ValueError, match=r"^features='LeNet' .*images of shape \(1, 8, 8\): .*shape \(B, 1, 28, 28\)"):
        Extractor(lenet())(torch.zeros(2, 1, 8, 8))
    with pytest.raises(ValueError, match="^features=3 .*a torch.nn.Module"):
        Extractor(3)


def test_features_are_of_the_students_images_alone(workspace):
    parts = datasets.splits(STUDENT)
    seen_by_it = []
    network = Says(lambda x: seen_by_it.append(len(x)) or x.flatten(1)[:, 300:303])
    named, found = teachers.extract(STUDENT, Extractor(network), parts, workspace)
    assert sum(seen_by_it[:3]) == len(parts.train) + len(parts.validation) + len(parts.test)
    assert found.all_train is parts.all_train and found.class_names == parts.class_names
    assert torch.equal(found.test.index, parts.test.index) and torch.equal(found.train.y, parts.train.y)
    assert torch.equal(found.test.x[..., 0, 0], parts.test.x.flatten(1)[:, 300:303])
    assert named.features.startswith("custom:Says-")
