"""Image folders of one's own, through torchvision's ImageFolder and PIL."""

import numpy as np
import pytest
import torch
from PIL import Image

from qkdlib import datasets, pipeline, revised
from qkdlib.experiment import Experiment
from qkdlib.imagefolder import load_folder


@pytest.fixture(autouse=True)
def _no_images_of_other_tests():
    datasets.load.cache_clear()
    yield
    datasets.load.cache_clear()


def paint(path, value, size=(6, 4), mode="L"):
    """One image file of a single colour; `size` is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def fill(folder, per_class=10, **options):
    """Classes `cat` and `dog`; image number i of `cat` has grey value i, of `dog` 100 + i."""
    for start, name in ((0, "cat"), (100, "dog")):
        for number in range(per_class):
            paint(folder / name / f"{number:03d}.png", start + number, **options)


def grey(x):
    return x[:, 0, 0, 0].tolist()


def test_train_and_test_folders(tmp_path):
    fill(tmp_path / "train", 4)
    fill(tmp_path / "test", 2)
    x_train, y_train, x_test, y_test, names = load_folder(tmp_path, None)
    assert names == ["cat", "dog"]
    assert x_train.shape == (8, 1, 4, 6) and x_test.shape == (4, 1, 4, 6)  # (N, C, height, width)
    assert x_train.dtype == torch.uint8 and y_train.dtype == torch.int64
    assert grey(x_train) == [0, 1, 2, 3, 100, 101, 102, 103]
    assert y_train.tolist() == [0] * 4 + [1] * 4
    assert (grey(x_test), y_test.tolist()) == ([0, 1, 100, 101], [0, 0, 1, 1])


def test_in_a_flat_folder_every_fifth_image_of_a_class_is_a_test_image(tmp_path):
    fill(tmp_path, 12)
    x_train, y_train, x_test, y_test, _ = load_folder(tmp_path, None)
    assert grey(x_test) == [4, 9, 104, 109]
    assert y_test.tolist() == [0, 0, 1, 1]
    assert grey(x_train) == [v for v in [*range(12), *range(100, 112)] if v not in (4, 9, 104, 109)]
    assert len(y_train) == 20


def test_colour_images_keep_their_channels(tmp_path):
    fill(tmp_path / "test", 1)
    for name, value in (("cat", (10, 20, 30)), ("dog", (40, 50, 60))):
        paint(tmp_path / "train" / name / "0.png", value, mode="RGB")
    x_train, _, x_test, _, _ = load_folder(tmp_path, None)
    assert x_train[:, :, 0, 0].tolist() == [[10, 20, 30], [40, 50, 60]]
    # Grey images beside colour ones get three equal channels, in the other part too.
    assert x_test[:, :, 0, 0].tolist() == [[0, 0, 0], [100, 100, 100]]


def test_grey_among_colour_in_one_class(tmp_path):
    fill(tmp_path, 5)
    paint(tmp_path / "cat" / "000.png", (1, 2, 3), mode="RGB")
    x_train, *_ = load_folder(tmp_path, None)
    assert x_train[:2, :, 0, 0].tolist() == [[1, 2, 3], [1, 1, 1]]


@pytest.mark.parametrize(("mode", "value"), [("LA", (77, 255)), ("1", 1)])
def test_grey_images_of_other_kinds_have_one_channel(tmp_path, mode, value):
    fill(tmp_path, 5, mode="L")
    for name in ("cat", "dog"):
        paint(tmp_path / name / "000.png", value, mode=mode)
    x_train, *_ = load_folder(tmp_path, None)
    assert x_train.shape[1] == 1
    assert grey(x_train)[0] == (77 if mode == "LA" else 255)


def test_16_bit_grey_keeps_its_shades(tmp_path):
    fill(tmp_path, 5)
    shades = np.array([[0, 64 * 256, 128 * 256, 255 * 256, 65535, 0]] * 4, dtype=np.uint16)
    Image.fromarray(shades).save(tmp_path / "cat" / "000.png")
    x_train, *_ = load_folder(tmp_path, None)
    assert x_train[0, 0, 0].tolist() == [0, 64, 128, 255, 255, 0]


def test_images_are_resized_when_a_size_is_given(tmp_path):
    fill(tmp_path, 5, size=(9, 5))
    paint(tmp_path / "cat" / "000.png", 7, size=(30, 20))
    x_train, _, x_test, _, _ = load_folder(tmp_path, 8)
    assert x_train.shape[1:] == x_test.shape[1:] == (1, 8, 8)
    assert (x_train[0] == 7).all()


def test_differing_sizes_need_an_image_size(tmp_path):
    fill(tmp_path, 5)
    paint(tmp_path / "cat" / "000.png", 7, size=(30, 20))
    with pytest.raises(ValueError, match=r"image_size=None is not allowed; .* 2 sizes"):
        load_folder(tmp_path, None)


def test_train_and_test_of_differing_size_need_an_image_size(tmp_path):
    fill(tmp_path / "train", 2, size=(6, 6))
    fill(tmp_path / "test", 2, size=(5, 5))
    with pytest.raises(ValueError, match="image_size=None is not allowed; .* train and test"):
        load_folder(tmp_path, None)
    assert load_folder(tmp_path, 4)[0].shape == (4, 1, 4, 4)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError) as caught:
        datasets.splits(Experiment(dataset=f"imagefolder:{tmp_path}/nowhere", classes=(0, 1)))
    assert f"imagefolder:{tmp_path}/nowhere" in str(caught.value)
    assert "allowed: imagefolder:<path> of an existing folder" in str(caught.value)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="existing folder"):
        load_folder(tmp_path / "file", None)


@pytest.mark.parametrize("layout", ["empty", "class without images", "train without test", "text files"])
def test_a_folder_without_images_is_named(tmp_path, layout):
    if layout == "class without images":
        fill(tmp_path, 5)
        (tmp_path / "eel").mkdir()
    elif layout == "train without test":
        fill(tmp_path / "train", 2)
    elif layout == "text files":
        (tmp_path / "cat").mkdir()
        (tmp_path / "cat" / "a.txt").write_text("no image")
    with pytest.raises(ValueError) as caught:
        load_folder(tmp_path, None)
    assert f"imagefolder:{tmp_path}" in str(caught.value)
    assert "allowed: a folder with one folder of images per class" in str(caught.value)


def test_train_and_test_must_have_the_same_classes(tmp_path):
    fill(tmp_path / "train", 2)
    fill(tmp_path / "test", 2)
    paint(tmp_path / "test" / "eel" / "0.png", 1)
    with pytest.raises(ValueError, match="the same class folders in train and in test"):
        load_folder(tmp_path, None)


def test_a_file_that_is_no_image_is_named(tmp_path):
    fill(tmp_path, 5)
    (tmp_path / "cat" / "000.png").write_text("no image")
    with pytest.raises(ValueError, match=r"000\.png"):
        load_folder(tmp_path, None)


def test_too_few_images_for_a_test_part_are_one_error(tmp_path):
    fill(tmp_path, 4)  # no fifth image
    e = Experiment(
        dataset=f"imagefolder:{tmp_path}", classes=(0, 1), train_per_class=1, validation_per_class=1, test_per_class=1
    )
    with pytest.raises(ValueError, match="test_per_class"):
        datasets.splits(e)


def test_splits_of_an_image_folder(tmp_path):
    fill(tmp_path, 20)
    e = Experiment(
        dataset=f"imagefolder:{tmp_path}", classes=(1, 0), train_per_class=10, validation_per_class=6,
        test_per_class=4,
    )  # fmt: skip
    parts = datasets.splits(e)
    assert parts.class_names == ("dog", "cat")
    assert parts.shape == (1, 4, 6)
    assert [len(s) for s in (parts.train, parts.validation, parts.test)] == [20, 12, 8]
    # dog, the first of `classes`, is label 0 and has grey values of 100 and more
    assert ((parts.train.x[:, 0, 0, 0] * 255).round() >= 100).tolist() == (parts.train.y == 0).tolist()


def test_a_class_that_the_folder_lacks(tmp_path):
    fill(tmp_path, 10)
    with pytest.raises(ValueError, match=r"classes=\(0, 2\) is not allowed; allowed: indices from 0 to 1"):
        datasets.splits(Experiment(dataset=f"imagefolder:{tmp_path}", classes=(0, 2)))


@pytest.mark.parametrize("method", revised.METHODS)
def test_students_of_v2_learn_ones_own_colour_images(tmp_path, workspace, method):
    """Red spots at the upper left against blue ones at the lower right: a grey mean over channels tells them apart by
    place alone, the others by colour, too. Amplitude encoding loses the sign of a centred component, and with it here
    the class, so that PCA goes with the qubit encoding."""
    rng = np.random.default_rng(0)
    for label, channel in (("red", 0), ("blue", 2)):
        for number in range(40):
            pixels = rng.integers(0, 60, (18, 20, 3))
            place = slice(2, 11) if label == "red" else slice(8, 17)
            pixels[place, place, channel] += 150
            path = tmp_path / "images" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    student = revised.student(
        dataset=f"imagefolder:{tmp_path / 'images'}", classes=(0, 1), method=method, train_per_class=24,
        validation_per_class=4, test_per_class=8, batch_size=4, epochs=20, learning_rate=0.005, seeds=4,
        **({"encoder": "qubit"} if method == "pca" else {}),
    )  # fmt: skip
    record = pipeline.run(student, workspace=workspace)
    assert np.mean([results["test_accuracy"][-1] for results in record.seeds.values()]) > 0.8
