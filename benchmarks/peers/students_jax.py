"""The two students in JAX, but for the circuits, which each peer brings."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

DROPOUT, SHOTS, SHIFT, CHUNK = 0.5, 5000, math.pi / 4, 20


def original(expectations: Callable[[jax.Array, jax.Array], jax.Array]) -> Callable:
    """v2's student: a linear layer to 2^Q features, amplitude encoding, the circuit, <Z> of each wire, a linear layer.

    Args:
        expectations: (amplitudes (B, 2^Q), angles (3 Q,)) -> (B, Q); wire 0 is the least significant bit of an
            amplitude's place, angles are those of RX on each wire, then RY, then RZ.
    """

    def logits(weights: dict, images: jax.Array, key: jax.Array) -> jax.Array:
        features = images @ weights["reducer.out.weight"].T + weights["reducer.out.bias"]
        amplitudes = features / jnp.linalg.norm(features, axis=-1, keepdims=True)
        measured = expectations(amplitudes, weights["theta"])
        return measured @ weights["head.weight"].T + weights["head.bias"]

    return logits


def published(probabilities: Callable[[jax.Array], jax.Array], exact: bool = False, trains: bool = True) -> Callable:
    """v1's student: convolutions, H and RY(pi tanh f) on each wire, frequencies of 5000 shots with the published
    gradient p(theta + pi/4) - p(theta - pi/4), sigma(p) and 1 - sigma(p) as logits.

    Args:
        probabilities: angles (..., Q) -> (..., 2^Q), wire 0 least significant.
        exact: probabilities in the place of frequencies, and no dropout, to compare losses.
        trains: with dropout.
    """

    def draw(angles: jax.Array, key: jax.Array) -> jax.Array:
        chances = probabilities(angles)
        if exact:
            return chances
        return frequencies(chances, key) if trains else frequencies_by_numpy(chances, key)

    @jax.custom_vjp
    def measured(angles: jax.Array, key: jax.Array) -> jax.Array:
        return draw(angles, key)

    def forward(angles: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        unit = SHIFT * jnp.eye(angles.shape[-1])
        shifts = jnp.concatenate([jnp.zeros_like(unit[:1]), unit, -unit])
        here, plus, minus = jnp.split(draw(angles[:, None] + shifts, key), [1, 1 + len(unit)], axis=1)
        return here[:, 0], plus - minus  # (B, 2^Q), (B, Q, 2^Q)

    def backward(jacobian: jax.Array, upstream: jax.Array) -> tuple[jax.Array, None]:
        return (jacobian * upstream[:, None]).sum(-1), None

    measured.defvjp(forward, backward)

    def logits(weights: dict, images: jax.Array, key: jax.Array) -> jax.Array:
        dropped, shots = jax.random.split(key)
        if trains:
            features = reduced(weights, images, None if exact else dropped)
        else:  # as many images at once as stay in the cache
            one = functools.partial(reduced, weights, key=None)
            features = jax.lax.map(lambda image: one(image[None])[0], images, batch_size=CHUNK)
        squashed = jax.nn.sigmoid(measured(math.pi * jnp.tanh(features), shots))
        return jnp.concatenate([squashed, 1 - squashed], axis=-1)

    return logits


def frequencies(chances: jax.Array, key: jax.Array) -> jax.Array:
    """Frequencies of samples from probabilities (..., 2^Q)."""
    return jax.random.multinomial(key, SHOTS, chances) / SHOTS


def frequencies_by_numpy(chances: jax.Array, key: jax.Array) -> jax.Array:
    """As `frequencies`, which takes many seconds to compile: by a callback, whose way to Python and back is too slow
    for every step of a training (docs.jax.dev: "External callbacks")."""

    def draw(chances: np.ndarray, seed: np.ndarray) -> np.ndarray:
        exact = np.asarray(chances, np.float64)
        exact /= exact.sum(-1, keepdims=True)
        counts = np.random.default_rng(np.asarray(seed)).multinomial(SHOTS, exact)
        return (counts / SHOTS).astype(np.float32)

    shape = jax.ShapeDtypeStruct(chances.shape, chances.dtype)
    return jax.pure_callback(draw, shape, chances, jax.random.key_data(key), vmap_method="sequential")


def reduced(weights: dict, images: jax.Array, key: jax.Array | None) -> jax.Array:
    """Features (B, Q) of images (B, 1, 28, 28) by the notebooks' convolutions; a key means dropout."""
    x = pooled(convolved(images, weights["reducer.conv1.weight"], weights["reducer.conv1.bias"]))
    x = pooled(convolved(x, weights["reducer.conv2.weight"], weights["reducer.conv2.bias"]))
    keep = None
    if key is not None:
        channels, hidden = x.shape[1], weights["reducer.hidden.bias"].shape[0]
        drawn = jax.random.bernoulli(key, 1 - DROPOUT, (len(x), channels + hidden)) / (1 - DROPOUT)
        x, keep = x * drawn[:, :channels, None, None], drawn[:, channels:]
    x = jax.nn.relu(x.reshape(len(x), -1) @ weights["reducer.hidden.weight"].T + weights["reducer.hidden.bias"])
    x = x if keep is None else x * keep
    return x @ weights["reducer.out.weight"].T + weights["reducer.out.bias"]


def convolved(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """As a product with all patches, which XLA does many times faster on a CPU than its own convolution in a scan."""
    outputs, channels, size, _ = kernel.shape
    height, width = (side - size + 1 for side in x.shape[-2:])
    places = [(row, column) for row in range(size) for column in range(size)]
    shifted = jnp.stack([x[..., r : r + height, c : c + width] for r, c in places], 2)
    patches = shifted.reshape(len(x), channels * size * size, height * width)
    found = jnp.einsum("ok,bkn->bon", kernel.reshape(outputs, -1), patches) + bias[:, None]
    return found.reshape(len(x), outputs, height, width)


def pooled(x: jax.Array) -> jax.Array:
    """ReLU of the maximum of 2 x 2 cells."""
    *lead, height, width = x.shape
    return jax.nn.relu(x.reshape(*lead, height // 2, 2, width // 2, 2).max((-3, -1)))


def student(expectations: Callable, probabilities: Callable | None = None) -> Callable:
    """What `jax_jobs.main` takes of a peer with these circuits: (experiment, exact, trains) -> the model."""

    def make(experiment: dict, exact: bool, trains: bool) -> Callable:
        if experiment["reducer"] == "cnn":
            return published(probabilities, exact, trains)
        return original(expectations)

    return make
