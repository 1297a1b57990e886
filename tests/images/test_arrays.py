"""Images as arrays and torch data sets: known by their content, kept as they are, and refused in a line."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from qkdlib import images
from qkdlib.experiment import Experiment
from qkdlib.images import arrays, image_files

SIDE = 8


def noise(count=12, shape=(SIDE, SIDE), seed=0, kind=np.uint8):
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, *shape), dtype=np.uint8) if kind == np.uint8 else draw.random(
        (count, *shape)).astype(kind)  # fmt: skip


def labels(count=12, classes=3):
    return np.arange(count) % classes


def given_arrays(kind=np.uint8, **changes):
    return {"x_train": noise(kind=kind), "y_train": labels(), "x_test": noise(seed=1, kind=kind), "y_test": labels(),
            **changes}  # fmt: skip


def task(name, **changes):
    fields = {"classes": (0, 1, 2), "train_per_class": 2, "validation_per_class": 1, "test_per_class": 3}
    return Experiment(**{"dataset": name, **fields, **changes})


# Known by content


def test_a_name_is_that_of_an_experiments_data_set():
    name = images.from_arrays(**given_arrays())
    assert re.fullmatch("arrays:[0-9a-f]{12}", name)
    assert task(name).name.startswith(name.replace(":", "-"))
    assert images.at_hand(name) and not images.at_hand("arrays:000000000000")


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_the_same_content_has_one_name_whatever_holds_it(kind):
    own = given_arrays(kind)
    name = images.from_arrays(**own)
    before = arrays.load(name)
    turned = {key: np.asfortranarray(each)[::-1] for key, each in own.items()}
    others = (
        {key: torch.from_numpy(each.copy()) for key, each in own.items()},
        {key: np.ascontiguousarray(each[::-1])[::-1] for key, each in own.items()},
        own | {"x_train": own["x_train"][:, None], "y_train": own["y_train"].astype(np.int16)},
        own | {key: own[key].tolist() for key in ("y_train", "y_test")},
        own | {"names": ["0", "1", "2"]},
        own | {"x_train": own["x_train"].astype(own["x_train"].dtype.newbyteorder())},
    )
    assert {images.from_arrays(**other) for other in others} == {name}
    assert arrays.load(name)[0] is before[0]  # nothing is kept twice
    assert images.from_arrays(**turned) != name


def test_another_process_gives_the_same_name():
    code = """
import numpy as np
from qkdlib import images
x = np.arange(10 * 64, dtype=np.float32).reshape(10, 8, 8) / 1000
print(images.from_arrays(x[:6], np.arange(6) % 2, x[6:], np.arange(4) % 2))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    x = np.arange(10 * 64, dtype=np.float32).reshape(10, 8, 8) / 1000
    assert said == images.from_arrays(x[:6], np.arange(6) % 2, x[6:], np.arange(4) % 2)


