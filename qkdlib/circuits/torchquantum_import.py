"""The one place that imports TorchQuantum.

TorchQuantum 0.1.8 imports its Qiskit bridge, which asks for names that are gone since Qiskit 1.0
(https://github.com/mit-han-lab/torchquantum/issues/332), and which its simulator does not need. `load()` puts empty
stand-ins in the place of the bridge's modules while it imports TorchQuantum. That takes seconds, so that it is done
where a circuit is built.
"""

import contextlib
import functools
import importlib
import sys
import types
import warnings
from collections.abc import Iterator

import torch

STAND_INS = (
    "qiskit_ibm_runtime",
    "qiskit.providers.aer",
    "qiskit.providers.aer.noise",
    "qiskit.providers.aer.noise.device",
    "qiskit.providers.aer.noise.device.parameters",
    "torchquantum.plugin",
    "torchquantum.plugin.qiskit",
)


class _StandIn(types.ModuleType):
    """A module in which every public name exists and is an empty class."""

    QISKIT_INCOMPATIBLE_FUNC_NAMES: tuple[str, ...] = ()
    __path__ = []

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    absent = [name for name in STAND_INS if name not in sys.modules]
    sys.modules.update({name: _StandIn(name) for name in absent})
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


@functools.cache
def load() -> types.ModuleType:
    """Return the `torchquantum` module, importing it on the first call."""
    try:
        # Its constant matrices have to serve in a training too, whatever mode the caller is in.
        with _stand_ins(), warnings.catch_warnings(), torch.inference_mode(False):
            warnings.simplefilter("ignore")  # invalid escapes and deprecations in its own source
            return importlib.import_module("torchquantum")
    except ImportError as error:
        raise ImportError(
            f"torchquantum cannot be imported ({error}); run `make setup`, or install the version in "
            "requirements.lock with `pip install --no-deps torchquantum==0.1.8`"
        ) from error
