"""What a student sees of its circuits where it does not see probabilities: frequencies of samples, for each seed from
a stream of its own, whatever other seeds train beside it. A seed that has diverged sees NaN."""

import functools
from collections.abc import Callable

import numpy as np
import torch

from qkdlib.backends import backend
from qkdlib.circuits import GateList, simulation
from qkdlib.noise import IDEAL, Noise
from qkdlib.randomness import stream


class Multinomial:
    """Frequencies of `shots` samples, drawn from the exact outcome probabilities: distributed as the counts of a
    sampling simulator, which it replaces where that would be the slowest part."""

    def __init__(self, shots: int, seeds: list[int], stage: str, noise: Noise = IDEAL):
        self.shots, self.noise = shots, noise
        self.generators = [np.random.default_rng(stream(seed, stage)) for seed in seeds]

    def __call__(self, circuit: GateList, angles: torch.Tensor) -> torch.Tensor:
        """Frequencies (S, ..., 2^Q) for angles (S, ..., A); they carry no gradient."""
        return self.frequencies(simulation.exact(circuit, angles.detach(), self.noise))

    def frequencies(self, exact: torch.Tensor) -> torch.Tensor:
        """Frequencies in the shape of the probabilities `exact` (S, ..., 2^Q)."""
        chances = exact.detach().cpu().double().numpy().clip(min=0)
        with np.errstate(invalid="ignore"):  # of rows that are no numbers, or all zero
            chances /= chances.sum(-1, keepdims=True)
        samplings = (functools.partial(g.multinomial, self.shots) for g in self.generators)
        counts = [_of_numbers(each, of_seed, exact.shape[-1]) for each, of_seed in zip(samplings, chances, strict=True)]
        return torch.from_numpy(np.stack(counts) / self.shots).to(exact)


class OnAer:
    """Frequencies of `shots` samples on Qiskit Aer: one job for each call and seed, with all its circuits."""

    def __init__(self, shots: int, seeds: list[int], stage: str, noise: Noise = IDEAL):
        self.shots, self.backend = shots, backend.aer(noise)
        self.generators = [np.random.default_rng(stream(seed, stage)) for seed in seeds]

    def __call__(self, circuit: GateList, angles: torch.Tensor) -> torch.Tensor:
        """Frequencies (S, ..., 2^Q) for angles (S, ..., A); they carry no gradient."""
        quantum, drawn = self.backend.prepare(circuit), []
        for g, of_seed in zip(self.generators, angles.detach().cpu().double().numpy(), strict=True):
            number = int(g.integers(2**31))
            sample = functools.partial(self.backend.sample, quantum, shots=self.shots, seed=number)
            drawn.append(_of_numbers(sample, of_seed, 2**circuit.qubits))
        return torch.from_numpy(np.stack(drawn)).to(angles)


def _of_numbers(draw: Callable[[np.ndarray], np.ndarray], values: np.ndarray, outcomes: int) -> np.ndarray:
    """What `draw` gives, (N, outcomes), of those rows (N, K) of `values` (..., K) that are numbers; NaN for the others:
    (..., outcomes)."""
    rows = values.reshape(-1, values.shape[-1])
    good, found = np.isfinite(rows).all(-1), np.full((len(rows), outcomes), np.nan)
    if good.any():
        found[good] = draw(rows[good])
    return found.reshape(*values.shape[:-1], outcomes)


def build(name: str, shots: int, seeds: list[int], noise: Noise) -> list[simulation.Outcomes]:
    """The sampler called `name` for training and for testing, each with streams of its own; [] for exact outcomes."""
    if name == "exact":
        return []
    kinds: dict[str, type[Multinomial] | type[OnAer]] = {"multinomial": Multinomial, "aer": OnAer}
    return [kinds[name](shots, seeds, stage, noise) for stage in ("training shots", "test shots")]
