"""The figures of the paper's rows show the numbers of their records: read back from what is drawn."""

import dataclasses
import json

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.patches import Rectangle
from synthetic import per_seed, published, record

from qkdlib import drawing, images
from qkdlib.experiment import Experiment
from qkdlib.study.claims import Lacking
from qkdlib.study.v1 import figures, paper, tables
from qkdlib.workspace import Workspace

COLOURS = {None: "#7f7f7f", "alexnet": "#d55e00", "lenet": "#0072b2", "ensemble": "#009e73"}
TASKS = ["{} 0-5, 3 qubits", "{} 0-7, 3 qubits", "{} 0-7, 4 qubits"]
NOTHING = ["M-D-lenet-4q-07", "F-D-lenet-3q-07", "F-D-lenet-4q-07"]
PANELS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}


@pytest.fixture(scope="module")
def bars(whole):
    return figures.figure_7(whole)


@pytest.fixture(scope="module")
def spread(whole):
    return figures.seed_spread(whole)


def place_of(row) -> float:
    """Where a row stands: its task's group, and in it direct, AlexNet, LeNet, ensemble from left to right."""
    task = {(6, 3): 0, (8, 3): 1, (8, 4): 2}[len(row.classes), row.qubits]
    return task + 0.2 * ([None, "alexnet", "lenet", "ensemble"].index(row.teacher) - 1.5)


def shown(dataset: str, run: str) -> dict[float, paper.Row]:
    """The student rows of a panel, by place."""
    rows = [row for row in paper.rows() if row.dataset == dataset and row.category != "Teacher" and row.run == run]
    return {place_of(row): row for row in rows}


def lasts(whole) -> dict[str, np.ndarray]:
    return {name: seeds["last"].values for name, seeds in per_seed(whole).groupby("name")}


def diamonds(axis) -> list[tuple[float, float]]:
    lines = [line for line in axis.lines if line.get_marker() == "D"]
    return sorted((line.get_xdata()[0], line.get_ydata()[0]) for line in lines)


# Which rows there are


def test_found_are_the_rows_with_a_complete_record(workspace):
    with pytest.raises(Lacking, match="records of its rows"):
        figures.found(workspace)
    direct = paper.row("M-B-4q-07").experiment
    record(paper.row("M-B-3q-05").experiment, [0.5] * (paper.SEEDS - 1)).save(workspace)  # lacks a seed
    record(direct, np.linspace(0.4, 0.6, paper.SEEDS)).save(workspace)
    # One record serves the direct row and the row that was meant to distil and does not.
    assert list(figures.found(workspace)) == [("M-B-4q-07", "as run"), ("M-D-lenet-4q-07", "as run")]
    assert len(figures.figure_7(workspace).axes[0].patches) == 2
    assert len(diamonds(figures.seed_spread(workspace).axes[0])) == 2


@pytest.mark.parametrize("draw", [figures.figure_6, figures.figure_7, figures.seed_spread])
def test_without_its_records_no_figure_is_drawn(workspace, draw):
    """Of Fig. 6 those are the two rows that the paper shows."""
    record(paper.row("M-B-3q-05").experiment, [0.5] * (paper.SEEDS - 1)).save(workspace)  # lacks a seed
    with pytest.raises(Lacking, match="records of its rows"):
        draw(workspace)
    record(paper.row("M-B-3q-05").experiment, [0.5] * paper.SEEDS).save(workspace)
    if draw is figures.figure_6:
        with pytest.raises(Lacking, match="records of its rows"):
            draw(workspace)
    else:
        assert draw(workspace)


def test_all_rows_are_found(whole):
    found = figures.found(whole)
    assert len(found) == 24 + 6
    for (name, run), (row, each) in found.items():
        assert (row.id, row.run, each.experiment) == (name, run, row.experiment)


# Figure 6


def test_figure_6_shows_both_students_of_the_paper_and_the_second_as_meant(whole):
    axes = figures.figure_6(whole).axes
    assert [axis.get_title() for axis in axes] == [
        "FashionMNIST 0-5, 3 qubits\nfrom AlexNet",
        "FashionMNIST 0-7, 4 qubits\nfrom LeNet",
        "FashionMNIST 0-7, 4 qubits\nfrom LeNet, as meant",
    ]
    # As run nothing is distilled, so that this is the colour of direct students.
    colours = [to_rgb(axis.lines[0].get_color()) for axis in axes]
    assert colours == [to_rgb(COLOURS[name]) for name in ("alexnet", None, "lenet")]


def test_figure_6_has_the_medians_of_the_files_on_their_true_scale(whole):
    rows = [paper.row("F-D-alex-3q-05"), paper.row("F-D-lenet-4q-07"), paper.as_meant(paper.row("F-D-lenet-4q-07"))]
    for axis, row in zip(figures.figure_6(whole).axes, rows, strict=True):
        seeds = json.loads((whole.students / f"{row.experiment.name}.json").read_text())["seeds"].values()
        for line, name in zip(axis.lines, ("train_loss", "validation_loss"), strict=True):
            curves = np.array([results[name] for results in seeds])
            assert line.get_xdata().tolist() == list(range(1, 11))
            assert line.get_ydata() == pytest.approx(np.median(curves, axis=0))
            assert line.get_ydata().min() > 2  # not rescaled to [0, 1]


