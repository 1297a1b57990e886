"""Means over seeds and their intervals, against numpy, scipy, statsmodels and a bootstrap written out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intervals import by_bootstrap, by_t, leans
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from qkdlib.records import summarise
from qkdlib.records.statistics import BOOTSTRAP, T

ACCURACY = st.integers(0, 900).map(lambda right: right / 9)  # of 900 images, in percent
SAMPLE = [96.6, 95.1, 97.2, 96.9, 94.8, 96.3, 97.7, 95.9]
BELL = stats.norm.ppf((np.arange(40) + 0.5) / 40, loc=96, scale=1.5)
LOST = np.array([*BELL[:38], 16.7, 16.7])  # two seeds lost


@given(st.lists(ACCURACY, min_size=2, max_size=30))
@settings(max_examples=25, deadline=None)
def test_mean_and_sd_are_numpys_and_intervals_lie_in_each_other(values):
    found = summarise(values)
    assert found.seeds == len(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    bounds = [found.low, found.low_90, found.mean, found.high_90, found.high]
    assert all(after - before >= -1e-9 for before, after in zip(bounds, bounds[1:], strict=False))
    if found.method == BOOTSTRAP:
        assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_the_interval_of_many_bell_shaped_seeds_is_students():
    found = summarise(BELL)
    assert found.method == T
    assert (found.low, found.high) == pytest.approx(by_t(BELL))
    assert (found.low_90, found.high_90) == pytest.approx(by_t(BELL, 0.9))


@pytest.mark.parametrize("values", [SAMPLE, LOST, [3, 4, 5, 4, 3, 60], stats.expon.ppf((np.arange(25) + 0.5) / 25)])
def test_the_interval_of_few_or_skewed_seeds_is_the_studentized_bootstraps(values):
    found, spread = summarise(values), np.std(values, ddof=1)
    assert found.method == BOOTSTRAP
    assert (found.low, found.high) == pytest.approx(by_bootstrap(values), abs=0.1 * spread)
    assert (found.low_90, found.high_90) == pytest.approx(by_bootstrap(values, 0.9), abs=0.05 * spread)


def test_the_bootstrap_of_many_seeds_is_near_scipys():
    """Which divides no resample by its own error: its ends agree only where the sample is large."""
    values = np.random.default_rng(0).gamma(0.3, 10, 400)  # of skewness 3.7
    found = summarise(values)
    expected = stats.bootstrap((values,), np.mean, rng=np.random.default_rng(1), n_resamples=4999).confidence_interval
    assert found.method == BOOTSTRAP
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.03 * values.std())


@given(st.integers(2, 60), st.integers(0, 1000), st.sampled_from([0.0, 0.05, 0.1, 0.3]))
@settings(max_examples=40, deadline=None)
def test_the_method_is_cochrans_rule(n, seed, lost):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(n) < lost, 17.0, rng.normal(95, 2, n))
    assert summarise(values).method == (BOOTSTRAP if leans(values) else T)


def test_the_rule_at_its_borders():
    """Twenty seeds and a skewness of sqrt(n) / 5: of 100 seeds, q of which are lost, (1 - 2 q) / sqrt(q (1 - q))."""
    assert (summarise(BELL[10:29]).method, summarise(BELL[10:30]).method) == (BOOTSTRAP, T)
    share = (1 - math.sqrt(1 / 2)) / 2  # skewness 2 = sqrt(100) / 5
    assert 14 < 100 * share < 15
    for lost, method in ((0, T), (1, BOOTSTRAP), (14, BOOTSTRAP), (15, T), (50, T), (85, T), (86, BOOTSTRAP)):
        assert summarise([20] * lost + [90] * (100 - lost)).method == method, lost


def test_an_interval_leans_to_where_seeds_are_lost():
    found = summarise(LOST)
    assert found.mean - found.low > 1.3 * (found.high - found.mean) > 0
    mirrored = summarise(-LOST)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
    (below,), (above,) = found.reach
    assert (below, above) == (found.mean - found.low, found.high - found.mean)


@given(st.lists(ACCURACY, min_size=2, max_size=30), st.floats(0.01, 100), st.floats(-50, 50))
@settings(max_examples=25, deadline=None)
def test_an_interval_moves_and_stretches_with_its_seeds(values, scale, shift):
    found, moved = summarise(values), summarise(scale * np.array(values) + shift)
    assert moved.method == found.method
    expected = [scale * bound + shift for bound in (found.low, found.high, found.low_90, found.high_90)]
    assert [moved.low, moved.high, moved.low_90, moved.high_90] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_summary_is_the_same_each_time_and_of_a_list_a_tuple_and_an_array():
    assert summarise(SAMPLE) == summarise(SAMPLE) == summarise(tuple(SAMPLE)) == summarise(np.array(SAMPLE))


def test_an_array_that_changes_after_its_summary_is_summarised_anew():
    values = np.array(SAMPLE)
    before = summarise(values)
    values += 1
    assert summarise(values).mean == pytest.approx(before.mean + 1)


@pytest.mark.parametrize("value", [0.0, 16.666666666666668, 100.0])
def test_equal_values_have_an_interval_without_width(value):
    found = summarise([value] * 20)
    assert (found.mean, found.low, found.high, found.low_90, found.high_90) == pytest.approx((value,) * 5)
    assert found.sd == 0


def test_values_that_are_equal_but_for_rounding_have_an_interval_without_width():
    found = summarise([-10.0] * 9 + [-10.000000000000002])
    assert (found.low, found.high) == pytest.approx((-10, -10), abs=1e-9)


def test_one_value_has_no_spread():
    found = summarise([97.5])
    assert (found.seeds, found.mean, found.low, found.high) == (1, 97.5, 97.5, 97.5)
    assert math.isnan(found.sd)


@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0, 2.0, 6.0], [1.0, 1.0, 5.0]])
def test_two_or_three_values_have_all_their_range_as_interval(values):
    """More than 2.5 % of the resamples are one value only, on either side: 1 in 2^n or in 3^n of each."""
    found = summarise(values)
    assert (found.low, found.high, found.method) == (min(values), max(values), BOOTSTRAP)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], [1.0, math.nan], [math.inf], 5.0])
def test_what_cannot_be_summarised_is_refused(values):
    with pytest.raises(ValueError, match="one finite number per seed"):
        summarise(values)


def test_a_summary_as_text():
    assert str(summarise([50.0, 50.0])) == "50.00 [50.00, 50.00]"


# Equivalence


@pytest.mark.parametrize("shift", np.linspace(-1.2, 1.2, 13))
def test_equivalence_is_two_one_sided_t_tests(shift):
    values = BELL - 96 + shift
    p, _, _ = DescrStatsW(values).ttost_mean(-1, 1)
    assert summarise(values).within(-1, 1) == (p <= 0.05)


def test_equivalence_is_found_and_missed_above():
    """Or the test before this one would compare nothing."""
    inside = [summarise(BELL - 96 + shift).within(-1, 1) for shift in np.linspace(-1.2, 1.2, 13)]
    assert any(inside) and not all(inside)


def test_a_90_percent_interval_at_the_bounds_is_within_them():
    found = summarise(SAMPLE)
    assert found.within(found.low_90, found.high_90)
    assert not found.within(found.low_90 + 1e-6, found.high_90) and not found.within(found.low_90, found.mean)
