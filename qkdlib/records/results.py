"""Results of single seeds, as records hold them: whether they can be right, and the accuracies that they say."""

import math
from typing import Any

from qkdlib.checks import MOST
from qkdlib.experiment import Experiment

MOST_SEED = 10**6
DIGITS = 6  # decimals kept of a curve's numbers
CONFUSIONS = ("confusion", "validation_confusion")  # of test and of validation images


def seed_of(name: str) -> int:
    """The seed that a key of a JSON object names."""
    if len(name) > 7 or str(int(name)) != name or not 0 <= int(name) <= MOST_SEED:
        raise ValueError(f"seed {name[:20]!r}, where a whole number from 0 to {MOST_SEED} is expected")
    return int(name)


def check(seeds: dict[int, dict], experiment: Experiment) -> None:
    """Raise `TypeError`, `ValueError` or `LookupError` unless these can be results of the experiment."""
    if not seeds or not all(isinstance(results, dict) for results in seeds.values()):
        raise TypeError("it has no seeds, or a seed without results")
    for results in seeds.values():
        curves = {name: value for name, value in results.items() if name not in CONFUSIONS}
        _check_numbers(curves, experiment)
        _check_epochs(curves, experiment)
        outcomes(results)
        right = outcomes(results)[kept(experiment)], _validated(results, experiment)
        for name, accuracy in zip(CONFUSIONS, right, strict=True):
            if name in results:
                _check_confusion(name, results[name], len(experiment.classes), accuracy)


def _check_numbers(results: dict, experiment: Experiment) -> None:
    """Every value of a seed is a finite number or a curve of them; an accuracy is a share. None stands for what was not
    executed, not tested in that epoch, or not finite."""
    for name, value in results.items():
        accuracy = name.endswith("accuracy")
        untested = name.startswith("test_") and experiment.tested == "at_end"
        for each in value if isinstance(value, list) else [value]:
            if each is None and (name == "qasm_accuracy" or untested or ("diverged" in results and not accuracy)):
                continue
            if type(each) not in (int, float) or not math.isfinite(each):
                raise TypeError(f"{name} holds {str(each)[:20]!r}, where a finite number is expected")
            if accuracy and not 0 <= each <= 1:
                raise ValueError(f"{name} {each}, where 0 to 1 is possible")


def _check_epochs(results: dict, experiment: Experiment) -> None:
    """All curves of a seed have one length, which its experiment allows."""
    asked, lengths = experiment.epochs, {len(value) for value in results.values() if isinstance(value, list)}
    if len(lengths) != 1 or not lengths <= set(range(1 if experiment.patience else asked, asked + 1)):
        raise ValueError(f"curves of {sorted(lengths)} epochs")
    if results.get("diverged", 1) not in range(1, asked + 1):
        raise ValueError(f"diverged in epoch {results['diverged']} of {asked}")


def _check_confusion(name: str, rows: object, classes: int, accuracy: float) -> None:
    """C rows of C + 1 whole numbers, whose diagonal is the accuracy, in percent, of the weights that are kept."""
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise TypeError(f"{name} {str(rows)[:20]!r}, where a list of rows is expected")
    if [len(row) for row in rows] != [classes + 1] * classes:
        raise ValueError(f"a {name} that has not {classes} rows of {classes + 1} numbers")
    if any(type(count) is not int or not 0 <= count <= MOST["test_per_class"] for row in rows for count in row):
        raise ValueError(f"a {name} of other than whole numbers")
    images, right = sum(map(sum, rows)), sum(row[place] for place, row in enumerate(rows))
    if not images or abs(100 * right / images - accuracy) > 1e-3:
        raise ValueError(f"a {name} of {right} right images of {images}, where the accuracy is {accuracy:.3f} %")


def kept(experiment: Experiment) -> str:
    """Which of the `outcomes` belongs to the weights that the training keeps: those of the epoch that validation chose
    if it stops on validation, else the last."""
    return "selected" if experiment.patience else "last"


def _validated(results: dict, experiment: Experiment) -> float:
    """The validation accuracy of a seed's weights that are kept, in percent."""
    accuracy = results["validation_accuracy"]
    return 100 * (accuracy[-1] if kept(experiment) == "last" else accuracy[outcomes(results)["selected_epoch"] - 1])


def check_provenance(provenance: object, seeds: dict[int, dict]) -> None:
    """As `check`, of the entries that say how the results of `seeds` came about."""
    if not isinstance(provenance, list) or not all(isinstance(each, dict) for each in provenance):
        raise TypeError("its provenance is no list of entries")
    for entry in provenance:
        if not (waiting := entry.get("unexecuted")):
            continue
        if not isinstance(waiting, list) or not all(type(seed) is int and seed in seeds for seed in waiting):
            raise ValueError("seeds wait for their execution that it does not have")
        if type(entry["seconds"]["all"]) not in (int, float):
            raise TypeError("its seconds are no numbers")


def outcomes(results: dict) -> dict:
    """The accuracies of one seed, in percent, on the test images.

    `last` after the last epoch; `selected` after the epoch with the best validation accuracy (of equals the one with
    the lowest validation cross entropy); `best_test` after the best test epoch, which is how the paper chose;
    None if test accuracy was not measured after every epoch; `qasm` after the last epoch on the QASM simulator, None
    for a seed that was not executed there.
    """
    accuracy, test = results["validation_accuracy"], results["test_accuracy"]
    tested = [epoch for epoch, value in enumerate(test) if value is not None]  # all, or the best and the last
    cross_entropy = [math.inf if value is None else value for value in results["validation_ce"]]  # None: not finite
    chosen = max(tested, key=lambda epoch: (accuracy[epoch], -cross_entropy[epoch]))
    return {
        "last": 100 * test[-1],
        "selected": 100 * test[chosen],
        "selected_epoch": chosen + 1,
        "best_test": None if None in test else 100 * max(test),
        "qasm": None if results["qasm_accuracy"] is None else 100 * results["qasm_accuracy"],
    }


def rounded(value: Any) -> Any:
    """Numbers as records keep them, in lists and dictionaries too: with `DIGITS` decimals; None, which stays None,
    stands for what is not finite."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value
