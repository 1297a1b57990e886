"""Step jobs and whole jobs of the peers on JAX.

A peer hands over `make(experiment, exact, trains)`, which gives a model, and whether seeds are faster side by side
(`jax.vmap`) or one after the other in a loop."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import jax_training
import mnist
import numpy as np
import protocol

Make = Callable[[dict, bool, bool], jax_training.Model]


def main(make: Make, side_by_side: bool) -> None:
    """Do the job that the command line names."""
    {"steps": steps, "whole": whole}[sys.argv[1]](Path(sys.argv[2]), make, side_by_side)


class Stack:
    """Models side by side: `weights` with their number first, Adam's moments, learning rates and random numbers."""

    def __init__(self, weights: dict, rates: np.ndarray, seed: int):
        self.weights = jax.tree.map(jnp.array, weights)
        self.moments, self.rates = jax_training.moments(self.weights), jnp.asarray(rates, jnp.float32)
        self.orders, self.keys = np.random.default_rng(seed), jax.random.key(seed)

    def train(self, epoch: Callable, data: tuple, rows: np.ndarray | None = None) -> jax.Array:
        """An epoch in an order of its own for each model, or in that of `rows`; losses (S, steps)."""
        count = len(self.rates)
        if rows is None:
            rows = self.orders.permuted(np.tile(np.arange(len(data[1]), dtype=np.int32), (count, 1)), axis=1)
        self.weights, self.moments, losses = epoch(
            self.weights, self.moments, self.rates, jnp.asarray(rows), self.drawn(), *data
        )
        return losses

    def drawn(self) -> jax.Array:
        """Fresh keys, one for each model."""
        self.keys, own = jax.random.split(self.keys)
        return jax.random.split(own, len(self.rates))


def stacks(weights: dict, rates: np.ndarray, side_by_side: bool) -> list[Stack]:
    """All models in one stack, or each in one of its own."""
    groups = [slice(None)] if side_by_side else [slice(place, place + 1) for place in range(len(rates))]
    return [
        Stack({name: each[group] for name, each in weights.items()}, rates[group], number)
        for number, group in enumerate(groups)
    ]


def on_device(experiment: dict, images: np.ndarray, *others: np.ndarray) -> tuple[jax.Array, ...]:
    """The arrays as JAX's; images flat where a linear layer sees them."""
    flat = experiment["reducer"] == "fully_connected"
    return tuple(map(jnp.asarray, (images.reshape(len(images), -1) if flat else images, *others)))


def steps(path: Path, make: Make, side_by_side: bool) -> None:
    """The losses of the first three steps, then epochs when asked."""
    inputs = protocol.read(path)
    experiment = inputs.experiment
    batch, rates = experiment["batch_size"], np.full(experiment["seeds"], experiment["learning_rate"])
    data = on_device(experiment, inputs.images, inputs.labels.astype(np.int32), inputs.teacher)
    compared = jax_training.epoch(make(experiment, True, True), batch)
    losses, start = [], 0
    for stack in stacks(inputs.weights, rates, side_by_side):
        rows = inputs.rows[start : start + len(stack.rates)]
        losses += stack.train(compared, data, rows).tolist()
        start += len(rows)
    epoch = jax_training.epoch(make(experiment, False, True), batch)
    trained = stacks(inputs.weights, rates, side_by_side)

    def train(epochs: int) -> None:
        for _ in range(epochs):
            for stack in trained:
                stack.train(epoch, data)
        jax.block_until_ready([stack.weights for stack in trained])

    protocol.answer(train, losses)


def whole(path: Path, make: Make, side_by_side: bool) -> None:
    """Train all seeds with each learning rate, validate after each epoch, test as the experiment says, and write the
    test accuracies of the weights that are kept."""
    job = json.loads(path.read_text())
    experiment = job["experiment"]
    parts = {name: on_device(experiment, *arrays) for name, arrays in mnist.splits(job).items()}
    rates = experiment["learning_rates"] or [experiment["learning_rate"]]
    seeds = experiment["seeds"]
    weights = initial({name: tuple(shape) for name, shape in job["shapes"].items()}, seeds)
    weights = {name: np.concatenate([each] * len(rates)) for name, each in weights.items()}
    epoch = jax_training.epoch(make(experiment, False, True), experiment["batch_size"])
    evaluate = jax_training.evaluation(make(experiment, False, False))
    found = [
        _trained(stack, epoch, evaluate, parts, experiment)
        for stack in stacks(weights, np.repeat(rates, seeds), side_by_side)
    ]
    scores, tested = ([entry for of_stack in found for entry in of_stack[place]] for place in (0, 1))
    chosen = [max(range(seed, len(scores), seeds), key=lambda place: (scores[place], -place)) for seed in range(seeds)]
    curves = [curve for _, _, curve in found]
    text = json.dumps({"test_accuracy": [tested[place] for place in chosen], "train_loss": curves})
    Path(f"{job['results']}.new").write_text(text)
    os.replace(f"{job['results']}.new", job["results"])


def _trained(
    stack: Stack, epoch: Callable, evaluate: Callable, parts: dict, experiment: dict
) -> tuple[list[tuple[float, float]], list[float], list[list[float]]]:
    """For each model of a stack the best validation score, and the test accuracy of the weights that are kept; and the
    mean training losses of each epoch, which ours records as well."""
    count, patience = len(stack.rates), experiment["patience"]
    at_end = experiment["tested"] == "at_end"
    scores, best_epochs, stopped = [(-1.0, 0.0)] * count, [0] * count, [False] * count
    best, last = (jax.tree.map(np.array, stack.weights) for _ in range(2))
    accuracies: list[float] = []
    curve: list[list[float]] = []
    for number in range(experiment["epochs"]):
        curve.append(np.asarray(stack.train(epoch, parts["train"])).mean(1).tolist())
        accuracy, entropy = (np.asarray(each) for each in evaluate(stack.weights, stack.drawn(), *parts["validation"]))
        if not at_end:
            accuracies = np.asarray(evaluate(stack.weights, stack.drawn(), *parts["test"])[0]).tolist()
            continue
        now = jax.device_get(stack.weights)
        for place in range(count):
            if stopped[place]:
                continue
            score = float(accuracy[place]), -float(entropy[place])
            better = score > scores[place]
            if better:
                scores[place], best_epochs[place] = score, number
            for kept in (best, last) if better else (last,):
                for name, value in kept.items():
                    value[place] = now[name][place]
            stopped[place] = bool(patience) and number - best_epochs[place] >= patience
        if all(stopped):
            break
    if at_end:  # both are tested, as ours are
        of_last, of_best = (
            np.asarray(evaluate(jax.tree.map(jnp.asarray, each), stack.drawn(), *parts["test"])[0]).tolist()
            for each in (last, best)
        )
        accuracies = of_best if patience else of_last
    return scores, accuracies, curve


def initial(shapes: dict[str, tuple], seeds: int) -> dict[str, np.ndarray]:
    """Initial weights (S, ...) as PyTorch draws them, angles uniform in +-pi."""
    draw, found = np.random.default_rng(0), {}
    for name, shape in shapes.items():
        weight = shapes.get(name.replace(".bias", ".weight"), shape)
        bound = np.pi if name == "theta" else 1 / np.sqrt(np.prod(weight[1:]))
        found[name] = draw.uniform(-bound, bound, (seeds, *shape)).astype(np.float32)
    return found
