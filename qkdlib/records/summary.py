"""Tables of any set of records: arms side by side, each distilled one with its gain over its placebo; and every seed of
every record."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from qkdlib import checks, experiment, names
from qkdlib.records import differences, statistics
from qkdlib.records.confusion import has_confusions, lost
from qkdlib.records.record import Record, read_all
from qkdlib.records.results import outcomes
from qkdlib.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

TOLD = ("classes", "qubits", "teacher")  # by columns that every table has


def arm(record: Record) -> str:
    """The arm's name: `placebo`, or its teacher's, fit for a cell of a table."""
    teacher = record.experiment.teacher
    return differences.fit(teacher.architecture if teacher else "placebo")


def arms(found: Iterable[Record]) -> "pd.DataFrame":
    """One row per record, with a column for each field of the experiments in which they differ (`differences`), so that
    no two rows look alike that are not the same. Accuracies are in percent: of the weights that are kept the mean
    [95 % interval] and sd, the share of collapsed seeds, the number of those that diverged, where any did, and of those
    that lost a class, where it is known, the mean on the QASM simulator, and for a distilled arm whose placebo is there
    the paired gain over the common seeds."""
    import pandas as pd

    found = _records(found)
    found.sort(key=lambda record: (experiment.task_name(record.experiment), arm(record) != "placebo"))
    by_digest = {record.experiment.digest: record for record in found}
    table = pd.DataFrame([_row(record, _placebo_of(record, by_digest)) for record in found]).fillna("")
    if any(record.diverged() for record in found):
        table.insert(table.columns.get_loc("collapsed"), "diverged", [len(record.diverged()) for record in found])
    if any(map(has_confusions, found)):
        said = [f"{len(lost(record))} of {len(record.seeds)}" if has_confusions(record) else "" for record in found]
        table.insert(table.columns.get_loc("collapsed") + 1, "lost a class", said)
    for name, values in _differing([record.experiment for record in found]).items():
        table.insert(table.columns.get_loc("seeds"), name, values)
    return table


def _records(found: Iterable[Record]) -> list[Record]:
    allowed = "a list of records, as qkdlib.run returns each and records.read_all all of a workspace"
    given = checks.members("found", found, allowed, most=10**6)
    return [each if isinstance(each, Record) else checks.fail("found", each, allowed) for each in given]


def _differing(experiments: list[experiment.Experiment]) -> dict[str, list[str]]:
    tasks = {(each.dataset, each.classes): experiment.task_name(each) for each in experiments}
    told = (*TOLD, "dataset") if len(set(tasks.values())) == len(tasks) else TOLD
    return differences.differing(experiments, told)


def _placebo_of(record: Record, by_digest: dict[str, Record]) -> Record | None:
    found = (by_digest.get(digest) for digest in names.digests(record.experiment.placebo()))
    return next((each for each in found if each not in (None, record)), None)


def _row(record: Record, placebo: Record | None) -> dict:
    last = statistics.summarise(statistics.accuracies(record, statistics.kept_outcome(record)))
    qasm = statistics.accuracies(record, "qasm")
    gain = statistics.gain_over(record, placebo)
    return {
        "task": experiment.task_name(record.experiment),
        "qubits": record.experiment.qubits,
        "arm": arm(record),
        "seeds": last.seeds,
        "accuracy [95 %]": str(last),
        "sd": f"{last.sd:.2f}",
        "collapsed": f"{statistics.collapsed_share(record):.0%}",
        f"QASM, {record.experiment.shots} shots": f"{sum(qasm) / len(qasm):.2f} ({len(qasm)} seeds)" if qasm else "",
        "gain over placebo [95 %]": f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]" if gain else "",
    }


def load(found: Workspace | str | Path | Iterable[Record] = ".") -> "pd.DataFrame":
    """Every readable record of a workspace, or the given ones, as one table with a row per experiment and seed.

    Columns: `name`; the experiment's fields (a circuit of one's own by its name, `teacher` as its architecture, or None
    of a placebo) and those of its teacher, `teacher_epochs` and so on; `seed`, and the accuracies in percent that
    `outcomes` explains; `trained_epochs`, the epoch in which the seed `diverged`, the `chosen_learning_rate`,
    `zero_vectors` and the number of `lost_classes`, None where a record does not say.
    """
    import pandas as pd

    rows = []
    for record in read_all(found) if isinstance(found, (Workspace, str, Path)) else _records(found):
        fields = {"name": record.experiment.name, **_fields(record.experiment)}
        for seed, results in sorted(record.seeds.items()):
            rows.append({**fields, "seed": seed, **outcomes(results), **_besides(results)})
    return pd.DataFrame(rows)


def _fields(described: experiment.Experiment) -> dict:
    values = {item.name: getattr(described, item.name) for item in dataclasses.fields(described)}
    values |= {"ansatz": described.ansatz_name, "teacher": described.teacher and described.teacher.architecture}
    for item in dataclasses.fields(experiment.Teacher):
        if item.name != "architecture":
            values[f"teacher_{item.name}"] = described.teacher and getattr(described.teacher, item.name)
    return values


def _besides(results: dict) -> dict:
    """What a seed's results say besides its accuracies."""
    rows = results.get("confusion")
    return {
        "trained_epochs": len(results["validation_accuracy"]),
        "diverged": results.get("diverged"),
        "chosen_learning_rate": results.get("learning_rate"),
        "zero_vectors": results.get("zero_vectors"),
        "lost_classes": rows and sum(not row[place] and any(row) for place, row in enumerate(rows)),
    }


def text(workspace: Workspace) -> str:
    """The table of a workspace as text, and where its figures are."""
    found = read_all(workspace)
    if not found:
        return f"no records in {workspace.path('results', 'students')}"
    figures = workspace.path("figures")
    pictures = sorted(path.name for path in figures.glob("[!.]*.png"))
    table = arms(found).to_markdown(index=False, disable_numparse=True)
    return f"{table}\n\nfigures in {figures}: {', '.join(pictures) or 'none yet'}"
