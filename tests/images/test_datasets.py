"""Data sets: what is read, splits that share no image, and clear errors."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from sklearn.datasets import load_digits

from qkdlib import images
from qkdlib.experiment import Experiment
from qkdlib.images import datasets

pytestmark = pytest.mark.usefixtures("no_data_of_others")


def digits(**changes):
    return images.splits(Experiment(**{
        "dataset": "digits", "train_per_class": 60, "validation_per_class": 20, "test_per_class": 30, **changes,
    }))  # fmt: skip


def chosen(parts):
    return {name: set(getattr(parts, name).index.tolist()) for name in ("train", "validation", "test")}


# Digits


def test_digits_are_all_of_scikit_learns():
    x_train, y_train, x_test, y_test, names = datasets.load("digits")
    assert len(y_train) + len(y_test) == 1797
    assert x_train.shape[1:] == x_test.shape[1:] == (1, 28, 28)
    assert x_train.dtype == torch.uint8
    assert torch.bincount(y_test).tolist() == [50] * 10
    assert names == list("0123456789")
    assert torch.equal(torch.bincount(torch.cat([y_train, y_test])), torch.bincount(torch.tensor(load_digits().target)))


def test_the_last_50_digits_of_a_class_are_its_test_images():
    source = load_digits()
    _, y_train, x_test, y_test, _ = datasets.load("digits")
    expected = source.images[source.target == 3][-50:].mean(axis=(1, 2)) / 16 * 255
    # Bilinear enlargement by 3.5 weighs border pixels a little differently, so that means agree roughly.
    assert np.allclose(x_test[y_test == 3].float().mean(dim=(1, 2, 3)), expected, rtol=0.1)
    assert (y_train == 3).sum() == (source.target == 3).sum() - 50


def test_pixels_are_in_0_1_and_float32():
    parts = digits()
    for part in (parts.train, parts.validation, parts.test, parts.all_train, parts.all_test):
        assert part.x.dtype == torch.float32
        assert part.x.min() >= 0 and part.x.max() <= 1
    assert parts.train.x.max() == 1  # divided once, not twice
    assert parts.shape == (1, 28, 28)


# Splits


@pytest.mark.parametrize("selection", ["first", "random"])
def test_train_and_validation_share_no_image(selection):
    parts = digits(selection=selection)
    indices = chosen(parts)
    assert not indices["train"] & indices["validation"]
    assert len(indices["train"]) == len(parts.train) == 6 * 60
    assert len(indices["validation"]) == len(parts.validation) == 6 * 20
    assert len(indices["test"]) == len(parts.test) == 6 * 30
    for name, count in (("train", 60), ("validation", 20), ("test", 30)):
        assert torch.bincount(getattr(parts, name).y).tolist() == [count] * 6


@pytest.mark.parametrize("selection", ["first", "random"])
def test_an_index_is_the_images_place_in_the_data_set(selection):
    x_train, y_train, x_test, y_test, _ = datasets.load("digits")
    parts = digits(selection=selection, classes=(4, 2, 7))
    for part, x, y in (
        (parts.train, x_train, y_train), (parts.validation, x_train, y_train), (parts.test, x_test, y_test),
        (parts.all_train, x_train, y_train),
    ):  # fmt: skip
        assert torch.equal(part.x, x[part.index].float() / 255)
        assert torch.equal(torch.tensor([4, 2, 7])[part.y], y[part.index])
        assert (part.index.diff() > 0).all()  # file order, each image once


def test_training_and_test_images_differ():
    parts = digits()
    train = {image.numpy().tobytes() for image in parts.all_train.x}
    assert not train & {image.numpy().tobytes() for image in parts.all_test.x}


def test_first_takes_the_first_images_of_each_class():
    _, y_train, _, _, _ = datasets.load("digits")
    parts = digits()
    for label in range(6):
        places = np.flatnonzero(y_train.numpy() == label)
        assert parts.train.index[parts.train.y == label].tolist() == places[:60].tolist()
        assert parts.validation.index[parts.validation.y == label].tolist() == places[60:80].tolist()


def test_random_differs_from_first_and_with_the_data_seed_alone():
    first, zero, again, one = (
        chosen(digits(selection=selection, data_seed=seed, seeds=seeds))
        for selection, seed, seeds in (("first", 0, 1), ("random", 0, 1), ("random", 0, 9), ("random", 1, 1))
    )
    assert zero == again
    for name in ("train", "validation", "test"):
        assert first[name] != zero[name] != one[name]


def test_the_data_seed_does_nothing_to_the_first_images():
    assert chosen(digits(data_seed=0)) == chosen(digits(data_seed=5))


def test_a_class_keeps_its_random_images_beside_other_classes():
    few, many = (digits(selection="random", classes=classes) for classes in ((3, 1), (0, 1, 2, 3)))
    assert set(few.train.index[few.train.y == 0].tolist()) == set(many.train.index[many.train.y == 3].tolist())


def test_labels_count_in_the_order_of_classes():
    parts = digits(classes=(5, 0, 3))
    _, y_train, _, _, _ = datasets.load("digits")
    assert parts.class_names == ("5", "0", "3")
    for place, label in enumerate((5, 0, 3)):
        assert set(y_train[parts.train.index[parts.train.y == place]].tolist()) == {label}


@pytest.mark.parametrize("selection", ["first", "random"])
def test_none_takes_all_images(selection):
    parts = digits(train_per_class=None, test_per_class=None, selection=selection)
    indices = chosen(parts)
    assert indices["train"] | indices["validation"] == set(parts.all_train.index.tolist())
    assert not indices["train"] & indices["validation"]
    assert len(parts.validation) == 6 * 20
    assert len(parts.test) == len(parts.all_test) == 6 * 50
    # scikit-learn's digits: 178, 182, 177, 183, 181, 182 images of 0 to 5, of which 50 each are test images
    assert len(parts.all_train) == 178 + 182 + 177 + 183 + 181 + 182 - 300


def test_describe_counts():
    assert images.describe(digits()) == {"train": 360, "validation": 120, "test": 180, "teacher": 783}


def test_take_takes_images_labels_and_index_together():
    train = digits().train
    two = train.take([5, 300])
    assert len(two) == 2
    assert torch.equal(two.x[1], train.x[300])
    assert (two.y[1], two.index[1]) == (train.y[300], train.index[300])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": (0, 10)}, r"classes=\(0, 10\) is not allowed; allowed: indices from 0 to 9 in digits"),
        ({"train_per_class": 120}, "train_per_class .*validation_per_class=140 .*at most 128.*class 0 in digits"),
        ({"validation_per_class": 500}, "validation_per_class=560 .*at most 128"),
        ({"test_per_class": 51}, "test_per_class=51 is not allowed; allowed: at most 50, the test images of class 0"),
        ({"train_per_class": None, "validation_per_class": 128}, "train_per_class"),  # none would be left to train on
    ],
)
def test_what_the_data_set_lacks_is_one_error(changes, words):
    with pytest.raises(ValueError, match=words) as caught:
        digits(**changes)
    assert "allowed: " in str(caught.value) and "\n" not in str(caught.value)


def test_all_images_can_be_taken_to_the_last_one():
    parts = digits(classes=(0, 1), train_per_class=108, validation_per_class=20, test_per_class=50)
    assert len(parts.train) == 216


def test_an_impossible_number_is_not_said_to_be_allowed():
    # 128 training images of class 0: with all 128 for validation, the message must not read "128 is not allowed;
    # allowed: at most 128".
    with pytest.raises(ValueError) as caught:
        digits(classes=(0, 1), train_per_class=None, validation_per_class=128)
    assert "at most 127" in str(caught.value)


# QKD_DATA


def test_qkd_data_that_is_a_file_or_empty_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for value in (str(tmp_path / "file"), "", " "):
        monkeypatch.setenv("QKD_DATA", value)
        with pytest.raises(ValueError) as caught:
            images.splits(Experiment())
        assert str(caught.value).startswith(f"QKD_DATA={value!r} is not allowed; allowed: a ")


# CIFAR10 as anybody's folder of JPEG files

CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture
def own_jpeg(tmp_path, monkeypatch):
    """Three training images and one test image of each class, and their pixels (C, H, W) as PIL reads them."""
    random, pixels = np.random.default_rng(2), {}
    for part, count in (("train", 3), ("test", 1)):
        for label, name in enumerate(CIFAR10_CLASSES):
            folder = tmp_path / "cifar10-images" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                path = folder / f"{number:04d}.jpg"
                coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
                Image.fromarray(coarse).resize((32, 32), Image.Resampling.BILINEAR).save(path, quality=95)
                pixels[part, label, number] = np.asarray(Image.open(path)).transpose(2, 0, 1)
    monkeypatch.setenv("QKD_DATA", str(tmp_path))
    return pixels


def test_cifar10_is_read_from_jpeg_files(own_jpeg):
    x_train, y_train, x_test, y_test, names = datasets.load("cifar10_jpeg")
    assert names == CIFAR10_CLASSES  # whose alphabetical order is CIFAR10's own
    assert (x_train.shape, x_test.shape) == ((30, 3, 32, 32), (10, 3, 32, 32))
    assert (x_train.dtype, y_train.dtype) == (torch.uint8, torch.int64)
    assert y_train.tolist() == [label for label in range(10) for _ in range(3)] and y_test.tolist() == list(range(10))
    assert np.array_equal(x_train, [own_jpeg["train", label, number] for label in range(10) for number in range(3)])
    assert np.array_equal(x_test, [own_jpeg["test", label, 0] for label in range(10)])


@pytest.mark.parametrize("change", ["a class more", "other sizes"])
def test_a_copy_of_something_else_is_not_taken_for_it(own_jpeg, tmp_path, change):
    for file in sorted((tmp_path / "cifar10-images").rglob("ship/*.jpg" if change == "a class more" else "*.jpg")):
        picture = ImageOps.mirror(Image.open(file).resize((32, 32) if change == "a class more" else (28, 28)))
        other = file.parent.with_name("zebra") if change == "a class more" else file.parent
        other.mkdir(exist_ok=True)
        picture.save(other / file.name)
    with pytest.raises(
        ValueError, match=r"^dataset='cifar10_jpeg' is not allowed; .* holds \(3, .*\) in airplane, "
    ) as e:
        datasets.load("cifar10_jpeg")
    assert ("zebra" in str(e.value)) == (change == "a class more") and "\n" not in str(e.value)


def test_the_copy_is_cut_into_splits_like_any_other_data_set(own_jpeg):
    parts = images.splits(
        Experiment(
            dataset="cifar10_jpeg", classes=(3, 0), train_per_class=2, validation_per_class=1, test_per_class=None
        )
    )
    assert (parts.class_names, parts.shape) == (("cat", "airplane"), (3, 32, 32))
    assert parts.train.index.tolist() == [0, 1, 9, 10] and parts.validation.index.tolist() == [2, 11]
    assert parts.train.y.tolist() == [1, 1, 0, 0] and parts.test.y.tolist() == [1, 0]
    assert np.allclose(parts.train.x[2], own_jpeg["train", 3, 0] / 255, atol=1e-7)


def test_without_the_copys_folder_it_is_said_what_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setenv("QKD_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        images.splits(Experiment(dataset="cifar10_jpeg"))
    message = str(caught.value)
    assert "dataset='cifar10_jpeg'" in message and f"QKD_DATA={str(tmp_path)!r}" in message
    assert (
        "allowed: a folder cifar10-images there with train/<class>/*.jpg" in message and "dataset='cifar10'" in message
    )
    assert list(tmp_path.iterdir()) == []


def test_a_broken_image_of_the_copy_is_named(own_jpeg, tmp_path):
    broken = tmp_path / "cifar10-images" / "test" / "ship" / "0000.jpg"
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"unlike .*test/ship/0000\.jpg"):
        datasets.load("cifar10_jpeg")


def test_the_copy_is_at_hand_where_both_parts_hold_images(own_jpeg, tmp_path):
    assert images.at_hand("cifar10_jpeg")
    for file in (tmp_path / "cifar10-images" / "test").rglob("*.jpg"):
        file.unlink()
    assert not images.at_hand("cifar10_jpeg")


def test_what_needs_no_download_is_always_at_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("QKD_DATA", str(tmp_path))
    assert images.at_hand("digits") and images.at_hand("imagefolder:my_images")
