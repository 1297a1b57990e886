"""The reducer `cnn` as a link of a training's chain, with its gradient.

A convolution is a product of weights (out, k) and image patches (k, N), so its gradients are two products more: by the
weights upstream patches^T, by the patches weights^T upstream, and an image's pixel gets the sum over the patches that
it is in. The largest of a 2x2 cell takes the cell's gradient if it is above 0; of equal ones the first, as in PyTorch.
"""

import torch
from torch.nn import functional

from qkdlib.students.reducers import CNN, CONV2
from qkdlib.students.stacked import Linear, StackedConv2d, by_places, cells, max_relu, windows


class Convolutional:
    """The link (`chain`) from images (S, B, C, H, W) to features (S, B, F)."""

    def __init__(self, reducer: CNN):
        self.reducer = reducer
        self.hidden, self.out = Linear(reducer.hidden, needed=True), Linear(reducer.out, needed=True)

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        reducer = self.reducer
        self.patches1, shape = reducer.conv1.blocks(x.transpose(1, 2))
        self.products1 = reducer.conv1.product(self.patches1).unflatten(2, (4, *shape))
        self.best1 = x = max_relu(self.products1.unbind(2))  # (S, 10, B, 12, 12)
        self.patches2 = windows(x, reducer.conv2.size)
        sides = [side - reducer.conv2.size + 1 for side in x.shape[-2:]]
        self.products2 = reducer.conv2.product(self.patches2).unflatten(2, (x.shape[2], *sides))
        self.best2 = x = max_relu(cells(self.products2))  # (S, 20, B, 4, 4)
        self.channels = self.units = None
        if keep is not None:
            self.channels, self.units = keep[..., :CONV2].transpose(1, 2)[..., None, None], keep[..., CONV2:]
            x = x * self.channels
        self.shape = x.transpose(1, 2).shape
        x = self.hidden.forward(x.transpose(1, 2).flatten(2))  # (S, B, 50)
        self.slopes = (x > 0).to(x.dtype)
        if reducer.leak:
            self.slopes = self.slopes + reducer.leak * (1 - self.slopes)
        if self.units is not None:
            self.slopes = self.slopes * self.units
        return self.out.forward(x * self.slopes)

    def backward(self, upstream: torch.Tensor) -> None:
        reducer = self.reducer
        by_units = self.out.backward(upstream)
        assert by_units is not None
        by_pooled = self.hidden.backward(by_units * self.slopes)
        assert by_pooled is not None
        g = by_pooled.view(self.shape).transpose(1, 2)
        if self.channels is not None:
            g = g * self.channels
        by_products = torch.zeros_like(self.products2)  # an odd row or column is in no cell
        by_places(g, cells(self.products2), self.best2, cells(by_products))
        _weights(reducer.conv2, by_products.flatten(2), self.patches2)
        columns = torch.bmm(reducer.conv2.weight.flatten(2).transpose(1, 2), by_products.flatten(2))  # (S, in k k, N)
        g = _images(columns, self.best1.shape, reducer.conv2.size)
        by_products = torch.empty_like(self.products1)
        by_places(g, self.products1.unbind(2), self.best1, by_products.unbind(2))
        _weights(reducer.conv1, by_products.flatten(2), self.patches1)


def _weights(layer: StackedConv2d, products: torch.Tensor, patches: torch.Tensor) -> None:
    """Write the gradients of a convolution's parameters, from that by its products (S, out, N)."""
    assert layer.weight.grad is not None and layer.bias.grad is not None
    patches = patches.expand(len(products), -1, -1)
    torch.bmm(products, patches.transpose(1, 2), out=layer.weight.grad.flatten(2))
    torch.sum(products, 2, out=layer.bias.grad)


def _images(columns: torch.Tensor, shape: torch.Size, size: int) -> torch.Tensor:
    """Each pixel's sum over the patches that it is in: (S, in k k, B H' W') -> `shape` (S, in, B, H, W)."""
    seeds, channels, batch, height, width = shape
    of_images = columns.view(seeds, columns.shape[1], batch, -1).transpose(1, 2)  # (S, B, in k k, H' W')
    images = functional.fold(of_images.flatten(0, 1), (height, width), size)  # (S B, in, H, W)
    return images.view(seeds, batch, channels, height, width).transpose(1, 2)
