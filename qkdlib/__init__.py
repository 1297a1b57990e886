"""qkdlib: knowledge distillation from classical to quantum neural networks, reproducibly.

Companion to M. J. Hasan and M. R. C. Mahdy, arXiv 2311.13810. The modules follow the way of the data:

    experiment -> datasets -> teachers -> students, training -> records -> statistics -> tables, figures
                                              \\-> execution (Qiskit QASM simulator)

`import qkdlib` is light: torch, TorchQuantum, Qiskit and torchvision are imported where they are used. It asks torch
for the portable mode (`portable`); import it before torch computes.
"""

import importlib

from qkdlib import portable

__version__ = "0.1.0"

portable.request()

_HOME = {
    "Experiment": "experiment",
    "Teacher": "experiment",
    "Workspace": "workspace",
    "run": "pipeline",
    "execute": "execution",
    "trained_student": "pipeline",
    "train_teacher": "teacher_training",
    "splits": "datasets",
}
__all__ = sorted(_HOME)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def __getattr__(name: str):
    """Import a public name, or a submodule, when it is first used (PEP 562)."""
    if name in _HOME:
        return getattr(importlib.import_module(f"qkdlib.{_HOME[name]}"), name)
    try:
        return importlib.import_module(f"qkdlib.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"qkdlib.{name}":
            raise
        raise AttributeError(f"module 'qkdlib' has no attribute {name!r}") from None
