"""Forward and backward of v2's whole student (fully connected reducer, amplitude encoding, RX RY RZ, Pauli-Z, linear
layer), batch 32: ten seeds side by side with this library's matrices or factors, the same with TorchQuantum gate by
gate, and one seed with TorchQuantum. Samples per second, summed over seeds, median of 5 rounds, measured in turn; with
one thread, as students are trained, and with all."""

import statistics

import torch
from timing import milliseconds

from qkdlib import runtime
from qkdlib.circuits import pure, to_torchquantum
from qkdlib.students import Student
from qkdlib.study.v2 import revised

BATCH, SEEDS, STEPS, ROUNDS = 32, 10, 30, 5
SHAPE = (1, 28, 28)


def stepper(qubits: int, seeds: int, gate_by_gate: bool):
    """A function that does one forward and backward pass of `seeds` students on random images."""
    student = Student(revised.student(qubits=qubits), SHAPE, list(range(seeds)))
    module = to_torchquantum(student.circuit)
    images, labels = torch.rand(seeds, BATCH, *SHAPE), torch.randint(10, (seeds * BATCH,))

    def step() -> None:
        student.zero_grad()
        if gate_by_gate:
            state = student.encoder.state(student.reducer(student.reducer.prepare(images)))  # (S, B, 2^Q)
            angles = student.theta.unsqueeze(1).expand(-1, BATCH, -1).flatten(0, 1)
            outcomes = module(angles, state.flatten(0, 1)).unflatten(0, state.shape[:2])
            logits = student.head(outcomes @ student.signs)
        else:
            logits = student(images)
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels).backward()

    return step


def measure(threads: int, steps: int = STEPS, rounds: int = ROUNDS) -> None:
    """Print a line for each number of qubits."""
    torch.set_num_threads(threads)
    for qubits in revised.QUBITS:
        cases = {
            (seeds, slow): stepper(qubits, seeds, slow) for seeds, slow in ((SEEDS, False), (SEEDS, True), (1, True))
        }
        for step in cases.values():
            step()  # warm-up
        timed = [{case: milliseconds(step, steps) for case, step in cases.items()} for _ in range(rounds)]
        rates = {
            (seeds, slow): 1000 * BATCH * seeds / statistics.median(each[seeds, slow] for each in timed)
            for seeds, slow in cases
        }
        ours, stacked, single = rates.values()
        way = pure.fewer_operations(Student(revised.student(qubits=qubits), SHAPE, [0]).circuit, BATCH)
        print(
            f"  {qubits} qubits, {threads} threads: {ours:>9,.0f} ({SEEDS} seeds, {way}); "
            f"TorchQuantum {stacked:>8,.0f} ({SEEDS} seeds, {ours / stacked:.1f} times slower), "
            f"{single:>8,.0f} (1 seed, {ours / single:.1f} times)"
        )


if __name__ == "__main__":
    runtime.start("cpu")
    print("v2's student, forward and backward, samples per second")
    for threads in sorted({1, runtime.threads()}):
        measure(threads)
