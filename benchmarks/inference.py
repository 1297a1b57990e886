"""How often an interval of a mean covers it, and how often a test of a mean of 0 rejects it, in samples of real seeds.

A population is a record's accuracies, or its gains over its placebo, with 50 seeds or more (20, if there are few).
Samples are drawn from it with replacement, so that the true mean is known: that of the record. For a test, gains are
shifted to a mean of 0. Writes coverage.csv and rejection.csv beside this file: the mean and the worst over records.
"""

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from qkdlib import records
from qkdlib.records import statistics

SIZES, MOST, SAMPLES = (10, 20, 100), 60, 200  # seeds in a sample, records of a kind, samples of each
ENOUGH = 40  # records with 50 seeds or more
TESTED, TEST_SAMPLES = 20, 100  # gains that are tested, and samples of each

Bounds = tuple[np.ndarray, np.ndarray]


def populations(found: Iterable[records.Record]) -> dict[str, list[np.ndarray]]:
    """`accuracy` and `gain` of every record, in percent and points, unless all its seeds are alike."""
    by_digest = {record.experiment.digest: record for record in found}
    least = 50 if sum(len(record.seeds) >= 50 for record in by_digest.values()) >= ENOUGH else 20
    kinds: dict[str, list[np.ndarray]] = {"accuracy": [], "gain": []}
    for _, record in sorted(by_digest.items()):
        placebo = by_digest.get(record.experiment.placebo().digest, record)
        seeds, common = sorted(record.seeds), sorted(set(record.seeds) & set(placebo.seeds))
        if len(seeds) >= least:
            kinds["accuracy"].append(np.array(statistics.kept_accuracies(record, seeds)))
        if placebo is not record and len(common) >= least:
            arms = [np.array(statistics.kept_accuracies(each, common)) for each in (record, placebo)]
            kinds["gain"].append(arms[0] - arms[1])
    return {kind: [values for values in each if np.ptp(values) > 1e-6] for kind, each in kinds.items()}


def few(values: list, most: int) -> list:
    """At most so many of them, from all over the list."""
    return [values[place] for place in np.linspace(0, len(values) - 1, min(most, len(values))).astype(int)]


# Methods: the bounds of each sample, a row of (S, n)


def rule(samples: np.ndarray) -> Bounds:
    """What the library does."""
    found = [statistics.summarise(sample) for sample in samples]
    return np.array([each.low for each in found]), np.array([each.high for each in found])


def t(samples: np.ndarray) -> Bounds:
    with np.errstate(invalid="ignore"):
        return stats.t.interval(0.95, samples.shape[1] - 1, samples.mean(1), stats.sem(samples, axis=1))


def studentized(samples: np.ndarray) -> Bounds:
    """Of every sample, whatever the rule would say; without width where all its seeds are alike."""
    bounds = np.stack([samples.mean(1)] * 2)
    for place in np.flatnonzero(np.ptp(samples, axis=1) > 1e-6):
        values = samples[place]
        bounds[:, place] -= statistics._studentized(values, np.array([0.975, 0.025])) * stats.sem(values)
    return np.maximum(bounds[0], samples.min(1)), np.minimum(bounds[1], samples.max(1))


def wider(samples: np.ndarray) -> Bounds:
    """The library's, but where it bootstraps, t's bound where that is farther out."""
    (low, high), (t_low, t_high) = rule(samples), t(samples)
    by_t = [statistics.summarise(sample).method == statistics.T for sample in samples]
    return np.where(by_t, low, np.fmin(low, t_low)), np.where(by_t, high, np.fmax(high, t_high))


def bca(samples: np.ndarray) -> Bounds:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # samples of one value
        found = stats.bootstrap(
            (samples,), np.mean, axis=1, n_resamples=999, batch=100, rng=np.random.default_rng(0)
        ).confidence_interval
    return found.low, found.high


METHODS = {"rule": rule, "t": t, "studentized bootstrap": studentized, "rule, wider": wider, "BCa bootstrap": bca}


def coverage(found: list[np.ndarray], method: Callable, n: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each population the share of samples of n whose interval covers its mean, and the intervals' median width."""
    rng, shares, widths = np.random.default_rng(0), [], []
    for population in found:
        low, high = method(rng.choice(population, (samples, n)))
        mean = population.mean()
        shares.append(np.mean((low <= mean + 1e-9) & (mean - 1e-9 <= high)))
        widths.append(np.nanmedian(high - low))
    return np.array(shares), np.array(widths)


def rejection(found: list[np.ndarray], test: Callable, n: int, samples: int) -> np.ndarray:
    """Of each record's gains, shifted to a mean of 0, the share of samples of n whose p is below 5 %."""
    rng, shares = np.random.default_rng(0), []
    for gains in found:
        drawn = rng.choice(gains - gains.mean(), (samples, n))
        shares.append(np.mean([np.ptp(sample) > 1e-6 and test(sample) < 0.05 for sample in drawn]))
    return np.array(shares)


def wilcoxon(gains: np.ndarray) -> float:
    return stats.wilcoxon(gains.round(4), method="approx").pvalue


TESTS = {"sign flips": statistics.flipped, "Wilcoxon": wilcoxon}


def covered(kinds: dict, samples: int = SAMPLES, most: int = MOST) -> pd.DataFrame:
    """A row for each kind of number, size of sample and method."""
    rows = []
    for kind, found in kinds.items():
        for n in SIZES:
            for name, method in METHODS.items():
                shares, widths = coverage(few(found, most), method, n, samples)
                rows.append((kind, n, name, len(shares), shares.mean(), shares.min(), np.median(widths)))
    columns = ["kind", "n", "method", "records", "coverage_mean", "coverage_least", "width_median"]
    return pd.DataFrame(rows, columns=columns)


def rejected(kinds: dict, samples: int = TEST_SAMPLES, most: int = TESTED) -> pd.DataFrame:
    """A row for each size of sample and test."""
    rows = []
    for n in SIZES:
        for name, test in TESTS.items():
            shares = rejection(few(kinds["gain"], most), test, n, samples)
            rows.append((n, name, len(shares), shares.mean(), shares.max()))
    return pd.DataFrame(rows, columns=["n", "test", "records", "rejected_mean", "rejected_most"])


if __name__ == "__main__":
    kinds = populations(records.paper())
    for name, measure in (("coverage", covered), ("rejection", rejected)):
        frame = measure(kinds).round(3)
        frame.to_csv(Path(__file__).with_name(f"{name}.csv"), index=False, lineterminator="\n")
        print(frame.to_string(index=False))
