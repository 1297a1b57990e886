"""What all backends do: prepare a circuit once (transpiled, its angles open), send jobs of many rows of angles and read
what they answer. An answer that lacks what was asked for is an error, never a row of zeros."""

import abc
import contextlib
import numbers
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from qkdlib import checks, circuits
from qkdlib.circuit import GATES
from qkdlib.circuits import GateList

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2
    from qiskit.result import Result

SEED = 0  # of the transpiler, whose routing is random
UNKNOWN, AS_WRITTEN, TRANSPILED = "unknown", "as written", "transpiled"
STATES = {"statevector": ("a state vector", 2), "density_matrix": ("a density matrix", 4)}  # numbers: this ** qubits


class Failed(RuntimeError):
    """A job that ended without a result."""


class Unusable(ValueError):
    """A result that is not what was asked for."""


class Job(Protocol):
    """A job that was sent, as Qiskit's are; most have a `job_id()` and a `status()`, too."""

    def result(self) -> Any:
        """Wait for what the backend answers."""


@dataclass(frozen=True)
class Facts:
    """What a circuit became on a backend: its name, the backend's noise in words, depth and gates after transpilation,
    read-out not counted.

    `circuit` is `as written`, `transpiled`, or `unknown`: a sampler that does not show its backend may change the
    circuit in ways of its own; depth and gates are then those of the circuit that it was given. Of the jobs that were
    kept, `earlier_jobs` ran when the backend had another calibration than now.
    """

    backend: str
    noise: str
    depth: int
    gates: int
    two_qubit_gates: int
    circuit: str = ""
    earlier_jobs: int = 0


class Backend(abc.ABC):
    """Samples circuits. `target` is what the transpiler needs to know: a Qiskit backend, or None to leave circuits as
    they are written.

    Args:
        name, noise: as in `Facts`.
        rows_per_job: most rows of angles in one job.
        home: the Qiskit backend on which circuits run, by default `target`; None if it is not known.
        settings: what else decides the outcomes, for instance a sampler's options.
        known: whether all this tells the backend from others, so that its jobs can be kept.
    """

    def __init__(
        self, name: str, noise: str, target: "BackendV2 | None", rows_per_job: int, home: "BackendV2 | None" = None,
        settings: Any = None, known: bool = True,
    ):  # fmt: skip
        self.name, self.noise, self.target, self.rows_per_job = name, noise, target, rows_per_job
        self.home, self.settings, self.known = target if home is None else home, settings, known
        self._prepared: dict[GateList, QuantumCircuit] = {}

    def prepare(self, circuit: GateList) -> "QuantumCircuit":
        """The transpiled `qiskit.QuantumCircuit` with measurement, of which the angles are open parameters.
        `ValueError`: the backend cannot run the circuit, or the simulated state does not fit into memory."""
        most = getattr(self.target, "num_qubits", None)
        if most is not None and circuit.qubits > most:
            checks.fail("qubits", circuit.qubits, f"at most {most} on backend {self.name}")
        if circuit not in self._prepared:
            what, base = STATES.get(getattr(getattr(self.home, "options", None), "method", ""), ("", 0))
            checks.memory("qubits", circuit.qubits, 16 * base**circuit.qubits, what)
            has = set(getattr(self.home, "operation_names", ())) if self.target is None else set()
            if has and (lacking := sorted({gate.name for gate in circuit.gates} - has)):
                runs = ", ".join(name for name in GATES if name in has)
                checks.fail("gate", lacking[0], f"gates of {self.name}, noise {self.noise}: {runs}")
            self._prepared[circuit] = self._transpiled(circuits.to_qiskit(circuit))
        return self._prepared[circuit]

    def facts(self, circuit: GateList) -> Facts:
        """What the circuit becomes on this backend."""
        bare = self.prepare(circuit).remove_final_measurements(inplace=False)
        became = TRANSPILED if self.target is not None else UNKNOWN if self.noise == UNKNOWN else AS_WRITTEN
        return Facts(self.name, self.noise, bare.depth(), bare.size(), bare.num_nonlocal_gates(), became)

    def sample(self, quantum: "QuantumCircuit", angles: np.ndarray, shots: int, seed: int) -> np.ndarray:
        """Send one job and wait for it; frequencies (N, 2^Q), wire 0 least significant, of a prepared circuit and
        angles (N, A). Errors as of `read`."""
        return self.read(self.send(quantum, angles, shots, seed).result(), quantum, len(angles), shots)

    def read(self, result: Any, quantum: "QuantumCircuit", rows: int, shots: int) -> np.ndarray:
        """Frequencies (rows, 2^Q) in the result of a job. `Failed`: it says that the job failed. `Unusable`: it is not
        `shots` samples of every row."""
        if getattr(result, "success", True) is False:
            status = checks.line(getattr(result, "status", UNKNOWN), 200)  # Aer's has a sentence per circuit
            raise Failed(f"{self.name} did not finish circuit {quantum.name}: {status}")
        try:
            return check_frequencies(self.counts(result, quantum, rows) / shots, rows, quantum.num_clbits, shots)
        except OSError:
            raise  # a connection that was lost while the result was read
        except Exception as error:
            raise Unusable(
                f"backend {self.name} gave an answer that cannot be used ({checks.line(error, 200)}); expected: "
                f"{shots} shots over {2**quantum.num_clbits} outcomes for each of {rows} circuits"
            ) from error

    @abc.abstractmethod
    def send(self, quantum: "QuantumCircuit", angles: np.ndarray, shots: int, seed: int) -> Job:
        """Start one job of a prepared circuit and angles (N, A)."""

    def counts(self, result: "Result", quantum: "QuantumCircuit", rows: int) -> np.ndarray:
        """How often each outcome was measured, (rows, 2^Q), wire 0 least significant, in a `qiskit.result.Result`."""
        counts = np.zeros((rows, 2**quantum.num_clbits))
        for row in range(rows):
            for outcome, count in _counts(result, row).items():
                counts[row, _outcome(outcome, quantum.num_clbits)] += count
        return counts

    @property
    def find(self) -> Callable[[str], Job] | None:
        """The function by which the provider gives a job again for its id; None if there is none."""
        service = getattr(self.home, "service", None)
        return getattr(service, "job", None) or getattr(self.home, "retrieve_job", None)

    def _transpiled(self, quantum: "QuantumCircuit") -> "QuantumCircuit":
        from qiskit import transpile
        from qiskit.transpiler.exceptions import TranspilerError

        if self.target is None:
            return quantum
        try:
            return transpile(quantum, self.target, optimization_level=1, seed_transpiler=SEED)
        except TranspilerError as error:
            why = checks.line(error.message, 200)
            checks.fail("backend", self.name, f"one that can run circuit {quantum.name} ({why})")


