"""Choosing on validation: for each seed by itself the epoch, the moment to stop, and the learning rate."""

import math

import torch

from qkdlib.students import Student


class Weights:
    """A copy of the parameters of all seeds, of which single seeds can be renewed."""

    def __init__(self, student: Student):
        self.values = {name: value.detach().clone() for name, value in student.named_parameters()}

    def take(self, student: Student, seeds: list[int]) -> None:
        """Copy the parameters of the seeds at these places."""
        for name, value in student.named_parameters():
            self.values[name][seeds] = value.detach()[seeds]

    def put(self, student: Student) -> None:
        """Write all parameters back."""
        with torch.no_grad():
            for name, value in student.named_parameters():
                value.copy_(self.values[name])


class Selection:
    """What a training of S seeds keeps: the weights of each seed's `best` validation epoch and of its `last` one.

    The best epoch has the highest validation accuracy, of equals the lowest cross entropy. With `patience` a seed stops
    when that many epochs were no better; the others go on beside it, and its later epochs do not count.
    """

    def __init__(self, student: Student, patience: int, learning_rate: float):
        self.student, self.patience, self.learning_rate, self.epoch = student, patience, learning_rate, 0
        self.best, self.last = Weights(student), Weights(student)
        self.scores = [(-1.0, 0.0)] * len(student.seeds)
        self.best_epochs, self.epochs = [0] * len(student.seeds), [0] * len(student.seeds)

    @property
    def running(self) -> list[int]:
        """Places of the seeds that have not stopped."""
        seeds = range(len(self.epochs))
        if not self.patience:
            return list(seeds)
        waited = [self.epoch - best for best in self.best_epochs]
        return [s for s in seeds if self.epochs[s] == self.epoch and waited[s] < self.patience]

    def update(self, accuracy: list[float], cross_entropy: list[float]) -> list[int]:
        """Take note of an epoch's validation results, one number per seed. Returns the places of the seeds whose
        weights are now those that their training keeps: of the best epoch if it stops on validation, else of the
        last."""
        running = self.running
        self.epoch += 1
        worst = [value if math.isfinite(value) else math.inf for value in cross_entropy]  # NaN cannot be compared
        scores = list(zip(accuracy, (-value for value in worst), strict=True))
        better = [seed for seed in running if scores[seed] > self.scores[seed]]
        for seed in better:
            self.scores[seed], self.best_epochs[seed] = scores[seed], self.epoch
        for seed in running:
            self.epochs[seed] = self.epoch
        self.best.take(self.student, better)
        self.last.take(self.student, running)
        return better if self.patience else running

    def state_dict(self) -> dict:
        """All that an update changes, as `load_state_dict` takes it."""
        plain = {name: getattr(self, name) for name in ("epoch", "scores", "best_epochs", "epochs")}
        return {"best": self.best.values, "last": self.last.values, "plain": plain}

    def load_state_dict(self, state: dict) -> None:
        """Take what `state_dict` gave, of a selection among the same students."""
        for mine, given in ((self.best.values, state["best"]), (self.last.values, state["last"])):
            for name, value in mine.items():
                value.copy_(given[name])
        for name, number in state["plain"].items():
            setattr(self, name, number)


def join(tries: list[Selection], results: list[list[dict]]) -> tuple[Selection, list[dict]]:
    """Of several trainings of the same seeds, for each seed the one with the best validation epoch (of equals the
    first), gathered in the first selection; and that training's curves, with its `learning_rate`."""
    first, chosen = tries[0], []
    for seed in range(len(first.scores)):
        best = max(range(len(tries)), key=lambda number: (tries[number].scores[seed], -number))
        chosen.append(results[best][seed] | {"learning_rate": tries[best].learning_rate})
        if best:
            for mine, other in ((first.best, tries[best].best), (first.last, tries[best].last)):
                for name, value in mine.values.items():
                    value[seed] = other.values[name][seed]
            for name in ("scores", "best_epochs", "epochs"):
                getattr(first, name)[seed] = getattr(tries[best], name)[seed]
    return first, chosen
