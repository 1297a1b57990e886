"""Encoders: features (S, B, F) -> quantum states of Q wires, each a small class with its formula.

`features(qubits)` says how many features an encoder takes; `angles(features)` are those of its `circuit`, (S, B, A) in
radians, by which a quantum computer prepares the state. An amplitude encoder's `state(features)` is real amplitudes
(S, B, 2^Q), wire 0 least significant; the others turn each wire by itself, and theirs is spinors (2, 2, S, B, Q), as
`circuits.product` has them.
"""

import abc
import math

import torch

from qkdlib import circuits, parts
from qkdlib.circuits import GateList, product, state_preparation

SMALLEST = 1e-15  # a norm below it is that of a zero vector: its square does not fit into 32 bits


class Encoder(abc.ABC):
    """What all encoders have. One of your own (`register`) is made as (qubits), and sets its `circuit`; it may also be
    one of those below with another formula of `angles` or `state`.

    Attributes:
        circuit: prepares the state from |0...0>; it takes as many angles as `angles` gives.
        product: whether `state` is spinors (2, 2, S, B, Q) rather than real amplitudes (S, B, 2^Q).
        pixels: whether features are pixels in [0, 1], as the student says that knows its reducer.
    """

    circuit: GateList
    product = False
    pixels = False

    @staticmethod
    @abc.abstractmethod
    def features(qubits: int) -> int:
        """How many features it takes."""

    @abc.abstractmethod
    def angles(self, features: torch.Tensor) -> torch.Tensor:
        """Angles (S, B, A) of the circuit, in radians, for features (S, B, F)."""

    @abc.abstractmethod
    def state(self, features: torch.Tensor) -> torch.Tensor:
        """The state that the circuit prepares with those angles."""


class Amplitude(Encoder):
    """sum_i f_i |i> / ||f|| (v1, Eq. 14; v2); a zero vector becomes |0...0>."""

    def __init__(self, qubits: int):
        self.circuit = circuits.amplitude_encoding(qubits)

    @staticmethod
    def features(qubits: int) -> int:
        return 2**qubits

    def angles(self, features: torch.Tensor) -> torch.Tensor:
        return state_preparation.angles(self.state(features))

    def state(self, features: torch.Tensor) -> torch.Tensor:
        return amplitude(features)


class AmplitudeTanh(Amplitude):
    """Amplitude encoding of x' = pi tanh f (v1, section 3.4 and Eq. 15). The factor pi cancels in the norm."""

    def state(self, features: torch.Tensor) -> torch.Tensor:
        return amplitude(math.pi * torch.tanh(features))


class Angle(Encoder):
    """Feature j turns wire j mod Q by an angle; layer j div Q uses RX, RY, RZ, RX in turn (v2, Fig. 1). The angle is pi
    f of a pixel f in [0, 1], and pi tanh f of any other feature."""

    product = True

    def __init__(self, qubits: int, pixels: bool = False):
        self.pixels = pixels
        self.circuit = circuits.angle_encoding(qubits, self.features(qubits))

    @staticmethod
    def features(qubits: int) -> int:
        """2^Q, or where Q does not divide it the next multiple of Q."""
        return -(-(2**qubits) // qubits) * qubits

    def angles(self, features: torch.Tensor) -> torch.Tensor:
        return math.pi * (features if self.pixels else torch.tanh(features))

    def state(self, features: torch.Tensor) -> torch.Tensor:
        return product.rotate(self.circuit, self.angles(features))


class Qubit(Angle):
    """RY(pi x_k) on wire k: cos(pi x_k / 2)|0> + sin(pi x_k / 2)|1> (v2). x is a pixel in [0, 1], and the sigmoid of
    any other feature."""

    def __init__(self, qubits: int, pixels: bool = False):
        self.pixels = pixels
        self.circuit = circuits.qubit_encoding(qubits)

    @staticmethod
    def features(qubits: int) -> int:
        return qubits

    def angles(self, features: torch.Tensor) -> torch.Tensor:
        if self.pixels:
            return math.pi * features
        # torch.sigmoid rounds the end of a tensor differently, and so the last of the seeds. Below -80 it is 0 anyway,
        # and its gradient would become 0 times infinity.
        return math.pi * (1 / (1 + torch.exp(-features.clamp_min(-80))))


def amplitude(features: torch.Tensor) -> torch.Tensor:
    """f / ||f|| along the last axis; a zero vector becomes (1, 0, ..., 0)."""
    norm = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
    blank = norm < SMALLEST
    ground = torch.zeros_like(features)
    ground[..., 0] = 1.0
    return torch.where(blank, ground, features / torch.where(blank, 1.0, norm))


def blanks(features: torch.Tensor) -> torch.Tensor:
    """Which feature vectors (..., F) count as zero."""
    return torch.linalg.vector_norm(features, dim=-1) < SMALLEST


ENCODERS: dict[str, type[Encoder]] = {
    "amplitude": Amplitude,
    "amplitude_tanh": AmplitudeTanh,
    "angle": Angle,
    "qubit": Qubit,
}


def find(name: str) -> type[Encoder] | None:
    """The encoder called `name`, built in or registered; None where the features are the ansatz's own angles."""
    return None if name == "ansatz_angles" else parts.find("encoder", name, ENCODERS)
