"""What the peers on JAX share: loss, Adam, and an epoch as one compiled function with donated buffers, a scan over its
steps (docs.jax.dev: "Buffer donation", `jax.lax.scan`), mapped over seeds (`jax.vmap`).

A model is a pure function `logits(weights, images (B, ...), key) -> (B, L)` of one seed."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

KD_WEIGHT, TEMPERATURE = 0.9, 3.0
ADAM = optax.scale_by_adam()  # PyTorch's defaults; the learning rate is each model's own

Model = Callable[[dict, jax.Array, jax.Array], jax.Array]


def loss(logits: jax.Array, labels: jax.Array, teacher: jax.Array) -> jax.Array:
    """CE + 0.9 T^2 KL(teacher || student) at T = 3, the mean over a batch."""
    cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    softened = jax.nn.log_softmax(teacher / TEMPERATURE)
    student = jax.nn.log_softmax(logits[:, : teacher.shape[1]] / TEMPERATURE)
    divergence = (jnp.exp(softened) * (softened - student)).sum(-1).mean()
    return cross_entropy + KD_WEIGHT * TEMPERATURE**2 * divergence


def epoch(logits: Model, batch: int) -> Callable:
    """The compiled function (weights, moments, rates (S,), rows (S, N), keys (S,), images, labels, teacher) -> weights,
    moments, losses (S, steps) that trains an epoch. Leaves of weights and moments have S first and are donated."""

    def of_one(weights, moments, rate, rows, key, images, labels, teacher):
        def step(carry, drawn):
            (weights, moments), (places, own) = carry, drawn

            def objective(weights):
                return loss(logits(weights, images[places], own), labels[places], teacher[places])

            value, gradients = jax.value_and_grad(objective)(weights)
            updates, moments = ADAM.update(gradients, moments)
            return (jax.tree.map(lambda w, u: w - rate * u, weights, updates), moments), value

        full, rest = divmod(len(rows), batch)
        keys = jax.random.split(key, full + 1)
        batches = rows[: full * batch].reshape(full, batch)
        carry, losses = jax.lax.scan(step, (weights, moments), (batches, keys[:full]))
        if rest:
            carry, last = step(carry, (rows[full * batch :], keys[full]))
            losses = jnp.append(losses, last)
        return *carry, losses

    return jax.jit(jax.vmap(of_one, in_axes=(0, 0, 0, 0, 0, None, None, None)), donate_argnums=(0, 1))


def evaluation(logits: Model) -> Callable:
    """The compiled function (weights, keys (S,), images (N, ...), labels) -> accuracy and cross entropy, (S,) each."""

    def of_one(weights, key, images, labels):
        found = logits(weights, images, key)
        entropy = optax.softmax_cross_entropy_with_integer_labels(found, labels).mean()
        return (found.argmax(-1) == labels).mean(), entropy

    return jax.jit(jax.vmap(of_one, in_axes=(0, 0, None, None)))


def moments(weights: dict) -> optax.OptState:
    """Adam's start for weights with S first."""
    return jax.vmap(ADAM.init)(weights)
