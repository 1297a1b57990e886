"""The training of students: seeds side by side, bit-equal repeats, arms that differ in the teacher alone."""

import dataclasses
import math

import pytest
import torch
from protocols import DESCRIBED, PROTOCOLS, REVISED, experiment, teacher_logits, train, weights
from torch.nn import functional

from qkdlib import training
from qkdlib.experiment import Experiment, Teacher
from qkdlib.images import datasets
from qkdlib.students import Student
from qkdlib.students.chain import Chain
from qkdlib.training import student_training

GRADIENTS = ("autograd", "parameter_shift", "published_shift")
LEARNS_NOTHING = 1e-12  # a learning rate that leaves the weights as they are, to 1e-9


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("distilled", [False, True])
def test_seed_3_is_the_same_alone_and_in_a_stack(protocol, distilled):
    # 60 steps, to the last bit. (With torch's own Adam and sigmoid the weights differ by 1e-7.)
    task, logits = experiment(batch_size=1, **PROTOCOLS[protocol]), None
    if distilled:
        task = task.distilled(Teacher())
        logits = teacher_logits(task)
    alone, (one,) = train(task, [3], logits)
    for seeds in ([3, 9], range(20)):
        stack, results = train(task, seeds, logits)
        place = list(seeds).index(3)
        many = results[place]
        assert torch.equal(weights(alone), weights(stack, place))
        assert many == one
        other = (place + 1) % len(stack.seeds)
        assert results[other]["train_loss"] != pytest.approx(many["train_loss"], abs=1e-4)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_runs_with_one_seed_are_bit_equal_and_two_seeds_differ(protocol):
    task = experiment(epochs=2, **PROTOCOLS[protocol])
    (first, first_results), (second, second_results) = train(task, [0, 1]), train(task, [0, 1])
    for place in (0, 1):
        assert torch.equal(weights(first, place), weights(second, place))
    assert first_results == second_results
    assert not torch.equal(weights(first, 0), weights(first, 1))
    assert first_results[0]["train_loss"] != first_results[1]["train_loss"]


def test_training_does_not_depend_on_the_global_random_state():
    task = experiment()
    torch.manual_seed(1)
    first, _ = train(task, [0])
    torch.manual_seed(2)
    second, _ = train(task, [0])
    assert torch.equal(weights(first), weights(second))


def test_placebo_and_distilled_arm_start_and_go_on_alike():
    placebo = experiment()
    distilled = placebo.distilled(Teacher(), kd_weight=1e-9)
    direct, results = train(placebo, [0, 1])
    _, taught = train(distilled, [0, 1], teacher_logits(placebo))
    for one, other in zip(results, taught, strict=True):
        assert one["train_ce"] == pytest.approx(other["train_ce"], abs=1e-5)
        assert one["test_ce"] == pytest.approx(other["test_ce"], abs=1e-4)
        assert one["train_kl"] != pytest.approx(other["train_kl"], abs=1e-3)  # the teachers do differ
    strong, _ = train(placebo.distilled(Teacher()), [0, 1], teacher_logits(placebo))
    assert not torch.allclose(weights(strong), weights(direct), atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7, 60, 100])
def test_every_batch_size_counts_each_image_once(batch_size):
    # With weights that stay as they are, the mean over an epoch's batches is the mean over the 60 images.
    task = experiment(batch_size=batch_size, learning_rate=LEARNS_NOTHING, dropout=0.0)
    student, results = train(task, [0, 1])
    images = datasets.splits(task).train
    with torch.no_grad():
        logits = student(images.x)
    for place in (0, 1):
        expected = functional.cross_entropy(logits[place], images.y).item()
        assert results[place]["train_ce"] == [pytest.approx(expected, abs=1e-5)]


@pytest.mark.parametrize("selection", ["first", "random"])
def test_each_image_is_taught_by_its_own_teacher_logits(selection):
    task = experiment(learning_rate=LEARNS_NOTHING, dropout=0.0, selection=selection, classes=(7, 2, 5))
    task = task.distilled(Teacher())
    parts, logits = datasets.splits(task), teacher_logits(task)
    student, (results,) = train(task, [0], logits)
    for images, part in ((parts.train, "train"), (parts.validation, "validation")):
        # Found by its pixels, which shares nothing with the library's book-keeping.
        same = (images.x.flatten(1)[:, None] == parts.all_train.x.flatten(1)[None]).all(-1)
        assert (same.sum(1) == 1).all()
        taught = functional.softmax(logits[same.int().argmax(1)] / 3, dim=-1)
        with torch.no_grad():
            log_student = functional.log_softmax(student(images.x)[0, :, :3] / 3, dim=-1)
        expected = functional.kl_div(log_student, taught, reduction="batchmean").item()
        assert results[f"{part}_kl"] == [pytest.approx(expected, abs=1e-5)]


