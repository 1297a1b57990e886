"""Where circuits are sampled: Qiskit Aer, any `BackendV2`, any V2 sampler primitive, behind one small interface.

A backend `prepare`s a circuit once (transpiled, its angles open) and `sample`s it for many rows of angles in one job.
"""

import abc
import functools
import hashlib
from dataclasses import dataclass

import numpy as np

from qkdlib import aer_import, checks, circuits, runtime
from qkdlib.circuits import Circuit
from qkdlib.noise import IDEAL, Noise

SEED = 0  # of the transpiler, whose routing is random


@dataclass(frozen=True)
class Facts:
    """What a circuit became on a backend: its name, the backend's noise in words, depth and gates after transpilation,
    read-out not counted."""

    backend: str
    noise: str
    depth: int
    gates: int
    two_qubit_gates: int


class Backend(abc.ABC):
    """Samples circuits. `target` is what the transpiler needs to know: a Qiskit backend, or None to leave circuits as
    they are written.

    Args:
        name, noise: as in `Facts`.
        rows_per_job: most rows of angles in one job.
    """

    def __init__(self, name: str, noise: str, target, rows_per_job: int):
        self.name, self.noise, self.target, self.rows_per_job = name, noise, target, rows_per_job
        self.identity = (name, noise)
        self._prepared = {}

    def prepare(self, circuit: Circuit):
        """The transpiled `qiskit.QuantumCircuit` with measurement, of which the angles are open parameters.

        Raises:
            ValueError: the backend has too few qubits.
        """
        most = getattr(self.target, "num_qubits", None)
        if most is not None and circuit.qubits > most:
            checks.fail("qubits", circuit.qubits, f"at most {most} on backend {self.name}")
        if circuit not in self._prepared:
            self._prepared[circuit] = self._transpiled(circuits.to_qiskit(circuit))
        return self._prepared[circuit]

    def facts(self, circuit: Circuit) -> Facts:
        """What the circuit becomes on this backend."""
        bare = self.prepare(circuit).remove_final_measurements(inplace=False)
        return Facts(self.name, self.noise, bare.depth(), bare.size(), bare.num_nonlocal_gates())

    @abc.abstractmethod
    def sample(self, quantum, angles: np.ndarray, shots: int, seed: int) -> np.ndarray:
        """Run one job; frequencies (N, 2^Q), wire 0 least significant, of a prepared circuit and angles (N, A)."""

    def _transpiled(self, quantum):
        from qiskit import transpile

        if self.target is None:
            return quantum
        return transpile(quantum, self.target, optimization_level=1, seed_transpiler=SEED)


class Aer(Backend):
    """A `qiskit_aer.AerSimulator`, which binds rows of angles itself, on all cores that this process may use.

    Args:
        written: run circuits gate by gate as they are written, so that noise acts on those gates.
    """

    def __init__(self, simulator, name: str, noise: str, written: bool):
        super().__init__(name, noise, None if written else simulator, rows_per_job=2000)
        self.simulator = simulator
        self.identity = (name, noise, _fingerprint(simulator))

    def sample(self, quantum, angles, shots, seed):
        """As `Backend.sample`."""
        binds = {parameter: angles[:, parameter.index].tolist() for parameter in quantum.parameters}
        rows = [quantum] if binds else [quantum] * len(angles)
        threads = {"max_parallel_threads": runtime.threads(), "max_parallel_experiments": runtime.threads()}
        result = self.simulator.run(
            rows, parameter_binds=[binds] if binds else None, shots=shots, seed_simulator=seed, **threads
        ).result()
        if not result.success:
            raise RuntimeError(f"{self.name} did not finish circuit {quantum.name}: {result.status}")
        counts = np.zeros((len(angles), 2**quantum.num_clbits))
        for row in range(len(angles)):
            for outcome, count in result.data(row)["counts"].items():
                counts[row, int(outcome, 16)] = count
        return counts / shots


