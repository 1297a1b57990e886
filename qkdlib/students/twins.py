"""Classical twins: layers of the same inputs and outputs as a student's quantum layer, with at most as many trained
parameters, to see what the quantum layer adds."""

import math

import torch

from qkdlib.circuits import product
from qkdlib.rounding import shared_product


def bernoulli(features: torch.Tensor, reach: float = 1.0) -> torch.Tensor:
    """The twin of H + RY(theta_k) with theta = pi reach tanh f and outcome frequencies: independent bits with chances
    sigmoid(2 pi reach f_k) of a 1, which has the circuit's slope at 0 and does not fold back.

    Features (S, B, Q) -> outcome probabilities (S, B, 2^Q), wire 0 least significant, without a trained parameter, as
    the circuit. A reach of 1 / (2 pi) is the plain sigmoid.
    """
    return product.outcomes(-torch.tanh(math.pi * reach * features))


def pooled(state: torch.Tensor, signs: torch.Tensor, parameters: torch.Tensor, linear: bool = False) -> torch.Tensor:
    """The twin of amplitude encoding + RX RY RZ + <Z>: a hidden layer. The ReLUs of the normalised features are added
    up with the signs of each wire's Z, scaled and shifted.

    Args:
        state: normalised features (S, B, 2^Q).
        signs: (2^Q, Q), as `gatelist.pauli_z`.
        parameters: (S, 2 Q): scales, then shifts; the circuit has 3 Q.
        linear: sum the features themselves, and squash the result by tanh. Then all that follows sees Q linear features
            of the image, where the circuit's outcomes are functions of 2^Q.

    Returns:
        (S, B, Q).
    """
    scales, shifts = parameters[:, None].chunk(2, dim=-1)
    sums = shared_product(state if linear else torch.relu(state), signs)
    return torch.tanh(scales * sums + shifts) if linear else scales * sums + shifts
