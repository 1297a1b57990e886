"""Columns of estimates, and numbers as the text of cells."""

import math

import pandas as pd
import pytest

from qkdlib.records import paired_gain, summarise
from qkdlib.study import cells


@pytest.mark.parametrize("none", [None, math.nan, pd.NA])
def test_what_there_is_no_number_of_is_no_text(none):
    assert cells.text(none, ".2f", "before", "after") == cells.interval(none, none) == ""


def test_numbers_and_intervals_as_text():
    assert cells.text(2.345, "+.1f", ", ", " qubits") == ", +2.3 qubits"
    assert cells.text(7) == "7.00"
    assert cells.interval(-1, 2.5) == " [-1.00, 2.50]"
    assert cells.interval(-1, 2.5, "+", ".1f") == " [-1.0, +2.5]"


def test_an_estimate_is_a_number_with_its_interval():
    row = {"gain": 1.25, "ci_low": -0.5, "ci_high": 3.0, "kd_ci_low": 0.0, "kd_ci_high": 2.0}
    assert cells.estimate(row, "gain") == "1.25 [-0.50, 3.00]"
    assert cells.estimate(row, "gain", "kd_", "+", ".1f") == "+1.2 [+0.0, +2.0]"
    assert cells.estimate(row | {"ci_low": math.nan, "ci_high": math.nan}, "gain") == "1.25"
    assert cells.estimate(dict.fromkeys(row), "gain") == ""


def test_the_columns_of_an_estimate_are_read_back_as_its_text():
    gain = paired_gain([3.0, 5.0, 4.0, 6.0], [1.0, 2.0, 4.5, 3.0])
    found = cells.columns(gain, "gain", "kd_", p="p")
    assert list(found) == ["gain", "kd_ci_low", "kd_ci_high", "p"]
    assert list(found.values()) == [gain.mean, gain.low, gain.high, gain.p]
    assert cells.estimate(found, "gain", "kd_") == str(gain)
    assert list(cells.columns(summarise([1.0, 2.0]), "mean", p="p")) == ["mean", "ci_low", "ci_high"]  # it has no p
