"""The student: reducer + encoder + ansatz + read-out, for all seeds of an experiment at once. Every arm (placebo,
distilled, control) is this one class; only the experiment's fields differ."""

import contextlib
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from qkdlib import checks
from qkdlib.circuits import gatelist
from qkdlib.experiment import Experiment
from qkdlib.files import Damaged, checked, read_arrays, write_arrays
from qkdlib.randomness import generator
from qkdlib.students import own_parts, readouts, reducers, single
from qkdlib.students.encoders import blanks
from qkdlib.students.layer import QuantumLayer
from qkdlib.students.single import SingleStudent

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

LEAK = 0.01  # PyTorch's own
COPIES = 6  # of a training's parameters: themselves, gradients, Adam's two means, the last and the best epoch's
LARGEST = 1 << 22  # numbers of a seed's states that are evaluated at once
MOST_SEEDS = 200  # whose weights a file may hold beside those that are asked for


class Student(nn.Module):
    """S students that differ in their seed.

    Encoder `ansatz_angles`: theta_k = pi tanh(f_k) of the reducer's features takes the place of the ansatz's
    angles. With the ansatz `h_ry` this is the published student: theta is data, no quantum parameter is trained,
    and p(i) = prod_k (1 +- sin theta_k) / 2. In a circuit that has features x beside its weights (data re-uploading, or
    your own) it takes the place of those alone. With any other encoder (`encoders`) the features become a state. The
    weights `theta` (S, W) are trained, from a uniform start in +-pi.

    Args:
        experiment: names the parts.
        shape: (C, H, W) of an image.
        seeds: the seeds, S of them.

    Attributes:
        layer: encoder, circuit and measurement; `encoder`, `circuit` and `executed` are its own.
        theta: the circuit's weights (S, W), in radians; None where it has none.
        extractor: of the experiment's features, images (B, ...) -> (B, F, 1, 1), if images are to be taken, too.

    Raises:
        ValueError: the parts do not fit each other or the image.
    """

    signs: torch.Tensor  # (2^Q, Q)
    extractor: Callable[[torch.Tensor], torch.Tensor] | None = None
    seconds_before: float = 0.0  # that its training took before it was interrupted

    def __init__(self, experiment: Experiment, shape: tuple[int, int, int], seeds: list[int]):
        super().__init__()
        self.experiment, self.shape, self.seeds = experiment, shape, list(seeds)
        self.class_names = tuple(map(str, experiment.classes))  # as numbers, until somebody knows better
        self.layer = QuantumLayer(experiment, self.seeds)
        self.circuit, self.executed = self.layer.circuit, self.layer.executed
        self.encoder, self.features = self.layer.encoder, self.layer.features
        generators = [generator(seed, "weights") for seed in seeds]
        self.reducer = reducers.build(experiment.reducer, shape, self.features, generators, experiment.dropout)
        self.reducer.standardised = self.encoder is None or self.encoder.product
        self.reducer.leak = LEAK if experiment.activation == "leaky_relu" else 0.0
        if self.encoder:
            self.encoder.pixels = self.reducer.pixels
        self.theta = self._started(generators) if self.layer.weights else None
        self.register_buffer("signs", gatelist.pauli_z(experiment.measured_qubits), persistent=False)
        measured = experiment.measured_qubits if experiment.readout == "pauli_z" else len(self.signs)
        self.head = readouts.build(experiment.head, len(experiment.classes), measured, generators)

    def _started(self, generators: list[torch.Generator]) -> nn.Parameter:
        """The circuit's weights (S, W), uniform in +-pi; or its twin's, uniform in +-1."""
        # A twin draws as many numbers as its circuit, so that its other weights start as those do.
        count = 3 * self.experiment.qubits if self.layer.is_twin else self.layer.weights
        starts = torch.stack([torch.empty(count).uniform_(-math.pi, math.pi, generator=g) for g in generators])
        return nn.Parameter((starts[:, : self.layer.weights] / math.pi if self.layer.is_twin else starts).clone())

    def fit_reducer(self, images: torch.Tensor) -> "Student":
        """Fit what the reducer takes from training images (N, C, H, W) before training, which of the built-in ones only
        `pca` does; and try parts of one's own on them. `ValueError`: one of those does not do what it should."""
        self.reducer.fit(images)
        own_parts.check(self, images)
        return self

    def forward(self, images: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (S, B, L) of images (S, B, C, H, W) or (B, C, H, W); `keep` is the reducer's dropout. `ValueError`:
        images of another shape than the student's."""
        return self.logits(self._prepared(images), keep)

    def _prepared(self, images: torch.Tensor) -> torch.Tensor:
        if self.extractor is not None and tuple(images.shape[-3:]) != tuple(self.shape):
            images = self.extractor(images)
        if images.ndim not in (4, 5) or tuple(images.shape[-3:]) != tuple(self.shape):
            checks.fail("images", f"shape {tuple(images.shape)}", f"shape (B, {', '.join(map(str, self.shape))})")
        return self.reducer.prepare(images)

    def logits(self, prepared: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (S, B, L) of what `reducer.prepare` gave, which a training computes once."""
        return self.experiment.logit_scale * self.head(self.measured(self.reducer(prepared, keep)))

    def measured(self, features: torch.Tensor) -> torch.Tensor:
        """What the head sees of features (S, B, F): outcomes (S, B, 2^M) or expectations (S, B, M)."""
        if self.experiment.readout == "outcomes":
            return self.layer.outcomes(features, self.theta, self.training)
        return self.layer.expectations(features, self.theta, self.training, self.signs)

    def outcomes(self, images: torch.Tensor) -> torch.Tensor:
        """What the student sees of its circuits, (S, B, 2^M) of M measured wires, the first one least significant:
        exact probabilities, or frequencies of samples, drawn in training and in evaluation from streams of their own.
        """
        return self.layer.outcomes(self.reducer(self._prepared(images)), self.theta, self.training)

    def angles(self, images: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Angles (S, B, A), in radians, of the circuit `executed` for images (S, B, C, H, W) or (B, C, H, W): those of
        the encoder, which differ per image, then those of the ansatz."""
        return self.layer.angles(self.reducer(self._prepared(images), keep), self.theta)

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Exact outcome probabilities (S, B, 2^Q) of all wires, wire 0 least significant, without samples and without
        noise."""
        if self.circuit is None:
            checks.fail("ansatz", self.experiment.ansatz, "one that is a circuit: a classical twin has none")
        return self.layer.probabilities(self.reducer(self._prepared(images)), self.theta)

    def one(self, seed: int) -> SingleStudent:
        """The student of one of the seeds as an ordinary `nn.Module`, images (B, C, H, W) -> logits (B, C), with its
        own copy of the weights, on the device and in the mode of this one. `ValueError`: it is none of the seeds."""
        return single.copied(self, self._place(seed))

    def qiskit(self, image: torch.Tensor | np.ndarray, seed: int) -> "QuantumCircuit":
        """The bound `qiskit.QuantumCircuit` by which one of the seeds classifies an image (C, H, W): encoder, ansatz
        and a measurement of all wires. `ValueError`: a twin has no circuit; a wrong image or seed."""
        return single.bound(self, image, self._place(seed))

    def _place(self, seed: int) -> int:
        return self.seeds.index(checks.one_of("seed", checks.whole("seed", seed, minimum=0), self.seeds))

    def read_out(self, outcomes: torch.Tensor, place: int) -> torch.Tensor:
        """Logits (B, L) of the `place`-th seed for outcome frequencies (B, 2^Q)."""
        outcomes = readouts.marginal(outcomes.to(self.signs), self.layer.measured)
        measured = outcomes if self.experiment.readout == "outcomes" else outcomes @ self.signs
        with torch.inference_mode():
            logits = self.head(measured.expand(len(self.seeds), *measured.shape))
            return self.experiment.logit_scale * logits[place]

    def zero_vectors(self, features: torch.Tensor) -> torch.Tensor:
        """For each seed (S,), how many of the features (S, B, F) are zero vectors, which amplitude encoding turns to
        |0...0>."""
        if self.encoder is None or self.encoder.product:
            return torch.zeros(len(features), dtype=torch.long, device=features.device)
        return blanks(features).sum(1)

    def finite(self) -> list[bool]:
        """Whether all weights of each seed are finite."""
        return torch.stack([p.isfinite().flatten(1).all(1) for p in self.parameters()]).all(0).tolist()

    def parameter_count(self) -> dict[str, int]:
        """Trainable parameters of one seed: quantum are the angles of a circuit, classical all others."""
        quantum = 0 if self.layer.is_twin else self.layer.weights
        return {"classical": sum(p[0].numel() for p in self.parameters()) - quantum, "quantum": quantum}

    def memory_needed(self, images: torch.Tensor) -> float:
        """Bytes that the training of one seed on images (N, C, H, W) takes, roughly: `COPIES` of its parameters for
        each learning rate, and what a step keeps of its batch."""
        experiment = self.experiment
        parameters = COPIES * sum(self.parameter_count().values()) * max(1, len(experiment.learning_rates))
        batch, values = min(experiment.batch_size, len(images)), self.reducer.kept * images[0].numel()
        return 4.0 * (parameters + batch * (values + self.layer.numbers_kept()))

    @property
    def evaluation_batch(self) -> int:
        """How many images at once are fastest without gradients, as far as their states fit into memory; whatever the
        number of seeds, by which a mean over chunks would round."""
        return max(1, min(self.reducer.evaluation_batch, LARGEST >> self.experiment.qubits))

    def save_weights(self, path: Path) -> None:
        """Write the digest of the experiment, the seeds and the parameters, each (S, ...), atomically as npz. Other
        seeds' that lie there already stay, `MOST_SEEDS` at most."""
        arrays = {name: value.detach().cpu().numpy() for name, value in self.named_parameters()}
        arrays |= {"seeds": np.array(self.seeds)}
        with contextlib.suppress(FileNotFoundError, Damaged):  # which the new file takes the place of
            there = self._read(path)
            rows = np.flatnonzero(~np.isin(there["seeds"], self.seeds))[:MOST_SEEDS]
            arrays = {name: np.concatenate([mine, there[name][rows]]) for name, mine in arrays.items()}
        write_arrays(path, arrays | {"digest": np.array(self.experiment.digest)}, compressed=False)

    def load_weights(self, path: Path, diverged: Collection[int] = ()) -> bool:
        """Take the parameters of this student's seeds from a file; False if it is not there or lacks a seed. Those of
        seeds that `diverged` need not be finite. `files.Damaged`: the weights are damaged, or other students'."""
        if not path.exists():
            return False
        arrays = self._read(path)
        with checked(path):
            there = arrays["seeds"].tolist()
            if not set(self.seeds) <= set(there):
                return False
            rows, finite = [there.index(seed) for seed in self.seeds], [seed not in diverged for seed in self.seeds]
            for name, _ in self.named_parameters():
                if not np.isfinite(arrays[name][rows][finite]).all():
                    raise ValueError(f"{name} holds numbers that are not finite")
            self.load_state_dict({name: torch.from_numpy(arrays[name][rows]) for name, _ in self.named_parameters()})
        return True

    def _read(self, path: Path) -> dict[str, np.ndarray]:
        """Seeds and parameters in a file. `files.Damaged`: they are no such, or other students'."""
        parameters = dict(self.named_parameters())
        of_one = sum(parameter[0].numel() * parameter.element_size() for parameter in parameters.values())
        # As many as were asked for before, and these beside them.
        most = (2 * MOST_SEEDS + len(self.seeds)) * (of_one + 8) + 1000 * (len(parameters) + 2)
        arrays = read_arrays(path, most)
        with checked(path):
            # Files of earlier versions hold no digest.
            if str(arrays.get("digest", self.experiment.digest)) != self.experiment.digest:
                raise ValueError("it holds the weights of another experiment's students")
            for name, parameter in parameters.items():
                found = arrays[name]
                if found.shape != (len(arrays["seeds"]), *parameter.shape[1:]) or found.dtype != np.float32:
                    raise ValueError(f"{name} has shape {found.shape} and type {found.dtype}")
            return {name: arrays[name] for name in ("seeds", *parameters)}


def classified_right(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which images are classified right, by argmax over all logits: an outcome that is no class is wrong."""
    return logits.argmax(-1) == labels