# Figure 7


@pytest.mark.parametrize("dataset", PANELS)
def test_figure_7_has_a_bar_per_row_at_its_mean(whole, bars, dataset):
    axis = bars.axes[list(PANELS).index(dataset)]
    assert [label.get_text() for label in axis.get_xticklabels()] == [task.format(PANELS[dataset]) for task in TASKS]
    values, rows = lasts(whole), shown(dataset, "as run")
    drawn = {round(bar.get_x() + bar.get_width() / 2, 6): bar for bar in axis.patches if isinstance(bar, Rectangle)}
    assert sorted(drawn) == pytest.approx(sorted(rows))
    for place, row in rows.items():
        bar = drawn[round(place, 6)]
        assert bar.get_height() == pytest.approx(values[row.experiment.name].mean()), row.id
        assert to_rgb(bar.get_facecolor()) == to_rgb(COLOURS[row.teacher])
        assert (bar.get_hatch() is not None) == (row.id in NOTHING)


@pytest.mark.parametrize("dataset", PANELS)
def test_bars_reach_over_the_interval(whole, bars, dataset):
    axis = bars.axes[list(PANELS).index(dataset)]
    rows = shown(dataset, "as run")
    frame = tables.paper_table(list(rows.values()), whole).set_index("id")
    reached = {}
    for container in axis.containers:
        if isinstance(container, BarContainer):
            (segment,) = container.errorbar.lines[2][0].get_segments()
            reached[round(segment[0][0], 6)] = segment[:, 1]
    assert len(reached) == 12
    for place, row in rows.items():
        assert reached[round(place, 6)] == pytest.approx([frame.ci_low[row.id], frame.ci_high[row.id]])


@pytest.mark.parametrize("dataset", PANELS)
def test_circles_are_the_rows_as_meant(whole, bars, dataset):
    axis = bars.axes[list(PANELS).index(dataset)]
    rows, values = shown(dataset, "as meant"), lasts(whole)
    alone = [each for each in axis.containers if isinstance(each, ErrorbarContainer) and each.lines[0] is not None]
    circles = {round(one.lines[0].get_xdata()[0], 6): one.lines[0].get_ydata()[0] for one in alone}
    assert len(circles) == len(rows) == {"mnist": 1, "fashion_mnist": 5}[dataset]
    for place, row in rows.items():
        (near,) = [x for x in circles if abs(x - place) < 0.1]  # a little to the right of its bar
        assert near > place
        assert circles[near] == pytest.approx(values[row.experiment.name].mean())


@pytest.mark.parametrize("figure", ["bars", "spread"])
@pytest.mark.parametrize("dataset", PANELS)
def test_diamonds_are_what_the_paper_prints(request, figure, dataset):
    axis = request.getfixturevalue(figure).axes[list(PANELS).index(dataset)]
    frame = published()
    frame = frame[(frame.dataset == dataset) & (frame.role != "teacher")]
    assert sorted(y for _, y in diamonds(axis)) == sorted(frame.paper_accuracy)
    expected = sorted((place, row.paper_accuracy) for place, row in shown(dataset, "as run").items())
    assert np.array(diamonds(axis)) == pytest.approx(np.array(expected))


def test_dotted_lines_are_chance(bars):
    for axis in bars.axes:
        lines = [each for each in axis.collections if len(each.get_segments()) == 1]
        flat = [each.get_segments()[0] for each in lines if np.ptp(each.get_segments()[0][:, 1]) == 0]
        assert [segment[0][1] for segment in flat] == pytest.approx([100 / 6, 12.5, 12.5])


def test_the_legend_explains_every_mark(bars, spread):
    arms = ["direct", "from AlexNet", "from LeNet", "from ensemble", "paper", "chance"]
    assert [text.get_text() for text in bars.axes[0].get_legend().get_texts()] == [
        *arms, "as meant", "distils nothing",
    ]  # fmt: skip
    assert [text.get_text() for text in spread.axes[0].get_legend().get_texts()] == [
        *arms, "distils nothing",
    ]  # fmt: skip


# Seed spread


@pytest.mark.parametrize("dataset", PANELS)
def test_spread_has_every_seed_of_every_row_as_run(whole, spread, dataset):
    axis = spread.axes[list(PANELS).index(dataset)]
    values, rows = lasts(whole), shown(dataset, "as run")
    clouds = [each.get_offsets() for each in axis.collections if len(each.get_offsets()) in (paper.FEW, paper.SEEDS)]
    assert len(clouds) == len(rows) == 12
    by_place = {round(cloud[:, 0].mean(), 6): cloud for cloud in clouds}
    open_ = [round(each.get_offsets()[:, 0].mean(), 6) for each in axis.collections if len(each.get_facecolors()) == 0
             and len(each.get_offsets()) == paper.SEEDS]  # fmt: skip
    assert open_ == [round(place, 6) for place, row in rows.items() if row.id in NOTHING]
    for place, row in rows.items():
        cloud = by_place[round(place, 6)]
        assert sorted(cloud[:, 1]) == pytest.approx(sorted(values[row.experiment.name]))
        assert np.ptp(cloud[:, 0]) < 0.2  # no row reaches into the next one's place


