"""Images of a folder are known by their content: neither a name nor what was read before stands for it."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from qkdlib import images
from qkdlib.experiment import Experiment
from qkdlib.images import datasets


@pytest.fixture
def pictures(tmp_path):
    """Ten 4x4 images of noise of each of two classes, made a while ago."""
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            file = tmp_path / "pictures" / name / f"{number}.png"
            noise(file, random)
            os.utime(file, (1e9, 1e9))
    return tmp_path / "pictures"


def noise(file, random):
    Image.fromarray(random.integers(0, 256, (4, 4), dtype=np.uint8)).save(file)


def task(folder, **changes):
    fields = {"classes": (0, 1), "train_per_class": 4, "validation_per_class": 2, "test_per_class": 2}
    return Experiment(**{"dataset": f"imagefolder:{folder}", **fields, **changes})


def test_a_fingerprint_has_12_hexadecimal_digits(pictures):
    fingerprint = datasets.fingerprint(task(pictures))
    assert len(fingerprint) == 12 and set(fingerprint) <= set("0123456789abcdef")


@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10_jpeg"])
def test_named_data_sets_have_none(dataset):
    experiment = Experiment(dataset=dataset)
    assert datasets.fingerprint(experiment) == ""
    assert images.identified(experiment) == experiment


def test_it_depends_on_content_alone(pictures, tmp_path):
    before = datasets.fingerprint(task(pictures))
    other = tmp_path / "elsewhere"
    for file in sorted(pictures.rglob("*.png"), reverse=True):  # made in another order
        copy = other / file.relative_to(pictures)
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.open(file).save(copy.with_suffix(".bmp"))
    assert datasets.fingerprint(task(other)) == before
    assert datasets.fingerprint(task(other, classes=(1, 0), seeds=3, data_seed=5)) == before


def flip(folder):
    noise(folder / "dog" / "3.png", np.random.default_rng(1))


def swap(folder):
    for old, new in (("3", "x"), ("5", "3"), ("x", "5")):
        (folder / "dog" / f"{old}.png").rename(folder / "dog" / f"{new}.png")


def rename(folder):
    (folder / "cat").rename(folder / "cow")


def parts(folder):
    """The same images in the same parts, but that the first class has one test image more."""
    for name in ("cat", "dog"):
        for number in range(10):
            part = "test" if number in (4, 9) or (name == "cat" and number == 3) else "train"
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"{number}.png").rename(folder / part / name / f"{number}.png")
        (folder / name).rmdir()


@pytest.mark.parametrize("change", [flip, swap, rename, parts])
def test_what_changes_an_experiment_changes_it(pictures, change):
    before = datasets.fingerprint(task(pictures))
    change(pictures)
    assert datasets.fingerprint(task(pictures)) != before


def test_it_is_that_of_the_images_as_they_are_read(pictures):
    sizes = [datasets.fingerprint(task(pictures, image_size=size)) for size in (None, 4, 3)]
    assert sizes[0] == sizes[1] != sizes[2]


def test_the_same_images_in_two_layouts_are_the_same(pictures, tmp_path):
    for name in ("cat", "dog"):
        for number in range(10):
            copy = tmp_path / "other" / ("Testing" if number in (4, 9) else "Training") / name / f"{number}.png"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(pictures / name / f"{number}.png", copy)
    assert datasets.fingerprint(task(tmp_path / "other")) == datasets.fingerprint(task(pictures))


def test_an_identified_experiment_is_that_of_these_images_alone(pictures):
    experiment = images.identified(task(pictures))
    assert experiment == dataclasses.replace(task(pictures), images=datasets.fingerprint(task(pictures)))
    assert images.identified(experiment) == experiment
    assert len(images.splits(experiment).train) == 8
    flip(pictures)
    now = datasets.fingerprint(task(pictures))
    for use in (images.identified, images.splits):
        with pytest.raises(ValueError) as caught:
            use(experiment)
        message = str(caught.value)
        assert message.startswith(f"images='{experiment.images}' is not allowed; allowed: {now}, the images that ")
        assert "holds now" in message and "\n" not in message
    assert images.identified(task(pictures)).images == now


# What was read before


@pytest.mark.parametrize("replaced", [False, True])
def test_changed_images_are_read_again(pictures, replaced):
    """Written in place, or another file of the same name, size and time."""
    before = images.splits(task(pictures)).all_train.x
    file, random = pictures / "cat" / "0.png", np.random.default_rng(1)
    new = pictures.parent / "new.png"
    noise(new, random)
    while new.stat().st_size != file.stat().st_size:
        noise(new, random)
    if replaced:
        os.utime(new, (1e9, 1e9))
        new.replace(file)
    else:
        file.write_bytes(new.read_bytes())
    after = images.splits(task(pictures)).all_train.x
    assert (before[0] != after[0]).any() and (before[1:] == after[1:]).all()


def test_images_that_come_and_go_are_noticed(pictures):
    assert len(images.splits(task(pictures, test_per_class=1)).all_train) == 16
    noise(pictures / "dog" / "99.png", np.random.default_rng(2))
    assert len(images.splits(task(pictures, test_per_class=1)).all_train) == 17
    for file in (pictures / "dog" / "99.png", pictures / "cat" / "9.png"):
        file.unlink()
    assert len(images.splits(task(pictures, test_per_class=1)).all_train) == 16
    assert len(images.splits(task(pictures, test_per_class=1)).all_test) == 3


def test_unchanged_images_are_read_once(pictures, tmp_path):
    experiment = images.identified(task(pictures))
    for seed in (0, 1):
        images.splits(dataclasses.replace(experiment, data_seed=seed))
    assert datasets._load.cache_info().misses == 1
    (tmp_path / "notes.txt").write_text("beside the folder")
    images.splits(experiment)
    assert datasets._load.cache_info().misses == 1
    images.splits(task(pictures, image_size=3))
    assert datasets._load.cache_info().misses == 2


def test_at_most_three_data_sets_stay_in_memory(pictures):
    for size in range(2, 8):
        images.splits(task(pictures, image_size=size))
    assert datasets._load.cache_info().currsize == 3


# Paths


def test_a_relative_folder_counts_from_the_project_and_a_tilde_is_home(pictures, tmp_path, monkeypatch):
    for file in ("pyproject.toml", "qkdlib/__init__.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = datasets.fingerprint(task(pictures))
    for here in (tmp_path, tmp_path / "notebooks"):
        monkeypatch.chdir(here)
        for name in ("pictures", "./pictures", "~/pictures"):
            assert datasets.fingerprint(task(name)) == expected
    assert not (tmp_path / "~").exists()


NAMES = [
    "my images",
    "Bilder äöü",
    "图像",
    "😀",
    "[a]*?",
    "a\nb",
    os.fsdecode(b"caf\xe9"),
    "C:images",
    "x" * 200,
    "%s{}",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_folders_may_be_strange(pictures, tmp_path, name):
    expected = datasets.fingerprint(task(pictures))
    pictures.rename(tmp_path / name)
    (tmp_path / name / "dog").rename(tmp_path / name / f"z{name}")
    experiment = images.identified(task(tmp_path / name))
    assert experiment.images != expected  # another class name
    assert images.splits(experiment).class_names == ("cat", f"z{name}")
    (tmp_path / name / f"z{name}" / "0.png").write_bytes(b"damaged")
    with pytest.raises(ValueError) as caught:
        images.splits(task(tmp_path / name))
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    message.encode()  # every terminal that takes UTF-8 can show it
