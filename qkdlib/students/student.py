"""The student: reducer + encoder + ansatz + read-out, for all seeds of an experiment at once. Every arm (placebo,
distilled, control) is this one class; only the experiment's fields differ."""

import math
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from qkdlib import checks, circuits
from qkdlib.backends import samplers
from qkdlib.circuits import GateList, product, simulation
from qkdlib.circuits.statevector import STATES
from qkdlib.experiment import TWINS, Experiment
from qkdlib.files import checked, read_arrays, write_arrays
from qkdlib.noise import Noise
from qkdlib.randomness import generator
from qkdlib.rounding import shared_product
from qkdlib.students import encoders, own_parts, readouts, reducers, single, twins
from qkdlib.students.encoders import Encoder, blanks
from qkdlib.students.single import SingleStudent

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

LEAK = 0.01  # PyTorch's own
COPIES = 6  # of a training's parameters: themselves, gradients, Adam's two means, the last and the best epoch's
LARGEST = 1 << 26  # numbers of the states that are evaluated at once
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
        circuit: the ansatz; None of a twin, which has none.
        binding: how the ansatz's angles follow from features and weights.
        simulated: `circuit` without the gates that no measurement sees.
        executed: what a quantum computer runs: the encoder's circuit, then the ansatz.

    Raises:
        ValueError: the parts do not fit each other or the image.
    """

    signs: torch.Tensor  # (2^Q, Q)
    seconds_before: float = 0.0  # that its training took before it was interrupted

    def __init__(self, experiment: Experiment, shape: tuple[int, int, int], seeds: list[int]):
        super().__init__()
        self.experiment, self.shape, self.seeds = experiment, shape, list(seeds)
        self.class_names = tuple(map(str, experiment.classes))  # as numbers, until somebody knows better
        qubits, classes = experiment.qubits, len(experiment.classes)
        encoder, self.is_twin = encoders.find(experiment.encoder), experiment.ansatz in TWINS
        described, circuit = None if self.is_twin else circuits.described(experiment), None
        self.measured = described.measure if described else ()  # (): all wires
        if described:
            circuit, self.binding = circuits.compiled(described)
        self.circuit, self.simulated = circuit, circuit and circuits.measured(circuit, self.measured)
        if encoder:
            features = encoder.features(qubits)
        else:
            features = described.features or described.weights if described else qubits
        generators = [generator(seed, "weights") for seed in seeds]
        self.features = features
        self.reducer = reducers.build(experiment.reducer, shape, features, generators, experiment.dropout)
        self.reducer.standardised = encoder is None or encoder.product
        self.reducer.leak = LEAK if experiment.activation == "leaky_relu" else 0.0
        self.encoder: Encoder | None = None
        if encoder:
            self.encoder = own_parts.encoder(encoder, experiment)
            self.encoder.pixels = self.reducer.pixels
        if encoder or experiment.takes_features:
            count = described.weights if described else 3 * qubits
            starts = torch.stack([torch.empty(count).uniform_(-math.pi, math.pi, generator=g) for g in generators])
            # A twin draws as many numbers as its circuit, so that its other weights start as those do.
            starts = starts[:, : 2 * qubits] / math.pi if self.is_twin else starts
            self.theta = nn.Parameter(starts.clone())  # (S, W)
        self.executed = circuits.join(self.encoder.circuit, circuit) if self.encoder and circuit else circuit
        self.noise = Noise(experiment.noise, experiment.noise_level)
        self.noise.check_gates(gate.name for gate in self.executed.gates) if self.executed else None
        self.register_buffer("signs", readouts.pauli_z(experiment.measured_qubits), persistent=False)
        measured = experiment.measured_qubits if experiment.readout == "pauli_z" else len(self.signs)
        self.head = readouts.build(experiment.head, classes, measured, generators)
        self.samplers = samplers.build(experiment.sampler, experiment.shots, self.seeds, self.noise)

    def fit_reducer(self, images: torch.Tensor) -> "Student":
        """Fit what the reducer takes from training images (N, C, H, W) before training, which of the built-in ones only
        `pca` does; and try parts of one's own on them. `ValueError`: one of those does not do what it should."""
        self.reducer.fit(images)
        own_parts.check(self, images)
        return self

    def forward(self, images: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (S, B, L) of images (S, B, C, H, W) or (B, C, H, W); `keep` is the reducer's dropout."""
        return self.logits(self.reducer.prepare(images), keep)

    def logits(self, prepared: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (S, B, L) of what `reducer.prepare` gave, which a training computes once."""
        features = self.reducer(prepared, keep)
        measured = self._outcomes if self.experiment.readout == "outcomes" else self._expectations
        return self.experiment.logit_scale * self.head(measured(features))

    def outcomes(self, images: torch.Tensor) -> torch.Tensor:
        """What the student sees of its circuits, (S, B, 2^M) of M measured wires, the first one least significant:
        exact probabilities, or frequencies of samples, drawn in training and in evaluation from streams of their own.
        """
        return self._outcomes(self.reducer(self.reducer.prepare(images)))

    def angles(self, images: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Angles (S, B, A), in radians, of the circuit `executed` for images (S, B, C, H, W) or (B, C, H, W): those of
        the encoder, which differ per image, then those of the ansatz."""
        return self._angles(self.reducer(self.reducer.prepare(images), keep))

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Exact outcome probabilities (S, B, 2^Q) of all wires, wire 0 least significant, without samples and without
        noise."""
        if self.circuit is None or self.simulated is None:
            checks.fail("ansatz", self.experiment.ansatz, "h_ry or rx_ry_rz: a classical twin has no circuit")
        features = self.reducer(self.reducer.prepare(images))
        if self.encoder is None:
            return simulation.exact(self.circuit, self._angles(features))
        visible = circuits.measured(self.circuit)
        return simulation.after_encoding(visible, self.encoder.state(features), self._bound)

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
        outcomes = readouts.marginal(outcomes.to(self.signs), self.measured)
        measured = outcomes if self.experiment.readout == "outcomes" else outcomes @ self.signs
        with torch.inference_mode():
            logits = self.head(measured.expand(len(self.seeds), *measured.shape))
            return self.experiment.logit_scale * logits[place]

    def zero_vectors(self, prepared: torch.Tensor) -> list[int]:
        """For each seed, how many images have a zero vector of features, which amplitude encoding turns to |0...0>."""
        if self.encoder is None or self.encoder.product:
            return [0] * len(self.seeds)
        chunks = prepared.split(self.evaluation_batch)
        return torch.stack([blanks(self.reducer(chunk)).sum(1) for chunk in chunks]).sum(0).tolist()

    def finite(self) -> list[bool]:
        """Whether all weights of each seed are finite."""
        return torch.stack([p.isfinite().flatten(1).all(1) for p in self.parameters()]).all(0).tolist()

    def parameter_count(self) -> dict[str, int]:
        """Trainable parameters of one seed: quantum are the angles of a circuit, classical all others."""
        quantum = self.theta[0].numel() if self.circuit and hasattr(self, "theta") else 0
        return {"classical": sum(p[0].numel() for p in self.parameters()) - quantum, "quantum": quantum}

    def memory_needed(self, images: torch.Tensor) -> float:
        """Bytes that the training of one seed on images (N, C, H, W) takes, roughly: `COPIES` of its parameters for
        each learning rate, and what a step keeps of its batch."""
        experiment, qubits = self.experiment, self.experiment.qubits
        parameters = COPIES * sum(self.parameter_count().values()) * max(1, len(experiment.learning_rates))
        batch, values = min(experiment.batch_size, len(images)), self.reducer.kept * images[0].numel()
        state, rows, kept = 2**qubits, 1, 2 * STATES
        if self.executed and self._as_executed:
            kind = simulation.kind(self.executed, self.noise)
            state = 4**qubits if kind == "mixed" else state
            if experiment.gradient != "autograd":
                rows, kept = simulation.shifted_circuits(self.executed), 4
            elif kind != "statevector" or experiment.engine == "torchquantum":
                kept = 4 * len(self.executed.gates)
        return 4.0 * (parameters + batch * (values + rows * kept * state))

    @property
    def _as_executed(self) -> bool:
        """Whether training simulates the circuit gate by gate: the others have a faster way to exact numbers."""
        return self.encoder is None or self.experiment.gradient != "autograd" or not self.noise.is_ideal

    @property
    def evaluation_batch(self) -> int:
        """How many images at once are fastest without gradients, as far as their states fit into memory."""
        return max(1, min(self.reducer.evaluation_batch, LARGEST // (len(self.seeds) * 2**self.experiment.qubits)))

    @property
    def _bound(self) -> torch.Tensor:
        """The ansatz's angles (S, A) where no feature is among them."""
        return self.binding.angles(None, self.theta)

    def _angles(self, features: torch.Tensor) -> torch.Tensor:
        if self.encoder is None:
            angles = math.pi * self.experiment.angle_reach * torch.tanh(features)
            return self.binding.angles(angles, self.theta) if self.experiment.takes_features else angles
        encoding = self.encoder.angles(features)
        return torch.cat([encoding, self._bound[:, None].expand(-1, encoding.shape[1], -1)], dim=-1)

    def _outcomes(self, features: torch.Tensor) -> torch.Tensor:
        if self.simulated is None or self.executed is None:
            return twins.bernoulli(features, self.experiment.angle_reach)
        return readouts.marginal(self._of_all_wires(features, self.simulated, self.executed), self.measured)

    def _of_all_wires(self, features: torch.Tensor, simulated: GateList, executed: GateList) -> torch.Tensor:
        if self.experiment.engine == "torchquantum":
            return self._by_torchquantum(features, simulated)
        if self.encoder and not self._as_executed:
            return simulation.after_encoding(simulated, self.encoder.state(features), self._bound)
        draw = self.samplers[0 if self.training else 1] if self.samplers else None
        gradient = self.experiment.gradient
        return simulation.probabilities(executed, self._angles(features), gradient, draw, self.noise)

    def _by_torchquantum(self, features: torch.Tensor, simulated: GateList) -> torch.Tensor:
        """Outcomes by TorchQuantum's own gates, one after the other."""
        amplitudes = None
        if self.encoder is None:
            angles = self._angles(features)
        elif self.encoder.product:
            simulated, angles = circuits.join(self.encoder.circuit, simulated), self._angles(features)
        else:
            amplitudes = self.encoder.state(features)
            angles = self._bound[:, None].expand(-1, amplitudes.shape[1], -1)
            amplitudes = amplitudes.flatten(0, 1)
        found = circuits.to_torchquantum(simulated)(angles.flatten(0, 1), amplitudes)
        return found.unflatten(0, angles.shape[:2])

    def _expectations(self, features: torch.Tensor) -> torch.Tensor:
        """<Z> on each wire, (S, B, Q)."""
        encoder, circuit = self.encoder, self.simulated
        if encoder and circuit is None:
            linear = self.experiment.ansatz == "classical_linear"
            return twins.pooled(encoder.state(features), self.signs, self.theta, linear)
        plain = self.experiment.engine == "stacked" and not (self._as_executed or self.measured)
        if encoder and circuit and encoder.product and plain and product.takes(circuit):
            return simulation.wires_after_encoding(circuit, encoder.state(features), self._bound)
        return shared_product(self._outcomes(features), self.signs)

    def save_weights(self, path: Path) -> None:
        """Write the digest of the experiment, the seeds and the parameters, each (S, ...), atomically as npz."""
        arrays = {name: value.detach().cpu().numpy() for name, value in self.named_parameters()}
        arrays |= {"digest": np.array(self.experiment.digest), "seeds": np.array(self.seeds)}
        write_arrays(path, arrays, compressed=False)

    def load_weights(self, path: Path, diverged: Collection[int] = ()) -> bool:
        """Take the parameters of this student's seeds from a file; False if it is not there or lacks a seed. Those of
        seeds that `diverged` need not be finite. `files.Damaged`: the weights are damaged, or other students'."""
        if not path.exists():
            return False
        parameters = dict(self.named_parameters())
        of_one = sum(parameter[0].numel() * parameter.element_size() for parameter in parameters.values())
        arrays = read_arrays(path, most=(MOST_SEEDS + len(self.seeds)) * (of_one + 8) + 1000 * (len(parameters) + 2))
        with checked(path):
            # Files of earlier versions hold no digest.
            if str(arrays.get("digest", self.experiment.digest)) != self.experiment.digest:
                raise ValueError("it holds the weights of another experiment's students")
            there = arrays["seeds"].tolist()
            if not set(self.seeds) <= set(there):
                return False
            rows, finite = [there.index(seed) for seed in self.seeds], [seed not in diverged for seed in self.seeds]
            for name, parameter in parameters.items():
                found = arrays[name]
                if found.shape != (len(there), *parameter.shape[1:]) or found.dtype != np.float32:
                    raise ValueError(f"{name} has shape {found.shape} and type {found.dtype}")
                if not np.isfinite(found[rows][finite]).all():
                    raise ValueError(f"{name} holds numbers that are not finite")
            self.load_state_dict({name: torch.from_numpy(arrays[name][rows]) for name in parameters})
        return True


def classified_right(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Which images are classified right, by argmax over all logits: an outcome that is no class is wrong."""
    return logits.argmax(-1) == labels
