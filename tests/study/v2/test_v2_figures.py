"""v2's figures show the numbers of their records and the features of their images: read back from what is drawn."""

import dataclasses

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer
from synthetic import figure_12, fill_bars, per_seed

from qkdlib import drawing, images
from qkdlib.experiment import Experiment
from qkdlib.images import datasets
from qkdlib.images.datasets import Images, Splits
from qkdlib.students import Student
from qkdlib.study.claims import Lacking
from qkdlib.study.v2 import ablation, figures, revised
from qkdlib.workspace import Workspace

DIGITS = Experiment(
    dataset="digits", classes=tuple(range(10)), train_per_class=60, validation_per_class=2, test_per_class=2, qubits=4
)
REGIMES = ("10 epochs", "converged")
SHOWN = [  # those that are left out of both rows must leave their places empty
    revised.bar(method, dataset, qubits, regime)
    for method in ("original", "avg_pool", "angle")
    for dataset, qubits in (("mnist", 4), ("mnist", 8), ("cifar10", 4))
    for regime in REGIMES
    if (method, regime) != ("angle", "converged")
]
FULL = revised.bar("original", "mnist", 4, "full set")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("bars"))
    fill_bars(workspace, [bar.copies[-1] for bar in [*SHOWN, FULL]], np.random.default_rng(4))
    return workspace


@pytest.fixture(scope="module")
def panels(filled):
    """The panels of Fig. 12, by data set and regime."""
    axes = figures.figure_12(filled).axes
    names = [(dataset, regime) for regime in REGIMES for dataset in revised.DATASETS]
    assert [axis.get_title() for axis in axes] == [
        f"{ {'mnist': 'MNIST', 'fashion_mnist': 'FashionMNIST', 'cifar10': 'CIFAR10'}[name] }, {regime}"
        for name, regime in names
    ]
    return dict(zip(names, axes, strict=True))


def place_of(bar: revised.Bar) -> float:
    """A method's group, and in it 4 qubits to the left of 8."""
    methods = ["max_pool", "center_crop", "pca", "avg_pool", "angle", "qubit", "original"]
    return round(methods.index(bar.method) + {4: -0.2, 8: 0.2}[bar.qubits], 6)


def marks(axis, marker: str) -> dict[float, float]:
    lines = [line for line in axis.lines if line.get_marker() == marker]
    return {round(line.get_xdata()[0], 6): line.get_ydata()[0] for line in lines}


def of_panel(dataset: str, regime: str) -> dict[float, revised.Bar]:
    return {place_of(bar): bar for bar in SHOWN if (bar.dataset, bar.regime) == (dataset, regime)}


# Figure 12


def test_every_bar_with_records_stands_at_its_mean_and_over_its_interval(filled, panels):
    means = 100 - per_seed(filled).groupby("name")[["last", "selected"]].mean()
    lines = dict(zip(map(str, SHOWN), ablation.table(SHOWN, filled).itertuples(), strict=True))
    seen = 0
    for (dataset, regime), axis in panels.items():
        bars, drawn = of_panel(dataset, regime), {}
        for container in axis.containers:
            if isinstance(container, BarContainer):
                (patch,) = container.patches
                (reach,) = container.errorbar.lines[2][0].get_segments()
                drawn[round(patch.get_x() + patch.get_width() / 2, 6)] = (patch, reach[:, 1])
        assert sorted(drawn) == sorted(bars)
        for x, (patch, reach) in drawn.items():
            name = bars[x].copies[-1].arms["lenet"].name
            assert patch.get_height() == pytest.approx(means["selected" if regime == "converged" else "last"][name])
            line = lines[str(bars[x])]
            assert reach == pytest.approx([line.ci_low, line.ci_high])
            assert to_rgb(patch.get_facecolor()) == to_rgb({4: "#0072b2", 8: "#cc79a7"}[bars[x].qubits])
            assert patch.get_width() < 0.4  # no bar reaches into its neighbour
            seen += 1
    assert seen == len(SHOWN) == 15


