"""The one training loop, for teachers and students, and the training of students."""

import dataclasses
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from qkdlib import runtime
from qkdlib.datasets import Images, Splits
from qkdlib.experiment import Experiment
from qkdlib.losses import Loss, distillation_loss
from qkdlib.optimizers import FlatAdam
from qkdlib.randomness import generator
from qkdlib.students import Student, correct
from qkdlib.workspace import atomic

EVALUATION_BATCH = 8  # patches of more images leave the cache: twice as slow


def fit(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Callable[[int], Iterable],
    loss_of: Callable[..., torch.Tensor],
    measure: Callable[[], dict],
    epochs: int,
    title: str,
    steps: int,
    checkpoint: Path | None = None,
) -> list[dict]:
    """Train `model` and return what `measure` said after each epoch, with the epoch's `seconds`.

    Args:
        batches: epoch -> the epoch's batches, each the arguments of `loss_of`. It draws its randomness from
            seed and epoch alone, so that a training that goes on from a checkpoint has the same result.
        loss_of: batch -> scalar loss.
        steps: batches per epoch, for the progress bar's time left.
        checkpoint: file that holds the training after each epoch; an existing one is gone on from.
    """
    history = []
    if checkpoint is not None and checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location="cpu")
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        history = saved["history"]
    with runtime.progress(total=epochs * steps, initial=len(history) * steps, desc=title) as bar:
        for epoch in range(len(history), epochs):
            started = time.perf_counter()
            model.train()
            for batch in batches(epoch):
                optimizer.zero_grad()
                loss_of(*batch).backward()
                optimizer.step()
                bar.update()
            model.eval()
            with torch.inference_mode():
                history.append({**measure(), "seconds": time.perf_counter() - started})
            if checkpoint is not None:
                with atomic(checkpoint) as path:
                    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "history": history}
                    torch.save(state, path)
    return history


@dataclasses.dataclass
class Running:
    """Sums of a loss's parts over the batches of an epoch."""

    parts: torch.Tensor | None = None
    images: int = 0

    def add(self, loss: Loss, images: int) -> None:
        """Count a batch of `images`."""
        parts = torch.stack([loss.total.detach(), loss.cross_entropy.detach(), loss.divergence.detach()]) * images
        self.parts = parts if self.parts is None else self.parts + parts  # (3, S)
        self.images += images

    def means(self, prefix: str) -> dict[str, list[float]]:
        """Mean of each part over the images, one number per seed; starts anew."""
        means = (self.parts / self.images).tolist()
        self.parts, self.images = None, 0
        return {f"{prefix}_{name}": row for name, row in zip(("loss", "ce", "kl"), means, strict=True)}


def train_students(
    experiment: Experiment, parts: Splits, teacher_logits: torch.Tensor | None, seeds: list[int], device="cpu"
) -> tuple[Student, list[dict]]:
    """Train the students of all `seeds` side by side, on one thread. On the processors seen so far each one ends the
    same, to the last digit, whatever others train beside it.

    Args:
        teacher_logits: (N, C) for the images of `parts.all_train`; None for a placebo, whose loss is computed by
            the same code with `kd_weight` 0.

    Returns:
        The trained students, and for each epoch a dictionary of curves: `train_loss`, `train_ce`, `train_kl`
        (means over the epoch's batches, as the student trained, with dropout), the same for `validation`,
        `test_ce`, and the accuracies `validation_accuracy` and `test_accuracy` in [0, 1]; each a list with one
        number per seed.
    """
    student = Student(experiment, parts.shape, seeds).to(device)
    optimizer = FlatAdam(student.parameters(), experiment.learning_rate)
    if teacher_logits is None:
        teacher_logits = torch.zeros(len(parts.all_train), len(experiment.classes))
    place = {int(index): row for row, index in enumerate(parts.all_train.index)}
    knows = [teacher_logits[[place[int(i)] for i in part.index]] for part in (parts.train, parts.validation)]
    train, validation, test = (_to(part, device) for part in (parts.train, parts.validation, parts.test))
    taught, taught_validation = (logits.float().to(device) for logits in knows)
    running, orders = Running(), [generator(seed, "order") for seed in seeds]
    drops = [generator(seed, "dropout") for seed in seeds]

    def batches(_epoch: int):
        order, keep = (draw.to(device) for draw in _draw_epoch(student, len(train), orders, drops))
        for start in range(0, len(train), experiment.batch_size):
            chunk = slice(start, start + experiment.batch_size)
            rows = order[:, chunk]  # (S, B)
            yield train.x[rows], train.y[rows], taught[rows], keep[:, chunk] if student.reducer.masks else None

    def loss_of(images, labels, teacher, keep):
        loss = loss_function(experiment, student(images, keep), labels, teacher)
        running.add(loss, labels.shape[1])
        return loss.total.sum()

    def measure() -> dict:
        curves = running.means("train")
        losses, accuracy = evaluate(student, validation, taught_validation)
        curves |= losses.means("validation") | {"validation_accuracy": accuracy}
        losses, accuracy = evaluate(student, test)
        return curves | {"test_ce": losses.means("test")["test_ce"], "test_accuracy": accuracy}

    steps = -(-len(train) // experiment.batch_size)
    with runtime.one_thread():  # threads would divide the work, and round, by the number of seeds
        history = fit(student, optimizer, batches, loss_of, measure, experiment.epochs, experiment.name, steps)
    return student, history


def loss_function(experiment: Experiment, logits, labels, teacher_logits) -> Loss:
    """The experiment's loss; see `losses.distillation_loss`."""
    return distillation_loss(
        logits,
        labels,
        teacher_logits,
        ce_weight=experiment.ce_weight,
        kd_weight=experiment.kd_weight,
        temperature=experiment.temperature,
        temperature_squared=experiment.kd_temperature_squared,
    )


def _draw_epoch(student: Student, images: int, orders: list, drops: list) -> tuple[torch.Tensor, torch.Tensor]:
    """Order (S, N) and dropout (S, N, masks) of an epoch, drawn at once because a draw per step would cost more
    than the step."""
    order = torch.stack([torch.randperm(images, generator=g) for g in orders])
    chance = 1 - student.experiment.dropout
    shape = (images, student.reducer.masks)
    keep = torch.stack([torch.rand(shape, generator=g) for g in drops]) < chance
    return order, keep / chance


def evaluate(student: Student, images: Images, teacher_logits: torch.Tensor | None = None):
    """Mean loss parts and accuracy (list of S numbers in [0, 1]) of every seed on the same images.

    Without `teacher_logits` (N, C) the divergence is taken from a uniform teacher.
    """
    running, hits = Running(), 0
    seeds, classes = len(student.seeds), len(student.experiment.classes)
    if teacher_logits is None:
        teacher_logits = torch.zeros(len(images), classes, device=images.y.device)
    for start in range(0, len(images), EVALUATION_BATCH):
        chunk = slice(start, start + EVALUATION_BATCH)
        labels = images.y[chunk].expand(seeds, -1)  # (S, B)
        logits = student(images.x[chunk])  # (S, B, L)
        loss = loss_function(student.experiment, logits, labels, teacher_logits[chunk].expand(seeds, -1, -1))
        running.add(loss, labels.shape[1])
        hits = hits + correct(logits, labels).sum(1)  # (S,)
    return running, (hits / len(images)).tolist()


def _to(images: Images, device) -> Images:
    return Images(images.x.to(device), images.y.to(device), images.index)
