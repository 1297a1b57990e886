"""Read-outs: outcome probabilities or shot frequencies (..., 2^Q) -> logits, of which the first C are classes."""

import torch


def sigmoid_complement(outcomes: torch.Tensor) -> torch.Tensor:
    """(..., 2^Q) -> (..., 2^(Q+1)): sigmoid(p) and 1 - sigmoid(p), as in 21 of the authors' 24 student notebooks.

    The logits lie in [0.27, 0.73], so the cross entropy over them cannot fall below 2.5449 for 3 qubits.
    """
    squashed = torch.sigmoid(outcomes)
    return torch.cat([squashed, 1 - squashed], dim=-1)


def softmax(outcomes: torch.Tensor) -> torch.Tensor:
    """(..., 2^Q) -> (..., 2^Q): softmax(p), the head of three FashionMNIST notebooks."""
    return torch.softmax(outcomes, dim=-1)


HEADS = {"sigmoid_complement": sigmoid_complement, "softmax": softmax}
