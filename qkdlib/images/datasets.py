"""Real images, their class subsets, and splits that share no image (v1, sections 4.1 and 4.2).

Pixels are in [0, 1], as the authors' notebooks scale them; an experiment may normalise those that its student sees.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from qkdlib import checks, workspace
from qkdlib.experiment import Experiment, check_experiment
from qkdlib.experiment_checks import DATASETS, IMAGEFOLDER
from qkdlib.images import arrays, downloads, imagefolder
from qkdlib.randomness import stream

DIGITS_TEST_PER_CLASS = 50
CIFAR10_JPEG = "cifar10-images"  # folder below QKD_DATA: {train,test}/<class name>/*.jpg
CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CIFAR10_SHAPE = (3, 32, 32)

_handed: dict[tuple[str, int | None], arrays.Loaded] = {}  # by data set and image size


@dataclass(frozen=True)
class Images:
    """Images `x` (N, C, H, W) float32 in [0, 1], or what a student sees in their place; labels `y` (N,) int64 counted
    from 0 in the order of the experiment's classes, and `index` (N,), each image's place in the data set's training or
    test part.

    Where each of S seeds has N images of its own, `x` holds those of all seeds and more, `y` and `index` are (S, N),
    and `rows` (S, N) says where in `x` a seed's images are; else it is None."""

    x: torch.Tensor
    y: torch.Tensor
    index: torch.Tensor
    rows: torch.Tensor | None = None

    def __len__(self) -> int:
        """N."""
        return self.y.shape[-1]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.x.shape[1:]
        return channels, height, width

    def take(self, places: torch.Tensor | Sequence[int]) -> "Images":
        """The images at `places`. `ValueError`: each seed has its own."""
        if self.rows is not None:
            checks.fail("images", f"of {len(self.rows)} seeds", "those of one, qkdlib.splits(experiment.of_seed(seed))")
        places = torch.as_tensor(places)
        return Images(self.x[places], self.y[places], self.index[places])

    def seen(self, places: torch.Tensor) -> torch.Tensor:
        """What each seed sees in these of its places (S, B): (S, B, C, H, W)."""
        rows = places if self.rows is None else self.rows.gather(1, places)
        return self.x.index_select(0, rows.reshape(-1)).view(*rows.shape, *self.x.shape[1:])

    def chunks(self, size: int) -> Iterator[torch.Tensor]:
        """Up to `size` images at once in their order: (B, C, H, W), or (S, B, C, H, W) where each seed has its own."""
        if self.rows is None:
            yield from self.x.split(size)
        else:
            for rows in self.rows.split(size, 1):
                yield self.x.index_select(0, rows.reshape(-1)).view(*rows.shape, *self.x.shape[1:])


