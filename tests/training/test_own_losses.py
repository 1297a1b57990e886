"""A loss of one's own: trained with, and tried before, so that what is wrong with it is one line."""

import re

import pytest
import torch
from protocols import experiment, teacher_logits, train, weights
from torch.nn import functional

import qkdlib
from qkdlib import parts, training
from qkdlib.experiment import Teacher
from qkdlib.images import datasets
from qkdlib.students import Student
from qkdlib.training import losses


@pytest.fixture(autouse=True)
def no_parts(monkeypatch):
    """Nothing is registered, before and after."""
    monkeypatch.setattr(parts, "_registered", {})
    monkeypatch.setattr(parts, "_latest", {})


def squares(student_logits, labels, teacher_logits):
    """Mean squared difference of logits."""
    difference = student_logits[..., : teacher_logits.shape[-1]] - teacher_logits
    return difference.square().mean((1, 2))


def hinton(student_logits, labels, teacher_logits):
    """The divergence at T = 3 with its factor of 9, by PyTorch, one seed after the other."""
    classes = teacher_logits.shape[-1]
    each = [
        functional.kl_div(
            functional.log_softmax(mine[:, :classes] / 3, -1), functional.softmax(theirs / 3, -1), reduction="batchmean"
        )
        for mine, theirs in zip(student_logits, teacher_logits, strict=True)
    ]
    return 9 * torch.stack(each)


def task_with(code, **fields):
    """A taught experiment with this loss, registered anew."""
    qkdlib.register("loss", "own", code=code)
    return experiment(kd_loss="own", **fields).distilled(Teacher())


def test_hintons_loss_as_ones_own_trains_as_the_built_in_one():
    task = task_with(hinton)
    logits = teacher_logits(task)
    own, (mine,) = train(task, [0], logits)
    built_in, (theirs,) = train(experiment().distilled(Teacher()), [0], logits)
    torch.testing.assert_close(weights(own), weights(built_in), atol=1e-4, rtol=0)
    for name in ("train_loss", "validation_loss", "test_ce", "test_accuracy"):
        assert mine[name] == pytest.approx(theirs[name], abs=1e-3)
    assert mine["train_kl"] == pytest.approx([9 * each for each in theirs["train_kl"]], rel=1e-3)


def test_the_curves_hold_ones_own_term_in_its_weight():
    task = task_with(squares, learning_rate=1e-12, dropout=0.0)
    logits = teacher_logits(task)
    student, (curves,) = train(task, [0], logits)
    images = datasets.splits(task)
    for part, rows in zip(("train", "validation"), images.students_rows(), strict=True):
        with torch.no_grad():
            found = student(getattr(images, part).x)[0, :, :6]
        expected = (found - logits[rows]).square().mean().item()
        assert curves[f"{part}_kl"] == [pytest.approx(expected, rel=1e-4)]
        total = curves[f"{part}_ce"][0] + 0.9 * expected
        assert curves[f"{part}_loss"] == [pytest.approx(total, rel=1e-4)]


def test_a_seed_taught_by_ones_own_loss_is_the_same_alone_and_in_a_stack():
    task = task_with(squares, batch_size=7)
    logits = teacher_logits(task)
    alone, (one,) = train(task, [3], logits)
    stack, results = train(task, range(5), logits)
    assert torch.equal(weights(alone), weights(stack, 3)) and results[3] == one


def test_a_loss_that_does_not_act_is_never_asked():
    def never(*given):
        raise AssertionError("it was asked")

    qkdlib.register("loss", code=never)
    placebo = experiment(kd_loss="never")
    assert train(placebo, [0])[1] == train(experiment(), [0])[1]
    silent = placebo.distilled(Teacher(), kd_weight=0.0)
    training.check_loss(Student(silent, (1, 28, 28), [0]))


def test_a_loss_may_be_one_of_whole_batches():
    """It is asked for as many images as a batch has, in validation, too."""
    asked = []

    def counted(student_logits, labels, teacher_logits):
        asked.append(student_logits.shape[1])
        return squares(student_logits, labels, teacher_logits)

    task = task_with(counted, batch_size=12)
    train(task, [0], teacher_logits(task))
    assert set(asked[-8:]) <= {12, 6} and max(asked) == 12  # 60 and 30 images


WRONG = {
    "scalar": (lambda s, y, t: squares(s, y, t).mean(), r"one number for each of 2 seeds, shape \(2,\), and not \(\)"),
    "per image": (lambda s, y, t: s.mean(-1), r"shape \(2,\), and not \(2, 3\)"),
    "a number": (lambda s, y, t: 0.5, r"shape \(2,\), and not float"),
    "nothing": (lambda s, y, t: None, r"shape \(2,\), and not NoneType"),
    "classes alone": (lambda s, y, t: (s - t).mean((1, 2)), r"shapes \(2, 3, 16\), \(2, 3\), \(2, 3, 6\) it raised"),
    "NaN for zeros": (lambda s, y, t: (s / s.abs().sum((1, 2), keepdim=True)).sum((1, 2)), "that are all 0 it is.*nan"),
    "NaN": (lambda s, y, t: torch.where(s.sum((1, 2)) == 0, s.sum((1, 2)), torch.nan), "that are small it is.*nan"),
    "mixes seeds": (lambda s, y, t: s.mean((1, 2)) + s.square().mean(), "depends on that seed alone; beside another"),
    "wrong arguments": (lambda s, y: s.mean((1, 2)), "it raised TypeError"),
    "no gradient": (lambda s, y, t: t.mean((1, 2)), "a gradient with respect to the student's logits"),
    "detached": (lambda s, y, t: s.detach().mean((1, 2)), "a gradient with respect to the student's logits"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_loss_that_is_none_is_one_line_before_a_training(name, monkeypatch):
    code, message = WRONG[name]
    task = task_with(code)
    monkeypatch.setattr("qkdlib.training.student_training.fit", None)  # it does not come to that
    with pytest.raises(ValueError, match=f"^kd_loss='{re.escape(task.kd_loss)}' .*{message}") as caught:
        train(task, [0], teacher_logits(task))
    assert len(str(caught.value).splitlines()) == 1


def test_it_is_tried_on_batches_as_the_experiment_has_them(workspace):
    def single(student_logits, labels, teacher_logits):
        assert student_logits.shape[1] == 1
        return squares(student_logits, labels, teacher_logits)

    task = task_with(single, batch_size=1)
    assert losses.check_loss(Student(task, (1, 28, 28), [0, 1])) is None
    with pytest.raises(ValueError, match="^kd_loss='own@.*it raised AssertionError"):
        losses.check_loss(Student(task_with(single, batch_size=4), (1, 28, 28), [0, 1]))


def test_it_is_tried_on_a_last_batch_of_one_image_where_there_is_one():
    def spread(student_logits, labels, teacher_logits):
        apart = student_logits - student_logits.mean(1, keepdim=True)
        return (apart.square().sum(1) / torch.tensor(student_logits.shape[1] - 1.0)).mean(1)

    for batch, alone in ((30, False), (59, True), (29, True)):  # of 60 images, and of 30 of validation
        student = Student(task_with(spread, batch_size=batch), (1, 28, 28), [0, 1])
        if alone:
            with pytest.raises(ValueError, match=r"^kd_loss='own@.*of one image.*nan"):
                losses.check_loss(student)
        else:
            losses.check_loss(student)
