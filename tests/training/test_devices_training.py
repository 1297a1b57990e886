"""Twenty training steps on every device that is there, beside the same steps on the CPU in float64, where most students
take another simulator: equal within rounding. And whole trainings, whose results do not know the device."""

import numpy as np
import pytest
import torch
from protocols import REVISED, experiment, teacher_logits

from qkdlib import training
from qkdlib.experiment import Teacher
from qkdlib.images import datasets
from qkdlib.students import Student
from qkdlib.training import losses
from qkdlib.training.losses import distillation_loss
from qkdlib.training.student_training import StudentTraining

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
STEPS, BATCH, SEEDS, CLASSES, RATE = 20, 4, [0, 1, 2], 4, 0.005
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


def splits() -> datasets.Splits:
    """As many images as an epoch of so many steps takes."""
    draw, count = torch.Generator().manual_seed(0), STEPS * BATCH
    labels = torch.randint(CLASSES, (count,), generator=draw)
    images = datasets.Images(torch.rand(count, 1, 28, 28, generator=draw), labels, torch.arange(count))
    return datasets.Splits(images, images, images, images, images, tuple("0123"))


def trained(task, parts, teacher, batches, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss (S,) of some steps as trainings take them, and the logits of a few images after them."""
    of_all = StudentTraining(task, RATE, parts, teacher, SEEDS, device)
    with torch.no_grad():
        for rows, keep in batches:
            of_all.step(rows.to(device), keep.to(device) if of_all.student.reducer.masks else None)
    assert all(parameter.device.type == device for parameter in of_all.student.parameters())
    of_all.student.eval()
    with torch.no_grad():
        logits = of_all.student(parts.train.x[:8].to(device)).cpu()
    return torch.tensor(of_all.loss.means()["loss"]), logits


def expected(task, parts, teacher, batches) -> tuple[torch.Tensor, torch.Tensor]:
    """The same by autograd, a loop of its own, and in float64, for which most students take another simulator."""
    student, sums = Student(task, (1, 28, 28), SEEDS).fit_reducer(parts.train.x).double(), torch.zeros(len(SEEDS))
    optimizer = torch.optim.SGD(student.parameters(), RATE)
    for rows, keep in batches:
        optimizer.zero_grad()
        logits = student(parts.train.x[rows].double(), keep.double() if student.reducer.masks else None)
        found = distillation_loss(logits, parts.train.y[rows], teacher[rows].double(), **losses.settings(task))
        found.total.sum().backward()
        optimizer.step()
        sums += found.total.detach().float()
    student.eval()
    with torch.no_grad():
        return sums / len(batches), student(parts.train.x[:8].double())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", STUDENTS)
def test_twenty_steps_are_those_of_the_cpu_in_float64_within_rounding(name, device, one_thread):
    common = {
        "optimizer": "sgd",
        "classes": (0, 1, 2, 3),
        "batch_size": BATCH,
        "qubits": 3,
        "teacher": Teacher(),
        "kd_weight": 0.9,
    }
    task = experiment(**{**common, **STUDENTS[name]})
    parts, draw = splits(), torch.Generator().manual_seed(1)
    teacher = torch.randn(len(parts.train), CLASSES, generator=draw)
    orders = torch.stack([torch.randperm(len(parts.train), generator=draw) for _ in SEEDS])
    rows = orders.view(len(SEEDS), STEPS, BATCH).transpose(0, 1)  # (steps, S, B)
    masks = 2.0 * (torch.rand(*rows.shape, 70, generator=draw) < 0.5)  # as many as the reducer cnn has
    batches = list(zip(rows, masks, strict=True))
    loss, logits = trained(task, parts, teacher, batches, device)
    mean, of_images = expected(task, parts, teacher, batches)
    start, _ = expected(task, parts, teacher, batches[:1])
    assert (mean - start).abs().max() > 1e-4
    np.testing.assert_allclose(loss, mean, rtol=2e-5, atol=2e-5)
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
