"""Mean, interval and paired difference over seeds, and shares of seeds. Accuracies are in percent.

An interval of a mean is Student's t where n >= `SMALL` and n >= 25 g^2, with the sample's skewness g (Cochran, Sampling
Techniques, 3rd ed., section 2.15: so many make a mean normal enough for 95 %). Else it is the studentized bootstrap
(Efron and Tibshirani, An Introduction to the Bootstrap, section 12.5), which leans where the sample is skewed, as it
is by one lost seed; it does not reach beyond the sample, of which alone it knows.
"""

import dataclasses
import functools
import gc
import itertools
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
RESAMPLES, SEED = 9999, 0
EXACT, DRAWS = 15, 20_000  # seeds up to which all flips of signs are looked at; flips that are drawn beyond
TIE = 5e-4  # points up to which two numbers are the same: records are rounded, and a rounding must not break a tie


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
    return _summary(_numbers("values", values))


def _numbers(name: str, values: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        checks.fail(name, numbers, "one finite number per seed")
    return tuple(numbers.tolist())


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
    n, centred = len(values), (values - values.mean()) / values.std()
    means = _resamples(n) @ centred / n
    errors = np.sqrt((_resamples(n) @ centred**2 / n - means**2).clip(0) / (n - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = means / np.where(errors > 1e-6, errors, 0)
    return np.quantile(np.nan_to_num(found, posinf=np.inf, neginf=-np.inf), chances, method="inverted_cdf")


@functools.lru_cache(maxsize=16)
def _resamples(n: int) -> np.ndarray:
    """How often each of n seeds is in each resample."""
    return np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float)


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
        chance = float((taught[:, None] - alone[None, :] >= claimed - TIE)[unpaired].mean())
    summary = dataclasses.asdict(summarise(difference))
    return Gain(**summary, p=flipped(difference), claimed=claimed, chance_single_pair=chance)


def flipped(difference: Sequence[float] | np.ndarray) -> float:
    """p that the mean of paired differences, in points, is 0: the share of flips of their signs with a mean at least as
    far from 0, of all 2^n for n <= `EXACT`, else of `DRAWS` that are drawn. What scipy's permutation test does in 60
    times the time."""
    return _flipped(_numbers("difference", difference))


@functools.lru_cache(maxsize=4096)
def _flipped(difference: tuple[float, ...]) -> float:
    n, values = len(difference), np.array(difference)
    far = abs(_signs(n) @ values) / n >= abs(values.mean()) - TIE
    return float(far.mean() if n <= EXACT else (1 + far.sum()) / (1 + DRAWS))  # what was seen is one of the flips


@functools.lru_cache(maxsize=16)
def _signs(n: int) -> np.ndarray:
    """Flips of n signs, a row each."""
    if n <= EXACT:
        return np.array(list(itertools.product((1.0, -1.0), repeat=n)))
    return np.random.default_rng(SEED).choice((1.0, -1.0), (DRAWS, n))


def share(count: int, total: int) -> Share:
    """That many of all seeds."""
    from scipy import stats

    total = checks.whole("total", total)
    count = checks.whole("count", count, 0, total)
    interval = stats.binomtest(count, total).proportion_ci(method="wilson")
    return Share(count, total, float(interval.low), float(interval.high))


def mcnemar(one: Sequence[bool] | np.ndarray, other: Sequence[bool] | np.ndarray) -> float:
    """p of McNemar's exact test that of the same seeds an equal share is true in both arms: of the seeds that differ,
    half are true in each."""
    from scipy import stats

    first, second = np.asarray(one, dtype=bool), np.asarray(other, dtype=bool)
    if first.shape != second.shape:
        raise ValueError(f"one and other have {first.size} and {second.size} seeds; allowed: the same")
    differ = first[first != second]
    return float(stats.binomtest(int(differ.sum()), len(differ)).pvalue) if len(differ) else 1.0


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
