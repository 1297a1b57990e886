"""What a training leaves after an epoch, so that it can go on from there."""

import copy
import json
import sys
import time
import warnings
import zlib
from pathlib import Path
from typing import Any, Protocol

import torch

from qkdlib import checks, files, portable
from qkdlib.experiment import Experiment

SECONDS = 5.0  # between two checkpoints of a training of students, at least
SHARE = 0.05  # of its time that writing them may take


class Kept(Protocol):
    """Something that keeps a training after its epochs."""

    def resume(self) -> list[dict]:
        """Bring the training to where it was; returns its history, [] if nothing is kept."""
        ...

    def keep(self, history: list[dict]) -> None:
        """Keep the training as it is after the last epoch of `history`."""
        ...


class EveryEpoch:
    """A checkpoint of a network and its optimizer, written after each epoch."""

    def __init__(self, path: Path, title: str, model: torch.nn.Module, optimizer: torch.optim.Optimizer):
        self.path, self.parts = path, (title, model, optimizer)

    def resume(self) -> list[dict]:
        return resume(self.path, *self.parts)

    def keep(self, history: list[dict]) -> None:
        keep(self.path, *self.parts, history)


class Training(Protocol):
    """A training that knows all of its state."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Now:
    """A checkpoint of a training's whole state, generators included, so that what goes on from it has the same bits. It
    is written after the epoch that ends `SECONDS` or more after the last writing, and rarer where writing takes long.
    What cannot be written costs a warning and not the training."""

    def __init__(self, path: Path, title: str, training: Training):
        self.path, self.title, self.training = path, title, training
        self.written, self.pause = time.monotonic(), SECONDS
        self.seconds = 0.0  # of the epochs that were there already

    def resume(self) -> list[dict]:
        """As `Kept` says. A file that is damaged, or another training's, is set aside, and nothing of it taken."""
        if not self.path.exists():
            return []
        before = copy.deepcopy(self.training.state_dict())
        most = 8 * sum(each.nbytes for each in before["model"].values()) + files.MOST_TEXT  # with Adam's and the chosen
        found = files.or_aside(self._read, most)
        if found is None:
            self.training.load_state_dict(before)
        self.seconds = sum(epoch["seconds"] for epoch in found or [])
        return found or []

    def _read(self, most: int) -> list[dict]:
        files.check_zip(self.path, most)
        with files.checked(self.path):
            saved = _loaded(self.path, self.title)
            self.training.load_state_dict(saved["training"])
            return saved["history"]

    def keep(self, history: list[dict]) -> None:
        started = time.monotonic()
        if started - self.written < self.pause:
            return
        state = {"title": self.title, "training": self.training.state_dict(), "history": history}
        try:
            _write(self.path, state)
        except (OSError, MemoryError, RuntimeError) as error:
            self.pause = float("inf")
            warnings.warn(f"the training is not kept while it runs: {self.path}: {error}", stacklevel=2)
            return
        self.written = time.monotonic()
        self.pause = max(SECONDS, (self.written - started) / SHARE)


def files_of(
    folder: Path | None, experiment: Experiment, seeds: list[int], device: str | torch.device
) -> list[tuple[Path, str] | None]:
    """For each learning rate of an experiment the file in `folder` that keeps the training of these seeds, and its
    title, which holds whatever may change a bit of the result. Without a folder None."""
    found: list[tuple[Path, str] | None] = []
    for rate in experiment.learning_rates or (experiment.learning_rate,):
        parts = (experiment.name, seeds, rate, torch.device(device).type, torch.__version__, portable.facts())
        title = json.dumps(parts)
        name = f"{experiment.name}_{zlib.crc32(title.encode()):08x}.pt"
        found.append((folder / name, title) if folder else None)
    return found


def forget(folder: Path, experiment: Experiment, seeds: list[int], device: str | torch.device) -> None:
    """Remove what keeps the training of these seeds in a folder."""
    for path, _ in filter(None, files_of(folder, experiment, seeds, device)):
        path.unlink(missing_ok=True)


def keep(path: Path, title: str, model: torch.nn.Module, optimizer: torch.optim.Optimizer, history: list[dict]) -> None:
    """Write the checkpoint of the training called `title`, atomically."""
    state = {"title": title, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "history": history}
    _write(path, state)


def resume(path: Path, title: str, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[dict]:
    """Put the checkpoint of the training called `title` into its model and optimizer, and return its history; [] if
    there is none. One that is damaged or another training's is set aside, with a warning, and nothing of it taken."""
    if not path.exists():
        return []
    own = model.state_dict()
    try:
        files.check_zip(path, 4 * sum(each.nbytes for each in own.values()) + files.MOST_TEXT)  # Adam keeps three
        with files.checked(path):
            saved = _loaded(path, title)
            check_history(saved["history"])
            _check_tensors("weights", saved["model"], {name: (each.shape,) for name, each in own.items()})
            _check_optimizer(saved["optimizer"], optimizer)
    except files.Damaged as damaged:
        files.set_aside(damaged)
        return []
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["history"]


def _write(path: Path, state: dict[str, Any]) -> None:
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        torch.save(state, file)


def _loaded(path: Path, title: str) -> dict[str, Any]:
    """What a file keeps of the training called `title`; `ValueError`: it is another's."""
    saved = torch.load(path, weights_only=True, map_location="cpu")
    if saved.get("title") != title:
        raise ValueError(f"it is a checkpoint of another training, {saved.get('title')!r}")
    return saved


def _check_tensors(what: str, given: dict, shapes: dict[str, tuple]) -> None:
    """Raise `ValueError` unless the tensors are those of `shapes`, each name with the shapes that it may have."""
    if set(given) != set(shapes):
        raise ValueError(f"other {what} than the network's")
    for name, tensor in given.items():
        if tensor.shape not in shapes[name] or not torch.isfinite(tensor).all():
            raise ValueError(f"{what} {name} of a wrong shape, or not finite")


def _check_optimizer(given: dict, optimizer: torch.optim.Optimizer) -> None:
    groups = optimizer.state_dict()["param_groups"]
    if [group["params"] for group in given["param_groups"]] != [group["params"] for group in groups]:
        raise ValueError("another optimizer's state")
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for place, state in given["state"].items():
        _check_tensors("moments", state, dict.fromkeys(state, (weights[place].shape, ())))


def check_history(history: object) -> None:
    """Raise `ValueError` unless `history` has finite numbers for each epoch; accuracies are at most 1."""
    if not isinstance(history, list) or not history:
        raise ValueError("no history")
    for epoch in history:
        for name, value in epoch.items():
            most = 1 if name.endswith("accuracy") else sys.float_info.max
            if type(value) not in (int, float) or not 0 <= value <= most:
                raise ValueError(f"{name}={checks.shortened(value)}, which is no number from 0 to {most:g}")
