"""`make paper-artifacts`: every table and figure of the paper, from records; runs what has none."""

from collections.abc import Callable

from qkdlib import claims, paper, parallel, records, runtime, tables, verdicts
from qkdlib.experiment import Experiment, Teacher
from qkdlib.paper import Row
from qkdlib.teacher_files import teacher_name
from qkdlib.workspace import Workspace

FRESH = ("no", "students", "all")
AER_SEEDS = 2  # seeds of each experiment that also run on Aer, where sampling takes as long as training
README_COLUMNS = ["row", "paper", "ours", "collapsed", "paper's gain", "our gain", "p (Holm)", "verdict"]


def make(workspace: Workspace, fresh: str = "no", say: Callable[[str], None] = print) -> None:
    """Run what has no record, then draw all tables and figures.

    Args:
        fresh: `students` retrains every student, `all` the teachers, too.
        say: prints a line for the reader.
    """
    run_missing(declared_rows(), workspace, fresh, say)
    write_tables(workspace, say)
    draw_figures(workspace, say)
    _list_undeclared(workspace, say)
    say(f"tables: {workspace.tables}\nfigures: {workspace.figures}")


def declared_rows() -> list[Row]:
    """All rows that the project has an experiment for."""
    return paper.rows() + paper.described_rows()


def experiments(rows: list[Row]) -> list[Experiment]:
    """The experiments behind `rows`, each once: a distilled row needs its placebo too."""
    students = [row.experiment for row in rows if row.category != "Teacher"]
    return list(dict.fromkeys(e for experiment in students for e in (experiment.placebo(), experiment)))


def run_missing(rows: list[Row], workspace: Workspace, fresh: str, say) -> None:
    """Train and execute what the workspace has no record of."""
    wanted = [e for e in experiments(rows) if fresh != "no" or tables.complete(e, workspace) is None]
    if not wanted:
        return
    taught = [row for row in rows if row.experiment.teacher and (fresh == "all" or row.experiment in wanted)]
    train_teachers(taught, workspace, fresh == "all", say)
    say(f"{len(wanted)} experiments to run, {wanted[0].seeds} seeds each")
    parallel.run_all(wanted, workspace, fresh=fresh != "no", aer_seeds=AER_SEEDS, say=say)


def train_teachers(rows: list[Row], workspace: Workspace, fresh: bool, say) -> None:
    """Train the teachers of `rows` that have no logits yet, with all cores, going on from their last epoch."""
    wanted: dict[str, tuple[Experiment, Teacher]] = {}
    for row in rows:
        for teacher in (*row.experiment.teacher.trained(), row.experiment.teacher):  # members before their ensemble
            wanted.setdefault(teacher_name(row.experiment, teacher), (row.experiment, teacher))
    there = {path.stem for path in workspace.teachers.glob("*.npz")}
    missing = {name: pair for name, pair in wanted.items() if fresh or name not in there}
    if not missing:
        return

    from qkdlib import datasets, teacher_training

    device = runtime.start()
    for name, (task, teacher) in missing.items():
        say(f"teacher {name}")
        alone = fresh and teacher.trained() == (teacher,)  # an ensemble's members are fresh already
        if fresh and not alone:
            (workspace.teachers / f"{name}.npz").unlink(missing_ok=True)
        teacher_training.train_teacher(task, teacher, datasets.splits(task), workspace, device, fresh=alone)


def write_tables(workspace: Workspace, say) -> None:
    """tables/table_1, table_2, described and claims; the first two and the claims also into the README."""
    page, frames = workspace.folder() / "README.md", {}
    for name, rows in {
        "table_1": paper.rows(1), "table_2": paper.rows(2), "described": paper.described_rows()
    }.items():  # fmt: skip
        frames[name] = frame = tables.paper_table(rows, workspace)
        shown = tables.readable(frame)
        tables.write(frame, workspace.tables, name, [tables.UNITS, tables.RUNS, verdicts.RULE], shown)
        tables.embed(page, name, shown[README_COLUMNS].to_markdown(index=False, disable_numparse=True))
        say(f"\n{name}\n\n{shown.drop(columns='note').to_markdown(index=False, disable_numparse=True)}\n")
    frame = claims.table(workspace, [frames["table_1"], frames["table_2"]])
    shown = claims.readable(frame)
    tables.write(frame, workspace.tables, "claims", [claims.RULE], shown)
    short = shown[shown["ours"] != ""].drop(columns=["id", "note"])
    tables.embed(page, "claims", short.to_markdown(index=False, disable_numparse=True))
    say(f"\nclaims\n\n{shown.drop(columns='note').to_markdown(index=False, disable_numparse=True)}\n")


def draw_figures(workspace: Workspace, say) -> None:
    """figures/: 1 to 7 and seed_spread. A figure whose records or images are not there keeps its file, and says so."""
    from qkdlib import circuits, drawings, figures, paper_figures, teachers

    named = [circuits.build("h_ry", qubits) for qubits in (3, 4)]
    shape, classes = (1, 28, 28), 6
    drawn = {
        "figure_1": drawings.method(),
        "figure_3": drawings.architecture(teachers.LeNet(shape, classes), shape, "LeNet"),
        "figure_4": drawings.architecture(teachers.AlexNet(shape, classes), shape, "AlexNet"),
        "figure_5": figures.circuit_diagram(*named),
    }
    there = {name for name, _ in paper_figures.found(workspace)}
    for name in ("figure_6", "figure_7", "seed_spread"):
        if there & set(paper_figures.FIGURE_6 if name == "figure_6" else there):
            drawn[name] = getattr(paper_figures, name)(workspace)
        else:
            say(f"{name} needs records, and its rows have none: a committed figure stays as it is")
    for name, figure in drawn.items():
        figures.save(figure, workspace.figures, name)
    _draw_images(workspace, say)


def _draw_images(workspace: Workspace, say) -> None:
    from qkdlib import datasets, figures

    away = [name for name in paper.TABLES if not datasets.at_hand(name)]
    if away:
        say(f"figure_2 shows images of {' and '.join(away)}, not at hand: the committed figure stays as it is")
        return
    parts = {name: datasets.splits(Experiment(dataset=name, classes=tuple(range(8)))) for name in paper.TABLES}
    named = {paper.TITLES[name]: splits for name, splits in parts.items()}
    figures.save(figures.sample_images(named), workspace.figures, "figure_2")


def _list_undeclared(workspace: Workspace, say) -> None:
    """Name the records that no row asks for; they stay."""
    declared = {experiment.name for experiment in experiments(declared_rows())}
    for record in records.read_all(workspace):
        if record.experiment.name not in declared:
            say(f"left alone: {record.experiment.name}.json belongs to no declared row")