def test_evaluation_is_pytorchs_cross_entropy_and_accuracy_without_dropout():
    task = experiment(test_per_class=13)  # 78 images: more than one batch of evaluation, and a rest
    student, results = train(task, [0, 1])
    images = datasets.splits(task).test
    assert len(images) > student.reducer.evaluation_batch
    with torch.no_grad():
        logits = student(images.x)
    for place in (0, 1):
        expected = functional.cross_entropy(logits[place], images.y).item()
        assert results[place]["test_ce"] == [pytest.approx(expected, abs=1e-5)]
        right = (logits[place].argmax(1) == images.y).double().mean().item()
        assert results[place]["test_accuracy"] == [pytest.approx(right, abs=1e-6)]


def test_evaluation_keeps_no_graph_whoever_asks_for_it():
    task = experiment(**REVISED)
    student, results = train(task, [0, 1])
    images = datasets.splits(task).test
    seen = []
    student.reducer.register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    assert torch.is_grad_enabled()
    prepared = dataclasses.replace(images, x=student.reducer.prepare(images.x))
    found = training.evaluate(student, prepared)
    assert seen == [False]
    assert found.accuracy == [seed["test_accuracy"][-1] for seed in results]


@pytest.mark.parametrize("protocol", ["published shift", "revised", "revised, pca"])
def test_a_training_that_has_ended_keeps_nothing_of_its_batches(protocol):
    """Its learning rates have one each, and `memory_needed` counts one."""
    task = experiment(**PROTOCOLS[protocol], batch_size=30)
    parts = datasets.splits(task)
    zeros = torch.zeros(len(parts.all_train), len(task.classes))
    ended = student_training.StudentTraining(task, 0.001, parts, zeros, [0, 1], "cpu")
    ended.run()
    new = Chain(ended.student)
    for part in ("reducer", "layer", "head"):
        assert vars(getattr(ended.chain, part)).keys() == vars(getattr(new, part)).keys()


def test_dropout_keeps_its_share_and_the_expectation():
    task = experiment(dropout=0.25)
    student = Student(task, (1, 28, 28), [0, 1])
    draws = [[torch.Generator().manual_seed(seed) for seed in (0, 1)] for _ in range(2)]
    order, keep = student_training._draw_epoch(student, 500, *draws)
    assert keep.shape == (2, 500, 70)
    assert keep.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert keep.mean().item() == pytest.approx(1, abs=0.01)
    assert order.sort(dim=1).values.tolist() == [list(range(500))] * 2
    assert not torch.equal(order[0], order[1])


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_student_learns_with_every_gradient(gradient):
    check_that_it_learns(experiment(gradient=gradient, epochs=4, batch_size=2))


@pytest.mark.parametrize("gradient", ["parameter_shift", "published_shift"])
def test_student_learns_from_samples(gradient):
    check_that_it_learns(experiment(gradient=gradient, sampler="multinomial", shots=1000, epochs=4, batch_size=2))


def test_described_student_learns():
    check_that_it_learns(experiment(**DESCRIBED, epochs=4, batch_size=2))


@pytest.mark.parametrize(("encoder", "entangler"), [("amplitude", "ring_cnot"), ("angle", "none"), ("qubit", "none")])
def test_revised_student_learns(encoder, entangler):
    check_that_it_learns(experiment(**{**REVISED, "encoder": encoder, "entangler": entangler}, epochs=4, batch_size=2))


def check_that_it_learns(task: Experiment):
    _, results = train(task, range(6))  # together, because at batch 1 a single seed may stay where it is
    losses = torch.tensor([seed["train_loss"] for seed in results]).mean(0)
    assert losses[-1] < losses[0] - 0.008
    assert sum(seed["test_accuracy"][-1] for seed in results) / 6 > 1.2 / 6


def test_parameter_shift_trains_as_autograd_does_and_the_published_shift_otherwise():
    trained = {name: train(experiment(gradient=name), [0]) for name in GRADIENTS}
    ce = {name: results[0]["validation_ce"][0] for name, (_, results) in trained.items()}
    assert ce["parameter_shift"] == pytest.approx(ce["autograd"], abs=1e-4)
    # Adam takes out a common factor of the gradient but for its epsilon, so that the weights differ a little.
    assert not torch.equal(weights(trained["published_shift"][0]), weights(trained["autograd"][0]))


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_pixels_that_are_no_numbers_are_refused_before_training(monkeypatch, part, value):
    task = experiment()
    parts = datasets.splits(task)
    images = getattr(parts, part)
    x = images.x.clone()
    x[3, 0, 14, 14] = value
    monkeypatch.setattr(student_training, "fit", lambda *_arguments, **_options: pytest.fail("training began"))
    broken = dataclasses.replace(parts, **{part: dataclasses.replace(images, x=x)})
    with pytest.raises(ValueError, match=f"^{part} images='NaN or infinity' is not allowed; allowed: finite pixels"):
        training.train_students(task, broken, None, [0])
