"""The training of students, all seeds of an experiment side by side."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qkdlib import checks, torch_settings
from qkdlib.experiment import Experiment
from qkdlib.experiment_checks import OF_ONE_SELECTION
from qkdlib.images.choice import Images, Splits
from qkdlib.randomness import generator
from qkdlib.students import Student
from qkdlib.students.chain import Chain
from qkdlib.students.fixed_reducers import Reducer
from qkdlib.training import checkpoints, confusion, losses, steps
from qkdlib.training.evaluation import Evaluated, evaluate
from qkdlib.training.loop import fit
from qkdlib.training.optimizers import OPTIMIZERS
from qkdlib.training.selection import Selection, join


def train_students(
    experiment: Experiment, parts: Splits, teacher_logits: torch.Tensor | None, seeds: list[int],
    device: str | torch.device = "cpu", folder: Path | None = None,
) -> tuple[Student, list[dict]]:  # fmt: skip
    """Train the students of all `seeds` side by side, on one thread. On the processors seen so far each one ends the
    same, to the last digit, whatever others train beside it; but for the engine `torchquantum`, whose products round by
    how many rows they have.

    Args:
        teacher_logits: (N, C) for the images of `parts.all_train`; or (S, N, C) of each seed its own, for its training
            and then its validation images; None for a placebo, whose loss is computed by the same code with
            `kd_weight` 0.
        folder: in it the training is kept every few seconds, at the end of an epoch. One that was interrupted goes on
            from there, to the same bits. `checkpoints.forget` removes the files, once the results are safe.

    Returns:
        The trained students, with the seconds that their training took before it was interrupted as `seconds_before`;
        and for each seed a dictionary of its curves, one number per epoch: `train_loss`,
        `train_ce`, `train_kl` (means over the epoch's batches, as the student trained, with dropout), the same for
        `validation`, `test_ce`, and the accuracies `validation_accuracy` and `test_accuracy` in [0, 1]. With
        `tested="at_end"` the test curves hold None but for the last and the best validation epoch, and the dictionary
        also has the `learning_rate` and the number of `zero_vectors` among validation and test images. A seed whose
        losses or weights have become NaN or infinite, which leaves the others alone, has the epoch as `diverged`,
        counted from 1; an image whose logits are not finite is not classified right. `confusion`, C rows of C + 1 whole
        numbers, says how many test images of each class the weights that are kept take for each one, or for none of
        them (up to `confusion.MOST_CLASSES` classes); `validation_confusion` the same of validation images.
        `ValueError`: a pixel is not finite.
    """
    parts = parts.of(seeds)
    for name in ("train", "validation", "test"):
        if not torch.isfinite(getattr(parts, name).x).all():
            checks.fail(f"{name} images", "NaN or infinity", "finite pixels")
    # One thread: more would divide the work, and round, by the number of seeds.
    with torch_settings.one_thread(), torch_settings.plain_torch():
        if teacher_logits is None:
            teacher_logits = torch.zeros(len(parts.all_train), len(experiment.classes))
        rates = experiment.learning_rates or (experiment.learning_rate,)
        tries = [StudentTraining(experiment, rate, parts, teacher_logits, seeds, device) for rate in rates]
        files = checkpoints.files_of(folder, experiment, seeds, device)
        results = [each.run(file) for each, file in zip(tries, files, strict=True)]
        if experiment.tested == "every_epoch":
            student, curves = tries[0].student, results[0]
        else:
            student, curves = tries[0].finish(*join([each.selection for each in tries], results))
        for of_seed, matrix in zip(curves, tries[0].confusions, strict=True):
            of_seed |= {"confusion": matrix} if matrix else {}
        student.seconds_before = sum(each.seconds_before for each in tries)
        return student, curves


class StudentTraining:
    """One training of all seeds, with one learning rate."""

    def __init__(
        self, experiment: Experiment, rate: float, parts: Splits, teacher_logits: torch.Tensor, seeds: list[int],
        device: str | torch.device,
    ):  # fmt: skip
        self.experiment, self.device = experiment, device
        self.student = Student(experiment, parts.shape, seeds).to(device)
        check_reducer(self.student, parts)
        self.student.fit_reducer(parts.train.x.to(device))
        losses.check_loss(self.student)
        self.optimizer = OPTIMIZERS[experiment.optimizer](self.student.parameters(), rate)
        self.selection = Selection(self.student, experiment.patience, rate)
        if teacher_logits.ndim == 3:
            taught = teacher_logits.split([len(parts.train), len(parts.validation)], 1)
        else:
            taught = tuple(teacher_logits[rows] for rows in parts.students_rows())
        self.taught, self.taught_validation = (each.float().to(device) for each in taught)
        self.train, self.validation, self.test = self._prepared(parts.train, parts.validation, parts.test)
        self.chain = Chain(self.student)
        self.loss = steps.loss(self.student, self.train.y, self.taught, experiment.batch_size)
        self.orders = [generator(seed, "order") for seed in seeds]
        self.drops = [generator(seed, "dropout") for seed in seeds]
        self.confusions: list[list[list[int]]] = []  # of the latest test, one of each seed
        self.seen: list[list[list[int]]] = [[]] * len(seeds)  # the same of validation images, of the weights that stay

    def _prepared(self, *parts: Images) -> list[Images]:
        """What the reducer makes of images; of those that two parts have in common, once."""
        with torch.inference_mode():
            x = {id(each.x): self.student.reducer.prepare(each.x.to(self.device)) for each in parts}
        found = []
        for each in parts:
            rows = None if each.rows is None else each.rows.to(self.device)
            found.append(Images(x[id(each.x)], each.y.to(self.device), each.index, rows))
        return found

    def run(self, file: tuple[Path, str] | None = None) -> list[dict]:
        """Train, and return each seed's curves. `file` and the title in it keep the training."""
        epochs, batches = self.experiment.epochs, -(-len(self.train) // self.experiment.batch_size)
        chooses, kept = self.experiment.tested == "at_end", checkpoints.Now(*file, self) if file else None
        history = fit(
            self.student, self.epoch, self._measure, epochs, self.experiment.name, batches, checkpoint=kept,
            finished=lambda: chooses and not self.selection.running,
        )  # fmt: skip
        self.chain = Chain(self.student)  # that of the last step keeps its batch, beside other trainings
        self.seconds_before = kept.seconds if kept else 0.0
        ends = self.selection.epochs if chooses else [len(history)] * len(self.student.seeds)
        results = [_curves(history[:end], seed) for seed, end in enumerate(ends)]
        for of_seed, matrix in zip(results, self.seen, strict=True):
            of_seed |= {"validation_confusion": matrix} if matrix else {}
        return results

    def state_dict(self) -> dict:
        """All that an epoch changes: weights, moments, what validation has chosen, and every generator."""
        return {
            "model": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loss": self.loss.state_dict(),
            "selection": self.selection.state_dict() if self.experiment.tested == "at_end" else None,
            "generators": [each.get_state() for each in (*self.orders, *self.drops)],
            "samplers": [each.bit_generator.state for each in self._samplers()],
            "confusions": self.confusions,
            "seen": self.seen,
        }

    def load_state_dict(self, state: dict) -> None:
        """Take what `state_dict` gave, of a training of the same seeds."""
        self.student.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.loss.load_state_dict(state.get("loss", {}))  # of which earlier versions kept nothing
        if state["selection"] is not None:
            self.selection.load_state_dict(state["selection"])
        for each, drawn in zip((*self.orders, *self.drops), state["generators"], strict=True):
            each.set_state(drawn)
        for sampler, numbers in zip(self._samplers(), state["samplers"], strict=True):
            sampler.bit_generator.state = numbers
        self.confusions, self.seen = state["confusions"], state["seen"]

    def _samplers(self) -> list[np.random.Generator]:
        samplers: list[Any] = self.student.layer.samplers
        return [each for sampler in samplers for each in sampler.generators]

    @torch.no_grad()
    def epoch(self, _number: int = 0, advance: Callable[[], object] = lambda: None) -> None:
        """Train all seeds on all images once, in an order of their own; `advance` is called after each step."""
        order, keep = _draw_epoch(self.student, len(self.train), self.orders, self.drops)
        of_batches = (each.to(self.device).split(self.experiment.batch_size, 1) for each in (order, keep))
        for rows, masks in zip(*of_batches, strict=True):
            self.step(rows, masks if self.student.reducer.masks else None)
            advance()

    def step(self, rows: torch.Tensor, keep: torch.Tensor | None = None) -> None:
        """One step of every seed, on those of its images that are in these rows (S, B), with dropout `keep`
        (S, B, masks)."""
        logits = self.chain.forward(self.train.seen(rows), keep)
        self.chain.backward(self.loss.gradient(logits, rows))
        self.optimizer.advance()

    def _measure(self) -> dict:
        curves: dict[str, list] = _named("train", self.loss.means()) | {"finite": self.student.finite()}
        found = evaluate(self.student, self.validation, self.taught_validation)
        curves |= _named("validation", found.losses) | {"validation_accuracy": found.accuracy}
        chooses = self.experiment.tested == "at_end"
        renewed = self.selection.update(found.accuracy, found.losses["ce"]) if chooses else range(len(self.seen))
        matrices = self._confused(found, self.validation)
        self.seen = [matrices[seed] if seed in renewed else old for seed, old in enumerate(self.seen)]
        return curves if chooses else curves | self._tested()[0]

    def finish(self, chosen: Selection, results: list[dict]) -> tuple[Student, list[dict]]:
        """Test the weights of each seed's last and best epoch, and leave the ones that its training keeps."""
        self.student.eval()
        with torch.inference_mode():
            measured: list[tuple[dict, list[int]]] = []
            confusions: list[list[list[list[int]]]] = []
            for weights in (chosen.last, chosen.best):
                if confusions and chosen.epochs == chosen.best_epochs:
                    continue  # they are the same
                weights.put(self.student)
                measured.append(self._tested())
                confusions.append(self.confusions)
            if not self.experiment.patience:
                chosen.last.put(self.student)
            kept = measured[-1 if self.experiment.patience else 0][1]
            seen = evaluate(self.student, self.validation).zero_vectors
        for seed, curves in enumerate(results):
            for name in ("test_ce", "test_accuracy"):
                curves[name] = [None] * chosen.epochs[seed]
                for epoch, (found, _) in zip((chosen.epochs[seed], chosen.best_epochs[seed]), measured, strict=False):
                    curves[name][epoch - 1] = found[name][seed]
            if not self.experiment.patience and chosen.best_epochs[seed] != chosen.epochs[seed]:
                self.confusions[seed] = confusions[0][seed]
            curves["zero_vectors"] = kept[seed] + seen[seed]
        return self.student, results

    def _tested(self) -> tuple[dict, list[int]]:
        """Test curves, and how many test images have a zero vector of features."""
        found = evaluate(self.student, self.test)
        self.confusions = self._confused(found, self.test)
        return {"test_ce": found.losses["ce"], "test_accuracy": found.accuracy}, found.zero_vectors

    def _confused(self, found: Evaluated, images: Images) -> list[list[list[int]]]:
        """The confusion matrix of each seed; of very many classes []."""
        classes = len(self.experiment.classes)
        if classes > confusion.MOST_CLASSES:
            return [[]] * len(found.predicted)
        return confusion.matrices(found.predicted, images.y, classes)


def check_reducer(student: Student, parts: Splits) -> None:
    """Raise `ValueError` where the reducer takes something from training images, and each seed has its own."""
    if parts.drawn and type(student.reducer).fit is not Reducer.fit:
        allowed = f"one without `fit` for selection each_seed: {OF_ONE_SELECTION}"
        checks.fail("reducer", student.experiment.reducer, allowed)


def _named(part: str, means: dict[str, list[float]]) -> dict[str, list]:
    return {f"{part}_{name}": values for name, values in means.items()}


def _curves(history: list[dict], seed: int) -> dict:
    """The curves of the seed at this place; and as `diverged` the first epoch with a number that is not finite."""
    curves = {name: [epoch[name][seed] for epoch in history] for name in history[0] if name != "seconds"}
    weights = curves.pop("finite")
    epochs = zip(weights, *curves.values(), strict=True)
    sound = [finite and all(map(math.isfinite, numbers)) for finite, *numbers in epochs]
    return curves if all(sound) else curves | {"diverged": sound.index(False) + 1}


def _draw_epoch(
    student: Student, images: int, orders: list[torch.Generator], drops: list[torch.Generator]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Order (S, N) and dropout (S, N, masks) of an epoch, drawn at once because a draw per step would cost more
    than the step."""
    order = torch.stack([torch.randperm(images, generator=g) for g in orders])
    chance = 1 - student.experiment.dropout
    shape = (images, student.reducer.masks)
    keep = torch.stack([torch.rand(shape, generator=g) for g in drops]) < chance
    return order, keep / chance
