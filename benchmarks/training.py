"""One training step of the published student (3 qubits, batch 1): one seed or 20 side by side, and the circuit by
Bloch vectors or gate by gate in TorchQuantum. Milliseconds per step, median of 5 rounds, measured in turn."""

import statistics
import time

import torch

from qkdlib import runtime, simulation, training
from qkdlib.circuits import to_torchquantum
from qkdlib.experiment import Experiment
from qkdlib.students import Student

STEPS, ROUNDS = 100, 5


def stepper(seeds: int, torchquantum: bool):
    """A function that does one training step of `seeds` students on random images."""
    experiment = Experiment(seeds=seeds)
    student = Student(experiment, (1, 28, 28), list(range(seeds)))
    optimizer = torch.optim.Adam(student.parameters(), lr=experiment.learning_rate, fused=True)
    module = to_torchquantum(student.circuit)
    images, labels = torch.rand(seeds, 1, 1, 28, 28), torch.zeros(seeds, 1, dtype=torch.long)
    keep, teacher = torch.ones(seeds, 1, student.reducer.masks), torch.zeros(seeds, 1, 6)

    def step() -> None:
        optimizer.zero_grad()
        angles = student.angles(images, keep)  # (S, 1, 3)
        if torchquantum:
            outcomes = module(angles.flatten(0, 1)).unflatten(0, angles.shape[:2])
        else:
            outcomes = simulation.probabilities(student.circuit, angles)
        training.loss_function(experiment, student.head(outcomes), labels, teacher).total.sum().backward()
        optimizer.step()

    return step


def milliseconds(step) -> float:
    started = time.perf_counter()
    for _ in range(STEPS):
        step()
    return 1000 * (time.perf_counter() - started) / STEPS


if __name__ == "__main__":
    runtime.start("cpu")
    cases = {(seeds, slow): stepper(seeds, slow) for seeds in (1, 20) for slow in (False, True)}
    for step in cases.values():
        milliseconds(step)  # warm-up
    rounds = [{case: milliseconds(step) for case, step in cases.items()} for _ in range(ROUNDS)]
    print(f"training step, {runtime.threads()} threads")
    for seeds, slow in cases:
        median = statistics.median(timed[seeds, slow] for timed in rounds)
        print(f"  {seeds:>2} seeds, {'TorchQuantum' if slow else 'Bloch vectors':<13} {median:6.2f} ms")
