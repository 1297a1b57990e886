"""What a student sees of its circuits where it does not see probabilities: frequencies of samples, for each seed from
a stream of its own, so that a seed sees the same whatever other seeds train beside it."""

import numpy as np
import torch

from qkdlib import simulation
from qkdlib.circuits import Circuit
from qkdlib.noise import IDEAL, Noise
from qkdlib.randomness import stream


class Multinomial:
    """Frequencies of `shots` samples, drawn from the exact outcome probabilities.

    Distributed as the counts of a sampling simulator, which it replaces where that would be the slowest part.
    """

    def __init__(self, shots: int, seeds: list[int], stage: str, noise: Noise = IDEAL):
        self.shots, self.noise = shots, noise
        self.generators = [np.random.default_rng(stream(seed, stage)) for seed in seeds]

    def __call__(self, circuit: Circuit, angles: torch.Tensor) -> torch.Tensor:
        """Frequencies (S, ..., 2^Q) for angles (S, ..., A); they carry no gradient."""
        return self.frequencies(simulation.exact(circuit, angles.detach(), self.noise))

    def frequencies(self, exact: torch.Tensor) -> torch.Tensor:
        """Frequencies in the shape of the probabilities `exact` (S, ..., 2^Q)."""
        chances = exact.detach().double().cpu().numpy().clip(min=0)
        chances /= chances.sum(-1, keepdims=True)
        counts = [g.multinomial(self.shots, of_seed) for g, of_seed in zip(self.generators, chances, strict=True)]
        return torch.from_numpy(np.stack(counts) / self.shots).to(exact)


class OnAer:
    """Frequencies of `shots` samples on Qiskit Aer: one job for each call and seed, with all its circuits."""

    def __init__(self, shots: int, seeds: list[int], stage: str, noise: Noise = IDEAL):
        from qkdlib import backends

        self.shots, self.backend = shots, backends.aer(noise)
        self.generators = [np.random.default_rng(stream(seed, stage)) for seed in seeds]

    def __call__(self, circuit: Circuit, angles: torch.Tensor) -> torch.Tensor:
        """Frequencies (S, ..., 2^Q) for angles (S, ..., A); they carry no gradient."""
        quantum = self.backend.prepare(circuit)
        rows = angles.detach().double().cpu().reshape(len(angles), -1, circuit.angles).numpy()
        found = [
            self.backend.sample(quantum, of_seed, self.shots, int(g.integers(2**31)))
            for g, of_seed in zip(self.generators, rows, strict=True)
        ]
        return torch.from_numpy(np.stack(found)).to(angles).reshape(*angles.shape[:-1], 2**circuit.qubits)


def build(name: str, shots: int, seeds: list[int], noise: Noise) -> list:
    """The sampler called `name` for training and for testing, each with streams of its own; [] for exact outcomes."""
    if name == "exact":
        return []
    sampler = {"multinomial": Multinomial, "aer": OnAer}[name]
    return [sampler(shots, seeds, stage, noise) for stage in ("training shots", "test shots")]
