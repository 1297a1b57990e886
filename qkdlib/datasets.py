"""Real images, their class subsets, and splits that share no image (v1, sections 4.1 and 4.2).

Pixels are in [0, 1], as the authors' notebooks scale them; nothing else is normalised.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from qkdlib import checks
from qkdlib.experiment import IMAGEFOLDER, Experiment
from qkdlib.randomness import stream
from qkdlib.workspace import data_root

DIGITS_TEST_PER_CLASS = 50
CIFAR10_JPEG = "cifar10-images"  # folder below QKD_DATA: {train,test}/<class name>/*.jpg

# MD5 of the uncompressed IDX files, as published with the data sets.
IDX_MD5 = {
    "mnist": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}


@dataclass(frozen=True)
class Images:
    """Images `x` (N, C, H, W) float32 in [0, 1], labels `y` (N,) int64 counted from 0 in the order of the
    experiment's classes, and `index` (N,), each image's place in the data set's training or test part."""

    x: torch.Tensor
    y: torch.Tensor
    index: torch.Tensor

    def __len__(self) -> int:
        return len(self.y)

    def take(self, places) -> "Images":
        """The images at `places`."""
        places = torch.as_tensor(places)
        return Images(self.x[places], self.y[places], self.index[places])


@dataclass(frozen=True)
class Splits:
    """The student's `train`, `validation` and `test` images, which share none; and every training and test image
    of the classes (`all_train`, `all_test`), for teachers. `validation` is a part of `all_train` that the student
    does not train on."""

    train: Images
    validation: Images
    test: Images
    all_train: Images
    all_test: Images
    class_names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return tuple(self.train.x.shape[1:])


def splits(experiment: Experiment) -> Splits:
    """Load the experiment's data set and cut it into its splits.

    Raises:
        ValueError: a class that the data set lacks, or more images per class than there are.
        FileNotFoundError: the data set is neither there nor to be downloaded.
    """
    x_train, y_train, x_test, y_test, names = load(experiment.dataset, experiment.image_size)
    for label in experiment.classes:
        if label >= len(names):
            checks.fail("classes", experiment.classes, f"indices from 0 to {len(names) - 1} in {experiment.dataset}")
    all_train = _of_classes(x_train, y_train, experiment.classes)
    all_test = _of_classes(x_test, y_test, experiment.classes)
    train, validation = _choose(
        all_train, experiment, "train", (experiment.train_per_class, experiment.validation_per_class)
    )
    (test,) = _choose(all_test, experiment, "test", (experiment.test_per_class,))
    return Splits(train, validation, test, all_train, all_test, tuple(names[label] for label in experiment.classes))


def _of_classes(x: torch.Tensor, y: torch.Tensor, classes: tuple[int, ...]) -> Images:
    lookup = torch.full((max(*classes, int(y.max()) if len(y) else 0) + 1,), -1)
    for place, label in enumerate(classes):
        lookup[label] = place
    index = torch.nonzero(lookup[y] >= 0).squeeze(1)
    return Images(x[index].float() / 255, lookup[y[index]], index)


def _choose(images: Images, experiment: Experiment, part: str, sizes: tuple[int | None, ...]) -> list[Images]:
    """For each class, consecutive groups of `sizes` images, in file order or in a random one; a size of None takes
    what the other groups leave. Returns one `Images` per size, in file order."""
    chosen = [[] for _ in sizes]
    names = ["test_per_class"] if part == "test" else ["train_per_class", "validation_per_class"]
    asked = sum(size or 0 for size in sizes)
    for place, label in enumerate(experiment.classes):
        members = torch.nonzero(images.y == place).squeeze(1)
        if len(members) < asked + sizes.count(None):
            most = len(members) - sizes.count(None)  # a group that takes the rest needs an image
            allowed = f"at most {most}, the {part} images of class {label} in {experiment.dataset}"
            checks.fail(" + ".join(names), asked, allowed)
        if experiment.selection == "random":
            order = np.random.default_rng(stream(experiment.data_seed, f"data {part} {label}"))
            members = members[torch.from_numpy(order.permutation(len(members)))]
        lengths = [len(members) - asked if size is None else size for size in sizes]
        for group, taken in zip(chosen, members[: sum(lengths)].split(lengths), strict=True):
            group.append(taken)
    return [images.take(torch.cat(group).sort().values) for group in chosen]


