"""What the portable mode costs: whole training steps of each protocol, and of the teachers, on one thread, in processes
with it and without it in turn. Milliseconds per step, medians of the processes, and their ratio."""

import json
import os
import statistics
import subprocess
import sys

import torch
from timing import milliseconds, stepper

from qkdlib import portable, runtime, teachers, torch_settings
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised

ROUNDS = 3
CASES = {  # experiment, seeds, steps
    "published, sampled": (paper.row("M-B-3q-05").experiment, 20, 100),
    "published, one seed": (paper.row("M-B-3q-05").experiment, 1, 200),
    "described": (paper.described_rows()[0].experiment, 20, 200),
    "revised, 4 qubits": (revised.student(qubits=4), 10, 200),
    "revised, 8 qubits": (revised.student(qubits=8), 10, 30),
    "revised, qubit encoding": (revised.student(qubits=4, method="qubit"), 10, 200),
    "revised, two layers, CNOTs": (revised.student(qubits=4, layers=2, entangler="ring_cnot"), 10, 200),
}
TEACHERS = {"teacher LeNet": ("lenet", 128, 20), "teacher AlexNet": ("alexnet", 128, 1)}


def of_teacher(architecture: str, batch: int):
    """A function that does one training step of a teacher on random images."""
    network = teachers.build(architecture, (1, 28, 28), 6)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    images, labels = torch.rand(batch, 1, 28, 28), torch.zeros(batch, dtype=torch.long)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step


def measure() -> dict[str, float]:
    """Milliseconds per step of every case in this process."""
    runtime.start("cpu")
    steps = {name: (stepper(task, seeds), count) for name, (task, seeds, count) in CASES.items()}
    steps |= {name: (of_teacher(kind, batch), count) for name, (kind, batch, count) in TEACHERS.items()}
    with torch_settings.one_thread(), torch_settings.plain_torch(), portable.convolutions():
        for step, _ in steps.values():
            step()  # warm-up
        return {name: milliseconds(step, count) for name, (step, count) in steps.items()}


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(measure()))
        sys.exit()
    found = {"1": [], "0": []}
    for _ in range(ROUNDS):
        for mode, rounds in found.items():
            variables = {name: value for name, value in os.environ.items() if name not in portable.VARIABLES}
            finished = subprocess.run(
                [sys.executable, __file__, "measure"], env={**variables, "QKD_PORTABLE": mode}, check=True,
                capture_output=True, text=True,
            )  # fmt: skip
            rounds.append(json.loads(finished.stdout))
    print(f"training step, one thread, {portable.facts()['processor']}: portable, not portable, ratio")
    for name in found["1"][0]:
        on, off = (statistics.median(each[name] for each in found[mode]) for mode in ("1", "0"))
        print(f"  {name:<27} {on:8.2f} {off:8.2f} ms {on / off:5.2f}")
