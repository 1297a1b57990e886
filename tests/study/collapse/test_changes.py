"""Which changes of the published recipe are declared, and the protocol that follows from them."""

import dataclasses
import itertools

from qkdlib.study.collapse import changes
from qkdlib.study.v1 import paper


def test_each_change_is_one_field_and_each_candidate_some_of_four():
    single = dict(changes.CHANGES)
    assert single.pop("as published") == {}
    # One thing: without samples there is no shift to take.
    assert set(single.pop("exact outcomes, Eq. 12")) == {"sampler", "gradient"}
    parts = [{"angle_reach": 0.5}, {"batch_size": 16}, {"logit_scale": 10.0}, {"head": "renormalised"}]
    subsets = [dict(kv for part in some for kv in part.items()) for size in (1, 2, 3)
               for some in itertools.combinations(parts, size)]  # fmt: skip
    # Both of the last two make the loss louder: one at a time.
    assert list(changes.CANDIDATES.values()) == [one for one in subsets if not {"logit_scale", "head"} <= set(one)]
    assert all(len(single[name]) == 1 for name in set(single) - set(changes.CANDIDATES))
    assert single["learning rate / 3"] == {"learning_rate": 1e-3 / 3}


def test_variants_differ_from_the_published_placebo_in_what_they_say():
    found = changes.variants()
    seeds = {**changes.LOST_ELSEWHERE, **{(changes.CHOSEN, row): changes.SEEDS for row in changes.ROWS}}
    assert len({(row, change) for row, change, _ in found}) == len(found)
    for row, change, experiment in found:
        fields = changes.CHANGES[change]
        declared = paper.row(row)
        published = (paper.as_meant(declared) if declared.deviation else declared).experiment
        undone = {name: getattr(published, name) for name in fields}
        assert dataclasses.replace(experiment, seeds=published.seeds, **undone) == published
        assert experiment.teacher is None and all(getattr(experiment, name) == value for name, value in fields.items())
        assert experiment.seeds == seeds.get((change, row), published.seeds if not fields else changes.FEW)


def test_every_change_is_tried_on_two_tasks_and_the_robust_one_on_all():
    rows = {change: [row for row, name, _ in changes.variants() if name == change] for change in changes.CHANGES}
    assert all({"M-B-3q-07", "F-B-3q-07"} <= set(tried) for tried in rows.values())
    (robust,) = (name for name, fields in changes.CHANGES.items() if fields == dict(changes.ROBUST))
    for change in (robust, "as published", "learning rate / 3"):
        assert rows[change] == list(changes.ROWS)
    elsewhere = {(name, row) for row, name, _ in changes.variants() if row not in ("M-B-3q-07", "F-B-3q-07")}
    for change, row in changes.LOST_ELSEWHERE:  # those of STUDIED are out without it
        assert (change, row) in elsewhere and change in changes.CANDIDATES
    assert {each.seeds for _, name, each in changes.variants() if name == robust} == {changes.SEEDS}


def test_the_robust_protocol_is_one_of_the_changes_that_were_studied():
    assert dict(changes.ROBUST) in changes.CHANGES.values()
    for row in changes.ROWS:
        experiment = changes.robust(row)
        assert experiment in changes.experiments()
        assert all(getattr(experiment, name) == value for name, value in changes.ROBUST.items())
        undone = {name: getattr(changes.published(row), name) for name in (*changes.ROBUST, "seeds")}
        assert dataclasses.replace(experiment, **undone) == changes.published(row)
        assert (experiment.head, experiment.teacher, experiment.seeds) == ("sigmoid_complement", None, changes.SEEDS)


def test_exact_outcomes_are_those_of_the_controlled_experiment():
    from qkdlib.study.controlled import design

    for row in changes.ROWS:
        assert changes.exact(row).digest == design.robust(row).digest
        assert changes.exact(row).seeds == changes.SEEDS and changes.exact(row) in changes.experiments()
