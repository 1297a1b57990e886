"""Features: what a frozen network makes of a student's images, computed once, in the images' place.

The student's reducer is then a trained linear layer between the frozen network and the circuit: classical-to-quantum
transfer learning (Mari et al. 2020, arXiv:1912.08278, section III). Its teacher, if it has one, sees the images.
"""

import dataclasses
import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from qkdlib import checks, files, torch_settings
from qkdlib.experiment import CUSTOM, Experiment, digest, slug, task_name
from qkdlib.images.choice import Splits
from qkdlib.images.datasets import identified
from qkdlib.students import Student
from qkdlib.teachers import frozen, networks
from qkdlib.teachers.hidden import LastHidden, last_hidden
from qkdlib.teachers.teacher_training import trained_network
from qkdlib.workspace import Workspace

BATCH = 64  # images at once: a large network's own features of more would not fit into memory
MOST_BYTES = 1 << 32  # of features in a file
PARTS = ("train", "validation", "test")
OF_TEACHER = "teacher"  # in place of a network: the last hidden layer of the experiment's own teacher


class Extractor:
    """A frozen network that turns images (..., C, H, W) in [0, 1] into features (..., F, 1, 1), float32, on the images'
    device. It is used where it lies, in evaluation mode, without gradients, and left as it was.

    Args:
        network: images (B, C, H, W) -> features (B, F) or (B, F, 1, 1). It may resize or normalise the images itself:
            `nn.Sequential(v2.RGB(), v2.Resize(224), v2.Normalize(mean, std), last_hidden(resnet18(weights=...)))`
            makes of grey images what a network of torchvision takes; v2 is `torchvision.transforms.v2`.
        device: for a network without weights.
    """

    def __init__(self, network: nn.Module, device: str | torch.device = "cpu"):
        _check_extractor(network)
        self.network, self.device, self.name = network, frozen.place_of(network, device), _name(network)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        lead = images.shape[:-3]
        with frozen.undisturbed(self.network, self.device):
            found = self._rows(images.reshape(-1, *images.shape[-3:]))
        return found.to(images.device).reshape(*lead, found.shape[1], 1, 1)

    def _rows(self, images: torch.Tensor) -> torch.Tensor:
        return frozen.outputs_of(self.network, images, self.device, self.name, BATCH, "features").float()

    def of(self, parts: Splits) -> list[torch.Tensor]:
        """Features (N, F) of the student's images. Errors as of `extract`."""
        images = [getattr(parts, part).x for part in PARTS]
        with frozen.undisturbed(self.network, self.device):
            return frozen.steady(self._rows, images, networks.same_features, BATCH, "features", self.name)


def check_features(features: object, task: Experiment, teacher: nn.Module | None) -> None:
    """Raise `ValueError` unless `features` is a network, or "teacher" where `teacher` or the task's is a single one,
    and the task's student takes features."""
    if isinstance(features, str) and features == OF_TEACHER:
        named = task.teacher.architecture if task.teacher else None
        if teacher is None and named not in networks.SINGLE:
            single = " or ".join(networks.SINGLE)
            allowed = f"{OF_TEACHER!r} with teacher=network or a qkdlib.Teacher {single}, not {named}; or a network"
            checks.fail("features", features, allowed)
        if teacher is None and task.teacher and task.teacher.networks > 1:
            allowed = f"{OF_TEACHER!r} with a qkdlib.Teacher of networks=1, not {task.teacher.networks}"
            checks.fail("features", features, allowed)
    else:
        _check_extractor(features)
    dataclasses.replace(task, features=f"{CUSTOM}network")  # says what does not go with features


def _check_extractor(network: object) -> None:
    """Raise `ValueError` unless a feature extractor is a network."""
    if not isinstance(network, nn.Module):
        checks.fail("features", network, f"a torch.nn.Module, or {OF_TEACHER!r} for the teacher's last hidden layer")


def extractor_of(
    features: nn.Module | str | None, task: Experiment, teacher: nn.Module | None, parts: Splits, workspace: Workspace,
    device: str | torch.device,
) -> Extractor | None:  # fmt: skip
    """The extractor that `features` means, as `check_features` takes it: that network, or for "teacher" the last hidden
    layer of `teacher`, else of the task's teacher, which is trained if it is not yet. `ValueError`: a student does not
    fit that layer; before any training."""
    if features is None or not isinstance(features, str):
        return None if features is None else Extractor(features, device)
    if teacher is not None:
        return Extractor(last_hidden(teacher), device)
    if task.teacher is None:
        checks.fail("features", features, "a network, where the experiment has no teacher")
    with torch.device("meta"):
        built = last_hidden(networks.build(task.teacher.architecture, parts.all_train.shape, len(task.classes)))
        width = built(torch.empty(1, *parts.all_train.shape)).shape[1]
    preview = dataclasses.replace(task, features=f"{CUSTOM}{_name(built)}")
    Student(preview, (width, 1, 1), [0]).fit_reducer(torch.zeros(len(parts.train), width, 1, 1))
    return Extractor(last_hidden(trained_network(task, task.teacher, parts, workspace, device)))