class Primitive(Backend):
    """Any V2 sampler primitive.

    Args:
        sampler: for instance `qiskit.primitives.BackendSamplerV2(backend=...)`, or a provider's own.
        target: the Qiskit backend that it runs on, to transpile for; None if it takes any circuit.
    """

    def __init__(self, sampler, target=None, name: str = "", noise: str = "the backend's own", rows_per_job: int = 300):
        super().__init__(name or getattr(target, "name", None) or type(sampler).__name__, noise, target, rows_per_job)
        self.sampler = sampler
        self.identity = (self.name, noise, _fingerprint(target))

    def sample(self, quantum, angles, shots, seed):
        """As `Backend.sample`; the seed is for simulators that take one."""
        _seed(self.sampler, seed)
        order = [parameter.index for parameter in quantum.parameters]  # samplers take columns in Qiskit's own order
        block = (quantum, angles[:, order]) if order else (quantum,)
        rows = [block] if order else [block] * len(angles)
        found = [result.data.meas for result in self.sampler.run(rows, shots=shots).result()]
        drawn = [bits.array.reshape(-1, bits.num_shots, bits.array.shape[-1]) for bits in found]
        return np.array([_frequencies(each, quantum.num_clbits) for samples in drawn for each in samples])


def get(on=None) -> Backend:
    """The backend that a user means.

    Args:
        on: None: Aer without noise; a `noise.Noise`: Aer with it on every gate as written; an `AerSimulator`; any
            `BackendV2`; any V2 sampler; a `Backend`.

    Raises:
        ValueError: it is none of these.
    """
    from qiskit.primitives import BackendSamplerV2, BaseSamplerV2
    from qiskit.providers import BackendV2

    if isinstance(on, Backend):
        return on
    if on is None or isinstance(on, Noise):
        return aer(on or IDEAL)
    if isinstance(on, aer_import.load().AerSimulator):
        model = on.options.noise_model
        return Aer(on, on.name, "none" if model is None or model.is_ideal() else "a noise model", written=False)
    if isinstance(on, BackendV2):
        most = on.max_circuits or 300
        return Primitive(BackendSamplerV2(backend=on), on, rows_per_job=most)
    if isinstance(on, BaseSamplerV2):
        home = getattr(on, "backend", None)
        return Primitive(on, home() if callable(home) else home)
    return checks.fail("backend", on, "None, a qkdlib.noise.Noise, an AerSimulator, a BackendV2 or a V2 sampler")


@functools.cache
def aer(noise: Noise = IDEAL) -> Backend:
    """Aer with this noise after every gate as written; without noise, or with read-out errors alone, on state vectors,
    else on density matrices."""
    method = "statevector" if noise.is_ideal or noise.kind == "readout" else "density_matrix"
    simulator = aer_import.load().AerSimulator(method=method, noise_model=noise.aer_model())
    return Aer(simulator, "aer_simulator", str(noise), written=True)


@functools.cache
def device(qubits: int, seed: int = 0) -> Backend:
    """A made-up device on Aer: Qiskit's `GenericBackendV2` of `qubits` in a line, gates {cx, rz, sx, x}, with
    its gates' errors (relaxation while they last included) and its read-out errors."""
    simulator = aer_import.load().AerSimulator.from_backend(_generic(qubits, seed), method="density_matrix")
    return Aer(simulator, f"generic_{qubits}q_line", "GenericBackendV2", written=False)


@functools.cache
def line(qubits: int) -> Backend:
    """The same device without noise, to see what circuits become on it."""
    return Primitive(None, _generic(qubits, noise_info=False), noise="none")


def _generic(qubits: int, seed: int = 0, noise_info: bool = True):
    from qiskit.providers.fake_provider import GenericBackendV2
    from qiskit.transpiler import CouplingMap

    in_a_line = CouplingMap.from_line(qubits)
    return GenericBackendV2(qubits, ["cx", "rz", "sx", "x"], coupling_map=in_a_line, seed=seed, noise_info=noise_info)


def _fingerprint(target) -> str:
    """A short text that differs between backends of one name whose errors differ."""
    model = getattr(getattr(target, "options", None), "noise_model", None)
    if model is not None:
        return hashlib.sha256(repr(model.to_dict(serializable=True)).encode()).hexdigest()[:16]
    known = getattr(target, "target", None)
    if known is None:
        return ""
    rates = [
        (name, wires, properties and (properties.error, properties.duration))
        for name in sorted(known.operation_names)
        for wires, properties in sorted((known[name] or {}).items(), key=repr)
    ]
    return hashlib.sha256(repr(rates).encode()).hexdigest()[:16]


def _seed(sampler, seed: int) -> None:
    from qiskit.primitives import BackendSamplerV2

    if isinstance(sampler, BackendSamplerV2):
        sampler.options.seed_simulator = seed


def _frequencies(packed: np.ndarray, bits: int) -> np.ndarray:
    """Frequencies (2^bits,) of samples (shots, bytes), the most significant byte first."""
    weights = 256 ** np.arange(packed.shape[-1])[::-1]
    return np.bincount(packed.astype(np.int64) @ weights, minlength=2**bits) / len(packed)
