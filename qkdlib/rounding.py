"""Arithmetic that rounds the numbers of a seed the same, whatever other seeds are computed beside it."""

import torch

LANE = 16  # numbers that the widest vector units take at once; torch rounds the rest of a tensor differently


def shared_product(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """x (S, ..., K) times a matrix (K, N) that all seeds share, as one product for each seed: a single one of all their
    rows would be rounded by how many rows there are."""
    if x.ndim < 3:
        return x @ matrix
    if x.ndim == 3:
        return torch.bmm(x, matrix.expand(len(x), -1, -1))
    return (x.flatten(1, -2) @ matrix.expand(len(x), -1, -1)).unflatten(1, x.shape[1:-1])
