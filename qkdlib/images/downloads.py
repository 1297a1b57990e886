"""Torchvision's data sets: read if all their files are the published ones, and downloaded whole or not at all."""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from qkdlib import files

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SOURCES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10"}  # torchvision's classes

NAMES = {
    "mnist": [str(digit) for digit in range(10)],
    "fashion_mnist": [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ],
}  # fmt: skip

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


def load(dataset: str, root: Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, list[str]]:
    """One of torchvision's data sets, as `datasets.load`; downloaded if it is not there.

    Raises:
        ValueError: a file is not the published one; nothing of it is read.
        FileNotFoundError: the data set is neither there nor to be downloaded.
    """
    _check(dataset, root)
    if not are_there(dataset, root):
        _download(dataset, root)
        _check(dataset, root)
    if dataset in IDX_MD5:  # torchvision, which reads them too, takes two seconds to import
        raw = root / SOURCES[dataset] / "raw"
        x_train, y_train, x_test, y_test = (np.fromfile(raw / name, np.uint8) for name in IDX_MD5[dataset])
        pairs = ((x_train, y_train), (x_test, y_test))
        train, test = (_tensors(x[16:].reshape(-1, 1, 28, 28), y[8:]) for x, y in pairs)  # behind their headers
        return *train, *test, list(NAMES[dataset])
    from torchvision.datasets import CIFAR10

    parts = [CIFAR10(root, train=train) for train in (True, False)]
    train, test = (_tensors(part.data.transpose(0, 3, 1, 2), part.targets) for part in parts)
    return *train, *test, list(parts[0].classes)


def _check(dataset: str, root: Path) -> None:
    """Those files that are there are the published ones."""
    for path, expected in _published(dataset).items():
        content = (root / path).read_bytes() if (root / path).is_file() else None
        if content is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != expected:
            raise ValueError(
                f"QKD_DATA={str(root)!r}: {path} of {dataset} ({len(content)} bytes) is truncated or "
                f"changed; allowed: the published file with MD5 {expected}. Delete it to download it again."
            )


def _tensors(x: "ArrayLike", y: "ArrayLike") -> tuple[torch.Tensor, torch.Tensor]:
    return torch.as_tensor(x).contiguous(), torch.as_tensor(y, dtype=torch.int64)


def _published(dataset: str) -> dict[str, str]:
    """The MD5 sums of the files of one of torchvision's data sets, by their paths below `QKD_DATA`."""
    if dataset in IDX_MD5:
        return {f"{SOURCES[dataset]}/raw/{name}": md5 for name, md5 in IDX_MD5[dataset].items()}
    from torchvision.datasets.cifar import CIFAR10

    batches = [*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])]
    return {f"{CIFAR10.base_folder}/{name}": md5 for name, md5 in batches}


def are_there(dataset: str, root: Path) -> bool:
    """Whether all files of one of torchvision's data sets lie below the folder `root`, whatever they hold."""
    return all((root / path).is_file() for path in _published(dataset))


def _download(dataset: str, root: Path) -> None:
    """Download what is missing of one of torchvision's data sets. What fails leaves nothing behind."""
    import torchvision

    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    source = SOURCES[dataset]
    archives = {"cifar10": "cifar-10-python.tar.gz"}.get(dataset, f"{source}/raw/*.gz")
    try:
        with files.temporary_folder(root) as temporary:
            for archive in root.glob(archives):  # which need not be downloaded
                there = temporary / archive.relative_to(root)
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(archive, there)
            getattr(torchvision.datasets, source)(temporary, download=True)
            for path in _published(dataset):
                if not (root / path).exists():
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(temporary / path, root / path)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise FileNotFoundError(
            f"dataset={dataset!r} is not in QKD_DATA={str(root)!r} and could not be downloaded ({reason}). "
            f"Allowed: a QKD_DATA folder that holds {source} in torchvision's layout, or a network. "
            "`make demo` needs neither: it runs on the embedded `digits`."
        ) from error
    finally:
        for folder in missing:
            with contextlib.suppress(OSError):  # it holds the data set
                folder.rmdir()
