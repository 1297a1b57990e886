"""Figures of nothing, or of what they cannot draw: one line that names the parameter, where matplotlib would speak of
columns."""

import numpy as np
import pytest

from qkdlib.drawing import figures
from qkdlib.experiment import Experiment
from qkdlib.images import from_arrays, splits
from qkdlib.records import Record


@pytest.mark.parametrize(
    ("draw", "given", "name"),
    [
        (figures.loss_curves, ({},), "records"),
        (figures.seed_spread, ({},), "records"),
        (figures.teacher_curves, ({},), "teachers"),
        (figures.sample_images, ({},), "parts"),
        (figures.circuit_diagram, (), "named"),
        (figures.softened, (None, np.zeros(3), ("a", "b", "c"), ()), "temperatures"),
    ],
)
def test_a_figure_of_nothing_is_refused(draw, given, name):
    with pytest.raises(ValueError, match=rf"^{name}=.* is not allowed; allowed: at least one to draw$"):
        draw(*given)


@pytest.mark.parametrize("draw", [figures.loss_curves, figures.seed_spread, figures.teacher_curves])
def test_what_has_no_names_is_refused(draw):
    with pytest.raises(ValueError, match=r"^(records|teachers)=.* is not allowed; allowed: a dictionary"):
        draw([Record(Experiment())])


@pytest.mark.parametrize("draw", [figures.confusion, figures.recalls])
def test_figures_of_classes_are_of_one_record(draw):
    with pytest.raises(ValueError, match=r"^record=.* is not allowed; allowed: a record"):
        draw([Record(Experiment())])


def of_noise(shape: tuple[int, int, int], **changes):
    x, y = np.random.default_rng(0).random((12, *shape)), np.arange(12) % 2
    name = from_arrays(x[:6], y[:6], x[6:], y[6:])
    fields = {"classes": (0, 1), "train_per_class": 2, "validation_per_class": 1, "test_per_class": 3}
    return splits(Experiment(dataset=name, **fields, **changes))


@pytest.mark.parametrize("shape", [(2, 8, 8), (20, 1, 1)])
def test_images_of_other_channels_are_refused(shape):
    with pytest.raises(ValueError, match=r"^parts='images of shape .* allowed: images of 1 or 3 channels$"):
        figures.sample_images(of_noise(shape))


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_shown_whatever_the_student_sees_and_as_many_as_there_are(channels):
    plain, seen = (of_noise((channels, 8, 8), **each) for each in ({}, {"pixel_mean": (0.5,), "pixel_std": (0.25,)}))
    shown = [[axis.get_images() for axis in figures.sample_images(each, per_class=3).axes] for each in (plain, seen)]
    assert [len(each) for each in shown[0]] == [1, 1, 0] * 2
    for one, other in zip(*shown, strict=True):
        for picture, same in zip(one, other, strict=True):
            assert np.array_equal(picture.get_array(), same.get_array())
    first = plain.train.x[plain.train.y == 0][0].permute(1, 2, 0).squeeze(-1).numpy()
    assert np.array_equal(shown[0][0][0].get_array(), first)
