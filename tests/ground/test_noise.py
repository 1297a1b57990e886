"""Noise: kinds and levels that there are, and what is refused."""

import math

import pytest

from qkdlib.backends.backend import _aer_model
from qkdlib.noise import MOST, Noise


@pytest.mark.parametrize(
    ("kind", "level", "message"),
    [
        ("dephasing", 0.1, "noise='dephasing' is not allowed; allowed: one of none, depolarising, amplitude_damping, "),
        ("Depolarising", 0.1, "noise='Depolarising' is not allowed; allowed: one of none"),
        (None, 0.0, "noise=None is not allowed; allowed: one of none"),
        ("depolarising", -0.01, "noise_level=-0.01 is not allowed; allowed: a finite number of 0 or more"),
        ("readout", math.nan, "noise_level=nan is not allowed; allowed: a finite number"),
        ("readout", math.inf, "noise_level=inf is not allowed; allowed: a finite number"),
        ("readout", "0.1", "noise_level='0.1' is not allowed; allowed: a finite number"),
        ("readout", True, "noise_level=True is not allowed; allowed: a finite number"),
        ("depolarising", 1.01, "noise_level=1.01 is not allowed; allowed: a number from 0 to 1 for noise depolarising"),
        ("amplitude_damping", 2, "noise_level=2 is not allowed; allowed: a number from 0 to 1 for noise amplitude_"),
        ("readout", 0.51, "noise_level=0.51 is not allowed; allowed: a number from 0 to 0.5 for noise readout"),
        ("none", 0.1, "noise_level=0.1 is not allowed; allowed: a number from 0 to 0 for noise none"),
    ],
)  # fmt: skip
def test_noise_that_there_is_not_is_refused_by_name_value_and_what_is_allowed(kind, level, message):
    with pytest.raises(ValueError) as caught:
        Noise(kind, level)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", MOST)
def test_every_kind_is_allowed_from_0_to_its_highest_level(kind):
    assert Noise(kind, 0).is_ideal and _aer_model(Noise(kind)) is None
    most = Noise(kind, MOST[kind])
    assert most.level == MOST[kind] and isinstance(most.level, float)
    assert most.is_ideal == (kind == "none") == (_aer_model(most) is None)
    assert str(most) == ("none" if kind == "none" else f"{kind} {MOST[kind]:g}")
    assert most.flips == (0.5 if kind == "readout" else 0)
