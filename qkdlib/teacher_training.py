"""Training a teacher, and the small file of logits that students learn from in its place."""

import copy
import dataclasses
import hashlib
from pathlib import Path

import torch

from qkdlib import checks, runtime, teachers, training
from qkdlib.datasets import Splits
from qkdlib.experiment import CUSTOM, Experiment, Teacher
from qkdlib.randomness import generator, number
from qkdlib.teacher_files import TeacherLogits, teacher_name
from qkdlib.workspace import Workspace

EVALUATION_BATCH = 512


def train_teacher(
    task: Experiment,
    teacher: Teacher,
    parts: Splits,
    workspace: Workspace,
    device="cpu",
    fresh: bool = False,
) -> TeacherLogits:
    """The teacher's logits: read from the workspace if they are there, else after training it.

    Args:
        task: its data set and classes are the teacher's; the student's fields do not matter.
        fresh: train even if the logits are there.
    """
    path = workspace.teachers / f"{teacher_name(task, teacher)}.npz"
    if path.exists() and not fresh:
        logits = TeacherLogits.load(path)
        _check_fit(logits.train, len(parts.all_train), len(task.classes), path.name)
        return logits
    if teacher.architecture.startswith(CUSTOM):
        checks.fail("teacher", teacher.architecture, "a custom network handed to run(..., teacher=network)")
    if teacher.trained() != (teacher,):
        members = [train_teacher(task, member, parts, workspace, device, fresh) for member in teacher.trained()]
        logits = _combine(task, teacher, parts, members)
    else:
        logits = _train(task, teacher, parts, workspace.checkpoints / f"{path.stem}.pt", device, fresh)
    logits.save(path)
    return TeacherLogits.load(path)  # rounded to 16 bits, as every later run will read them


def _combine(task, teacher, parts, members: list[TeacherLogits]) -> TeacherLogits:
    train, test = (teachers.mean_probabilities([getattr(m, part) for m in members]) for part in ("train", "test"))
    history = [{"test_accuracy": accuracy(test, parts.all_test.y)}]
    return TeacherLogits(train, test, history, _meta(task, teacher, sum(m.meta["parameters"] for m in members)))


def _train(task, teacher: Teacher, parts: Splits, checkpoint: Path, device, fresh: bool) -> TeacherLogits:
    if fresh:
        checkpoint.unlink(missing_ok=True)
    images = parts.all_train
    if teacher.images_per_class is not None:
        rows = [torch.nonzero(images.y == label).squeeze(1) for label in range(len(task.classes))]
        if min(map(len, rows)) < teacher.images_per_class:
            allowed = f"at most {min(map(len, rows))}, the training images of the smallest class"
            checks.fail("teacher images_per_class", teacher.images_per_class, allowed)
        images = images.take(torch.cat([row[: teacher.images_per_class] for row in rows]))

    with torch.random.fork_rng():  # PyTorch's own layers draw from the global generator
        torch.manual_seed(number(teacher.seed, "weights"))
        network = teachers.build(teacher.architecture, parts.shape, len(task.classes)).to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=teacher.learning_rate, fused=True)
        losses = []

        def batches(epoch: int):
            torch.manual_seed(number(teacher.seed, f"dropout {epoch}"))
            order = torch.randperm(len(images), generator=generator(teacher.seed, f"order {epoch}"))
            for rows in order.split(teacher.batch_size):
                yield images.x[rows].to(device), images.y[rows].to(device)

        def loss_of(x, y):
            loss = torch.nn.functional.cross_entropy(network(x), y)
            losses.append(loss.detach() * len(y))
            return loss

        def measure() -> dict:
            mean = float(torch.stack(losses).sum() / len(images))
            losses.clear()
            right = accuracy(logits_of(network, parts.all_test.x, device), parts.all_test.y)
            return {"train_loss": mean, "test_accuracy": right}

        history = training.fit(
            network, optimizer, batches, loss_of, measure, teacher.epochs,
            title=teacher_name(task, teacher), checkpoint=checkpoint, steps=-(-len(images) // teacher.batch_size),
        )  # fmt: skip
    count = sum(parameter.numel() for parameter in network.parameters())
    logits = [logits_of(network, split.x, device) for split in (parts.all_train, parts.all_test)]
    return TeacherLogits(*logits, history, _meta(task, teacher, count) | {"trained_on": len(images)})


def save_custom(task: Experiment, network: torch.nn.Module, parts: Splits, workspace: Workspace, device) -> Teacher:
    """Store the logits of a network of your own and return the `Teacher` that names it: by its class and a
    fingerprint of its logits, which changes with its weights and with what it does with them.

    Raises:
        ValueError: the network's logits are not finite, or do not have one column per class.
    """
    name = f"{CUSTOM}{type(network).__name__}"
    network = copy.deepcopy(network).to(device)  # the caller's keeps its mode and its device
    train, test = (logits_of(network, split.x, device, name) for split in (parts.all_train, parts.all_test))
    _check_fit(train, len(parts.all_train), len(task.classes), name)
    fingerprint = hashlib.sha256(train.half().numpy().tobytes() + test.half().numpy().tobytes()).hexdigest()[:8]
    teacher = Teacher(architecture=f"{name}-{fingerprint}")
    path = workspace.teachers / f"{teacher_name(task, teacher)}.npz"
    if not path.exists():
        history = [{"test_accuracy": accuracy(test, parts.all_test.y)}]
        count = sum(parameter.numel() for parameter in network.parameters())
        TeacherLogits(train, test, history, _meta(task, teacher, count)).save(path)
    return teacher


def logits_of(network: torch.nn.Module, images: torch.Tensor, device="cpu", name: str = "") -> torch.Tensor:
    """Logits (N, C) of a network in evaluation mode, on the CPU.

    Raises:
        ValueError: the network called `name` returns something else than a tensor.
    """
    network.eval()
    chunks = []
    with torch.inference_mode():
        for chunk in images.split(EVALUATION_BATCH):
            logits = network(chunk.to(device))
            if not isinstance(logits, torch.Tensor):
                checks.fail("teacher", name, f"a network that returns logits, not a {type(logits).__name__}")
            chunks.append(logits.float().cpu())
    return torch.cat(chunks).clone()


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of images whose largest logit is their label's."""
    return float((logits.argmax(-1) == labels).float().mean())


def _check_fit(logits: torch.Tensor, images: int, classes: int, name: str) -> None:
    if not torch.isfinite(logits).all():
        checks.fail("teacher", name, "finite logits; these hold NaN or infinity")
    if logits.shape != (images, classes):
        checks.fail("teacher", name, f"logits of shape {(images, classes)} for these images and classes, "
                    f"not {tuple(logits.shape)}")  # fmt: skip


def _meta(task: Experiment, teacher: Teacher, parameters: int) -> dict:
    return {
        "dataset": task.dataset,
        "classes": list(task.classes),
        "teacher": dataclasses.asdict(teacher),
        "parameters": parameters,
        **runtime.provenance(),
    }
