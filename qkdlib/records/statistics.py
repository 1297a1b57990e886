"""Mean, interval and paired difference over seeds, and shares of seeds. Accuracies are in percent.

An interval of a mean is Student's t where n >= `SMALL` and n >= 25 g^2, with the sample's skewness g (Cochran, Sampling
Techniques, 3rd ed., section 2.15: so many make a mean normal enough for 95 %). Else it is the studentized bootstrap
(Efron and Tibshirani, An Introduction to the Bootstrap, section 12.5), which leans where the sample is skewed, as it
is by one lost seed; it does not reach beyond the sample, of which alone it knows.
"""

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

T, BOOTSTRAP = "t", "studentized bootstrap"
SMALL, COCHRAN = 20, 25
RESAMPLES, SEED = 4999, 0
EXACT, DRAWS = 15, 20_000  # seeds up to which all flips of signs are looked at; flips that are drawn beyond
DECIMALS = 3  # of a mean in points; records are rounded, and a rounding must not break a tie


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation (n - 1), and 95 and 90 % interval of the mean over `seeds` numbers, by a `method`."""

    seeds: int
    mean: float
    sd: float
    low: float
    high: float
    low_90: float
    high_90: float
    method: str

    @property
    def reach(self) -> list[list[float]]:
        """How far the 95 % interval reaches below and above the mean, as matplotlib takes errors: (2, 1)."""
        return [[self.mean - self.low], [self.high - self.mean]]

    def within(self, low: float, high: float) -> bool:
        """Whether the mean is equivalent to what lies between these bounds: the 90 % interval is inside, which is two
        one-sided tests at 5 % (TOST)."""
        return low <= self.low_90 and self.high_90 <= high

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Gain(Summary):
    """A paired difference of two arms, such as distilled - placebo, over the same seeds, with `p` of a test that flips
    its signs, and the chance that one single pair of runs with different seeds shows a difference of `claimed` or more
    (None without a claim or with a single seed)."""

    p: float
    claimed: float | None
    chance_single_pair: float | None


@dataclass(frozen=True)
class Share:
    """`count` of `total` seeds, and Wilson's 95 % interval of their share, in [0, 1]."""

    count: int
    total: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """count / total."""
        return self.count / self.total

    def __str__(self) -> str:
        return f"{self.count} of {self.total} [{self.low:.0%}, {self.high:.0%}]"


def summarise(values: Sequence[float] | np.ndarray) -> Summary:
    """Summary of one number per seed. With fewer than two different values its intervals have no width."""
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        checks.fail("values", numbers, "one finite number per seed")
    return _summary(tuple(numbers.tolist()))


@functools.lru_cache(maxsize=4096)  # tables, figures and claims summarise the same numbers
def _summary(numbers: tuple[float, ...]) -> Summary:
    from scipy import stats

    values, n = np.array(numbers), len(numbers)
    mean = float(values.mean())
    if np.ptp(values) <= 1e-9:  # equal but for rounding
        return Summary(n, mean, 0.0 if n > 1 else math.nan, mean, mean, mean, mean, T)
    sd = float(values.std(ddof=1))
    chances = np.array([0.025, 0.975, 0.05, 0.95])
    by_t = n >= SMALL and n >= COCHRAN * stats.skew(values) ** 2
    quantiles = stats.t.ppf(chances, n - 1) if by_t else _studentized(values, chances)
    bounds = mean - quantiles * sd / math.sqrt(n)
    if not by_t:
        bounds = bounds.clip(values.min(), values.max())
    high, low, high_90, low_90 = map(float, bounds)
    return Summary(n, mean, sd, low, high, low_90, high_90, T if by_t else BOOTSTRAP)


def _studentized(values: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Quantiles of (mean of a resample - mean) / (its standard error); infinite where a resample has no spread."""
    resamples = values[_places(len(values))]
    errors = resamples.std(1, ddof=1) / math.sqrt(len(values))
    shifts = resamples.mean(1) - values.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(errors > 1e-9, shifts / errors, np.sign(shifts) * np.inf)
    return np.quantile(np.nan_to_num(found, nan=0.0, posinf=np.inf, neginf=-np.inf), chances, method="inverted_cdf")


@functools.lru_cache(maxsize=16)
def _places(n: int) -> np.ndarray:
    return np.random.default_rng(SEED).integers(0, n, (RESAMPLES, n))


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
        chance = float((taught[:, None] - alone[None, :] >= claimed - 10**-DECIMALS)[unpaired].mean())
    summary = dataclasses.asdict(summarise(difference))
    return Gain(**summary, p=flipped(difference), claimed=claimed, chance_single_pair=chance)


def flipped(difference: Sequence[float] | np.ndarray) -> float:
    """p that the mean of paired differences, in points, is 0: the share of flips of their signs with a mean at least as
    far from 0 (scipy's permutation test), of all 2^n for n <= `EXACT`, else of `DRAWS` that are drawn."""
    return _flipped(tuple(np.asarray(difference, dtype=float).tolist()))


@functools.lru_cache(maxsize=4096)
def _flipped(difference: tuple[float, ...]) -> float:
    from scipy import stats

    exact = len(difference) <= EXACT
    return float(stats.permutation_test(
        (difference,), lambda values, axis: values.mean(axis).round(DECIMALS), permutation_type="samples",
        vectorized=True, n_resamples=2**EXACT if exact else DRAWS, batch=2000, rng=np.random.default_rng(SEED),
    ).pvalue)  # fmt: skip


def share(count: int, total: int) -> Share:
    """That many of all seeds."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(count, total, method="wilson")
    return Share(int(count), int(total), float(low), float(high))


def mcnemar(one: Sequence[bool] | np.ndarray, other: Sequence[bool] | np.ndarray) -> float:
    """p of McNemar's exact test that of the same seeds an equal share is true in both arms."""
    from statsmodels.stats.contingency_tables import mcnemar as exact

    pairs = np.array([one, other], dtype=int)
    table = np.zeros((2, 2), dtype=int)
    np.add.at(table, tuple(pairs), 1)
    return float(exact(table, exact=True).pvalue)


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
