"""`make paper-artifacts`: every table and figure of the paper, from records; runs what has none."""

from collections.abc import Callable, Iterable

import pandas as pd

from qkdlib import (
    ablation,
    claims,
    collapse_table,
    cost,
    hardware,
    paper,
    records,
    revised,
    robustness,
    robustness_table,
    runs,
    tables,
    verdicts,
)
from qkdlib.experiment import Experiment
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
    """
    runs.run_missing(runs.missing(parts, workspace, fresh), workspace, fresh, say)
    if "robustness" in parts:
        robustness.run_missing(workspace, fresh != "no", say)
    write_tables(workspace, say)
    draw_figures(workspace, say)
    _list_undeclared(workspace, say)
    say(f"tables: {workspace.tables}\nfigures: {workspace.figures}")


def write_tables(workspace: Workspace, say) -> None:
    """All tables; some also into the README."""
    page, frames = workspace.folder() / "README.md", {}
    for name, rows in {
        "table_1": paper.rows(1), "table_2": paper.rows(2), "described": paper.described_rows()
    }.items():  # fmt: skip
        frames[name] = frame = tables.paper_table(rows, workspace)
        shown = tables.readable(frame)
        tables.write(frame, workspace.tables, name, [tables.UNITS, tables.RUNS, verdicts.RULE], shown)
        tables.embed(page, name, shown[README_COLUMNS].to_markdown(index=False, disable_numparse=True))
        say(f"\n{name}\n\n{shown.drop(columns='note').to_markdown(index=False, disable_numparse=True)}\n")
    _write_revised(workspace, page, say)
    executed = _write_robustness(workspace, page, say)
    frame = collapse_table.table(workspace)
    shown = collapse_table.readable(frame)
    tables.write(frame, workspace.tables, "collapse", [collapse_table.UNITS], shown)
    tables.embed(page, "collapse", shown.to_markdown(index=False, disable_numparse=True))
    frame = collapse_table.robust_table(workspace)
    shown = collapse_table.readable_robust(frame)
    tables.write(frame, workspace.tables, "robust", [collapse_table.ROBUST_UNITS], shown)
    tables.embed(page, "robust", shown.to_markdown(index=False, disable_numparse=True))
    frame = claims.table(workspace, [frames["table_1"], frames["table_2"]], executed)
    shown = claims.readable(frame)
    tables.write(frame, workspace.tables, "claims", [claims.RULE], shown)
    short = shown[shown["ours"] != ""].drop(columns=["id", "note"])
    tables.embed(page, "claims", short.to_markdown(index=False, disable_numparse=True))
    say(f"\nclaims\n\n{shown.drop(columns='note').to_markdown(index=False, disable_numparse=True)}\n")


def _write_revised(workspace: Workspace, page, say) -> None:
    """v2's tables."""
    for name, bars in {"ablation": revised.bars(), "entangler": revised.variants()}.items():
        frame = ablation.table(bars, workspace)
        shown = ablation.readable(frame)
        tables.write(frame, workspace.tables, name, [ablation.UNITS, ablation.RULE], shown)
        tables.embed(page, name, shown.to_markdown(index=False, disable_numparse=True))
        say(f"\n{name}\n\n{shown.to_markdown(index=False, disable_numparse=True)}\n")
        if name == "ablation":
            ranking = ablation.ranking(frame)
            tables.write(ranking, workspace.tables, "ranking", [ablation.RANKING])
            tables.embed(page, "ranking", ranking.to_markdown(index=False, disable_numparse=True))
    frame = cost.table(workspace)
    tables.write(frame, workspace.tables, "cost", [cost.UNITS], cost.readable(frame))


def _write_robustness(workspace: Workspace, page, say) -> pd.DataFrame:
    """What shots and noise do, and what a quantum computer would be asked for. Returns the table of the former."""
    executed = robustness_table.table(workspace)
    shown = robustness_table.readable(executed)
    tables.write(executed, workspace.tables, "robustness", [robustness_table.UNITS, robustness_table.RULE], shown)
    say(f"\nrobustness\n\n{shown.to_markdown(index=False, disable_numparse=True)}\n")
    frame = hardware.table()
    tables.write(frame, workspace.tables, "hardware", [hardware.UNITS], hardware.readable(frame))
    tables.embed(page, "hardware", hardware.readable(frame).to_markdown(index=False, disable_numparse=True))
    return executed


def draw_figures(workspace: Workspace, say) -> None:
    """All figures. One whose records or images are not there keeps its file, and says so."""
    from qkdlib import circuits, drawings, figures, paper_figures, revised_figures, strategies, teachers
    from qkdlib import robustness_figures as executed_figures

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
    if (seeds := collapse_table.figure(workspace)) is not None:
        drawn["collapse"] = seeds
    else:
        say("collapse needs records, and its experiments have none: a committed figure stays as it is")
    for name in sorted(set(executed_figures.FIGURES) - set(executed)):
        say(f"{name} needs records of executions: a committed figure stays as it is")
    for name, figure in drawn.items():
        figures.save(figure, workspace.figures, name)
    _draw_images(workspace, say)


def _draw_images(workspace: Workspace, say) -> None:
    from qkdlib import datasets, figures, revised_figures

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
        parts = {dataset: datasets.splits(each) for dataset, each in shown.items()}
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
