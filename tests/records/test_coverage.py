"""How often the library's intervals cover a known mean, and its test rejects a mean that is 0, in samples from the
seeds of real records, drawn with replacement (`benchmarks/inference.py`, which has other methods beside them).

What no method can do: know of a fate that no seed of the sample had. Of samples of 100 from seeds of which 1 % are lost
36 % have no lost seed, and their intervals lie above the mean; so have 36 % of samples of 20 where one in 20 is lost.
So the worst records are covered far less often, and with 20 seeds only records without such rare fates count here.
Flips of signs are exact where differences are as likely to have one sign as the other, and near it where there are many
of them: with 20 skewed ones the test rejects too often too.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from qkdlib import records
from qkdlib.records import statistics

FILE = Path(__file__).parents[2] / "benchmarks" / "inference.py"
RARE = 2.5  # skewness of a record's seeds, of which one or two in 20 are far from all others


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("inference_on_real_seeds", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def study():
    return records.paper()


@pytest.fixture(scope="module")
def kinds(benchmark, study):
    """Accuracies and gains of the study's records."""
    return benchmark.populations(study)


@pytest.mark.parametrize("kind", ["accuracy", "gain"])
def test_of_a_hundred_seeds_the_interval_covers_95_percent_of_the_means(benchmark, kinds, kind):
    found = benchmark.coverage(benchmark.few(kinds[kind], 60), benchmark.rule, 100, samples=40)[0]
    assert 0.93 <= found.mean() <= 0.97, (found.mean(), found.min())
    assert found.min() >= 0.75, found.min()


@pytest.mark.parametrize("kind", ["accuracy", "gain"])
def test_of_twenty_seeds_it_does_where_no_fate_is_rare(benchmark, kinds, kind):
    """By 200 samples of all such records of 20 seeds: 95.3 % of accuracies, 93.6 % of gains."""
    common = [each for each in benchmark.few(kinds[kind], 60) if abs(stats.skew(each)) < RARE]
    assert len(common) > 0.7 * min(60, len(kinds[kind]))
    found = benchmark.coverage(common, benchmark.rule, 20, samples=40)[0]
    assert 0.93 <= found.mean() <= 0.97, (found.mean(), found.min())
    bca = benchmark.coverage(common, benchmark.bca, 20, samples=40)[0]  # what it replaces
    assert bca.mean() < found.mean() - 0.01, bca.mean()


@pytest.mark.parametrize(
    ("n", "lost", "least", "most"), [(100, 5, 0.93, 1), (100, 20, 0.93, 0.99), (100, 1, 0.55, 0.8)]
)
def test_lost_seeds_are_covered_if_they_are_common(benchmark, n, lost, least, most):
    """So many of 100 seeds that reach 80 %, more or less, are at 15 %."""
    bell = stats.norm.ppf((np.arange(100) + 0.5) / 100, 80, 2)
    seeds = np.where(np.arange(100) % (100 // lost), bell, 15.0)
    ((share,), _) = benchmark.coverage([seeds], benchmark.rule, n, samples=200)
    assert least <= share <= most


@pytest.mark.parametrize(("n", "most"), [(20, 0.1), (100, 0.07)])
def test_the_test_of_a_mean_rejects_about_5_percent_of_samples_whose_mean_is_0(benchmark, kinds, n, most):
    """Wilcoxon's test, which is not about the mean, rejects more."""
    gains = benchmark.few(kinds["gain"], 16)
    levels = benchmark.rejection(gains, statistics.flipped, n, samples=60)
    ranks = benchmark.rejection(gains, benchmark.wilcoxon, n, samples=60)
    assert 0.03 <= np.mean(levels) <= most, np.mean(levels)
    assert np.mean(ranks) > np.mean(levels), np.mean(ranks)


def test_populations_are_those_of_records(benchmark, kinds, study):
    """Against the records themselves: every gain has as many seeds as its record and its placebo have together."""
    by_digest = {record.experiment.digest: record for record in study}
    least = min(len(each) for each in kinds["accuracy"])
    assert least >= 20
    taught = [each for each in by_digest.values() if each.experiment.teacher and len(each.seeds) >= least]
    expected = [statistics.gain_over(each, by_digest.get(each.experiment.placebo().digest)) for each in taught]
    means = sorted(gain.mean for gain in expected if gain is not None and gain.seeds >= least and gain.sd > 1e-6)
    assert sorted(each.mean() for each in kinds["gain"]) == pytest.approx(means)