def check_frequencies(frequencies: np.ndarray, rows: int, bits: int, shots: int) -> np.ndarray:
    """The frequencies (rows, 2^bits) again. `ValueError`: a row cannot be that of `shots` samples; it says why."""
    frequencies = np.asarray(frequencies)
    if frequencies.dtype.kind != "f":
        raise ValueError(f"frequencies of type {frequencies.dtype}")
    if frequencies.shape != (rows, 2**bits):
        raise ValueError(f"frequencies of shape {frequencies.shape} in place of {(rows, 2**bits)}")
    if not np.isfinite(frequencies).all() or (frequencies < 0).any():
        raise ValueError("frequencies that are negative or no numbers")
    sums = frequencies.sum(1)
    if (abs(sums - 1) > 1e-9).any():
        raise ValueError(f"{shots * sums[abs(sums - 1).argmax()]:.6g} samples of a row in place of {shots}")
    if (abs(shots * frequencies - np.round(shots * frequencies)) > 1e-6).any():
        raise ValueError("frequencies that are no counts")
    return frequencies


def _counts(result: "Result", row: int) -> dict[object, int]:
    """Counts by outcome of one circuit, from wherever a provider puts them; else its single shots, counted."""
    for read in (lambda: result.results[row].data.counts, lambda: result.get_counts(row)):
        with contextlib.suppress(Exception):
            return dict(read())
    with contextlib.suppress(Exception):
        return Counter(result.get_memory(row))
    raise ValueError(f"neither counts nor single shots of circuit {row}")


def _outcome(key: object, bits: int) -> int:
    """The number of an outcome that is a number, a bit string or a hexadecimal one."""
    text = str(key).replace(" ", "").lower()
    base = 10 if isinstance(key, numbers.Integral) else 16 if text.startswith("0x") else 2
    outcome = int(text, base)
    if not 0 <= outcome < 2**bits or (base == 2 and len(text.removeprefix("0b")) > bits):
        raise ValueError(f"outcome {checks.shortened(key)} of {bits} bits")
    return outcome
