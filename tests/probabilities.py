"""Outcome probabilities to test read-outs and losses with."""

import torch


def outcome_probabilities(rows: int, size: int = 8, seed: int = 0, seeds: int = 2) -> torch.Tensor:
    """Probabilities (seeds, rows, size), none of them 0, in float64."""
    draw = torch.rand(seeds, rows, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.01
    return draw / draw.sum(-1, keepdim=True)
