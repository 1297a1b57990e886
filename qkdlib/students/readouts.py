"""Read-outs: what is measured, and heads that turn it into logits, of which the first C are classes.

Read-out `outcomes` is probabilities or shot frequencies (..., 2^Q), `pauli_z` the expectations <Z> (..., Q) on each
wire.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from qkdlib import parts
from qkdlib.students.stacked import StackedLinear

FLOOR = 1e-9


def sigmoid_complement(outcomes: torch.Tensor) -> torch.Tensor:
    """(..., 2^Q) -> (..., 2^(Q+1)): sigmoid(p) and 1 - sigmoid(p), as in 21 of the authors' 24 student notebooks. The
    logits lie in [0.27, 0.73], so the cross entropy over them cannot fall below 2.5449 for 3 qubits."""
    # torch.sigmoid rounds the end of a tensor differently, and so the last of the seeds.
    squashed = 1 / (1 + torch.exp(-outcomes))
    return torch.cat([squashed, 1 - squashed], dim=-1)


def softmax(outcomes: torch.Tensor) -> torch.Tensor:
    """(..., 2^Q) -> (..., 2^Q): softmax(p), the head of three FashionMNIST notebooks."""
    return torch.softmax(outcomes, dim=-1)


def renormalised(outcomes: torch.Tensor, classes: int) -> torch.Tensor:
    """(..., 2^Q) -> (..., C): log(p_c / sum of the first C), so that the cross entropy over them is Eq. 2 of v1 and a
    softmax gives the probabilities back. Probabilities below 1e-9 count as 1e-9."""
    kept = outcomes[..., :classes].clamp_min(FLOOR)
    return torch.log(kept / kept.sum(-1, keepdim=True))


def marginal(outcomes: torch.Tensor, wires: Sequence[int]) -> torch.Tensor:
    """Probabilities or frequencies (..., 2^M) of the outcomes of M wires, the first one least significant, from those
    of all wires (..., 2^Q); no wires: those of all, as they are."""
    if not wires:
        return outcomes
    qubits = outcomes.shape[-1].bit_length() - 1
    grid = outcomes.unflatten(-1, [2] * qubits)  # the last wire first
    lead = outcomes.ndim - 1
    axes = [lead + qubits - 1 - wire for wire in reversed(wires)]
    others = [axis for axis in range(lead, lead + qubits) if axis not in axes]
    return grid.permute(*range(lead), *axes, *others).reshape(*outcomes.shape[:-1], 2 ** len(wires), -1).sum(-1)


def build(
    name: str, classes: int, measured: int = 0, generators: Sequence[torch.Generator] = ()
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The head called `name`, built in or registered: a fixed function of outcomes (..., 2^Q), or a class of layers
    from `measured` numbers to C logits, as `linear` is, trained for each of the seeds that `generators` belong to."""
    built_in: dict[str, Callable[..., Any]] = {
        "sigmoid_complement": sigmoid_complement, "softmax": softmax, "linear": StackedLinear,
        "renormalised": functools.partial(renormalised, classes=classes),
    }  # fmt: skip
    head = parts.find("head", name, built_in)
    trained = inspect.isclass(head)
    return head(measured, classes, generators) if trained else head
