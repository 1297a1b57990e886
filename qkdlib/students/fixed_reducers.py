"""Reducers without a trained parameter: images (..., C, H, W) -> features (..., F), the same for every seed (v2,
Fig. 11).

Pooling and cropping work on grey images (the mean over channels) and a grid of 2^ceil(Q/2) x 2^floor(Q/2) cells,
row by row: 4x4 for 4 qubits, 16x16 for 8. Their features are `pixels` in [0, 1].
"""

import abc
import math

import torch
from torch import nn
from torch.nn import functional

from qkdlib import checks, torch_settings


class Reducer(nn.Module):
    """What all reducers have: a part that is the same for every seed (`prepare`, computed once per image), and one that
    may be trained (`forward`, on what `prepare` gave).

    One of your own (`register`) is made as (shape (C, H, W), features, generators, dropout), one generator for each of
    S seeds, and its weights have S as their first axis, as those of `students.StackedLinear`. Its
    `forward(prepared, keep)` takes prepared images, (S, B, ...), or (B, ...) where every seed sees the same, and gives
    (S, B, features). If it has `masks`, `keep` is (S, B, masks), 0 or 1 / (1 - dropout); None: nothing is dropped.
    """

    pixels = False  # whether features are pixels in [0, 1]
    masks = 0  # how many numbers decide the dropout of an image
    evaluation_batch = 512  # how many images at once are fastest
    kept = 1  # about how many numbers training keeps for each pixel
    standardised = False  # whether features are to have a standard deviation of 1, as far as the reducer fits them
    leak = 0.0  # slope of a hidden layer's ReLU below 0

    def fit(self, images: torch.Tensor) -> None:
        """Fit what has to be from training images (N, C, H, W): nothing, for most reducers."""

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """What `forward` takes of images (..., C, H, W), the same for every seed: here the images."""
        return images


class FixedReducer(Reducer, abc.ABC):
    """A function of the images alone, so that `prepare` computes it once for each image."""

    name: str
    pixels = True

    def __init__(self, shape: tuple[int, int, int], features: int, generators: list[torch.Generator], dropout: float):
        super().__init__()
        if dropout:
            checks.fail("dropout", dropout, f"0 for the {self.name} reducer, which has nothing to drop")
        self.seeds = len(generators)
        self._check(shape, features)

    @abc.abstractmethod
    def _check(self, shape: tuple[int, int, int], features: int) -> None:
        """Raise `ValueError` unless it gives so many features of such images."""

    @abc.abstractmethod
    def _features(self, images: torch.Tensor) -> torch.Tensor:
        """(N, F) of images (N, C, H, W)."""

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """Features (..., F)."""
        lead = images.shape[:-3]
        return self._features(images.reshape(-1, *images.shape[-3:])).unflatten(0, lead)

    def forward(self, prepared: torch.Tensor, keep: None = None) -> torch.Tensor:
        """Features (S, B, F) of what `prepare` gave, (S, B, F), or (B, F) if every seed sees the same."""
        return prepared if prepared.ndim == 3 else prepared.expand(self.seeds, -1, -1)


class _Grid(FixedReducer):
    """What the reducers on a grid of cells share."""

    def _check(self, shape: tuple[int, int, int], features: int) -> None:
        if (cells := grid(features)) is None:
            checks.fail("reducer", self.name, f"fully_connected or pca for {features} features: {self.name} gives 2^Q, "
                        "4 or more")  # fmt: skip
        if shape[1] < cells[0] or shape[2] < cells[1]:
            allowed = f"{cells[0]}x{cells[1]} or larger for {self.name} to {features} features"
            checks.fail("image size", f"{shape[1]}x{shape[2]}", allowed)
        self.grid = cells

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        return self._cells(images.mean(1, keepdim=True)).flatten(1)

    @abc.abstractmethod
    def _cells(self, grey: torch.Tensor) -> torch.Tensor:
        """(N, 1, rows, columns) of grey images (N, 1, H, W)."""


class AvgPool(_Grid):
    """The mean over each cell of the grid; cells of an image that they do not divide evenly overlap by a pixel."""

    name = "avg_pool"

    def _cells(self, grey: torch.Tensor) -> torch.Tensor:
        return functional.adaptive_avg_pool2d(grey, self.grid)


class MaxPool(_Grid):
    """The maximum over each cell, as of `AvgPool`."""

    name = "max_pool"

    def _cells(self, grey: torch.Tensor) -> torch.Tensor:
        return functional.adaptive_max_pool2d(grey, self.grid)


class CenterCrop(_Grid):
    """The pixels in the middle of the image; of an odd margin the larger half lies below and to the right."""

    name = "center_crop"

    def _cells(self, grey: torch.Tensor) -> torch.Tensor:
        top, left = ((side - cells) // 2 for side, cells in zip(grey.shape[-2:], self.grid, strict=True))
        return grey[..., top : top + self.grid[0], left : left + self.grid[1]]


class PCA(FixedReducer):
    """The first F principal components of all pixels of all channels, fitted on the training images only:
    (x - mean) V^T, and for an encoder of angles divided by their standard deviation."""

    name, pixels = "pca", False
    mean: torch.Tensor | None
    axes: torch.Tensor | None

    def _check(self, shape: tuple[int, int, int], features: int) -> None:
        size = math.prod(shape)
        if features > size:
            allowed = f"one that gives {features} features: an image of {size} values has no more components"
            checks.fail("reducer", self.name, allowed)
        self.components = features
        for name in ("mean", "axes"):
            self.register_buffer(name, None, persistent=False)

    def fit(self, images: torch.Tensor) -> None:
        if len(images) < self.components:
            allowed = f"at least {self.components} images for as many components of pca"
            checks.fail("train_per_class", f"{len(images)} images in all", allowed)
        with torch_settings.one_thread():  # more would round by their number
            mean, axes, variances = components(images.flatten(1).cpu().double(), self.components)
        if self.standardised:
            spread = variances.sqrt()[:, None]
            # A component without variance is rounding; it becomes 0.
            axes = torch.where(spread > 1e-6 * spread.max(), axes / spread.clamp_min(1e-12), 0.0)
        self.mean, self.axes = (each.float().to(images.device) for each in (mean, axes))

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        if self.mean is None or self.axes is None:
            raise RuntimeError("reducer 'pca' has no components yet; call student.fit_reducer(training images) first")
        return (images.flatten(1) - self.mean) @ self.axes.T


def components(x: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean (D,), the first `count` principal axes (count, D) and the variances along them (count,) of rows x (N, D).
    The same axes, with the same signs, as scikit-learn's `PCA`; that computes with OpenBLAS, which rounds by the
    processor, and torch with MKL, which in the portable mode does not."""
    mean = x.mean(0)
    centred, wide = x - mean, x.shape[1] > x.shape[0]
    variances, vectors = torch.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)  # ascending
    variances, vectors = variances.flip(0)[:count].clamp_min(0), vectors.flip(1)[:, :count]
    axes = (centred.T @ vectors if wide else vectors).T
    axes = axes / torch.linalg.vector_norm(axes, dim=1, keepdim=True).clamp_min(1e-300)
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    return mean, torch.where(largest < 0, -axes, axes), variances / (len(x) - 1)


def grid(features: int) -> tuple[int, int] | None:
    """Rows and columns of the grid of 2^Q cells, 2^ceil(Q/2) and 2^floor(Q/2); None if `features` is no such number."""
    qubits = features.bit_length() - 1
    return (2 ** -(-qubits // 2), 2 ** (qubits // 2)) if features == 2**qubits and qubits > 1 else None
