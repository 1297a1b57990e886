"""Finished jobs, kept in a folder so that none runs, and costs, twice.

A job is known by what is asked (the circuit as written, the rows of angles, shots, seed) and by what is declared of its
backend: class, name, qubits, gates, couplings, options, and a noise model by its content. Devices of one class and name
are thus one device. The error rates that a device measures of itself, its calibration, change from one session to the
next: jobs of an earlier one are taken, because they were paid for, with a warning, and counted in `Facts.earlier_jobs`.
A sampler that shows no backend is known by nothing: its jobs are not kept unless the user names it.
"""

import dataclasses
import hashlib
import json
import numbers
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qkdlib import files
from qkdlib.backends.sampling import Backend, check_frequencies
from qkdlib.circuits import GateList

# Parts of the names of options that leave the outcomes' probabilities as they are.
INDIFFERENT = ("seed", "shots", "memory", "parallel", "thread", "executor", "job", "execution_time", "environment")
HEAD = 1 << 14  # bytes of an npz file beside the frequencies


class Kept:
    """The finished jobs of one circuit on one backend, in a folder of many circuits' and backends' jobs; None: nothing
    is kept. `earlier` counts the jobs taken that ran under another calibration of the backend."""

    def __init__(self, folder: Path | None, backend: Backend, circuit: GateList, shots: int):
        self.folder, self.backend, self.circuit, self.shots = folder, backend, circuit, shots
        self.earlier = 0
        if folder is not None:
            files.writable(folder)
            self.asked = [identity(backend), dataclasses.astuple(circuit), shots]
            self.calibration = calibration(backend)

    def name(self, rows: np.ndarray, seed: int) -> str:
        """What the files of a job are called."""
        if self.folder is None:
            return ""
        content = hashlib.sha256(rows.astype("<f8").tobytes()).hexdigest()
        body = json.dumps([self.asked, seed, rows.shape, content], sort_keys=True)
        return f"job_{hashlib.sha256(body.encode()).hexdigest()[:40]}"

    def load(self, name: str, rows: int) -> np.ndarray | None:
        """Frequencies (rows, 2^Q) of a finished job; None where there are none. A damaged file is set aside."""
        return None if self.folder is None else files.or_aside(self._read, self.folder / f"{name}.npz", rows)

    def _read(self, path: Path, rows: int) -> np.ndarray:
        bits = self.circuit.qubits
        with files.checked(path):
            found = files.read_arrays(path, rows * 2**bits * 8 + HEAD)
            if str(found["job"]) != path.stem:
                raise ValueError(f"it is that of {found['job']}")
            frequencies = check_frequencies(found["frequencies"], rows, bits, self.shots)
            self.earlier += str(found["calibration"]) != self.calibration
        return frequencies

    def save(self, name: str, frequencies: np.ndarray) -> None:
        """Keep a finished job."""
        if self.folder is None:
            return
        arrays = {"frequencies": frequencies, "job": np.array(name), "calibration": np.array(self.calibration)}
        files.write_arrays(self.folder / f"{name}.npz", arrays)
        self.forget(name)

    def sent(self, name: str) -> str | None:
        """The provider's id of a job that was sent before, and not fetched; None if it cannot be asked for."""
        if self.folder is None or self.backend.find is None:
            return None
        return files.or_aside(_provider_id, self.folder / f"{name}.json")

    def note(self, name: str, provider_id: str) -> None:
        """Write down the id of a job that was sent, so that the same call asks for it and does not send it again."""
        if self.folder is not None and self.backend.find is not None and provider_id != "?":
            body = {"backend": self.backend.name, "id": provider_id}
            files.write_text(self.folder / f"{name}.json", json.dumps(body))

    def remedy(self, name: str) -> str:
        """What can be done about a job that was sent and cannot be fetched."""
        if self.folder is None or not (path := self.folder / f"{name}.json").exists():
            return "the provider may still have it"
        return f"the same call asks for it again, or sends it again if you delete {path}"

    def forget(self, name: str) -> None:
        """Remove the id: the job was fetched, or has failed."""
        if self.folder is not None:
            (self.folder / f"{name}.json").unlink(missing_ok=True)

    def tell(self) -> None:
        """Warn if jobs of another calibration were taken."""
        if self.earlier:
            warnings.warn(
                f"jobs in {self.folder} ran on {self.backend.name} under another calibration than it has now, and are "
                "taken; keep=another folder runs them again", stacklevel=3,
            )  # fmt: skip


def _provider_id(path: Path) -> str:
    with files.checked(path):
        return str(files.read_json(path)["id"])


def kept_in(keep: Path | None, backend: Backend, circuit: GateList, shots: int) -> Kept:
    """The finished jobs in the folder `keep`; none, with a warning, if nothing tells the backend from others."""
    if keep is not None and not backend.known:
        warnings.warn(
            f"keep={keep} is not used: {backend.name} shows no backend that would tell its jobs from others'; "
            "on=qkdlib.backends.Primitive(sampler, name=...) names it", stacklevel=3,
        )  # fmt: skip
        keep = None
    return Kept(keep, backend, circuit, shots)


def identity(backend: Backend) -> list:
    """What is declared of a backend, as JSON holds it."""
    from qiskit.providers.fake_provider import GenericBackendV2

    home, parts = backend.home, [type(backend), backend.name, backend.noise, backend.settings]
    if home is not None:
        names, couplings = getattr(home, "operation_names", None), getattr(home, "coupling_map", None)
        parts += [type(home), getattr(home, "name", None), getattr(home, "num_qubits", None)]
        parts += [set(names or ()), set(couplings or ())]
        options = dict(getattr(home, "options", {}))
        if isinstance(home, GenericBackendV2):  # from its first run on, the noise of its calibration
            options.pop("noise_model", None)
        parts.append(options)
    return _plain(parts)


def calibration(backend: Backend) -> str:
    """A short text that differs when a device's error rates or durations do; empty if it tells none."""
    known = getattr(backend.home, "target", None)
    if known is None:
        return ""
    rates = [
        (name, wires, properties and (properties.error, properties.duration))
        for name in sorted(known.operation_names)
        for wires, properties in sorted((known[name] or {}).items(), key=repr)
    ]
    return hashlib.sha256(repr(rates).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """The same JSON for the same content in every session: containers by their members, noise models by their errors,
    what JSON does not know by its text, or by its class where the text is an address in memory."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, numbers.Number):
        return str(value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    elif hasattr(value, "to_dict") and type(value).__name__ == "NoiseModel":
        value = value.to_dict(serializable=True)
    if isinstance(value, Mapping):
        # Errors of a noise model have random ids.
        named = {str(key): each for key, each in value.items() if key != "id"}
        return {key: _plain(each) for key, each in named.items() if not any(word in key for word in INDIFFERENT)}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(each) for each in value), key=json.dumps)
    if isinstance(value, np.ndarray):
        return value.tolist()
    return repr(value) if " at 0x" not in repr(value) else _plain(type(value))
