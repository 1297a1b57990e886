"""Paired gains, shares of seeds and corrections over seeds, against scipy, statsmodels and counting by hand."""

import itertools
import math

import numpy as np
import pytest
from few_records import executed, record
from hypothesis import given, settings
from hypothesis import strategies as st
from intervals import by_flips, near_p
from scipy import stats
from statsmodels.stats import contingency_tables, proportion

from qkdlib.experiment import Experiment
from qkdlib.records import accuracies, paired_gain, summarise
from qkdlib.records.statistics import collapsed_share, flipped, holm, mcnemar, qasm_differences, share

# Accuracies of 900 images are multiples of 1/9 percent.
ACCURACY = st.integers(0, 900).map(lambda right: right / 9)
TWENTY = st.lists(ACCURACY, min_size=20, max_size=20)
SAMPLE = [96.6, 95.1, 97.2, 96.9, 94.8, 96.3, 97.7, 95.9]
OTHER = [95.9, 95.3, 96.1, 96.0, 95.0, 95.2, 97.1, 96.4]


# Paired gains


def test_the_gain_is_the_mean_paired_difference():
    found = paired_gain(SAMPLE, OTHER)
    difference = np.subtract(SAMPLE, OTHER)
    assert found.mean == pytest.approx(difference.mean())
    assert found.sd == pytest.approx(difference.std(ddof=1))
    assert (found.low, found.high) == pytest.approx((summarise(difference).low, summarise(difference).high))
    assert found.p == flipped(difference)
    assert found.claimed is found.chance_single_pair is None


def test_no_difference_at_all_has_p_1():
    found = paired_gain(SAMPLE, SAMPLE, claimed=0.5)
    assert (found.mean, found.low, found.high, found.sd, found.p) == (0, 0, 0, 0, 1)


@given(TWENTY, TWENTY)
@settings(max_examples=12)
def test_gains_change_sign_when_the_arms_change_places(one, two):
    there, back = paired_gain(one, two), paired_gain(two, one)
    assert there.mean == pytest.approx(-back.mean, abs=1e-9)
    assert there.sd == pytest.approx(back.sd, abs=1e-9)
    assert there.p == back.p and there.method == back.method
    # The same resamples, mirrored.
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-6)
    assert (there.low_90, there.high_90) == pytest.approx((-back.high_90, -back.low_90), abs=1e-6)


@given(st.lists(ACCURACY, min_size=2, max_size=8), st.data(), st.integers(-90, 90))
@settings(max_examples=15)
def test_the_chance_of_a_single_pair_counts_all_pairs_of_different_seeds(one, data, images):
    two = data.draw(st.lists(ACCURACY, min_size=len(one), max_size=len(one)))
    claimed = (images + 0.5) / 9  # half an image off, so that rounding decides nothing
    pairs = [one[a] - two[b] >= claimed for a, b in itertools.permutations(range(len(one)), 2)]
    assert paired_gain(one, two, claimed).chance_single_pair == pytest.approx(sum(pairs) / len(pairs))


def test_the_chance_by_hand():
    # 6 pairs of [3, 2, 1] with [0, 2, 4] of different seeds: 3-2, 2-0, 1-0 are 1 or more, and 3-0 is one seed's.
    found = paired_gain([3, 2, 1], [0, 2, 4], claimed=1)
    assert found.chance_single_pair == pytest.approx(3 / 6)
    assert found.claimed == 1


def test_a_claim_of_0_is_a_claim():
    assert paired_gain([1, 2], [1, 3], claimed=0).chance_single_pair == pytest.approx(0.5)


def test_a_single_seed_has_no_unpaired_pair():
    found = paired_gain([2.0], [1.0], claimed=0.5)
    assert found.chance_single_pair is None
    assert (found.mean, found.claimed) == (1, 0.5)


def test_arms_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="3 and 2 seeds; allowed: the same"):
        paired_gain([1, 2, 3], [1, 2])


# Flips of signs


