"""Stacked layers and reducers: each seed is the same as a plain PyTorch network with its weights."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from qkdlib import torch_settings
from qkdlib.randomness import generator
from qkdlib.students.reducers import CNN, FullyConnected
from qkdlib.students.stacked import StackedConv2d, StackedLinear, max_pool_relu

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
    stacked, x = StackedLinear(6, 4, generators()), images(3, 5, 6).requires_grad_()
    found = stacked(x)
    found.square().sum().backward()
    for seed in range(3):
        layer, own = plain(nn.Linear, stacked, seed), x[seed].detach().requires_grad_()
        expected = layer(own)
        expected.square().sum().backward()
        torch.testing.assert_close(found[seed], expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(x.grad[seed], own.grad, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(stacked.weight.grad[seed], layer.weight.grad, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(stacked.bias.grad[seed], layer.bias.grad, atol=1e-5, rtol=1e-5)


def own_weights(upstream: torch.Tensor) -> torch.Tensor:
    """Weights of a sum, so that every number of a gradient comes from another place."""
    return torch.linspace(-1, 2, upstream.numel()).view_as(upstream)


SIDES = [(8, 8), (9, 12), (7, 11), (5, 5)]
"""The convolutions of size 3 below leave 6x6, 7x10, 5x9 and 3x3: with and without a rest that no 2x2 cell takes."""


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "unshared"])
def test_each_seed_of_stacked_convolution_is_a_convolution(sides, batch, shared):
    stacked, x = StackedConv2d(2, 4, 3, generators()), images(1 if shared else 3, 2, batch, *sides).requires_grad_()
    found = stacked(x)
    assert found.shape == (3, 4, batch, sides[0] - 2, sides[1] - 2)
    (found * own_weights(found)).sum().backward()
    of_images = torch.zeros_like(x)
    for seed in range(3):
        layer, own = plain(nn.Conv2d, stacked, seed), x[0 if shared else seed].detach().transpose(0, 1)
        own.requires_grad_()
        expected = layer(own).transpose(0, 1)
        (expected * own_weights(found)[seed]).sum().backward()
        of_images[0 if shared else seed] += own.grad.transpose(0, 1)
        torch.testing.assert_close(found[seed], expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(stacked.weight.grad[seed], layer.weight.grad, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(stacked.bias.grad[seed], layer.bias.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(x.grad, of_images, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "unshared"])
@pytest.mark.parametrize("kind", ["drawn", "blank", "whole numbers"])
def test_pooled_convolution_is_pytorchs_convolution_pooling_and_relu(sides, batch, shared, kind):
    # A blank image ties all places of a cell: the digits have such borders in every image. Few whole numbers tie cells
    # whose places see different pixels, so that the gradient tells which place it came from.
    stacked, x = StackedConv2d(2, 6, 3, generators()), images(1 if shared else 3, 2, batch, *sides)
    if kind == "blank":
        x = torch.zeros_like(x)
    elif kind == "whole numbers":
        x = (x > 0.8).float()
        for parameter in stacked.parameters():
            parameter.data = (2 * parameter.data / parameter.data.abs().max()).round()
    found = stacked.pooled(x)
    assert found.shape == (3, 6, batch, (sides[0] - 2) // 2, (sides[1] - 2) // 2)
    assert (found == 0).any() and (found > 0).any()  # ReLU has something to do and something to leave
    (found * own_weights(found)).sum().backward()
    for seed in range(3):
        layer = plain(nn.Conv2d, stacked, seed)
        expected = functional.relu(functional.max_pool2d(layer(x[0 if shared else seed].transpose(0, 1)), 2))
        expected = expected.transpose(0, 1)
        (expected * own_weights(found)[seed]).sum().backward()
        torch.testing.assert_close(found[seed], expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(stacked.weight.grad[seed], layer.weight.grad, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(stacked.bias.grad[seed], layer.bias.grad, atol=1e-4, rtol=1e-4)


def test_pooled_convolution_is_the_convolution_that_is_pooled():
    stacked, x = StackedConv2d(1, 10, 5, generators()), images(3, 1, 2, 29, 30)
    torch.testing.assert_close(stacked.pooled(x), max_pool_relu(stacked(x)), atol=1e-6, rtol=1e-5)


def test_pooling_says_that_it_has_no_second_derivative():
    x = images(1, 4, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(max_pool_relu(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def pytorchs_max_pool_relu(x: torch.Tensor) -> torch.Tensor:
    return functional.relu(functional.max_pool2d(x.flatten(0, -4), 2)).unflatten(0, x.shape[:-3])


@settings(max_examples=60, database=None)
@given(
    sides=st.tuples(st.integers(2, 7), st.integers(2, 7)),
    lead=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 2)),
    levels=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_ties_give_their_gradient_to_the_place_that_pytorch_gives_it_to(sides, lead, levels, seed):
    # Few whole numbers, so that most cells tie, also at 0, where ReLU's gradient is a choice.
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(-levels, levels, (*lead, *sides), generator=draw).float()
    gradients = []
    for pool in (max_pool_relu, pytorchs_max_pool_relu):
        own = x.clone().requires_grad_()
        found = pool(own)
        (found * own_weights(found)).sum().backward()
        gradients.append((found.detach(), own.grad))
    assert torch.equal(gradients[0][0], gradients[1][0])
    assert torch.equal(gradients[0][1], gradients[1][1])


@pytest.mark.parametrize("sides", [(4, 4), (5, 7)])
def test_gradient_of_pooling_passes_gradcheck_where_nothing_ties(sides):
    size = 2 * math.prod(sides)
    order = torch.randperm(size, generator=torch.Generator().manual_seed(0))
    x = (order - size / 2 + 0.5).double().view(2, *sides) / 10  # all different, and none at ReLU's corner
    assert torch.autograd.gradcheck(max_pool_relu, x.requires_grad_())


@pytest.mark.parametrize("build", [StackedConv2d.forward, StackedConv2d.pooled], ids=["forward", "pooled"])
def test_gradient_of_the_convolution_passes_gradcheck(build):
    stacked, x = StackedConv2d(2, 2, 2, generators((0, 3))).double(), images(2, 2, 2, 5, 6).double()

    def outputs(weight, bias):
        stacked.weight, stacked.bias = weight, bias
        return build(stacked, x)

    weight, bias = stacked.weight.data, stacked.bias.data
    del stacked.weight, stacked.bias
    assert torch.autograd.gradcheck(outputs, (weight.requires_grad_(), bias.requires_grad_()))


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
        lambda g: FullyConnected((3, 5, 5), 8, g, 0.0),
    ],
    ids=["linear", "conv", "cnn", "fully_connected"],
)
def test_seed_3_starts_from_the_same_weights_alone_and_in_a_stack(build):
    alone, stacked = build(generators([3])), build(generators(range(8)))
    for one, many in zip(alone.parameters(), stacked.parameters(), strict=True):
        assert torch.equal(one[0], many[3])
        assert not torch.equal(many[2], many[3])


@pytest.mark.parametrize("inputs", [1, 2, 50, 784])
@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 7, 16])
def test_a_linear_layer_of_any_size_has_the_same_bits_alone_and_in_a_stack(inputs, outputs, batch):
    alone, stack = StackedLinear(inputs, outputs, generators([3])), StackedLinear(inputs, outputs, generators(range(8)))
    x, upstream = images(8, batch, inputs), images(8, batch, outputs)
    with torch_settings.one_thread():
        found = []
        for layer, rows in ((alone, slice(3, 4)), (stack, slice(None))):
            given = x[rows].clone().requires_grad_()
            y = layer(given)
            y.backward(upstream[rows])
            found.append([y, given.grad, layer.weight.grad, layer.bias.grad])
    for one, many in zip(*found, strict=True):
        assert torch.equal(one[0], many[3])


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
    found = cnn(cnn.prepare(x), keep)
    assert found.shape == (3, 4, 3)
    found.square().sum().backward()
    stacked = {name: parameter.grad for name, parameter in cnn.named_parameters()}
    cnn.zero_grad()
    for seed in range(3):
        expected = plain_cnn(cnn, seed, x if shared else x[seed], keep[seed] if dropped else None)
        expected.square().sum().backward()  # adds to the gradients of this seed alone
        torch.testing.assert_close(found[seed], expected, atol=1e-5, rtol=1e-5)
    for name, parameter in cnn.named_parameters():
        torch.testing.assert_close(stacked[name], parameter.grad, atol=1e-5, rtol=1e-4, msg=name)


def test_dropout_mask_has_a_number_per_channel_and_hidden_unit():
    assert CNN((1, 28, 28), 3, generators(), dropout=0.5).masks == 20 + 50
    assert CNN((1, 28, 28), 3, generators(), dropout=0.0).masks == 0


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 15, 28), (3, 28, 15)])
def test_cnn_refuses_images_that_are_too_small(shape):
    with pytest.raises(ValueError, match=f"{shape[1]}x{shape[2]}.*16x16 or larger"):
        CNN(shape, 3, generators(), 0.5)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 5)])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "unshared"])
def test_fully_connected_of_each_seed_is_a_linear_layer_of_all_pixels(shape, shared):
    reducer = FullyConnected(shape, 8, generators(), dropout=0.0)
    x = images(4, *shape) if shared else images(3, 4, *shape)
    found = reducer(reducer.prepare(x))
    assert found.shape == (3, 4, 8)
    found.square().sum().backward()
    for seed in range(3):
        layer = nn.Sequential(nn.Flatten(), plain(nn.Linear, reducer.out, seed))
        expected = layer(x if shared else x[seed])
        expected.square().sum().backward()
        torch.testing.assert_close(found[seed], expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(reducer.out.weight.grad[seed], layer[1].weight.grad, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(reducer.out.bias.grad[seed], layer[1].bias.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dropout", [0.5, 0.01])
def test_fully_connected_refuses_dropout(dropout):
    with pytest.raises(ValueError, match=f"^dropout={dropout} is not allowed; allowed: 0 for the fully_connected"):
        FullyConnected((1, 28, 28), 8, generators(), dropout)
