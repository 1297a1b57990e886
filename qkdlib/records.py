"""Run records: one small JSON file per experiment, found again by the experiment's digest.

A record holds the full experiment, its provenance, and for each seed the curves over the epochs and the accuracy
on the QASM simulator. Tables and figures are drawn from records alone.
"""

import json
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock

from qkdlib import experiment as experiments
from qkdlib.experiment import Experiment
from qkdlib.files import atomic
from qkdlib.workspace import Workspace

DIGITS = 6  # decimals kept of a curve's numbers


class DamagedRecord(UserWarning):
    """A record that cannot be read, and was passed over."""


@dataclass
class Record:
    """The results of one experiment.

    `seeds` maps a seed to its results: the `training.train_students` curves, each a list over epochs, and
    `qasm_accuracy`. `provenance` has one entry per run that added seeds.
    """

    experiment: Experiment
    seeds: dict[int, dict] = field(default_factory=dict)
    provenance: list[dict] = field(default_factory=list)

    def missing(self) -> list[int]:
        """Seeds that the experiment asks for and the record lacks."""
        return [seed for seed in range(self.experiment.seeds) if seed not in self.seeds]

    def asked(self, experiment: Experiment) -> "Record | None":
        """This record with just the seeds that `experiment` asks for; None if it lacks one of them."""
        if replace(self, experiment=experiment).missing():
            return None
        return replace(self, experiment=experiment, seeds={s: self.seeds[s] for s in range(experiment.seeds)})

    def save(self, workspace: Workspace) -> Path:
        """Write atomically. Seeds that another process has added meanwhile are kept."""
        path = workspace.students / f"{self.experiment.name}.json"
        with FileLock(workspace.checkpoints / f"{path.stem}.lock"):
            self._merge_and_write(path, workspace)
        return path

    def _merge_and_write(self, path: Path, workspace: Workspace) -> None:
        there = find(self.experiment, workspace)
        if there is not None:
            self.seeds = {**there.seeds, **self.seeds}
            self.provenance = [*(p for p in there.provenance if p not in self.provenance), *self.provenance]
        body = {
            "experiment": experiments.as_dict(self.experiment),
            "digest": self.experiment.digest,
            "numerics": experiments.NUMERICS,
            "provenance": self.provenance,
            "seeds": {str(seed): self.seeds[seed] for seed in sorted(self.seeds)},
        }
        with atomic(path) as temporary:
            temporary.write_text(_text(body))


def _text(body: dict) -> str:
    """JSON with one line per seed, so that a diff of two records can be read."""
    seeds = body.pop("seeds")
    lines = ",\n".join(f'  "{seed}": {json.dumps(results)}' for seed, results in seeds.items())
    head = json.dumps(body, indent=1).removesuffix("\n}")
    return f'{head},\n "seeds": {{\n{lines}\n }}\n}}\n'


def read(path: Path) -> Record:
    """The record in a file.

    Raises:
        ValueError: it is not a complete record, or not of the experiment that it names.
    """
    try:
        body = json.loads(Path(path).read_text())
        record = Record(
            experiments.from_dict(body["experiment"]),
            {int(seed): results for seed, results in body["seeds"].items()},
            body["provenance"],
        )
        numerics, named = body["numerics"], body["digest"]
        curves = ("validation_accuracy", "validation_ce", "test_accuracy")
        epochs = [{len(results[name]) for name in curves} for results in record.seeds.values()]
        for results in record.seeds.values():
            outcomes(results)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from error
    asked = record.experiment.epochs
    allowed = set(range(1, asked + 1)) if record.experiment.patience else {asked}
    if any(len(found) != 1 or not found <= allowed for found in epochs):
        raise ValueError(f"{path} is damaged: curves of {sorted(set().union(*epochs))} epochs")
    if numerics == experiments.NUMERICS and named != record.experiment.digest:
        raise ValueError(f"{path} is damaged: its digest {named} is not its experiment's")
    return record


def find(experiment: Experiment, workspace: Workspace) -> Record | None:
    """The record of this experiment, whatever its number of seeds; None if there is none that can be read."""
    path = workspace.students / f"{experiment.name}.json"
    return _try(path) if path.exists() else None


def read_all(workspace: Workspace | None = None) -> list[Record]:
    """Every readable record of a workspace, by name. A damaged one is named in a warning and passed over."""
    paths = sorted((workspace or Workspace()).students.glob("[!.]*.json"))
    return [record for record in map(_try, paths) if record is not None]


def load(workspace: Workspace | None = None):
    """Every readable record as one `pandas.DataFrame` with a row per experiment and seed.

    Columns: `name`, the experiment's fields (`teacher` as its architecture, or None), `seed`, and the accuracies in
    percent that `outcomes` explains.
    """
    import pandas

    rows = []
    for record in read_all(workspace):
        fields = {"name": record.experiment.name, **experiments.as_dict(record.experiment)}
        fields["teacher"] = record.experiment.teacher.architecture if record.experiment.teacher else None
        fields["classes"] = record.experiment.classes
        rows += [{**fields, "seed": seed, **outcomes(results)} for seed, results in record.seeds.items()]
    return pandas.DataFrame(rows)


def outcomes(results: dict) -> dict:
    """The accuracies of one seed, in percent, on the test images.

    `last` after the last epoch; `selected` after the epoch with the best validation accuracy (of equals the one with
    the lowest validation cross entropy); `best_test` after the best test epoch, which is how the paper chose;
    None if test accuracy was not measured after every epoch; `qasm` after the last epoch on the QASM simulator, None
    for a seed that was not executed there.
    """
    accuracy, test = results["validation_accuracy"], results["test_accuracy"]
    tested = [epoch for epoch, value in enumerate(test) if value is not None]  # all, or the best and the last
    chosen = max(tested, key=lambda epoch: (accuracy[epoch], -results["validation_ce"][epoch]))
    return {
        "last": 100 * test[-1],
        "selected": 100 * test[chosen],
        "selected_epoch": chosen + 1,
        "best_test": None if None in test else 100 * max(test),
        "qasm": None if results["qasm_accuracy"] is None else 100 * results["qasm_accuracy"],
    }


def _try(path: Path) -> Record | None:
    try:
        return read(path)
    except ValueError as error:
        warnings.warn(f"passed over: {error}", DamagedRecord, stacklevel=3)
        return None
