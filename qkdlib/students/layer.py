"""The layer between a student's features and its head: encoder, circuit and measurement, or the classical twin of them.

It has no weights of its own: those of the circuit, `theta` (S, W), are the student's and come with every call.
"""

import functools
import math

import torch

from qkdlib import circuits
from qkdlib.backends import samplers
from qkdlib.circuits import GateList, product, simulation
from qkdlib.circuits.statevector import STATES
from qkdlib.experiment import Experiment
from qkdlib.experiment_checks import TWINS
from qkdlib.noise import Noise
from qkdlib.rounding import shared_product
from qkdlib.students import encoders, own_parts, readouts, twins
from qkdlib.students.encoders import Encoder


class QuantumLayer:
    """Features (S, B, F) -> what is measured, (S, B, 2^M) outcomes of M wires or (S, B, M) expectations <Z>.

    Attributes:
        encoder: by which the features become a state; None where they are angles of the circuit.
        circuit: the ansatz; None of a twin, which has none.
        simulated: `circuit` without the gates that no measurement sees.
        executed: what a quantum computer runs: the encoder's circuit, then the ansatz.
        features, weights: how many it takes.
        samplers: of training and of evaluation, where outcomes are sampled.
    """

    def __init__(self, experiment: Experiment, seeds: list[int]):
        self.experiment, qubits = experiment, experiment.qubits
        make = encoders.find(experiment.encoder)
        self.encoder: Encoder | None = own_parts.encoder(make, experiment) if make else None
        self.circuit: GateList | None = None
        self.simulated: GateList | None = None
        self.measured: tuple[int, ...] = ()  # all wires
        self.weights, self.features = 2 * qubits, qubits  # a twin's
        if experiment.ansatz not in TWINS:
            described = circuits.described(experiment)
            self.circuit, self._binding = circuits.compiled(described)
            self.measured = tuple(described.measure)
            self.simulated = circuits.measured(self.circuit, self.measured)
            self.weights, self.features = described.weights, described.features or described.weights
        if make:
            self.features = make.features(qubits)
        elif not experiment.takes_features:
            self.weights = 0  # features are all the angles that there are
        self.executed = self.circuit
        if self.encoder and self.circuit:
            self.executed = circuits.join(self.encoder.circuit, self.circuit)
        self.noise = Noise(experiment.noise, experiment.noise_level)
        if self.executed:
            self.noise.check_gates(gate.name for gate in self.executed.gates)
        self.samplers = samplers.build(experiment.sampler, experiment.shots, seeds, self.noise)

    @functools.cached_property
    def _run_for_outcomes(self) -> GateList | None:
        """The circuit that training runs from |0...0>: what is executed, but for gates of a circuit with features that
        no measurement sees. Their gradients would be rounding noise, of which Adam makes whole steps."""
        exact = self.noise.is_ideal and not self.samplers and self.experiment.takes_features
        both = self.executed, self.simulated
        if exact and all(circuit and simulation.kind(circuit) == "statevector" for circuit in both):
            return self.simulated
        return self.executed

    @property
    def is_twin(self) -> bool:
        """Whether it is the classical twin of a quantum layer."""
        return self.circuit is None

    def angles(self, features: torch.Tensor, theta: torch.Tensor | None) -> torch.Tensor:
        """Angles (S, B, A), in radians, of the circuit `executed`."""
        if self.encoder is None:
            angles = math.pi * self.experiment.angle_reach * torch.tanh(features)
            return self._binding.angles(angles, _given(theta, features)) if self.experiment.takes_features else angles
        encoding = self.encoder.angles(features)
        return torch.cat([encoding, self._bound(theta, features)[:, None].expand(-1, encoding.shape[1], -1)], dim=-1)

    def outcomes(self, features: torch.Tensor, theta: torch.Tensor | None, training: bool) -> torch.Tensor:
        """Exact probabilities (S, B, 2^M), or frequencies of samples, the first of the M measured wires being the least
        significant."""
        if self.simulated is None or self._run_for_outcomes is None:
            return twins.bernoulli(features, self.experiment.angle_reach)
        if self.experiment.engine == "torchquantum":
            found = self._by_torchquantum(features, theta, self.simulated)
        elif self.encoder and not self._as_executed:
            found = simulation.after_encoding(
                self.simulated, self.encoder.state(features), self._bound(theta, features)
            )
        else:
            draw = self.samplers[0 if training else 1] if self.samplers else None
            angles = self.angles(features, theta)
            found = simulation.probabilities(self._run_for_outcomes, angles, self.experiment.gradient, draw, self.noise)
        return readouts.marginal(found, self.measured)

    def expectations(
        self, features: torch.Tensor, theta: torch.Tensor | None, training: bool, signs: torch.Tensor
    ) -> torch.Tensor:
        """<Z> on each measured wire, (S, B, M); `signs` (2^M, M) as of `gatelist.pauli_z`."""
        encoder, circuit = self.encoder, self.simulated
        if encoder and circuit is None:
            linear = self.experiment.ansatz == "classical_linear"
            return twins.pooled(encoder.state(features), signs, _given(theta, features), linear)
        if encoder and circuit and self.sees_wires:
            return simulation.wires_after_encoding(circuit, encoder.state(features), self._bound(theta, features))
        return shared_product(self.outcomes(features, theta, training), signs)

    def probabilities(self, features: torch.Tensor, theta: torch.Tensor | None) -> torch.Tensor:
        """Exact outcome probabilities (S, B, 2^Q) of all wires, without samples and without noise."""
        assert self.circuit is not None
        if self.encoder is None:
            return simulation.exact(self.circuit, self.angles(features, theta))
        visible = circuits.measured(self.circuit)
        return simulation.after_encoding(visible, self.encoder.state(features), self._bound(theta, features))

    def numbers_kept(self) -> int:
        """About how many numbers a step of training keeps for each image."""
        state, rows, kept = 2**self.experiment.qubits, 1, 2 * STATES
        if self.simulated and self.experiment.engine == "torchquantum":  # which keeps a state for each gate
            turned = len(self.encoder.circuit.gates) if self.encoder and self.encoder.product else 0
            kept = 4 * (turned + len(self.simulated.gates))
        elif self.executed and self._as_executed:
            kind = simulation.kind(self.executed, self.noise)
            state = 4**self.experiment.qubits if kind == "mixed" else state
            if self.experiment.gradient != "autograd":
                rows, kept = simulation.shifted_circuits(self.executed), 4
            elif kind != "statevector":
                kept = 4 * len(self.executed.gates)
        return rows * kept * state

    @functools.cached_property
    def sees_wires(self) -> bool:
        """Whether all that is measured is exact <Z> on every wire, after a circuit without gates between wires."""
        plain = self.experiment.engine == "stacked" and not (self._as_executed or self.measured)
        exact_z = plain and self.experiment.readout == "pauli_z" and self.simulated is not None
        return exact_z and product.takes(self.simulated)

    @property
    def shifts(self) -> bool:
        """Whether all wires are measured, after a circuit from |0...0> that training differentiates by shifts."""
        by_shifts = self.experiment.gradient != "autograd" and self.experiment.engine == "stacked"
        return by_shifts and self.encoder is None and not (self.is_twin or self.measured)

    @property
    def plain_weights(self) -> bool:
        """Whether the circuit has weights, and its angles are these, each once and as it is."""
        return self.circuit is not None and self.weights > 0 and self._binding.is_plain

    @property
    def _as_executed(self) -> bool:
        """Whether training simulates the circuit gate by gate: the others have a faster way to exact numbers."""
        return self.encoder is None or self.experiment.gradient != "autograd" or not self.noise.is_ideal

    def _bound(self, theta: torch.Tensor | None, features: torch.Tensor) -> torch.Tensor:
        """The ansatz's angles (S, A) where no feature is among them."""
        return self._binding.angles(None, _given(theta, features))

    def _by_torchquantum(self, features: torch.Tensor, theta: torch.Tensor | None, simulated: GateList) -> torch.Tensor:
        """Outcomes of all wires by TorchQuantum's own gates, one after the other."""
        amplitudes = None
        if self.encoder is None or self.encoder.product:
            angles = self.angles(features, theta)
            simulated = circuits.join(self.encoder.circuit, simulated) if self.encoder else simulated
        else:
            amplitudes = self.encoder.state(features)
            angles = self._bound(theta, features)[:, None].expand(-1, amplitudes.shape[1], -1)
            amplitudes = amplitudes.flatten(0, 1)
        found = circuits.to_torchquantum(simulated)(angles.flatten(0, 1), amplitudes)
        return found.unflatten(0, angles.shape[:2]).to(angles)  # its own precision is complex64


def _given(theta: torch.Tensor | None, features: torch.Tensor) -> torch.Tensor:
    """Weights (S, W), of which there may be none."""
    return features.new_zeros(len(features), 0) if theta is None else theta
