"""Forward and backward of whole students, batch 32: ten seeds side by side by this library, and the same stack by
TorchQuantum gate by gate (`engine="torchquantum"`), and one seed with TorchQuantum. Samples per second, summed over
seeds, median of 5 rounds, measured in turn; with one thread, as students are trained, and with all.

Last, what 16 qubits take: peak memory and seconds of a step of one seed, each in a process of its own."""

import dataclasses
import statistics
import subprocess
import sys

import torch
from timing import milliseconds

from qkdlib import runtime
from qkdlib.experiment import Experiment
from qkdlib.students import Student
from qkdlib.study.v2 import revised

BATCH, SEEDS, STEPS, ROUNDS, LARGE = 32, 10, 20, 5, 16
SHAPE = (1, 28, 28)
ENGINES = ((SEEDS, "stacked"), (SEEDS, "torchquantum"), (1, "torchquantum"))


def students(qubits: int) -> dict[str, Experiment]:
    """v2's original method; amplitude encoding and two strongly entangling layers; two layers of re-uploading."""
    original = revised.student(qubits=qubits)
    return {
        "v2 original": original,
        "strongly entangling": dataclasses.replace(original, ansatz="strongly_entangling", layers=2),
        "re-uploading": dataclasses.replace(original, ansatz="reuploading", layers=2, encoder="ansatz_angles"),
    }


def stepper(experiment: Experiment, seeds: int, engine: str):
    """A function that does one forward and backward pass of `seeds` students on random images."""
    student = Student(dataclasses.replace(experiment, engine=engine), SHAPE, list(range(seeds)))
    images, labels = torch.rand(seeds, BATCH, *SHAPE), torch.randint(10, (seeds * BATCH,))

    def step() -> None:
        student.zero_grad()
        torch.nn.functional.cross_entropy(student(images).flatten(0, 1), labels).backward()

    return step


def measure(threads: int, steps: int = STEPS, rounds: int = ROUNDS) -> None:
    """Print a line for each student and number of qubits."""
    torch.set_num_threads(threads)
    for qubits in revised.QUBITS:
        for name, experiment in students(qubits).items():
            cases = {case: stepper(experiment, *case) for case in ENGINES}
            for step in cases.values():
                step()  # warm-up
            timed = [{case: milliseconds(step, steps) for case, step in cases.items()} for _ in range(rounds)]
            ours, stacked, single = (
                1000 * BATCH * case[0] / statistics.median(each[case] for each in timed) for case in ENGINES
            )
            print(
                f"  {name:<20} {qubits} qubits, {threads} threads: {ours:>9,.0f} ({SEEDS} seeds); "
                f"TorchQuantum {stacked:>8,.0f} ({SEEDS} seeds, {ours / stacked:.1f} times slower), "
                f"{single:>8,.0f} (1 seed, {ours / single:.1f} times)"
            )


def large(name: str, qubits: int = LARGE) -> None:
    """Print peak memory and seconds of two steps of one seed."""
    import resource

    step = stepper(students(qubits)[name], 1, "stacked")
    step()
    seconds = milliseconds(step, 1) / 1000
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  {name}: {qubits} qubits, 1 seed, batch {BATCH}: {peak:.2f} GB at most, {seconds:.1f} s a step")


if __name__ == "__main__":
    runtime.start("cpu")
    if len(sys.argv) > 1:
        large(sys.argv[1])
        sys.exit()
    print("whole students, forward and backward, samples per second")
    for threads in sorted({1, runtime.threads()}):
        measure(threads)
    for name in students(LARGE):
        subprocess.run([sys.executable, __file__, name], check=True)
