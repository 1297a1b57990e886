"""The student: reducer + encoder + ansatz + read-out, for all seeds of an experiment at once.

Every arm (placebo, distilled, control) is this one class; only the experiment's fields differ.
"""

import math

import torch
from torch import nn

from qkdlib import circuits, simulation
from qkdlib.experiment import Experiment
from qkdlib.randomness import generator
from qkdlib.readouts import HEADS
from qkdlib.reducers import REDUCERS


class Student(nn.Module):
    """S students that differ in their seed.

    Encoder `ansatz_angles`: theta_k = pi tanh(f_k) of the reducer's Q features takes the place of the ansatz's
    angles. With the ansatz `h_ry` this is the published student: theta is data, no quantum parameter is trained,
    and p(i) = prod_k (1 +- sin theta_k) / 2.

    Args:
        experiment: names the parts.
        shape: (C, H, W) of an image.
        seeds: the seeds, S of them.
    """

    def __init__(self, experiment: Experiment, shape: tuple[int, int, int], seeds: list[int]):
        super().__init__()
        self.experiment, self.seeds = experiment, list(seeds)
        self.circuit = circuits.build(experiment.ansatz, experiment.qubits)
        generators = [generator(seed, "weights") for seed in seeds]
        self.reducer = REDUCERS[experiment.reducer](shape, self.circuit.angles, generators, experiment.dropout)
        self.head = HEADS[experiment.head]

    def angles(self, images: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """The circuit's angles (S, B, A), in radians, of images (S, B, C, H, W) or (B, C, H, W)."""
        return math.pi * torch.tanh(self.reducer(images, keep))

    def probabilities(self, images: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Exact outcome probabilities (S, B, 2^Q), wire 0 least significant."""
        return simulation.probabilities(self.circuit, self.angles(images, keep), self.experiment.gradient)

    def forward(self, images: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (S, B, L); `keep` is the reducer's dropout."""
        return self.head(self.probabilities(images, keep))

    def parameter_count(self) -> dict[str, int]:
        """Trainable parameters of one seed, classical and quantum."""
        return {"classical": sum(p[0].numel() for p in self.parameters()), "quantum": 0}


def correct(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which images are classified right, by argmax over all logits: an outcome that is no class is wrong."""
    return logits.argmax(-1) == labels
