"""Training a teacher, and the small file of logits that students learn from in its place."""

import contextlib
import dataclasses
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from qkdlib import checks, files, portable, runtime, torch_settings, training
from qkdlib.experiment import CUSTOM, Experiment, Teacher
from qkdlib.images import datasets
from qkdlib.images.choice import Images, Splits
from qkdlib.randomness import generator, number
from qkdlib.teachers import frozen, large, networks
from qkdlib.teachers.teacher_files import TeacherLogits, identity, load, logits_path, stored, without_offset
from qkdlib.workspace import Workspace

EVALUATION_BATCH = 512


@torch_settings.plain_torch()
def train_teacher(
    task: Experiment, teacher: Teacher, parts: Splits, workspace: Workspace | str | Path,
    device: str | torch.device = "cpu", fresh: bool = False,
) -> TeacherLogits:  # fmt: skip
    """The teacher's logits: read from the workspace if they are there, else after training it. Their
    `meta["accuracy"]` is the teacher's on the student's `train` and `validation` images; `DoubtfulTeacher` warns where
    that or the logits look wrong. A file that is damaged or another teacher's is set aside, with a warning.

    Args:
        task: its data set and classes are the teacher's, its images those that the accuracy is of.
        parts: the `datasets.splits` of the task.
        device: as of `run`, or a `torch.device`.
        fresh: train even if the logits are there.

    Raises:
        ValueError: an argument is none of these, the device is not there, the training diverged, or a network of your
            own is known by its name only.
    """
    task, workspace = datasets.identified(task), Workspace.of(workspace)
    if not isinstance(teacher, Teacher):
        checks.fail("teacher", teacher, "a qkdlib.Teacher; run(..., teacher=network) takes a network of your own")
    if not isinstance(parts, Splits) or parts.class_names != datasets.class_names(task):
        checks.fail("parts", parts, f"qkdlib.splits(task), of the classes {', '.join(datasets.class_names(task))}")
    if not isinstance(device, torch.device):
        device = runtime.found_device(device)
    checks.flag("fresh", fresh)
    path = logits_path(workspace, task, teacher)
    with contextlib.suppress(FileNotFoundError, files.Damaged):
        if not fresh:
            return judged(load(path, task, parts), parts, path.stem)
    with files.lock(workspace.checkpoints / f"{path.stem}.lock"):  # of several processes one trains it
        found = stored(path, task, parts)
        if found is None or fresh:
            _make(path, task, teacher, parts, workspace, device, fresh)
            found = TeacherLogits.load(path)  # rounded to 16 bits, as every later run will read them
    return judged(found, parts, path.stem)


def _make(
    path: Path, task: Experiment, teacher: Teacher, parts: Splits, workspace: Workspace, device: str | torch.device,
    fresh: bool,
) -> None:  # fmt: skip
    """Train a teacher and save its logits."""
    if teacher.architecture.startswith(CUSTOM):
        checks.fail("teacher", teacher.architecture, "a custom network handed to run(..., teacher=network)")
    check_networks(teacher, task, parts)
    if teacher.trained() != (teacher,):
        members = [train_teacher(task, member, parts, workspace, device, fresh) for member in teacher.trained()]
        logits = _combine(task, teacher, parts, members)
    else:
        logits = _train(task, teacher, parts, workspace.checkpoints / f"{path.stem}.pt", device, fresh)
    judged(logits, parts, path.stem, say=True).save(path)


def check_networks(teacher: Teacher, task: Experiment, parts: Splits) -> None:
    """Raise `ValueError` unless each network of a teacher can be trained on the images of the task, and in memory."""
    for member in teacher.trained():
        if not member.architecture.startswith(CUSTOM):
            networks.check(member.architecture, parts.all_train.shape, len(task.classes))


def _combine(task: Experiment, teacher: Teacher, parts: Splits, members: list[TeacherLogits]) -> TeacherLogits:
    train, test = (networks.mean_probabilities([getattr(m, part) for m in members]) for part in ("train", "test"))
    history = [{"test_accuracy": accuracy(test, parts.all_test.y)}]
    return TeacherLogits(train, test, history, meta_of(task, teacher, sum(m.meta["parameters"] for m in members)))


def _train(
    task: Experiment, teacher: Teacher, parts: Splits, checkpoint: Path, device: str | torch.device, fresh: bool
) -> TeacherLogits:
    if fresh:
        checkpoint.unlink(missing_ok=True)
    images = _taught_with(task, teacher, parts)
    with _surroundings(teacher):
        network, history = _fitted(task, teacher, images, parts, checkpoint, device)
        train, test = (logits_of(network, split.x, device) for split in (parts.all_train, parts.all_test))
        made = {"trained_on": len(images), "threads": torch.get_num_threads()}
    count = sum(parameter.numel() for parameter in network.parameters())
    return TeacherLogits(train, test, history, meta_of(task, teacher, count, device) | made)


