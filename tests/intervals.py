"""What the intervals and p values of means over seeds should be, in other ways than the library's."""

import functools
import math
import random

import numpy as np
import pytest
from scipy import stats


def by_t(values, level: float = 0.95) -> tuple[float, float]:
    """Student's interval, by scipy."""
    return tuple(map(float, stats.t.interval(level, len(values) - 1, np.mean(values), stats.sem(values))))


def by_bootstrap(values, level: float = 0.95, resamples: int = 4000, seed: int = 7) -> tuple[float, float]:
    """The studentized bootstrap as it is described, resample by resample, cut off at the ends of the sample."""
    return _by_bootstrap(tuple(map(float, values)), level, resamples, seed)


@functools.cache
def _by_bootstrap(values, level, resamples, seed):
    draw, n, mean = random.Random(seed), len(values), math.fsum(values) / len(values)
    found = []
    for _ in range(resamples):
        drawn = draw.choices(values, k=n)
        its_mean = sum(drawn) / n
        its_error = math.sqrt(sum((value - its_mean) ** 2 for value in drawn) / (n - 1) / n)
        shift = its_mean - mean
        found.append(shift / its_error if its_error > 1e-9 else math.copysign(math.inf, shift) if shift else 0.0)
    found.sort()
    error, few = stats.sem(values), round(resamples * (1 - level) / 2)
    return max(min(values), mean - found[-few] * error), min(max(values), mean - found[few - 1] * error)


def leans(values) -> bool:
    """Whether so few or so skewed values are bootstrapped: by Cochran's rule."""
    if not np.ptp(values):
        return False
    n, centred = len(values), np.asarray(values, dtype=float) - np.mean(values)
    skewness = np.mean(centred**3) / np.mean(centred**2) ** 1.5
    return n < 20 or n < 25 * skewness**2


def near_interval(values, level: float = 0.95):
    """The interval of these values, to compare with: exact by t, within the draw's error by the bootstrap."""
    drawn, spread = leans(values), np.std(values, ddof=1)
    return pytest.approx((by_bootstrap if drawn else by_t)(values, level), abs=0.15 * spread if drawn else 1e-9)


def by_flips(differences) -> float:
    """p of flipped signs. Of all 2^n for n <= 20: each flip of one half of the differences beside each of the other;
    of 20,000 that are drawn beyond."""
    n, least = len(differences), abs(math.fsum(differences)) - 5e-4 * len(differences)
    if n > 20:
        signs = np.random.default_rng(7).choice([-1.0, 1.0], (20_000, n))
        return float((abs(signs @ np.asarray(differences)) >= least).mean())
    flips = np.add.outer(sums(differences[: n // 2]), sums(differences[n // 2 :]))
    return float((abs(flips) >= least).mean())


def sums(values) -> np.ndarray:
    """Of all flips of their signs."""
    found = np.zeros(1)
    for value in values:
        found = np.concatenate([found + value, found - value])
    return found


def near_p(differences):
    """p of their flipped signs, to compare with: exact to 15 differences, within the draws' errors beyond."""
    return pytest.approx(by_flips(differences), abs=1e-9 if len(differences) <= 15 else 0.02)
