"""Mean, spread, interval and paired difference over seeds. Accuracies are in percent."""

import dataclasses
import functools
import gc
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qkdlib import checks
from qkdlib.experiment import Experiment
from qkdlib.records.record import Record
from qkdlib.records.results import kept, outcomes

RESAMPLES = 9999
BOOTSTRAP_SEED = 0
EXACT = 13  # seeds, up to which scipy's test looks at all flips of their signs
SAME = 1e-3  # points of accuracy; records are rounded, and a rounding must not break a tie


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (n - 1) and 95 % bootstrap interval of the mean over `seeds` numbers."""

    seeds: int
    mean: float
    sd: float
    low: float
    high: float

    @property
    def reach(self) -> list[list[float]]:
        """How far the interval reaches below and above the mean, as matplotlib takes errors: (2, 1)."""
        return [[self.mean - self.low], [self.high - self.mean]]

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Gain(Summary):
    """A paired difference of two arms, such as distilled - placebo, over the same seeds, with its Wilcoxon signed-rank
    p, and the chance that one single pair of runs with different seeds shows a difference of `claimed` or more (None
    without a claim or with a single seed)."""

    p_wilcoxon: float
    claimed: float | None
    chance_single_pair: float | None


def summarise(values: Sequence[float] | np.ndarray) -> Summary:
    """Summary of one number per seed. The interval is scipy's bias-corrected accelerated bootstrap; with fewer than
    two different values it has no width."""
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        checks.fail("values", numbers, "one finite number per seed")
    return _summary(tuple(numbers.tolist()), RESAMPLES)


@functools.lru_cache(maxsize=4096)  # tables, figures and claims summarise the same numbers
def _summary(numbers: tuple[float, ...], resamples: int) -> Summary:
    from scipy import stats

    values = np.array(numbers)
    mean = float(values.mean())
    if np.ptp(values) <= 1e-9:  # equal but for rounding: the bootstrap would divide by it
        return Summary(len(values), mean, 0.0 if len(values) > 1 else math.nan, mean, mean)
    interval = stats.bootstrap(
        (values,), np.mean, n_resamples=resamples, rng=np.random.default_rng(BOOTSTRAP_SEED)
    ).confidence_interval
    return Summary(len(values), mean, float(values.std(ddof=1)), float(interval.low), float(interval.high))


def paired_gain(
    distilled: Sequence[float] | np.ndarray, placebo: Sequence[float] | np.ndarray, claimed: float | None = None
) -> Gain:
    """Gain over seeds of two arms, given in the same order of seeds; `claimed` is one of a single pair of runs."""
    taught, alone = np.asarray(distilled, dtype=float), np.asarray(placebo, dtype=float)
    if taught.shape != alone.shape:
        raise ValueError(f"distilled and placebo have {taught.size} and {alone.size} seeds; allowed: the same")
    difference = taught - alone
    chance = None
    if claimed is not None and len(taught) > 1:
        unpaired = ~np.eye(len(taught), dtype=bool)
        chance = float((taught[:, None] - alone[None, :] >= claimed - SAME)[unpaired].mean())
    summary = dataclasses.asdict(summarise(difference))
    return Gain(**summary, p_wilcoxon=signed_rank(difference), claimed=claimed, chance_single_pair=chance)


def signed_rank(difference: Sequence[float] | np.ndarray) -> float:
    """p of Wilcoxon's signed-rank test that paired differences, in points, are symmetric about 0; 1 if all are 0."""
    from scipy import stats

    levels = _levels(np.asarray(difference, dtype=float))
    if not np.any(levels):
        return 1.0
    if not 2 <= len(levels) <= EXACT:
        return float(stats.wilcoxon(levels).pvalue)
    # What scipy does with so few seeds where sizes tie, but all sign flips at once, in a hundredth of the time.
    unequal = levels != 0
    ranks = np.zeros(len(levels))
    ranks[unequal] = np.sign(levels[unequal]) * stats.rankdata(np.abs(levels[unequal]))
    flips = stats.permutation_test(
        (ranks,), lambda ranks, axis: np.maximum(ranks, 0).sum(axis), permutation_type="samples", vectorized=True
    )
    return float(flips.pvalue)


def _levels(difference: np.ndarray) -> np.ndarray:
    """Signed whole numbers that rank as `difference` does, sizes less than `SAME` apart being equal."""
    sizes = np.concatenate([[0.0], np.abs(difference)])
    order = np.argsort(sizes, kind="stable")
    level = np.empty(len(sizes), dtype=int)
    level[order] = np.concatenate([[0], np.cumsum(np.diff(sizes[order]) > SAME)])
    return np.sign(difference) * level[1:]


def holm(ps: Sequence[float]) -> list[float]:
    """p values corrected by Holm's step-down method for having looked at all of them; NaN stays NaN."""
    from statsmodels.stats.multitest import multipletests

    corrected = np.array(ps, dtype=float)
    there = ~np.isnan(corrected)
    if there.any():
        gc.freeze()  # statsmodels collects all garbage at every call: 0.1 s where torch is loaded
        corrected[there] = multipletests(corrected[there], method="holm")[1]
        gc.unfreeze()
    return corrected.tolist()


def accuracies(record: Record, which: str = "last") -> list[float]:
    """One accuracy per seed, in percent and in the order of seeds; `which` as in `records.outcomes`. Seeds that were
    not executed on the QASM simulator have none there."""
    found = [outcomes(record.seeds[seed])[which] for seed in sorted(record.seeds)]
    return [value for value in found if value is not None]


def kept_outcome(record: Record) -> str:
    """Which of `records.outcomes` belongs to the weights that the training keeps, as `results.kept` says."""
    return kept(record.experiment)


def kept_accuracies(record: Record, seeds: Sequence[int]) -> list[float]:
    """Accuracies, in percent, of the weights that the training keeps, of these seeds in their order."""
    which = kept_outcome(record)
    return [outcomes(record.seeds[seed])[which] for seed in seeds]


def gain_over(record: Record, placebo: Record | None) -> Gain | None:
    """The paired gain of a record over its placebo, of the weights that are kept; None without common seeds."""
    if placebo is None or not (common := sorted(set(record.seeds) & set(placebo.seeds))):
        return None
    return paired_gain(kept_accuracies(record, common), kept_accuracies(placebo, common))


def qasm_differences(record: Record) -> list[float]:
    """Accuracy on the QASM simulator minus `last`, in points, of every seed that was executed there."""
    found = [outcomes(results) for results in record.seeds.values()]
    return [seed["qasm"] - seed["last"] for seed in found if seed["qasm"] is not None]


def collapsed_share(record: Record) -> float:
    """Share of seeds whose last-epoch test accuracy is below the `collapse_limit`."""
    return float(np.mean([value < collapse_limit(record.experiment) for value in accuracies(record)]))


def collapse_limit(experiment: Experiment) -> float:
    """1.5 times chance, in percent: a seed below it has collapsed."""
    return 100 * 1.5 / len(experiment.classes)