@torch_settings.plain_torch()
def trained_network(
    task: Experiment, teacher: Teacher, parts: Splits, workspace: Workspace, device: str | torch.device = "cpu"
) -> torch.nn.Module:
    """The network of a teacher itself: with the weights of its checkpoint where that is there, else trained, to the
    same weights. `ValueError`: it is several networks, or one of your own."""
    if teacher.architecture not in networks.SINGLE:
        checks.fail("teacher", teacher.architecture, f"a single network to train, {' or '.join(networks.SINGLE)}")
    stem = logits_path(workspace, task, teacher).stem
    with files.lock(workspace.checkpoints / f"{stem}.lock"), _surroundings(teacher):
        images = _taught_with(task, teacher, parts)
        return _fitted(task, teacher, images, parts, workspace.checkpoints / f"{stem}.pt", device)[0]


def _taught_with(task: Experiment, teacher: Teacher, parts: Splits) -> Images:
    """The images that a teacher trains on."""
    images = parts.all_train
    if teacher.images_per_class is None:
        return images
    rows = [torch.nonzero(images.y == label).squeeze(1) for label in range(len(task.classes))]
    if min(map(len, rows)) < teacher.images_per_class:
        allowed = f"at most {min(map(len, rows))}, the training images of the smallest class"
        checks.fail("teacher images_per_class", teacher.images_per_class, allowed)
    return images.take(torch.cat([row[: teacher.images_per_class] for row in rows]))


@contextlib.contextmanager
def _surroundings(teacher: Teacher) -> Iterator[None]:
    """What a training leaves as it was: PyTorch's own layers draw from the global generator."""
    alone = teacher.architecture not in networks.LARGE  # a second thread brings it nothing, and rounds differently
    with torch.random.fork_rng(), frozen.convolutions(), portable.convolutions(), torch_settings.one_thread(alone):
        yield


def _fitted(
    task: Experiment, teacher: Teacher, images: Images, parts: Splits, checkpoint: Path, device: str | torch.device
) -> tuple[torch.nn.Module, list[dict]]:
    """The trained network and its history."""
    images = large.near(images, device)
    torch.manual_seed(number(teacher.seed, "weights"))
    network = networks.build(teacher.architecture, images.shape, len(task.classes)).to(device)
    if teacher.architecture in networks.LARGE and not portable.wanted():
        # A tenth of the time less. bfloat16, which would take a third off, does not learn: at PyTorch's initial
        # weights what an image changes in AlexNet's activations is below its resolution.
        network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=teacher.learning_rate, fused=True)
    losses: list[torch.Tensor] = []
    now = 0

    def train(epoch: int, advance: Callable[[], object]) -> None:
        nonlocal now
        now = epoch + 1
        torch.manual_seed(number(teacher.seed, f"dropout {epoch}"))
        order = torch.randperm(len(images), generator=generator(teacher.seed, f"order {epoch}"))
        for rows in order.split(teacher.batch_size):
            x, y = images.x[rows].to(device), images.y[rows].to(device)
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach() * len(y))
            advance()

    def measure() -> dict:
        mean = float(torch.stack(losses).sum() / len(images))
        losses.clear()
        logits = logits_of(network, parts.all_test.x, device)
        if not (math.isfinite(mean) and torch.isfinite(logits).all()):
            allowed = f"a rate that it learns with; {checkpoint.stem} diverged in epoch {now}, at a loss of {mean}"
            checks.fail("teacher learning_rate", teacher.learning_rate, allowed)
        return {"train_loss": mean, "test_accuracy": accuracy(logits, parts.all_test.y)}

    history = training.fit(
        network, train, measure, teacher.epochs, checkpoint.stem, steps=-(-len(images) // teacher.batch_size),
        checkpoint=large.Unhurried(checkpoint, checkpoint.stem, network, optimizer),
    )  # fmt: skip
    return network, history


def logits_of(
    network: torch.nn.Module, images: torch.Tensor, device: str | torch.device = "cpu", name: str = ""
) -> torch.Tensor:
    """Logits (N, C) of a network in evaluation mode, on the CPU, in float32; without an offset that all share. Errors
    as of `frozen.outputs_of`."""
    return without_offset(frozen.outputs_of(network, images, device, name, EVALUATION_BATCH).double()).float()


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of images whose largest logit is their label's."""
    return float((logits.argmax(-1) == labels).float().mean())


def judged(logits: TeacherLogits, parts: Splits, name: str, say: bool = False) -> TeacherLogits:
    """The logits with their accuracy on the student's images; says it if asked to, and warns where it is doubtful.
    Test images have no say."""
    rows = [each.flatten() for each in parts.students_rows()]  # of all students, where they have their own images
    labels = [parts.train.y.flatten(), parts.validation.y.flatten()]
    right = [accuracy(logits.train[places], y) for places, y in zip(rows, labels, strict=True)]
    line = (
        f"teacher {name}: accuracy {right[0]:.1%} on the student's {len(rows[0])} training images, {right[1]:.1%} "
        f"on its {len(rows[1])} validation images"
    )
    found = networks.doubts(logits.train[torch.cat(rows)], torch.cat(labels))
    if found:
        warnings.warn(f"{line}; {'; '.join(found)}", networks.DoubtfulTeacher, stacklevel=1)
    elif say and not runtime.QUIET:
        print(line)
    return dataclasses.replace(logits, meta=logits.meta | {"accuracy": {"train": right[0], "validation": right[1]}})


def meta_of(task: Experiment, teacher: Teacher, parameters: int, device: str | torch.device = "cpu") -> dict:
    return identity(task, teacher) | {"parameters": parameters, **runtime.provenance(device)}
