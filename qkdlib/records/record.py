"""Run records: one small JSON file per experiment, found again by the experiment's digest.

A record holds the full experiment, its provenance, and for each seed the curves over the epochs and the accuracy
on the QASM simulator. Tables and figures are drawn from records alone. What a file is taken for is what lies in it: one
under another's name is nobody's record.
"""

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from qkdlib import experiment as experiments
from qkdlib.experiment import Experiment
from qkdlib.files import Damaged, DamagedFile, checked, lock, read_json, set_aside, write_text
from qkdlib.workspace import Workspace

P = ParamSpec("P")

DIGITS = 6  # decimals kept of a curve's numbers
MOST_SEED = 10**6


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
        path = _path(self.experiment, workspace)
        with lock(workspace.checkpoints / f"{path.stem}.lock"):
            self._merge(path)
            body = {
                "experiment": experiments.as_dict(self.experiment),
                "digest": self.experiment.digest,
                "numerics": experiments.NUMERICS,
                "provenance": self.provenance,
                "seeds": {str(seed): self.seeds[seed] for seed in sorted(self.seeds)},
            }
            write_text(path, as_text(body))
        return path

    def _merge(self, path: Path) -> None:
        """Take over what the file holds and this record lacks."""
        try:
            there = _of(path, self.experiment)
        except (Damaged, OSError) as error:
            if not isinstance(error, FileNotFoundError):
                set_aside(error if isinstance(error, Damaged) else Damaged(path, error))
            return
        for seed, theirs in there.seeds.items():
            mine = self.seeds.setdefault(seed, theirs)
            if mine.get("qasm_accuracy") is None and {**theirs, "qasm_accuracy": None} == mine:
                self.seeds[seed] = theirs  # the same training, executed meanwhile
        self.provenance = _joined(there.provenance, self.provenance)


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


def _path(experiment: Experiment, workspace: Workspace) -> Path:
    return workspace.students / f"{experiment.name}.json"