CHANGES = {
    "a pixel": lambda own: own["x_train"].__setitem__((3, 2, 1), 1 - own["x_train"][3, 2, 1]),
    "a test pixel": lambda own: own["x_test"].__setitem__((3, 2, 1), 1 - own["x_test"][3, 2, 1]),
    "a label": lambda own: own["y_test"].__setitem__(0, 2),
    "an image less": lambda own: own.update(x_test=own["x_test"][1:], y_test=own["y_test"][1:]),
    "the shape": lambda own: own.update({key: own[key].reshape(-1, 4, 16) for key in ("x_train", "x_test")}),
    "names": lambda own: own.update(names=["a", "b", "c"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_content_has_another_name(change):
    name, own = images.from_arrays(**given_arrays(np.float32)), given_arrays(np.float32)
    CHANGES[change](own)
    assert images.from_arrays(**own) != name


@given(st.integers(0, 11), st.integers(0, SIDE - 1), st.integers(0, SIDE - 1), st.integers(1, 255))
def test_any_changed_pixel_changes_the_name(place, row, column, change):
    own = given_arrays()
    name = images.from_arrays(**own)
    own["x_train"][place, row, column] ^= np.uint8(change)
    assert images.from_arrays(**own) != name


def test_writing_to_ones_arrays_does_not_reach_what_is_kept():
    own = given_arrays(np.float32)
    name = images.from_arrays(**own)
    own["x_train"][:] = 0
    torch.testing.assert_close(arrays.load(name)[0][:, 0], torch.from_numpy(given_arrays(np.float32)["x_train"]))


def test_arrays_of_another_process_are_asked_for():
    with pytest.raises(ValueError, match="^dataset='arrays:0123456789ab' is not allowed; allowed: .*from_arrays again"):
        images.splits(task("arrays:0123456789ab"))


def test_two_contents_never_share_a_name(monkeypatch):
    name = images.from_arrays(**given_arrays())
    monkeypatch.setitem(arrays._kept, name, ("of others", arrays.load(name)))
    with pytest.raises(ValueError, match="^x_train='arrays:.*others have these 12 digits"):
        images.from_arrays(**given_arrays())


# What an experiment sees


def test_floats_stay_as_they_are_and_bytes_are_divided_once():
    for kind, scale in ((np.float32, 1), (np.float64, 1), (np.float16, 1), (np.uint8, 255)):
        own = given_arrays(kind)
        parts = images.splits(task(images.from_arrays(**own)))
        expected = own["x_train"].astype(np.float32) / np.float32(scale)
        assert parts.train.x.dtype == torch.float32 and parts.shape == (1, SIDE, SIDE)
        np.testing.assert_array_equal(parts.train.x[:, 0], expected[parts.train.index])
        np.testing.assert_array_equal(parts.all_train.x[:, 0], expected)


def test_splits_of_arrays_share_no_image_and_keep_labels():
    own = given_arrays(x_train=noise(30, (3, 8, 10)), y_train=labels(30), x_test=noise(9, (3, 8, 10), 1),
                       y_test=labels(9))  # fmt: skip
    name = images.from_arrays(**own, names=["cat", "dog", "cow"])
    parts = images.splits(task(name, classes=(2, 0), selection="random", train_per_class=5, validation_per_class=3))
    assert parts.class_names == ("cow", "cat") and parts.shape == (3, 8, 10)
    assert not {*parts.train.index.tolist()} & {*parts.validation.index.tolist()}
    assert (own["y_train"][parts.train.index] == np.array([2, 0])[parts.train.y]).all()
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (10, 6, 6)


def test_more_images_than_there_are_is_said_of_the_class():
    name = images.from_arrays(**given_arrays())
    with pytest.raises(ValueError, match="^train_per_class.*=5 .*at most 4, the train images of class 0 in 'arrays:"):
        images.splits(task(name, train_per_class=4))


def test_test_images_that_were_trained_on_are_said():
    own = given_arrays(x_train=noise(seed=5), x_test=np.concatenate([noise(seed=5)[:2], noise(10, seed=6)]))
    with pytest.warns(UserWarning, match="^2 of 12 test images are training images as well"):
        images.from_arrays(**own)


# Normalisation


@pytest.mark.parametrize(("mean", "std"), [((0.3,), (0.2,)), ((0.1, 0.5, 0.2), (0.5, 0.2, 1))])
def test_the_student_sees_normalised_pixels_and_the_teacher_does_not(mean, std):
    from torchvision.transforms import Normalize

    own = given_arrays(x_train=noise(shape=(3, 8, 8)), x_test=noise(seed=1, shape=(3, 8, 8)))
    name = images.from_arrays(**own)
    plain, parts = images.splits(task(name)), images.splits(task(name, pixel_mean=mean, pixel_std=std))
    normalise = Normalize(mean, std)
    for part in ("train", "validation", "test"):
        torch.testing.assert_close(getattr(parts, part).x, normalise(getattr(plain, part).x))
    for part in ("all_train", "all_test"):
        assert torch.equal(getattr(parts, part).x, getattr(plain, part).x)
    assert images.normalised(plain.test.x, task(name)) is plain.test.x


def test_as_many_numbers_as_channels():
    name = images.from_arrays(**given_arrays())
    with pytest.raises(ValueError, match=r"^pixel_mean=\(0.1, 0.2\) .*one for each of the 1 channels"):
        images.splits(task(name, pixel_mean=(0.1, 0.2), pixel_std=(1, 1)))


FIXED = {"reducer": "avg_pool", "encoder": "angle", "dropout": 0.0, "qubits": 4}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pixel_mean": (0.1,)}, r"^pixel_std=\(\) .*as many numbers as pixel_mean=\(0.1,\) has"),
        ({"pixel_std": (0.1,)}, r"^pixel_std=\(0.1,\) .*as many numbers as pixel_mean=\(\) has"),
        ({"pixel_mean": (0.1,), "pixel_std": (0,)}, r"^pixel_std=\(0.0,\) .*from 1e-06 to 1"),
        ({"pixel_mean": (123.7,), "pixel_std": (58.4,)}, r"^pixel_mean=123.7 .*at most 1"),
        ({"pixel_mean": (float("nan"),), "pixel_std": (1,)}, "^pixel_mean=nan"),
        ({"pixel_mean": 0.1, "pixel_std": 0.2}, "^pixel_mean=0.1 .*a tuple of one number"),
        ({"pixel_mean": "0.1", "pixel_std": "1"}, "^pixel_mean='0.1' .*a tuple of one number"),
        ({"pixel_mean": (0.1,), "pixel_std": (1,), **FIXED}, "^pixel_mean=.*for reducer avg_pool with encoder angle"),
        ({"pixel_mean": (0.1,), "pixel_std": (1,), **FIXED, "encoder": "qubit"}, "^pixel_mean=.*with encoder qubit"),
    ],
)
def test_a_normalisation_that_is_none(fields, message):
    with pytest.raises(ValueError, match=message):
        Experiment(**fields)


def test_a_normalisation_belongs_to_the_name_and_none_leaves_it():
    from qkdlib.experiment import as_dict, from_dict

    plain, other = Experiment(), Experiment(pixel_mean=[0.1], pixel_std=np.array([0.3]))
    assert Experiment(pixel_mean=(), pixel_std=()).name == plain.name != other.name
    assert from_dict(as_dict(other)) == other and other.pixel_std == (0.3,)
    assert Experiment(pixel_mean=(0.1,), pixel_std=(1,), **FIXED | {"encoder": "amplitude"}).pixel_mean == (0.1,)


# Bad input, a line each


def changed(value):
    own = noise(kind=np.float32)
    own[3, 2, 1] = value
    return own


def ragged():
    return [np.zeros((8, 8)), np.zeros((7, 8))]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": changed(np.nan)}, "^x_train='NaN or infinity' .*finite pixels"),
        ({"x_test": changed(np.inf)}, "^x_test='NaN or infinity'"),
        ({"x_train": changed(1.5)}, "^x_train='pixels from .* to 1.5' .*floats from 0 to 1 .*uint8"),
        ({"x_train": changed(-0.5)}, "^x_train='pixels from -0.5 to .*floats from 0 to 1$"),
        ({"x_train": noise()}, "^x_test='torch.float32' .*torch.uint8, as x_train is"),
        ({"x_train": noise().astype(np.int64)}, "^x_train='torch.int64' .*uint8 from 0 to 255"),
        ({"x_train": noise() > 9}, "^x_train='torch.bool'"),
        ({"x_train": noise().astype(complex)}, "^x_train=array.*real numbers"),
        ({"x_train": torch.eye(8).to_sparse()}, "^x_train=.*dense tensor"),
        ({"x_train": ragged()}, "^x_train=.*a numpy array"),
        ({"x_train": "pictures/"}, "^x_train='pictures/' .*a numpy array"),
        ({"x_train": None}, "^x_train=None .*a numpy array"),
        ({"x_train": changed(0)[0]}, r"^x_train='shape \(8, 8\)' .*\(N, H, W\) or \(N, C, H, W\)"),
        ({"x_train": np.zeros((0, 8, 8))}, "^x_train='shape .*none of them empty"),
        ({"x_train": np.zeros((12, 8, 8, 3))}, r"^x_train='shape .*look like \(N, H, W, C\): .*moveaxis\(x, -1, 1\)"),
        ({"x_train": np.zeros((12, 6, 9, 3))}, r"^x_train='shape .*look like \(N, H, W, C\)"),
        ({"x_train": torch.zeros(12, 8, 8, device="meta")}, "^x_train=.*dense tensor"),
        ({"x_test": np.zeros((12, 9, 8))}, r"^x_test='images \(1, 9, 8\)' .*\(1, 8, 8\), as x_train holds"),
        ({"y_train": labels(11)}, r"^y_train='shape \(11,\)' .*each of the 12 images, of shape \(12,\)"),
        ({"y_test": np.eye(12, dtype=int)}, "^y_test='shape"),
        ({"y_train": labels() * 2}, r"^y_train=\[0, 2, 4\] .*from 0 to 4; there are no images of \[1, 3\]"),
        ({"y_test": labels(12, 4)}, r"^y_train=\[0, 1, 2\] .*from 0 to 3; there are no images of \[3\]"),
        ({"y_train": labels() + 1}, r"there are no images of \[0\]"),
        ({"y_train": labels() - 1}, "^y_train='from -1 to 1' .*counted from 0"),
        ({"y_train": labels() + 10**9}, "^y_train='from 1000000000 to"),
        ({"y_train": labels().astype(float)}, "^y_train='torch.float64' .*whole numbers"),
        ({"y_train": ["a"] * 12}, "^y_train=.*a numpy array"),
        ({"y_train": labels() * 0, "y_test": labels() * 0}, r"^y_train=\[0\] .*two or more classes"),
        ({"names": ["a", "b"]}, "^names=.*3 different names"),
        ({"names": ["a", "b", "b"]}, "^names=.*3 different names"),
        ({"names": ["a", "b", 3]}, "^names=3 .*a text"),
    ],
)
def test_arrays_that_are_none(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        images.from_arrays(**given_arrays(np.float32, **changes))
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 400


def test_features_may_be_images_of_one_pixel():
    own = given_arrays(x_train=np.zeros((12, 20, 1, 1)), x_test=np.ones((12, 20, 1, 1)))
    assert images.splits(task(images.from_arrays(**own))).shape == (20, 1, 1)


# Torch data sets


class Pictures(Dataset):
    """Gives what `torchvision` does without a transform: PIL pictures and Python's own numbers."""

    classes = ["0 - zero", "1 - one", "2 - two"]

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, place):
        return Image.fromarray(self.x[place]), int(labels()[place])


