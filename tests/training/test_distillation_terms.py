"""Decoupled and relational distillation: the papers' formulas in loops, finite differences, and seeds by themselves."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from protocols import experiment, teacher_logits, train, weights
from scipy import special
from scipy.spatial import distance

from qkdlib.experiment import Teacher
from qkdlib.images import datasets
from qkdlib.training import losses

TERMS = {
    "kl": lambda *given: losses.kl(*given, temperature=2.5),
    "dkd": lambda *given: losses.dkd(*given, temperature=2.5, beta=3.0),
    "rkd": losses.rkd,
}


def batch(seeds: int, count: int, classes: int, more: int = 2, seed: int = 0, dtype=torch.float64):
    """Student logits (S, B, C + more), labels (S, B), teacher logits (S, B, C)."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(seeds, count, classes + more, generator=draw, dtype=dtype)
    labels = torch.randint(0, classes, (seeds, count), generator=draw)
    return logits, labels, 3 * torch.randn(seeds, count, classes, generator=draw, dtype=dtype)


def decoupled(student, label: int, teacher, temperature: float, beta: float) -> float:
    """TCKD + beta NCKD of one image (Zhao et al., Eq. 3 to 7)."""
    p, q = (special.softmax(np.asarray(each) / temperature) for each in (teacher, student))
    others = [i for i in range(len(p)) if i != label]
    tckd = p[label] * math.log(p[label] / q[label])
    tckd += sum(p[others]) * math.log(sum(p[others]) / sum(q[others]))
    hat_p, hat_q = (each[others] / sum(each[others]) for each in (p, q))
    return tckd + beta * sum(a * math.log(a / b) for a, b in zip(hat_p, hat_q, strict=True))


def relational(student, teacher) -> float:
    """L_D + 2 L_A of one seed (Park et al., Eq. 6 to 10), over tuples of different images."""
    student, teacher, total = np.asarray(student), np.asarray(teacher), 0.0
    if len(student) > 1:
        mine, theirs = (distance.pdist(each) / distance.pdist(each).mean() for each in (student, teacher))
        total += special.huber(1.0, theirs - mine).mean()
    triplets = list(itertools.permutations(range(len(student)), 3))
    if triplets:
        cosines = [
            [1 - distance.cosine(each[i] - each[j], each[k] - each[j]) for i, j, k in triplets]
            for each in (student, teacher)
        ]
        total += 2 * special.huber(1.0, np.subtract(*cosines)).mean()
    return total


@settings(max_examples=30, database=None)
@given(
    count=st.integers(1, 6), classes=st.integers(2, 7), seed=st.integers(0, 1000), temperature=st.floats(0.5, 10),
    beta=st.floats(0, 10),
)  # fmt: skip
def test_decoupled_distillation_is_its_formula(count, classes, seed, temperature, beta):
    logits, labels, teacher = batch(2, count, classes, seed=seed)
    found = losses.dkd(logits, labels, teacher, temperature, beta)
    for place in (0, 1):
        each = [
            decoupled(logits[place, row, :classes], int(labels[place, row]), teacher[place, row], temperature, beta)
            for row in range(count)
        ]
        assert found[place].item() == pytest.approx(np.mean(each), rel=1e-9, abs=1e-12)


@settings(max_examples=20, database=None)
@given(classes=st.integers(2, 7), seed=st.integers(0, 1000), temperature=st.floats(0.5, 10))
def test_decoupled_distillation_with_the_teachers_doubt_as_its_weight_is_hintons(classes, seed, temperature):
    logits, labels, teacher = batch(1, 1, classes, seed=seed)
    doubt = 1 - special.softmax(teacher[0, 0].numpy() / temperature)[labels.item()]
    found = losses.dkd(logits, labels, teacher, temperature, float(doubt))
    assert found.item() == pytest.approx(losses.kl(logits, labels, teacher, temperature).item(), abs=1e-9)


@settings(max_examples=30, database=None)
@given(count=st.integers(1, 7), classes=st.integers(2, 7), seed=st.integers(0, 1000))
def test_relational_distillation_is_its_formula(count, classes, seed):
    logits, labels, teacher = batch(2, count, classes, seed=seed)
    found = losses.rkd(logits, labels, teacher)
    for place in (0, 1):
        expected = relational(logits[place, :, :classes], teacher[place])
        assert found[place].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize(("count", "classes"), [(1, 3), (2, 2), (4, 3), (5, 6)])
def test_gradients_are_finite_differences(name, count, classes):
    logits, labels, teacher = batch(2, count, classes)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda student: TERMS[name](student, labels, teacher), logits)


