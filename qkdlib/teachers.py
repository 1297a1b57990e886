"""The classical teachers of v1, section 4.3: networks that map images (B, C, H, W) to logits (B, classes).

Both are adapted to grey or colour images of 28x28, 32x32 or other sizes that survive their pooling.
"""

import torch
from torch import nn

from qkdlib import checks


class LeNet(nn.Sequential):
    """LeNet-5 (v1, section 4.3.1, Fig. 3): two convolutions with tanh and average pooling, three linear layers.

    44,086 parameters for 28x28 grey images and 6 classes. The text speaks of two linear layers; Fig. 3 and the
    notebooks have three.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int):
        channels, height, width = shape
        sides = [((side - 4) // 2 - 4) // 2 for side in (height, width)]
        _check_size(shape, sides, "16x16 or larger for lenet")
        super().__init__(
            nn.Conv2d(channels, 6, 5), nn.Tanh(), nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * sides[0] * sides[1], 120), nn.Tanh(),
            nn.Linear(120, 84), nn.Tanh(),
            nn.Linear(84, classes),
        )  # fmt: skip


class AlexNet(nn.Sequential):
    """The paper's small AlexNet (v1, section 4.3.2, Fig. 4): three 3x3 convolutions of 64, 192 and 384 filters,
    the first two with max-pooling, and linear layers of 4096, 4096 and `classes`, dropout before the first two.

    94,655,686 parameters for 28x28 grey images and 6 classes, 99 % of them in the linear layers.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int):
        channels, height, width = shape
        sides = [side // 2 // 2 for side in (height, width)]
        _check_size(shape, sides, "4x4 or larger for alexnet")
        super().__init__(
            nn.Conv2d(channels, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 192, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(), nn.Linear(384 * sides[0] * sides[1], 4096), nn.ReLU(),
            nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(),
            nn.Linear(4096, classes),
        )  # fmt: skip


class JointEnsemble(nn.Module):
    """LeNet and AlexNet as one network whose logits are the mean of both, trained jointly from scratch: what the
    authors' notebooks call the ensemble. The paper's own is `mean_probabilities` of two trained networks."""

    def __init__(self, shape: tuple[int, int, int], classes: int):
        super().__init__()
        self.lenet, self.alexnet = LeNet(shape, classes), AlexNet(shape, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.lenet(x) + self.alexnet(x)) / 2


def mean_probabilities(logits: list[torch.Tensor]) -> torch.Tensor:
    """Logits (N, C) of the ensemble of Eq. 16: the logarithm of the mean of the members' class probabilities."""
    stacked = torch.stack([torch.log_softmax(member.double(), dim=-1) for member in logits])  # (members, N, C)
    return (torch.logsumexp(stacked, dim=0) - torch.log(torch.tensor(float(len(logits))))).float()


def build(architecture: str, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """An untrained teacher: `lenet`, `alexnet`, or `ensemble` (the joint one)."""
    networks = {"lenet": LeNet, "alexnet": AlexNet, "ensemble": JointEnsemble}
    checks.one_of("teacher", architecture, networks)
    return networks[architecture](shape, classes)


def _check_size(shape, sides, allowed: str) -> None:
    if min(sides) < 1:
        checks.fail("image size", f"{shape[1]}x{shape[2]}", allowed)
