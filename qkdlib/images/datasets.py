"""Real images, their class subsets, and splits that share no image (v1, sections 4.1 and 4.2).

Pixels are in [0, 1], as the authors' notebooks scale them; an experiment may normalise those that its student sees.
"""

import dataclasses
import hashlib
import json
from functools import lru_cache
from pathlib import Path

import torch

from qkdlib import checks, workspace
from qkdlib.experiment import Experiment, check_experiment
from qkdlib.experiment_checks import IMAGEFOLDER
from qkdlib.images import arrays, downloads, imagefolder
from qkdlib.images.choice import Images, Splits, choices, normalised, short

DIGITS_TEST_PER_CLASS = 50
CIFAR10_JPEG = "cifar10-images"  # folder below QKD_DATA: {train,test}/<class name>/*.jpg
CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CIFAR10_SHAPE = (3, 32, 32)

_handed: dict[tuple[str, int | None], arrays.Loaded] = {}  # by data set and image size


def splits(experiment: Experiment) -> Splits:
    """Load the experiment's data set and cut it into its splits, with the selection `each_seed` those of all its seeds:
    `splits(experiment.of_seed(3))` are those of one.

    Raises:
        ValueError: a class that the data set lacks, more images per class than there are, or a folder of images that
            are not those of the experiment or cannot be used.
        FileNotFoundError: the data set is neither there nor to be downloaded.
    """
    experiment = identified(experiment) if check_experiment(experiment).images else experiment
    x_train, y_train, x_test, y_test, names = load(experiment.dataset, experiment.image_size)
    chosen = _chosen(experiment, names)
    all_train = _of_classes(x_train, y_train, experiment.classes)
    all_test = _of_classes(x_test, y_test, experiment.classes)
    if experiment.selection == "each_seed":
        pools = normalised(all_train.x, experiment), normalised(all_test.x, experiment)
        whole = Splits(all_train, all_train, all_test, all_train, all_test, chosen, experiment, pools)
        return whole.of(range(experiment.seeds))
    places = choices(all_train, all_test, experiment)
    taken = (each.take(rows) for each, rows in zip((all_train, all_train, all_test), places, strict=True))
    train, validation, test = (dataclasses.replace(each, x=normalised(each.x, experiment)) for each in taken)
    return Splits(train, validation, test, all_train, all_test, chosen)


def class_names(experiment: Experiment) -> tuple[str, ...]:
    """Names of the experiment's classes; errors as of `splits`."""
    return _chosen(experiment, load(experiment.dataset, experiment.image_size)[-1])


def _chosen(experiment: Experiment, names: list[str]) -> tuple[str, ...]:
    if max(experiment.classes) >= len(names):
        checks.fail("classes", experiment.classes, f"indices from 0 to {len(names) - 1} in {short(experiment)}")
    return tuple(names[label] for label in experiment.classes)


def _of_classes(x: torch.Tensor, y: torch.Tensor, classes: tuple[int, ...]) -> Images:
    lookup = torch.full((max(*classes, int(y.max()) if len(y) else 0) + 1,), -1)
    lookup[list(classes)] = torch.arange(len(classes))
    index = torch.nonzero(lookup[y] >= 0).squeeze(1)
    pixels = x[index].float().div_(255) if x.dtype == torch.uint8 else x[index]
    return Images(pixels, lookup[y[index]], index)


def identified(experiment: Experiment) -> Experiment:
    """The experiment with the fingerprint of its images, which tells whether they are still the same. `ValueError`: it
    has a fingerprint already, and the folder holds other images."""
    now = fingerprint(check_experiment(experiment))
    if experiment.images not in ("", now):
        allowed = f"{now}, the images that {short(experiment)} holds now, or '' for whatever it holds"
        checks.fail("images", experiment.images, allowed)
    return dataclasses.replace(experiment, images=now)


def fingerprint(experiment: Experiment) -> str:
    """12 hexadecimal digits that depend on class names, labels and pixels of all images of a folder, in their order,
    and on nothing else; "" for a named data set or arrays, whose images are always the same."""
    if not experiment.dataset.startswith(IMAGEFOLDER):
        return ""
    return content(experiment.dataset, experiment.image_size)[:12]


def content(dataset: str, image_size: int | None = None) -> str:
    """64 hexadecimal digits of class names, labels and pixels of all images of a data set, in their order."""
    if dataset.startswith(arrays.NAME) or (dataset, image_size) in _handed:
        return _digest(load(dataset, image_size))
    return _content(dataset, image_size, *_source(dataset))


@lru_cache(maxsize=64)
def _content(dataset: str, image_size: int | None, root: Path, signature: str) -> str:
    return _digest(_load(dataset, image_size, root, signature))


