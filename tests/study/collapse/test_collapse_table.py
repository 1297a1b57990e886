"""The table and the figure of made-up records of the changes, against numpy, scipy and statsmodels."""

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint
from synthetic import record

from qkdlib.names import span
from qkdlib.study.claims import Lacking
from qkdlib.study.collapse import changes
from qkdlib.study.collapse import figures as collapse_figures
from qkdlib.study.collapse import table as collapse_table

STUDIED = list(changes.STUDIED.values())


@pytest.fixture
def filled(workspace, draw_record):
    """Seeds of each change: of the published recipe most lost a class, of the others fewer and fewer."""
    rng, found = np.random.default_rng(0), {}
    for place, (row, change, experiment) in enumerate(changes.variants()):
        made = draw_record(experiment, rng, max(0, 15 - place % len(changes.CHANGES)))
        made.save(workspace)
        found[row, change] = made
    return workspace, found


def raw(made):
    """Accuracies on validation and test images in percent, and who lost a class, read from the seeds' dictionaries."""
    seeds = [made.seeds[seed] for seed in range(len(made.seeds))]
    right = np.array([np.diagonal(np.array(each["validation_confusion"])[:, :-1]) for each in seeds])
    values = [100 * np.array([each[name][-1] for each in seeds]) for name in ("validation_accuracy", "test_accuracy")]
    return *values, (right == 0).any(1)


def test_numbers_are_those_of_the_seeds(filled):
    workspace, made = filled
    frame = collapse_table.table(workspace)
    assert len(frame) == len(made)
    for line, (row, change, experiment) in zip(frame.itertuples(), changes.variants(), strict=True):
        assert (line.dataset, line.classes, line.qubits, line.change) == (
            experiment.dataset, span(experiment.classes), experiment.qubits, change,
        )  # fmt: skip
        validation, test, gone = raw(made[row, change])
        assert (line.seeds, line.lost_class) == (experiment.seeds, gone.sum())
        assert (line.mean_validation, line.worst, line.best) == pytest.approx(
            (validation.mean(), validation.min(), validation.max()), abs=1e-3
        )
        assert line.mean_test == pytest.approx(test.mean(), abs=1e-3)
        assert line.trained_validation == pytest.approx(validation[~gone].mean(), abs=1e-3)
        assert line.trained_test == pytest.approx(test[~gone].mean(), abs=1e-3)
        assert line.trained_ci_low <= line.trained_validation <= line.trained_ci_high
        low, high = proportion_confint(gone.sum(), len(gone), method="wilson")
        assert (line.lost_share, line.lost_ci_low, line.lost_ci_high) == pytest.approx((gone.mean(), low, high))
        assert (line.collapsed, line.first_epoch_collapsed) == (0, experiment.seeds)


def test_recalls_of_the_seeds_that_lost_a_class_are_those_of_their_confusions(workspace, draw_record):
    experiment = changes.published("M-B-3q-05")
    made = draw_record(experiment, np.random.default_rng(0), 3)
    found = collapse_table.lost_recalls(made)
    assert found.index.tolist() == [0, 1, 2] and found["class 1"].tolist() == [0, 0, 0]
    for seed, line in found.iterrows():
        right = np.diagonal(np.array(made.seeds[seed]["validation_confusion"])[:, :-1])
        assert line.iloc[:6].tolist() == pytest.approx(100 * right / experiment.validation_per_class, abs=0.05)
        assert line["mean"] == pytest.approx(100 * made.seeds[seed]["validation_accuracy"][-1], abs=0.06)
    before = record(experiment, np.full(experiment.seeds, 0.8), qasm_seeds=0)
    for nothing in (draw_record(experiment, np.random.default_rng(0), 0), before, None):
        assert collapse_table.lost_recalls(nothing).empty


def test_p_is_the_sign_test_of_seeds_that_lost_a_class_in_one_arm_alone(filled):
    workspace, made = filled
    frame = collapse_table.table(workspace)
    for line, (row, change, _) in zip(frame.itertuples(), changes.variants(), strict=True):
        one, other = (raw(made[row, name])[-1] for name in (change, "as published"))
        both = min(len(one), len(other))
        worse, better = (one[:both] & ~other[:both]).sum(), (~one[:both] & other[:both]).sum()
        expected = scipy.stats.binomtest(int(worse), int(worse + better)).pvalue if worse + better else 1
        assert line.p_mcnemar == pytest.approx(expected)
    assert frame.p_mcnemar.min() < 0.01


def test_a_record_of_an_earlier_version_says_nothing_of_classes(workspace):
    experiment = changes.changed(STUDIED[0], "no dropout")
    record(experiment, np.full(20, 0.8), qasm_seeds=0).save(workspace)
    frame = collapse_table.table(workspace)
    (line,) = frame[frame.seeds > 0].to_dict("records")
    assert (line["seeds"], line["collapsed"], line["mean_validation"]) == (20, 0, 50)
    assert all(np.isnan(line[name]) for name in ("lost_class", "lost_share", "p_mcnemar", "trained_validation"))
    shown = collapse_table.readable(frame)
    (line,) = shown[shown["all seeds"] != ""].to_dict("records")
    assert (line["lost a class or collapsed"], line["collapsed"], line["seeds that train"]) == ("", "0 of 20", "")


def test_where_no_seed_trains_there_is_no_mean_of_those_that_do(workspace, draw_record):
    experiment = changes.changed(STUDIED[0], "no dropout")
    draw_record(experiment, np.random.default_rng(0), 20).save(workspace)
    frame = collapse_table.table(workspace)
    (line,) = frame[frame.seeds > 0].to_dict("records")
    assert (line["lost_class"], line["lost_share"]) == (20, 1) and np.isnan(line["trained_validation"])


def test_without_records_the_table_is_empty_and_there_is_no_figure(workspace):
    shown = collapse_table.readable(collapse_table.table(workspace))
    assert len(shown) == len(changes.variants())
    assert set(shown["lost a class or collapsed"]) == set(shown["collapsed"]) == {""}
    assert not shown.map(lambda cell: "nan" in str(cell).lower().split()).any(axis=None)
    with pytest.raises(Lacking, match="^records of its experiments$"):
        collapse_figures.figure(workspace)


def test_the_figure_shows_every_seed_in_the_colour_of_its_fate(filled, make_record):
    workspace, made = filled
    chance = changes.changed(STUDIED[0], "no dropout")
    few = np.tile([40] + [0] * 7, (20, 1))  # 10 % right: collapsed
    made[STUDIED[0], "no dropout"] = make_record(chance, few, few)
    (workspace.students / f"{chance.name}.json").unlink()
    made[STUDIED[0], "no dropout"].save(workspace)
    axes = collapse_figures.figure(workspace).axes
    assert len(axes) == 2
    for axis, row in zip(axes, STUDIED, strict=True):
        assert len(axis.collections) == len(changes.CHANGES)
        for points, change in zip(axis.collections, changes.CHANGES, strict=True):
            validation, _, gone = raw(made[row, change])
            x, colours = points.get_offsets()[:, 0], [tuple(colour) for colour in points.get_facecolors()]
            assert list(x) == pytest.approx(sorted(validation))
            low = validation < 150 / 8
            counts = sorted(count for count in (low.sum(), (gone & ~low).sum(), (~gone & ~low).sum()) if count)
            assert sorted(map(colours.count, set(colours))) == counts
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list(changes.CHANGES)