def test_p_is_the_share_of_flips_with_a_mean_as_far_from_0():
    # 2^8 ways of signs, counted by hand.
    difference = np.array([0.9, -0.25, 1.4, 0.6, -0.1, 1.2, 0.45, 0.3])
    flips = [np.dot(signs, difference) for signs in itertools.product((1, -1), repeat=8)]
    expected = np.mean([abs(flip) >= difference.sum() - 1e-9 for flip in flips])
    assert 0 < expected < 0.05
    assert paired_gain(96 + difference, np.full(8, 96.0)).p == pytest.approx(expected)
    assert stats.permutation_test((difference,), np.mean, permutation_type="samples").pvalue == pytest.approx(expected)


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=10))
@settings(max_examples=25, deadline=None)
def test_p_of_few_differences_is_exact_with_ties_and_zeros(images):
    flips = [sum(sign * each for sign, each in zip(signs, images, strict=True))
             for signs in itertools.product((1, -1), repeat=len(images))]  # fmt: skip
    expected = np.mean([abs(flip) >= abs(sum(images)) for flip in flips])
    assert flipped(np.array(images) / 9) == flipped(-np.array(images) / 9) == pytest.approx(expected)


@pytest.mark.parametrize("n", [15, 16, 20])
def test_p_beyond_15_differences_is_drawn(n):
    """And up to 15 it is exact."""
    for images in np.random.default_rng(n).integers(-4, 9, (3, n)):
        assert flipped(images / 9) == near_p(images / 9)
        assert flipped(images / 9) == flipped(-images / 9)
    least = flipped(np.arange(1.0, n + 1))  # no drawn p is 0: the sample itself counts as one of the flips
    assert least == (2 / 2**15 if n == 15 else pytest.approx(1 / 20_001, abs=2 / 20_001)) and least > 0


def test_p_of_many_bell_shaped_differences_is_the_t_tests():
    for shift in (0.0, 0.15, 0.25):
        difference = stats.norm.ppf((np.arange(100) + 0.5) / 100) + shift
        assert flipped(difference) == pytest.approx(stats.ttest_1samp(difference, 0).pvalue, abs=0.012)


def test_equal_gains_stay_ties_in_floating_point():
    """Records keep six decimals of k/900: sums of as many images must be alike although their digits differ."""
    more = [1, 1, 1, 1, -1, -1, -2, 2, 3, 0, 1, 2]
    right = [863, 877, 858, 869, 874, 866, 855, 862, 873, 871, 859, 860]
    placebo = [100 * round(k / 900, 6) for k in right]
    distilled = [100 * round((k + m) / 900, 6) for k, m in zip(right, more, strict=True)]
    assert paired_gain(distilled, placebo).p == by_flips(np.array(more))


@given(st.lists(st.integers(-4, 4), min_size=5, max_size=9), st.data())
@settings(max_examples=15, deadline=None)
def test_p_does_not_tell_roundings_apart(images, data):
    noise = [data.draw(st.floats(-2e-4, 2e-4)) for _ in images]
    assert flipped([count / 9 + more for count, more in zip(images, noise, strict=True)]) == by_flips(np.array(images))


@pytest.mark.parametrize(
    ("difference", "p"),
    [([3.0], 1), ([0.0], 1), ([1.0, 2.0], 0.5), ([1.0, 1.0, 1.0], 0.25), ([0.0] * 20, 1), ([0.0] * 19 + [1e-9], 1),
     ([0.0] * 19 + [1.0], 1)],
)  # fmt: skip
def test_p_at_its_borders(difference, p):
    assert flipped(difference) == p


@pytest.mark.parametrize("difference", [[], [1.0, math.nan], [[1.0]]])
def test_what_has_no_signs_to_flip_is_refused(difference):
    with pytest.raises(ValueError, match="^difference=.*one finite number per seed"):
        flipped(difference)


# Shares of seeds


@pytest.mark.parametrize(("count", "total"), [(0, 20), (3, 20), (20, 20), (1, 1), (69, 100), (np.int64(99), 100)])
def test_the_interval_of_a_share_is_wilsons(count, total):
    """Where (share - p)^2 = z^2 p (1 - p) / n, a quadratic equation of p."""
    found, z, part = share(count, total), stats.norm.ppf(0.975), count / total
    roots = np.roots([1 + z**2 / total, -(2 * part + z**2 / total), part**2])
    assert (found.low, found.high) == pytest.approx(sorted(roots.real), abs=1e-7)
    expected = proportion.proportion_confint(count, total, method="wilson")
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)
    assert (found.count, found.total, found.share) == (count, total, part)


def test_a_share_as_text():
    assert str(share(17, 20)) == "17 of 20 [64%, 95%]"