def _digest(loaded: arrays.Loaded) -> str:
    *tensors, names = loaded
    found = hashlib.sha256(json.dumps([names, [list(each.shape) for each in tensors]]).encode())
    for each in tensors:
        found.update(each.numpy().data)
    return found.hexdigest()


def hand_over(dataset: str, image_size: int | None, loaded: arrays.Loaded) -> None:
    """Take these images, as `load` returns them on another machine, for that data set as long as this process lives."""
    _handed[dataset, image_size] = loaded


def load(dataset: str, image_size: int | None = None) -> arrays.Loaded:
    """Both parts of a data set: x_train, y_train, x_test, y_test, class names. Images are (N, C, H, W), uint8 or, of
    `arrays`, also float32 in [0, 1]; labels int64 (N,). The last three data sets stay in memory, folders until a file
    changes, arrays for good, as does what was handed over."""
    if (dataset, image_size) in _handed:
        return _handed[dataset, image_size]
    if dataset.startswith(arrays.NAME):
        return arrays.load(dataset)
    return _load(dataset, image_size, *_source(dataset))


def _source(dataset: str) -> tuple[Path, str]:
    """Where the images of a data set come from, and what a folder's files are like: once it changes, they are read
    again."""
    if dataset.startswith(IMAGEFOLDER):
        root = workspace.place(dataset.removeprefix(IMAGEFOLDER), "dataset")
        return root, imagefolder.layout(root, dataset).signature
    return (Path() if dataset == "digits" else workspace.data_root()), ""


@lru_cache(maxsize=3)  # the data sets of v2
def _load(dataset: str, image_size: int | None, root: Path, signature: str) -> arrays.Loaded:
    if dataset == "digits":
        return _digits()
    if dataset.startswith(IMAGEFOLDER):
        return imagefolder.load_folder(root, image_size, dataset)
    return _jpeg(root) if dataset == "cifar10_jpeg" else downloads.load(dataset, root)


def _jpeg(root: Path) -> arrays.Loaded:
    """CIFAR10 as anybody's folder of JPEG files, which differ a little from the original pixels; as `load`."""
    if not (root / CIFAR10_JPEG).is_dir():
        raise FileNotFoundError(
            f"dataset='cifar10_jpeg' is not in QKD_DATA={str(root)!r}; allowed: a folder {CIFAR10_JPEG} there "
            "with train/<class>/*.jpg and test/<class>/*.jpg, or dataset='cifar10', which torchvision downloads."
        )
    loaded = imagefolder.load_folder(root / CIFAR10_JPEG, None, "cifar10_jpeg")
    shape, names = tuple(loaded[0].shape[1:]), loaded[-1]
    if shape != CIFAR10_SHAPE or names != CIFAR10_CLASSES:
        allowed = f"images of shape {CIFAR10_SHAPE} in the classes {', '.join(CIFAR10_CLASSES)}"
        there = f"{CIFAR10_JPEG} in QKD_DATA={str(root)!r} holds {shape} in {', '.join(names)[:200]}"
        checks.fail("dataset", "cifar10_jpeg", f"{allowed}; {there}")
    return loaded


def _digits() -> arrays.Loaded:
    """scikit-learn's 1,797 real 8x8 digits, brought to 28x28 by bilinear interpolation. The last 50 of each class
    are the test images."""
    from sklearn.datasets import load_digits

    source = load_digits()
    x = torch.tensor(source.images, dtype=torch.float32).unsqueeze(1) * (255 / 16)  # (N, 1, 8, 8)
    x = torch.nn.functional.interpolate(x, size=(28, 28), mode="bilinear", align_corners=False)
    x, y = x.round().to(torch.uint8), torch.tensor(source.target, dtype=torch.int64)  # (N, 1, 28, 28), (N,)
    is_test = torch.zeros(len(y), dtype=torch.bool)
    for label in range(10):
        is_test[torch.nonzero(y == label).squeeze(1)[-DIGITS_TEST_PER_CLASS:]] = True
    return x[~is_test], y[~is_test], x[is_test], y[is_test], [str(label) for label in range(10)]


def at_hand(dataset: str) -> bool:
    """Whether a data set can be loaded without a download: its files are there, or its arrays were handed over."""
    if dataset.startswith(arrays.NAME):
        return arrays.is_kept(dataset)
    if dataset == "cifar10_jpeg":
        return all(any((workspace.data_root() / CIFAR10_JPEG / part).glob("*/*.jpg")) for part in ("train", "test"))
    return dataset not in downloads.SOURCES or downloads.are_there(dataset, workspace.data_root())


def describe(parts: Splits) -> dict[str, int]:
    """How many images each split has."""
    named = {name: len(getattr(parts, name)) for name in ("train", "validation", "test")}
    return named | {"teacher": len(parts.all_train)}
