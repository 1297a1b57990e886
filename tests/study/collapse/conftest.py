"""Records of seeds whose every class is known, and the tables' numbers by hand."""

import numpy as np
import pytest
from synthetic import record

from qkdlib.experiment import Experiment
from qkdlib.records import Record


def _confusion(right: np.ndarray, images: int) -> list[list[int]]:
    """Of `images` per class the first `right` (C,) are taken for what they are, the others for the next class."""
    classes = len(right)
    rows = np.zeros((classes, classes + 1), dtype=int)
    for label, count in enumerate(right):
        rows[label, label], rows[label, (label + 1) % classes] = count, images - count
    return rows.tolist()


def classified(experiment: Experiment, validation: np.ndarray, test: np.ndarray) -> Record:
    """A record of seeds that take so many images of each class for what they are, (S, C) each; after the first epoch
    0.1 of the validation images."""
    sizes = experiment.validation_per_class, experiment.test_per_class
    accuracies = [np.round(each.mean(1) / size, 6) for each, size in zip((validation, test), sizes, strict=True)]
    made = record(experiment, accuracies[1], qasm_seeds=0)
    for seed, results in made.seeds.items():
        results["validation_accuracy"][0], results["validation_accuracy"][-1] = 0.1, float(accuracies[0][seed])
        results["validation_confusion"] = _confusion(validation[seed], sizes[0])
        results["confusion"] = _confusion(test[seed], sizes[1])
    return made


@pytest.fixture(scope="session")
def make_record():
    """`classified`."""
    return classified


@pytest.fixture(scope="session")
def draw_record():
    """Such a record of random seeds: (experiment, rng, lost) -> record, of which the first `lost` seeds lost class 1 on
    validation, and every other of those on test images."""

    def drawn(experiment: Experiment, rng: np.random.Generator, lost: int) -> Record:
        shape = (experiment.seeds, len(experiment.classes))
        validation = rng.integers(experiment.validation_per_class // 2, experiment.validation_per_class, shape)
        test = rng.integers(experiment.test_per_class // 2, experiment.test_per_class, shape)
        validation[:lost, 1], test[:lost:2, 1] = 0, 0
        return classified(experiment, validation, test)

    return drawn
