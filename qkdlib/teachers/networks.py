"""The classical teachers of v1, section 4.3: networks that map images (B, C, H, W) to logits (B, classes).

Both are adapted to grey or colour images of 28x28, 32x32 or other sizes that survive their pooling.
"""

import contextlib
import math
from collections.abc import Callable, Iterator

import torch
from torch import nn

from qkdlib import checks

SAME = 1e-4  # of the logits' standard deviation: other processors differ by 1e-6 to 1e-5, 16 bits round by 2e-4
NEARLY = 0.02  # of it: 16 bits round otherwise with another batch
BARELY = 0.2  # of the way from chance to always right
COPIES = 4  # of a training's parameters: themselves, gradients and Adam's two means
SINGLE = ("lenet", "alexnet")
LARGE = ("alexnet", "ensemble")  # which take minutes an epoch; an ensemble that is trained is one network


class OfImages(nn.Sequential):
    """A network for images of one `shape` (C, H, W), which says so of others."""

    shape: tuple[int, int, int]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 4 or x.shape[1:] != self.shape:
            channels, height, width = self.shape
            allowed = f"shape (B, {channels}, {height}, {width}): channels, height and width of this network's images"
            checks.fail("images", f"shape {tuple(x.shape)}", allowed)
        return super().forward(x)


class LeNet(OfImages):
    """LeNet-5 (v1, section 4.3.1, Fig. 3): two convolutions with tanh and average pooling, three linear layers. 44,086
    parameters for 28x28 grey images and 6 classes. The text speaks of two linear layers; Fig. 3 and the notebooks have
    three."""

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
        self.shape = channels, height, width


class AlexNet(OfImages):
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
        self.shape = channels, height, width


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
    """An untrained teacher: `lenet`, `alexnet`, or `ensemble` (the joint one). `ValueError`: there is no such network;
    or its training on images of this shape does not fit into memory."""
    return check(architecture, shape, classes)(shape, classes)


def check(architecture: str, shape: tuple[int, int, int], classes: int) -> Callable[..., nn.Module]:
    """The class of a teacher that can be built for such images; errors as of `build`."""
    networks = {"lenet": LeNet, "alexnet": AlexNet, "ensemble": JointEnsemble}
    checks.one_of("teacher", architecture, networks)
    with torch.device("meta"):  # takes no memory
        numbers = sum(parameter.numel() for parameter in networks[architecture](shape, classes).parameters())
    needed = 4.0 * COPIES * numbers
    checks.memory("image size", f"{shape[1]}x{shape[2]}", needed, f"the training of {architecture}")
    return networks[architecture]


def check_network(network: object) -> None:
    """Raise `ValueError` unless a network of your own is one."""
    if not isinstance(network, nn.Module):
        checks.fail("teacher", network, "a torch.nn.Module: weights (a state dict) belong into one by load_state_dict, "
                    "a class has to be called, a qkdlib.Teacher is for experiment.distilled(teacher)")  # fmt: skip


@contextlib.contextmanager
def evaluation(network: nn.Module) -> Iterator[None]:
    """A network in evaluation mode for a while; afterwards each of its modules is in the mode that it was in."""
    modes = [(module, module.training) for module in network.modules()]
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)  # for networks that do more than this in changing
        for module, mode in modes:
            module.training = mode


def number_type(network: nn.Module) -> torch.dtype:
    """The type of the numbers that a network computes with: that of its first weights, float32 if it has none."""
    kinds = (tensor.dtype for tensor in (*network.parameters(), *network.buffers()))
    return next((kind for kind in kinds if kind.is_floating_point), torch.float32)


class DoubtfulTeacher(UserWarning):
    """A teacher that is hardly ever right on its student's images, or gives no logits."""


def doubts(logits: torch.Tensor, labels: torch.Tensor, seen: str = "pixels from 0 to 1") -> list[str]:
    """What seems wrong with a teacher that gives images with these labels (N,) these logits (N, C), of what it has
    `seen`."""
    count, classes = logits.shape
    found = []
    if logits.min() >= 0 and 0 < logits.max() <= 1:
        found.append("its rows are probabilities, not logits: leave out the soft-max or sigmoid at its end")
    table = torch.bincount(labels * classes + logits.argmax(1), minlength=classes**2).view(classes, classes)
    right, chance = int(table.trace()), int(table.sum(1).max()) / count
    if right / count < chance + max(BARELY * (1 - chance), 3 * math.sqrt(chance * (1 - chance) / count)):
        found.append(f"near chance, {chance:.1%}: is it trained, on these classes and on {seen}?")
    best, order = _best_order(table) if 2 * int(table.amax(1).sum()) > count + right else (right, torch.tensor(0))
    if best - right > count - best:  # more than half of the errors are errors of order
        columns = checks.shortened(tuple(order.tolist()))
        found.append(f"it would be {best / count:.1%} with its columns in the order {columns}")
    return found


def _best_order(table: torch.Tensor) -> tuple[int, torch.Tensor]:
    """How many images (of classes in rows, taken for those in columns) would be right with the columns in this order,
    and the order."""
    from scipy import optimize  # whose import takes longer than most teachers' doubts

    order = torch.from_numpy(optimize.linear_sum_assignment(table.numpy(), maximize=True)[1])
    return int(table.gather(1, order[:, None]).sum()), order


def same_logits(logits: torch.Tensor, others: torch.Tensor, same: float = SAME) -> bool:
    """Whether two tensors of logits (N, C) give the same probabilities but for rounding."""
    centred, other = (each.double() - each.double().mean(1, keepdim=True) for each in (logits, others))
    return _alike(centred, other, same, logits.abs().max())


def same_features(features: torch.Tensor, others: torch.Tensor, same: float = SAME) -> bool:
    """Whether two tensors of features (N, F) are equal but for rounding."""
    return _alike(features.double(), others.double(), same, features.abs().max())


def _alike(first: torch.Tensor, second: torch.Tensor, same: float, largest: torch.Tensor) -> bool:
    if first.shape != second.shape:
        return False
    rounding = same * first.std(correction=0) + torch.finfo(torch.float32).eps * largest
    return bool((first - second).square().mean().sqrt() <= rounding)


def _check_size(shape: tuple[int, int, int], sides: list[int], allowed: str) -> None:
    if min(sides) < 1:
        checks.fail("image size", f"{shape[1]}x{shape[2]}", allowed)
