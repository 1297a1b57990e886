"""A sweep: one experiment with every combination of values of some of its fields.

found = qkdlib.sweep(experiment, temperature=[1, 3, 5], kd_weight=[0, 0.5, 0.9], workspace="my_runs")
found.frame
found.heatmap("temperature", "kd_weight")
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from qkdlib import checks, cluster, names, trained
from qkdlib.experiment import Experiment, check_experiment
from qkdlib.records import Record, complete, differences, find, statistics
from qkdlib.workspace import Workspace

if TYPE_CHECKING:
    from qkdlib.drawing import Figure

MOST = 10_000  # combinations
OF_IMAGES = (
    "dataset", "classes", "train_per_class", "validation_per_class", "test_per_class", "selection", "data_seed",
    "image_size", "images", "pixel_mean", "pixel_std",
)  # fmt: skip
NUMBERS = ("accuracy", "low", "high", "sd", "collapsed", "gain", "gain_low", "gain_high", "gain_p")


@dataclass(frozen=True)
class Sweep:
    """A sweep that has run: the values of each of its `fields`, one experiment for each combination in the order of
    `itertools.product`, and the workspace of their records. A combination that distils nothing (no teacher, or
    `kd_weight` 0) is the placebo, whatever its other fields of distillation say."""

    fields: dict[str, tuple]
    experiments: tuple[Experiment, ...]
    workspace: Workspace

    @functools.cached_property
    def records(self) -> list[Record]:
        """The record of each combination. `FileNotFoundError`: one is not there any more."""
        found = [complete(experiment, self.workspace) for experiment in self.experiments]
        return [_there(*pair) for pair in zip(self.experiments, found, strict=True)]

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """A row for each combination: its fields (parts of one's own by their names), the number of `seeds`, in percent
        of the weights that are kept the mean `accuracy`, the `low` and `high` end of its 95 % interval and the `sd`,
        and the share of `collapsed` seeds, also in percent; in points the mean `gain` over the placebo, with its
        interval and p, where the workspace has the placebo with common seeds, else NaN; the record's `name`."""
        shown = {name: dict(zip(values, _shown(name, values), strict=True)) for name, values in self.fields.items()}
        rows = []
        for values, record in zip(itertools.product(*self.fields.values()), self.records, strict=True):
            fields = {name: shown[name][value] for name, value in zip(self.fields, values, strict=True)}
            rows.append({**fields, **_row(record, self.workspace)})
        return pd.DataFrame(rows)

    def heatmap(self, x: str, y: str, value: str = "accuracy", **fixed: Any) -> "Figure":
        """A number of `frame` for each value of the fields `x` (columns) and `y` (rows), as coloured cells.

        Args:
            value: accuracy, low, high, sd, collapsed, gain, gain_low, gain_high or gain_p.
            fixed: a value for each other field that has several.
        """
        if len(self.fields) < 2:
            checks.fail("fields", list(self.fields), "two or more for a heat map; of one field `frame` has the numbers")
        checks.one_of("x", x, self.fields)
        checks.one_of("y", y, [name for name in self.fields if name != x])
        checks.one_of("value", value, NUMBERS)
        frame, title = self.frame, value
        for name in self.fields:
            if name in (x, y):
                continue
            if name not in fixed and len(self.fields[name]) > 1:
                checks.fail("heatmap's fields", sorted(fixed), f"a value for {name}, which has several")
            chosen = checks.one_of(name, fixed.pop(name, self.fields[name][0]), self.fields[name])
            text = _shown(name, self.fields[name])[self.fields[name].index(chosen)]
            frame, title = frame[frame[name] == text], f"{title}, {name} {text}"
        if fixed:
            checks.fail("heatmap's fields", sorted(fixed), f"those of the sweep besides {x} and {y}")
        rows, columns = (_shown(name, self.fields[name]) for name in (y, x))

        from qkdlib.drawing import figures

        return figures.heatmap(frame.pivot(index=y, columns=x, values=value).loc[rows, columns], title)

    def __str__(self) -> str:
        return self.frame.to_string(index=False)

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False)


