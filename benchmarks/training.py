"""One training step of the published student (3 qubits, batch 1) on one thread: one seed or 20 side by side, and the
circuit by Bloch vectors, by Bloch vectors with 5000 shots drawn for it and its shifts, or gate by gate in
TorchQuantum. Milliseconds per step, median of 5 rounds, measured in turn."""

import statistics

import torch
from timing import milliseconds

from qkdlib import runtime, torch_settings
from qkdlib.circuits import to_torchquantum
from qkdlib.experiment import Experiment
from qkdlib.students import Student
from qkdlib.training.optimizers import FlatAdam
from qkdlib.training.student_training import loss_function

STEPS, ROUNDS = 100, 5
CASES = {"Bloch vectors": {}, "sampled": {"sampler": "multinomial", "gradient": "published_shift"}, "TorchQuantum": {}}


def stepper(seeds: int, case: str):
    """A function that does one training step of `seeds` students on random images."""
    experiment = Experiment(seeds=seeds, **CASES[case])
    student = Student(experiment, (1, 28, 28), list(range(seeds)))
    optimizer = FlatAdam(student.parameters(), experiment.learning_rate)
    module = to_torchquantum(student.circuit)
    images, labels = torch.rand(seeds, 1, 1, 28, 28), torch.zeros(seeds, 1, dtype=torch.long)
    keep, teacher = torch.ones(seeds, 1, student.reducer.masks), torch.zeros(seeds, 1, 6)

    def step() -> None:
        optimizer.zero_grad()
        if case == "TorchQuantum":
            angles = student.angles(images, keep)  # (S, 1, 3)
            logits = student.head(module(angles.flatten(0, 1)).unflatten(0, angles.shape[:2]))
        else:
            logits = student(images, keep)
        loss_function(experiment, logits, labels, teacher).total.sum().backward()
        optimizer.step()

    return step


def main(steps: int = STEPS, rounds: int = ROUNDS) -> None:
    """Print a line for each case."""
    runtime.start("cpu")
    with torch_settings.one_thread():
        cases = {(seeds, case): stepper(seeds, case) for seeds in (1, 20) for case in CASES}
        for step in cases.values():
            milliseconds(step, steps)  # warm-up
        timed = [{case: milliseconds(step, steps) for case, step in cases.items()} for _ in range(rounds)]
    print("training step, one thread")
    for seeds, case in cases:
        median = statistics.median(each[seeds, case] for each in timed)
        print(f"  {seeds:>2} seeds, {case:<13} {median:6.2f} ms")


if __name__ == "__main__":
    main()
