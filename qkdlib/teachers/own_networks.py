"""Networks of one's own as teachers: their logits become a file as any teacher's, whose name tells them apart."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from qkdlib import torch_settings
from qkdlib.experiment import CUSTOM, Experiment, Teacher
from qkdlib.images import datasets
from qkdlib.images.choice import Splits
from qkdlib.teachers import frozen, networks
from qkdlib.teachers.teacher_files import TeacherLogits, logits_path, stored, teacher_name
from qkdlib.teachers.teacher_training import EVALUATION_BATCH, accuracy, judged, logits_of, meta_of
from qkdlib.workspace import Workspace


@torch_settings.plain_torch()
def save_custom(
    task: Experiment, network: torch.nn.Module, parts: Splits, workspace: Workspace, device: str | torch.device
) -> Teacher:
    """Store the logits of a network of your own and return the `Teacher` that names it: by its class and a
    fingerprint of its logits. A network whose logits differ from stored ones by rounding only, because another
    processor computed them, is the stored one. It is used where it lies, in evaluation mode, and left as it was.

    Args:
        task: the `labels` of its teacher, if it has one, are those of the returned teacher.
        device: for a network without weights.

    Raises:
        ValueError: it is no network; its logits are not finite real numbers, differ from one pass over the same images
            to the next or with the images beside them, or do not have one column per class.
    """
    networks.check_network(network)
    task, name = datasets.identified(task), f"{CUSTOM}{type(network).__name__}"
    images = [parts.all_train.x, parts.all_test.x]
    train, test = own_logits(network, images, len(task.classes), device, name)
    asked = task.teacher or Teacher()
    teacher = _known(task, name, train, test, parts, workspace)
    path = logits_path(workspace, task, teacher)
    history = [{"test_accuracy": accuracy(test, parts.all_test.y)}]
    count = sum(parameter.numel() for parameter in network.parameters())
    logits = judged(TeacherLogits(train, test, history, meta_of(task, teacher, count)), parts, path.stem, say=True)
    if not path.exists():
        logits.save(path, bits=32)  # else rounding would hide small differences between networks
    return dataclasses.replace(teacher, labels=asked.labels, seed=asked.seed if asked.labels == "shuffled" else 0)


def own_logits(
    network: torch.nn.Module, parts: Sequence[torch.Tensor], classes: int, device: str | torch.device, name: str
) -> list[torch.Tensor]:
    """Logits (N, C) of each of `parts`, (N, ...), of which further passes over some give the same. `device` and errors
    as of `save_custom`."""
    device = frozen.place_of(network, device)
    with frozen.undisturbed(network, device):
        return frozen.steady(
            lambda images: logits_of(network, images, device, name), parts, networks.same_logits, EVALUATION_BATCH,
            "teacher", name, classes,
        )  # fmt: skip


def _known(
    task: Experiment, name: str, train: torch.Tensor, test: torch.Tensor, parts: Splits, workspace: Workspace
) -> Teacher:
    """The teacher with these logits: one of the same class of network that is stored already, else a new one."""

    def named(fingerprint: str) -> Teacher:
        return Teacher(architecture=f"{name}-{fingerprint}")

    def is_it(path: Path, exact: bool) -> bool:
        kept = stored(path, task, parts)
        if kept is None or exact:
            return kept is not None
        return networks.same_logits(train, kept.train) and networks.same_logits(test, kept.test)

    fingerprint = hashlib.sha256(train.half().numpy().tobytes() + test.half().numpy().tobytes()).hexdigest()[:8]
    return named(frozen.known_as(fingerprint, lambda each: teacher_name(task, named(each)), workspace.teachers, is_it))
