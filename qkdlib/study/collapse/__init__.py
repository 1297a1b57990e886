"""Why seeds of the published student collapse, and the smallest change that lets all of them train."""

from qkdlib.study.chapter import Chapter, Page, Part, Picture, Table, each
from qkdlib.study.collapse import changes, figures, table

COLLAPSE = Table("collapse", table.table, table.readable, (table.UNITS,))
ROBUST = Table("robust", table.robust_table, table.readable_robust, (table.ROBUST_UNITS,))
SEEDS = Picture(
    "collapse", "Validation accuracy of every seed under each change of the published recipe", figures.figure
)  # fmt: skip

CHAPTER = Chapter(
    name="collapse",
    title="Why seeds collapse",
    parts=(Part("collapse", lambda: each(changes.experiments())),),
    pages=(Page("collapse", "paper", (COLLAPSE, ROBUST), (SEEDS,)),),
)
