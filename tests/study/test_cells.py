"""Numbers as the text of cells."""

import math

import pandas as pd
import pytest

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
    row = {"mean": 1.25, "low": -0.5, "high": 3.0}
    assert cells.estimate(row, ("mean", "low", "high")) == "1.25 [-0.50, 3.00]"
    assert cells.estimate(row, ("mean", "low", "high"), "+", ".1f") == "+1.2 [-0.5, +3.0]"
    assert cells.estimate(row | {"low": math.nan, "high": math.nan}, ("mean", "low", "high")) == "1.25"
    assert cells.estimate(dict.fromkeys(row), ("mean", "low", "high")) == ""