@lru_cache(maxsize=3)  # the data sets of v2
def load(dataset: str, image_size: int | None = None):
    """Both parts of a data set: x_train, y_train, x_test, y_test, class names.

    Images are uint8 (N, C, H, W), labels int64 (N,).
    """
    if dataset == "digits":
        return _digits()
    if dataset.startswith(IMAGEFOLDER):
        from qkdlib.imagefolder import load_folder

        return load_folder(Path(dataset.removeprefix(IMAGEFOLDER)), image_size)
    root = data_root()
    if dataset == "cifar10_jpeg":
        return load_jpeg(root / CIFAR10_JPEG)
    if dataset in IDX_MD5:
        _check_idx(root, dataset)
    return _torchvision(dataset, root)


def load_jpeg(folder: Path):
    """CIFAR10 as anybody's folder of JPEG files, which differ a little from the original pixels; as `load`."""
    from qkdlib.imagefolder import load_folder

    if not folder.is_dir():
        raise FileNotFoundError(
            f"dataset='cifar10_jpeg' is not in QKD_DATA={str(folder.parent)!r}; allowed: a folder {folder.name} there "
            "with train/<class>/*.jpg and test/<class>/*.jpg, or dataset='cifar10', which torchvision downloads."
        )
    return load_folder(folder, None)


def _digits():
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


def _torchvision(dataset: str, root: Path):
    import torchvision

    source = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10"}[dataset]
    try:
        parts = [getattr(torchvision.datasets, source)(root, train=train, download=True) for train in (True, False)]
    except Exception as error:
        raise FileNotFoundError(
            f"dataset={dataset!r} is not in QKD_DATA={str(root)!r} and could not be downloaded "
            f"({type(error).__name__}: {error}). Allowed: a QKD_DATA folder that holds {source} in torchvision's "
            "layout, or a network. `make demo` needs neither: it runs on the embedded `digits`."
        ) from error
    train, test = (_tensors(part) for part in parts)
    return *train, *test, [str(name).split(" - ")[0] for name in parts[0].classes]  # MNIST has '0 - zero'


def _tensors(part) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.as_tensor(part.data)
    x = x.unsqueeze(1) if x.ndim == 3 else x.permute(0, 3, 1, 2).contiguous()  # (N, C, H, W)
    return x, torch.as_tensor(part.targets, dtype=torch.int64)


def _check_idx(root: Path, dataset: str) -> None:
    """IDX files that already lie in the folder are used as they are, if they are the published ones."""
    folder = root / {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[dataset] / "raw"
    for name, expected in IDX_MD5[dataset].items():
        path = folder / name
        if path.exists() and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != expected:
            raise ValueError(
                f"QKD_DATA={str(root)!r}: {path.name} of {dataset} ({path.stat().st_size} bytes) is truncated or "
                f"changed; allowed: the published file with MD5 {expected}. Delete it to download it again."
            )


def at_hand(dataset: str) -> bool:
    """Whether a data set can be loaded without a download."""
    folder = {
        "mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "cifar-10-batches-py",
        "cifar10_jpeg": CIFAR10_JPEG,
    }.get(dataset)  # fmt: skip
    return folder is None or (data_root() / folder).is_dir()


def describe(parts: Splits) -> dict[str, int]:
    """How many images each split has, for a reader."""
    named = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    return {name: len(images) for name, images in named.items()} | {"teacher": len(parts.all_train)}
