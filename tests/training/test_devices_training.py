"""Twenty training steps on every device that is there, beside the same steps on the CPU in float64, where most students
take another simulator: equal within rounding. And whole trainings, whose results do not know the device."""

import numpy as np
import pytest
import torch
from protocols import experiment, teacher_logits

from qkdlib import training
from qkdlib.experiment import Teacher
from qkdlib.images import datasets
from qkdlib.students import Student
from qkdlib.training.optimizers import OPTIMIZERS
from qkdlib.training.student_training import loss_function

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
STEPS, BATCH, SEEDS, CLASSES = 20, 4, [0, 1, 2], 4
REVISED = {
    "reducer": "fully_connected", "encoder": "amplitude", "ansatz": "rx_ry_rz", "readout": "pauli_z", "head": "linear",
    "dropout": 0.0,
}  # fmt: skip
STUDENTS = {
    "published": {},
    "published, shifts, noise": {"gradient": "parameter_shift", "noise": "amplitude_damping", "noise_level": 0.1},
    "described": {
        **REVISED,
        "encoder": "amplitude_tanh",
        "ansatz": "h_ry",
        "readout": "outcomes",
        "head": "renormalised",
    },
    "revised": REVISED,
    "two layers": {**REVISED, "layers": 2, "entangler": "ring_cnot"},
    "angle": {**REVISED, "encoder": "angle"},
    "qubit, entangled": {**REVISED, "encoder": "qubit", "entangler": "ring_cz"},
    "depolarising": {**REVISED, "noise": "depolarising", "noise_level": 0.1},
    "re-uploading": {
        "reducer": "fully_connected",
        "dropout": 0.0,
        "ansatz": "reuploading",
        "layers": 2,
        "head": "softmax",
    },
    "twin": {**REVISED, "ansatz": "classical"},
    "pooled": {**REVISED, "reducer": "avg_pool"},
    "dkd": {**REVISED, "kd_loss": "dkd"},
    "rkd": {**REVISED, "kd_loss": "rkd", "kd_weight": 0.02},  # noise looks alike to a student: angles of near points
}


def trained(task, device: str, kind: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses (steps, S) of some steps, and the logits of a few images after them."""
    student = Student(task, (1, 28, 28), SEEDS).to(device, kind)
    optimizer = OPTIMIZERS["sgd"](student.parameters(), 0.005)  # Adam makes whole steps of rounding
    draw, losses = torch.Generator().manual_seed(0), []
    for _ in range(STEPS):
        images = torch.rand(len(SEEDS), BATCH, 1, 28, 28, generator=draw).to(device, kind)
        labels = torch.randint(CLASSES, (len(SEEDS), BATCH), generator=draw).to(device)
        teacher = torch.randn(len(SEEDS), BATCH, CLASSES, generator=draw).to(device, kind)
        keep = 2.0 * (torch.rand(len(SEEDS), BATCH, student.reducer.masks, generator=draw) < 0.5)
        optimizer.zero_grad()
        loss = loss_function(
            task, student(images, keep.to(device, kind) if student.reducer.masks else None), labels, teacher
        )
        loss.total.sum().backward()
        optimizer.step()
        losses.append(loss.total.detach().cpu())
    assert all(parameter.device.type == device for parameter in student.parameters())
    with torch.no_grad():
        return torch.stack(losses), student(images).cpu()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", STUDENTS)
def test_twenty_steps_are_those_of_the_cpu_in_float64_within_rounding(name, device, one_thread):
    common = {"classes": (0, 1, 2, 3), "batch_size": BATCH, "qubits": 3, "teacher": Teacher(), "kd_weight": 0.9}
    task = experiment(**{**common, **STUDENTS[name]})
    losses, logits = trained(task, device, torch.float32)
    expected, of_images = trained(task, "cpu", torch.float64)
    assert losses.std(0).min() > 1e-3
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(logits, of_images, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "fields", [{}, {**REVISED, "reducer": "pca", "tested": "at_end", "patience": 1}], ids=["", "pca"]
)
def test_a_training_is_the_same_wherever_it_is_and_its_curves_are_plain_numbers(fields, device):
    task = experiment(classes=(0, 1, 2), epochs=2, **fields)
    parts, logits = datasets.splits(task), teacher_logits(task)
    _, expected = training.train_students(task, parts, logits, [0, 1])
    student, curves = training.train_students(task, parts, logits, [0, 1], device)
    assert next(student.parameters()).device.type == device
    for mine, other in zip(curves, expected, strict=True):
        assert mine.keys() == other.keys() and all(type(each) is float for each in mine["train_loss"])
        np.testing.assert_allclose(mine["train_loss"], other["train_loss"], rtol=1e-4)
        assert mine["test_accuracy"][-1] == pytest.approx(other["test_accuracy"][-1], abs=0.05)


@pytest.mark.parametrize("device", DEVICES)
def test_sampled_students_train_to_finite_numbers_and_again_to_the_same(device):
    task = experiment(classes=(0, 1, 2), sampler="multinomial", gradient="published_shift", shots=50)
    runs = [training.train_students(task, datasets.splits(task), None, [0, 1], device)[1] for _ in range(2)]
    assert runs[0] == runs[1] and np.isfinite(runs[0][0]["train_loss"]).all()
