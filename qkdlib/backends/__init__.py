"""Backends: where circuits are sampled, which is Qiskit Aer, any `BackendV2` or any V2 sampler.

`sample` runs one circuit for many rows of angles, in jobs that are sent once, retried and kept; `samplers` are what a
student sees in a training on counts.
"""

from qkdlib.backends.backend import LEAST_QUBITS, MOST_QUBITS, AnyBackend, Primitive, aer, device, get, noiseless_device
from qkdlib.backends.sampling import Backend, Facts, Failed, Unusable
from qkdlib.backends.submission import Sampled, sample

__all__ = [
    "LEAST_QUBITS", "MOST_QUBITS", "AnyBackend", "Backend", "Facts", "Failed", "Primitive", "Sampled", "Unusable",
    "aer", "device", "get", "noiseless_device", "sample",
]  # fmt: skip
