"""Image folders of one's own: which layouts are read, how, and the splits of them."""

import numpy as np
import pytest
import torch
from painted import fill, grey, paint
from PIL import Image

from qkdlib import images, pipeline
from qkdlib.experiment import Experiment
from qkdlib.images import datasets
from qkdlib.images.imagefolder import load_folder
from qkdlib.study.v2 import revised


def test_train_and_test_folders(tmp_path):
    fill(tmp_path / "train", 4)
    fill(tmp_path / "test", 2, brighter=50)
    x_train, y_train, x_test, y_test, names = load_folder(tmp_path, None)
    assert names == ["cat", "dog"]
    assert x_train.shape == (8, 1, 4, 6) and x_test.shape == (4, 1, 4, 6)  # (N, C, height, width)
    assert x_train.dtype == torch.uint8 and y_train.dtype == torch.int64
    assert grey(x_train) == [0, 1, 2, 3, 100, 101, 102, 103]
    assert y_train.tolist() == [0] * 4 + [1] * 4
    assert (grey(x_test), y_test.tolist()) == ([50, 51, 150, 151], [0, 0, 1, 1])


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
    fill(tmp_path / "test", 2, brighter=50, size=(5, 5))
    with pytest.raises(ValueError, match="image_size=None is not allowed; .* train and test"):
        load_folder(tmp_path, None)
    assert load_folder(tmp_path, 4)[0].shape == (4, 1, 4, 4)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError) as caught:
        images.splits(Experiment(dataset=f"imagefolder:{tmp_path}/nowhere", classes=(0, 1)))
    assert str(caught.value).startswith("dataset='imagefolder:/") and "nowhere' is not allowed" in str(caught.value)
    assert "allowed: imagefolder:<path> of an existing folder" in str(caught.value)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="existing folder"):
        load_folder(tmp_path / "file", None)


# Layouts


PARTS = [
    ("train", "test"), ("Train", "Test"), ("TRAIN", "test"), ("Training", "Testing"), ("training_set", "test_set"),
    ("trainset", "testset"), ("train-images", "test-images"), ("Training Data", "Testing Data"),
]  # fmt: skip


@pytest.mark.parametrize(("train", "test"), PARTS)
def test_the_parts_may_have_other_usual_names(tmp_path, train, test):
    fill(tmp_path / train, 2)
    fill(tmp_path / test, 1, brighter=50)
    x_train, _, x_test, _, names = load_folder(tmp_path, None)
    assert (names, grey(x_train), grey(x_test)) == (["cat", "dog"], [0, 1, 100, 101], [50, 150])


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (("train/cat", "train/dog", "val/cat", "val/dog"), "among 'train', 'val'"),
        (("Train/cat", "Train/dog"), "among 'Train'"),
        (("train/cat", "Training/cat", "test/cat"), "among 'Training', 'test', 'train'"),
        (("seg_train/cat", "seg_test/cat"), "among 'seg_test', 'seg_train'"),
        (("seg_train", "seg_test"), "among 'seg_test', 'seg_train'"),
        (("trainA", "trainB", "testA", "testB"), "among 'testA', 'testB', 'trainA', 'trainB'"),
        (("train", "test"), "there are no class folders"),
        (
            ("cat/train", "cat/test", "dog/train", "dog/test"),
            "'cat' holds the folders 'test', 'train' where",
        ),
        (("images/cat", "images/dog"), "'images' holds the folders 'cat', 'dog' where its images should be"),
        (("train/cat", "train/dog/small", "test/cat", "test/dog"), "'train/dog' holds the folders 'small'"),
        ((), "there are no class folders"),
        (("cat", "dog/"), "'dog' holds no images"),
        (("cat/a.txt", "dog"), "'cat' holds no images (1 *.txt)"),
        (("train/cat", "train/dog/", "test/cat", "test/dog"), "'train/dog' holds no images"),
        (("train/cat", "train/dog", "test/cat"), "not the same class folders in train and in test: 'dog'"),
    ],
)
def test_what_is_almost_a_layout_is_no_folder_of_classes(tmp_path, folders, said):
    for number, folder in enumerate(folders):
        if folder.endswith("/"):
            (tmp_path / folder).mkdir(parents=True)
        elif folder.endswith(".txt"):
            (tmp_path / folder).parent.mkdir()
            (tmp_path / folder).write_text("no image")
        else:
            paint(tmp_path / folder / "0.png", number)
    with pytest.raises(ValueError, match="dataset='imagefolder:/.* is not allowed; allowed: a folder with") as caught:
        load_folder(tmp_path, None)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_class_may_be_called_train(tmp_path):
    for place, name in enumerate(("bus", "contest", "train")):
        for number in range(5):
            paint(tmp_path / name / f"{number}.png", 10 * place + number)
    assert load_folder(tmp_path, None)[-1] == ["bus", "contest", "train"]


