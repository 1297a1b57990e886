"""The loss against PyTorch's own, and against the formula of the published notebooks."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from probabilities import outcome_probabilities
from torch import nn
from torch.nn import functional

from qkdlib.students import readouts
from qkdlib.training.losses import distillation_loss

SEEDS, CLASSES, SIZE = 2, 6, 16


def batch(count: int = 5, seed: int = 0):
    """Student logits (S, B, L), labels (S, B), teacher logits (S, B, C), in float64."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(SEEDS, count, SIZE, generator=draw, dtype=torch.float64)
    labels = torch.randint(0, CLASSES, (SEEDS, count), generator=draw)
    return logits, labels, 4 * torch.randn(SEEDS, count, CLASSES, generator=draw, dtype=torch.float64)


def loss(*arguments, **options):
    return distillation_loss(*arguments, **{"ce_weight": 1.0, "kd_weight": 0.9, "temperature": 3.0, **options})


def pytorch_divergence(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """KL(teacher || student) of one seed by PyTorch, over the first C logits."""
    log_student = functional.log_softmax(student[:, :CLASSES] / temperature, dim=-1)
    return functional.kl_div(log_student, functional.softmax(teacher / temperature, dim=-1), reduction="batchmean")


@settings(max_examples=25, database=None)
@given(
    count=st.integers(1, 9),
    seed=st.integers(0, 1000),
    temperature=st.floats(0.5, 20),
    ce_weight=st.floats(0, 3),
    kd_weight=st.floats(0, 3),
    squared=st.booleans(),
)
def test_loss_is_pytorchs_cross_entropy_and_divergence(count, seed, temperature, ce_weight, kd_weight, squared):
    logits, labels, teacher = batch(count, seed)
    found = loss(
        logits, labels, teacher, ce_weight=ce_weight, kd_weight=kd_weight, temperature=temperature,
        temperature_squared=squared,
    )  # fmt: skip
    for place in range(SEEDS):
        entropy = functional.cross_entropy(logits[place], labels[place])
        divergence = pytorch_divergence(logits[place], teacher[place], temperature)
        factor = kd_weight * temperature**2 if squared else kd_weight
        torch.testing.assert_close(found.cross_entropy[place], entropy)
        torch.testing.assert_close(found.divergence[place], divergence)
        torch.testing.assert_close(found.total[place], ce_weight * entropy + factor * divergence)


def test_temperature_squared_is_a_factor_of_nine_at_three():
    logits, labels, teacher = batch()
    with_factor = loss(logits, labels, teacher, ce_weight=0.0)
    without = loss(logits, labels, teacher, ce_weight=0.0, temperature_squared=False)
    torch.testing.assert_close(with_factor.total, 9 * without.total)
    torch.testing.assert_close(without.total, 0.9 * without.divergence)


def test_published_formula_at_batch_size_one_has_the_effective_weight_8_1():
    logits, labels, teacher = batch(count=1)
    student = logits[..., :CLASSES]
    alpha, temperature = 0.9, 3
    found = loss(logits, labels, teacher)
    for place in range(SEEDS):
        # PyTorch warns that the default reduction divides by the number of classes too; the notebooks multiply it back.
        with pytest.warns(UserWarning, match="batchmean"):
            divergence = nn.KLDivLoss()(
                functional.log_softmax(student[place] / temperature, dim=1),
                functional.softmax(teacher[place] / temperature, dim=1),
            )
        published = divergence * temperature * temperature * CLASSES * alpha
        entropy = functional.cross_entropy(logits[place], labels[place])
        torch.testing.assert_close(found.total[place], entropy + published)
        torch.testing.assert_close(published, 8.1 * pytorch_divergence(logits[place], teacher[place], temperature))


def test_shift_of_the_teachers_logits_changes_nothing():
    logits, labels, teacher = batch()
    shift = torch.tensor([[[-50.0], [0.0], [3.0], [7.5], [100.0]]], dtype=torch.float64)
    torch.testing.assert_close(loss(logits, labels, teacher + shift).total, loss(logits, labels, teacher).total)


def test_student_that_agrees_with_the_teacher_has_no_divergence():
    logits, labels, _ = batch()
    found = loss(logits, labels, logits[..., :CLASSES] + 2.5)
    torch.testing.assert_close(found.divergence, torch.zeros(SEEDS, dtype=torch.float64), atol=1e-12, rtol=0)


def test_placebos_gradient_does_not_depend_on_the_teacher():
    gradients = []
    for seed in (0, 1):
        logits, labels, _ = batch()
        logits.requires_grad_()
        loss(logits, labels, batch(seed=seed)[2], kd_weight=0.0).total.sum().backward()
        gradients.append(logits.grad)
    assert torch.equal(*gradients)
    assert gradients[0].abs().max() > 0.01


def test_distilled_gradient_does_depend_on_the_teacher():
    gradients = []
    for seed in (0, 1):
        logits, labels, _ = batch()
        logits.requires_grad_()
        loss(logits, labels, batch(seed=seed)[2]).total.sum().backward()
        gradients.append(logits.grad)
    assert (gradients[0] - gradients[1]).abs().max() > 0.01


def test_seeds_do_not_mix():
    logits, labels, teacher = batch()
    logits.requires_grad_()
    loss(logits, labels, teacher).total[0].backward()
    assert logits.grad[0].abs().max() > 0
    assert torch.equal(logits.grad[1], torch.zeros_like(logits.grad[1]))


def test_extra_outcomes_count_in_the_cross_entropy_and_not_in_the_divergence():
    logits, labels, teacher = batch()
    changed = logits.clone()
    changed[..., CLASSES:] += 1
    before, after = loss(logits, labels, teacher), loss(changed, labels, teacher)
    assert torch.equal(before.divergence, after.divergence)
    assert (after.cross_entropy > before.cross_entropy).all()


def test_extreme_logits_keep_loss_and_gradient_finite():
    logits, labels, teacher = batch()
    logits = (1e4 * logits).requires_grad_()
    found = loss(logits, labels, 1e4 * teacher)
    found.total.sum().backward()
    assert torch.isfinite(found.total).all() and torch.isfinite(logits.grad).all()


# Of the renormalised read-out


@settings(max_examples=30, database=None)
@given(classes=st.integers(2, 8), rows=st.integers(1, 5), seed=st.integers(0, 1000))
def test_cross_entropy_of_the_renormalised_head_is_equation_2(classes, rows, seed):
    outcomes = outcome_probabilities(rows, seed=seed)
    labels = torch.randint(0, classes, (SEEDS, rows), generator=torch.Generator().manual_seed(seed))
    logits = readouts.build("renormalised", classes)(outcomes)
    found = loss(logits, labels, torch.zeros(SEEDS, rows, classes, dtype=torch.float64), kd_weight=0.0)
    for place in range(SEEDS):
        values = [
            -math.log(outcomes[place, row, label] / outcomes[place, row, :classes].sum())
            for row, label in enumerate(labels[place])
        ]
        assert found.cross_entropy[place].item() == pytest.approx(sum(values) / rows)


@pytest.mark.parametrize("zeros", [[0], [0, 1, 2], [0, 1, 2, 3, 4, 5], [5, 6, 7]])
def test_zero_probabilities_leave_loss_and_gradient_of_the_renormalised_head_finite(zeros):
    outcomes = outcome_probabilities(1).float()
    outcomes[..., zeros] = 0
    outcomes.requires_grad_()
    logits = readouts.build("renormalised", CLASSES)(outcomes)
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(SEEDS, 1))
    loss(logits, torch.zeros(SEEDS, 1, dtype=torch.long), torch.zeros(SEEDS, 1, CLASSES)).total.sum().backward()
    assert torch.isfinite(outcomes.grad).all()
