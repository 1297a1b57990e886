"""Stacked layers and the CNN reducer: each seed is the same as a plain PyTorch network with its weights."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from qkdlib.randomness import generator
from qkdlib.reducers import CNN
from qkdlib.stacked import StackedConv2d, StackedLinear

SEEDS = (0, 3, 7)


def generators(seeds=SEEDS) -> list[torch.Generator]:
    return [generator(seed, "weights") for seed in seeds]


def images(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5))


def plain(kind: type[nn.Module], stacked: nn.Module, seed: int) -> nn.Module:
    """PyTorch's own layer with the weights of one seed."""
    weight, bias = stacked.weight[seed].detach(), stacked.bias[seed].detach()
    layer = kind(weight.shape[1], weight.shape[0], *weight.shape[2:3])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def test_each_seed_of_stacked_linear_is_a_linear_layer():
    stacked, x = StackedLinear(6, 4, generators()), images(3, 5, 6)
    found = stacked(x)
    found.square().sum().backward()
    for seed in range(3):
        layer = plain(nn.Linear, stacked, seed)
        expected = layer(x[seed])
        expected.square().sum().backward()
        torch.testing.assert_close(found[seed], expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(stacked.weight.grad[seed], layer.weight.grad, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(stacked.bias.grad[seed], layer.bias.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_each_seed_of_stacked_convolution_is_a_convolution(shared):
    stacked, x = StackedConv2d(2, 4, 3, generators()), images(5, 2 if shared else 6, 8, 8)
    found = stacked(x, shared=shared)
    found.square().sum().backward()
    for seed in range(3):
        layer = plain(nn.Conv2d, stacked, seed)
        expected = layer(x if shared else x[:, 2 * seed : 2 * seed + 2])
        expected.square().sum().backward()
        torch.testing.assert_close(found[:, 4 * seed : 4 * seed + 4], expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(stacked.weight.grad[seed], layer.weight.grad, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(stacked.bias.grad[seed], layer.bias.grad, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("build", "fan_in"),
    [(lambda g: StackedLinear(300, 40, g), 300), (lambda g: StackedConv2d(10, 20, 5, g), 250)],
    ids=["linear", "conv"],
)
def test_initial_weights_are_pytorchs_uniform_ones(build, fan_in):
    layer, bound = build(generators()), 1 / math.sqrt(fan_in)
    for parameter in layer.parameters():
        assert parameter.abs().max() <= bound
    assert layer.weight.abs().max() > 0.99 * bound
    # The standard deviation of a uniform distribution, and what PyTorch's own layers have.
    assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)


@pytest.mark.parametrize(
    "build",
    [
        lambda g: StackedLinear(20, 7, g),
        lambda g: StackedConv2d(2, 5, 3, g),
        lambda g: CNN((1, 28, 28), 3, g, 0.5),
    ],
    ids=["linear", "conv", "cnn"],
)
def test_seed_3_starts_from_the_same_weights_alone_and_in_a_stack(build):
    alone, stacked = build(generators([3])), build(generators(range(8)))
    for one, many in zip(alone.parameters(), stacked.parameters(), strict=True):
        assert torch.equal(one[0], many[3])
        assert not torch.equal(many[2], many[3])


def plain_cnn(cnn: CNN, seed: int, x: torch.Tensor, keep: torch.Tensor | None) -> torch.Tensor:
    """The same network for one seed, as one would write it for one model; x is (B, C, H, W)."""
    x = functional.relu(functional.max_pool2d(functional.conv2d(x, cnn.conv1.weight[seed], cnn.conv1.bias[seed]), 2))
    x = functional.conv2d(x, cnn.conv2.weight[seed], cnn.conv2.bias[seed])
    if keep is not None:
        x = x * keep[:, :20, None, None]
    x = functional.relu(functional.max_pool2d(x, 2)).flatten(1)
    x = functional.relu(functional.linear(x, cnn.hidden.weight[seed], cnn.hidden.bias[seed]))
    if keep is not None:
        x = x * keep[:, 20:]
    return functional.linear(x, cnn.out.weight[seed], cnn.out.bias[seed])


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 16, 21)])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "unshared"])
@pytest.mark.parametrize("dropped", [True, False], ids=["dropout", "whole"])
def test_cnn_of_each_seed_is_the_plain_network(shape, shared, dropped):
    cnn = CNN(shape, 3, generators(), dropout=0.5)
    x = images(4, *shape) if shared else images(3, 4, *shape)
    keep = (images(3, 4, cnn.masks) < 0.5) * 2.0 if dropped else None
    found = cnn(x, keep)
    assert found.shape == (3, 4, 3)
    for seed in range(3):
        expected = plain_cnn(cnn, seed, x if shared else x[seed], keep[seed] if dropped else None)
        torch.testing.assert_close(found[seed], expected, atol=1e-5, rtol=1e-5)


def test_dropout_mask_has_a_number_per_channel_and_hidden_unit():
    assert CNN((1, 28, 28), 3, generators(), dropout=0.5).masks == 20 + 50
    assert CNN((1, 28, 28), 3, generators(), dropout=0.0).masks == 0


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 15, 28), (3, 28, 15)])
def test_cnn_refuses_images_that_are_too_small(shape):
    with pytest.raises(ValueError, match=f"{shape[1]}x{shape[2]}.*16x16 or larger"):
        CNN(shape, 3, generators(), 0.5)
