"""Execution of trained students on Qiskit Aer, the QASM simulator: frequencies of sampled outcomes."""

import functools

import numpy as np
import torch

from qkdlib import aer_import, checks, runtime
from qkdlib.circuits import Circuit, to_qiskit
from qkdlib.datasets import Images
from qkdlib.randomness import number
from qkdlib.students import Student, correct


def execute(circuit: Circuit, angles: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """Run the circuit once for each row of angles, in one job, and return outcome frequencies.

    The circuit is transpiled once; Aer binds the rows itself.

    Args:
        angles: (N, A) in radians.
        shots: samples per row.
        seed: seeds the sampling.

    Returns:
        (N, 2^Q), wire 0 least significant; each row sums to 1.
    """
    checks.whole("shots", shots)
    angles = np.asarray(angles, dtype=float)
    if angles.ndim != 2 or angles.shape[1] != circuit.angles:
        checks.fail("angles", angles.shape, f"an array (N, {circuit.angles}) for circuit {circuit.name}")
    if not np.isfinite(angles).all():
        checks.fail("angles", "NaN or infinity", "finite numbers")
    backend, quantum = _backend(runtime.threads()), _transpiled(circuit)
    binds = {parameter: angles[:, place].tolist() for place, parameter in enumerate(quantum.parameters)}
    result = backend.run(quantum, parameter_binds=[binds], shots=shots, seed_simulator=seed).result()
    if not result.success:
        raise RuntimeError(f"Aer did not finish circuit {circuit.name}: {result.status}")
    frequencies = np.zeros((len(angles), 2**circuit.qubits))
    for row in range(len(angles)):
        for outcome, count in result.data(row)["counts"].items():
            frequencies[row, int(outcome, 16)] = count / shots
    return frequencies


@functools.cache
def _backend(threads: int):
    options = {"max_parallel_threads": threads, "max_parallel_experiments": threads}
    return aer_import.load().AerSimulator(method="statevector", **options)


@functools.cache
def _transpiled(circuit: Circuit):
    from qiskit import transpile

    return transpile(to_qiskit(circuit), _backend(runtime.threads()), optimization_level=1)


def execute_students(student: Student, images: Images, shots: int, first: int | None = None) -> list[float | None]:
    """Accuracy of every seed when its circuits are sampled, one job per seed for all images.

    Args:
        images: the test images.
        shots: samples per image.
        first: execute this many seeds; None for all.

    Returns:
        Accuracies in [0, 1], one per seed; None for a seed that was not executed. Only a student whose angles
        depend on the image is; another's circuits would need a state preparation per image.
    """
    if student.encoder or first == 0:
        return [None] * len(student.seeds)
    with torch.inference_mode():
        chunks = images.x.split(256)
        angles = torch.cat([student.angles(chunk) for chunk in chunks], dim=1)[:first].cpu().numpy()  # (S, N, A)
    accuracies = []
    for seed, of_seed in zip(student.seeds, runtime.progress(angles, desc="Aer"), strict=False):
        frequencies = execute(student.circuit, of_seed, shots, number(seed, "shots"))
        logits = student.head(torch.from_numpy(frequencies))
        accuracies.append(float(correct(logits, images.y.cpu()).float().mean()))
    return accuracies + [None] * (len(student.seeds) - len(accuracies))
