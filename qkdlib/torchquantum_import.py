"""The one place that imports TorchQuantum, in either of the two releases that are installed under that name.

torchquantum-ng, the fork that the dependencies ask for, imports Qiskit Aer, so that Aer is loaded first, in our way,
and replaces a method of Qiskit's circuits, which is put back. TorchQuantum 0.1.8 imports its Qiskit bridge, which asks
for names that are gone since Qiskit 1.0 (https://github.com/mit-han-lab/torchquantum/issues/332), and which its
simulator does not need: `load()` puts empty stand-ins in the place of the bridge's modules while it imports that
release. Either takes seconds, so that it is done where a circuit is built.
"""

import contextlib
import functools
import importlib
import importlib.util
import re
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from qkdlib import aer_import

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


@contextlib.contextmanager
def _qiskit_as_it_is() -> Iterator[None]:
    """Undo what the fork's import does to Qiskit: with the fork's `unitary`, Qiskit's `StatePreparation` fails."""
    from qiskit import QuantumCircuit

    own = QuantumCircuit.unitary
    try:
        yield
    finally:
        QuantumCircuit.unitary = own


def _is_old() -> bool:
    """Whether `import torchquantum` would find a release before the fork's, by the version that its own files state:
    both may be known to pip."""
    found = importlib.util.find_spec("torchquantum")
    if found is None or found.origin is None:
        return False
    with contextlib.suppress(OSError, ValueError):
        said = Path(found.origin).with_name("__version__.py").read_text(encoding="utf-8")
        return re.search(r"^version = \"0\.[01]\.", said, flags=re.M) is not None
    return False


@functools.cache
def load() -> types.ModuleType:
    """Return the `torchquantum` module, importing it on the first call."""
    try:
        # Its constant matrices have to serve in a training too, whatever mode the caller is in.
        with warnings.catch_warnings(), torch.inference_mode(False):
            warnings.simplefilter("ignore")  # invalid escapes and deprecations in its own source
            if _is_old():
                with _stand_ins():
                    return importlib.import_module("torchquantum")
            aer_import.load()
            with _qiskit_as_it_is():
                return importlib.import_module("torchquantum")
    except ImportError as error:
        raise ImportError(
            f"torchquantum cannot be imported ({error}); run `make setup`, or `pip uninstall torchquantum` and then "
            "`pip install torchquantum-ng==0.2.0`"
        ) from error
