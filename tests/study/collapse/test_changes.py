"""Which changes of the published recipe are declared, and the protocol that follows from them."""

import dataclasses

from qkdlib.study.collapse import changes
from qkdlib.study.collapse import table as collapse_table
from qkdlib.study.v1 import paper
from qkdlib.workspace import Workspace


def test_each_change_is_one_field_or_the_fields_of_its_parts():
    fields_of = dict(changes.CHANGES)
    assert fields_of.pop("as published") == {}
    combined = {name: fields for name, fields in fields_of.items() if "," in name or name == "these three"}
    combined.pop("exact outcomes, Eq. 12")  # one thing: without samples there is no shift to take
    for name, fields in fields_of.items():
        if name not in combined and name != "exact outcomes, Eq. 12":
            assert len(fields) == 1, name
    for fields in combined.values():
        assert all(any(fields.items() >= one.items() for one in (part,)) or not part.keys() <= fields.keys()
                   for part in (changes.REACH, changes.BATCH, changes.SCALE))  # fmt: skip
    assert len(combined["these three"]) == 3


def test_variants_differ_from_the_published_placebo_in_what_they_say():
    for dataset, change, experiment in changes.variants():
        fields = changes.CHANGES[change]
        row = paper.row(changes.STUDIED[dataset])
        published = (paper.as_meant(row) if row.deviation else row).experiment
        assert dataclasses.replace(experiment, **{name: getattr(published, name) for name in fields}) == published
        assert experiment.seeds == 20 and experiment.teacher is None
        assert all(getattr(experiment, name) == value for name, value in fields.items())


def test_the_robust_protocol_is_one_of_the_changes_that_were_studied():
    assert dict(changes.ROBUST) in changes.CHANGES.values()
    for row in changes.ROWS:
        experiment = changes.robust(row)
        assert all(getattr(experiment, name) == value for name, value in changes.ROBUST.items())
        undone = {name: getattr(changes.published(row), name) for name in changes.ROBUST}
        assert dataclasses.replace(experiment, **undone) == changes.published(row)
        assert (experiment.head, experiment.teacher) == ("sigmoid_complement", None)


def test_of_single_changes_without_a_collapsed_seed_validation_chose_the_robust_one():
    """From the committed records."""
    frame = collapse_table.table(Workspace())
    single = frame[~frame.change.str.contains(",") & (frame.change != "these three")]
    sums = single.groupby("change").agg({"collapsed": "sum", "mean_validation": "mean"})
    best = sums[sums.collapsed == 0].mean_validation.idxmax()
    assert changes.CHANGES[best] == dict(changes.ROBUST)
