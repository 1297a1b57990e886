"""One independent stream of random numbers for each seed and stage.

A stage (data, weights, order, dropout, shots, ...) draws from its own generator, so that a change in one stage
leaves the others as they are, and seed 7 draws the same numbers alone or beside 39 others.
"""

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stream(seed: int, stage: str) -> np.random.SeedSequence:
    """The seed sequence of `stage` under `seed`."""
    return np.random.SeedSequence([seed, zlib.crc32(stage.encode())])


def number(seed: int, stage: str) -> int:
    """A 31-bit number for libraries that take an integer seed (Aer)."""
    return int(stream(seed, stage).generate_state(1)[0] >> 1)


def generator(seed: int, stage: str) -> "torch.Generator":
    """A `torch.Generator` on the CPU for `stage` under `seed`; draws are moved to the device afterwards, so
    that results do not depend on it."""
    import torch

    return torch.Generator().manual_seed(number(seed, stage))
