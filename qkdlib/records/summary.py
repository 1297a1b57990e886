"""Tables of any set of records: arms side by side, each distilled one with its gain over its placebo; and every seed of
every record."""

from collections.abc import Iterable

import pandas as pd

from qkdlib import experiment
from qkdlib.records import statistics
from qkdlib.records.record import Record, read_all
from qkdlib.records.results import outcomes
from qkdlib.workspace import Workspace


def arm(record: Record) -> str:
    """The arm's name: `placebo`, or its teacher's, fit for a cell of a table."""
    teacher = record.experiment.teacher
    name = teacher.architecture if teacher else "placebo"
    return "".join(letter if letter.isprintable() and letter != "|" else "?" for letter in name)


def arms(found: Iterable[Record]) -> pd.DataFrame:
    """One row per record, with accuracies in percent: of the weights that are kept the mean [95 % interval] and sd,
    the share of collapsed seeds, the number of those that diverged, where any did, the mean on the QASM simulator, and
    for a distilled arm whose placebo is there the paired gain over the common seeds."""
    found = sorted(found, key=lambda record: (experiment.task_name(record.experiment), arm(record) != "placebo"))
    by_name = {record.experiment.name: record for record in found}
    table = pd.DataFrame([_row(record, by_name.get(record.experiment.placebo().name)) for record in found])
    if any(record.diverged() for record in found):
        table.insert(table.columns.get_loc("collapsed"), "diverged", [len(record.diverged()) for record in found])
    return table


def _row(record: Record, placebo: Record | None) -> dict:
    last = statistics.summarise(statistics.accuracies(record, statistics.kept_outcome(record)))
    qasm = statistics.accuracies(record, "qasm")
    gain = ""
    if placebo not in (None, record) and (common := sorted(set(record.seeds) & set(placebo.seeds))):
        pair = [Record(r.experiment, {seed: r.seeds[seed] for seed in common}) for r in (record, placebo)]
        distilled, alone = (statistics.accuracies(each, statistics.kept_outcome(each)) for each in pair)
        paired = statistics.paired_gain(distilled, alone)
        gain = f"{paired.mean:+.2f} [{paired.low:+.2f}, {paired.high:+.2f}]"
    return {
        "task": experiment.task_name(record.experiment),
        "qubits": record.experiment.qubits,
        "arm": arm(record),
        "seeds": last.seeds,
        "accuracy [95 %]": str(last),
        "sd": f"{last.sd:.2f}",
        "collapsed": f"{statistics.collapsed_share(record):.0%}",
        f"QASM, {record.experiment.shots} shots": f"{sum(qasm) / len(qasm):.2f} ({len(qasm)} seeds)" if qasm else "",
        "gain over placebo [95 %]": gain,
    }


def load(workspace: Workspace | None = None) -> pd.DataFrame:
    """Every readable record as one table with a row per experiment and seed.

    Columns: `name`, the experiment's fields (`teacher` as its architecture, or None), `seed`, and the accuracies in
    percent that `outcomes` explains.
    """
    rows = []
    for record in read_all(workspace):
        fields = {"name": record.experiment.name, **experiment.as_dict(record.experiment)}
        fields["teacher"] = record.experiment.teacher.architecture if record.experiment.teacher else None
        fields["classes"] = record.experiment.classes
        rows += [{**fields, "seed": seed, **outcomes(results)} for seed, results in record.seeds.items()]
    return pd.DataFrame(rows)


def text(workspace: Workspace) -> str:
    """The table of a workspace as text, and where its figures are."""
    found = read_all(workspace)
    if not found:
        return f"no records in {workspace.students}"
    pictures = sorted(path.name for path in workspace.figures.glob("[!.]*.png"))
    table = arms(found).to_markdown(index=False, disable_numparse=True)
    return f"{table}\n\nfigures in {workspace.figures}: {', '.join(pictures) or 'none yet'}"
