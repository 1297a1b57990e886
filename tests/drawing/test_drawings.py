"""Drawings show the shapes that the networks really have, and every word of them can be read."""

import pytest
import torch
from readable import assert_readable, assert_the_same_file_twice, words
from torch import nn

from qkdlib import teachers
from qkdlib.drawing import drawings

GREY, COLOUR = (1, 28, 28), (3, 32, 32)
OWN = nn.Sequential(
    nn.Conv2d(3, 6, (3, 5), stride=2), nn.ReLU(), nn.Dropout2d(0.2), nn.MaxPool2d(3, stride=2), nn.Sigmoid(),
    nn.Flatten(), nn.Linear(6 * 7 * 6, 10), nn.Dropout(0.25),
)  # fmt: skip


def build(architecture: str, shape, classes: int) -> nn.Module:
    with torch.device("meta"):  # shapes without the 100 million numbers
        return teachers.build(architecture, shape, classes)


def lenet(shape, classes):
    side = shape[1] - 4
    maps = [(6, side), (6, side // 2), (16, side // 2 - 4), (16, (side // 2 - 4) // 2)]
    return [(channels, size, size) for channels, size in maps] + [(120,), (84,), (classes,)]


def alexnet(shape, classes):
    side = shape[1]
    maps = [(64, side), (64, side // 2), (192, side // 2), (192, side // 4), (384, side // 4)]
    return [(channels, size, size) for channels, size in maps] + [(4096,), (4096,), (classes,)]


def test_lenet_for_mnist_by_hand():
    stages = drawings.trace(teachers.LeNet(GREY, 6), GREY)
    shapes = [(6, 24, 24), (6, 12, 12), (16, 8, 8), (16, 4, 4), (120,), (84,), (6,)]
    assert [stage.shape for stage in stages] == shapes
    assert [stage.parameters for stage in stages] == [156, 0, 2416, 0, 30840, 10164, 510]
    assert [stage.kind for stage in stages] == ["convolution", "pooling"] * 2 + ["linear"] * 3
    assert [stage.label for stage in stages] == [
        "conv 5x5, tanh", "avg pool 2", "conv 5x5, tanh", "avg pool 2",
        "flatten, linear, tanh", "linear, tanh", "linear",
    ]  # fmt: skip


def test_alexnet_for_cifar_by_hand():
    stages = drawings.trace(build("alexnet", COLOUR, 10), COLOUR)
    shapes = [(64, 32, 32), (64, 16, 16), (192, 16, 16), (192, 8, 8), (384, 8, 8), (4096,), (4096,), (10,)]
    assert [stage.shape for stage in stages] == shapes
    assert [stage.parameters for stage in stages] == [1792, 0, 110784, 0, 663936, 100667392, 16781312, 40970]
    assert [stage.label for stage in stages] == [
        "conv 3x3, padding 1, ReLU", "max pool 2", "conv 3x3, padding 1, ReLU", "max pool 2",
        "conv 3x3, padding 1, ReLU", "flatten, dropout 0.5, linear, ReLU", "dropout 0.5, linear, ReLU", "linear",
    ]  # fmt: skip


@pytest.mark.parametrize("classes", [2, 6, 100])
@pytest.mark.parametrize("shape", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("shapes", [lenet, alexnet])
def test_teachers_are_drawn_as_they_are(shapes, shape, classes):
    network = build(shapes.__name__, shape, classes)
    stages = drawings.trace(network, shape)
    assert [stage.shape for stage in stages] == shapes(shape, classes)
    total = sum(parameter.numel() for parameter in network.parameters())
    assert sum(stage.parameters for stage in stages) == total
    figure = drawings.architecture(network, shape, "A teacher")
    assert_readable(figure)
    drawn = [text.replace("\n", " ") for text, _ in words(figure)]
    assert f"A teacher: {total:,} parameters" in drawn
    for stage in stages:
        assert {stage.label, " x ".join(map(str, stage.shape)), f"{stage.parameters:,}"} <= set(drawn)


def test_labels_of_other_settings_and_orders():
    assert drawings.trace(OWN, COLOUR) == [
        drawings.Stage("convolution", "conv 3x5, stride 2, ReLU", (6, 15, 14), 276),
        drawings.Stage("pooling", "dropout 0.2, max pool 3, stride 2, sigmoid", (6, 7, 6), 0),
        drawings.Stage("linear", "flatten, linear, dropout 0.25", (10,), 2530),
    ]
    assert_readable(drawings.architecture(OWN, COLOUR, "own"))


@pytest.mark.parametrize("training", [True, False])
def test_drawing_leaves_the_network_and_the_random_numbers_alone(training):
    network = OWN.train(training)
    network[2].train(not training)
    before, state = [layer.training for layer in network.modules()], torch.get_rng_state()
    drawings.architecture(network, COLOUR, "own")
    assert [layer.training for layer in network.modules()] == before
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_unknown_layer_is_named():
    with pytest.raises(ValueError, match="layer 1='BatchNorm2d' is not allowed; allowed: one of Conv2d, "):
        drawings.trace(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), GREY)


def test_known_layers_of_the_message_are_known():
    arguments = {"Conv2d": (1, 2, 3), "Linear": (28, 5), "AvgPool2d": (2,), "MaxPool2d": (2,)}
    for name in drawings.KNOWN.split(", "):
        drawings.trace(nn.Sequential(getattr(nn, name)(*arguments.get(name, ()))), GREY)


def test_a_network_that_is_no_sequence_of_layers_is_refused():
    with pytest.raises(ValueError, match="network='JointEnsemble' is not allowed; allowed: a torch.nn.Sequential"):
        drawings.architecture(build("ensemble", GREY, 6), GREY, "both")


def test_drawn_twice_is_the_same_file(tmp_path):
    assert_the_same_file_twice(lambda: drawings.architecture(OWN, COLOUR, "own"), tmp_path)
