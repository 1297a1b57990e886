"""Records of executions: what the trained students of one experiment reach on quantum backends, under conditions.

One small JSON file per experiment in `results/executions/`, with one entry per condition. An entry is found again by
its condition; the file by the experiment's digest.
"""

import dataclasses
import datetime
import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from qkdlib import backends, checks, runtime, statistics
from qkdlib import experiment as experiments
from qkdlib.backends import Backend
from qkdlib.experiment import Experiment
from qkdlib.files import atomic
from qkdlib.noise import MOST, Noise
from qkdlib.records import Record
from qkdlib.workspace import Workspace

DEVICE = "device"
DIGITS = 6
SAME, SAMPLED = 0.2, 5.0  # points of accuracy between equal weights: rounding; other samples


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
            checks.whole("level", int(self.level) if whole else self.level)
        else:
            Noise(self.noise, self.level)
        object.__setattr__(self, "level", float(self.level))

    def backend(self) -> Backend:
        """Where it is executed."""
        return backends.device(int(self.level)) if self.noise == DEVICE else backends.aer(Noise(self.noise, self.level))


@dataclass(frozen=True)
class Result:
    """Accuracies in percent by seed under one condition, and what the circuits became (`backends.Facts`)."""

    condition: Condition
    accuracies: dict[int, float]
    facts: dict


def find(experiment: Experiment, workspace: Workspace) -> dict[Condition, Result]:
    """All that is recorded for an experiment, whatever its number of seeds.

    Raises:
        ValueError: the file is damaged.
    """
    path = _path(experiment, workspace)
    if not path.exists():
        return {}
    try:
        body = json.loads(path.read_text())
        if body["digest"] != experiment.digest:
            raise ValueError("it belongs to another experiment")
        results = [_result(entry) for entry in body["conditions"]]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from error
    return {result.condition: result for result in results}


def missing(experiment: Experiment, conditions: list[Condition], workspace: Workspace) -> list[Condition]:
    """Those without accuracies of all seeds that the experiment asks for."""
    there, seeds = find(experiment, workspace), set(range(experiment.seeds))
    return [each for each in conditions if each not in there or not seeds <= set(there[each].accuracies)]


def run(
    experiment: Experiment, conditions: list[Condition], workspace: Workspace, fresh: bool = False, device: str = "auto"
) -> None:
    """Execute the trained students of an experiment under each condition that has no record, saving after each.
    Students without a record or without weights are trained first.

    Args:
        fresh: execute under all conditions anew.
    """
    wanted = conditions if fresh else missing(experiment, conditions, workspace)
    if not wanted:
        return
    from qkdlib import datasets, execution, pipeline

    record = pipeline.run(experiment, workspace=workspace, device=device, aer_seeds=0)
    student, parts = pipeline.trained_student(experiment, workspace=workspace, device=device), {}
    _compare(student, record)
    for condition in runtime.progress(wanted, desc=experiment.name):
        size = condition.images_per_class
        if size not in parts:
            parts[size] = datasets.splits(dataclasses.replace(experiment, test_per_class=size)).test
        keep = workspace.checkpoints / "jobs" / f"{experiment.name}_{experiments.digest(condition)}"
        if fresh:
            shutil.rmtree(keep, ignore_errors=True)
        executed = execution.execute(student, parts[size], shots=condition.shots, on=condition.backend(), keep=keep)
        _save(experiment, condition, executed, workspace)
        shutil.rmtree(keep, ignore_errors=True)


def _compare(student, record: Record) -> None:
    """Warn if these weights are not those that the record tells of: checkpoints are not committed, and another
    processor may train to other weights."""
    from qkdlib import datasets, training

    experiment = record.experiment
    images = datasets.splits(experiment).test
    with torch.inference_mode():
        x = student.reducer.prepare(images.x.to(student.signs.device))
        prepared = dataclasses.replace(images, x=x, y=images.y.to(x.device))
        found = np.array(training.evaluate(student, prepared)[1]) * 100
    kept = np.array(statistics.accuracies(record, statistics.kept(record)))
    differs = np.abs(found - kept).max()
    if differs > (SAMPLED if experiment.sampler != "exact" else SAME):
        text = f"{experiment.name}: weights with accuracies up to {differs:.1f} points off those of the record"
        warnings.warn(text, stacklevel=2)


def _save(experiment: Experiment, condition: Condition, executed, workspace: Workspace) -> None:
    path = _path(experiment, workspace)
    entry = {
        "condition": dataclasses.asdict(condition),
        "facts": dataclasses.asdict(executed.facts),
        "accuracies": {str(seed): round(100 * value, DIGITS) for seed, value in executed.accuracies.items()},
        "jobs": executed.jobs,
        "circuits": executed.images * len(executed.accuracies),
        "seconds": round(executed.seconds, 1),
        "threads": runtime.threads(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **runtime.provenance(),
    }
    with FileLock(workspace.checkpoints / f"{path.stem}_executions.lock"):
        there = json.loads(path.read_text())["conditions"] if path.exists() else []
        kept = [other for other in there if other["condition"] != entry["condition"]]
        head = {"experiment": experiments.as_dict(experiment), "digest": experiment.digest}
        ordered = sorted([*kept, entry], key=lambda each: json.dumps(each["condition"], sort_keys=True))
        lines = ",\n".join(f"  {json.dumps(each)}" for each in ordered)
        with atomic(path) as temporary:
            temporary.write_text(
                json.dumps(head, indent=1).removesuffix("\n}") + f',\n "conditions": [\n{lines}\n ]\n}}\n'
            )


def _result(entry: dict) -> Result:
    accuracies = {int(seed): float(value) for seed, value in entry["accuracies"].items()}
    return Result(Condition(**entry["condition"]), accuracies, dict(entry["facts"]))


def _path(experiment: Experiment, workspace: Workspace) -> Path:
    return workspace.folder("results", "executions") / f"{experiment.name}.json"