def test_circles_are_the_placebos_and_diamonds_what_the_paper_shows(filled, panels):
    means = 100 - per_seed(filled).groupby("name")[["last", "selected"]].mean()
    for (dataset, regime), axis in panels.items():
        bars = of_panel(dataset, regime)
        column = means["selected" if regime == "converged" else "last"]
        assert marks(axis, "o") == pytest.approx({x: column[b.copies[-1].arms[None].name] for x, b in bars.items()})
        assert marks(axis, "D") == pytest.approx({x: figure_12()[b.method, dataset, b.qubits] for x, b in bars.items()})


def test_panels_share_their_scale_their_methods_and_the_line_of_chance(panels):
    for axis in panels.values():
        assert axis.get_ylim() == (0, 100)
        (chance,) = [line for line in axis.lines if line.get_linestyle() == ":"]
        assert set(chance.get_ydata()) == {90}
        assert [label.get_text() for label in axis.get_xticklabels()] == [
            "maximum pooling", "centre crop", "PCA", "average pooling", "FC + angle", "FC + qubit", "original",
        ]  # fmt: skip


def test_the_legend_explains_every_mark(panels):
    (legend,) = filter(None, (axis.get_legend() for axis in panels.values()))
    assert [text.get_text() for text in legend.get_texts()] == [
        "4 qubits, from LeNet", "8 qubits, from LeNet", "placebo", "paper", "chance",
    ]  # fmt: skip


def test_a_regime_without_records_has_no_row(workspace):
    with pytest.raises(Lacking, match="records of its bars"):
        figures.figure_12(workspace)
    assert figures.found(workspace, "10 epochs") == []
    bar = revised.bar("pca", "fashion_mnist", 8, "converged")
    fill_bars(workspace, [bar, FULL], np.random.default_rng(0))  # the full set is not in the figure
    (found,) = figures.found(workspace, "converged")
    assert found.bar == bar
    axes = figures.figure_12(workspace).axes
    assert len(axes) == 3 and "converged" in axes[1].get_title()
    assert [len(marks(axis, "D")) for axis in axes] == [0, 1, 0]


def test_drawn_twice_is_the_same_file(workspace, tmp_path):
    fill_bars(workspace, SHOWN[:1], np.random.default_rng(0))
    one, two = (drawing.save(figures.figure_12(workspace), tmp_path / name, "f") for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


# Figure 11


@pytest.fixture(scope="module")
def digits():
    return datasets.splits(DIGITS)


def blocks(image: np.ndarray, cells: int, reduce) -> np.ndarray:
    size = len(image) // cells
    return reduce(image.reshape(cells, size, cells, size), axis=(1, 3))


def pictures(figure, rows: int) -> list[list[np.ndarray]]:
    """The values of each row's pictures: the image, fully connected, average and maximum pooling, crop, PCA."""
    shown = [np.asarray(axis.images[0].get_array()) for axis in figure.axes]
    assert len(shown) == 6 * rows
    return [shown[6 * row : 6 * row + 6] for row in range(rows)]


def principal(images: torch.Tensor, image: np.ndarray, count: int) -> np.ndarray:
    """Coordinates on the first components of training images, but for their signs."""
    flat = images.flatten(1).double().numpy()
    axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:count]
    return np.abs(axes @ (image.flatten() - flat.mean(0)))


def test_figure_11_has_the_image_and_five_pictures_of_its_features_in_each_row(digits):
    rows = pictures(figures.figure_11({"digits": digits}), 2)
    image = digits.train.x[digits.train.y == 0][0, 0].numpy()
    for (original, connected, mean, largest, crop, pca), cells in zip(rows, (4, 16), strict=True):
        assert original == pytest.approx(image)
        start = 14 - cells // 2
        assert crop == pytest.approx(image[start : start + cells, start : start + cells])
        assert np.abs(pca).flatten() == pytest.approx(principal(digits.train.x, image, cells**2), abs=1e-3)
        student = Student(dataclasses.replace(revised.student(), qubits={4: 4, 16: 8}[cells]), (1, 28, 28), [0])
        weights, bias = (value[0].numpy(force=True) for value in student.reducer.parameters())
        assert connected.flatten() == pytest.approx(weights @ image.flatten() + bias, abs=1e-5)
        assert mean.shape == largest.shape == connected.shape == pca.shape == (cells, cells)
        assert (mean <= largest + 1e-7).all()
    _, _, mean, largest, _, _ = rows[0]  # 28 pixels are four cells of seven
    assert mean == pytest.approx(blocks(image, 4, np.mean), abs=1e-6)
    assert largest == pytest.approx(blocks(image, 4, np.max))