def test_what_lies_beside_train_and_test_is_not_read_and_said(tmp_path):
    fill(tmp_path / "train", 2)
    fill(tmp_path / "test", 1, brighter=50)
    fill(tmp_path / "val", 3, brighter=70)
    with pytest.warns(UserWarning, match=r"files that are not read \(6 in 'val', beside train and test\): 6$"):
        x_train, _, x_test, _, names = load_folder(tmp_path, None)
    assert (len(x_train), len(x_test), names) == (4, 2, ["cat", "dog"])


@pytest.mark.parametrize("parts", [("",), ("train", "test")])
@pytest.mark.parametrize("stray", [
    ".ipynb_checkpoints/000-checkpoint.png", ".thumbnails/000.png", ".trash/000.png", ".empty/", "@eaDir/000.png",
    "__MACOSX/cat/._000.png", "__MACOSX/", "lost+found/", "$RECYCLE.BIN/000.png", "._000.png", ".DS_Store", "Thumbs.db",
    "desktop.ini", "cat/.DS_Store", "cat/._000.png", "cat/Thumbs.db", "cat/@eaDir/000.png", "cat/.ipynb_checkpoints/",
])  # fmt: skip
def test_what_systems_leave_behind_is_nothing(tmp_path, stray, parts):
    for part, brighter in zip(parts, (0, 50), strict=False):
        fill(tmp_path / part, 5, brighter=brighter)
    before = datasets.fingerprint(Experiment(dataset=f"imagefolder:{tmp_path}", classes=(0, 1)))
    for part in parts:
        path = tmp_path / part / stray
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if stray.endswith("/") else path.write_bytes(b"\0\5\26\7 Mac OS X")
    assert datasets.fingerprint(Experiment(dataset=f"imagefolder:{tmp_path}", classes=(0, 1))) == before
    assert load_folder(tmp_path, None)[-1] == ["cat", "dog"]


def test_numbers_as_names_are_in_the_order_of_text_and_it_is_said(tmp_path):
    for number in range(12):
        for each in range(5):
            paint(tmp_path / str(number) / f"{each}.png", 10 * number + each)
    with pytest.warns(UserWarning, match="names of classes are in the order of text: class 2 is '10'$"):
        x_train, y_train, *_, names = load_folder(tmp_path, None)
    assert names == sorted(map(str, range(12))) and grey(x_train[y_train == 2]) == [100, 101, 102, 103]


@pytest.mark.parametrize("ending", [".gif", ".jfif", ".PNG", ".JPeG", ".webp", ".bmp", ".tif", ".avif", ".pgm", ".jp2"])
def test_every_usual_ending_is_read(tmp_path, ending):
    fill(tmp_path, 5)
    for name in ("cat", "dog"):
        (tmp_path / name / "001.png").rename(tmp_path / name / f"001{ending}")
    x_train, _, x_test, _, _ = load_folder(tmp_path, None)
    assert (grey(x_train), grey(x_test)) == ([0, 1, 2, 3, 100, 101, 102, 103], [4, 104])


def test_too_few_images_for_a_test_part_are_one_error(tmp_path):
    fill(tmp_path, 4)  # no fifth image
    e = Experiment(
        dataset=f"imagefolder:{tmp_path}", classes=(0, 1), train_per_class=1, validation_per_class=1, test_per_class=1
    )
    with pytest.raises(ValueError, match="test_per_class"):
        images.splits(e)


def test_splits_of_an_image_folder(tmp_path):
    fill(tmp_path, 20)
    e = Experiment(
        dataset=f"imagefolder:{tmp_path}", classes=(1, 0), train_per_class=10, validation_per_class=6,
        test_per_class=4,
    )  # fmt: skip
    parts = images.splits(e)
    assert parts.class_names == ("dog", "cat")
    assert parts.shape == (1, 4, 6)
    assert [len(s) for s in (parts.train, parts.validation, parts.test)] == [20, 12, 8]
    # dog, the first of `classes`, is label 0 and has grey values of 100 and more
    assert ((parts.train.x[:, 0, 0, 0] * 255).round() >= 100).tolist() == (parts.train.y == 0).tolist()


def test_a_class_that_the_folder_lacks(tmp_path):
    fill(tmp_path, 10)
    with pytest.raises(ValueError, match=r"classes=\(0, 2\) is not allowed; allowed: indices from 0 to 1"):
        images.splits(Experiment(dataset=f"imagefolder:{tmp_path}", classes=(0, 2)))


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