@pytest.mark.parametrize("name", TERMS)
def test_a_student_that_agrees_with_its_teacher_has_nothing_to_learn(name):
    logits, labels, _ = batch(2, 5, 4)
    teacher = 3 * logits[..., :4] if name == "rkd" else logits[..., :4]  # relations know no scale
    torch.testing.assert_close(TERMS[name](logits, labels, teacher), torch.zeros(2).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("factor", [0.0, 1e-6, 1e4])
def test_equal_and_extreme_logits_keep_terms_and_gradients_finite(name, factor):
    logits, labels, teacher = batch(2, 4, 3, dtype=torch.float32)
    logits[:, 1] = logits[:, 0]  # two images that the student does not tell apart
    logits, teacher = (factor * logits).requires_grad_(), factor * teacher
    found = TERMS[name](logits, labels, teacher)
    found.sum().backward()
    assert found.shape == (2,) and found.isfinite().all() and logits.grad.isfinite().all()
    assert not logits.grad[..., 3:].any()  # outcomes that are no class


def test_images_that_a_student_does_not_tell_apart_have_no_angle_at_themselves():
    """A triplet of which two points lie in one place has a cosine of 0 where these two are a side."""
    logits, labels, teacher = batch(1, 3, 2, more=0)
    logits[0, 1] = logits[0, 0]
    cosines = {(0, 1, 2): 0.0, (1, 0, 2): 0.0, (2, 0, 1): 1.0}
    points = teacher[0].numpy()
    angles = [
        special.huber(1.0, cosine - (1 - distance.cosine(points[i] - points[j], points[k] - points[j])))
        for (j, i, k), cosine in cosines.items()
    ]
    mine, theirs = (distance.pdist(each[0]) / distance.pdist(each[0]).mean() for each in (logits, teacher))
    expected = special.huber(1.0, mine - theirs).mean() + 2 * np.mean(angles)
    assert losses.rkd(logits, labels, teacher).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", TERMS)
def test_each_seed_is_the_same_to_the_bit_alone_and_beside_others(name, one_thread):
    for seeds, count, classes in itertools.product((2, 3, 20), (1, 2, 3, 7, 16, 31), (2, 3, 6, 10)):
        logits, labels, teacher = batch(seeds, count, classes, more=6, dtype=torch.float32)
        together = logits.clone().requires_grad_()
        found = TERMS[name](together, labels, teacher)
        found.sum().backward()
        for seed in (0, seeds - 1):
            own = slice(seed, seed + 1)
            alone = logits[own].clone().requires_grad_()
            one = TERMS[name](alone, labels[own], teacher[own])
            one.sum().backward()
            assert torch.equal(one[0], found[seed]) and torch.equal(alone.grad[0], together.grad[seed])


# In a training


@pytest.mark.parametrize("kd_loss", ["dkd", "rkd"])
@pytest.mark.parametrize("batch_size", [4, 7])  # of 60 images; one of the last batches is smaller
def test_a_taught_seed_is_the_same_alone_and_in_a_stack(kd_loss, batch_size):
    task = experiment(batch_size=batch_size, kd_loss=kd_loss).distilled(Teacher())
    logits = teacher_logits(task)
    alone, (one,) = train(task, [3], logits)
    stack, results = train(task, range(7), logits)
    assert torch.equal(weights(alone), weights(stack, 3)) and results[3] == one


def test_the_records_curve_is_the_distillation_term_whatever_its_kind():
    fields = {"learning_rate": 1e-12, "dropout": 0.0, "train_per_class": 2, "batch_size": 12, "dkd_beta": 2.0}
    tasks = {kd_loss: experiment(kd_loss=kd_loss, **fields).distilled(Teacher()) for kd_loss in ("kl", "dkd", "rkd")}
    images, logits = datasets.splits(tasks["kl"]), teacher_logits(tasks["kl"])
    (rows, _), labels = images.students_rows(), images.train.y
    curves = {}
    for kd_loss, task in tasks.items():
        student, (curves[kd_loss],) = train(task, [0], logits)
        with torch.no_grad():
            mine, theirs = student(images.train.x)[0, :, :6].double(), logits[rows].double()
        if kd_loss == "rkd":
            expected, factor = relational(mine, theirs), 0.9
        else:
            betas = 1 - torch.softmax(theirs / 3, -1).gather(1, labels[:, None]) if kd_loss == "kl" else 2.0
            betas = torch.as_tensor(betas).expand(len(labels), 1).flatten().tolist()
            each = zip(mine, labels.tolist(), theirs, betas, strict=True)
            expected, factor = np.mean([decoupled(a, b, c, 3.0, beta) for a, b, c, beta in each]), 0.9 * 9
        assert curves[kd_loss]["train_kl"] == [pytest.approx(expected, rel=1e-4)]
        whole = curves[kd_loss]["train_ce"][0] + factor * expected
        assert curves[kd_loss]["train_loss"] == [pytest.approx(whole, rel=1e-4)]


def test_nothing_is_distilled_without_a_loss_or_a_weight():
    base = experiment(batch_size=4)
    logits = teacher_logits(base)
    silent, (one,) = train(base.distilled(Teacher(), kd_weight=0.0), [0], logits)
    none, (other,) = train(experiment(batch_size=4, kd_loss="none", temperature=7.0).distilled(Teacher()), [0], logits)
    assert torch.equal(weights(silent), weights(none)) and one == other
    plain, _ = train(base, [0])
    assert torch.equal(weights(plain), weights(none))


def test_a_placebo_has_the_same_numbers_whatever_it_says_of_the_distillation():
    _, plain = train(experiment(), [0])
    others = ({"temperature": 7.0}, {"kd_loss": "rkd"}, {"kd_loss": "dkd", "dkd_beta": 1.0}, {"kd_loss": "none"})
    for fields in others:
        assert train(experiment(**fields), [0])[1] == plain


def test_a_batch_of_one_image_has_no_relation():
    with pytest.raises(ValueError, match="^batch_size=1 .*2 or more for kd_loss rkd"):
        experiment(batch_size=1, kd_loss="rkd")


def test_a_batch_whose_triplets_do_not_fit_says_so_before_a_training(monkeypatch):
    task = experiment(batch_size=60, kd_loss="rkd", seeds=2).distilled(Teacher())
    monkeypatch.setattr("qkdlib.checks.available_memory", lambda: 1e7)
    with pytest.raises(ValueError, match="^batch_size=60 .*kd_loss rkd of all triplets"):
        train(task, [0, 1], teacher_logits(task))
