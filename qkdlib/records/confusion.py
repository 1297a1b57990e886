"""What seeds make of each class: confusion matrices on the test images, recalls, and seeds that lost a class."""

import numpy as np

from qkdlib import checks
from qkdlib.records.record import Record


def confusions(record: Record) -> np.ndarray:
    """Whole numbers (S, C, C + 1), in the order of seeds: how many test images of each class (rows) the weights that
    are kept take for each class (columns, both in the order of `experiment.classes`), or, in the last column, for none
    of them. `ValueError`: a seed has none, because an earlier version made it, or there are more than 100 classes."""
    if not isinstance(record, Record):
        checks.fail("record", record, "a record, as qkdlib.run and records.find return it")
    lacking = [seed for seed in sorted(record.seeds) if "confusion" not in record.seeds[seed]]
    if lacking:
        value = f"seeds {checks.shortened(lacking)} without confusion"
        allowed = "seeds that this version made, of at most 100 classes: run(..., fresh=True) makes all anew"
        checks.fail("record", value, f"{allowed}; this is {record.experiment.name}")
    return np.array([record.seeds[seed]["confusion"] for seed in sorted(record.seeds)], dtype=int)


def has_confusions(record: Record) -> bool:
    """Whether every seed of the record has its confusion matrix."""
    return all("confusion" in results for results in record.seeds.values())


def recalls(record: Record) -> np.ndarray:
    """Recall (S, C) in [0, 1] of each seed and class: the share of the class's test images that is classified right;
    NaN for a class without images. Errors as of `confusions`."""
    counts = confusions(record)
    images, right = counts.sum(-1), counts.diagonal(axis1=1, axis2=2)
    return np.divide(right, images, out=np.full(images.shape, np.nan), where=images > 0)


def lost(record: Record) -> dict[int, list[int]]:
    """The seeds that lost a class, which is a recall of 0, each with the classes that it lost (indices as in
    `experiment.classes`). Errors as of `confusions`."""
    found = {}
    for seed, of_seed in zip(sorted(record.seeds), recalls(record), strict=True):
        if (of_seed == 0).any():
            found[seed] = [record.experiment.classes[place] for place in np.flatnonzero(of_seed == 0)]
    return found
