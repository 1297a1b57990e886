"""The tables and the figure of synthetic records of the changes, against numpy and scipy."""

import numpy as np
import pytest
import scipy.stats
from synthetic import holm, record

from qkdlib.experiment import Experiment
from qkdlib.records import Record
from qkdlib.study.claims import Lacking
from qkdlib.study.collapse import changes
from qkdlib.study.collapse import figures as collapse_figures
from qkdlib.study.collapse import table as collapse_table


def made(experiment: Experiment, lasts) -> Record:
    """A record whose validation accuracy after the last epoch, from 0 to 1, is `lasts`."""
    made = record(experiment, lasts, qasm_seeds=0)
    for seed, last in enumerate(lasts):
        curve = made.seeds[seed]["validation_accuracy"]
        curve[0], curve[-1] = 0.1, round(float(last), 6)
    return made


@pytest.fixture
def filled(workspace):
    """Seeds of each change: those of the published recipe half collapsed, the others less and less."""
    rng, found = np.random.default_rng(0), {}
    for place, (dataset, change, experiment) in enumerate(changes.variants()):
        lasts = np.round(rng.uniform(0.6, 0.95, 20), 4)
        lasts[: max(0, 11 - place % len(changes.CHANGES))] = 0.125
        found[dataset, change] = lasts
        made(experiment, lasts).save(workspace)
    return workspace, found


def test_numbers_are_those_of_validation_curves(filled):
    workspace, lasts = filled
    frame = collapse_table.table(workspace)
    assert len(frame) == 26
    for line in frame.itertuples():
        values = 100 * lasts[line.dataset, line.change]
        assert line.collapsed == (values < 150 / 8).sum()
        assert (line.mean_validation, line.worst, line.best) == pytest.approx(
            (values.mean(), values.min(), values.max())
        )
        assert line.first_epoch_collapsed == 20
        published = 100 * lasts[line.dataset, "as published"]
        counts = [[(each < 18.75).sum(), (each >= 18.75).sum()] for each in (values, published)]
        assert line.p_fisher == pytest.approx(scipy.stats.fisher_exact(counts).pvalue)


def test_without_records_the_table_is_empty_and_there_is_no_figure(workspace):
    shown = collapse_table.readable(collapse_table.table(workspace))
    assert len(shown) == 26 and set(shown["collapsed"]) == {""}
    assert not shown.map(lambda cell: "nan" in str(cell).lower().split()).any(axis=None)
    with pytest.raises(Lacking, match="^records of its experiments$"):
        collapse_figures.figure(workspace)


def test_the_figure_shows_every_seed_and_colours_the_collapsed(filled):
    workspace, lasts = filled
    axes = collapse_figures.figure(workspace).axes
    assert len(axes) == 2
    for axis, dataset in zip(axes, changes.STUDIED, strict=True):
        assert [len(points.get_offsets()) for points in axis.collections] == [20] * len(changes.CHANGES)
        for points, change in zip(axis.collections, changes.CHANGES, strict=True):
            x = points.get_offsets()[:, 0]
            assert sorted(x) == pytest.approx(sorted(100 * lasts[dataset, change]))
            colours = {tuple(colour) for colour in points.get_facecolors()}
            assert len(colours) == (2 if (x < 18.75).any() else 1)
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list(changes.CHANGES)


def test_the_robust_table_compares_the_six_students_with_the_published_recipe(workspace):
    assert collapse_table.robust_table(workspace)["mean"].isna().all()
    rng, found = np.random.default_rng(1), {}
    for row in changes.ROWS:
        for name, experiment in (("robust", changes.robust(row)), ("published", changes.published(row))):
            lasts = np.round(rng.uniform(0.7, 0.9, 20), 4)
            lasts[: 4 if name == "published" else 0] = 0.12
            found[name, experiment.dataset, len(experiment.classes), experiment.qubits] = 100 * lasts
            record(experiment, lasts, qasm_seeds=0).save(workspace)
    frame = collapse_table.robust_table(workspace)
    assert len(frame) == 6 and len(found) == 12
    for line in frame.itertuples():
        task = (line.dataset, int(line.classes[-1]) + 1, line.qubits)
        ours, before = found["robust", *task], found["published", *task]
        assert (line.collapsed, line.published_collapsed) == (0, 4)
        assert (line.mean, line.published_mean) == pytest.approx((ours.mean(), before.mean()))
        assert line.to_best == pytest.approx(ours.mean() - before.max())
        assert line.p == pytest.approx(scipy.stats.wilcoxon((ours - before).round(4)).pvalue)
    assert frame.p_holm.tolist() == pytest.approx(holm(frame.p.tolist()))
    shown = collapse_table.readable_robust(frame)
    assert shown["robust"].str.match(r"\d\d\.\d \[\d\d\.\d, \d\d\.\d\]").all()
