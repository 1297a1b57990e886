"""Images that are handed over as arrays or torch data sets: kept in this process, known by their content."""

import hashlib
import json
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import torch

from qkdlib import checks
from qkdlib.images import image_files

NAME = "arrays:"
CHANNELS_LAST = (1, 3, 4)  # as many as pictures have that were read by others
IMAGES = "(N, H, W) or (N, C, H, W)"

Loaded = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, list[str]]  # as `datasets.load` returns

_kept: dict[str, tuple[str, Loaded]] = {}  # name -> the whole hash, and what it is of


def from_arrays(x_train: Any, y_train: Any, x_test: Any, y_test: Any, names: Sequence[str] | None = None) -> str:
    """Keep images and labels in this process, and return the name of their data set for `Experiment(dataset=...)`:
    `arrays:` and 12 hexadecimal digits of their content. The same content has the same name, in every process, and
    takes no memory twice. An experiment's validation images are taken from the training images.

    Args:
        x_train, x_test: images (N, H, W) or (N, C, H, W), numpy or torch, both uint8 or both floats in [0, 1], which
            are kept as float32 and not rounded further. A copy is kept.
        y_train, y_test: labels (N,), whole numbers from 0 to C - 1, each of them among the training labels.
        names: of the C classes; by default the labels. They belong to the content.

    Raises:
        ValueError: images of another shape or type, with NaN or outside of [0, 1]; labels that skip numbers, or of
            another length than the images.

    Warns:
        UserWarning: test images are training images as well.
    """
    x = _images("x_train", x_train), _images("x_test", x_test)
    y = _labels("y_train", y_train, len(x[0])), _labels("y_test", y_test, len(x[1]))
    if x[0].shape[1:] != x[1].shape[1:]:
        checks.fail("x_test", f"images {tuple(x[1].shape[1:])}", f"images {tuple(x[0].shape[1:])}, as x_train holds")
    if x[0].dtype != x[1].dtype:
        checks.fail("x_test", str(x[1].dtype), f"{x[0].dtype}, as x_train is: uint8 from 0 to 255, floats from 0 to 1")
    classes = int(max(y[0].max(), y[1].max())) + 1
    if missing := sorted({*range(classes)} - {*y[0].unique().tolist()}):
        allowed = f"each of the labels from 0 to {classes - 1}; there are no images of {missing[:6]}"
        checks.fail("y_train", y[0].unique().tolist(), allowed)
    if classes < 2:
        checks.fail("y_train", y[0].unique().tolist(), "labels of two or more classes")
    return _keep((x[0], y[0], x[1], y[1], _names(names, classes)))


def from_datasets(train: Any, test: Any, names: Sequence[str] | None = None) -> str:
    """As `from_arrays`, of two torch `Dataset`s that give pairs of an image and a label. An image is a tensor or an
    array (H, W) or (C, H, W), as `torchvision.transforms.ToTensor` makes them, or a PIL picture of 8 bits, whose
    transparent parts show white. Each is read once, here: random transforms would give other images, under another
    name, in the next process.

    Args:
        names: by default `train.classes`, if it has as many as there are labels.
    """
    (x_train, y_train), (x_test, y_test) = _pairs("train", train), _pairs("test", test)
    known = getattr(train, "classes", None)
    if names is None and isinstance(known, (list, tuple)) and len(known) == len(y_train.unique()):
        names = [str(each) for each in known]
    return from_arrays(x_train, y_train, x_test, y_test, names)


def load(dataset: str) -> Loaded:
    """Both parts of a data set that was handed over, as `datasets.load`. `ValueError`: not in this process."""
    if dataset not in _kept:
        checks.fail("dataset", dataset, "arrays that this process has seen: hand them to qkdlib.images.from_arrays "
                    "again, where the same images, labels and names of classes get the same name")  # fmt: skip
    return _kept[dataset][1]


def is_kept(dataset: str) -> bool:
    """Whether the arrays of this name were handed over in this process."""
    return dataset in _kept


def _keep(given: Loaded) -> str:
    *tensors, names = given
    facts = [[str(each.dtype), list(each.shape)] for each in tensors]
    content = hashlib.sha256(json.dumps([names, facts]).encode())
    for each in tensors:
        content.update(each.numpy().data)
    whole = content.hexdigest()
    name = NAME + whole[:12]
    if name not in _kept:
        _warn_of_shared(*given[::2][:2])
        copies = [each.clone() for each in tensors]  # what is handed over may be written to later
        _kept[name] = whole, (*copies, names)  # type: ignore[assignment]
    elif _kept[name][0] != whole:
        checks.fail("x_train", name, "images whose name is free: others have these 12 digits; change any pixel")
    return name


def _warn_of_shared(train: torch.Tensor, test: torch.Tensor) -> None:
    seen = {hashlib.blake2b(image.numpy().data, digest_size=16).digest() for image in train}
    shared = sum(hashlib.blake2b(image.numpy().data, digest_size=16).digest() in seen for image in test)
    if shared:
        warnings.warn(f"{shared} of {len(test)} test images are training images as well", stacklevel=4)


