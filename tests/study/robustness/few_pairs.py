"""Two pairs of the executions with a few conditions, and their accuracies read back without qkdlib."""

import dataclasses
import json

import numpy as np

from qkdlib.study.robustness import sweeps
from qkdlib.workspace import Workspace

NOISES = ("depolarising", "amplitude_damping", "readout")


def pairs() -> tuple[sweeps.Pair, sweeps.Pair]:
    """The first published pair with two levels of everything, and an 8-qubit pair on its device."""
    every = sweeps.pairs()
    few = sweeps.sweep(10, (10, 100), {kind: (0.01, 0.1) for kind in NOISES})
    first = dataclasses.replace(every[0], conditions=few)
    return first, next(pair for pair in every if pair.experiment.qubits == 8)


def raw(workspace: Workspace, pair: sweeps.Pair) -> tuple[dict, dict]:
    """Accuracies (S,) of both arms by condition (noise, level, shots, images per class), from the files."""
    found = []
    for arm in pair.arms:
        body = json.loads((workspace.folder("results", "executions") / f"{arm.name}.json").read_text())
        found.append(
            {
                tuple(entry["condition"].values()): np.array([entry["accuracies"][str(s)] for s in range(10)])
                for entry in body["conditions"]
            }
        )
    return tuple(found)
