"""v1 of the paper: Tables 1 and 2 row by row, its text taken literally, its Figures 1 to 7 and its claims."""

from qkdlib.study import verdicts
from qkdlib.study.chapter import Chapter, Page, Part, Picture, Table, each
from qkdlib.study.v1 import claims, figures, method, paper, tables
from qkdlib.study.v1.tables import pairs, students

__all__ = ["CHAPTER", "COLUMNS", "TABLES", "pairs", "students"]
NOTES = (tables.UNITS, tables.RUNS, verdicts.RULE)
COLUMNS = (
    "row", "paper", "ours", "trains", "paper's gain", "our gain", "p (Holm)", "of pairs that train", "draw", "mean",
    "gain", "paper's gain excluded",
)  # fmt: skip
TABLE_1 = Table("table_1", tables.table_1, tables.readable, NOTES, COLUMNS)
TABLE_2 = Table("table_2", tables.table_2, tables.readable, NOTES, COLUMNS)
DESCRIBED = Table(
    "described", tables.described, tables.readable, (tables.UNITS, tables.AS_DESCRIBED, verdicts.RULE), COLUMNS
)
TABLES = {"mnist": TABLE_1, "fashion_mnist": TABLE_2}

FIGURE_1 = Picture(
    "figure_1", "The method: a teacher's softened logits and the labels make the loss of a quantum student",
    lambda _: method.method(),
)  # fmt: skip
FIGURE_2 = Picture("figure_2", "Training images of MNIST and FashionMNIST, a row per class", figures.figure_2)
FIGURE_3 = Picture("figure_3", "The layers of LeNet and their sizes", figures.figure_3)
FIGURE_4 = Picture("figure_4", "The layers of AlexNet and their sizes", figures.figure_4)
FIGURE_5 = Picture("figure_5", "Circuits of 3 and 4 qubits: H, RY and a measurement on each wire", figures.figure_5)
FIGURE_6 = Picture(
    "figure_6", "Training and validation loss of two distilled students over the epochs", figures.figure_6
)
FIGURE_7 = Picture(
    "figure_7", "Mean accuracy of every student row with its interval, the paper's beside it", figures.figure_7
)  # fmt: skip
SEED_SPREAD = Picture(
    "seed_spread", "Every seed of the 24 student rows as a point, the paper's single run as a diamond",
    figures.seed_spread,
)  # fmt: skip

CHAPTER = Chapter(
    name="v1",
    title="The paper's tables",
    parts=(Part("v1", lambda: each(paper.experiments())),),
    pages=(
        Page("teachers", "mnist", (), (FIGURE_2, FIGURE_3, FIGURE_4), {"dataset": "mnist"}, ("v2", "controlled")),
        Page("teachers", "fashion_mnist", parameters={"dataset": "fashion_mnist"}, reads=("v2", "controlled")),
        Page("baselines", "mnist", pictures=(FIGURE_5,), parameters={"dataset": "mnist"}),
        Page("baselines", "fashion_mnist", parameters={"dataset": "fashion_mnist"}),
        Page("distillation", "mnist", (TABLE_1,), (FIGURE_1,), {"dataset": "mnist"}),
        Page("distillation", "fashion_mnist", (TABLE_2, DESCRIBED), (FIGURE_6,), {"dataset": "fashion_mnist"}),
    ),
    claims=claims.CLAIMS,
    taught=paper.taught,
)