@pytest.mark.parametrize("dataset", PANELS)
def test_lines_of_the_spread_are_means(whole, spread, dataset):
    axis = spread.axes[list(PANELS).index(dataset)]
    segments = [
        segment for each in axis.collections if hasattr(each, "get_segments") for segment in each.get_segments()
    ]
    means = {round(segment[:, 0].mean(), 6): segment[0, 1] for segment in segments if np.ptp(segment[:, 0]) < 0.2}
    values = lasts(whole)
    for place, row in shown(dataset, "as run").items():
        assert means[round(place, 6)] == pytest.approx(values[row.experiment.name].mean())


def test_the_same_seeds_on_two_processors_are_joined_by_lines(workspace):
    """Those that were kept of another processor, beside the record's; without them there is no such picture."""
    row = paper.row("M-B-3q-05")
    now, before = np.linspace(0.3, 0.97, paper.SEEDS), np.linspace(0.9, 0.5, 12)
    record(row.experiment, now).save(workspace)
    assert len(figures.seed_spread(workspace).axes) == 2
    assert not figures.seed_spread(workspace).axes[-1].child_axes
    kept = record(dataclasses.replace(row.experiment, seeds=12), before)
    other = Workspace(workspace.folder("results", "again"))
    kept.save(other)
    path = other.students / f"{row.experiment.name}.json"
    path.rename(workspace.path("results", "again", path.name))
    (small,) = figures.seed_spread(workspace).axes[-1].child_axes
    ends = np.array([line.get_ydata() for line in small.lines])
    assert ends == pytest.approx(100 * np.column_stack([before, now[:12]]), abs=1e-3)
    assert [label.get_text() for label in small.get_xticklabels()] == ["one", "another"]
    (workspace.students / f"{row.experiment.name}.json").unlink()
    record(paper.row("M-B-4q-07").experiment, now).save(workspace)
    assert not figures.seed_spread(workspace).axes[-1].child_axes


def test_no_arm_has_the_colour_of_another():
    assert {name or "placebo": colour for name, colour in COLOURS.items()} == drawing.COLOURS
    assert len(set(COLOURS.values())) == 4


@pytest.mark.parametrize("name", ["figure_6", "figure_7", "seed_spread"])
def test_drawn_twice_is_the_same_file(workspace, tmp_path, name):
    for row in (paper.row("F-D-alex-3q-05"), paper.row("M-B-4q-07")):
        record(row.experiment, np.linspace(0.5, 0.9, row.experiment.seeds)).save(workspace)
    draw = getattr(figures, name)
    one, two = (drawing.save(draw(workspace), tmp_path / folder, name) for folder in ("one", "two"))
    assert [path.suffix for path in one] == [".pdf", ".png"]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


# Networks, circuits and images


def test_what_needs_no_record_is_drawn_in_an_empty_workspace(workspace):
    for draw in (figures.figure_3, figures.figure_4, figures.figure_5):
        assert draw(workspace).axes


@pytest.fixture
def digits(monkeypatch):
    """All data sets are at hand, and have the images of the digits; with it what was asked for."""
    splits, asked = images.splits, []
    eight = splits(Experiment(dataset="digits", classes=tuple(range(8)), train_per_class=6, validation_per_class=2,
                              test_per_class=5))  # fmt: skip
    monkeypatch.setattr(images, "at_hand", lambda name: True)
    monkeypatch.setattr(images, "splits", lambda experiment: asked.append(experiment) or eight)
    return asked


def test_figure_2_has_a_panel_of_eight_classes_for_each_data_set(digits, workspace):
    panels = figures.figure_2(workspace).subfigs
    assert [panel.get_suptitle() for panel in panels] == ["MNIST", "FashionMNIST"]
    assert [(e.dataset, e.classes) for e in digits] == [(name, tuple(range(8))) for name in PANELS]


def test_images_that_are_not_at_hand_are_named_and_none_is_loaded(digits, monkeypatch, workspace):
    monkeypatch.setattr(images, "at_hand", "fashion_mnist".__ne__)
    with pytest.raises(Lacking, match="images of fashion_mnist, which are not at hand"):
        figures.figure_2(workspace)
    monkeypatch.setattr(images, "at_hand", lambda name: False)
    with pytest.raises(Lacking, match="images of mnist and fashion_mnist, which are not at hand"):
        figures.figure_2(workspace)
    assert digits == []


@pytest.mark.parametrize(
    "error", [FileNotFoundError("no network"), ValueError("t10k is damaged"), OSError("no rights")]
)
def test_images_that_cannot_be_loaded_say_why(monkeypatch, workspace, error):
    def fail(_experiment):
        raise error

    monkeypatch.setattr(images, "at_hand", lambda name: True)
    monkeypatch.setattr(images, "splits", fail)
    with pytest.raises(Lacking, match=rf"images that cannot be loaded \({error}\)"):
        figures.figure_2(workspace)
