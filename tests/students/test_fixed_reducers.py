"""Reducers without parameters: numpy's loops and slices, scikit-learn's components, and what they refuse."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA as Decomposition

from qkdlib.students import Student
from qkdlib.students.fixed_reducers import PCA, AvgPool, CenterCrop, MaxPool, grid
from qkdlib.students.reducers import REDUCERS
from qkdlib.study.v2 import revised

GRIDS = {"avg_pool": AvgPool, "max_pool": MaxPool, "center_crop": CenterCrop}
GREY, COLOUR, ODD = (1, 28, 28), (3, 32, 32), (2, 35, 33)
SHAPES = [GREY, COLOUR, ODD]
SEEDS = [torch.Generator()] * 2  # one per seed; nothing is drawn


def images(count: int, shape, seed: int = 0) -> torch.Tensor:
    """(N, C, H, W) in [0, 1], half of the pixels blank, as in pictures of digits."""
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(count, *shape, generator=draw) * (torch.rand(count, *shape, generator=draw) < 0.5)


def cells(side: int, count: int) -> list[slice]:
    """Where the cells of a side begin and end."""
    return [slice(i * side // count, -(-(i + 1) * side // count)) for i in range(count)]


def in_numpy(name: str, image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Features of one image (C, H, W), row by row."""
    grey = image.mean(0)
    if name == "center_crop":
        top, left = (grey.shape[0] - rows) // 2, (grey.shape[1] - columns) // 2
        return grey[top : top + rows, left : left + columns].ravel()
    take = {"avg_pool": np.mean, "max_pool": np.max}[name]
    every = itertools.product(cells(grey.shape[0], rows), cells(grey.shape[1], columns))
    return np.array([take(grey[rows, columns]) for rows, columns in every])


@pytest.mark.parametrize("qubits", range(2, 11))
@pytest.mark.parametrize("shape", SHAPES, ids=["grey", "colour", "odd"])
@pytest.mark.parametrize("name", GRIDS)
def test_features_on_a_grid_are_numpys(name, shape, qubits):
    rows, columns = 2 ** math.ceil(qubits / 2), 2 ** math.floor(qubits / 2)
    if rows > shape[1] or columns > shape[2]:  # 32 rows of a 28x28 image
        with pytest.raises(ValueError, match="^image size='28x28' is not allowed; allowed: 32x"):
            GRIDS[name](shape, 2**qubits, SEEDS, 0.0)
        return
    reducer, x = GRIDS[name](shape, 2**qubits, SEEDS, 0.0), images(3, shape)
    found = reducer(reducer.prepare(x))
    assert found.shape == (2, 3, 2**qubits)
    expected = np.stack([in_numpy(name, image, rows, columns) for image in x.double().numpy()])
    for of_seed in found:
        np.testing.assert_allclose(of_seed, expected, atol=1e-6)


def test_grids_are_those_of_the_paper():
    assert grid(16) == (4, 4) and grid(256) == (16, 16)
    assert [grid(features) for features in (4, 8, 32, 512, 1024)] == [(2, 2), (4, 2), (8, 4), (32, 16), (32, 32)]
    assert [grid(features) for features in (0, 1, 2, 3, 9, 10, 35, 1030)] == [None] * 8


def test_odd_margin_has_its_larger_half_below_and_to_the_right():
    image = torch.arange(30.0).view(1, 1, 5, 6)
    reducer = CenterCrop((1, 5, 6), 8, SEEDS, 0.0)  # 4x2 of 5x6
    expected = [[2, 3], [8, 9], [14, 15], [20, 21]]
    assert reducer.prepare(image).view(4, 2).tolist() == expected


def test_cells_that_do_not_divide_the_image_overlap_by_a_pixel():
    image = torch.arange(5.0).view(1, 1, 1, 5).expand(-1, -1, 5, -1)  # 2x2 cells of columns 0 to 2 and 2 to 4
    assert AvgPool((1, 5, 5), 4, SEEDS, 0.0).prepare(image).tolist() == [[1, 3, 1, 3]]
    assert MaxPool((1, 5, 5), 4, SEEDS, 0.0).prepare(image).tolist() == [[2, 4, 2, 4]]


def test_colours_are_averaged_before_the_maximum_is_taken():
    image = torch.zeros(1, 3, 2, 2)
    image[0, 0, 0, 0] = image[0, 1, 0, 1] = 0.9  # no pixel is bright in more than one colour
    for reducer in (MaxPool, AvgPool, CenterCrop):
        found = reducer((3, 2, 2), 4, SEEDS, 0.0).prepare(image)
        np.testing.assert_allclose(found, [[0.3, 0.3, 0, 0]], atol=1e-6)


