"""Run records: one small JSON file per experiment, found again by the experiment's digest.

Tables and figures are drawn from records alone. What a file is taken for is what lies in it: one under another name is
nobody's record.
"""

import functools
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from qkdlib import experiment as experiments
from qkdlib.experiment import Experiment, check_experiment
from qkdlib.files import Damaged, DamagedFile, checked, lock, read_json, set_aside, write_by_lines
from qkdlib.names import digests
from qkdlib.records import results
from qkdlib.workspace import Workspace


@dataclass
class Record:
    """The results of one experiment.

    `seeds` maps a seed to its results: the `training.train_students` curves, each a list over epochs, and
    `qasm_accuracy`; `diverged` is there only for a seed that did. `provenance` has one entry per run that added seeds;
    while those are executed, the entry names them as `unexecuted`, so that a later run goes on with them.
    """

    experiment: Experiment
    seeds: dict[int, dict] = field(default_factory=dict)
    provenance: list[dict] = field(default_factory=list)

    def missing(self) -> list[int]:
        """Seeds that the experiment asks for and the record lacks."""
        return [seed for seed in range(self.experiment.seeds) if seed not in self.seeds]

    def diverged(self) -> list[int]:
        """Seeds whose training came to numbers that are not finite."""
        return [seed for seed in sorted(self.seeds) if "diverged" in self.seeds[seed]]

    def unexecuted(self) -> list[dict]:
        """Entries of the provenance whose execution was cut off."""
        return [entry for entry in self.provenance if entry.get("unexecuted")]

    def with_seeds_of(self, experiment: Experiment) -> "Record | None":
        """This record with just the seeds that `experiment` asks for; None if it lacks one of them."""
        wanted = range(experiment.seeds)
        if not self.seeds.keys() >= set(wanted):
            return None
        return replace(self, experiment=experiment, seeds={seed: self.seeds[seed] for seed in wanted})

    def save(self, workspace: Workspace) -> Path:
        """Write atomically. Seeds that another process has added meanwhile are kept; what lies there and is no record
        of this experiment is set aside."""
        with lock(workspace.checkpoints / f"{self.experiment.name}.lock"):
            there = self._merge(workspace)
            path = place(self.experiment, workspace)
            # What lies there may differ in fields that change nothing, and be named by them.
            named = replace(there, seeds=self.experiment.seeds) if there else self.experiment
            head = {
                "experiment": experiments.as_dict(named),
                "digest": path.stem.rpartition("_")[-1],
                "numerics": experiments.NUMERICS,
                "provenance": self.provenance,
            }
            write_by_lines(path, head, "seeds", {str(seed): self.seeds[seed] for seed in sorted(self.seeds)})
        return path

    def _merge(self, workspace: Workspace) -> Experiment | None:
        """Take over what lies in this record's place and it lacks; returns the experiment that is named there."""
        path = place(self.experiment, workspace)
        try:
            there = _of(path, self.experiment)
        except FileNotFoundError:
            return None
        except (Damaged, OSError) as error:
            set_aside(error if isinstance(error, Damaged) else Damaged(path, error))
            return None if path.exists() else self._merge(workspace)  # it may have another place
        for seed, theirs in there.seeds.items():
            mine = self.seeds.setdefault(seed, theirs)
            if mine.get("qasm_accuracy") is None and {**theirs, "qasm_accuracy": None} == mine:
                self.seeds[seed] = theirs  # the same training, executed meanwhile
        self.provenance = _joined(there.provenance, self.provenance)
        return there.experiment


def _joined(there: list[dict], mine: list[dict]) -> list[dict]:
    """The entries of both, each once: of one run's entry the executed one. What has been trained anew since waits for
    no execution."""
    known, entries = set(map(_run_of, there)), {}
    anew = {seed for entry in mine if _run_of(entry) not in known for seed in entry.get("seeds", ())}
    for entry in there:
        waiting = set(entry.get("unexecuted", ())) - anew
        plain = {name: value for name, value in entry.items() if name != "unexecuted"}
        entries[_run_of(entry)] = entry if waiting else plain
    for entry in mine:
        if "unexecuted" in entries.get(_run_of(entry), {"unexecuted": []}):
            entries[_run_of(entry)] = entry
    return list(entries.values())


def _run_of(entry: dict) -> str:
    """What an entry of a run's provenance keeps from its training to the end of its execution."""
    return json.dumps({**entry, "seconds": None, "unexecuted": None}, sort_keys=True)


def read(path: Path) -> Record:
    """The record in a file. `files.Damaged`: it is not a complete record, or not of the experiment that it names."""
    return _read(Path(path))[0]


def _read(path: Path) -> tuple[Record, str]:
    """The record in a file, and the digest that it bears."""
    with checked(path):
        body = read_json(path)
        seeds = {results.seed_of(name): found for name, found in body["seeds"].items()}
        record = Record(experiments.from_dict(body["experiment"]), seeds, body["provenance"])
        numerics, named = body["numerics"], body["digest"]
        if type(numerics) is not int or not isinstance(named, str):
            raise TypeError(f"numerics {numerics!r} and digest {named!r}, where a whole number and text are expected")
        # Fields that change nothing counted in earlier versions.
        own = record.experiment.digest, experiments.digest(record.experiment)
        if numerics == experiments.NUMERICS and named not in own:
            raise ValueError(f"its digest {named} is not its experiment's")
        results.check(record.seeds, record.experiment)
        results.check_provenance(record.provenance, record.seeds)
    return record, named


def find(experiment: Experiment, workspace: Workspace | str | Path) -> Record | None:
    """The record of this experiment, whatever its number of seeds, or of one that differs in fields that change nothing
    (`names.idle`); None if there is none that can be read. What lies under its name and is no record of it is named in
    a warning."""
    path = place(check_experiment(experiment), Workspace.of(workspace))
    return _passed(lambda: _of(path, experiment))


def place(experiment: Experiment, workspace: Workspace) -> Path:
    """Where the record of an experiment lies: under its name, or one that an earlier version gave to it."""
    paths = [workspace.path("results", "students", f"{name}.json") for name in experiment.names]
    return next((path for path in paths if path.exists()), paths[0])


def complete(experiment: Experiment, workspace: Workspace | str | Path) -> Record | None:
    """The record of an experiment if it has all its seeds."""
    record = find(experiment, workspace)
    return None if record is None else record.with_seeds_of(experiment)


def read_all(workspace: Workspace | str | Path = ".") -> list[Record]:
    """Every readable record of a workspace, by name. A damaged one, and one under another's name, is named in a warning
    and passed over."""
    paths = sorted(Workspace.of(workspace).path("results", "students").glob("[!.]*.json"))
    found = (_passed(functools.partial(_named, path)) for path in paths)
    return [record for record in found if record is not None]


def _of(path: Path, experiment: Experiment) -> Record:
    """The record in a file, which has to be this experiment's."""
    record = read(path)
    if record.experiment.digest not in digests(experiment):
        raise Damaged(path, f"it is the record of another experiment, {record.experiment.name}")
    return record


def _named(path: Path) -> Record:
    """The record in a file, which has to bear its name: a copy beside it would be counted twice."""
    record, digest = _read(path)
    if not path.stem.endswith(f"_{digest}"):
        raise Damaged(path, f"it is the record of another experiment, or a copy; its name should end in {digest}")
    return record


def _passed(reading: Callable[[], Record]) -> Record | None:
    """What `reading` a file gives; None if it is not there or cannot be trusted, which a warning says."""
    try:
        return reading()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (Damaged, OSError) as error:
        warnings.warn(f"passed over: {error}", DamagedFile, stacklevel=3)
        return None
