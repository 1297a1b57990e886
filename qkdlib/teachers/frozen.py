"""Outputs of networks of one's own, used where they lie, in evaluation mode, and left as they were: of each image by
itself, and always the same."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from qkdlib import checks, torch_settings
from qkdlib.teachers import networks

COLUMNS = {"teacher": ("logits", "classes"), "features": ("features", "features")}  # by parameter: what comes, in what


def outputs_of(
    network: nn.Module, images: torch.Tensor, device: str | torch.device, name: str, batch: int,
    parameter: str = "teacher",
) -> torch.Tensor:  # fmt: skip
    """Outputs (N, K) of a network in evaluation mode, on the CPU, in its own number type; features may come as
    (N, K, 1, 1). `ValueError`: the network called `name`, which is the `parameter`, cannot take the images, or returns
    no table of real numbers."""
    chunks, kind, (what, columns) = [], networks.number_type(network), COLUMNS[parameter]
    with networks.evaluation(network), torch.no_grad():  # inference tensors might stay behind in it
        for chunk in images.split(batch):
            try:
                found = network(chunk.to(device, kind, copy=True))  # it may work in place
            except Exception as error:  # a stranger's forward
                shape, reason = tuple(images.shape[1:]), checks.line(error, 200)
                checks.fail(parameter, name, f"a network for images of shape {shape}: {reason}")
            if not isinstance(found, torch.Tensor):
                checks.fail(parameter, name, f"a network that returns {what}, not a {type(found).__name__}")
            if parameter == "features" and found.ndim == 4 and found.shape[2:] == (1, 1):
                found = found.flatten(1)
            if found.ndim != 2:
                checks.fail(parameter, name, f"{what} of shape (images, {columns}), not {tuple(found.shape)}")
            if not found.is_floating_point() or found.layout != torch.strided:
                checks.fail(parameter, name, f"dense {what} of real numbers, not {found.dtype}, {found.layout}")
            chunks.append(found.detach().cpu())  # a forward may switch gradients on again
    return torch.cat(chunks)


def place_of(network: nn.Module, otherwise: str | torch.device) -> torch.device:
    """The device of a network's weights; `otherwise` if it has none."""
    return next((weights.device for weights in network.parameters()), torch.device(otherwise))


@contextlib.contextmanager
def undisturbed(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Whole numbers of the network's own type, whatever the session has set, and random numbers that nobody misses."""
    kind = "float64" if networks.number_type(network) == torch.float64 else "float32"
    generators = [device] if device.type == "cuda" else []
    with torch_settings.plain_torch(kind, device), convolutions(), torch.random.fork_rng(devices=generators):
        yield


@contextlib.contextmanager
def convolutions() -> Iterator[None]:
    """On CUDA, always the same convolutions, for a while."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic
    cudnn.deterministic = True
    try:
        yield
    finally:
        cudnn.deterministic = before


def steady(
    outputs: Callable[[torch.Tensor], torch.Tensor], parts: Sequence[torch.Tensor],
    same: Callable[[torch.Tensor, torch.Tensor, float], bool], few: int, parameter: str, name: str,
    count: int | None = None,
) -> list[torch.Tensor]:  # fmt: skip
    """`outputs` (N, K) of each of `parts`, images (N, C, H, W). `ValueError`: they are not finite, not `count` columns,
    or further passes over a `few` images do not give the `same`."""
    what, _ = COLUMNS[parameter]
    found = [outputs(images) for images in parts]
    for each, images in zip(found, parts, strict=True):
        if not torch.isfinite(each).all():
            checks.fail(parameter, name, f"finite {what}; these hold NaN or infinity")
        if each.shape != (shape := (len(images), found[0].shape[1] if count is None else count)) or not each.numel():
            of = "images" if count is None else "images and classes"
            checks.fail(parameter, name, f"{what} of shape {shape} for these {of}, not {tuple(each.shape)}")
    for every, rounding, reason in (
        (1, networks.SAME, "two passes over the same images differ (dropout that stays active?)"),
        (2, networks.NEARLY, "they depend on the images beside it (batch norm without running statistics?)"),
    ):
        again = outputs(parts[0][:few:every])
        if not same(again, found[0][:few:every], rounding):
            checks.fail(parameter, name, f"a network whose {what} of an image are always the same; {reason}")
    return found


def known_as(fingerprint: str, stem_of: Callable[[str], str], folder: Path, is_it: Callable[[Path, bool], bool]) -> str:
    """The fingerprint under which outputs lie in a folder already; their own if they do not.

    Args:
        stem_of: fingerprint -> the name of the file, which holds it before the last underscore.
        is_it: whether a file, of this very fingerprint or of another, holds these outputs.
    """
    exact = stem_of(fingerprint)
    start = exact.rsplit("_", 1)[0][: -len(fingerprint)]
    for path in sorted(folder.glob(f"{start}*.npz"), key=lambda path: (path.stem != exact, path.stem)):
        other = path.stem.rsplit("_", 1)[0][-len(fingerprint) :]
        if stem_of(other) == path.stem and is_it(path, path.stem == exact):  # else it is of other images
            return other
    return fingerprint
