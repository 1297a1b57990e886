"""What a training leaves after each epoch, so that it can go on from there."""

import sys
from pathlib import Path

import torch

from qkdlib import checks, files


def keep(path: Path, title: str, model: torch.nn.Module, optimizer: torch.optim.Optimizer, history: list[dict]) -> None:
    """Write the checkpoint of the training called `title`, atomically."""
    state = {"title": title, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "history": history}
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        torch.save(state, file)


def resume(path: Path, title: str, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[dict]:
    """Put the checkpoint of the training called `title` into its model and optimizer, and return its history; [] if
    there is none. One that is damaged or another training's is set aside, with a warning, and nothing of it taken."""
    if not path.exists():
        return []
    own = model.state_dict()
    try:
        files.check_zip(path, 4 * sum(each.nbytes for each in own.values()) + files.MOST_TEXT)  # Adam keeps three
        with files.checked(path):
            saved = torch.load(path, weights_only=True, map_location="cpu")
            if saved.get("title") != title:
                raise ValueError(f"it is a checkpoint of another training, {saved.get('title')!r}")
            check_history(saved["history"])
            _check_tensors("weights", saved["model"], {name: (each.shape,) for name, each in own.items()})
            _check_optimizer(saved["optimizer"], optimizer)
    except files.Damaged as damaged:
        files.set_aside(damaged)
        return []
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["history"]


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
