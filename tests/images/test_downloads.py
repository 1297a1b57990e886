"""Torchvision's data sets: only published files are read, and a download leaves all of them or nothing."""

import gzip
import hashlib
import pickle
import shutil
import socket
import struct

import numpy as np
import pytest
import torch
import torchvision

from qkdlib import images
from qkdlib.experiment import Experiment
from qkdlib.images import datasets, downloads

pytestmark = pytest.mark.usefixtures("no_data_of_others")


# MNIST and FashionMNIST as IDX files


def idx(array):
    """IDX format: two zero bytes, 8 for unsigned bytes, number of dimensions, their sizes, the values."""
    array = np.asarray(array, dtype=np.uint8)
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def own_idx(tmp_path, monkeypatch):
    """Made-up MNIST and FashionMNIST of 12 training and 6 test images of three classes, and their MD5 sums."""
    random = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte": random.integers(0, 256, (12, 28, 28)),
        "train-labels-idx1-ubyte": np.arange(12) % 3,
        "t10k-images-idx3-ubyte": random.integers(0, 256, (6, 28, 28)),
        "t10k-labels-idx1-ubyte": np.arange(6) % 3,
    }
    for name in ("MNIST", "FashionMNIST"):
        (tmp_path / name / "raw").mkdir(parents=True)
        for file, array in arrays.items():
            (tmp_path / name / "raw" / file).write_bytes(idx(array))
    sums = {file: hashlib.md5(idx(array)).hexdigest() for file, array in arrays.items()}
    monkeypatch.setattr(downloads, "IDX_MD5", {"mnist": sums, "fashion_mnist": sums})
    monkeypatch.setenv("QKD_DATA", str(tmp_path))
    return tmp_path, arrays


@pytest.mark.parametrize(
    ("dataset", "names"),
    [("mnist", ("2", "0")), ("fashion_mnist", ("Pullover", "T-shirt/top"))],
)
def test_idx_files_are_read_through_torchvision(own_idx, dataset, names):
    _, arrays = own_idx
    parts = images.splits(
        Experiment(dataset=dataset, classes=(2, 0), train_per_class=3, validation_per_class=1, test_per_class=2)
    )
    assert parts.class_names == names
    # Of the places 0, 2, 3, 5, 6, 8, 9, 11 with labels 0, 2, 0, 2, ... the last of each class is for validation.
    assert parts.train.index.tolist() == [0, 2, 3, 5, 6, 8]
    assert parts.train.y.tolist() == [1, 0, 1, 0, 1, 0]
    assert parts.validation.index.tolist() == [9, 11]
    expected = arrays["train-images-idx3-ubyte"][[0, 2, 3, 5, 6, 8]] / 255
    assert np.allclose(parts.train.x[:, 0], expected, atol=1e-7)
    expected = arrays["t10k-images-idx3-ubyte"][[0, 2, 3, 5]] / 255
    assert np.allclose(parts.test.x[:, 0], expected, atol=1e-7)


def test_a_class_that_the_files_lack_has_no_images(own_idx):
    with pytest.raises(ValueError, match="at most 0, the train images of class 7 in mnist"):
        images.splits(Experiment(classes=(0, 7), train_per_class=1, validation_per_class=1, test_per_class=1))


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_truncated_idx_file_is_named_with_its_md5(own_idx, dataset, file):
    root, _ = own_idx
    path = root / {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[dataset] / "raw" / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError) as caught:
        datasets.load(dataset)
    message = str(caught.value)
    assert file in message and dataset in message and str(root) in message
    assert "truncated" in message and f"MD5 {downloads.IDX_MD5[dataset][file]}" in message