def _images(name: str, given: Any) -> torch.Tensor:
    """Contiguous images (N, C, H, W), uint8 or float32, on the CPU."""
    x = _tensor(name, given)
    floats = x.is_floating_point()
    if not floats and x.dtype != torch.uint8:
        checks.fail(name, str(x.dtype), "uint8 from 0 to 255, or floats from 0 to 1")
    if x.ndim not in (3, 4) or not x.numel():
        checks.fail(name, f"shape {tuple(x.shape)}", f"images {IMAGES}, none of them empty")
    if x.ndim == 4 and min(x.shape[1:3]) > max(CHANNELS_LAST) and x.shape[3] in CHANNELS_LAST:
        allowed = "images (N, C, H, W); these look like (N, H, W, C): bring the channels forward by "
        checks.fail(name, f"shape {tuple(x.shape)}", allowed + "numpy.moveaxis(x, -1, 1)")
    checks.memory(name, f"shape {tuple(x.shape)}", 5.0 * x.numel(), "a copy of these images")
    if floats:
        x = x.float()
        if not torch.isfinite(x).all():
            checks.fail(name, "NaN or infinity", "finite pixels")
        least, most = float(x.min()), float(x.max())
        if least < 0 or most > 1:
            say = " (pixels from 0 to 255 may be given as uint8)" if 1 < most <= 255 and least >= 0 else ""
            checks.fail(name, f"pixels from {least:g} to {most:g}", f"floats from 0 to 1{say}")
    return (x if x.ndim == 4 else x[:, None]).contiguous()


def _labels(name: str, given: Any, images: int) -> torch.Tensor:
    y = _tensor(name, given)
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        checks.fail(name, str(y.dtype), "labels as whole numbers, counted from 0")
    if y.shape != (images,):
        checks.fail(name, f"shape {tuple(y.shape)}", f"one label for each of the {images} images, of shape ({images},)")
    y = y.to(torch.int64).contiguous()
    if y.min() < 0 or y.max() >= checks.MOST["classes"]:
        checks.fail(name, f"from {int(y.min())} to {int(y.max())}", "labels counted from 0")
    return y


def _tensor(name: str, given: Any) -> torch.Tensor:
    if isinstance(given, torch.Tensor):
        dense = given.layout == torch.strided and not given.is_complex() and not given.is_meta
        return given.detach().cpu() if dense else _no_array(name, given)
    try:
        array = np.asarray(given)
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        if array.dtype.kind not in "buif":
            _no_array(name, given)
        return torch.from_numpy(np.require(array, requirements=["C", "W"]))  # torch warns of what cannot be written to
    except (TypeError, ValueError):  # ragged lists, 80-bit numbers
        _no_array(name, given)


def _no_array(name: str, given: object) -> NoReturn:
    checks.fail(name, given, "a numpy array or a dense tensor of real numbers")


def _names(names: Sequence[str] | None, classes: int) -> list[str]:
    if names is None:
        return [str(label) for label in range(classes)]
    allowed = f"{classes} different names, one for each class"
    given = [checks.text("names", each) for each in checks.members("names", names, allowed, most=10**6)]
    return given if len(set(given)) == len(given) == classes else checks.fail("names", names, allowed)


def _pairs(name: str, dataset: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The images and labels of a torch `Dataset`."""
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        checks.fail(name, dataset, "a torch Dataset with a length, which gives (image, label) of a place")
    images: list[torch.Tensor] = []
    labels = []
    for place in range(len(dataset)):
        image, label = _pair(name, dataset[place])
        if (found := _kind(image)) != (first := _kind(images[0] if images else image)):
            checks.fail(name, f"image {place} of {found}", f"images of one shape and type, {first}")
        images.append(image)
        labels.append(label)
    if not images:
        checks.fail(name, dataset, "a torch Dataset that is not empty")
    return torch.stack(images), _labels(f"y_{name}", labels, len(images))


def _kind(image: torch.Tensor) -> str:
    return f"shape {tuple(image.shape)}, {image.dtype}"


def _pair(name: str, item: Any) -> tuple[torch.Tensor, Any]:
    from PIL import Image

    if not isinstance(item, (tuple, list)) or len(item) != 2:
        checks.fail(name, item, "a torch Dataset that gives pairs (image, label)")
    image, label = item
    if isinstance(image, Image.Image):
        if image_files.is_deep(image.mode):
            checks.fail(f"{name} images", image, "pictures of 8 bits; of more bits give tensors from 0 to 1")
        image = np.asarray(image_files.on_white(image))
        image = image if image.ndim == 2 else image.transpose(2, 0, 1)
    label = label.item() if isinstance(label, torch.Tensor) and label.numel() == 1 else label
    return _tensor(f"{name} images", image), label
