"""Splits in which every seed has images of its own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdlib import images
from qkdlib.experiment import Experiment

PARTS = ("train", "validation", "test")


def drawn(**changes) -> Experiment:
    few = {"dataset": "digits", "train_per_class": 6, "validation_per_class": 3, "test_per_class": 5, "seeds": 4}
    return Experiment(**{**few, "selection": "each_seed", **changes})


@given(
    seeds=st.lists(st.integers(0, 50), min_size=1, max_size=5, unique=True),
    classes=st.lists(st.integers(0, 9), min_size=2, max_size=4, unique=True),
    train=st.none() | st.integers(1, 20), validation=st.integers(1, 20), test=st.none() | st.integers(1, 20),
    pixels=st.sampled_from([{}, {"pixel_mean": (0.3,), "pixel_std": (0.5,)}]), size=st.integers(1, 60),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_each_seed_has_the_images_that_are_drawn_with_its_number(
    seeds, classes, train, validation, test, pixels, size
):  # fmt: skip
    task = drawn(
        classes=tuple(classes), train_per_class=train, validation_per_class=validation, test_per_class=test, **pixels
    )
    parts = images.splits(task).of(seeds)
    alone = [images.splits(task.of_seed(seed)) for seed in seeds]
    rows = zip(*(each.students_rows() for each in alone), strict=True)
    for found, expected in zip(parts.students_rows(), rows, strict=True):
        assert torch.equal(found.expand(len(seeds), -1), torch.stack(expected))
    for name in PARTS:
        found, expected = getattr(parts, name), [getattr(each, name) for each in alone]
        assert len(found) == len(expected[0])
        for what in ("y", "index"):
            own = torch.stack([getattr(each, what) for each in expected])
            assert torch.equal(getattr(found, what).expand(len(seeds), -1), own)
        x = torch.stack([each.x for each in expected])
        chunks = [each if each.ndim == 5 else each.expand(len(seeds), *each.shape) for each in found.chunks(size)]
        assert torch.equal(torch.cat(chunks, 1), x) and max(each.shape[1] for each in chunks) <= size
        places = torch.from_numpy(np.random.default_rng(0).integers(0, len(found), (len(seeds), 7)))
        seen = torch.stack([one[place] for one, place in zip(x, places, strict=True)])
        assert torch.equal(found.seen(places), seen)


def test_the_images_of_all_seeds_lie_once_in_memory():
    parts = images.splits(drawn())
    assert parts.train.x.data_ptr() == parts.validation.x.data_ptr() == parts.all_train.x.data_ptr()
    assert parts.test.x.data_ptr() == parts.all_test.x.data_ptr()
    assert parts.train.rows.shape == parts.train.y.shape == (4, 36)
    assert len({tuple(each.tolist()) for each in parts.train.index}) == 4


def test_where_nothing_is_left_out_all_seeds_have_the_same():
    parts = images.splits(drawn(test_per_class=None))
    assert parts.train.rows is not None and parts.test.rows is None
    assert torch.equal(parts.test.x, parts.all_test.x) and torch.equal(parts.test.y, parts.all_test.y)


def test_images_of_several_seeds_are_not_taken_for_one_set():
    with pytest.raises(ValueError, match=r"^images='of 4 seeds' is not allowed; allowed: .*experiment.of_seed\(seed\)"):
        images.splits(drawn()).train.take([0])


def test_too_many_images_per_class_are_one_error():
    with pytest.raises(ValueError, match=r"^train_per_class \+ validation_per_class=203 is not allowed; .* at most"):
        images.splits(drawn(train_per_class=200))