def featured(
    task: Experiment, extractor: Extractor | None, parts: Splits, workspace: Workspace
) -> tuple[Experiment, Splits]:
    """The experiment and its splits with features in the place of the student's images: those of an extractor, which it
    then names (`extract`); without one those that it names, if any (`seen`)."""
    return extract(task, extractor, parts, workspace) if extractor else (task, seen(task, parts, workspace))


@torch_settings.plain_torch()
def extract(task: Experiment, extractor: Extractor, parts: Splits, workspace: Workspace) -> tuple[Experiment, Splits]:
    """The experiment that names a network's features, and its splits with them in the images' place, (N, F, 1, 1). They
    are kept in the workspace's checkpoints, and known by the network's class and a fingerprint of theirs; a network
    whose features differ from kept ones by rounding only, because another processor computed them, is the kept one.

    Args:
        parts: the `images.splits` of the task.

    Raises:
        ValueError: its features are not finite real numbers, are of the images' own shape, differ from one pass over
            the same images to the next or with the images beside them; or a student of this kind cannot take them.
    """
    task = dataclasses.replace(identified(task), features=f"{CUSTOM}{extractor.name}")
    found = extractor.of(parts)
    if (found[0].shape[1], 1, 1) == parts.all_train.shape:  # a trained student takes either, and tells them apart so
        allowed = f"a network whose features have another shape than the images, {parts.all_train.shape}"
        checks.fail("features", extractor.name, f"{allowed}: images of other sides, such as (1, 1, F), are as good")
    checks.memory("features", extractor.name, 8.0 * sum(map(torch.numel, found)), "features of the student's images")
    scale = 2.0 ** math.floor(math.log2(max(float(found[0].abs().max()), 1e-30)))  # 16 bits hold them, and are enough
    fingerprint = hashlib.sha256(b"".join((each / scale).half().numpy().tobytes() for each in found)).hexdigest()[:8]

    def named(fingerprint: str) -> Experiment:
        return dataclasses.replace(task, features=f"{CUSTOM}{extractor.name}-{fingerprint}")

    def is_it(path: Path, exact: bool) -> bool:
        kept = files.or_aside(_load, path, parts)
        if kept is None or exact:
            return kept is not None
        return all(map(networks.same_features, found, kept))

    fingerprint = frozen.known_as(
        fingerprint, lambda each: features_path(workspace, named(each)).stem, workspace.checkpoints, is_it
    )
    task = named(fingerprint)
    path = features_path(workspace, task)
    if not path.exists():
        arrays = {part: each.numpy() for part, each in zip(PARTS, found, strict=True)}
        files.write_arrays(path, arrays | {"name": np.array(path.stem)}, compressed=False)
    return task, seen(task, parts, workspace)  # the kept ones, as every later run will read them


def seen(task: Experiment, parts: Splits, workspace: Workspace) -> Splits:
    """The splits as the task's student sees them: themselves, or with the features kept for it in the place of its own
    images, (N, F, 1, 1); `all_train` and `all_test` stay images. `ValueError`: these are not kept here."""
    if not task.features:
        return parts
    path = features_path(workspace, task)
    if (kept := files.or_aside(_load, path, parts)) is None:
        allowed = "a network handed over as features=network; what it gave is not kept here"
        checks.fail("features", task.features, f"{allowed}, in checkpoints/{path.name}")
    x = (each[:, :, None, None] for each in kept)
    images = {part: dataclasses.replace(getattr(parts, part), x=each) for part, each in zip(PARTS, x, strict=True)}
    return dataclasses.replace(parts, **images)


def features_path(workspace: Workspace, task: Experiment) -> Path:
    """Where the features of a student's images lie, or will: the name holds all that decides which images those are."""
    drawn = ("train_per_class", "validation_per_class", "test_per_class", "selection", "data_seed")
    names = ("features", "dataset", "classes", "image_size", "images", *drawn)
    key = digest(**{name: getattr(task, name) for name in names})
    return workspace.checkpoints / f"features_{task_name(task)}_{slug(task.features)}_{key}.npz"


def _load(path: Path, parts: Splits) -> list[torch.Tensor]:
    """The features in a file, if they are of these images and of its name; else `files.Damaged`."""
    arrays = files.read_arrays(path, MOST_BYTES)
    with files.checked(path):
        if str(arrays.pop("name", None)) != path.stem or set(arrays) != set(PARTS):
            raise ValueError("it is the file of other features")
        found = [arrays[part] for part in PARTS]
        shapes = [(len(getattr(parts, part)), found[0].shape[1]) for part in PARTS]
        if [each.shape for each in found] != shapes or any(each.dtype != np.float32 for each in found):
            raise ValueError(f"features of shapes {[each.shape for each in found]}, where {shapes} are expected")
        if not all(np.isfinite(each).all() for each in found):
            raise ValueError("features that are NaN or infinite")
    return [torch.from_numpy(each) for each in found]


def _name(network: nn.Module) -> str:
    of = type(network.network).__name__ if isinstance(network, LastHidden) else ""
    return f"{of}{type(network).__name__}"
