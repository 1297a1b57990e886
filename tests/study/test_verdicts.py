"""Verdicts at their borders, and that no better number has a worse one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdlib.study.verdicts import (
    IN_PART,
    MISSING,
    NOISE,
    NOT_REPRODUCED,
    NOTHING_DISTILLED,
    REPRODUCED,
    RULE,
    count_verdict,
    difference_verdict,
    error_verdict,
    gain_verdict,
    student_verdict,
    teacher_verdict,
)

BETTER = [NOT_REPRODUCED, NOISE, REPRODUCED]  # from worst to best
PERCENT = st.floats(-100, 100)


@pytest.mark.parametrize(
    ("published", "verdict"),
    [
        (96.0, REPRODUCED), (95.0, REPRODUCED), (97.0, REPRODUCED),  # the ends of the interval count
        (94.9, NOISE), (97.1, NOISE), (90.0, NOISE), (99.0, NOISE),  # the worst and best seed count
        (89.9, NOT_REPRODUCED), (99.1, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_student_verdict(published, verdict):
    assert student_verdict(published, low=95.0, high=97.0, worst=90.0, best=99.0) == verdict


@pytest.mark.parametrize(
    ("published", "verdict"),
    [
        (21.0, REPRODUCED), (22.0, REPRODUCED), (23.0, REPRODUCED),
        (20.6, REPRODUCED), (23.4, REPRODUCED),  # as well as it could be read off the figure
        (20.5, NOISE), (23.5, NOISE), (15.0, NOISE), (30.0, NOISE),  # among the seeds, whose ends are exact
        (14.9, NOT_REPRODUCED), (30.1, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_error_verdict(published, verdict):
    assert error_verdict(published, 0.4, low=21.0, high=23.0, best=15.0, worst=30.0) == verdict


@pytest.mark.parametrize(
    ("claimed", "low", "high", "p", "verdict"),
    [
        (1.33, 0.01, 1.0, 0.049, REPRODUCED),
        (1.33, 0.01, 1.0, 0.05, NOISE),  # p has to be below the level
        (1.33, 0.01, 1.0, 1.0, NOISE),
        (1.33, 0.0, 1.0, 0.0, NOISE), (1.33, -1.0, 1.0, 0.0, NOISE), (1.33, -1.0, 0.0, 0.0, NOISE),
        (1.33, 0.0, 0.0, 1.0, NOISE),
        (1.33, -1.0, -0.01, 1.0, NOT_REPRODUCED), (1.33, -1.0, -0.01, 0.0, NOT_REPRODUCED),
        # where the paper prints no gain, none has to be found
        (0.0, -1.0, 1.0, 0.9, REPRODUCED), (0.0, 0.0, 1.0, 0.0, REPRODUCED), (0.0, -1.0, 0.0, 0.0, REPRODUCED),
        (0.0, 0.01, 1.0, 0.9, NOT_REPRODUCED), (0.0, -1.0, -0.01, 0.9, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_gain_verdict(claimed, low, high, p, verdict):
    assert gain_verdict(claimed, low, high, p) == verdict


@pytest.mark.parametrize("claimed", [0.0, 1.33])
@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (math.nan, 1.0), (0.0, math.nan)])
def test_an_interval_that_is_none_is_refused(claimed, low, high):
    with pytest.raises(ValueError, match="the lower one first"):
        gain_verdict(claimed, low, high, 0.01)


@pytest.mark.parametrize(
    ("kind", "low", "high", "verdict"),
    [
        ("gain", 0.01, 1.0, REPRODUCED), ("gain", 0.0, 1.0, NOISE), ("gain", -1.0, 0.0, NOISE),
        ("gain", 0.0, 0.0, NOISE), ("gain", -1.0, -0.01, NOT_REPRODUCED),
        ("no_difference", -1.0, 1.0, REPRODUCED), ("no_difference", 0.0, 1.0, REPRODUCED),
        ("no_difference", -1.0, 0.0, REPRODUCED), ("no_difference", 0.01, 1.0, NOT_REPRODUCED),
        ("no_difference", -1.0, -0.01, NOT_REPRODUCED),
        ("no_loss", -1.0, 0.0, REPRODUCED), ("no_loss", 0.5, 1.0, REPRODUCED), ("no_loss", -1.0, -0.01, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_difference_verdict(kind, low, high, verdict):
    assert difference_verdict(kind, low, high) == verdict


@pytest.mark.parametrize(
    ("found", "verdict"), [(18, REPRODUCED), (17, IN_PART), (1, IN_PART), (0, NOT_REPRODUCED)]
)  # fmt: skip
def test_count_verdict(found, verdict):
    assert count_verdict(found, 18) == verdict


@pytest.mark.parametrize(
    ("published", "ours", "verdict"),
    [
        (99.5, 99.5, REPRODUCED), (99.5, 98.5, REPRODUCED), (98.5, 99.5, REPRODUCED), (99.5, 98.49, NOT_REPRODUCED),
        (98.5, 99.51, NOT_REPRODUCED),
    ],
)  # fmt: skip
def test_teacher_verdict(published, ours, verdict):
    assert teacher_verdict(published, ours) == verdict


@given(st.sampled_from([0.0, 0.5, 18.44]), st.tuples(PERCENT, PERCENT), st.floats(0, 1))
def test_every_gain_gets_one_of_three_verdicts(claimed, ends, p):
    low, high = sorted(ends)
    verdict = gain_verdict(claimed, low, high, p)
    assert verdict in BETTER
    # A claim of no gain is never a matter of noise, and a gain is only found in an interval above 0.
    assert claimed or verdict != NOISE
    assert not claimed or (verdict == REPRODUCED) == (low > 0 and p < 0.05)


@given(st.tuples(PERCENT, PERCENT), st.floats(0, 1), st.floats(0, 50), st.floats(0, 1))
def test_a_larger_or_surer_gain_has_no_worse_verdict(ends, p, more, share):
    low, high = sorted(ends)
    before = BETTER.index(gain_verdict(1.0, low, high, p))
    assert BETTER.index(gain_verdict(1.0, low + more, high + more, p)) >= before
    assert BETTER.index(gain_verdict(1.0, low, high, p * share)) >= before
    difference = BETTER.index(difference_verdict("gain", low, high))
    assert difference >= before  # the same rule without a p value
    assert BETTER.index(difference_verdict("gain", low + more, high + more)) >= difference


@given(PERCENT, st.lists(PERCENT, min_size=4, max_size=4), st.floats(0, 50))
def test_a_wider_spread_has_no_worse_verdict_on_a_student(published, ends, more):
    worst, low, high, best = sorted(ends)
    error = error_verdict(published, 0.0, low, high, worst, best)  # for errors the best is the smallest
    assert error == student_verdict(published, low, high, worst, best)
    assert BETTER.index(error_verdict(published, more, low, high, worst, best)) >= BETTER.index(error)
    before = BETTER.index(student_verdict(published, low, high, worst, best))
    assert BETTER.index(student_verdict(published, low - more, high + more, worst - more, best + more)) >= before
    assert BETTER.index(student_verdict(published, low, high, worst - more, best + more)) >= before


@given(PERCENT, PERCENT, st.floats(0, 1))
def test_a_nearer_teacher_has_no_worse_verdict(published, ours, share):
    far, near = teacher_verdict(published, ours), teacher_verdict(published, published + share * (ours - published))
    assert BETTER.index(near) >= BETTER.index(far)


def test_the_rule_names_every_verdict_of_a_row():
    for verdict in (REPRODUCED, NOISE, NOT_REPRODUCED, NOTHING_DISTILLED, MISSING):
        assert f"`{verdict}`" in RULE
    assert "below 0.05" in RULE and "within 1 point" in RULE
