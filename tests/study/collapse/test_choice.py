"""The rule that chooses the robust protocol: on made-up tables against a search by hand; and on committed records."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkdlib.study.claims import Lacking
from qkdlib.study.collapse import changes, choice
from qkdlib.study.collapse import table as collapse_table
from qkdlib.workspace import Workspace

TASKS = [("mnist", "0-5", 3), ("mnist", "0-7", 3), ("mnist", "0-7", 4), ("fashion_mnist", "0-5", 3),
         ("fashion_mnist", "0-7", 3), ("fashion_mnist", "0-7", 4)]  # fmt: skip
SINGLES, PAIRS = list(changes.CANDIDATES)[:4], list(changes.CANDIDATES)[4:9]
TRIPLES = list(changes.CANDIDATES)[9:]
ALL, OTHER = TRIPLES


def frame(lost: dict[str, list], seeds: int = changes.SEEDS, accuracy: dict[str, float] | None = None) -> pd.DataFrame:
    """A table of candidates: by name for each task the seeds that lost a class; None: not tried."""
    lines = [
        {
            "dataset": dataset, "classes": classes, "qubits": qubits, "change": name,
            "seeds": np.nan if count is None else seeds, "lost_class": np.nan if count is None else count,
            "mean_validation": np.nan if count is None else (accuracy or {}).get(name, 80.0) + place,
        }
        for name, counts in lost.items() for place, ((dataset, classes, qubits), count) in
        enumerate(zip(TASKS, counts, strict=True))
    ]  # fmt: skip
    other = {"dataset": "mnist", "classes": "0-7", "qubits": 3, "change": "no dropout", "seeds": seeds}
    return pd.DataFrame([*lines, other | {"lost_class": 0, "mean_validation": 99.0}])


def test_the_smallest_set_that_loses_no_class_is_chosen():
    lost = dict.fromkeys(SINGLES, [0, 0, 1, 0, 0, 0]) | dict.fromkeys(PAIRS, [0] * 6) | {ALL: [0] * 6, OTHER: [0] * 6}
    accuracy = dict.fromkeys(PAIRS, 70.0) | {PAIRS[1]: 90.0, PAIRS[2]: 85.0, ALL: 99.0}
    assert choice.chosen(frame(lost, accuracy=accuracy)) == PAIRS[1]
    assert choice.chosen(frame(lost | {PAIRS[1]: [5, 0, 0, 0, 0, 0]}, accuracy=accuracy)) == PAIRS[2]
    assert choice.chosen(frame(lost | {SINGLES[2]: [0] * 6}, accuracy=accuracy)) == SINGLES[2]
    nothing = dict.fromkeys(PAIRS, [0, 0, 0, 0, 0, 2])
    assert choice.chosen(frame(lost | nothing, accuracy=accuracy)) == ALL
    with pytest.raises(ValueError, match="^no candidate leaves every seed of every task all its classes$"):
        choice.chosen(frame(lost | nothing | dict.fromkeys(TRIPLES, [1] * 6)))


def test_what_could_still_be_chosen_holds_the_choice_up():
    lost = dict.fromkeys(SINGLES, [None, 3, None, None, None, None]) | dict.fromkeys(PAIRS, [0] * 6) | {ALL: [None] * 6}
    assert choice.chosen(frame(lost)) == PAIRS[0]
    for name in (SINGLES[1], PAIRS[2]):
        with pytest.raises(Lacking, match=f"^records of {changes.SEEDS} seeds with {name}$"):
            choice.chosen(frame(lost | {name: [0, 0, 0, None, 0, 0]}))
    few = frame(lost)
    few.loc[(few.change == PAIRS[0]) & (few.dataset == "mnist"), "seeds"] = changes.SEEDS - 1
    with pytest.raises(Lacking, match=PAIRS[0]):
        choice.chosen(few)
    with pytest.raises(Lacking, match=" or ".join(SINGLES)):
        choice.chosen(frame({}))


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from([0, 0, 0, 0, 0, 0, 0, 0, 1, 40]), min_size=6, max_size=6), min_size=11,
                max_size=11), st.permutations(range(11)))  # fmt: skip
def test_the_rule_is_what_a_search_by_hand_finds(counts, ranks):
    lost = dict(zip(changes.CANDIDATES, counts, strict=True))
    accuracy = {name: 60.0 + rank for name, rank in zip(changes.CANDIDATES, ranks, strict=True)}
    clean = [name for name, each in lost.items() if sum(each) == 0]
    table = frame(lost, accuracy=accuracy)
    if not clean:
        with pytest.raises(ValueError, match="no candidate"):
            choice.chosen(table)
        return
    best = min(clean, key=lambda name: (name.count(","), -accuracy[name]))
    assert choice.chosen(table) == best


def test_candidates_are_listed_with_what_they_lost():
    lost = dict.fromkeys(SINGLES, [3, 0, None, 0, 0, 0]) | dict.fromkeys(PAIRS, [0] * 6) | {ALL: [None] * 6}
    found = choice.candidates(frame(lost))
    assert found.index.tolist() == [*SINGLES, *PAIRS, *TRIPLES]
    told = ["" if count is None else f"{count} of {changes.SEEDS}" for count in lost[SINGLES[0]]]
    assert found.loc[SINGLES[0]].iloc[:6].tolist() == told
    assert found.columns[:2].tolist() == ["MNIST 0-5, 3 qubits", "MNIST 0-7, 3 qubits"]
    assert found.verdict.tolist() == ["out"] * 4 + ["passes"] * 5 + ["open"] * 2
    assert found.mean_validation.isna().tolist() == [True] * 4 + [False] * 5 + [True] * 2
    assert found.mean_validation[PAIRS[1]] == pytest.approx(80 + (0 + 1 + 2 + 3 + 4 + 5) / 6)


def test_the_committed_records_choose_the_robust_protocol():
    """As long as they do not say which candidate passes, it is the change that is known not to be enough."""
    try:
        name = choice.chosen(collapse_table.table(Workspace()))
    except (Lacking, ValueError):
        name = changes.NOT_ENOUGH
    assert name == changes.CHOSEN and dict(changes.ROBUST) == changes.CHANGES[name]
