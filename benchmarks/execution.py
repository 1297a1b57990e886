"""The QASM simulator: circuits per second in one job and one circuit per call (as in the authors' notebooks), for
angle and amplitude encoding, with and without noise; seconds of an epoch with it in the training loop; and what Aer
does to torch's speed in the same process, with and without `qkdlib.aer_import`."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from qkdlib import backends, circuits, runtime, training
from qkdlib.experiment import Experiment
from qkdlib.images.datasets import Images, Splits
from qkdlib.noise import Noise
from qkdlib.students import Student
from qkdlib.study.v2 import revised

SHOTS, ROWS, IMAGES = 5000, 300, 900


def rate(circuit, count: int, per_job: int, on=None) -> float:
    """Circuits per second for `count` random rows of angles, `per_job` of them in each job."""
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (count, circuit.angles))
    backends.sample(circuit, angles[:2], SHOTS, 0, on)  # warm-up: transpiles
    started = time.perf_counter()
    for start in range(0, count, per_job):
        backends.sample(circuit, angles[start : start + per_job], SHOTS, 0, on)
    return count / (time.perf_counter() - started)


def executed(method: str, qubits: int) -> circuits.GateList:
    """The circuit of one image of v2's student."""
    return Student(revised.student(qubits=qubits, method=method), (1, 28, 28), [0]).executed


def epoch(batch_size: int, sampler: str, images: int = IMAGES) -> float:
    """Seconds of an epoch of so many random images of 28 x 28 pixels, one seed, 3 qubits, 5000 shots, the published
    student and gradient."""
    draw = torch.Generator().manual_seed(0)

    def part(size: int) -> Images:
        return Images(torch.rand(size, 1, 28, 28, generator=draw), torch.arange(size) % 6, torch.arange(size))

    train, few = part(images), part(6)
    splits = Splits(train, few, few, train, few, tuple("012345"))
    experiment = Experiment(
        epochs=1, batch_size=batch_size, sampler=sampler, gradient="published_shift", shots=SHOTS, seeds=1
    )
    started = time.perf_counter()
    training.train_students(experiment, splits, None, [0])
    return time.perf_counter() - started


def convolution(repeats: int = 1000) -> float:
    """Microseconds of a small convolution in torch."""
    x, weight = torch.rand(1, 50, 12, 12), torch.rand(100, 10, 5, 5)
    started = time.perf_counter()
    for _ in range(repeats):
        torch.conv2d(x, weight, groups=5)
    return 1e6 * (time.perf_counter() - started) / repeats


def beside_aer(rows: int = ROWS, repeats: int = 1000) -> None:
    """Print the time of the convolution before and after an Aer job in this process."""
    runtime.start("cpu")
    convolution(repeats)  # warm-up
    before, speed = convolution(repeats), rate(circuits.build("h_ry", 3), rows, rows)
    print(f"{before:.0f} us before, {convolution(repeats):.0f} us after a job at {speed:.0f} circuits/s")


def openmp(first: str) -> str:
    """What `beside_aer` prints in a fresh process that begins with the statement `first`."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); {first}; import execution as own"
    command = [sys.executable, "-c", f"{code}; own.beside_aer()"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def in_jobs(rows: int = ROWS) -> None:
    """Print circuits per second: without noise, with it, one circuit per call, and on the device-like backend."""
    print(f"Aer, {SHOTS} shots, {runtime.threads()} threads, circuits/s in one job")
    named = {f"{qubits} qubits, angles": circuits.build("h_ry", qubits) for qubits in (3, 4)}
    named |= {f"{q} qubits, {name}": executed(name, q) for name in ("qubit", "angle", "original") for q in (4, 8)}
    for name, circuit in named.items():
        count = rows if circuit.qubits < 8 else max(1, rows // 5)
        ideal = rate(circuit, count, count)
        noisy = rate(circuit, count, count, Noise("depolarising", 0.01)) if circuit.qubits < 8 else None
        print(f"  {name:<20} {ideal:6.0f}" + ("" if noisy is None else f", with depolarising noise {noisy:6.0f}"))
    print(f"  one per call, 3 qubits: {rate(circuits.build('h_ry', 3), max(1, rows // 3), 1):.0f}")
    for qubits, method in ((4, "original"), (8, "qubit"), (8, "original")):
        count = min(4, rows)
        found = rate(executed(method, qubits), count, count, backends.device(max(qubits, 5)))
        print(f"  {qubits} qubits, {method}, device-like: {found:.1f}")


def in_the_loop(images: int = IMAGES) -> None:
    """Print the seconds of an epoch on Aer, and on its multinomial equivalent."""
    print(f"an epoch of {images} images in the loop, 3 qubits, published gradient")
    for sampler in ("aer", "multinomial"):
        print(f"  {sampler}: " + ", ".join(f"batch {size}: {epoch(size, sampler, images):.1f} s" for size in (1, 32)))


if __name__ == "__main__":
    runtime.start("cpu")
    in_jobs()
    in_the_loop()
    print("torch convolution beside Aer")
    print(f"  with qkdlib.aer_import: {openmp('pass')}")
    print(f"  plain import:                    {openmp('import torch, qiskit_aer')}")