def sweep(
    experiment: Experiment, *, workspace: Workspace | str | Path = ".", fresh: bool = False, aer_seeds: int | None = 0,
    say: Callable[[str], None] = print, **fields: Sequence,
) -> Sweep:  # fmt: skip
    """Run an experiment with every combination of values, several at once (`cluster.run_all`), and return the `Sweep`.
    One that was interrupted, when it is called again, runs what is missing. In a script it stands below
    `if __name__ == "__main__":`, because other processes import the script.

    Args:
        experiment: what all have in common.
        workspace, fresh: as in `run`.
        aer_seeds: as in `run`, but none by default.
        say: prints a line for the reader.
        fields: for each field of `qkdlib.Experiment` to vary the values that it takes, all different; not `seeds`.

    Raises:
        ValueError: no field, one that is unknown, or a combination that is no experiment, or whose student or teacher
            does not fit its images; before any work.
        As of `run`: of several runs, when the others are done.
    """
    workspace = Workspace.of(workspace)
    checks.flag("fresh", fresh)
    if aer_seeds is not None:
        checks.whole("aer_seeds", aer_seeds, minimum=0)
    values = _values(check_experiment(experiment), fields)
    combinations = [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
    experiments = [_combined(experiment, each) for each in combinations]
    _check_that_all_act(values, [each.name for each in experiments])
    kinds = {each.name: each for each in experiments}
    missing = [each for each in kinds.values() if fresh or not _is_done(each, workspace, aer_seeds)]
    _check_fit(missing, workspace)
    if missing:
        cluster.run_all(missing, workspace, fresh=fresh, aer_seeds=aer_seeds, say=say)
    return Sweep(values, tuple(experiments), workspace)


def _values(experiment: Experiment, fields: dict[str, Sequence]) -> dict[str, tuple]:
    """The values of each field, as an experiment holds them."""
    allowed = [item.name for item in dataclasses.fields(Experiment) if item.name != "seeds"]
    if not fields:
        checks.fail("fields", fields, "at least one field with its values, such as temperature=[1, 3, 5]")
    found = {}
    for name, given in fields.items():
        checks.one_of("field", name, allowed)
        members = checks.members(name, given, "a list of values")
        members = tuple(tuple(each) if isinstance(each, (list, np.ndarray)) else each for each in members)
        if not members or any(one is other or one == other for one, other in itertools.combinations(members, 2)):
            checks.fail(name, given, "a list of one or more values, all different")
        found[name] = members
    if (count := math.prod(map(len, found.values()))) > MOST:
        checks.fail("combinations", count, f"at most {MOST:,}")
    return found


def _combined(experiment: Experiment, values: dict[str, Any]) -> Experiment:
    """The experiment with these values; the placebo where they leave nothing to distil."""
    from qkdlib.images import datasets

    if "teacher" in values and values["teacher"] is None:
        values = values | {"kd_weight": 0.0}
    elif "teacher" in values and "kd_weight" not in values and experiment.kd_weight == 0:
        checks.fail("kd_weight", experiment.kd_weight, "more than 0, or values to take, where teachers are swept")
    changed = datasets.identified(dataclasses.replace(experiment, **values))
    return changed.placebo() if names.is_silent(changed) else changed


def _check_that_all_act(values: dict[str, tuple], called: list[str]) -> None:
    """Raise `ValueError` where a field changes no number in any combination: its rows would be one record."""
    grid = np.array(called, dtype=object).reshape([len(each) for each in values.values()])
    for axis, (name, given) in enumerate(values.items()):
        if len(given) > 1 and (grid == grid.take([0], axis)).all():
            checks.fail(
                name, given, "values that change a number, which they do not beside the other fields as they are"
            )


def _is_done(experiment: Experiment, workspace: Workspace, aer_seeds: int | None) -> bool:
    record = complete(experiment, workspace)
    return record is not None and (aer_seeds == 0 or not record.unexecuted())


def _check_fit(experiments: list[Experiment], workspace: Workspace) -> None:
    """Raise what `run` would raise of images, students and teachers that do not fit, before the first one trains."""
    from qkdlib import teachers, torch_settings
    from qkdlib.images import datasets
    from qkdlib.teachers.teacher_training import check_networks

    alike: dict[tuple, list[Experiment]] = {}
    for experiment in experiments:
        alike.setdefault(tuple(getattr(experiment, name) for name in OF_IMAGES), []).append(experiment)
    with torch_settings.plain_torch():
        for group in alike.values():
            images = datasets.splits(group[0])
            for experiment in group:
                trained.check_fit(experiment, teachers.seen(experiment, images, workspace))
                for teacher in experiment.teachers():
                    if not teachers.logits_path(workspace, experiment, teacher).exists():
                        check_networks(teacher, experiment, images)


def _there(experiment: Experiment, record: Record | None) -> Record:
    if record is None:
        raise FileNotFoundError(f"the record {experiment.name} is not there any more; sweep again")
    return record


def _shown(name: str, values: tuple) -> list:
    """Numbers as they are, and anything else as text, different where the values are."""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return list(values)
    return _teachers(values) if name == "teacher" else differences.told_apart(name, values)


def _teachers(values: tuple) -> list[str]:
    """Teachers by their architecture and by what else they differ in."""
    columns = differences.differing([Experiment().distilled(each) if each else Experiment() for each in values])
    columns.pop("teacher", None)
    texts = []
    for place, teacher in enumerate(values):
        more = [f"{name.removeprefix('teacher_')} {column[place]}" for name, column in columns.items() if column[place]]
        texts.append(", ".join([differences.shown("teacher", teacher), *more]))
    return texts


def _row(record: Record, workspace: Workspace) -> dict[str, Any]:
    summary = statistics.summarise(statistics.accuracies(record, statistics.kept_outcome(record)))
    placebo = find(record.experiment.placebo(), workspace) if record.experiment.teacher else None
    gain = statistics.gain_over(record, placebo)
    return {
        "seeds": summary.seeds, "accuracy": summary.mean, "low": summary.low, "high": summary.high, "sd": summary.sd,
        "collapsed": 100 * statistics.collapsed_share(record),
        "gain": gain.mean if gain else math.nan,
        "gain_low": gain.low if gain else math.nan,
        "gain_high": gain.high if gain else math.nan,
        "gain_p": gain.p if gain else math.nan,
        "name": record.experiment.name,
    }  # fmt: skip