def test_data_sets_are_as_their_arrays():
    own = given_arrays(np.float32)
    both = [TensorDataset(*(torch.from_numpy(own[f"{key}_{part}"]) for key in "xy")) for part in ("train", "test")]
    assert images.from_datasets(*both) == images.from_arrays(**own)
    assert images.from_datasets(*both, names=["a", "b", "c"]) == images.from_arrays(**own, names=["a", "b", "c"])


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_data_sets_of_pictures(shape):
    x = noise(shape=shape), noise(shape=shape, seed=1)
    forward = [each if each.ndim == 3 else np.moveaxis(each, -1, 1) for each in x]
    expected = images.from_arrays(forward[0], labels(), forward[1], labels(), Pictures.classes)
    assert images.from_datasets(*map(Pictures, x)) == expected


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "CMYK"])
def test_pictures_are_as_those_of_a_folder(tmp_path, mode):
    name = f"{'a.tif' if mode == 'CMYK' else 'a.png'}"
    picture = Image.fromarray(noise(shape=(8, 8, 4))[0], "RGBA").convert(mode)
    picture.save(tmp_path / name)
    found, _ = arrays._pairs("train", [(picture, 0)])
    read = image_files.pixels(tmp_path / name, None, {})
    assert np.array_equal(found[0].numpy(), read[0] if len(read) == 1 else read)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_tensors_of_any_floats_are_as_in_one_array(kind):
    x = [torch.from_numpy(noise(seed=seed, kind=np.float32)).to(kind) for seed in (0, 1)]
    both = [TensorDataset(each, torch.from_numpy(labels())) for each in x]
    assert images.from_datasets(*both) == images.from_arrays(x[0], labels(), x[1], labels())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (iter([1]), "^train=.*with a length"),
        (TensorDataset(torch.zeros(3, 8, 8)), "^train=.*pairs"),
        ([(torch.zeros(8, 8), 0), (torch.zeros(8, 9), 1)], r"^train='image 1 of shape \(8, 9\), .*' .*of one shape"),
        ([(torch.zeros(8, 8), 0), (noise(1)[0], 1)], "^train='image 1 of .* torch.uint8' .*type, .* torch.float32"),
        ([(torch.zeros(8, 8), [0]), (torch.zeros(8, 8), [0, 1])], "^y_train="),
        (DataLoader(TensorDataset(torch.zeros(3, 8, 8), torch.zeros(3))), "^train=.*of a place"),
        ([(Image.new("I;16", (8, 8)), 0)], "^train images=.*of 8 bits"),
        ([], "^train=.*not empty"),
        ([("a.png", 0)], "^train images='a.png'"),
        ([(np.zeros((8, 8)), "cat")], "^y_train=.*a numpy array"),
    ],
)
def test_what_is_no_data_set(wrong, message):
    with pytest.raises(ValueError, match=message):
        images.from_datasets(wrong, [(np.zeros((8, 8)), 0)])
