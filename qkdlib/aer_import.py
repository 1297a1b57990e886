"""The one place that imports Qiskit Aer.

Aer brings an OpenMP library of its own, but on Linux its symbols bind to the one that torch has loaded for the
whole process. Two versions then share one set of threads: after the first Aer job, torch's threads sleep between
operations in place of spinning, and training takes twice as long (`benchmarks/execution.py`). `RTLD_DEEPBIND` lets Aer
find its own library first.
"""

import functools
import importlib
import os
import sys
import types


@functools.cache
def load() -> types.ModuleType:
    """Return the `qiskit_aer` module, importing it on the first call."""
    if not hasattr(os, "RTLD_DEEPBIND"):
        return importlib.import_module("qiskit_aer")
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        return importlib.import_module("qiskit_aer")
    finally:
        sys.setdlopenflags(flags)
