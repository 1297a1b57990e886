"""Whether the paper's runs are draws of its recipe, all rows together: against all outcomes, and scipy."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from qkdlib.study.v1 import claims
from qkdlib.study.v1.claims import improved, none_collapsed, ranks
from qkdlib.study.verdicts import (
    CONTRADICTED,
    GAIN,
    HARM,
    INCONCLUSIVE,
    NO_GAIN,
    NOT_AS_PUBLISHED,
    NOTHING_DISTILLED,
    count,
)


def of_rows(monkeypatch, **columns):
    """Tables 1 and 2 have rows that say this."""
    frame = pd.DataFrame(columns)
    monkeypatch.setattr(claims, "as_run", lambda evidence, category=None: frame)


def rows_with(shares, ends, ids=None):
    """Rows of MNIST 0-5, which collapse below 25 %."""
    ids = ids or ["M-B-3q-05"] * len(shares)
    return {"id": ids, "collapsed_share": shares, "recorded_last": ends, "verdict_draw": ["inside"] * len(shares)}


@pytest.mark.parametrize("ends", list(itertools.product((20.0, 90.0), repeat=4)))
def test_so_few_collapses_against_all_outcomes(monkeypatch, ends):
    """The chance of as many or fewer, summed over every way in which four rows can come out."""
    shares = [0.31, 0.15, 0.0, 0.6]
    of_rows(monkeypatch, **rows_with(shares, ends))
    theirs = sum(end < 25 for end in ends)
    chance = sum(
        np.prod([share if down else 1 - share for share, down in zip(shares, outcome, strict=True)])
        for outcome in itertools.product((False, True), repeat=4)
        if sum(outcome) <= theirs
    )
    found = none_collapsed(None)
    assert found.p == pytest.approx(chance) and str(found) == f"{theirs} of 4 runs; expected 1.1"


def test_equal_shares_are_the_binomial_distribution(monkeypatch):
    of_rows(monkeypatch, **rows_with([0.31] * 24, [90.0] * 24))
    assert none_collapsed(None).p == pytest.approx(scipy.stats.binom.cdf(0, 24, 0.31))
    of_rows(monkeypatch, **rows_with([0.31] * 24, [20.0] * 5 + [25.0] * 19))  # at the limit none has collapsed
    assert none_collapsed(None).p == pytest.approx(scipy.stats.binom.cdf(5, 24, 0.31))
    of_rows(monkeypatch, **rows_with([0.0] * 3, [90.0] * 3))
    assert none_collapsed(None).p == 1


def test_the_limit_of_a_collapse_is_that_of_the_rows_classes(monkeypatch):
    """20 % of six classes is below 1.5 times chance, of eight it is not."""
    of_rows(monkeypatch, **rows_with([0.5, 0.5], [20.0, 20.0], ["M-B-3q-05", "M-B-3q-07"]))
    assert str(none_collapsed(None)) == "1 of 2 runs; expected 1.0"


def test_joint_checks_leave_out_what_is_not_run_as_published(monkeypatch):
    more = rows_with([0.31, 0.9, 0.15], [90.0, 20.0, 90.0]) | {"rank": [0.2, 1.0, 0.6]}
    of_rows(monkeypatch, **more | {"verdict_draw": ["inside", NOT_AS_PUBLISHED, "above all seeds"]})
    assert none_collapsed(None).p == pytest.approx(0.69 * 0.85)
    assert str(ranks(None)) == "mean rank 0.40, 1 of 2 outside of all seeds"
    assert ranks(None).p == pytest.approx(scipy.stats.kstest([0.2, 0.6], "uniform").pvalue)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.data())
def test_the_fewer_of_the_papers_runs_collapse_the_less_likely_that_is(shares, data):
    ends = data.draw(st.lists(st.sampled_from((20.0, 90.0)), min_size=len(shares), max_size=len(shares)))
    with pytest.MonkeyPatch.context() as patch:
        found = []
        for run in (ends, [20.0, *ends[1:]], [20.0] * len(ends)):  # more and more collapse
            of_rows(patch, **rows_with(shares, run))
            found.append(none_collapsed(None).p)
    assert 0 <= found[0] <= found[1] + 1e-12 <= found[2] + 2e-12 and found[2] == pytest.approx(1)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=24))
def test_ranks_are_tested_by_kolmogorov_and_smirnov(values):
    with pytest.MonkeyPatch.context() as patch:
        of_rows(patch, verdict_draw=["inside"] * len(values), rank=values)
        assert ranks(None).p == pytest.approx(scipy.stats.kstest(values, scipy.stats.uniform.cdf).pvalue)


def test_a_paper_whose_runs_are_draws_is_not_contradicted_too_often():
    """Rank by rank uniform, as those of draws are: p below 0.05 in about 5 % of papers."""
    draw, low = np.random.default_rng(0), 0
    with pytest.MonkeyPatch.context() as patch:
        for _ in range(400):
            of_rows(patch, verdict_draw=["inside"] * 12, rank=draw.uniform(size=12).round(2))
            low += ranks(None).p < 0.05
    assert 0.02 < low / 400 < 0.08


@pytest.mark.parametrize(
    ("said", "cases", "verdict"),
    [
        ([GAIN, GAIN, HARM, NO_GAIN, INCONCLUSIVE, NOTHING_DISTILLED], (2, 3, 6), "in part"),
        ([INCONCLUSIVE] * 3, (0, 0, 3), INCONCLUSIVE), ([INCONCLUSIVE, NOTHING_DISTILLED], (0, 1, 2), CONTRADICTED),
        ([GAIN] * 18, (18, 0, 18), "reproduced"),
    ],
)  # fmt: skip
def test_rows_that_improve_and_rows_that_do_not(monkeypatch, said, cases, verdict):
    of_rows(monkeypatch, verdict_gain=said)
    assert improved(None) == cases and count(*improved(None)) == verdict
