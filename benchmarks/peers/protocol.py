"""How `benchmarks/peers.py` talks with a peer: the peer reads its inputs from a file, says the losses of its first
three steps, and then trains as many epochs as each line on its standard input asks for."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Inputs:
    """A step job: the experiment as a dictionary, `images` (N, C, H, W), `labels` (N,), `teacher` (N, C), `rows`
    (S, 3 B) of the first three batches, and the initial `weights` by the names of this library's parameters."""

    experiment: dict
    images: np.ndarray
    labels: np.ndarray
    teacher: np.ndarray
    rows: np.ndarray
    weights: dict[str, np.ndarray]


def read(path: Path) -> Inputs:
    """What `write` has written."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    parts = [arrays.pop(name) for name in ("images", "labels", "teacher", "rows")]
    return Inputs(json.loads(str(arrays.pop("experiment"))), *parts, arrays)


def write(path: Path, inputs: Inputs) -> None:
    """Keep the inputs of a step job."""
    parts = {name: getattr(inputs, name) for name in ("images", "labels", "teacher", "rows")}
    np.savez(path, experiment=json.dumps(inputs.experiment), **parts, **inputs.weights)


def answer(train: Callable[[int], None], losses: list | None = None) -> None:
    """Say the first losses (S, 3) and the seconds of the first epoch, compiling included; then train `train(epochs)`
    whenever a line asks for it, and say the seconds."""
    started = time.perf_counter()
    train(1)
    print(json.dumps({"losses": losses, "first": time.perf_counter() - started}), flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        train(int(line))
        print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)
