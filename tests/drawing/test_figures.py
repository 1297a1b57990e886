"""Figures show what the records hold, and equal figures are equal files."""

import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from qkdlib import circuits, drawing, images
from qkdlib.drawing import figures
from qkdlib.experiment import Experiment, Teacher
from qkdlib.records import Record
from qkdlib.teachers import TeacherLogits

DIGITS = Experiment(
    dataset="digits", classes=(0, 1), train_per_class=8, validation_per_class=2, test_per_class=2, epochs=3
)


def record(accuracies, experiment=DIGITS) -> Record:
    """A record whose seeds end at `accuracies` (in [0, 1]) with straight loss curves."""
    curve = {name: [3.0, 2.0, 1.0] for name in ("train_loss", "validation_loss", "validation_ce")}
    seeds = {
        seed: {**curve, "validation_accuracy": [0.5] * 3, "test_accuracy": [0.1, 0.2, value], "qasm_accuracy": value}
        for seed, value in enumerate(accuracies)
    }
    return Record(experiment, seeds)


@pytest.fixture
def arms():
    return {"placebo": record([0.2, 0.9, 0.7]), "LeNet": record([0.8, 0.4, 0.6], DIGITS.distilled(Teacher()))}


def test_spread_has_a_point_per_seed_at_its_accuracy(arms):
    axis = figures.seed_spread(arms).axes[0]
    shown = [sorted(points.get_offsets()[:, 1]) for points in axis.collections if len(points.get_offsets()) == 3]
    assert np.allclose(shown, [[20, 70, 90], [40, 60, 80]])


def test_loss_curves_are_on_their_true_scale(arms):
    figure = figures.loss_curves(arms)
    assert len(figure.axes) == 2
    assert [line.get_label() for line in figure.axes[0].lines] == ["train", "validation"]
    assert np.allclose(figure.axes[0].lines[0].get_ydata(), [3, 2, 1])


def test_loss_curves_are_the_median_of_the_seeds_between_quartiles():
    experiment = dataclasses.replace(DIGITS, seeds=5)
    seeds = record([0.5] * 5, experiment).seeds
    for seed, level in enumerate([1.0, 2.0, 3.0, 5.0, 90.0]):
        seeds[seed]["train_loss"] = [level, level + 1, level + 2]
    axis = figures.loss_curves({"one": Record(experiment, seeds)}).axes[0]
    assert np.allclose(axis.lines[0].get_ydata(), [3, 4, 5])
    corners = axis.collections[0].get_paths()[0].vertices
    first = corners[corners[:, 0] == 1][:, 1]
    assert (first.min(), first.max()) == (2, 5)


def test_seeds_that_have_stopped_leave_the_loss_curves_and_the_chosen_epoch_is_shown():
    experiment = dataclasses.replace(DIGITS, patience=1, tested="at_end")
    seeds = record([0.2, 0.4], experiment).seeds
    seeds[0] |= {"train_loss": [9.0, 8.0], "validation_loss": [9.0, 8.0], "validation_ce": [2.0, 3.0]}
    seeds[0] |= {"validation_accuracy": [0.6, 0.5], "test_accuracy": [0.9, 0.2]}
    found = {"one": Record(experiment, seeds)}
    assert np.allclose(figures.loss_curves(found).axes[0].lines[0].get_ydata(), [6, 5, 1])
    # The first seed keeps its first epoch, and the second one its third, which is as good as the others.
    seeds[1] |= {"validation_ce": [3.0, 2.0, 1.0]}
    points = figures.seed_spread(found).axes[0].collections[0].get_offsets()[:, 1]
    assert np.allclose(sorted(points), [40, 90])


def test_sample_images_show_a_row_per_class():
    parts = images.splits(DIGITS)
    axes = figures.sample_images(parts, per_class=4).axes
    assert len(axes) == 8
    first = axes[4].images[0].get_array()  # the first image of the second class
    assert np.allclose(first, parts.train.x[parts.train.y == 1][0, 0])


def test_sample_images_of_several_data_sets_stand_side_by_side():
    wider = dataclasses.replace(DIGITS, classes=(2, 3, 4))
    named = {"first": images.splits(DIGITS), "second": images.splits(wider)}
    figure = figures.sample_images(named, per_class=3)
    assert [panel.get_suptitle() for panel in figure.subfigs] == ["first", "second"]
    assert [len(panel.axes) for panel in figure.subfigs] == [2 * 3, 3 * 3]
    for panel, splits in zip(figure.subfigs, named.values(), strict=True):
        assert [axis.get_ylabel() for axis in panel.axes[::3]] == list(splits.class_names)
        for place, axis in enumerate(panel.axes):
            image = splits.train.x[splits.train.y == place // 3][place % 3, 0]
            assert np.allclose(axis.images[0].get_array(), image)


def test_softened_bars_are_softmax_probabilities():
    logits = np.log([0.7, 0.2, 0.1])
    axes = figures.softened(np.zeros((4, 4)), logits, ("a", "b", "c"), (1.0, 1e6)).axes
    heights = [[bar.get_height() for bar in axis.patches] for axis in axes[1:]]
    assert np.allclose(heights, [[0.7, 0.2, 0.1], [1 / 3] * 3], atol=1e-5)


def test_teacher_curves_and_the_line_of_an_ensemble():
    trained = TeacherLogits(None, None, [{"test_accuracy": 0.5}, {"test_accuracy": 0.75}], {})
    mean = TeacherLogits(None, None, [{"test_accuracy": 0.8}], {})
    axis = figures.teacher_curves({"lenet": trained, "ensemble": mean}).axes[0]
    assert [list(line.get_ydata()) for line in axis.lines] == [[50.0, 75.0], [80.0, 80.0]]


def test_saved_twice_is_the_same_file(arms, tmp_path):
    for name in ("one", "two"):
        paths = drawing.save(figures.seed_spread(arms), tmp_path / name, "spread")
        assert [path.suffix for path in paths] == [".pdf", ".png"]
    for ending in ("pdf", "png"):
        one, two = ((tmp_path / name / f"spread.{ending}").read_bytes() for name in ("one", "two"))
        assert one == two


def test_circuits_stand_side_by_side():
    axes = figures.circuit_diagram(circuits.build("h_ry", 3), circuits.build("h_ry", 4)).axes
    assert [axis.get_title() for axis in axes] == ["3 qubits", "4 qubits"]


def test_a_notebook_can_show_a_circuit():
    diagram = figures.circuit_diagram(circuits.build("h_ry", 3), circuits.build("h_ry", 4))
    shown, _ = diagram._repr_mimebundle_()
    picture = Image.open(io.BytesIO(base64.b64decode(shown["image/png"])))
    assert min(picture.size) > 200
    assert np.asarray(picture.convert("L")).std() > 10  # something is drawn


def test_colours_tell_the_arms_apart(arms):
    own = record([0.5], DIGITS.distilled(Teacher(architecture="custom:mine")))
    assert len({figures.colour(one) for one in (*arms.values(), own)}) == 3
