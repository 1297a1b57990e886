"""`make paper-artifacts`: every table and figure of the paper that is covered, from records; runs what has none."""

from qkdlib import paper, records, runtime, tables, verdicts
from qkdlib.experiment import Experiment
from qkdlib.paper import Row
from qkdlib.workspace import Workspace


def make(workspace: Workspace, fresh: bool = False, say=print) -> None:
    """Run what has no record (`fresh`: everything), then draw all tables and figures.

    Args:
        say: prints a line for the reader.
    """
    run_missing(paper.rows(), workspace, fresh, say)
    for number in sorted({row.table for row in paper.rows()}):
        frame = tables.paper_table(paper.rows(number), workspace)
        notes = [tables.UNITS, verdicts.RULE]
        shown = tables.readable(frame)
        tables.write(frame, workspace.tables, f"table_{number}", notes, shown)
        short = shown.drop(columns=["recorded", "sd", "QASM", "seeds"])
        page = workspace.folder() / "README.md"
        tables.embed(page, f"table_{number}", short.to_markdown(index=False, disable_numparse=True))
        say(f"\nTable {number}\n\n{shown.to_markdown(index=False, disable_numparse=True)}\n")
    _draw_circuits(workspace)
    _draw_records(workspace)
    _draw_images(workspace, say)
    _list_undeclared(workspace, say)
    say(f"tables: {workspace.tables}\nfigures: {workspace.figures}")


def experiments(rows: list[Row]) -> list[Experiment]:
    """The experiments behind `rows`, each once: a distilled row needs its placebo too."""
    wanted = {}
    for row in rows:
        if row.category == "Distillation":
            wanted[row.experiment.placebo()] = None
        if row.category != "Teacher":
            wanted[row.experiment] = None
    return list(wanted)


def run_missing(rows: list[Row], workspace: Workspace, fresh: bool, say) -> None:
    """Train and execute what the workspace has no record of."""
    wanted = [e for e in experiments(rows) if fresh or tables.complete(e, workspace) is None]
    if wanted:
        from qkdlib import datasets, teacher_training
        from qkdlib.pipeline import run
    for row in (row for row in rows if row.category == "Teacher" and fresh):
        parts = datasets.splits(row.experiment)
        device = runtime.start()
        teacher_training.train_teacher(row.experiment, row.experiment.teacher, parts, workspace, device, fresh=True)
    for experiment in runtime.progress(wanted, desc="experiments"):
        say(f"running {experiment.name}, {experiment.seeds} seeds")
        run(experiment, workspace=workspace, fresh=fresh)


def _draw_records(workspace: Workspace) -> None:
    from qkdlib import figures

    students = [row for row in paper.rows() if row.category != "Teacher"]
    found = {row.label: tables.complete(row.experiment, workspace) for row in students}
    found = {label: record for label, record in found.items() if record is not None}
    claims = {row.label: row.paper_accuracy for row in students if row.label in found}
    figures.save(figures.accuracy_bars(found, claims), workspace.figures, "figure_7")
    figures.save(figures.seed_spread(found, claims), workspace.figures, "seed_spread")
    figures.save(figures.loss_curves(found), workspace.figures, "figure_6")


def _draw_circuits(workspace: Workspace) -> None:
    from qkdlib import circuits, figures

    named = [circuits.build("h_ry", qubits) for qubits in (3, 4)]
    figures.save(figures.circuit_diagram(*named), workspace.figures, "figure_5")


def _draw_images(workspace: Workspace, say) -> None:
    from qkdlib import datasets, figures

    experiment = paper.row("M-B-3q-05").experiment
    if not datasets.at_hand(experiment.dataset):
        say(f"figure_2 shows images and {experiment.dataset} is not at hand: the committed figure stays as it is")
        return
    parts = datasets.splits(experiment)
    figures.save(figures.sample_images(parts), workspace.figures, "figure_2")


def _list_undeclared(workspace: Workspace, say) -> None:
    """Name the records that no row asks for; they stay."""
    declared = {experiment.name for experiment in experiments(list(paper.all_rows()))}
    for record in records.read_all(workspace):
        if record.experiment.name not in declared:
            say(f"left alone: {record.experiment.name}.json belongs to no declared row")
