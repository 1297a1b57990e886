"""Execution of circuits and of trained students on a quantum backend: jobs of a bounded size, retried and kept."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from qkdlib import backends, checks, runtime
from qkdlib.backends import Backend, Facts
from qkdlib.circuits import Circuit
from qkdlib.datasets import Images
from qkdlib.files import atomic
from qkdlib.randomness import number
from qkdlib.students import Student, correct

PAUSE = 2.0  # seconds before a failed job is tried again; doubled each time


@dataclass(frozen=True)
class Sampled:
    """Outcome frequencies (N, 2^Q) of N rows of angles, wire 0 least significant, and how they came about."""

    frequencies: np.ndarray
    facts: Facts
    shots: int
    seed: int
    jobs: int


@dataclass(frozen=True)
class Executed:
    """Accuracies in [0, 1] of some seeds of a student on a backend, by seed, and how they came about."""

    accuracies: dict[int, float]
    facts: Facts
    shots: int
    images: int
    jobs: int
    seconds: float


def sample(
    circuit: Circuit, angles: np.ndarray, shots: int, seed: int, on=None, *, rows_per_job: int | None = None,
    attempts: int = 3, keep: Path | None = None,
) -> Sampled:  # fmt: skip
    """Run the circuit once for each row of angles. It is transpiled once.

    Args:
        angles: (N, A) in radians.
        shots: samples per row.
        seed: seeds the sampling, each job differently; a real device has no seed.
        on: as in `backends.get`.
        rows_per_job: most rows in one job; None: what the backend is meant for.
        attempts: how often a job is tried before its error is raised.
        keep: folder of finished jobs: the same call takes them from there and runs only the others.

    Raises:
        ValueError: an argument does not fit; before anything runs.
    """
    checks.whole("shots", shots)
    checks.whole("attempts", attempts)
    if rows_per_job is not None:
        checks.whole("rows_per_job", rows_per_job)
    angles = np.asarray(angles, dtype=float)
    if angles.ndim != 2 or angles.shape[1] != circuit.angles:
        checks.fail("angles", angles.shape, f"an array (N, {circuit.angles}) for circuit {circuit.name}")
    if not np.isfinite(angles).all():
        checks.fail("angles", "NaN or infinity", "finite numbers")
    backend = backends.get(on)
    quantum, found = backend.prepare(circuit), []
    jobs = list(_jobs(angles, rows_per_job or backend.rows_per_job, seed))
    for rows, of_job in runtime.progress(jobs, desc=backend.name, leave=False) if len(jobs) > 1 else jobs:
        path = keep and Path(keep) / f"{_name(backend, circuit, rows, shots, of_job)}.npz"
        if path is not None and path.exists():
            found.append(_kept(path))
            continue
        frequencies = _tried(lambda rows=rows, seed=of_job: backend.sample(quantum, rows, shots, seed), attempts)
        if path is not None:
            with atomic(path) as temporary:
                np.savez_compressed(temporary, frequencies=frequencies)
        found.append(frequencies)
    frequencies = np.concatenate(found) if found else np.zeros((0, 2**circuit.qubits))
    return Sampled(frequencies, backend.facts(circuit), shots, seed, len(jobs))


def execute(
    student: Student, images: Images, *, shots: int | None = None, on=None, seeds: int | None = None,
    rows_per_job: int | None = None, attempts: int = 3, keep: Path | None = None,
) -> Executed:  # fmt: skip
    """Run a trained student's circuits for every image and classify by what was sampled.

    Args:
        images: for instance `splits(experiment).test`.
        shots: samples per image; None: as the experiment says.
        on, rows_per_job, attempts, keep: as in `sample`.
        seeds: how many of the student's seeds, from the first; None for all.

    Raises:
        ValueError: an argument does not fit; before anything runs.
    """
    shots = student.experiment.shots if shots is None else shots
    checks.whole("shots", shots)
    seeds = len(student.seeds) if seeds is None else seeds
    checks.whole("seeds", seeds, maximum=len(student.seeds))
    if student.executed is None:
        checks.fail("ansatz", student.experiment.ansatz, "h_ry or rx_ry_rz: a classical twin has no circuit")
    backend, started = backends.get(on), time.perf_counter()
    facts, jobs = backend.facts(student.executed), 0
    angles = _angles(student, images.x)[:seeds]  # (S, N, A)
    accuracies = {}
    for place, seed in enumerate(runtime.progress(student.seeds[:seeds], desc=backend.name)):
        found = sample(
            student.executed, angles[place], shots, number(seed, "shots"), backend, rows_per_job=rows_per_job,
            attempts=attempts, keep=keep,
        )  # fmt: skip
        jobs += found.jobs
        logits = student.read_out(torch.from_numpy(found.frequencies), place).cpu()
        accuracies[seed] = float(correct(logits, images.y.cpu()).float().mean())
    return Executed(accuracies, facts, shots, len(images), jobs, time.perf_counter() - started)


def _angles(student: Student, x: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        chunks = x.to(student.signs.device).split(student.reducer.evaluation_batch)
        return torch.cat([student.angles(chunk) for chunk in chunks], dim=1).cpu().numpy()


def _jobs(angles: np.ndarray, size: int, seed: int) -> Iterator[tuple[np.ndarray, int]]:
    """Rows and seed of each job; a single job has the seed itself."""
    for job, start in enumerate(range(0, len(angles), size)):
        yield angles[start : start + size], number(seed, f"job {job}") if job else seed


def _name(backend: Backend, circuit: Circuit, rows: np.ndarray, shots: int, seed: int) -> str:
    body = repr((backend.identity, backend.facts(circuit), circuit, shots, seed)).encode() + rows.tobytes()
    return f"job_{hashlib.sha256(body).hexdigest()[:20]}"


def _kept(path: Path) -> np.ndarray:
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            return file["frequencies"]
    except Exception as error:
        raise ValueError(f"{path} is damaged ({error}); delete it to run that job again") from error


def _tried(job, attempts: int) -> np.ndarray:
    for attempt in range(1, attempts + 1):
        try:
            return job()
        except (ValueError, TypeError):
            raise  # it would fail again
        except Exception:
            if attempt == attempts:
                raise
            time.sleep(PAUSE * 2 ** (attempt - 1))
    raise AssertionError
