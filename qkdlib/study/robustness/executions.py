"""Records of executions: what the trained students of one experiment reach on quantum backends, under conditions.

One small JSON file per experiment in `results/executions/`, with one entry per condition. An entry is found again by
its condition; the file by the experiment's digest.
"""

import dataclasses
import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

from qkdlib import backends, checks, files
from qkdlib import experiment as experiments
from qkdlib.backends import Backend, Facts
from qkdlib.execution import Executed
from qkdlib.experiment import Experiment
from qkdlib.noise import MOST, Noise
from qkdlib.records.results import seed_of
from qkdlib.workspace import Workspace

DEVICE = "device"
DIGITS = 6


@dataclass(frozen=True)
class Condition:
    """How students are executed.

    Args:
        noise: `noise.Noise`'s kinds, on Aer; or `device`, Qiskit's `GenericBackendV2` in a line.
        level: of the noise; of a device its number of qubits.
        shots: samples per image.
        images_per_class: the first of each class among the test images.
    """

    noise: str = "none"
    level: float = 0.0
    shots: int = 5000
    images_per_class: int = 50

    def __post_init__(self):
        object.__setattr__(self, "noise", checks.one_of("noise", self.noise, (*MOST, DEVICE)))
        for name in ("shots", "images_per_class"):
            object.__setattr__(self, name, checks.whole(name, getattr(self, name)))
        if self.noise == DEVICE:
            whole = isinstance(self.level, float) and self.level.is_integer()
            qubits = int(self.level) if whole else self.level
            checks.whole("level", qubits, backends.LEAST_QUBITS, backends.MOST_QUBITS)
        else:
            Noise(self.noise, self.level)
        object.__setattr__(self, "level", float(self.level))

    def backend(self) -> Backend:
        """Where it is executed."""
        return backends.device(int(self.level)) if self.noise == DEVICE else backends.aer(Noise(self.noise, self.level))


@dataclass(frozen=True)
class Result:
    """Accuracies in percent by seed under one condition, NaN for a seed that diverged, and what the circuits became
    (`backends.Facts`)."""

    condition: Condition
    accuracies: dict[int, float]
    facts: dict


def find(experiment: Experiment, workspace: Workspace) -> dict[Condition, Result]:
    """All that is recorded for an experiment, whatever its number of seeds. A damaged file is passed over with a
    warning, so that one does not end a whole table."""
    try:
        return _read(experiment, workspace)
    except files.Damaged as damaged:
        warnings.warn(f"{damaged}; passed over", files.DamagedFile, stacklevel=2)
        return {}


def missing(experiment: Experiment, conditions: list[Condition], workspace: Workspace) -> list[Condition]:
    """Those without accuracies of all seeds that the experiment asks for."""
    there, seeds = find(experiment, workspace), set(range(experiment.seeds))
    return [each for each in conditions if each not in there or not seeds <= set(there[each].accuracies)]


def wanted(experiment: Experiment, conditions: list[Condition], workspace: Workspace, fresh: bool) -> list[Condition]:
    """The conditions to execute: those that are `missing`, or all if `fresh`. A damaged file is set aside."""
    with _locked(experiment, workspace):
        files.or_aside(_read, experiment, workspace)
    return conditions if fresh else missing(experiment, conditions, workspace)


def save(
    experiment: Experiment, seeds: list[int], condition: Condition, executed: Executed, about: dict,
    workspace: Workspace,
) -> None:  # fmt: skip
    """Write what came of the students of `seeds` under a condition; `about` says what computed it."""
    percent = {seed: 100 * value for seed, value in executed.accuracies.items()}
    of_seeds = {str(seed): percent.get(seed) for seed in seeds}  # None: it diverged
    entry = {
        "condition": dataclasses.asdict(condition),
        "facts": dataclasses.asdict(executed.facts),
        "accuracies": {seed: value if value is None else round(value, DIGITS) for seed, value in of_seeds.items()},
        "jobs": executed.jobs,
        "circuits": executed.images * len(executed.accuracies),
        "seconds": round(executed.seconds, 1),
        **about,
    }
    path = _path(experiment, workspace)
    with _locked(experiment, workspace):
        there = files.read_json(path)["conditions"] if path.exists() else []
        kept = [other for other in there if other["condition"] != entry["condition"]]
        head = {"experiment": experiments.as_dict(experiment), "digest": experiment.digest}
        ordered = sorted([*kept, entry], key=lambda each: json.dumps(each["condition"], sort_keys=True))
        files.write_by_lines(path, head, "conditions", ordered)


def _read(experiment: Experiment, workspace: Workspace) -> dict[Condition, Result]:
    """The checked content of a file; empty where there is none.

    Raises:
        files.Damaged: it is not the record of this experiment's executions.
    """
    path = _path(experiment, workspace)
    if not path.exists():
        return {}
    body = files.read_json(path)
    with files.checked(path):
        if body["digest"] != experiment.digest:
            raise ValueError("it belongs to another experiment")
        results = [_result(entry) for entry in body["conditions"]]
    return {result.condition: result for result in results}


def _result(entry: dict) -> Result:
    facts = Facts(**entry["facts"])
    for name in ("depth", "gates", "two_qubit_gates", "earlier_jobs"):
        checks.whole(name, getattr(facts, name), minimum=0)
    accuracies = {seed_of(seed): _percent(value) for seed, value in entry["accuracies"].items()}
    return Result(Condition(**entry["condition"]), accuracies, dict(entry["facts"]))


def _percent(value: float | None) -> float:
    return math.nan if value is None else checks.real("accuracies", value, maximum=100)


def _locked(experiment: Experiment, workspace: Workspace):
    return files.lock(workspace.checkpoints / f"{experiment.name}_executions.lock")


def _path(experiment: Experiment, workspace: Workspace) -> Path:
    return workspace.executions / f"{experiment.name}.json"
