"""What the training of a large network needs of its machine: images that are near, and checkpoints that are rare."""

import time
from pathlib import Path

import torch

from qkdlib.images.choice import Images
from qkdlib.training.checkpoints import SHARE, EveryEpoch

MEMORY = 0.25  # of a device's free memory that training images may take
SPEED = 1e9  # bytes a second at which checkpoints are written, about
ADAM = 3  # numbers for each weight: itself and two means


def near(images: Images, device: str | torch.device) -> Images:
    """The images in a CUDA device's memory, where there is plenty: no batch has to be copied then. Else as they are."""
    device = torch.device(device)
    if device.type != "cuda" or images.x.nbytes > MEMORY * torch.cuda.mem_get_info(device)[0]:
        return images
    return Images(images.x.to(device), images.y.to(device), images.index)


class Unhurried(EveryEpoch):
    """A checkpoint after each epoch, unless writing would take more than `checkpoints.SHARE` of the time: those of 95
    million weights are 1.1 GB, which a GPU's epoch of two seconds is not worth.

    Arguments as of `EveryEpoch`.
    """

    def __init__(self, path: Path, title: str, model: torch.nn.Module, optimizer: torch.optim.Optimizer):
        super().__init__(path, title, model, optimizer)
        self.pause = ADAM * sum(each.nbytes for each in model.parameters()) / SPEED / SHARE  # seconds
        self.written = time.monotonic()

    def keep(self, history: list[dict]) -> None:
        """As `EveryEpoch` does, if it is time."""
        if time.monotonic() - self.written >= self.pause:
            super().keep(history)
            self.written = time.monotonic()
