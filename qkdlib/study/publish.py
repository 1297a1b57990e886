"""`make paper-artifacts`: every table and figure of the paper, from records; runs what has none."""

from collections.abc import Callable, Iterable

from qkdlib import parallel, records
from qkdlib.experiment import Experiment
from qkdlib.study import claims, runs, verdicts
from qkdlib.study.collapse import table as collapse_table
from qkdlib.study.controlled import answers
from qkdlib.study.controlled import table as controlled_table
from qkdlib.study.robustness import hardware, sweeps
from qkdlib.study.robustness import table as robustness_table
from qkdlib.study.v1 import paper, tables
from qkdlib.study.v2 import ablation, cost, revised
from qkdlib.workspace import Workspace

README_COLUMNS = ["row", "paper", "ours", "collapsed", "paper's gain", "our gain", "p (Holm)", "verdict"]


def make(
    workspace: Workspace, fresh: str = "no", parts: Iterable[str] = runs.PARTS, say: Callable[[str], None] = print
) -> None:
    """Run what has no record, then draw all tables and figures.

    Args:
        fresh: `students` retrains every student, `all` the teachers, too.
        parts: of `runs.PARTS`, what to run; tables and figures are drawn whole.
        say: prints a line for the reader.

    Raises:
        Exception: of what could not be run, after everything else has been run and drawn.
    """
    failures = parallel.Failures(say)
    with failures.of("running what has no record"):
        runs.run_missing(runs.missing(parts, workspace, fresh), workspace, fresh, say)
    if "robustness" in parts:
        with failures.of("executing what has no record"):
            sweeps.run_missing(workspace, fresh != "no", say)
    write_tables(workspace, say)
    draw_figures(workspace, say)
    _list_undeclared(workspace, say)
    say(f"tables: {workspace.tables}\nfigures: {workspace.figures}")
    failures.end()


def write_tables(workspace: Workspace, say) -> None:
    """All tables; some also into the README."""
    frames = {}
    for name, rows in {
        "table_1": paper.rows(1), "table_2": paper.rows(2), "described": paper.described_rows()
    }.items():  # fmt: skip
        frames[name] = frame = tables.paper_table(rows, workspace)
        shown, notes = tables.readable(frame), [tables.UNITS, tables.RUNS, verdicts.RULE]
        _publish(workspace, name, frame, notes, shown, shown[README_COLUMNS])
        say(f"\n{name}\n\n{_markdown(shown.drop(columns='note'))}\n")
    _write_revised(workspace, say)
    executed = robustness_table.table(workspace)
    shown = robustness_table.readable(executed)
    _publish(workspace, "robustness", executed, [robustness_table.UNITS, robustness_table.RULE], shown)
    say(f"\nrobustness\n\n{_markdown(shown)}\n")
    frame = hardware.table()
    _publish(workspace, "hardware", frame, [hardware.UNITS], hardware.readable(frame))
    frame = collapse_table.table(workspace)
    _publish(workspace, "collapse", frame, [collapse_table.UNITS], collapse_table.readable(frame))
    frame = collapse_table.robust_table(workspace)
    _publish(workspace, "robust", frame, [collapse_table.ROBUST_UNITS], collapse_table.readable_robust(frame))
    _write_controlled(workspace, say)
    frame = claims.table(workspace, [frames["table_1"], frames["table_2"]], executed)
    shown = claims.readable(frame)
    short = shown[shown["ours"] != ""].drop(columns=["id", "note"])
    _publish(workspace, "claims", frame, [claims.RULE], shown, short)
    say(f"\nclaims\n\n{_markdown(shown.drop(columns='note'))}\n")


def _write_revised(workspace: Workspace, say) -> None:
    """v2's tables."""
    for name, bars in {"ablation": revised.bars(), "entangler": revised.variants()}.items():
        frame = ablation.table(bars, workspace)
        shown = ablation.readable(frame)
        _publish(workspace, name, frame, [ablation.UNITS, ablation.RULE], shown)
        say(f"\n{name}\n\n{_markdown(shown)}\n")
        if name == "ablation":
            ranking = ablation.ranking(frame)
            _publish(workspace, "ranking", ranking, [ablation.RANKING], ranking)
    frame = cost.table(workspace)
    _publish(workspace, "cost", frame, [cost.UNITS], cost.readable(frame))


