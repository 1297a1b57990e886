"""A small task, teachers of it, and networks of one's own for it."""

import torch
from torch import nn

from qkdlib import teachers
from qkdlib.experiment import Experiment, Teacher
from qkdlib.images import datasets
from qkdlib.teachers import LeNet, TeacherLogits
from qkdlib.workspace import Workspace

TASK = Experiment(
    dataset="digits", train_per_class=5, validation_per_class=2, test_per_class=5, epochs=1, batch_size=5, seeds=1,
    shots=100,
)  # fmt: skip
LENET = Teacher(epochs=2, images_per_class=10, batch_size=16)
GREY = (1, 28, 28)


def train(teacher: Teacher, workspace: Workspace, **options) -> TeacherLogits:
    return teachers.train_teacher(TASK, teacher, datasets.splits(TASK), workspace, **options)


def teacher_files(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in workspace.teachers.glob("*.npz"))


class SmallAlexNet(nn.Sequential):
    """Takes the place of the 94-million-parameter one, whose training would take minutes."""

    def __init__(self, shape, classes):
        super().__init__(nn.Flatten(), nn.Dropout(), nn.Linear(shape[0] * shape[1] * shape[2], classes))


def save(network: nn.Module, workspace: Workspace, task: Experiment = TASK) -> Teacher:
    """The teacher that a network of one's own becomes."""
    return teachers.save_custom(task, network, datasets.splits(task), workspace, "cpu")


def lenet(classes: int = 6) -> LeNet:
    torch.manual_seed(3)
    return LeNet(GREY, classes)


def own_network(classes: int = 6, activation: type[nn.Module] = nn.Identity) -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, classes), activation())


def fitted(change=lambda x: x, task: Experiment = TASK) -> nn.Module:
    """A network that has learned all training images, of which `change` is what it was shown."""
    images = datasets.splits(task).all_train
    network = own_network(len(task.classes))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(change(images.x)), images.y).backward()
        optimizer.step()
    return network
