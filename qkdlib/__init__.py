"""qkdlib: knowledge distillation from classical to quantum neural networks, reproducibly.

Companion to M. J. Hasan and M. R. C. Mahdy, arXiv 2311.13810. The wings of the library, in the order of the data; each
imports only from those before it:

    images, circuits, backends, students, training, teachers, records, drawing

On top of them `pipeline` (from an experiment to its record), `execution` (of trained students on a backend),
`cluster` (many experiments) and `sweeping` (an experiment over values of its fields). What the paper says, row by row,
is the study: `qkdlib.study`, a chapter a folder, which none of these imports.

A first run, in seconds; the README's "Distil your own" goes on from there:

    small = {"classes": (0, 1, 2), "train_per_class": 70, "test_per_class": 50, "seeds": 5}
    record = qkdlib.run(qkdlib.Experiment(dataset="digits", learning_rate=3e-4, **small), workspace="my_runs")
    print(qkdlib.arms([record]).to_string())

    Experiment, Teacher     what is run, as data; `run` makes its record, `sweep` those of many values of its fields
    Circuit, register       a circuit of your own; a loss, reducer, encoder or head of your own
    splits                  the images of an experiment; `images.from_arrays` takes your own
    trained_student         the students of a record; `.one(seed)` is a PyTorch module, `load_student` reads a saved one
    execute                 them on Aer, a device or a sampler
    arms, records           tables of records, comparisons, recalls
    sklearn                 `DistilledClassifier`

`import qkdlib` is light: torch, TorchQuantum, Qiskit and torchvision are imported where they are used. It asks torch
for the portable mode (`portable`); import it before torch computes.
"""

import importlib
from typing import Any

from qkdlib import portable

__version__ = "0.2.0"

portable.request()

_HOME = {
    "Circuit": "circuit",
    "Experiment": "experiment",
    "Teacher": "experiment",
    "Workspace": "workspace",
    "Student": "students",
    "load_student": "students",
    "splits": "images",
    "train_teacher": "teachers",
    "run": "pipeline",
    "trained_student": "pipeline",
    "execute": "execution",
    "arms": "records",
    "register": "parts",
    "sweep": "sweeping",
}
__all__ = sorted(_HOME)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def __getattr__(name: str) -> Any:
    """Import a public name, or a submodule, when it is first used (PEP 562)."""
    if name in _HOME:
        return getattr(importlib.import_module(f"qkdlib.{_HOME[name]}"), name)
    try:
        return importlib.import_module(f"qkdlib.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"qkdlib.{name}":
            raise
        raise AttributeError(f"module 'qkdlib' has no attribute {name!r}") from None