@dataclass(frozen=True)
class Splits:
    """The student's `train`, `validation` and `test` images, which share none; and every training and test image
    of the classes (`all_train`, `all_test`), for teachers. `validation` is a part of `all_train` that the student
    does not train on. `drawn` is the experiment whose seeds have images of their own, if they do, and `pools` are
    `all_train` and `all_test` as its students see them. Where the choice leaves none out, all seeds have the same."""

    train: Images
    validation: Images
    test: Images
    all_train: Images
    all_test: Images
    class_names: tuple[str, ...]
    drawn: Experiment | None = None
    pools: tuple[torch.Tensor, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image, as the student sees it."""
        return self.train.shape

    def students_rows(self) -> list[torch.Tensor]:
        """Where the student's training images are among `all_train`, and its validation images; (N,), or (S, N)."""
        return [torch.searchsorted(self.all_train.index, part.index) for part in (self.train, self.validation)]

    def of(self, seeds: Sequence[int]) -> "Splits":
        """As these seeds see them."""
        if self.drawn is None:
            return self
        chosen = [_choices(self.all_train, self.all_test, self.drawn.of_seed(seed)) for seed in seeds]
        whole = zip((self.all_train, self.all_test), self.pools, strict=True)
        of_train, of_test = (dataclasses.replace(images, x=x) for images, x in whole)
        train, validation, test = map(_each, (of_train, of_train, of_test), zip(*chosen, strict=True))
        return dataclasses.replace(self, train=train, validation=validation, test=test)


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
    places = _choices(all_train, all_test, experiment)
    taken = (each.take(rows) for each, rows in zip((all_train, all_train, all_test), places, strict=True))
    train, validation, test = (dataclasses.replace(each, x=normalised(each.x, experiment)) for each in taken)
    return Splits(train, validation, test, all_train, all_test, chosen)


def normalised(x: torch.Tensor, experiment: Experiment) -> torch.Tensor:
    """Images (..., C, H, W) in [0, 1] as the experiment's student sees them, (x - mean) / std. `ValueError`: those are
    not as many numbers as the images have channels."""
    if not experiment.pixel_mean:
        return x
    if len(experiment.pixel_mean) not in (1, x.shape[-3]):
        checks.fail("pixel_mean", experiment.pixel_mean, f"one number, or one for each of the {x.shape[-3]} channels")
    mean, std = (x.new_tensor(each)[:, None, None] for each in (experiment.pixel_mean, experiment.pixel_std))
    return (x - mean) / std


def class_names(experiment: Experiment) -> tuple[str, ...]:
    """Names of the experiment's classes; errors as of `splits`."""
    return _chosen(experiment, load(experiment.dataset, experiment.image_size)[-1])


def _chosen(experiment: Experiment, names: list[str]) -> tuple[str, ...]:
    if max(experiment.classes) >= len(names):
        checks.fail("classes", experiment.classes, f"indices from 0 to {len(names) - 1} in {_short(experiment)}")
    return tuple(names[label] for label in experiment.classes)


def _of_classes(x: torch.Tensor, y: torch.Tensor, classes: tuple[int, ...]) -> Images:
    lookup = torch.full((max(*classes, int(y.max()) if len(y) else 0) + 1,), -1)
    lookup[list(classes)] = torch.arange(len(classes))
    index = torch.nonzero(lookup[y] >= 0).squeeze(1)
    pixels = x[index].float().div_(255) if x.dtype == torch.uint8 else x[index]
    return Images(pixels, lookup[y[index]], index)


def _choices(all_train: Images, all_test: Images, experiment: Experiment) -> list[torch.Tensor]:
    """Where the student's train, validation and test images are among all."""
    train = _choose(all_train, experiment, "train", "train_per_class", "validation_per_class")
    return train + _choose(all_test, experiment, "test", "test_per_class")


def _each(whole: Images, places: Sequence[torch.Tensor]) -> Images:
    """Of the `whole` images those in each seed's `places` (N,)."""
    if all(torch.equal(each, places[0]) for each in places):
        return whole.take(places[0])
    rows = torch.stack(list(places))
    return Images(whole.x, whole.y[rows], whole.index[rows], rows)


def _choose(images: Images, experiment: Experiment, part: str, *names: str) -> list[torch.Tensor]:
    """For each class, consecutive groups of as many images as the fields `names` say, in file order or in a random one;
    None takes what the other groups leave. Returns the places (N,) of each group, in file order."""
    sizes: list[int | None] = [getattr(experiment, name) for name in names]
    chosen: list[list[torch.Tensor]] = [[] for _ in sizes]
    asked = sum(size or 0 for size in sizes)
    for place, label in enumerate(experiment.classes):
        members = torch.nonzero(images.y == place).squeeze(1)
        if len(members) < asked + sizes.count(None):
            most = len(members) - sizes.count(None)  # a group that takes the rest needs an image
            allowed = f"at most {most}, the {part} images of class {label} in {_short(experiment)}"
            checks.fail(" + ".join(names), asked, allowed)
        if experiment.selection == "random":
            order = np.random.default_rng(stream(experiment.data_seed, f"data {part} {label}"))
            members = members[torch.from_numpy(order.permutation(len(members)))]
        lengths = [len(members) - asked if size is None else size for size in sizes]
        for group, taken in zip(chosen, members[: sum(lengths)].split(lengths), strict=True):
            group.append(taken)
    return [torch.cat(group).sort().values for group in chosen]


def _short(experiment: Experiment) -> str:
    return experiment.dataset if experiment.dataset in DATASETS else checks.shortened(experiment.dataset)


def identified(experiment: Experiment) -> Experiment:
    """The experiment with the fingerprint of its images, which tells whether they are still the same. `ValueError`: it
    has a fingerprint already, and the folder holds other images."""
    now = fingerprint(check_experiment(experiment))
    if experiment.images not in ("", now):
        allowed = f"{now}, the images that {_short(experiment)} holds now, or '' for whatever it holds"
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
