"""Adam for stacked models, such that a seed's steps are the same whatever other seeds stand beside it."""

from collections.abc import Iterable

import torch
from torch import nn

from qkdlib.rounding import LANE


class FlatAdam(torch.optim.Adam):
    """Adam over one vector that holds all parameters, each from a multiple of `LANE` on.

    PyTorch's fused Adam rounds the last few numbers of a tensor, which do not fill a vector register, differently
    from the others; which numbers of which seed those are depends on how many seeds are stacked. In the vector they
    are padding. The parameters and their gradients become views of it.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float):
        parameters = list(parameters)
        lengths = [-(-parameter.numel() // LANE) * LANE for parameter in parameters]
        flat = nn.Parameter(parameters[0].new_zeros(sum(lengths)))
        flat.grad = torch.zeros_like(flat)
        places = zip(parameters, flat.data.split(lengths), flat.grad.split(lengths), strict=True)
        for parameter, values, gradients in places:
            view = values[: parameter.numel()].view_as(parameter)
            parameter.data = view.copy_(parameter.data)
            parameter.grad = gradients[: parameter.numel()].view_as(parameter)
        super().__init__([flat], lr=learning_rate, fused=True)

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Fill the gradients with zeros; they have to stay where they are."""
        super().zero_grad(set_to_none=False)
