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
    sampling simulator, which it replaces where that would be the slowest part.

    On CUDA they are drawn there, for all seeds at once and from another stream, which the first seed's begins: then a
    seed's samples depend on those beside it.
    """

    def __init__(self, shots: int, seeds: list[int], stage: str, noise: Noise = IDEAL):
        self.shots, self.noise = shots, noise
        self.generators = [np.random.default_rng(stream(seed, stage)) for seed in seeds]

    def __call__(self, circuit: GateList, angles: torch.Tensor) -> torch.Tensor:
        """Frequencies (S, ..., 2^Q) for angles (S, ..., A); they carry no gradient."""
        return self.frequencies(simulation.exact(circuit, angles.detach(), self.noise))

    def frequencies(self, exact: torch.Tensor) -> torch.Tensor:
        """Frequencies in the shape of the probabilities `exact` (S, ..., 2^Q)."""
        if exact.device.type == "cuda":
            # Seeded anew for each call, so that numpy's generators are all that a checkpoint has to keep.
            draw = torch.Generator(exact.device).manual_seed(int(self.generators[0].integers(2**63)))
            return (counts(exact.detach().double(), self.shots, draw) / self.shots).to(exact)
        chances = exact.detach().cpu().double().numpy().clip(min=0)
        with np.errstate(invalid="ignore"):  # of rows that are no numbers, or all zero
            chances /= chances.sum(-1, keepdims=True)
        samplings = [functools.partial(g.multinomial, self.shots) for g in self.generators]
        if np.isfinite(chances).all():
            drawn = [draw(of_seed) for draw, of_seed in zip(samplings, chances, strict=True)]
        else:
            drawn = [_of_numbers(*both, exact.shape[-1]) for both in zip(samplings, chances, strict=True)]
        return torch.from_numpy(np.stack(drawn) / self.shots).to(exact)


def counts(chances: torch.Tensor, shots: int, draw: torch.Generator | None = None) -> torch.Tensor:
    """How often each outcome comes in `shots` samples, in the shape and on the device of `chances` (..., 2^Q), which
    need not add up to 1. A multinomial draw by halves: of the samples in a block of outcomes those in its lower half
    are binomial, and so on. Rows that are no numbers, or all zero, give NaN."""
    total = chances.sum(-1, keepdim=True)
    sound = total.isfinite() & (total > 0)
    blocks = [torch.where(sound, chances.clamp_min(0), 1.0)]
    while blocks[-1].shape[-1] > 1:
        blocks.append(blocks[-1].unflatten(-1, (-1, 2)).sum(-1))
    found = torch.full_like(total, shots)
    for block in blocks[-2::-1]:
        low, both = block[..., ::2], block.unflatten(-1, (-1, 2)).sum(-1)
        share = torch.where(both > 0, low / both, 0.0).clamp(0, 1)
        lower = torch.binomial(found, share, generator=draw)
        found = torch.stack([lower, found - lower], -1).flatten(-2)
    return torch.where(sound, found, torch.nan)


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