@pytest.mark.parametrize(("count", "total", "name"), [(1, 0, "total"), (3, 2, "count"), (-1, 2, "count")])
def test_what_is_no_share_is_refused(count, total, name):
    with pytest.raises(ValueError, match=f"^{name}="):
        share(count, total)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=20, deadline=None)
def test_shares_of_the_same_seeds_are_compared_by_mcnemars_test(pairs):
    one, other = zip(*pairs, strict=True)
    only = [sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)]
    expected = min(1, 2 * sum(math.comb(sum(only), k) for k in range(min(only) + 1)) / 2 ** sum(only))
    assert mcnemar(one, other) == mcnemar(np.array(other), np.array(one)) == pytest.approx(expected)
    table = [[0, only[0]], [only[1], 0]]  # seeds that are alike do not count
    assert mcnemar(one, other) == pytest.approx(contingency_tables.mcnemar(table, exact=True).pvalue)


def test_shares_of_other_seeds_are_not_compared():
    with pytest.raises(ValueError, match="3 and 2 seeds; allowed: the same"):
        mcnemar([True, False, True], [True, False])


# Correction for many tests


def test_holm_by_hand():
    # In order 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1 = 0.02, 0.03, 0.06, 0.04; none below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(
    ("ps", "expected"),
    [([], []), ([0.2], [0.2]), ([0.5, 0.5], [1, 1]), ([0.02, 0.02], [0.04, 0.04]), ([1, 0, 1], [1, 0, 1])],
)
def test_holm_at_its_borders(ps, expected):
    assert holm(ps) == pytest.approx(expected)


def test_holm_does_not_count_what_was_not_tested():
    found = holm([0.01, math.nan, 0.04, math.nan])
    assert found[0] == pytest.approx(0.02) and found[2] == pytest.approx(0.04)
    assert math.isnan(found[1]) and math.isnan(found[3])
    assert all(math.isnan(p) for p in holm([math.nan, math.nan]))


@pytest.mark.parametrize("size", [2, 5, 20])  # few, because statsmodels collects all garbage at each call
def test_holm_is_the_formula(size):
    ps = np.random.default_rng(size).integers(0, 30, size) / 300  # with ties, and with products above 1
    order = sorted(range(len(ps)), key=ps.__getitem__)
    expected, highest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        expected[place] = highest
    assert holm(ps) == pytest.approx(expected)


def test_seeds_that_were_not_executed_have_no_accuracy_on_the_simulator():
    some = executed([0.5, 0.6, 0.7], [0.4, None, 0.75])
    assert accuracies(some, "qasm") == pytest.approx([40, 75])
    assert accuracies(some) == pytest.approx([50, 60, 70])
    assert accuracies(executed([0.5], [None]), "qasm") == []


def test_an_executed_accuracy_of_0_is_an_accuracy():
    assert accuracies(executed([0.5, 0.5], [0.0, None]), "qasm") == [0]
    assert qasm_differences(executed([0.5, 0.5], [0.0, None])) == pytest.approx([-50])


def test_the_simulator_is_compared_with_the_same_seeds():
    assert qasm_differences(executed([0.5, 0.6, 0.7], [0.4, None, 0.75])) == pytest.approx([-10, 5])
    assert qasm_differences(executed([0.5, 0.6], [None, None])) == []


def test_accuracies_are_in_the_order_of_seeds():
    shuffled = record([0.1, 0.2, 0.3])
    shuffled.seeds = {seed: shuffled.seeds[seed] for seed in (2, 0, 1)}
    assert accuracies(shuffled) == pytest.approx([10, 20, 30])
    assert accuracies(shuffled, "qasm") == pytest.approx([5, 10, 15])


@pytest.mark.parametrize(
    ("classes", "lasts", "share"),
    [
        ((0, 1, 2, 3, 4, 5), [1 / 6, 0.2499, 0.25, 0.9], 0.5),  # below 1.5 / 6 = 0.25
        ((0, 1), [0.5, 0.7499, 0.75, 1.0], 0.5),  # below 0.75
        ((0, 1, 2, 3, 4, 5), [0.9, 0.8], 0.0),
        ((0, 1, 2, 3, 4, 5), [0.1], 1.0),
    ],
)
def test_collapsed_share(classes, lasts, share):
    assert collapsed_share(record(lasts, Experiment(dataset="digits", classes=classes, epochs=1))) == share
