"""Records of executions: what the trained students of one experiment reach on quantum backends, under conditions.

One small JSON file per experiment in `results/executions/`, with one entry per condition. An entry is found again by
its condition; the file by the experiment's digest.
"""

import dataclasses
import datetime
import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from qkdlib import backends, checks, files, runtime
from qkdlib import experiment as experiments
from qkdlib.backends import Backend, Facts
from qkdlib.experiment import Experiment
from qkdlib.noise import MOST, Noise
from qkdlib.records import Record, statistics
from qkdlib.records.results import seed_of
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


def run(
    experiment: Experiment, conditions: list[Condition], workspace: Workspace, fresh: bool = False, device: str = "auto"
) -> None:
    """Execute the trained students of an experiment under each condition that has no record, saving after each.
    Students without a record or without weights are trained first. A damaged file is set aside, and made anew.

    Args:
        fresh: execute under all conditions anew.

    Raises:
        RuntimeError: some conditions failed; it names them. The others are executed first.
    """
    with _locked(experiment, workspace):
        files.or_aside(_read, experiment, workspace)
    wanted = conditions if fresh else missing(experiment, conditions, workspace)
    if not wanted:
        return
    from qkdlib import pipeline

    record = pipeline.run(experiment, workspace=workspace, device=device, aer_seeds=0)
    student, failed = pipeline.trained_student(record, workspace=workspace, device=device), {}
    _compare(student, record)
    for condition in runtime.progress(wanted, desc=experiment.name):
        try:
            if fresh or missing(experiment, [condition], workspace):  # unless another process was faster
                _execute(student, condition, workspace, fresh)
        except Exception as error:
            failed[condition] = error
    if failed:
        each = checks.line("; ".join(f"{condition}: {checks.line(error)}" for condition, error in failed.items()), 1000)
        said = f"{experiment.name}: {len(failed)} of {len(wanted)} conditions failed: {each}"
        raise RuntimeError(said) from next(iter(failed.values()))


def _execute(student, condition: Condition, workspace: Workspace, fresh: bool) -> None:
    """Execute and save. Of several processes that do this at once each takes the others' finished jobs; what is removed
    in the end is those, and never the folder to which another one is writing."""
    from qkdlib import execution
    from qkdlib.images import datasets

    experiment = student.experiment
    keep = workspace.folder("checkpoints", "jobs", f"{experiment.name}_{experiments.digest(condition)}")
    if fresh:
        _remove_jobs(keep)
    images = datasets.splits(dataclasses.replace(experiment, test_per_class=condition.images_per_class)).test
    executed = execution.execute(student, images, shots=condition.shots, on=condition.backend(), keep=keep)
    _save(student, condition, executed, workspace)
    _remove_jobs(keep)


def _remove_jobs(folder: Path) -> None:
    for path in folder.glob("job_*"):
        path.unlink(missing_ok=True)


def _compare(student, record: Record) -> None:
    """Warn if these weights are not those that the record tells of: checkpoints are not committed, and another
    processor may train to other weights."""
    from qkdlib import training
    from qkdlib.images import datasets

    experiment = record.experiment
    images = datasets.splits(experiment).test
    with torch.inference_mode():
        x = student.reducer.prepare(images.x.to(student.signs.device))
        prepared = dataclasses.replace(images, x=x, y=images.y.to(x.device))
        found = np.array(training.evaluate(student, prepared)[1]) * 100
    kept = np.array(statistics.accuracies(record, statistics.kept_outcome(record)))
    sound = [seed not in record.diverged() for seed in student.seeds]
    differs = np.abs(found - kept)[sound].max(initial=0)
    if differs > (SAMPLED if experiment.sampler != "exact" else SAME):
        text = f"{experiment.name}: weights with accuracies up to {differs:.1f} points off those of the record"
        warnings.warn(text, stacklevel=2)


def _save(student, condition: Condition, executed, workspace: Workspace) -> None:
    experiment, percent = student.experiment, {seed: 100 * value for seed, value in executed.accuracies.items()}
    of_seeds = {str(seed): percent.get(seed) for seed in student.seeds}  # None: it diverged
    entry = {
        "condition": dataclasses.asdict(condition),
        "facts": dataclasses.asdict(executed.facts),
        "accuracies": {seed: value if value is None else round(value, DIGITS) for seed, value in of_seeds.items()},
        "jobs": executed.jobs,
        "circuits": executed.images * len(executed.accuracies),
        "seconds": round(executed.seconds, 1),
        "threads": runtime.threads(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **runtime.provenance(),
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
