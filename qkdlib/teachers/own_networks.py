"""Networks of one's own as teachers: their logits become a file as any teacher's, whose name tells them apart."""

import dataclasses
import hashlib

import torch

from qkdlib import checks, torch_settings
from qkdlib.experiment import CUSTOM, Experiment, Teacher
from qkdlib.images import datasets
from qkdlib.images.datasets import Splits
from qkdlib.teachers import networks
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
    train, test = _own_logits(network, task, parts, device, name)
    asked = task.teacher or Teacher()
    teacher = _known(task, name, train, test, parts, workspace)
    path = logits_path(workspace, task, teacher)
    history = [{"test_accuracy": accuracy(test, parts.all_test.y)}]
    count = sum(parameter.numel() for parameter in network.parameters())
    logits = judged(TeacherLogits(train, test, history, meta_of(task, teacher, count)), parts, path.stem, say=True)
    if not path.exists():
        logits.save(path, bits=32)  # else rounding would hide small differences between networks
    return dataclasses.replace(teacher, labels=asked.labels, seed=asked.seed if asked.labels == "shuffled" else 0)


def _own_logits(
    network: torch.nn.Module, task: Experiment, parts: Splits, device: str | torch.device, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of all training and all test images; further passes over some of them have to give the same."""
    device = next((weights.device for weights in network.parameters()), torch.device(device))
    kind = "float64" if networks.number_type(network) == torch.float64 else "float32"
    generators, cudnn = [device] if device.type == "cuda" else [], torch.backends.cudnn
    whole = cudnn.flags(enabled=cudnn.enabled, deterministic=True, allow_tf32=False)  # TF32 would be another network
    with torch_settings.plain_torch(kind, device), whole, torch.random.fork_rng(devices=generators):
        train, test = (logits_of(network, split.x, device, name) for split in (parts.all_train, parts.all_test))
        for logits, split in ((train, parts.all_train), (test, parts.all_test)):
            if not torch.isfinite(logits).all():
                checks.fail("teacher", name, "finite logits; these hold NaN or infinity")
            if logits.shape != (shape := (len(split), len(task.classes))):
                allowed = f"logits of shape {shape} for these images and classes, not {tuple(logits.shape)}"
                checks.fail("teacher", name, allowed)
        for every, rounding, reason in (
            (1, networks.SAME, "two passes over the same images differ (dropout that stays active?)"),
            (2, networks.NEARLY, "they depend on the images beside it (batch norm without running statistics?)"),
        ):
            again = logits_of(network, parts.all_train.x[:EVALUATION_BATCH:every], device, name)
            if not networks.same_logits(again, train[:EVALUATION_BATCH:every], rounding):
                checks.fail("teacher", name, f"a network whose logits of an image are always the same; {reason}")
    return train, test


def _known(
    task: Experiment, name: str, train: torch.Tensor, test: torch.Tensor, parts: Splits, workspace: Workspace
) -> Teacher:
    """The teacher with these logits: one of the same class of network that is stored already, else a new one."""
    fingerprint = hashlib.sha256(train.half().numpy().tobytes() + test.half().numpy().tobytes()).hexdigest()[:8]
    teacher = Teacher(architecture=f"{name}-{fingerprint}")
    exact = teacher_name(task, teacher)
    start = exact.rsplit("_", 1)[0][: -len(fingerprint)]
    for path in sorted(workspace.teachers.glob(f"{start}*.npz"), key=lambda path: (path.stem != exact, path.stem)):
        other = Teacher(architecture=f"{name}-{path.stem.rsplit('_', 1)[0][-len(fingerprint) :]}")
        if teacher_name(task, other) != path.stem:
            continue  # of other images
        kept = stored(path, task, parts)
        same = kept and networks.same_logits(train, kept.train) and networks.same_logits(test, kept.test)
        if same or (kept and path.stem == exact):
            return other
    return teacher
