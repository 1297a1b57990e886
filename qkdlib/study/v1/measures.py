"""What a table says of one arm, and of a distilled arm beside its placebo, as columns."""

import numpy as np

from qkdlib import records
from qkdlib.records import Gain, Record, statistics
from qkdlib.study.cells import columns


def student_columns(record: Record) -> dict:
    """What a table says of one arm."""
    last = statistics.summarise(statistics.accuracies(record))
    best_test = statistics.accuracies(record, "best_test")
    best = statistics.summarise(best_test)
    qasm = statistics.qasm_differences(record)
    return {
        "seeds": last.seeds, **columns(last, "mean_last"), "sd_last": last.sd, "interval": last.method,
        "median_last": float(np.median(statistics.accuracies(record))),
        "mean_selected": statistics.summarise(statistics.accuracies(record, "selected")).mean,
        **columns(best, "mean_best_test", "best_test_"), "best_test_90_low": best.low_90,
        "best_test_90_high": best.high_90, "best_test_min": min(best_test), "best_test_max": max(best_test),
        "collapsed_share": statistics.collapsed_share(record), **_trained(record),
        "qasm_seeds": len(qasm), "qasm_minus_last": float(np.mean(qasm)) if qasm else None,
    }  # fmt: skip


def _trained(record: Record) -> dict:
    """How many seeds train, and how good those are."""
    if not records.has_confusions(record):
        return {}
    trains = records.trains(record)
    found, values = statistics.share(trains.sum(), len(trains)), np.array(statistics.accuracies(record))
    return {
        **columns(found, "trained_share", "trained_"),
        "trained_mean": float(values[trains].mean()) if trains.any() else None,
    }  # fmt: skip


def trained_columns(distilled: Record, placebo: Record) -> dict:
    """What a table says of whether the seeds of two arms train, and of the gain where both do."""
    if not (records.has_confusions(distilled) and records.has_confusions(placebo)):
        return {}
    taught, alone = records.trains(distilled), records.trains(placebo)
    both = taught & alone
    found = {
        "placebo_trained_share": float(alone.mean()), "p_trained": statistics.mcnemar(taught, alone),
        "pairs_trained": int(both.sum()),
    }  # fmt: skip
    if both.sum() < 2:
        return found
    gain = np.subtract(statistics.accuracies(distilled), statistics.accuracies(placebo))[both]
    return found | columns(statistics.summarise(gain), "trained_delta", "trained_delta_")


def gain_columns(gain: Gain) -> dict:
    """What a table says of a distilled arm beside its placebo."""
    return {
        **columns(gain, "delta_mean", "delta_", p="p"), "delta_90_low": gain.low_90, "delta_90_high": gain.high_90,
        "chance_single_pair": gain.chance_single_pair,
    }  # fmt: skip
