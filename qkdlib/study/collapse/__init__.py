"""Why seeds of the published student do not train, and the smallest set of changes with which all of them do."""

from qkdlib.study.chapter import Chapter, Page, Part, Picture, Table, each
from qkdlib.study.collapse import changes, choice, figures, robust_table, table

COLLAPSE = Table("collapse", table.table, table.readable, (table.UNITS, choice.RULE))
ROBUST = Table("robust", robust_table.table, robust_table.readable, (robust_table.UNITS,), robust_table.IN_README)
SEEDS = Picture(
    "collapse", "Validation accuracy of every seed under each change of the published recipe", figures.figure
)  # fmt: skip

CHAPTER = Chapter(
    name="collapse",
    title="Why seeds collapse",
    parts=(Part("collapse", lambda: each(changes.experiments())),),
    pages=(Page("collapse", "paper", (COLLAPSE, ROBUST), (SEEDS,)),),
)
