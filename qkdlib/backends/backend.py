"""Where circuits are sampled: Qiskit Aer, any `BackendV2`, any V2 sampler primitive, behind one small interface
(`sampling.Backend`)."""

import contextlib
import functools
import itertools
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from qkdlib import aer_import, checks, runtime
from qkdlib.backends.sampling import UNKNOWN, Backend, Job
from qkdlib.noise import IDEAL, NOISY_GATES, PURE_GATES, QUIET_GATES, Noise

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.primitives import BaseSamplerV2, PrimitiveResult
    from qiskit.providers import BackendV2
    from qiskit_aer import AerSimulator
    from qiskit_aer.noise import NoiseModel

AnyBackend: TypeAlias = "Backend | Noise | BackendV2 | BaseSamplerV2 | None"  # as `get` takes it
LEAST_QUBITS, MOST_QUBITS = 2, 100  # of a made-up device
ROWS = 300  # in a job, where a backend does not say how many circuits it takes


# Gates that Aer runs with other angles than it is told to bind (https://github.com/Qiskit/qiskit-aer/issues/2403).
MISBOUND = ("cp", "crx", "cry", "crz")


class Aer(Backend):
    """A `qiskit_aer.AerSimulator`, which binds rows of angles itself where it does so rightly, on all cores that this
    process may use. If `written`, it runs circuits gate by gate as they are written, so that noise acts on those gates.
    """

    home: "AerSimulator"

    def __init__(self, simulator: "AerSimulator", name: str, noise: str, written: bool):
        super().__init__(name, noise, None if written else simulator, rows_per_job=2000, home=simulator)

    def send(self, quantum: "QuantumCircuit", angles: np.ndarray, shots: int, seed: int) -> Job:
        binds = {parameter: angles[:, parameter.index].tolist() for parameter in quantum.parameters}
        binds = binds if _binds_rightly(quantum) else {}
        rows = [quantum] if binds else _bound(quantum, angles)
        threads = {"max_parallel_threads": runtime.threads(), "max_parallel_experiments": runtime.threads()}
        options = {"parameter_binds": [binds] if binds else None, "seed_simulator": seed, **threads}
        return self.home.run(rows, shots=shots, **options)


class Qiskit(Backend):
    """Any other `BackendV2`, asked for counts: many have no memory of single shots. `options` go to its `run`."""

    home: "BackendV2"

    def __init__(self, home: "BackendV2", options: dict | None = None):
        name, most = home.name or type(home).__name__, home.max_circuits or ROWS
        super().__init__(name, _noise(home, options), home, most, settings=options, known=bool(home.name))

    def send(self, quantum: "QuantumCircuit", angles: np.ndarray, shots: int, seed: int) -> Job:
        """As `Backend.send`; the seed is for simulators that take one."""
        seeded = {"seed_simulator": seed} if "seed_simulator" in self.home.options else {}
        return self.home.run(_bound(quantum, angles), **{**(self.settings or {}), **seeded, "shots": shots})