def _write_controlled(workspace: Workspace, say) -> None:
    """The controlled experiment's tables."""
    frame = controlled_table.table(workspace)
    _publish(
        workspace, "controls", frame, [controlled_table.UNITS, controlled_table.WORDS], controlled_table.readable(frame)
    )
    frame = controlled_table.grid(workspace)
    _publish(workspace, "grid", frame, [controlled_table.GRID], controlled_table.readable_grid(frame))
    frame = answers.table(workspace)
    _publish(workspace, "answers", frame, [answers.RULE, controlled_table.WORDS], shown := answers.readable(frame))
    say(f"\nanswers\n\n{_markdown(shown)}\n")


def _publish(workspace: Workspace, name: str, frame, notes: list[str], shown, on_page=None) -> None:
    """Write a table, and put it, or what of it is `on_page`, into the README if that has a place for it."""
    tables.write(frame, workspace.tables, name, notes, shown)
    tables.embed(workspace.folder() / "README.md", name, _markdown(shown if on_page is None else on_page))


def _markdown(shown) -> str:
    return shown.to_markdown(index=False, disable_numparse=True)


def draw_figures(workspace: Workspace, say) -> None:
    """All figures. One whose records or images are not there keeps its file, and says so."""
    from qkdlib import circuits, teachers
    from qkdlib.drawing import drawings, figures
    from qkdlib.study.controlled import figures as controlled_figures
    from qkdlib.study.robustness import figures as executed_figures
    from qkdlib.study.v1 import figures as paper_figures
    from qkdlib.study.v2 import figures as revised_figures
    from qkdlib.study.v2 import strategies

    named = [circuits.build("h_ry", qubits) for qubits in (3, 4)]
    shape, classes = (1, 28, 28), 6
    drawn = {
        "figure_1": drawings.method(),
        "figure_3": drawings.architecture(teachers.LeNet(shape, classes), shape, "LeNet"),
        "figure_4": drawings.architecture(teachers.AlexNet(shape, classes), shape, "AlexNet"),
        "figure_5": figures.circuit_diagram(*named),
        "strategies": strategies.strategies(),
    }
    there = {name for name, _ in paper_figures.found(workspace)}
    for name in ("figure_6", "figure_7", "seed_spread"):
        if there & set(paper_figures.FIGURE_6 if name == "figure_6" else there):
            drawn[name] = getattr(paper_figures, name)(workspace)
        else:
            say(f"{name} needs records, and its rows have none: a committed figure stays as it is")
    if any(revised_figures.found(workspace, regime) for regime in (revised.DEFAULT, revised.CONVERGED)):
        drawn["figure_12"] = revised_figures.figure_12(workspace)
    else:
        say("figure_12 needs records, and its bars have none: a committed figure stays as it is")
    drawn |= (executed := executed_figures.drawn(workspace))
    for name, draw in {
        "collapse": collapse_table.figure, "controls": controlled_figures.controls,
        "data_scaling": controlled_figures.data_scaling,
    }.items():  # fmt: skip
        if (figure := draw(workspace)) is not None:
            drawn[name] = figure
        else:
            say(f"{name} needs records, and its experiments have none: a committed figure stays as it is")
    for name in sorted(set(executed_figures.FIGURES) - set(executed)):
        say(f"{name} needs records of executions: a committed figure stays as it is")
    for name, figure in drawn.items():
        figures.save(figure, workspace.figures, name)
    _draw_images(workspace, say)


def _draw_images(workspace: Workspace, say) -> None:
    from qkdlib.drawing import figures
    from qkdlib.images import datasets
    from qkdlib.study.v2 import figures as revised_figures

    v2 = {name: revised.at_hand(revised.bar("original", name, 4)).experiment for name in revised.DATASETS}
    wanted = {
        "figure_2": {name: Experiment(dataset=name, classes=tuple(range(8))) for name in paper.TABLES},
        "figure_11": v2,
    }
    for name, shown in wanted.items():
        away = [each.dataset for each in shown.values() if not datasets.at_hand(each.dataset)]
        if away:
            say(f"{name} shows images of {' and '.join(away)}, not at hand: the committed figure stays as it is")
            continue
        try:
            parts = {dataset: datasets.splits(each) for dataset, each in shown.items()}
        except (OSError, ValueError) as error:
            say(f"{name} shows images that cannot be loaded: the committed figure stays as it is ({error})")
            continue
        if name == "figure_2":
            figure = figures.sample_images({paper.TITLES[dataset]: splits for dataset, splits in parts.items()})
        else:
            figure = revised_figures.figure_11(parts)
        figures.save(figure, workspace.figures, name)


def _list_undeclared(workspace: Workspace, say) -> None:
    """Name the records that nothing declared asks for; they stay."""
    declared = {experiment.name for experiment in runs.declared()}
    for record in records.read_all(workspace):
        if record.experiment.name not in declared:
            say(f"left alone: {record.experiment.name}.json belongs to no declared experiment")
