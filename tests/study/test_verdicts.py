"""Verdicts at their borders, that no better number has a worse one, and that ignorance is no verdict."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from qkdlib.records import Gain, Summary, paired_gain, summarise
from qkdlib.study import verdicts
from qkdlib.study.verdicts import (
    ABOVE,
    BELOW,
    CONTRADICTED,
    GAIN,
    HARM,
    IN_PART,
    INCONCLUSIVE,
    INSIDE,
    MISSING,
    NO,
    NO_GAIN,
    NOT_AS_PUBLISHED,
    NOTHING_DISTILLED,
    REPRODUCED,
    RULE,
    YES,
    count,
    difference,
    draw,
    excluded,
    gain,
    mean,
    rank,
    teacher,
)

BETTER = [CONTRADICTED, INCONCLUSIVE, REPRODUCED]  # from worst to best
KINDS = ("gain", "no_difference", "no_loss")
PERCENT = st.floats(0, 100).map(lambda value: round(value, 2))
P = st.floats(0, 1)
# Accuracies of 900 images, as records keep them, of seeds and of what a paper prints of its own.
SEEDS = st.lists(st.integers(0, 900).map(lambda right: round(right / 9, 4)), min_size=1, max_size=30)
PRINTED = st.integers(0, 900).map(lambda right: round(right / 9, 2))
# Ends of a 95 % interval, those of the 90 % interval in it, and the mean between them.
ENDS = st.lists(st.floats(-30, 30), min_size=5, max_size=5).map(sorted)


def summary(low, high, low_90=None, high_90=None) -> Summary:
    """With these intervals; the 90 % one as wide as the other unless it is given."""
    inner = low if low_90 is None else low_90, high if high_90 is None else high_90
    return Summary(100, sum(inner) / 2, 1.0, low, high, *inner, "t")


def found(low, high, low_90=None, high_90=None, p=0.5) -> Gain:
    """A difference with these intervals."""
    given_ = summary(low, high, low_90, high_90)
    return Gain(*vars(given_).values(), p=p, claimed=None, chance_single_pair=None)


def of(ends) -> Gain:
    low, low_90, _, high_90, high = ends
    return found(low, high, low_90, high_90)


# Is the printed number one of these seeds


@pytest.mark.parametrize(
    ("paper", "verdict", "share"),
    [
        (91.0, INSIDE, 0.125), (90.99, BELOW, 0.0), (90.0, BELOW, 0.0), (91.01, INSIDE, 0.25), (92.0, INSIDE, 0.5),
        (94.0, INSIDE, 0.875), (94.01, ABOVE, 1.0),
    ],
)  # fmt: skip
def test_draw_and_rank(paper, verdict, share):
    values = [94.0, 91.0, 92.0, 92.0]
    assert (draw(paper, values), rank(paper, values)) == (verdict, share)


def test_the_same_count_of_right_images_is_the_same_number_whatever_is_printed_of_it():
    """869 of 900 are printed as 96.56, and 96.5556 in a record: equal, and no seed is below."""
    assert (draw(96.56, [96.5556, 96.5556]), rank(96.56, [96.5556, 96.5556])) == (INSIDE, 0.5)
    assert draw(96.56, [96.4444]) == ABOVE and draw(96.44, [96.4444]) == INSIDE and draw(96.44, [96.5556]) == BELOW


@given(PRINTED, SEEDS)
def test_draw_and_rank_are_numpys_and_scipys(paper, values):
    printed = np.array([float(f"{value:.2f}") for value in values])
    inside = printed.min() <= paper <= printed.max()
    assert draw(paper, values) == (INSIDE if inside else ABOVE if paper > printed.max() else BELOW)
    assert rank(paper, values) == pytest.approx(((printed < paper).mean() + (printed <= paper).mean()) / 2)
    assert rank(paper, values) == pytest.approx(scipy.stats.percentileofscore(printed, paper, kind="mean") / 100)
    assert (draw(paper, values) == ABOVE) == (rank(paper, values) == 1)
    assert (draw(paper, values) == BELOW) == (rank(paper, values) == 0)


@given(PRINTED, PRINTED, SEEDS)
def test_a_larger_number_has_no_smaller_rank(one, other, values):
    small, large = sorted((one, other))
    order = [BELOW, INSIDE, ABOVE]
    assert rank(small, values) <= rank(large, values)
    assert order.index(draw(small, values)) <= order.index(draw(large, values))


# The mean beside the printed number


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ((95.0, 97.0), REPRODUCED), ((94.0, 98.0), REPRODUCED),  # the ends of the band count
        ((93.9, 98.1, 94.0, 98.0), REPRODUCED),  # by the 90 % interval
        ((93.8, 98.0, 93.9, 97.9), INCONCLUSIVE), ((94.1, 98.2, 94.2, 98.1), INCONCLUSIVE),
        ((70.0, 94.0), INCONCLUSIVE), ((98.0, 99.0), INCONCLUSIVE),  # touches the band
        ((70.0, 93.99), CONTRADICTED), ((98.01, 99.0), CONTRADICTED),
        ((70.0, 94.1, 71.0, 93.5), INCONCLUSIVE),  # outside by 90 % alone
        ((20.0, 99.9), INCONCLUSIVE),
    ],
)  # fmt: skip
def test_mean(intervals, verdict):
    assert mean(96.0, summary(*intervals)) == verdict


def test_a_wider_band_is_for_numbers_that_were_read_off_a_picture():
    close = summary(93.5, 98.5)
    assert (mean(96.0, close), mean(96.0, close, 2.5)) == (INCONCLUSIVE, REPRODUCED)
    assert mean(96.0, summary(98.2, 99.0)) == CONTRADICTED and mean(96.0, summary(98.2, 99.0), 2.5) == INCONCLUSIVE


@given(PERCENT, st.floats(0, 40), st.floats(0, 6), P, P)
def test_a_nearer_mean_has_no_worse_verdict(paper, away, reach, inner, share):
    def at(distance):
        middle = paper + distance
        return summary(middle - reach, middle + reach, middle - inner * reach, middle + inner * reach)

    for side in (1, -1):
        far, near = mean(paper, at(side * away)), mean(paper, at(side * away * share))
        assert BETTER.index(near) >= BETTER.index(far)


@given(PERCENT, ENDS)
def test_every_mean_has_one_verdict_by_the_bounds(paper, ends):
    given_ = of([paper + end for end in ends])
    inside = abs(given_.low_90 - paper) <= 2 and abs(given_.high_90 - paper) <= 2
    outside = min(abs(given_.low - paper), abs(given_.high - paper)) > 2 and (given_.low > paper or given_.high < paper)
    assert not (inside and outside)
    assert mean(paper, given_) == (REPRODUCED if inside else CONTRADICTED if outside else INCONCLUSIVE)


# Gains


@pytest.mark.parametrize(
    ("intervals", "p", "verdict"),
    [
        ((0.01, 9.0), 0.049, GAIN), ((0.01, 9.0), 0.05, INCONCLUSIVE), ((0.0, 9.0), 0.0, INCONCLUSIVE),
        ((-9.0, -0.01), 0.049, HARM), ((-9.0, -0.01), 0.05, INCONCLUSIVE), ((-9.0, 0.0), 0.0, INCONCLUSIVE),
        ((-1.0, 1.0), 1.0, NO_GAIN), ((-1.2, 1.2, -1.0, 1.0), 1.0, NO_GAIN),
        ((-1.2, 1.0, -1.01, 0.9), 1.0, INCONCLUSIVE), ((-1.0, 1.2, -0.9, 1.01), 1.0, INCONCLUSIVE),
        ((0.2, 0.9), 0.001, GAIN), ((0.2, 0.9), 0.5, NO_GAIN), ((-0.9, -0.2), 0.001, HARM),
        ((-24.0, 11.0), 1.0, INCONCLUSIVE), ((-6.8, 2.0), 1.0, INCONCLUSIVE),
    ],
)  # fmt: skip
def test_gain(intervals, p, verdict):
    assert gain(found(*intervals), p) == verdict


@given(ENDS, P)
def test_gain_and_harm_are_the_same_rule_seen_from_both_sides(ends, p):
    other = {GAIN: HARM, HARM: GAIN}
    shown = gain(of(ends), p)
    assert gain(of([-end for end in reversed(ends)]), p) == other.get(shown, shown)


@given(ENDS, P, st.floats(0, 30), P)
def test_a_larger_gain_is_never_harm_and_a_surer_one_stays(ends, p, more, share):
    order = {HARM: -1, GAIN: 1}
    shown, larger = gain(of(ends), p), gain(of([end + more for end in ends]), p)
    assert order.get(larger, 0) >= order.get(shown, 0)
    if shown in order:
        assert gain(of(ends), p * share) == shown


@given(ENDS, P)
def test_no_gain_needs_the_interval_of_90_percent_within_a_point(ends, p):
    shown = gain(of(ends), p)
    inside = ends[1] >= -1 and ends[3] <= 1
    assert not (shown == NO_GAIN and not inside) and not (shown == INCONCLUSIVE and inside)


@pytest.mark.parametrize(("paper", "verdict"), [(-6.8, NO), (2.0, NO), (0.0, NO), (2.01, YES), (-6.81, YES)])
def test_excluded(paper, verdict):
    assert excluded(paper, summary(-6.8, 2.0, -6.0, 1.0)) == verdict


@pytest.mark.parametrize("sd", [20.0, 8.0])
def test_ignorance_is_inconclusive(sd):
    """Ten seeds that spread so far tell nothing, however near their mean is to what is claimed."""
    values = sd * scipy.stats.norm.ppf((np.arange(10) + 0.5) / 10)
    for value in (0.0, 2.0):
        gained = paired_gain(values + value, np.zeros(10))
        assert gain(gained, gained.p) == INCONCLUSIVE
        assert {difference(kind, gained, gained.p) for kind in KINDS} == {INCONCLUSIVE}
        assert mean(93.75, summarise(93.75 + values + value)) == INCONCLUSIVE
    assert count(0, 0, 18) == INCONCLUSIVE


# Claims


@pytest.mark.parametrize(
    ("kind", "intervals", "p", "verdict"),
    [
        ("gain", (0.01, 9.0), 0.049, REPRODUCED), ("gain", (0.01, 9.0), 0.05, INCONCLUSIVE),
        ("gain", (0.0, 9.0), 0.0, INCONCLUSIVE), ("gain", (0.2, 0.9), 0.001, REPRODUCED),
        ("gain", (-9.0, 1.0), 1.0, CONTRADICTED), ("gain", (-9.0, 1.2, -8.0, 1.0), 1.0, CONTRADICTED),
        ("gain", (-9.0, 1.2, -8.0, 1.01), 1.0, INCONCLUSIVE), ("gain", (-1.0, 1.0), 1.0, CONTRADICTED),
        ("gain", (-9.0, -0.01), 0.0, CONTRADICTED), ("gain", (-9.0, -0.01), 1.0, CONTRADICTED),
        ("no_difference", (-1.0, 1.0), 1.0, REPRODUCED), ("no_difference", (0.1, 0.9), 0.0, REPRODUCED),
        ("no_difference", (-1.1, 1.1, -1.0, 1.0), 1.0, REPRODUCED),
        ("no_difference", (-1.1, 1.1), 1.0, INCONCLUSIVE), ("no_difference", (0.1, 1.1), 0.049, CONTRADICTED),
        ("no_difference", (0.1, 1.1), 0.05, INCONCLUSIVE), ("no_difference", (-1.1, -0.1), 0.049, CONTRADICTED),
        ("no_loss", (-2.0, 9.0, -1.0, 8.0), 1.0, REPRODUCED), ("no_loss", (-2.0, 9.0, -1.01, 8.0), 1.0, INCONCLUSIVE),
        ("no_loss", (-9.0, -1.0), 1.0, INCONCLUSIVE), ("no_loss", (-9.0, -1.01), 1.0, CONTRADICTED),
        ("no_loss", (3.0, 9.0), 1.0, REPRODUCED),
    ],
)  # fmt: skip
def test_difference(kind, intervals, p, verdict):
    assert difference(kind, found(*intervals), p) == verdict


@given(st.sampled_from(("gain", "no_loss")), ENDS, P, st.floats(0, 30), P)
def test_a_larger_or_surer_difference_has_no_worse_verdict(kind, ends, p, more, share):
    before = BETTER.index(difference(kind, of(ends), p))
    assert BETTER.index(difference(kind, of([end + more for end in ends]), p)) >= before
    assert BETTER.index(difference(kind, of(ends), p * share)) >= before


@given(st.floats(0, 30), st.floats(0, 5), P, P)
def test_a_difference_nearer_to_0_is_no_worse_where_none_is_claimed(middle, half, p, share):
    far, near = (found(each - half, each + half) for each in (middle, share * middle))
    assert BETTER.index(difference("no_difference", near, p)) >= BETTER.index(difference("no_difference", far, p))


@given(st.sampled_from(KINDS), ENDS, P)
def test_what_reaches_beyond_a_point_on_both_sides_of_0_is_inconclusive(kind, ends, p):
    low, low_90, _, high_90, high = ends
    assume(low_90 < -1 and high_90 > 1)
    assert difference(kind, of(ends), p) == INCONCLUSIVE
    assert gain(of(ends), p) == INCONCLUSIVE


@given(ENDS, P)
def test_a_claimed_gain_is_shown_where_the_table_says_gain(ends, p):
    assert (difference("gain", of(ends), p) == REPRODUCED) == (gain(of(ends), p) == GAIN)
    if gain(of(ends), p) in (HARM, NO_GAIN):
        assert difference("gain", of(ends), p) == CONTRADICTED


@pytest.mark.parametrize(
    ("cases", "verdict"),
    [
        ((18, 0, 18), REPRODUCED), ((17, 1, 18), IN_PART), ((17, 0, 18), IN_PART), ((1, 17, 18), IN_PART),
        ((0, 18, 18), CONTRADICTED), ((0, 1, 18), CONTRADICTED), ((0, 0, 18), INCONCLUSIVE),
    ],
)  # fmt: skip
def test_count(cases, verdict):
    assert count(*cases) == verdict


def test_more_cases_have_no_worse_verdict():
    order = [CONTRADICTED, INCONCLUSIVE, IN_PART, REPRODUCED]
    for shown, against in itertools.product(range(6), range(6)):
        if shown + against < 5:
            before = order.index(count(shown, against, 5))
            assert order.index(count(shown + 1, against, 5)) >= before >= order.index(count(shown, against + 1, 5))


@pytest.mark.parametrize(
    ("paper", "ours", "verdict"),
    [
        (99.5, 99.5, REPRODUCED), (99.5, 98.5, REPRODUCED), (98.5, 99.5, REPRODUCED), (99.5, 98.49, CONTRADICTED),
        (98.5, 99.51, CONTRADICTED),
    ],
)  # fmt: skip
def test_teacher(paper, ours, verdict):
    assert teacher(paper, ours) == verdict


@given(PERCENT, PERCENT, P)
def test_a_nearer_teacher_has_no_worse_verdict(paper, ours, share):
    far, near = teacher(paper, ours), teacher(paper, paper + share * (ours - paper))
    assert BETTER.index(near) >= BETTER.index(far)


def test_the_rule_names_every_verdict_of_a_row_and_its_bounds():
    row = (REPRODUCED, CONTRADICTED, INCONCLUSIVE, INSIDE, ABOVE, BELOW, GAIN, HARM, NO_GAIN, YES,
           NOT_AS_PUBLISHED, NOTHING_DISTILLED, MISSING)  # fmt: skip
    assert [verdict for verdict in row if f"`{verdict}`" not in RULE] == []
    bounds = "within 2 points of the paper's accuracy", "below 0.05", "within 1 point of 0", "within 1 point of the"
    assert [bound for bound in bounds if bound not in RULE] == []
    assert (verdicts.BAND, verdicts.MARGIN, verdicts.LEVEL) == (2, 1, 0.05)
