"""The last hidden layer of any network, as a feature extractor."""

from typing import Any

import torch
from torch import nn

from qkdlib import checks


class LastHidden(nn.Module):
    """What a network's last linear layer gets, (B, F), for images (B, C, H, W): that of the `torch.nn.Linear` which it
    calls last. The network is used where it lies."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen: list[torch.Tensor] = []

        def note(_layer: nn.Module, given: tuple, named: dict[str, Any]) -> None:
            seen[:] = [(given[0] if given else named["input"]).clone()]  # what follows may work in place

        layers = [module for module in self.network.modules() if isinstance(module, nn.Linear)]
        hooks = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in layers]
        try:
            self.network(images)
        finally:
            for hook in hooks:
                hook.remove()
        if not seen:
            checks.fail("network", type(self.network).__name__, "a network that calls a torch.nn.Linear")
        return seen[0]


def last_hidden(network: nn.Module) -> LastHidden:
    """A network that gives the input of another one's last linear layer: its last hidden layer (or the images, flat, of
    a network that has but one layer). `ValueError`: that is no network, or has no linear layer."""
    if not isinstance(network, nn.Module):
        checks.fail("network", network, "a torch.nn.Module")
    if not any(isinstance(module, nn.Linear) for module in network.modules()):
        checks.fail("network", type(network).__name__, "a network that has a torch.nn.Linear")
    return LastHidden(network)
