"""Figures of confusion matrices, recalls and tables of numbers show what they are given."""

import numpy as np
import pandas as pd
import pytest
from readable import assert_readable, assert_the_same_file_twice
from sklearn import metrics

from qkdlib.drawing import figures
from qkdlib.experiment import Experiment
from qkdlib.records import Record

CLASSES = (7, 2, 5, 0)


def drawn(seeds: int, no_class: bool = True) -> tuple[list[tuple[np.ndarray, np.ndarray]], Record]:
    """Labels and what they are taken for of each seed, and the record of that."""
    draw, pairs, found = np.random.default_rng(seeds), [], {}
    for seed in range(seeds):
        labels = np.repeat(np.arange(4), (20, 30, 25, 25))
        taken_for = np.where(draw.random(100) < 0.5, labels, draw.integers(0, 4 + no_class, 100))
        taken_for = np.where((labels == 1) & (seed == 0), 2, taken_for)  # the first seed loses its second class
        matrix = metrics.confusion_matrix(labels, taken_for, labels=range(5))[:4]
        pairs.append((labels, taken_for))
        found[seed] = {"test_accuracy": [float(np.mean(labels == taken_for))], "confusion": matrix.tolist()}
    return pairs, Record(Experiment(dataset="digits", classes=CLASSES, epochs=1, seeds=seeds), found)


def texts(axis) -> list[str]:
    return [text.get_text() for text in axis.texts]


def test_a_confusion_shows_the_mean_share_of_each_class():
    pairs, record = drawn(5)
    figure = figures.confusion(record)
    (axis,) = figure.axes
    expected = np.mean(
        [
            metrics.confusion_matrix(*pair, labels=range(5), normalize=None)[:4] / [[20], [30], [25], [25]]
            for pair in pairs
        ],
        axis=0,
    )
    np.testing.assert_allclose(axis.images[0].get_array(), 100 * expected)
    assert texts(axis) == [f"{100 * share:.0f}" for share in expected.flat]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["7", "2", "5", "0", "none"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["7", "2", "5", "0"]
    assert figure.alt.startswith("Of the test images of each class")
    assert_readable(figure)


def test_a_confusion_without_outcomes_that_are_no_class_has_no_column_for_them():
    _, record = drawn(3, no_class=False)
    (axis,) = figures.confusion(record, ["cat", "dog", "a long name", "bird"]).axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["cat", "dog", "a long name", "bird"]
    assert axis.images[0].get_array().shape == (4, 4)


def test_recalls_have_a_point_per_seed_and_class():
    pairs, record = drawn(6)
    (axis,) = figures.recalls(record).axes
    shown = [sorted(each.get_offsets()[:, 1]) for each in axis.collections if len(each.get_offsets()) == 6]
    expected = 100 * np.array([metrics.recall_score(*pair, labels=range(4), average=None) for pair in pairs])
    np.testing.assert_allclose(shown, np.sort(expected.T, axis=1))
    assert shown[1][0] == 0


def test_names_have_to_be_as_many_as_classes_and_a_record_needs_confusions():
    _, record = drawn(1)
    for draw in (figures.confusion, figures.recalls):
        with pytest.raises(ValueError, match="^names=.* is not allowed; allowed: a name for each of the 4 classes"):
            draw(record, ["cat", "dog"])
        with pytest.raises(ValueError, match="^record=.*without confusion"):
            draw(Record(record.experiment, {0: {"test_accuracy": [0.5]}}))


def test_a_heat_map_shows_the_numbers_of_its_table(tmp_path):
    table = pd.DataFrame(
        [[81.23, 90.1, 55.0], [np.nan, 70.0, 66.0], [1.0, 2.0, 99.94], [3.0, 4.0, 5.0]],
        index=pd.Index([1.0, 3.0, "a long name", 5], name="temperature"),
        columns=pd.Index([0.1, 0.5, 0.9], name="kd_weight"),
    )  # fmt: skip
    figure = figures.heatmap(table, "test accuracy (%)")
    (axis,) = figure.axes
    assert texts(axis) == ["81.2", "90.1", "55.0", "", "70.0", "66.0", "1.0", "2.0", "99.9", "3.0", "4.0", "5.0"]
    np.testing.assert_array_equal(np.ma.filled(axis.images[0].get_array(), np.nan), table.to_numpy())
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title()) == ("kd_weight", "temperature", "test accuracy (%)")
    assert_readable(figure)
    assert_the_same_file_twice(lambda: figures.heatmap(table), tmp_path)


@pytest.mark.parametrize("values", [[[5.0]], [[5.0, 5.0]], [[np.nan]]])
def test_a_heat_map_of_one_number_or_none_can_be_drawn(values):
    assert len(figures.heatmap(pd.DataFrame(values)).axes[0].texts) == len(values[0])


def test_cells_are_dark_where_their_text_is_white():
    (axis,) = figures.heatmap(pd.DataFrame([[0.0, 40.0, 60.0, 100.0]])).axes
    colours = [text.get_color() for text in axis.texts]
    brightness = axis.images[0].cmap(axis.images[0].norm([0.0, 40.0, 60.0, 100.0]))[:, :3].mean(1)
    assert colours == ["black", "black", "white", "white"] and brightness[1] > 0.6 > brightness[2]
