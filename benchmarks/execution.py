"""Circuits per second on the QASM simulator: all images in one job, against one circuit per call as in the authors'
notebooks; and what Aer does to torch's speed in the same process, with and without `qkdlib.aer_import`."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from qkdlib import circuits, execution, runtime

SHOTS, IMAGES = 5000, 900


def rate(circuit, count: int, per_job: int) -> float:
    """Circuits per second for `count` random rows of angles, `per_job` of them in each job."""
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (count, circuit.angles))
    execution.sample(circuit, angles[:2], SHOTS, seed=0)  # warm-up: transpiles
    started = time.perf_counter()
    for start in range(0, count, per_job):
        execution.sample(circuit, angles[start : start + per_job], SHOTS, seed=0)
    return count / (time.perf_counter() - started)


def convolution(repeats: int = 1000) -> float:
    """Microseconds of a small convolution in torch."""
    x, weight = torch.rand(1, 50, 12, 12), torch.rand(100, 10, 5, 5)
    started = time.perf_counter()
    for _ in range(repeats):
        torch.conv2d(x, weight, groups=5)
    return 1e6 * (time.perf_counter() - started) / repeats


def openmp(first: str) -> str:
    """In a fresh process that begins with the statement `first`: the convolution before and after an Aer job."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); {first}; import execution as b; "
        "b.runtime.start('cpu'); b.convolution(); before = b.convolution(); "
        "rate = b.rate(b.circuits.h_ry(3), 300, 300); "
        "print(f'{before:.0f} us before, {b.convolution():.0f} us after a job at {rate:.0f} circuits/s')"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    runtime.start("cpu")
    print(f"Aer, {SHOTS} shots, {runtime.threads()} threads")
    for qubits in (3, 4):
        circuit = circuits.h_ry(qubits)
        together, alone = rate(circuit, IMAGES, IMAGES), rate(circuit, 100, 1)
        print(f"  {qubits} qubits: {together:.0f} circuits/s in one job, {alone:.0f} circuits/s one per call")
    print("torch convolution beside Aer")
    print(f"  with qkdlib.aer_import: {openmp('pass')}")
    print(f"  plain import:           {openmp('import torch, qiskit_aer')}")
