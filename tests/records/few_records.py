"""Records of few epochs and seeds, made up."""

import json

from qkdlib.experiment import Experiment
from qkdlib.records import Record

TASK = Experiment(dataset="digits", epochs=3, seeds=2)


def curves(last=0.9, qasm=0.8):
    """A made-up seed of three epochs."""
    return {
        "validation_accuracy": [0.5, 0.7, 0.6],
        "validation_ce": [1.0, 0.8, 0.9],
        "test_accuracy": [0.4, 0.6, last],
        "qasm_accuracy": qasm,
    }


def saved(workspace, experiment=TASK, seeds=(0, 1)):
    """The path of a saved record."""
    results = {seed: curves(0.5 + seed / 100) for seed in seeds}
    return Record(experiment, results, [{"seeds": list(seeds)}]).save(workspace)


def edited(path, change):
    """Change a record's JSON in place."""
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))


def waiting(seeds) -> dict:
    """An entry of the provenance."""
    return {"unexecuted": seeds, "seconds": {"all": 1.0}}


def record(lasts, experiment=None) -> Record:
    """A made-up record of one epoch whose test accuracies (from 0 to 1) are `lasts`."""
    experiment = experiment or Experiment(dataset="digits", epochs=1, seeds=len(lasts))
    same, seeds = {"validation_accuracy": [0.5], "validation_ce": [1.0]}, {}
    for seed, last in enumerate(lasts):
        seeds[seed] = {**same, "test_accuracy": [last], "qasm_accuracy": last / 2}
    return Record(experiment, seeds)


def executed(lasts: list[float], qasm: list[float | None]) -> Record:
    """The same, with other accuracies on the QASM simulator; None: not executed there."""
    made = record(lasts)
    for results, value in zip(made.seeds.values(), qasm, strict=True):
        results["qasm_accuracy"] = value
    return made