def rounded(value: Any) -> Any:
    """Numbers as records keep them, in lists and dictionaries too: with `DIGITS` decimals; None, which stays None,
    stands for what is not finite."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value


def as_text(body: dict) -> str:
    """JSON with one line per seed, so that a diff of two records can be read."""
    seeds = body.pop("seeds")
    lines = ",\n".join(f'  "{seed}": {json.dumps(results, allow_nan=False)}' for seed, results in seeds.items())
    head = json.dumps(body, indent=1, allow_nan=False).removesuffix("\n}")
    return f'{head},\n "seeds": {{\n{lines}\n }}\n}}\n'


def read(path: Path) -> Record:
    """The record in a file.

    Raises:
        files.Damaged: it is not a complete record, or not of the experiment that it names.
    """
    return _read(Path(path))[0]


def _read(path: Path) -> tuple[Record, str]:
    """The record in a file, and the digest that it bears."""
    with checked(path):
        body = read_json(path)
        record = Record(experiments.from_dict(body["experiment"]), _seeds(body["seeds"]), body["provenance"])
        numerics, named = body["numerics"], body["digest"]
        if type(numerics) is not int or not isinstance(named, str):
            raise TypeError(f"numerics {numerics!r} and digest {named!r}, where a whole number and text are expected")
        if numerics == experiments.NUMERICS and named != record.experiment.digest:
            raise ValueError(f"its digest {named} is not its experiment's")
        _check_provenance(record)
        for results in record.seeds.values():
            _check_numbers(results, record.experiment)
            _check_epochs(results, record.experiment)
    return record, named


def _check_provenance(record: Record) -> None:
    if not isinstance(record.provenance, list) or not all(isinstance(each, dict) for each in record.provenance):
        raise TypeError("its provenance is no list of entries")
    for entry in record.unexecuted():
        seeds = entry["unexecuted"]
        if not isinstance(seeds, list) or not all(type(seed) is int and seed in record.seeds for seed in seeds):
            raise ValueError("seeds wait for their execution that it does not have")
        if type(entry["seconds"]["all"]) not in (int, float):
            raise TypeError("its seconds are no numbers")


def _seeds(there: dict) -> dict[int, dict]:
    if not there or not all(isinstance(results, dict) for results in there.values()):
        raise TypeError("it has no seeds, or a seed without results")
    return {seed_of(name): results for name, results in there.items()}


def seed_of(name: str) -> int:
    """The seed that a key of a JSON object names."""
    if len(name) > 7 or str(int(name)) != name or not 0 <= int(name) <= MOST_SEED:
        raise ValueError(f"seed {name[:20]!r}, where a whole number from 0 to {MOST_SEED} is expected")
    return int(name)


def _check_numbers(results: dict, experiment: Experiment) -> None:
    """Every value of a seed is a finite number or a curve of them; an accuracy is a share. None stands for what was not
    executed, not tested in that epoch, or not finite."""
    for name, value in results.items():
        accuracy = name.endswith("accuracy")
        untested = name.startswith("test_") and experiment.tested == "at_end"
        for each in value if isinstance(value, list) else [value]:
            if each is None and (name == "qasm_accuracy" or untested or ("diverged" in results and not accuracy)):
                continue
            if type(each) not in (int, float) or not math.isfinite(each):
                raise TypeError(f"{name} holds {str(each)[:20]!r}, where a finite number is expected")
            if accuracy and not 0 <= each <= 1:
                raise ValueError(f"{name} {each}, where 0 to 1 is possible")
    outcomes(results)


def _check_epochs(results: dict, experiment: Experiment) -> None:
    """All curves of a seed have one length, which its experiment allows."""
    asked, lengths = experiment.epochs, {len(value) for value in results.values() if isinstance(value, list)}
    if len(lengths) != 1 or not lengths <= set(range(1 if experiment.patience else asked, asked + 1)):
        raise ValueError(f"curves of {sorted(lengths)} epochs")
    if results.get("diverged", 1) not in range(1, asked + 1):
        raise ValueError(f"diverged in epoch {results['diverged']} of {asked}")


def find(experiment: Experiment, workspace: Workspace) -> Record | None:
    """The record of this experiment, whatever its number of seeds; None if there is none that can be read. What lies
    under its name and is no record of it is named in a warning."""
    return _passed(_of, _path(experiment, workspace), experiment)


def complete(experiment: Experiment, workspace: Workspace) -> Record | None:
    """The record of an experiment if it has all its seeds."""
    record = find(experiment, workspace)
    return None if record is None else record.with_seeds_of(experiment)


def read_all(workspace: Workspace | None = None) -> list[Record]:
    """Every readable record of a workspace, by name. A damaged one, and one under another's name, is named in a warning
    and passed over."""
    found = (_passed(_named, path) for path in sorted((workspace or Workspace()).students.glob("[!.]*.json")))
    return [record for record in found if record is not None]


def _of(path: Path, experiment: Experiment) -> Record:
    """The record in a file, which has to be this experiment's."""
    record = read(path)
    if record.experiment.digest != experiment.digest:
        raise Damaged(path, f"it is the record of another experiment, {record.experiment.name}")
    return record


def _named(path: Path) -> Record:
    """The record in a file, which has to bear its name: a copy beside it would be counted twice."""
    record, digest = _read(path)
    if not path.stem.endswith(f"_{digest}"):
        raise Damaged(path, f"it is the record of another experiment, or a copy; its name should end in {digest}")
    return record


def outcomes(results: dict) -> dict:
    """The accuracies of one seed, in percent, on the test images.

    `last` after the last epoch; `selected` after the epoch with the best validation accuracy (of equals the one with
    the lowest validation cross entropy); `best_test` after the best test epoch, which is how the paper chose;
    None if test accuracy was not measured after every epoch; `qasm` after the last epoch on the QASM simulator, None
    for a seed that was not executed there.
    """
    accuracy, test = results["validation_accuracy"], results["test_accuracy"]
    tested = [epoch for epoch, value in enumerate(test) if value is not None]  # all, or the best and the last
    cross_entropy = [math.inf if value is None else value for value in results["validation_ce"]]  # None: not finite
    chosen = max(tested, key=lambda epoch: (accuracy[epoch], -cross_entropy[epoch]))
    return {
        "last": 100 * test[-1],
        "selected": 100 * test[chosen],
        "selected_epoch": chosen + 1,
        "best_test": None if None in test else 100 * max(test),
        "qasm": None if results["qasm_accuracy"] is None else 100 * results["qasm_accuracy"],
    }


def _passed(
    reading: Callable[Concatenate[Path, P], Record], path: Path, *more: P.args, **named: P.kwargs
) -> Record | None:
    """What `reading` gives of a file; None if it is not there or cannot be trusted, which a warning says."""
    try:
        return reading(path, *more, **named)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (Damaged, OSError) as error:
        warnings.warn(f"passed over: {error}", DamagedFile, stacklevel=3)
        return None
