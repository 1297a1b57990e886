"""v2 of the paper: the seven methods of its Fig. 12 in three regimes, depth and entanglement, cost, and its claims."""

from qkdlib.study.chapter import Chapter, Page, Part, Picture, Table
from qkdlib.study.v2 import ablation, claims, cost, figures, revised, strategies
from qkdlib.study.v2.ablation import pairs, students
from qkdlib.study.v2.revised import Bar, student

__all__ = ["CHAPTER", "pairs", "student", "students"]


def _arms(bars: list[Bar]) -> list[tuple]:
    return [tuple(bar.arms.values()) for bar in bars]


ABLATION = Table("ablation", ablation.bars, ablation.readable, (ablation.UNITS, ablation.RULE))
RANKING = Table("ranking", ablation.rankings, lambda frame: frame, (ablation.RANKING,))
ENTANGLER = Table("entangler", ablation.variants, ablation.readable, (ablation.UNITS, ablation.RULE))
COST = Table("cost", cost.table, cost.readable, (cost.UNITS,))
STRATEGIES = Picture(
    "strategies", "Three ways to distil: classical to classical, quantum to quantum, classical to quantum",
    lambda _: strategies.strategies(),
)  # fmt: skip
FIGURE_11 = Picture(
    "figure_11", "What each reducer leaves of an image of each data set, for 4 and 8 qubits", figures.of_paper
)  # fmt: skip
FIGURE_12 = Picture(
    "figure_12", "Errors of seven methods on three data sets with 4 and 8 qubits, the paper's beside ours",
    figures.figure_12,
)  # fmt: skip

CHAPTER = Chapter(
    name="v2",
    title="The revised paper's ablations",
    parts=(
        Part("v2-10-epochs", lambda: _arms(revised.bars(revised.DEFAULT))),
        Part("v2-converged", lambda: _arms(revised.bars(revised.CONVERGED, ("lenet",)))),
        Part("v2-converged-alexnet", lambda: _arms(revised.bars(revised.CONVERGED, ("alexnet",)))),
        Part("v2-full-set", lambda: _arms(revised.bars(revised.FULL))),
        Part("v2-entangler", lambda: _arms(revised.variants())),
    ),
    pages=(
        Page("teachers", "cifar10", parameters={"dataset": "cifar10"}),
        Page("baselines", "cifar10", parameters={"dataset": "cifar10"}),
        Page("distillation", "cifar10", parameters={"dataset": "cifar10"}),
        Page("ablations", "paper", (ABLATION, RANKING, ENTANGLER), (STRATEGIES, FIGURE_11, FIGURE_12),
             {"paper_records": True}),
        Page("cost", "paper", (COST,), reads=("v1",)),
    ),
    claims=claims.CLAIMS,
    taught=revised.taught,
)  # fmt: skip
