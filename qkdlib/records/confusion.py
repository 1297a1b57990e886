"""What seeds make of each class: confusion matrices on the test images, recalls, and seeds that lost a class."""

import numpy as np

from qkdlib import checks
from qkdlib.records.record import Record
from qkdlib.records.statistics import collapse_limit

NAMES = {"test": "confusion", "validation": "validation_confusion"}  # in a seed's results


def confusions(record: Record, images: str = "test") -> np.ndarray:
    """Whole numbers (S, C, C + 1), in the order of seeds: how many images of each class (rows) the weights that are
    kept take for each class (columns, both in the order of `experiment.classes`), or, in the last column, for none of
    them. `images`: those of `test`, or of `validation`. `ValueError`: a seed has none, because an earlier version made
    it, or there are more than 100 classes."""
    if not isinstance(record, Record):
        checks.fail("record", record, "a record, as qkdlib.run and records.find return it")
    checks.one_of("images", images, NAMES)
    lacking = [seed for seed in sorted(record.seeds) if NAMES[images] not in record.seeds[seed]]
    if lacking:
        value = f"seeds {checks.shortened(lacking)} without {NAMES[images]}"
        allowed = "seeds that this version made, of at most 100 classes: run(..., fresh=True) makes all anew"
        checks.fail("record", value, f"{allowed}; this is {record.experiment.name}")
    return np.array([record.seeds[seed][NAMES[images]] for seed in sorted(record.seeds)], dtype=int)


def has_confusions(record: Record, images: str = "test") -> bool:
    """Whether every seed of the record has its confusion matrix of those images."""
    return all(NAMES[images] in results for results in record.seeds.values())


def recalls(record: Record, images: str = "test") -> np.ndarray:
    """Recall (S, C) in [0, 1] of each seed and class: the share of the class's images that is classified right; NaN for
    a class without images. Arguments and errors as of `confusions`."""
    counts = confusions(record, images)
    there, right = counts.sum(-1), counts.diagonal(axis1=1, axis2=2)
    return np.divide(right, there, out=np.full(there.shape, np.nan), where=there > 0)


def trains(record: Record, images: str = "test") -> np.ndarray:
    """Whether each seed, in their order, trains, (S,): it lost no class, and did not collapse, as one that guesses
    does, which loses none. Arguments and errors as of `confusions`."""
    gone, counts = lost(record, images), confusions(record, images)
    kept = np.array([seed not in gone for seed in sorted(record.seeds)])
    right = 100 * counts.diagonal(axis1=1, axis2=2).sum(-1) / counts.sum((1, 2))
    return kept & (right >= collapse_limit(record.experiment))


def lost(record: Record, images: str = "test") -> dict[int, list[int]]:
    """The seeds that lost a class, which is a recall of 0, each with the classes that it lost (indices as in
    `experiment.classes`). Arguments and errors as of `confusions`."""
    found = {}
    for seed, of_seed in zip(sorted(record.seeds), recalls(record, images), strict=True):
        if (of_seed == 0).any():
            found[seed] = [record.experiment.classes[place] for place in np.flatnonzero(of_seed == 0)]
    return found