# Principal components


def fitted(train: torch.Tensor, features: int, standardised: bool = False) -> PCA:
    reducer = PCA(tuple(train.shape[1:]), features, SEEDS, 0.0)
    reducer.standardised = standardised
    reducer.fit(train)
    return reducer


@pytest.mark.parametrize("shape", [GREY, (3, 9, 7)], ids=["grey", "colour"])
@pytest.mark.parametrize("features", [3, 16, 35])
@pytest.mark.parametrize("standardised", [False, True])
def test_components_are_scikit_learns(shape, features, standardised):
    train, x = images(60, shape), images(5, shape, seed=1)
    reducer = fitted(train, features, standardised)
    reference = Decomposition(features, svd_solver="full").fit(train.double().flatten(1).numpy())
    expected = reference.transform(x.double().flatten(1).numpy())
    if standardised:
        expected = expected / reference.transform(train.double().flatten(1).numpy()).std(0, ddof=1)
    found = reducer(reducer.prepare(x))
    assert found.shape == (2, 5, features)
    for of_seed in found:
        np.testing.assert_allclose(of_seed, expected, atol=2e-5)


def test_standardised_components_of_the_training_images_have_mean_0_and_variance_1():
    train = images(80, (1, 10, 10))
    found = fitted(train, 16, standardised=True).prepare(train).double().numpy()
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(np.cov(found.T), np.eye(16), atol=1e-4)


def test_a_component_without_variance_is_0_and_not_magnified_rounding():
    # Four images span three directions, whatever their pixels.
    train = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    found = fitted(train, 4, standardised=True).prepare(train)
    assert found[:, :3].std(0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    assert not found[:, 3].any()


def test_components_of_a_student_are_standardised_where_features_become_angles():
    train = images(30, GREY)
    for encoder, qubits, standardised in (("amplitude", 4, False), ("angle", 4, True), ("qubit", 4, True)):
        task = revised.student(method="pca", qubits=qubits, encoder=encoder)
        reducer = Student(task, GREY, [0]).fit_reducer(train).reducer
        spread = reducer.prepare(train).std(0)
        assert torch.allclose(spread, torch.ones_like(spread), atol=1e-4) == standardised


def test_components_are_those_of_the_images_that_were_fitted():
    train, others = images(40, (1, 10, 10)), images(40, (1, 10, 10), seed=1)
    reducer, x = fitted(train, 4), others[:5]
    before, axes = reducer.prepare(x), reducer.axes.clone()
    reducer.prepare(1 - others)  # other images pass through and change nothing
    assert torch.equal(reducer.prepare(x), before) and torch.equal(reducer.axes, axes)
    assert not torch.allclose(fitted(torch.cat([train, others]), 4).prepare(x), before, atol=1e-2)


def test_components_do_not_depend_on_the_seeds():
    task, train = revised.student(method="pca"), images(30, GREY)
    one, other = (Student(task, GREY, seeds).fit_reducer(train) for seeds in ([0], [5, 6]))
    assert torch.equal(one.reducer.axes, other.reducer.axes)


# Any images


def prepared(name: str, shape, x: torch.Tensor) -> torch.Tensor:
    """Features (N, 16) by a reducer that was fitted, if it is, to other images."""
    reducer = REDUCERS[name](shape, 16, SEEDS, 0.0)
    if name == "pca":
        reducer.fit(images(20, shape, seed=9))
    return reducer.prepare(x)


@pytest.mark.parametrize("name", [*GRIDS, "pca"])
@settings(max_examples=15, database=None)
@given(
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(4, 12), st.integers(4, 12)),
    value=st.sampled_from([0.0, 0.3, 1.0]),
    row=st.integers(0, 3),
    column=st.integers(0, 3),
)
def test_blank_and_constant_images_and_single_pixels_stay_finite(name, shape, value, row, column):
    constant = torch.full((1, *shape), value)
    pixel = constant.clone()
    pixel[0, 0, row, column] = 1 - value
    found = prepared(name, shape, torch.cat([constant, pixel]))
    assert torch.isfinite(found).all()
    if name != "pca":
        np.testing.assert_allclose(found[0], np.full(16, value), atol=1e-6)
        assert found.min() >= 0 and found.max() <= 1
        expected = in_numpy(name, pixel[0].double().numpy(), 4, 4)
        np.testing.assert_allclose(found[1], expected, atol=1e-6)


