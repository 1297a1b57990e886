"""The loss of a training's batches: its gradient and the sums of its parts are autograd's of Eq. 2 and 3 as PyTorch has
them, whatever the batches; and sums go on where they were."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from qkdlib.training import steps

WEIGHTS = st.sampled_from([0.0, 0.3, 1.0, 40.0])


def plain(logits: torch.Tensor, labels: torch.Tensor, teacher: torch.Tensor, temperature: float):
    """CE and KL of each image, (S, B), of logits (S, B, L), labels (S, B) and a teacher's logits (S, B, C)."""
    cross_entropy = functional.cross_entropy(logits.movedim(-1, 1), labels, reduction="none")
    log_p = functional.log_softmax(logits[..., : teacher.shape[-1]] / temperature, -1)
    log_q = functional.log_softmax(teacher / temperature, -1)
    return cross_entropy, functional.kl_div(log_p, log_q, reduction="none", log_target=True).sum(-1)


def drawn(images: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Generator]:
    """Labels (N,) and a teacher's logits (N, C)."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (images,), generator=draw)
    return labels, 3 * torch.randn(images, classes, generator=draw, dtype=torch.float64), draw


@settings(max_examples=40, database=None)
@given(
    images=st.integers(1, 9), batch=st.integers(1, 12), seeds=st.integers(1, 3), classes=st.integers(2, 4),
    further=st.integers(0, 5), ce_weight=WEIGHTS, kd_weight=WEIGHTS, temperature=st.sampled_from([0.02, 1.0, 7.0]),
)  # fmt: skip
def test_gradients_and_means_are_those_of_the_formula(
    images, batch, seeds, classes, further, ce_weight, kd_weight, temperature
):
    labels, teacher, draw = drawn(images, classes)
    outputs = classes + further
    loss = steps.Distillation(labels, teacher, outputs, seeds, batch, ce_weight, kd_weight, temperature)
    parts = []
    for epoch in range(2):
        order = torch.stack([torch.randperm(images, generator=draw) for _ in range(seeds)])
        parts.clear()
        for rows in order.split(batch, 1):
            logits = torch.randn(seeds, rows.shape[1], outputs, generator=draw, dtype=torch.float64).requires_grad_()
            each = plain(logits, labels[rows], teacher[rows], temperature)
            total = (ce_weight * each[0] + kd_weight * each[1]).mean(1).sum()
            (expected,) = torch.autograd.grad(total, logits)
            with torch.no_grad():
                torch.testing.assert_close(loss.gradient(logits, rows), expected)
            parts.append(torch.stack(each).detach())
        found = loss.means()
        cross_entropy, divergence = torch.cat(parts, 2).mean(2)
        expected = {"ce": cross_entropy, "kl": divergence, "loss": ce_weight * cross_entropy + kd_weight * divergence}
        for name, values in expected.items():
            torch.testing.assert_close(torch.tensor(found[name]), values.float(), msg=f"{name} of epoch {epoch}")


def test_what_a_loss_keeps_grows_with_the_classes_and_not_with_batch_size_or_outputs():
    labels, teacher, _ = drawn(20, 3)
    loss = steps.Distillation(labels, teacher, 2**17, 2, 10**9, 1.0, 0.5, 2.0)
    kept = sum(each.numel() for name, each in vars(loss).items() if isinstance(each, torch.Tensor) and name != "biases")
    assert kept < 1000


@pytest.mark.parametrize("epochs", [1, 7])
def test_sums_go_on_from_what_was_kept_to_the_same_bits(epochs):
    """Of epochs of 10 steps; sums of 32 bits are added up after every 64 steps, in the middle of the seventh."""
    labels, teacher, draw = drawn(20, 3)
    arguments = labels, teacher.float(), 5, 1, 2, 1.0, 0.5, 2.0
    batches = [(torch.randint(20, (1, 2), generator=draw), torch.randn(1, 2, 5, generator=draw)) for _ in range(160)]

    def means(loss: steps.Distillation, of: list) -> list[dict]:
        found = []
        for first in range(0, len(of), 10):
            for rows, logits in of[first : first + 10]:
                loss.count(logits, rows)
            found.append(loss.means())
        return found

    whole = means(steps.Distillation(*arguments), batches)
    before, after = steps.Distillation(*arguments), steps.Distillation(*arguments)
    begun = means(before, batches[: 10 * epochs])
    after.load_state_dict(before.state_dict())
    assert begun + means(after, batches[10 * epochs :]) == whole


def test_one_seeds_numbers_without_end_leave_the_others_alone():
    labels, teacher, draw = drawn(6, 3)
    logits = torch.randn(3, 6, 5, generator=draw)
    ill = logits.clone()
    ill[1, 2] = torch.tensor([torch.inf, 0, torch.nan, -torch.inf, 1e38])
    rows = torch.arange(6).expand(3, -1)
    found = []
    for given_logits in (logits, ill):
        loss = steps.Distillation(labels, teacher.float(), 5, 3, 6, 1.0, 0.5, 2.0)
        found.append((loss.gradient(given_logits, rows), loss.means()))
        again = loss.gradient(logits, rows), loss.means()  # nothing of it stays
        assert torch.equal(again[0], found[0][0]) and again[1] == found[0][1]
    (gradient, means), (of_ill, means_of_ill) = found
    assert torch.equal(gradient[[0, 2]], of_ill[[0, 2]]) and not of_ill[1].isfinite().all()
    for name, values in means.items():
        assert values[::2] == means_of_ill[name][::2] and not abs(means_of_ill[name][1]) < torch.inf
