"""The controlled experiment: does distillation help a quantum student that trains, and what of it is knowledge?"""

from qkdlib.study.chapter import Chapter, Page, Part, Picture, Table, each
from qkdlib.study.controlled import answers, claims, design, figures, table

CONTROLS = Table("controls", table.table, table.readable, (table.UNITS, table.WORDS))
GRID = Table("grid", table.grid, table.readable_grid, (table.GRID,))
ANSWERS = Table("answers", answers.table, answers.readable, (answers.RULE, table.WORDS))
DIFFERENCES = Picture(
    "controls", "Each control's difference to the placebo with its interval, one panel per student", figures.controls
)  # fmt: skip
DATA_SCALING = Picture(
    "data_scaling", "Accuracy and gains against training images per class, quantum students and classical twins",
    figures.data_scaling,
)  # fmt: skip

CHAPTER = Chapter(
    name="controlled",
    title="The controlled experiment",
    parts=(Part("controlled", lambda: each(design.experiments())),),
    pages=(
        Page("controlled_experiment", "paper", (CONTROLS, GRID, ANSWERS), (DIFFERENCES, DATA_SCALING),
             {"paper_records": True}),
    ),
    claims=claims.CLAIMS,
    taught=design.taught,
)  # fmt: skip