def test_the_published_md5_sums_guard_the_real_files(tmp_path, monkeypatch):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(6)))
    monkeypatch.setenv("QKD_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="MD5 27ae3e4e09519cfbb04c329615203637"):
        datasets.load("mnist")


def test_another_folder_is_another_source(own_idx, tmp_path, monkeypatch):
    datasets.load("mnist")
    monkeypatch.setenv("QKD_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(FileNotFoundError):
        datasets.load("mnist")


class Opened:
    """Unpickled, it makes a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


def put_processed(root):
    """What torchvision made of MNIST long ago, and would still read first; the training part is a trap."""
    folder = root / "MNIST" / "processed"
    folder.mkdir(parents=True)
    torch.save((torch.zeros(6, 28, 28, dtype=torch.uint8), torch.arange(6) % 3), folder / "test.pt")
    (folder / "training.pt").write_bytes(pickle.dumps(Opened(root / "trace")))


def test_what_old_versions_of_torchvision_left_is_not_read(own_idx):
    root, arrays = own_idx
    put_processed(root)
    x_train, _, x_test, _, _ = datasets.load("mnist")
    assert np.array_equal(x_train[:, 0], arrays["train-images-idx3-ubyte"])
    assert np.array_equal(x_test[:, 0], arrays["t10k-images-idx3-ubyte"])
    assert not (root / "trace").exists()


def test_nor_is_it_where_the_published_files_are_missing(tmp_path, monkeypatch):
    put_processed(tmp_path)
    monkeypatch.setenv("QKD_DATA", str(tmp_path))
    assert not images.at_hand("mnist")
    with pytest.raises(FileNotFoundError, match="mnist.*could not be downloaded"):
        datasets.load("mnist")
    assert not (tmp_path / "trace").exists()


# CIFAR10 as pickled batches


@pytest.fixture
def own_cifar(tmp_path, monkeypatch):
    """A made-up CIFAR10: one training batch of 8 images of two classes, a test batch of 4, and their MD5 sums."""
    random = np.random.default_rng(1)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    batches = {
        "data_batch_1": {"data": random.integers(0, 256, (8, 3072), dtype=np.uint8), "labels": [1, 0] * 4},
        "test_batch": {"data": random.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [0, 1] * 2},
        "batches.meta": {"label_names": ["airplane", "automobile", "bird"]},
    }
    sums = {}
    for name, batch in batches.items():
        content = pickle.dumps(batch)
        (folder / name).write_bytes(content)
        sums[name] = hashlib.md5(content).hexdigest()
    real = torchvision.datasets.CIFAR10
    monkeypatch.setattr(real, "train_list", [["data_batch_1", sums["data_batch_1"]]])
    monkeypatch.setattr(real, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(real, "meta", {**real.meta, "md5": sums["batches.meta"]})
    monkeypatch.setenv("QKD_DATA", str(tmp_path))
    return folder, batches


def test_cifar10_is_read_through_torchvision(own_cifar):
    _, batches = own_cifar
    parts = images.splits(
        Experiment(dataset="cifar10", classes=(0, 1), train_per_class=3, validation_per_class=1, test_per_class=2)
    )
    assert parts.class_names == ("airplane", "automobile")
    assert parts.shape == (3, 32, 32)
    assert parts.train.y.tolist() == [1, 0, 1, 0, 1, 0]
    # A row of a batch is 1024 red, 1024 green, 1024 blue values, each plane row by row.
    expected = batches["data_batch_1"]["data"][:6].reshape(6, 3, 32, 32) / 255
    assert np.allclose(parts.train.x, expected, atol=1e-7)
    assert np.allclose(parts.test.x, batches["test_batch"]["data"].reshape(4, 3, 32, 32) / 255, atol=1e-7)


@pytest.mark.parametrize("name", ["data_batch_1", "test_batch", "batches.meta"])
def test_a_changed_cifar10_is_named_and_not_unpickled(own_cifar, tmp_path, name):
    folder, _ = own_cifar
    (folder / name).write_bytes(pickle.dumps(Opened(tmp_path / "trace")))
    with pytest.raises(ValueError, match=rf"cifar-10-batches-py/{name} of cifar10 .* MD5 [0-9a-f]{{32}}\. Delete it"):
        datasets.load("cifar10")
    assert not (tmp_path / "trace").exists()


# What is at hand, and downloads


def test_a_data_set_is_at_hand_if_all_its_files_are(own_idx, own_cifar):
    root, _ = own_idx
    paths = {
        "mnist": "MNIST/raw/t10k-labels-idx1-ubyte", "fashion_mnist": "FashionMNIST/raw/train-images-idx3-ubyte",
        "cifar10": "cifar-10-batches-py/batches.meta",
    }  # fmt: skip
    for dataset, path in paths.items():
        assert images.at_hand(dataset)
        (root / path).unlink()
        assert not images.at_hand(dataset)
        (root / path).mkdir()
        assert not images.at_hand(dataset)


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "cifar10"])
def test_a_failed_download_leaves_nothing(tmp_path, monkeypatch, dataset):
    monkeypatch.setenv("QKD_DATA", str(tmp_path / "not" / "yet"))
    with pytest.raises(FileNotFoundError) as caught:
        datasets.load(dataset)
    message = str(caught.value)
    assert message.startswith(f"dataset={dataset!r} is not in QKD_DATA={str(tmp_path / 'not' / 'yet')!r}")
    assert "no network" in message and f"holds {downloads.SOURCES[dataset]} in" in message and "make demo" in message
    assert "\n" not in message and list(tmp_path.iterdir()) == []


class Downloads:
    """Takes the place of torchvision's MNIST: copies files of `source` and fails after the first if `fails`."""

    classes = ["0 - zero", "1 - one", "2 - two"]

    def __init__(self, source, fails=False):
        self.source, self.fails, self.roots = source, fails, []

    def __call__(self, root, download):
        self.roots.append(root)
        target = root / "MNIST" / "raw"
        target.mkdir(parents=True)
        for file in self.source.iterdir():
            shutil.copy(file, target)
            if self.fails:
                raise OSError("the connection was lost")


def test_a_download_completes_what_is_there_and_leaves_nothing_else(own_idx, tmp_path, monkeypatch):
    source, _ = own_idx
    root = tmp_path / "data"
    (root / "MNIST" / "raw").mkdir(parents=True)
    shutil.copy(source / "MNIST" / "raw" / "t10k-labels-idx1-ubyte", root / "MNIST" / "raw")
    monkeypatch.setattr(torchvision.datasets, "MNIST", Downloads(source / "MNIST" / "raw"))
    monkeypatch.setenv("QKD_DATA", str(root))
    x_train, *_, names = datasets.load("mnist")
    assert len(x_train) == 12 and names == list("0123456789")
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == {
        f"MNIST/raw/{name}" for name in downloads.IDX_MD5["mnist"]
    }
    assert [path.name for path in root.iterdir()] == ["MNIST"]


def test_half_a_download_is_none(own_idx, tmp_path, monkeypatch):
    source, _ = own_idx
    torn = Downloads(source / "MNIST" / "raw", fails=True)
    monkeypatch.setattr(torchvision.datasets, "MNIST", torn)
    monkeypatch.setenv("QKD_DATA", str(tmp_path / "data"))
    with pytest.raises(FileNotFoundError, match="the connection was lost"):
        datasets.load("mnist")
    assert torn.roots and not (tmp_path / "data").exists()


def test_what_a_killed_download_left_is_removed(own_idx, tmp_path, monkeypatch):
    source, _ = own_idx
    left = tmp_path / "data" / f".folder-{socket.gethostname()[:40]}-{2**22 + 1}-abc.tmp"  # of no process
    (left / "MNIST").mkdir(parents=True)
    monkeypatch.setattr(torchvision.datasets, "MNIST", Downloads(source / "MNIST" / "raw"))
    monkeypatch.setenv("QKD_DATA", str(tmp_path / "data"))
    datasets.load("mnist")
    assert not left.exists()


def test_packed_files_that_are_there_need_no_network(own_idx, tmp_path, monkeypatch):
    source, _ = own_idx
    raw, resources = tmp_path / "data" / "MNIST" / "raw", []
    raw.mkdir(parents=True)
    for file in (source / "MNIST" / "raw").iterdir():
        packed = gzip.compress(file.read_bytes())
        (raw / f"{file.name}.gz").write_bytes(packed)
        resources.append((f"{file.name}.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    monkeypatch.setenv("QKD_DATA", str(tmp_path / "data"))
    assert len(datasets.load("mnist")[0]) == 12


def test_the_three_data_sets_of_v2_are_read_once_each(own_idx, own_cifar, monkeypatch):
    """All three fit into the memory of `load`, so that experiments that take turns read none of them again."""
    root, _ = own_idx
    names = ("mnist", "fashion_mnist", "cifar10")
    first = [datasets.load(name)[0] for name in names]
    assert all(datasets.load(name)[0] is before for name, before in zip(names, first, strict=True))
    assert datasets._load.cache_info().misses == 3
