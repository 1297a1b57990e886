"""Rows of angles on a backend, in jobs of a bounded size that are sent once, asked for until they answer, and kept."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qkdlib import checks, runtime, workspace
from qkdlib.backends import backend as backends
from qkdlib.backends import jobs
from qkdlib.backends.sampling import Facts, Failed, Job, Unusable
from qkdlib.circuits import GateList
from qkdlib.randomness import number

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

PAUSE = 2.0  # seconds before a failed job is tried again; doubled each time


@dataclass(frozen=True)
class Sampled:
    """Outcome frequencies (N, 2^Q) of N rows of angles, wire 0 least significant, and how they came about."""

    frequencies: np.ndarray
    facts: Facts
    shots: int
    seed: int
    jobs: int


def sample(
    circuit: GateList, angles: np.ndarray, shots: int, seed: int, on: backends.AnyBackend = None, *,
    rows_per_job: int | None = None, attempts: int = 3, keep: Path | None = None,
) -> Sampled:  # fmt: skip
    """Run the circuit once for each row of angles. It is transpiled once.

    Args:
        angles: (N, A) in radians.
        shots: samples per row, at most 10 million.
        seed: seeds the sampling, each job differently; a real device has no seed.
        on: as in `backends.get`.
        rows_per_job: most rows in one job; None: what the backend is meant for.
        attempts: how often a job is tried before its error is raised. A job that was sent is asked for again; only one
            that has failed is sent again.
        keep: folder of finished jobs: the same call takes them from there and runs only the others (`jobs`).

    Raises:
        ValueError: an argument does not fit; before anything runs. Or the backend's answer is not what was asked for.
        RuntimeError: a job was sent and could not be fetched; it names the job.
    """
    shots, seed = checks.whole("shots", shots), checks.whole("seed", seed, minimum=0)
    checks.whole("attempts", attempts)
    if rows_per_job is not None:
        checks.whole("rows_per_job", rows_per_job)
    keep = None if keep is None else workspace.folder_place(keep, "keep")
    try:
        angles = np.asarray(angles, dtype=float)
    except (TypeError, ValueError, OverflowError):
        checks.fail("angles", angles, f"an array (N, {circuit.angles}) of numbers")
    if angles.ndim != 2 or angles.shape[1] != circuit.angles:
        checks.fail("angles", angles.shape, f"an array (N, {circuit.angles}) for circuit {circuit.name}")
    if not np.isfinite(angles).all():
        checks.fail("angles", "NaN or infinity", "finite numbers")
    backend = backends.get(on)
    quantum, found = backend.prepare(circuit), []
    kept = jobs.kept_in(keep, backend, circuit, shots)
    cut = list(_jobs(angles, rows_per_job or backend.rows_per_job, seed))
    for rows, of_job in runtime.progress(cut, desc=backend.name, leave=False) if len(cut) > 1 else cut:
        found.append(_frequencies(kept, quantum, rows, of_job, attempts))
    kept.tell()
    frequencies = np.concatenate(found) if found else np.zeros((0, 2**circuit.qubits))
    facts = dataclasses.replace(backend.facts(circuit), earlier_jobs=kept.earlier)
    return Sampled(frequencies, facts, shots, seed, len(cut))


def _jobs(angles: np.ndarray, size: int, seed: int) -> Iterator[tuple[np.ndarray, int]]:
    """Rows and seed of each job; a single job has the seed itself."""
    for job, start in enumerate(range(0, len(angles), size)):
        yield angles[start : start + size], number(seed, f"job {job}") if job else seed


def _frequencies(kept: jobs.Kept, quantum: "QuantumCircuit", rows: np.ndarray, seed: int, attempts: int) -> np.ndarray:
    """Of one job: those that are kept, or else of a job that is sent once, and then asked for until it answers."""
    backend, shots, name = kept.backend, kept.shots, kept.name(rows, seed)
    frequencies = kept.load(name, len(rows))
    if frequencies is not None:
        return frequencies
    job: Job | None = None
    sent, attempt = kept.sent(name), 0
    while frequencies is None:
        try:
            if job is None:
                job = backend.find(sent) if sent and backend.find else backend.send(quantum, rows, shots, seed)
                sent = _id(job)
                kept.note(name, sent)
            frequencies = backend.read(job.result(), quantum, len(rows), shots)
        except Unusable as error:
            kept.forget(name)
            raise Unusable(f"{error} (job {sent})") from error
        except Exception as error:
            attempt += 1
            ended = isinstance(error, Failed) or (not sent if job is None else _ended(job))
            if ended:
                kept.forget(name)
                job = sent = None
            if ended and (attempt == attempts or isinstance(error, (ValueError, TypeError))):
                raise  # a wrong value would fail again
            if attempt == attempts:
                why = f"was sent, but not fetched ({checks.line(error, 200)})"
                raise RuntimeError(f"{backend.name}: job {sent} {why}; {kept.remedy(name)}") from error
            time.sleep(PAUSE * 2 ** (attempt - 1))
    kept.save(name, frequencies)
    return frequencies


def _id(job: Any) -> str:
    """The provider's id of a job; "?" if it has none."""
    with contextlib.suppress(Exception):
        return str(job.job_id())
    return "?"


def _ended(job: Any) -> bool:
    """Whether a job failed or was cancelled, as far as it can be asked."""
    with contextlib.suppress(Exception):
        status = job.status()
        return str(getattr(status, "name", status)).upper() in ("ERROR", "CANCELLED")
    return False
