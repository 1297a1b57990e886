"""Why seeds of the published student collapse: its recipe with one thing changed at a time, and the `robust` protocol
that follows from it. Validation images choose."""

import dataclasses
from types import MappingProxyType

from qkdlib import paper
from qkdlib.experiment import Experiment

SEEDS = 20
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
ROBUST = MappingProxyType({**REACH, **BATCH, **SCALE, "sampler": "exact", "gradient": "autograd"})


def variants() -> list[tuple[str, str, Experiment]]:
    """(data set, change, experiment) for every change of the published placebo."""
    return [
        (dataset, name, dataclasses.replace(_meant(row), **fields))
        for dataset, row in STUDIED.items()
        for name, fields in CHANGES.items()
    ]


def robust(row: str) -> Experiment:
    """The placebo of a direct row of v1 under the `robust` protocol: the published student, as meant, with `ROBUST`."""
    return dataclasses.replace(_meant(row), **ROBUST)


def _meant(name: str) -> Experiment:
    row = paper.row(name)
    return (paper.as_meant(row) if row.deviation else row).experiment