def test_figure_11_names_its_rows_and_columns(digits):
    parts = {"mnist": digits, "cifar10": digits}
    axes = figures.figure_11(parts, (4, 2)).axes
    assert [axis.get_ylabel() for axis in axes[::6]] == [
        "MNIST\n4 qubits", "MNIST\n2 qubits", "CIFAR10\n4 qubits", "CIFAR10\n2 qubits",
    ]  # fmt: skip
    assert [axis.get_title().replace("\n", " ") for axis in axes[:6]] == [
        "image", "fully connected (untrained)", "average pooling", "maximum pooling", "centre crop", "PCA",
    ]  # fmt: skip
    # Of MNIST the first 3 is shown, of CIFAR10 the first car.
    for first, label in ((0, 3), (12, 1)):
        image = digits.train.x[digits.train.y == label][0, 0].numpy()
        assert np.asarray(axes[first].images[0].get_array()) == pytest.approx(image)


def test_pixels_are_grey_from_0_to_1_and_other_features_red_and_blue_around_0(digits):
    shown = [axis.images[0] for axis in figures.figure_11({"digits": digits}, (4,)).axes]
    for place, picture in enumerate(shown):
        low, high = picture.get_clim()
        if place in (1, 5):  # fully connected and PCA
            assert picture.get_cmap().name == "RdBu"
            assert -low == high == pytest.approx(np.abs(picture.get_array()).max())
        else:
            assert (picture.get_cmap().name, low, high) == ("gray_r", 0, 1)


def test_of_colour_images_pixels_are_the_mean_of_the_channels():
    x = torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = Images(x, torch.arange(20) % 10, torch.arange(20))
    splits = Splits(images, images, images, images, images, tuple("0123456789"))
    figure = figures.figure_11({"cifar10": splits}, (4,))
    ((original, _, mean, largest, crop, pca),) = pictures(figure, 1)
    car = x[1].numpy()  # the first of class 1
    assert original == pytest.approx(car.transpose(1, 2, 0))
    grey = car.mean(0)
    assert mean == pytest.approx(blocks(grey, 4, np.mean), abs=1e-6)
    assert largest == pytest.approx(blocks(grey, 4, np.max), abs=1e-6)
    assert crop == pytest.approx(grey[14:18, 14:18], abs=1e-6)
    assert np.abs(pca).flatten() == pytest.approx(principal(x, car, 16), abs=1e-3)
    assert figure.axes[2].images[0].get_cmap().name == "gray"  # 1 is white, as in the picture beside it


@pytest.mark.parametrize("cifar10", ["cifar10", "cifar10_jpeg"])
def test_figure_11_of_the_paper_is_of_v2s_images_cifar10s_on_the_copy_at_hand(monkeypatch, workspace, cifar10):
    asked = []
    for module in (images, datasets):
        monkeypatch.setattr(module, "at_hand", {"mnist", "fashion_mnist", cifar10}.__contains__)
    monkeypatch.setattr(images, "splits", lambda experiment: asked.append(experiment) or experiment.dataset)
    monkeypatch.setattr(figures, "figure_11", dict)
    shown = figures.of_paper(workspace)
    assert shown == {"mnist": "mnist", "fashion_mnist": "fashion_mnist", "cifar10": cifar10}
    assert {each.classes for each in asked} == {tuple(range(10))}


def test_figure_11_without_its_images_says_which_it_needs(monkeypatch, workspace):
    for module in (images, datasets):
        monkeypatch.setattr(module, "at_hand", lambda name: False)
    with pytest.raises(Lacking, match="images of mnist and fashion_mnist and cifar10, which are not at hand"):
        figures.of_paper(workspace)
