"""Optimisers of stacked models: PyTorch's own on single models, and each seed by itself to the bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from protocols import PROTOCOLS, experiment, train, weights
from torch import nn

from qkdlib import experiment_checks, training
from qkdlib.images import datasets
from qkdlib.training import checkpoints, student_training
from qkdlib.training.optimizers import OPTIMIZERS

TORCHS = {
    "adam": torch.optim.Adam, "sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad,
}  # fmt: skip
SHAPES = st.lists(st.lists(st.integers(1, 5), min_size=0, max_size=3), min_size=1, max_size=4)


def gradients(shape: tuple[int, ...], steps: int, seed: int) -> torch.Tensor:
    """(steps, S, *shape); some of them are 0."""
    found = torch.randn((steps, *shape), generator=torch.Generator().manual_seed(seed))
    return torch.where(found.abs() < 0.1, 0.0, found)


def stepped(kind, parameters: list[nn.Parameter], given: list[torch.Tensor], rate: float) -> list[torch.Tensor]:
    """Parameters after a step for each row of gradients, as a training makes them."""
    optimizer = kind(parameters, rate) if kind in OPTIMIZERS.values() else kind(parameters, lr=rate)
    for step in range(len(given[0])):
        optimizer.zero_grad()
        sum((parameter * each[step]).sum() for parameter, each in zip(parameters, given, strict=True)).backward()
        (optimizer.advance if kind in OPTIMIZERS.values() else optimizer.step)()
    return [parameter.detach().clone() for parameter in parameters]


def test_an_optimizer_of_every_name():
    assert tuple(OPTIMIZERS) == experiment_checks.OPTIMIZERS == tuple(TORCHS)


@pytest.mark.parametrize("name", TORCHS)
@settings(max_examples=15, database=None)
@given(shapes=SHAPES, seeds=st.integers(1, 5), seed=st.integers(0, 1000), rate=st.sampled_from([1e-3, 0.1]))
def test_each_seed_of_a_stack_is_pytorchs_optimizer_on_one_model(name, shapes, seeds, seed, rate):
    stack = [(seeds, *shape) for shape in shapes]
    starts = [gradients(shape, 1, seed + 7)[0] for shape in stack]
    given = [gradients(shape, 6, seed + place) for place, shape in enumerate(stack)]
    found = stepped(OPTIMIZERS[name], [nn.Parameter(start.clone()) for start in starts], given, rate)
    for row in range(seeds):
        single = [nn.Parameter(start[row].clone()) for start in starts]
        expected = stepped(TORCHS[name], single, [each[:, row] for each in given], rate)
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine[row], theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TORCHS)
def test_a_seeds_steps_are_the_same_to_the_bit_whatever_stands_beside_it(name, one_thread):
    for seeds in (2, 3, 7, 20):
        shapes = [(seeds, 3), (seeds, 5, 7), (seeds,), (seeds, 50)]
        starts = [gradients(shape, 1, 3)[0] for shape in shapes]
        given = [gradients(shape, 20, place) for place, shape in enumerate(shapes)]
        together = stepped(OPTIMIZERS[name], [nn.Parameter(start.clone()) for start in starts], given, 0.01)
        for row in (0, seeds - 1):
            own = slice(row, row + 1)
            alone = [nn.Parameter(start[own].clone()) for start in starts]
            found = stepped(OPTIMIZERS[name], alone, [each[:, own] for each in given], 0.01)
            for mine, theirs in zip(found, together, strict=True):
                assert torch.equal(mine[0], theirs[row])


def test_sgd_is_equation_13():
    """theta - eta * gradient."""
    start, given = gradients((2, 3), 1, 0)[0], gradients((2, 3), 1, 1)
    (found,) = stepped(OPTIMIZERS["sgd"], [nn.Parameter(start.clone())], [given], 0.25)
    torch.testing.assert_close(found, start - 0.25 * given[0], rtol=1e-7, atol=1e-7)


def test_adam_is_the_fused_one_of_pytorch_to_the_bit(one_thread):
    start, given = gradients((4, 64), 1, 0)[0], gradients((4, 64), 30, 1)
    (found,) = stepped(OPTIMIZERS["adam"], [nn.Parameter(start.clone())], [given], 0.01)
    optimizer = torch.optim.Adam([parameter := nn.Parameter(start.clone())], lr=0.01, fused=True)
    for each in given:
        parameter.grad = each.clone()
        optimizer.step()
    assert torch.equal(found, parameter.detach())


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adagrad"])
@pytest.mark.parametrize("protocol", ["published", "revised"])
def test_a_seed_trains_the_same_alone_and_in_a_stack(name, protocol):
    task = experiment(batch_size=2, optimizer=name, learning_rate=0.01, **PROTOCOLS[protocol])
    alone, (one,) = train(task, [3])
    stack, results = train(task, range(5))
    assert torch.equal(weights(alone), weights(stack, 3)) and results[3] == one


@pytest.mark.parametrize(("name", "rate"), [("sgd", 0.05), ("rmsprop", 0.005), ("adagrad", 0.05)])
def test_students_learn_with_every_optimizer(name, rate):
    fields = {**PROTOCOLS["revised"], "qubits": 4, "classes": (0, 1, 2)}
    task = experiment(**fields, epochs=8, batch_size=4, optimizer=name, learning_rate=rate)
    _, results = train(task, range(3))
    assert min(seed["test_accuracy"][-1] for seed in results) > 0.6  # chance is 0.33


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(ValueError, match="^optimizer='lbfgs' .*one of adam, sgd, rmsprop, adagrad"):
        experiment(optimizer="lbfgs")


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adagrad"])
def test_an_interrupted_training_goes_on_with_the_optimizers_own_moments(name, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 1e9)
    task = experiment(optimizer=name, learning_rate=0.01, epochs=3)
    whole, results = train(task, [0, 1])
    epoch, trained = student_training.StudentTraining.epoch, []

    def stopped(self, number, advance):
        trained.append(number)
        if trained == [0, 1, 2]:
            raise KeyboardInterrupt
        epoch(self, number, advance)

    monkeypatch.setattr(student_training.StudentTraining, "epoch", stopped)
    given = task, datasets.splits(task), None, [0, 1], "cpu", tmp_path
    with pytest.raises(KeyboardInterrupt):
        training.train_students(*given)
    student, again = training.train_students(*given)
    assert trained == [0, 1, 2, 2] and again == results
    assert all(torch.equal(weights(student, place), weights(whole, place)) for place in (0, 1))
