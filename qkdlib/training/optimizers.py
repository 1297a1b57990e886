"""Optimisers of stacked models, such that a seed's steps are the same whatever other seeds stand beside it."""

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from qkdlib.rounding import LANE

TAIL = 64  # numbers: torch's loops take several vector registers at once, and round what is left over differently


class _Flat(torch.optim.Optimizer):
    """One of PyTorch's optimisers over one vector that holds all parameters, each from a multiple of `LANE` on.

    PyTorch rounds the last few numbers of a tensor, which do not fill a vector register, differently from the others;
    which numbers of which seed those are depends on how many seeds are stacked. In the vector they are padding. The
    parameters and their gradients become views of it.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)  # PyTorch's imports its compiler: 2 s

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float, **options: Any):
        parameters = list(parameters)
        lengths = [-(-parameter.numel() // LANE) * LANE for parameter in parameters]
        flat = nn.Parameter(parameters[0].new_zeros(sum(lengths) + TAIL))
        flat.grad = torch.zeros_like(flat)
        places = zip(parameters, flat.data.split([*lengths, TAIL]), flat.grad.split([*lengths, TAIL]), strict=False)
        for parameter, values, gradients in places:
            view = values[: parameter.numel()].view_as(parameter)
            parameter.data = view.copy_(parameter.data)
            parameter.grad = gradients[: parameter.numel()].view_as(parameter)
        super().__init__([flat], lr=learning_rate, **options)  # type: ignore[call-arg]  # the next base's

    def advance(self) -> None:
        """`step`, without what PyTorch looks at before it where that would take longer than a small student's whole
        gradient."""
        self.step()

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Fill the gradients with zeros; they have to stay where they are."""
        super().zero_grad(set_to_none=False)


class FlatAdam(_Flat, torch.optim.Adam):
    """Adam, PyTorch's fused one."""

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float):
        super().__init__(parameters, learning_rate, fused=True)
        (flat,) = self.param_groups[0]["params"]
        moments = {name: torch.zeros_like(flat, requires_grad=False) for name in ("exp_avg", "exp_avg_sq")}
        self.state[flat] = {"step": flat.detach().new_zeros(()), **moments}

    @torch.no_grad()
    def advance(self) -> None:
        group = self.param_groups[0]
        (flat,) = group["params"]
        state = self.state[flat]
        state["step"] += 1
        torch._fused_adam_(
            [flat], [flat.grad], [state["exp_avg"]], [state["exp_avg_sq"]], [], [state["step"]], lr=group["lr"],
            beta1=group["betas"][0], beta2=group["betas"][1], weight_decay=0.0, eps=group["eps"], amsgrad=False,
            maximize=False,
        )  # fmt: skip


class FlatSGD(_Flat, torch.optim.SGD):
    """Plain gradient descent (v1, Eq. 13)."""


class FlatRMSprop(_Flat, torch.optim.RMSprop):
    """RMSprop, at PyTorch's defaults."""


class FlatAdagrad(_Flat, torch.optim.Adagrad):
    """Adagrad, at PyTorch's defaults."""


OPTIMIZERS: dict[str, type[_Flat]] = {
    "adam": FlatAdam, "sgd": FlatSGD, "rmsprop": FlatRMSprop, "adagrad": FlatAdagrad,
}  # fmt: skip
