"""Execution on Aer: accuracies of executed students, and students of every kind, whose executed circuits have the
outcomes that they train with."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from intervals import near_interval
from qiskit.quantum_info import Statevector
from scipy import stats

from qkdlib import backends, circuits, execution
from qkdlib.experiment import Experiment
from qkdlib.images import Images
from qkdlib.students import Student, classified_right
from qkdlib.study.v2 import revised

SHOTS = 20_000


def test_executed_accuracy_of_students_whose_outcome_is_certain():
    student = Student(Experiment(), (1, 28, 28), [0, 5])
    with torch.no_grad():  # seed 0 always says outcome 1, seed 5 outcome 4: theta = pi tanh(f) = +-pi/2
        student.reducer.out.weight.zero_()
        bits = torch.tensor([[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0]])
        student.reducer.out.bias.copy_(math.atanh(0.5) * bits)
    labels = torch.tensor([1, 1, 1, 4, 0])
    images = Images(torch.rand(5, 1, 28, 28), labels, torch.arange(5))
    assert execution.execute(student, images, shots=20).accuracies == pytest.approx({0: 3 / 5, 5: 1 / 5})


def test_executed_accuracy_approaches_the_exact_one():
    student = Student(Experiment(), (1, 28, 28), [0, 1])
    images = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        student.reducer.out.weight.mul_(20)  # clear-cut outcomes
        probabilities = student.probabilities(images)
    chosen = probabilities[0].argmax(-1)
    executed = execution.execute(student, Images(images, chosen, torch.arange(40)), shots=5000).accuracies
    assert executed[0] >= 0.9
    assert executed[1] == pytest.approx((probabilities[1].argmax(-1) == chosen).double().mean().item(), abs=0.1)


def certain_student(seeds: list[int]) -> Student:
    """Students that always say outcome 1."""
    student = Student(Experiment(), (1, 28, 28), seeds)
    with torch.no_grad():
        student.reducer.out.weight.zero_()
        student.reducer.out.bias.copy_(math.atanh(0.5) * torch.tensor([1.0, -1.0, -1.0]))
    return student


@pytest.mark.parametrize(("seeds", "executed"), [(None, [0, 5, 9]), (3, [0, 5, 9]), (1, [0])])
def test_only_the_first_seeds_are_executed(seeds, executed):
    images = Images(torch.rand(5, 1, 28, 28), torch.tensor([1, 1, 1, 4, 0]), torch.arange(5))
    found = execution.execute(certain_student([0, 5, 9]), images, shots=20, seeds=seeds)
    assert found.accuracies == pytest.approx(dict.fromkeys(executed, 0.6))


@pytest.mark.parametrize("seeds", [0, 4, 1.0])
def test_more_seeds_than_there_are_is_refused(seeds):
    images = Images(torch.rand(1, 1, 28, 28), torch.tensor([1]), torch.arange(1))
    with pytest.raises(ValueError, match="^seeds=.*from 1 to 3"):
        execution.execute(certain_student([0, 5, 9]), images, shots=20, seeds=seeds)


def test_what_is_no_student_and_images_without_labels_are_refused():
    pixels = torch.rand(1, 1, 28, 28)
    with pytest.raises(ValueError, match="^images=.*with their labels"):
        execution.execute(certain_student([0]), pixels)
    with pytest.raises(ValueError, match="^student=.*a trained qkdlib.Student"):
        execution.execute(torch.nn.Identity(), Images(pixels, torch.tensor([1]), torch.arange(1)))


def test_seeds_that_diverged_are_left_out_with_a_warning_and_the_others_executed():
    images = Images(torch.rand(5, 1, 28, 28), torch.tensor([1, 1, 1, 4, 0]), torch.arange(5))
    model = certain_student([0, 5, 9])
    with torch.no_grad():
        model.reducer.out.bias[1, 0] = torch.nan
    with pytest.warns(UserWarning, match=r"^seeds \[5\] of .* diverged, and are not executed$"):
        found = execution.execute(model, images, shots=20)
    assert found.accuracies == pytest.approx({0: 0.6, 9: 0.6}) and found.jobs == 2


def test_each_seed_is_told_as_soon_as_it_is_there():
    images, told = Images(torch.rand(5, 1, 28, 28), torch.tensor([1, 1, 1, 4, 0]), torch.arange(5)), []
    found = execution.execute(certain_student([0, 5, 9]), images, shots=20, done=lambda *each: told.append(each))
    assert told == list(found.accuracies.items())


# What it says of itself


def said(accuracies: dict[int, float]) -> str:
    facts = backends.Facts("a <backend>", "none", 3, 6, 0)
    return execution.Executed(accuracies, facts, 5000, 900, 40, 12.34)


def test_an_execution_says_its_mean_in_percent_with_an_interval():
    values = [0.5, 0.6, 0.7, 0.9]
    found = said(dict(enumerate(values)))
    how = "right on a <backend> (4 seeds, 5,000 shots, 900 images, 40 jobs, 12.3 s; depth 3 with 0 two-qubit gates)"
    assert str(found) == f"67.50 % [{found.summary.low:.2f}, {found.summary.high:.2f}] {how}"
    assert found._repr_html_() == f"<p>{str(found).replace('<', '&lt;').replace('>', '&gt;')}</p>"
    assert found.summary.mean == pytest.approx(67.5)
    assert (found.summary.low, found.summary.high) == near_interval(100 * np.array(values))


def test_an_execution_of_one_seed_has_no_interval_and_of_none_no_mean():
    assert str(said({3: 0.25})).startswith("25.00 % right on a <backend> (1 seed, 5,000 shots")
    assert str(said({})).startswith("no seed was executed on a <backend> (5,000 shots")


# Students of every kind

IMAGES = {"dataset": "digits", "classes": (0, 1, 2)}
DESCRIBED = IMAGES | {"reducer": "fully_connected", "encoder": "amplitude_tanh", "head": "renormalised", "dropout": 0}
RINGS = {"none": 1, "ring_cnot": 1, "ring_cz": 2}  # and layers
KINDS = {
    "published": functools.partial(Experiment, **IMAGES),
    "described": functools.partial(Experiment, **DESCRIBED),
    "described ring_cz": functools.partial(Experiment, **DESCRIBED, entangler="ring_cz"),
}
for method, (ring, layers) in itertools.product(("original", "angle", "qubit"), RINGS.items()):
    fields = {"method": method, "entangler": ring, "layers": layers}
    KINDS[f"{method} {ring}"] = functools.partial(revised.student, **IMAGES, **fields)


def student(kind: str, qubits: int) -> tuple[Student, torch.Tensor]:
    """A random student of two seeds, and images for it."""
    x = torch.rand(30, 1, 16, 16, generator=torch.Generator().manual_seed(qubits))
    return Student(KINDS[kind](qubits=qubits), (1, 16, 16), [0, 5]).eval(), x


def p_value(frequencies: np.ndarray, probabilities: np.ndarray) -> float:
    """Of the chi-square test, outcomes that are hardly expected being counted with the likeliest one."""
    often, most = SHOTS * probabilities > 5, probabilities.argmax()
    both = [SHOTS * frequencies, SHOTS * probabilities.astype(float)]
    for counts in both:
        counts[most] = SHOTS - counts[often].sum() + counts[most]
    return np.nan_to_num(stats.chisquare(*(counts[often] for counts in both)).pvalue, nan=1.0)  # one outcome alone


@pytest.mark.parametrize("qubits", [2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_executed_circuit_has_the_students_outcomes(kind, qubits):
    model, x = student(kind, qubits)
    x = x[:3]
    angles, expected, logits = model.angles(x).double().numpy(), model.probabilities(x).numpy(), model(x)
    assert angles.shape == (2, 3, model.executed.angles)
    assert np.abs(expected[0] - expected[1]).max() > 0.02 and np.abs(expected[:, 0] - expected[:, 1]).max() > 0.01
    quantum = circuits.to_qiskit(model.executed, measure=False)
    for place in (0, 1):
        exact = np.stack([Statevector(quantum.assign_parameters(row)).probabilities() for row in angles[place]])
        np.testing.assert_allclose(expected[place], exact, atol=1e-5)
        sampled = backends.sample(model.executed, angles[place], SHOTS, seed=place).frequencies
        assert min(map(p_value, sampled, expected[place])) > 1e-4
        torch.testing.assert_close(model.read_out(torch.from_numpy(exact), place), logits[place], atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["published", "described", "original none", "angle ring_cnot", "qubit ring_cz"])
@torch.no_grad()
def test_many_shots_classify_clear_images_as_the_exact_student_does(kind):
    model, x = student(kind, 3)
    best, second = model(x).topk(2, dim=-1).values.unbind(-1)
    x = x[((best - second) > (0.01 if kind == "published" else 0.06)).all(0)][:12]  # 5 standard errors or more
    assert len(x) > 8
    labels = model(x)[0].argmax(-1)
    labels[::3] = (labels[::3] + 1) % 3
    images = Images(x, labels, torch.arange(len(x)))
    executed = execution.execute(model, images, shots=SHOTS, rows_per_job=5)
    right = classified_right(model(x), labels).double().mean(1).tolist()
    assert executed.accuracies == pytest.approx(dict(zip([0, 5], right, strict=True)), abs=1e-6)
    assert (executed.images, executed.jobs) == (len(x), 2 * -(-len(x) // 5))
