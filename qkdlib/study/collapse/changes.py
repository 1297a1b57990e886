"""Why seeds of the published student collapse: its recipe with one thing changed at a time, and the `robust` protocol
that follows from it. Validation images choose.

`ROBUST` is the smallest change that leaves no seed of `STUDIED` collapsed: of the single ones that do, the one with the
highest validation accuracy.
"""

import dataclasses
from types import MappingProxyType

from qkdlib.experiment import Experiment
from qkdlib.study.v1 import paper

STUDIED = {"mnist": "M-B-3q-07", "fashion_mnist": "F-B-3q-07"}  # the rows with the most collapsed seeds
REACH, BATCH, SCALE = {"angle_reach": 0.5}, {"batch_size": 16}, {"logit_scale": 10.0}
CHANGES = MappingProxyType(
    {
        "as published": {},
        "exact outcomes, Eq. 12": {"sampler": "exact", "gradient": "parameter_shift"},
        "theta within pi/2": REACH,
        "batch 16": BATCH,
        "no dropout": {"dropout": 0.0},
        "leaky ReLU": {"activation": "leaky_relu"},
        "logits x 10": SCALE,
        "log of outcomes": {"head": "renormalised"},
        "learning rate / 3": {"learning_rate": 1e-3 / 3},
        "theta within pi/2, batch 16": REACH | BATCH,
        "theta within pi/2, logits x 10": REACH | SCALE,
        "batch 16, logits x 10": BATCH | SCALE,
        "these three": REACH | BATCH | SCALE,
    }
)
ROBUST = MappingProxyType(CHANGES["learning rate / 3"])
ROWS = ("M-B-3q-05", "M-B-3q-07", "M-B-4q-07", "F-B-3q-05", "F-B-3q-07", "F-B-4q-07")  # v1's six students


def variants() -> list[tuple[str, str, Experiment]]:
    """(data set, change, experiment) for every change of the published placebo."""
    return [
        (dataset, name, dataclasses.replace(published(row), **fields))
        for dataset, row in STUDIED.items()
        for name, fields in CHANGES.items()
    ]


def robust(row: str) -> Experiment:
    """The placebo of a direct row of v1 under the `robust` protocol: the published student, as meant, with `ROBUST`."""
    return dataclasses.replace(published(row), **ROBUST)


def published(row: str) -> Experiment:
    """The placebo of a direct row of v1, as meant."""
    found = paper.row(row)
    return (paper.as_meant(found) if found.deviation else found).experiment


def experiments() -> list[Experiment]:
    """Everything that the study needs."""
    return list(dict.fromkeys([*(each for *_, each in variants()), *map(robust, ROWS), *map(published, ROWS)]))
