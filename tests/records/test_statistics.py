"""Statistics over seeds, against numpy, scipy and counting by hand."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from few_records import executed, record
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdlib.experiment import Experiment
from qkdlib.records import accuracies, paired_gain, summarise
from qkdlib.records.statistics import _levels, collapsed_share, holm, qasm_differences, signed_rank

# Accuracies of 900 images are multiples of 1/9 percent.
ACCURACY = st.integers(0, 900).map(lambda right: right / 9)
TWENTY = st.lists(ACCURACY, min_size=20, max_size=20)
SAMPLE = [96.6, 95.1, 97.2, 96.9, 94.8, 96.3, 97.7, 95.9]
OTHER = [95.9, 95.3, 96.1, 96.0, 95.0, 95.2, 97.1, 96.4]


# Summaries


@given(st.lists(ACCURACY, min_size=2, max_size=30))
@settings(max_examples=15)
def test_mean_and_sd_are_numpys(values):
    found = summarise(values)
    assert found.seeds == len(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_the_interval_is_scipys_bca_bootstrap():
    expected = scipy.stats.bootstrap(
        (SAMPLE,), np.mean, confidence_level=0.95, n_resamples=9999, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    found = summarise(SAMPLE)
    assert (found.low, found.high) == (expected.low, expected.high)


def test_the_interval_is_near_students_for_bell_shaped_values():
    values = scipy.stats.norm.ppf((np.arange(40) + 0.5) / 40, loc=96, scale=1.5)
    expected = scipy.stats.t.interval(0.95, 39, loc=values.mean(), scale=scipy.stats.sem(values))
    found = summarise(values)
    assert (found.low, found.high) == pytest.approx(expected, abs=0.06)


def test_a_summary_is_the_same_each_time():
    assert summarise(SAMPLE) == summarise(SAMPLE)


@given(st.lists(ACCURACY, min_size=1, max_size=30))
@settings(max_examples=15)
def test_a_summary_is_the_same_of_a_list_a_tuple_and_an_array(values):
    kinds = [summarise(kind(values)) for kind in (list, tuple, np.array)]
    assert repr(kinds[0]) == repr(kinds[1]) == repr(kinds[2])  # a single value's sd is NaN, which equals nothing
    assert [each.mean for each in kinds] == pytest.approx([sum(values) / len(values)] * 3)


def test_an_array_that_changes_after_its_summary_is_summarised_anew():
    values = np.array(SAMPLE)
    before = summarise(values)
    values += 1
    assert summarise(values).mean == pytest.approx(before.mean + 1)
    assert summarise(values[::-1]).mean == pytest.approx(before.mean + 1)


@pytest.mark.parametrize("value", [0.0, 16.666666666666668, 100.0])
def test_equal_values_have_an_interval_without_width(value):
    found = summarise([value] * 20)
    assert (found.mean, found.low, found.high) == pytest.approx((value, value, value))
    assert found.sd == 0


def test_one_value_has_no_spread():
    found = summarise([97.5])
    assert (found.seeds, found.mean, found.low, found.high) == (1, 97.5, 97.5, 97.5)
    assert math.isnan(found.sd)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], [1.0, math.nan], [math.inf], 5.0])
def test_what_cannot_be_summarised_is_refused(values):
    with pytest.raises(ValueError, match="one finite number per seed"):
        summarise(values)


def test_a_summary_as_text():
    assert str(summarise([50.0, 50.0])) == "50.00 [50.00, 50.00]"


# Paired gains


def test_the_gain_is_the_mean_paired_difference():
    found = paired_gain(SAMPLE, OTHER)
    difference = np.subtract(SAMPLE, OTHER)
    assert found.mean == pytest.approx(difference.mean())
    assert found.sd == pytest.approx(difference.std(ddof=1))
    assert found.low == pytest.approx(summarise(difference).low)
    assert found.claimed is found.chance_single_pair is None


def test_p_is_scipys_signed_rank_test():
    # 2^n ways of signs, counted by hand: no ties and no zeros in these differences.
    difference = np.array([0.9, -0.25, 1.4, 0.6, -0.1, 1.2, 0.45, 0.3])
    found = paired_gain(96 + difference, np.full(8, 96.0))
    ranks = scipy.stats.rankdata(abs(difference))
    seen = ranks[difference > 0].sum()
    sums = [sum(r for r, up in zip(ranks, ups, strict=True) if up) for ups in itertools.product((0, 1), repeat=8)]
    assert found.p_wilcoxon == pytest.approx(2 * np.mean(np.array(sums) >= seen))
    assert found.p_wilcoxon == pytest.approx(scipy.stats.wilcoxon(difference).pvalue)


def test_p_with_ties_and_zeros_is_scipys():
    difference = np.array([1.0, 1.0, -1.0, 0.0, 2.0, 3.0, 0.0, 2.0, 1.0, -0.5])
    found = paired_gain(50 + difference, np.full(10, 50.0))
    assert found.p_wilcoxon == pytest.approx(scipy.stats.wilcoxon(difference).pvalue)


def test_equal_gains_stay_ties_in_floating_point():
    """Records keep six decimals of k/900: gains of one image each must rank alike although their digits differ."""
    more = [1, 1, 1, 1, -1, -1, -2, 2, 3]
    right = [863, 877, 858, 869, 874, 866, 855, 862, 873]
    placebo = [100 * round(k / 900, 6) for k in right]
    distilled = [100 * round((k + m) / 900, 6) for k, m in zip(right, more, strict=True)]
    expected = scipy.stats.wilcoxon(more).pvalue
    assert paired_gain(distilled, placebo).p_wilcoxon == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.integers(-900, 900).filter(bool), min_size=2, max_size=15, unique_by=abs))
@settings(max_examples=25)
def test_the_signed_rank_p_of_untied_differences_is_scipys(images):
    difference = np.array(images) / 9
    expected = scipy.stats.wilcoxon(difference, method="exact").pvalue
    assert signed_rank(difference) == pytest.approx(expected)
    assert signed_rank(list(-difference)) == pytest.approx(expected)


@given(st.lists(st.integers(-6, 6), min_size=2, max_size=20))
@settings(max_examples=25)
def test_the_signed_rank_p_of_differences_with_ties_and_zeros_is_scipys(images):
    """Up to `EXACT` seeds, where all flips of signs are looked at, and beyond."""
    difference = np.array(images) / 9
    expected = scipy.stats.wilcoxon(_levels(difference)).pvalue if any(images) else 1
    assert signed_rank(difference) == pytest.approx(expected)
    assert signed_rank(-difference) == pytest.approx(expected)


def test_the_signed_rank_p_of_differences_that_are_all_0_is_1():
    assert signed_rank([0.0] * 20) == 1
    assert signed_rank([0.0] * 19 + [1e-9]) == 1  # a rounding is no difference
    assert signed_rank([0.0] * 19 + [1.0]) == pytest.approx(scipy.stats.wilcoxon([0] * 19 + [1]).pvalue)


@given(st.lists(st.integers(-4, 4), min_size=5, max_size=9).filter(any), st.data())
@settings(max_examples=15)
def test_the_signed_rank_p_does_not_tell_roundings_apart(images, data):
    noise = [data.draw(st.floats(-1e-4, 1e-4)) for _ in images]
    difference = [count / 9 + more for count, more in zip(images, noise, strict=True)]
    assert signed_rank(difference) == pytest.approx(scipy.stats.wilcoxon(images).pvalue)


def test_no_difference_at_all_has_p_1():
    found = paired_gain(SAMPLE, SAMPLE, claimed=0.5)
    assert (found.mean, found.low, found.high, found.sd, found.p_wilcoxon) == (0, 0, 0, 0, 1)


@given(TWENTY, TWENTY)
@settings(max_examples=12)
def test_gains_change_sign_when_the_arms_change_places(one, two):
    there, back = paired_gain(one, two), paired_gain(two, one)
    assert there.mean == pytest.approx(-back.mean, abs=1e-9)
    assert there.sd == pytest.approx(back.sd, abs=1e-9)
    assert there.p_wilcoxon == pytest.approx(back.p_wilcoxon)
    # The same resamples, mirrored.
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-6)


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


def test_values_that_are_equal_but_for_rounding_have_an_interval_without_width():
    found = summarise([-10.0] * 9 + [-10.000000000000002])
    assert (found.low, found.high) == pytest.approx((-10, -10), abs=1e-9)
