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


def by_bootstrap(values, level: float = 0.95) -> tuple[float, float]:
    """The studentized bootstrap as it is described, cut off at the ends of the sample."""
    found, error, mean = resampled(tuple(map(float, values))), stats.sem(values), np.mean(values)
    few = round(len(found) * (1 - level) / 2)
    return max(min(values), mean - found[-few] * error), min(max(values), mean - found[few - 1] * error)


@functools.cache
def resampled(values: tuple[float, ...], resamples: int = 4000, seed: int = 7) -> list[float]:
    """(mean of a resample - mean) / (its standard error), in order, resample by resample."""
    draw, n, mean = random.Random(seed), len(values), math.fsum(values) / len(values)
    found = []
    for _ in range(resamples):
        drawn = draw.choices(values, k=n)
        its_mean = sum(drawn) / n
        its_error = math.sqrt(sum((value - its_mean) ** 2 for value in drawn) / (n - 1) / n)
        shift = its_mean - mean
        found.append(shift / its_error if its_error > 1e-9 else math.copysign(math.inf, shift) if shift else 0.0)
    return sorted(found)


def leans(values) -> bool:
    """Whether so few or so skewed values are bootstrapped: by Cochran's rule."""
    if not np.ptp(values):
        return False
    n, centred = len(values), np.asarray(values, dtype=float) - np.mean(values)
    skewness = np.mean(centred**3) / np.mean(centred**2) ** 1.5
    return n < 20 or n < 25 * skewness**2


def near_interval(values, level: float = 0.95):
    """The interval of these values, to compare with: exact by t; by the bootstrap within what draws decide, namely
    four standard errors of the share of resamples beyond an end."""
    if not leans(values):
        return pytest.approx(by_t(values, level))
    tail = (1 - level) / 2
    reach = 8 * math.sqrt(tail * (1 - tail) * (1 / 4000 + 1 / 9999))
    found, *others = (by_bootstrap(values, each) for each in (level, level - reach, level + reach))
    return pytest.approx(found, abs=1e-9 + float(np.abs(np.subtract(others, found)).max()))


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