class Primitive(Backend):
    """Any V2 sampler primitive.

    Args:
        sampler: for instance a provider's own; None: circuits are transpiled, and cannot be run.
        target: the Qiskit backend that it runs on, to transpile for; None if it takes any circuit.
        name: tells samplers apart that do not show their backend: without one, jobs of such a sampler are not kept.
        noise: by default what `target` says of itself.
    """

    def __init__(
        self, sampler: "BaseSamplerV2 | None", target: "BackendV2 | None" = None, name: str = "", noise: str = ""
    ):
        shown, seed = getattr(target, "name", None), getattr(sampler, "seed", None)
        settings = [type(sampler), getattr(sampler, "options", None), seed if isinstance(seed, int) else None]
        known = name or shown
        super().__init__(
            known or type(sampler).__name__, noise or _noise(target), target, ROWS, settings=settings, known=bool(known)
        )
        self.sampler = sampler

    def send(self, quantum: "QuantumCircuit", angles: np.ndarray, shots: int, seed: int) -> Job:
        """As `Backend.send`; samplers have seeds of their own. `ValueError`: so many samples do not fit into memory; or
        there is no sampler."""
        if self.sampler is None:
            checks.fail("backend", self.name, "one that runs circuits: this one shows what they become")
        packed = len(angles) * shots * -(-quantum.num_clbits // 8)
        checks.memory("shots", shots, 4 * packed, f"a job of {len(angles)} circuits")  # the samples, and their copies
        if not _binds_rightly(quantum):
            return self.sampler.run([(each,) for each in _bound(quantum, angles)], shots=shots)
        order = [parameter.index for parameter in quantum.parameters]  # samplers take columns in Qiskit's own order
        return self.sampler.run([(quantum, angles[:, order])], shots=shots)

    def counts(self, result: "PrimitiveResult", quantum: "QuantumCircuit", rows: int) -> np.ndarray:
        found = [each.data.meas for each in result]
        wrong = {bits.num_bits for bits in found} - {quantum.num_clbits}
        if wrong:
            raise ValueError(f"samples of {wrong.pop()} bits")
        drawn = [bits.array.reshape(-1, bits.num_shots, bits.array.shape[-1]) for bits in found]
        return np.array([_tallied(each, quantum.num_clbits) for samples in drawn for each in samples])


def get(on: AnyBackend = None) -> Backend:
    """The backend that a user means by None (Aer without noise), a `noise.Noise` (Aer with it on every gate as
    written), an `AerSimulator`, any `BackendV2`, any V2 sampler, or a `Backend`. `ValueError`: it is none of these."""
    from qiskit.primitives import BackendSamplerV2, BaseSamplerV2, StatevectorSampler
    from qiskit.providers import BackendV2

    if isinstance(on, Backend):
        return on
    if on is None or isinstance(on, Noise):
        return aer(on or IDEAL)
    if isinstance(on, aer_import.load().AerSimulator):
        return Aer(on, on.name, _noise(on), written=False)
    if isinstance(on, BackendV2):
        return Qiskit(on)
    if type(on) is BackendSamplerV2:  # it takes lacking samples for zeros
        return Qiskit(on.backend, on.options.run_options)
    if type(on) is StatevectorSampler:
        return Primitive(on, name=type(on).__name__, noise="none")
    if isinstance(on, BaseSamplerV2):
        return Primitive(on, _home(on))
    checks.fail("backend", on, "None, a qkdlib.noise.Noise, an AerSimulator, a BackendV2 or a V2 sampler")


def _bound(quantum: "QuantumCircuit", angles: np.ndarray) -> "list[QuantumCircuit]":
    """The circuit with each row of angles (N, A)."""
    order = [parameter.index for parameter in quantum.parameters]
    return [quantum.assign_parameters(row[order]) for row in angles] if order else [quantum] * len(angles)


def _binds_rightly(quantum: "QuantumCircuit") -> bool:
    """Whether Aer, which may be behind a sampler, runs each row of angles with its own."""
    return bool(quantum.parameters) and not set(quantum.count_ops()) & set(MISBOUND)


@functools.cache
def aer(noise: Noise = IDEAL) -> Backend:
    """Aer with this noise after every gate as written; without noise, or with read-out errors alone, on state vectors,
    else on density matrices."""
    method = "statevector" if noise.is_ideal or noise.kind == "readout" else "density_matrix"
    simulator = aer_import.load().AerSimulator(method=method, noise_model=_aer_model(noise))
    return Aer(simulator, "aer_simulator", str(noise), written=True)


def _aer_model(noise: Noise) -> "NoiseModel | None":
    """The noise as a `qiskit_aer.noise.NoiseModel`; None where nothing happens."""
    if noise.is_ideal:
        return None
    library = aer_import.load().noise
    pure = PURE_GATES if noise.kind == "readout" else ()
    model = library.NoiseModel(basis_gates=[*itertools.chain(*NOISY_GATES.values()), *QUIET_GATES, *pure])
    if noise.kind == "readout":
        keep = 1 - noise.level
        model.add_all_qubit_readout_error(library.ReadoutError([[keep, noise.level], [noise.level, keep]]))
        return model
    for wires, names in NOISY_GATES.items():
        if noise.kind == "depolarising":
            error = library.depolarizing_error(noise.level, wires)
        else:
            of_wires = [library.amplitude_damping_error(noise.level)] * wires
            error = functools.reduce(lambda low, high: high.tensor(low), of_wires)
        model.add_all_qubit_quantum_error(error, list(names))
    return model


@functools.cache
def device(qubits: int) -> Backend:
    """A made-up device on Aer: Qiskit's `GenericBackendV2` of `qubits` in a line, gates {cx, rz, sx, x}, with
    its gates' errors (relaxation while they last included) and its read-out errors."""
    checks.whole("qubits", qubits, LEAST_QUBITS, MOST_QUBITS)
    simulator = aer_import.load().AerSimulator.from_backend(_generic(qubits), method="density_matrix")
    return Aer(simulator, f"generic_{qubits}q_line", "GenericBackendV2", written=False)


@functools.cache
def noiseless_device(qubits: int) -> Backend:
    """The same device without noise, to see what circuits become on it."""
    return Primitive(None, _generic(qubits, noise_info=False), noise="none")


def _generic(qubits: int, noise_info: bool = True) -> "BackendV2":
    from qiskit.providers.fake_provider import GenericBackendV2
    from qiskit.transpiler import CouplingMap

    in_a_line = CouplingMap.from_line(qubits)
    return GenericBackendV2(qubits, ["cx", "rz", "sx", "x"], coupling_map=in_a_line, seed=0, noise_info=noise_info)


def _noise(home: "BackendV2 | None", options: dict | None = None) -> str:
    """The noise of a Qiskit backend in words, which `options` of its `run` may change."""
    if home is None:
        return UNKNOWN
    if not isinstance(home, aer_import.load().AerSimulator):
        return "the backend's own"
    model = (options or {}).get("noise_model", home.options.noise_model)
    return "none" if model is None or model.is_ideal() else "a noise model"


def _home(sampler: "BaseSamplerV2") -> "BackendV2 | None":
    """The Qiskit backend behind a sampler; None if it shows none."""
    from qiskit.providers import BackendV2

    for name in ("backend", "_backend"):
        with contextlib.suppress(Exception):  # a stranger's property or method
            home = getattr(sampler, name)
            home = home() if callable(home) else home
            if isinstance(home, BackendV2):
                return home
    return None


def _tallied(packed: np.ndarray, bits: int) -> np.ndarray:
    """Counts (2^bits,) of samples (shots, bytes), the most significant byte first."""
    weights = 256 ** np.arange(packed.shape[-1])[::-1]
    return np.bincount(packed.astype(np.int64) @ weights, minlength=2**bits)
