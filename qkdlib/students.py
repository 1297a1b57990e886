"""The student: reducer + encoder + ansatz + read-out, for all seeds of an experiment at once.

Every arm (placebo, distilled, control) is this one class; only the experiment's fields differ.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from qkdlib import checks, circuits, encoders, readouts, simulation
from qkdlib.experiment import Experiment
from qkdlib.randomness import generator
from qkdlib.reducers import REDUCERS
from qkdlib.workspace import atomic


class Student(nn.Module):
    """S students that differ in their seed.

    Encoder `ansatz_angles`: theta_k = pi tanh(f_k) of the reducer's Q features takes the place of the ansatz's
    angles. With the ansatz `h_ry` this is the published student: theta is data, no quantum parameter is trained,
    and p(i) = prod_k (1 +- sin theta_k) / 2. With an amplitude encoder the reducer's 2^Q features become the state, and
    the ansatz's angles `theta` (S, A) are trained, from a uniform start in +-pi.

    Args:
        experiment: names the parts.
        shape: (C, H, W) of an image.
        seeds: the seeds, S of them.
    """

    def __init__(self, experiment: Experiment, shape: tuple[int, int, int], seeds: list[int]):
        super().__init__()
        self.experiment, self.seeds = experiment, list(seeds)
        self.circuit = circuits.build(experiment.ansatz, experiment.qubits)
        self.encode = encoders.AMPLITUDES.get(experiment.encoder)
        features = 2**experiment.qubits if self.encode else self.circuit.angles
        generators = [generator(seed, "weights") for seed in seeds]
        self.reducer = REDUCERS[experiment.reducer](shape, features, generators, experiment.dropout)
        if self.encode:
            starts = [torch.empty(self.circuit.angles).uniform_(-math.pi, math.pi, generator=g) for g in generators]
            self.theta = nn.Parameter(torch.stack(starts))  # (S, A)
        self.head = readouts.build(experiment.head, len(experiment.classes))
        stages = ("training shots", "test shots") if experiment.sampler == "multinomial" else ()
        self.draws = [simulation.Multinomial(experiment.shots, self.seeds, stage) for stage in stages]

    def angles(self, images: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """The circuit's angles (S, B, A), in radians, of images (S, B, C, H, W) or (B, C, H, W).

        Raises:
            ValueError: the angles do not depend on the images.
        """
        if self.encode:
            checks.fail("encoder", self.experiment.encoder, "ansatz_angles, the encoder that turns images into angles")
        return math.pi * torch.tanh(self.reducer(images, keep))

    def outcomes(self, images: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """What the student sees of its circuits, (S, B, 2^Q), wire 0 least significant: exact probabilities, or
        frequencies of samples, drawn in training and in evaluation from streams of their own."""
        if self.encode:
            return simulation.evolve(self.circuit, self.encode(self.reducer(images, keep)), self.theta)
        draw = self.draws[0 if self.training else 1] if self.draws else None
        return simulation.probabilities(self.circuit, self.angles(images, keep), self.experiment.gradient, draw)

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Exact outcome probabilities (S, B, 2^Q), whatever the sampler."""
        return self.outcomes(images) if self.encode else simulation.bloch(self.circuit, self.angles(images))

    def forward(self, images: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (S, B, L); `keep` is the reducer's dropout."""
        return self.head(self.outcomes(images, keep))

    def parameter_count(self) -> dict[str, int]:
        """Trainable parameters of one seed, classical and quantum."""
        quantum = self.theta[0].numel() if self.encode else 0
        return {"classical": sum(p[0].numel() for p in self.parameters()) - quantum, "quantum": quantum}

    def save_weights(self, path: Path) -> None:
        """Write the seeds and the parameters, each (S, ...), atomically as npz without pickle."""
        arrays = {name: value.detach().cpu().numpy() for name, value in self.named_parameters()}
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, seeds=np.array(self.seeds), **arrays)

    def load_weights(self, path: Path) -> bool:
        """Take the parameters of this student's seeds from a file; False if it is not there or lacks a seed.

        Raises:
            ValueError: the file is damaged.
        """
        if not path.exists():
            return False
        try:
            with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
                there = file["seeds"].tolist()
                if not set(self.seeds) <= set(there):
                    return False
                rows = [there.index(seed) for seed in self.seeds]
                self.load_state_dict({name: torch.from_numpy(file[name][rows]) for name, _ in self.named_parameters()})
        except Exception as error:
            raise ValueError(f"{path} is damaged ({error}); delete it to train the students again") from error
        return True


def correct(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which images are classified right, by argmax over all logits: an outcome that is no class is wrong."""
    return logits.argmax(-1) == labels