def test_a_component_of_pixels_that_are_always_blank_is_0():
    train = torch.zeros(6, 1, 4, 4)  # two pixels vary, and so do two components
    train[:, 0, 0, 0], train[:, 0, 1, 1] = torch.arange(6.0) / 5, torch.tensor([0.0, 1, 0, 1, 1, 0])
    found = fitted(train, 4, standardised=True).prepare(train)
    torch.testing.assert_close(found[:, :2].std(0), torch.ones(2), atol=1e-4, rtol=0)
    assert not found[:, 2:].any()


@pytest.mark.parametrize("shape", [(), (3,)], ids=["shared", "unshared"])
@pytest.mark.parametrize("method", ["max_pool", "center_crop", "pca", "avg_pool", "original"])
def test_preparing_once_and_going_on_is_the_students_whole_way(method, shape):
    student = Student(revised.student(method=method), GREY, [0, 1, 2]).fit_reducer(images(20, GREY))
    x = images(12, GREY).view(*shape, -1, *GREY)
    ready = student.reducer.prepare(x)
    with torch.no_grad():
        found = student(x)
        assert torch.equal(student.logits(ready), found)
        for seed in range(3 if shape else 0):  # each has its own images, as in training
            torch.testing.assert_close(found[seed], student(x[seed])[seed], atol=1e-6, rtol=0)


# Refusals


def refused(match: str, **fields):
    """A student that is refused, with one message, before anything is computed."""
    shape = fields.pop("shape", GREY)
    with pytest.raises(ValueError, match=match) as caught:
        Student(revised.student(**fields), shape, [0])
    assert caught.value.__context__ is None


@pytest.mark.parametrize("method", GRIDS)
def test_grid_larger_than_the_image_is_refused(method):
    match = f"^image size='8x40' is not allowed; allowed: 16x16 or larger for {method} to 256 features"
    refused(match, method=method, qubits=8, shape=(1, 8, 40))
    Student(revised.student(method=method, qubits=8), (1, 16, 16), [0])  # the smallest


@pytest.mark.parametrize("method", GRIDS)
@pytest.mark.parametrize(("encoder", "qubits", "features"), [("qubit", 3, 3), ("angle", 3, 9), ("qubit", 2, 2)])
def test_features_that_are_no_grid_are_refused(method, encoder, qubits, features):
    match = f"^reducer='{method}' is not allowed; allowed: fully_connected or pca for {features} features"
    refused(match, method=method, encoder=encoder, qubits=qubits)


@pytest.mark.parametrize("method", [*GRIDS, "pca", "original"])
def test_dropout_is_refused(method):
    name = revised.METHODS[method][0]
    refused(f"^dropout=0.5 is not allowed; allowed: 0 for the {name} reducer", method=method, dropout=0.5)


def test_more_components_than_an_image_has_values_are_refused():
    match = "^reducer='pca' is not allowed; allowed: one that gives 256 features: an image of 225 values"
    refused(match, method="pca", qubits=8, shape=(1, 15, 15))


def test_more_components_than_training_images_are_refused():
    student = Student(revised.student(method="pca"), GREY, [0])
    with pytest.raises(ValueError, match="^train_per_class='15 images in all' is not allowed; allowed: at least 16"):
        student.fit_reducer(images(15, GREY))
    student.fit_reducer(images(16, GREY))


def test_components_that_were_not_fitted_are_named():
    student = Student(revised.student(method="pca"), GREY, [0])
    with pytest.raises(RuntimeError, match=r"reducer 'pca' has no components yet; call student.fit_reducer"):
        student(images(2, GREY))


@pytest.mark.parametrize("method", ["max_pool", "center_crop", "avg_pool", "original"])
def test_other_reducers_have_nothing_to_fit(method):
    student, again = (Student(revised.student(method=method), GREY, [0]) for _ in range(2))
    student.fit_reducer(torch.full((1, *GREY), math.nan))
    assert all(torch.equal(*pair) for pair in zip(student.parameters(), again.parameters(), strict=True))


def test_the_same_images_reach_every_seed():
    task = dataclasses.replace(revised.student(method="avg_pool"), qubits=2)
    reducer, x = Student(task, GREY, [0, 1, 2]).reducer, images(4, GREY)
    ready = reducer.prepare(x)
    assert ready.shape == (4, 4)
    assert torch.equal(reducer(ready), ready.expand(3, 4, 4))
