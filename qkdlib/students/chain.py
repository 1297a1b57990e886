"""A student as a chain of three links (reducer, quantum layer, head), each with a gradient of its own, as training
runs it.

One step of a small student is a few hundred operations of some microseconds if PyTorch's autograd keeps its books of
them, and a few dozen if the chain rule is written down: a link's `forward` keeps what its `backward` needs, which takes
the loss's gradient by what the link gave, writes that by the link's parameters to their `.grad` (which it does not add
to) and returns that by what it was given. Whatever has no link of its own is differentiated by autograd as one
(`ByAutograd`), so that any student trains the same way. All links are tested against autograd.

Links expect gradients to be there (`optimizers` lay them out) and nobody else to differentiate (`torch.no_grad`).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from qkdlib.circuits import simulation
from qkdlib.students import readouts
from qkdlib.students.convolutions import Convolutional
from qkdlib.students.encoders import Amplitude
from qkdlib.students.expectations import WiresOfRealStates
from qkdlib.students.reducers import CNN, FullyConnected
from qkdlib.students.stacked import Linear, StackedLinear


class Link(Protocol):
    """A part of a chain."""

    def forward(self, x: torch.Tensor, /) -> torch.Tensor: ...

    def backward(self, upstream: torch.Tensor) -> torch.Tensor | None:
        """The gradient by `x`; None where nobody needs it."""
        ...


class Reduces(Protocol):
    """The first part, which takes dropout, too."""

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None, /) -> torch.Tensor: ...

    def backward(self, upstream: torch.Tensor) -> torch.Tensor | None: ...


class ByAutograd:
    """Any function of x (and dropout), with parameters, as one link."""

    def __init__(self, function: Callable[..., torch.Tensor], parameters: Sequence[nn.Parameter], needed: bool):
        self.function, self.needed = function, needed
        self.parameters = [each for each in parameters if each.requires_grad]

    def forward(self, x: torch.Tensor, *keep: torch.Tensor | None) -> torch.Tensor:
        with torch.enable_grad():
            self.x = x.detach().requires_grad_(self.needed)
            self.y = self.function(self.x, *keep)
        return self.y.detach()

    def backward(self, upstream: torch.Tensor) -> torch.Tensor | None:
        leaves = [self.x] * self.needed + self.parameters
        if not leaves:
            return None
        found = torch.autograd.grad(self.y, leaves, upstream, allow_unused=True)
        for parameter, gradient in zip(self.parameters, found[self.needed :], strict=True):
            assert parameter.grad is not None
            if gradient is None:  # not seen by this batch
                parameter.grad.zero_()
            else:
                parameter.grad.copy_(gradient)
        return found[0] if self.needed else None


class Sampled:
    """Angles pi reach tanh(f) of the circuit itself, and outcomes whose gradient is a difference of shifted circuits:
    what v1's notebooks train."""

    def __init__(self, layer: Any):
        self.layer, self.scale = layer, torch.pi * layer.experiment.angle_reach

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        layer, self.tanh = self.layer, torch.tanh(features)
        draw = layer.samplers[0] if layer.samplers else simulation.exactly(layer.noise)
        angles = self.scale * self.tanh
        outcomes, self.jacobian = simulation.shifted(layer.executed, angles, layer.experiment.gradient, draw)
        return outcomes

    def backward(self, upstream: torch.Tensor) -> torch.Tensor:
        by_angles = (self.jacobian * upstream.unsqueeze(-2)).sum(-1)
        return by_angles * (self.scale * (1 - self.tanh * self.tanh))


class SigmoidComplement:
    """The head of that name."""

    def forward(self, outcomes: torch.Tensor) -> torch.Tensor:
        logits = readouts.sigmoid_complement(outcomes)
        self.slope = logits[..., : outcomes.shape[-1]] * logits[..., outcomes.shape[-1] :]
        return logits

    def backward(self, upstream: torch.Tensor) -> torch.Tensor:
        plus, minus = upstream.chunk(2, dim=-1)
        return (plus - minus) * self.slope


class Chain:
    """The links of a `Student`."""

    def __init__(self, student: Any):
        self.reducer = _reducer(student)
        reduces = any(parameter.requires_grad for parameter in student.reducer.parameters())
        self.layer = _layer(student, reduces)
        self.head = _head(student, reduces or student.theta is not None)

    def forward(self, prepared: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (S, B, L) of what the reducer has prepared, (S, B, ...)."""
        return self.head.forward(self.layer.forward(self.reducer.forward(prepared, keep)))

    def backward(self, upstream: torch.Tensor) -> None:
        """Write the gradients of all parameters, from that by the logits."""
        for link in (self.head, self.layer, self.reducer):
            found = link.backward(upstream)
            if found is None:
                break
            upstream = found


def _reducer(student: Any) -> Reduces:
    reducer = student.reducer
    if type(reducer) is FullyConnected:
        return Linear(reducer.out, needed=False)
    if type(reducer) is CNN:
        return Convolutional(reducer)
    return ByAutograd(reducer, list(reducer.parameters()), needed=False)


def _layer(student: Any, needed: bool) -> Link:
    layer, experiment = student.layer, student.experiment
    if type(layer.encoder) is Amplitude and layer.sees_wires and layer.plain_weights:
        return WiresOfRealStates(layer.simulated, student.theta, needed)
    if layer.shifts and experiment.readout == "outcomes" and not experiment.takes_features:
        return Sampled(layer)
    weights = [] if student.theta is None else [student.theta]
    return ByAutograd(lambda features, *_: student.measured(features), weights, needed)


def _head(student: Any, needed: bool) -> Link:
    head, scale = student.head, student.experiment.logit_scale
    if scale == 1 and type(head) is StackedLinear:
        return Linear(head, needed)
    if scale == 1 and head is readouts.sigmoid_complement and needed:
        return SigmoidComplement()
    weights = list(head.parameters()) if isinstance(head, nn.Module) else []
    return ByAutograd(lambda measured, *_: scale * head(measured), weights, needed)
