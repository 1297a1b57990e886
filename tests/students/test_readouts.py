"""Read-outs: what each head makes of outcomes and expectations, by its formula."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from probabilities import outcome_probabilities
from torch.nn import functional

from qkdlib.circuits import gatelist
from qkdlib.experiment_checks import HEADS
from qkdlib.students import readouts

SEEDS, CLASSES = 2, 6
FIXED_HEADS = sorted({*HEADS} - {"linear"})  # which has weights


def test_softmax_head_sums_to_one_and_keeps_the_order():
    outcomes = torch.rand(3, 8)
    logits = readouts.build("softmax", CLASSES)(outcomes)
    torch.testing.assert_close(logits.sum(-1), torch.ones(3))
    assert torch.equal(logits.argsort(-1), outcomes.argsort(-1))


def test_heads_take_shot_frequencies_in_float64():
    for name in FIXED_HEADS:
        head = readouts.build(name, CLASSES)
        assert head(torch.rand(2, 3, 8, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("qubits", [1, 2, 3, 5])
def test_pauli_z_signs_turn_probabilities_into_expectations(qubits):
    outcomes = torch.distributions.Dirichlet(torch.ones(2**qubits)).sample((4,))
    found = outcomes @ gatelist.pauli_z(qubits)
    for row, wire in np.ndindex(4, qubits):
        digits = [int(f"{outcome:0{qubits}b}"[::-1][wire]) for outcome in range(2**qubits)]
        expected = sum(p if digit == 0 else -p for p, digit in zip(outcomes[row].tolist(), digits, strict=True))
        assert found[row, wire].item() == pytest.approx(expected, abs=1e-6)


def test_linear_head_is_a_linear_layer_of_each_seed():
    generators = [torch.Generator().manual_seed(seed) for seed in range(SEEDS)]
    head, measured = readouts.build("linear", CLASSES, 4, generators), 2 * torch.rand(SEEDS, 5, 4) - 1
    found = head(measured)
    assert found.shape == (SEEDS, 5, CLASSES)
    for seed in range(SEEDS):
        expected = functional.linear(measured[seed], head.weight[seed], head.bias[seed])
        torch.testing.assert_close(found[seed], expected)
    assert not torch.equal(head.weight[0], head.weight[1])


@settings(max_examples=30, database=None)
@given(classes=st.integers(2, 8), rows=st.integers(1, 5), seed=st.integers(0, 1000))
def test_renormalised_head_gives_log_probabilities_of_the_classes(classes, rows, seed):
    outcomes = outcome_probabilities(rows, seed=seed)
    logits = readouts.build("renormalised", classes)(outcomes)
    expected = outcomes[..., :classes] / outcomes[..., :classes].sum(-1, keepdim=True)
    assert logits.shape == (SEEDS, rows, classes)
    torch.testing.assert_close(logits.exp(), expected)
    torch.testing.assert_close(functional.softmax(logits, dim=-1), expected)  # so a teacher is compared with them


def test_gradient_of_the_renormalised_head_passes_gradcheck():
    assert torch.autograd.gradcheck(readouts.build("renormalised", CLASSES), outcome_probabilities(2).requires_grad_())
