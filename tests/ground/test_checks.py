"""The checks of parameters: what passes, and one short line for what does not."""

import functools
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdlib import checks


@given(st.integers(-20, 20), st.integers(-5, 5), st.none() | st.integers(6, 12))
def test_whole_takes_integers_between_its_bounds(value, minimum, maximum):
    if minimum <= value <= (math.inf if maximum is None else maximum):
        checks.whole("name", value, minimum, maximum)
        checks.whole("name", np.int64(value), minimum, maximum)
    else:
        with pytest.raises(ValueError, match="whole number") as caught:
            checks.whole("name", value, minimum, maximum)
        assert str(caught.value).startswith(f"name={value} ")


@pytest.mark.parametrize("value", [True, False, np.True_, 1.0, "1", None, [1], math.nan])
def test_whole_refuses_what_is_no_integer(value):
    with pytest.raises(ValueError, match="whole number of 0 or more"):
        checks.whole("name", value, minimum=0)


@pytest.mark.parametrize(("name", "most"), [("shots", 10**7), ("teacher epochs", 10**6), ("QKD_THREADS", 1024)])
def test_whole_numbers_are_bounded_by_the_last_word_of_their_name(name, most):
    assert checks.whole(name, most) == most
    with pytest.raises(ValueError, match=f"^{name}={most + 1} .* whole number of 1 or more, at most {most:,}$"):
        checks.whole(name, most + 1)
    assert checks.whole("number of none of these", 10**30) == 10**30


@given(st.floats())
def test_real_takes_finite_numbers_from_0_to_what_32_bits_hold(value):
    if 0 <= value <= 1e38:
        assert checks.real("name", value) == value
    else:
        with pytest.raises(ValueError, match="a finite number of 0 or more, at most 1e\\+38"):
            checks.real("name", value)


@pytest.mark.parametrize("value", [0, 0.0, -1, True, "0.1", None, math.inf, math.nan, 1j, 10**400, Fraction(-1, 2)])
def test_real_and_positive_refuses(value):
    with pytest.raises(ValueError, match="a finite number greater than 0"):
        checks.real("name", value, positive=True)


def test_numbers_that_pass_become_pythons_own():
    for value, plain in (
        (checks.whole("name", np.int64(3)), 3), (checks.real("name", np.float32(0.5)), 0.5),
        (checks.real("name", 2), 2.0),
        (checks.real("name", Fraction(1, 4)), 0.25), (checks.flag("name", np.True_), True),
        (checks.one_of("name", np.str_("b"), ("a", "b")), "b"), (checks.text("name", np.str_("b")), "b"),
    ):  # fmt: skip
        assert value == plain and type(value) is type(plain)
    assert math.copysign(1, checks.real("name", -0.0)) == 1


@pytest.mark.parametrize("value", [1, 0, "True", "", None, [True], np.array([True])])
def test_a_flag_is_true_or_false_and_nothing_that_counts_as_it(value):
    with pytest.raises(ValueError, match="^name=.* is not allowed; allowed: True or False$"):
        checks.flag("name", value)


@pytest.mark.parametrize("value", [[2, 1], (2, 1), np.array([2, 1]), range(2, 0, -1), iter([2, 1])])
def test_members_are_those_of_anything_that_has_an_order(value):
    assert checks.members("name", value, "numbers") == (2, 1)


@pytest.mark.parametrize("value", ["21", b"21", {2, 1}, {2: 1}, frozenset([1]), 5, None, int, np.array(5)])
def test_members_of_a_text_or_of_what_has_no_order_are_refused(value):
    with pytest.raises(ValueError, match="^name=.* is not allowed; allowed: numbers$"):
        checks.members("name", value, "numbers")


@pytest.mark.parametrize("value", [range(10**12), itertools.count()])
def test_members_are_counted_before_they_are_taken(value):
    with pytest.raises(ValueError, match="allowed: numbers, at most 1,000$"):
        checks.members("name", value, "numbers")


def test_one_of_lists_the_choices_in_order():
    checks.one_of("name", "b", ("a", "b"))
    with pytest.raises(ValueError) as caught:
        checks.one_of("name", "c", ("a", "b"))
    assert str(caught.value) == "name='c' is not allowed; allowed: one of a, b"


def test_of_many_choices_the_first_and_the_nearest_are_named():
    with pytest.raises(ValueError) as caught:
        checks.one_of("row", "row number 75!", [f"row number {number}" for number in range(100)])
    message = str(caught.value)
    assert message.startswith("row='row number 75!' is not allowed; allowed: one of row number 0, row number 1, ")
    assert message.endswith(", ... (100 in all; the nearest: row number 75)") and len(message) < 400


class Rude:
    """Its text is long, has many lines, or cannot be had."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text if isinstance(self.text, str) else 1 / 0


NESTED = functools.reduce(lambda inner, _: [inner], range(10**4), [])


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, "a\nb\r\u2028c", [0.5] * 10**6, {n: "y" * 1000 for n in range(1000)}, 10**5000, np.zeros((100, 100)),
     b"z" * 10**5, Rude("line\n" * 10**5), Rude(None), NESTED, ("q" * 50,) * 50, {1, "a"}, int],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_in_a_message_is_one_short_line(value):
    with pytest.raises(ValueError) as caught:
        checks.fail("name", value, "something\nelse")
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and len(message) < 150
    assert message.endswith(" is not allowed; allowed: something else")


def test_memory_that_is_not_there_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(checks, "available_memory", lambda: 2.0**30)
    checks.memory("seeds", 5, 2.0**30, "five seeds")
    with pytest.raises(ValueError) as caught:
        checks.memory("seeds", 9, 3 * 2.0**30, "training")
    assert str(caught.value) == (
        "seeds=9 is not allowed; allowed: a value for which training fits into memory: it takes about 3.0 GB, and 1.0 "
        "GB are free"
    )


def test_available_memory_is_what_the_control_group_allows_without_files_that_are_only_cached(monkeypatch):
    files = {
        "/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n",
        "/sys/fs/cgroup/memory.max": "5000000\n", "/sys/fs/cgroup/memory.current": "4000000\n",
        "/sys/fs/cgroup/memory.stat": "anon 1000\ninactive_file 3000000\n",
    }  # fmt: skip

    def text(path):
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    monkeypatch.setattr(checks, "_text", text)
    assert checks.available_memory() == 4000000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert checks.available_memory() == 8000 * 1024
