"""What v2 of the paper claims in its abstract, in short words of ours, with the test of each claim."""

import functools

import numpy as np

from qkdlib import circuits
from qkdlib.records import statistics
from qkdlib.study import verdicts
from qkdlib.study.claims import Cases, Claim, Lacking
from qkdlib.study.claims import Evidence as Claimed
from qkdlib.study.v2 import ablation, revised
from qkdlib.teachers import TeacherLogits, logits_path

POOLED = ("max_pool", "center_crop", "pca", "avg_pool")
ENCODED = ("angle", "qubit")
TASKS = tuple((dataset, qubits) for dataset in revised.DATASETS for qubits in revised.QUBITS)


def found(claimed: Claimed, method: str, dataset: str, qubits: int, regime: str) -> ablation.Evidence:
    """The records of one bar; a missing one raises `Lacking`."""
    bar = revised.bar(method, dataset, qubits, regime)
    evidence = ablation.evidence(bar, claimed.workspace)
    if evidence is None:
        raise Lacking(f"of {method}, {dataset}, {qubits} qubits, {regime}")
    return evidence


def improved(regime: str, claimed: Claimed) -> Cases:
    """Bars with a gain from LeNet, after Holm's correction over the bars of their data set; the contrary is harm or no
    gain."""
    said: list[str] = []
    for dataset in revised.DATASETS:
        bars = [
            found(claimed, method, dataset, qubits, regime) for qubits in revised.QUBITS for method in revised.METHODS
        ]
        gains = [evidence.gain("lenet") for evidence in bars]
        corrected = statistics.holm([gain.p for gain in gains])
        said += map(verdicts.gain, gains, corrected)
    return Cases(said.count(verdicts.GAIN), said.count(verdicts.HARM) + said.count(verdicts.NO_GAIN), len(said))


def average_gain(regime: str, claimed: Claimed, dataset: str | None = None) -> np.ndarray:
    """Mean gain with LeNet over all bars, or a data set's, per seed: (S,)."""
    tasks = [task for task in TASKS if dataset in (None, task[0])]
    bars = [found(claimed, method, *task, regime) for task in tasks for method in revised.METHODS]
    return np.mean([evidence.errors(None) - evidence.errors("lenet") for evidence in bars], axis=0)


def best(others: tuple[str, ...], regime: str, claimed: Claimed) -> Cases:
    """Tasks in which the original method, taught by LeNet, has a lower error than each of `others`: the 95 % interval
    of the paired difference lies above 0; the contrary: for one of them it lies below."""
    wins = losses = 0
    for task in TASKS:
        original = found(claimed, "original", *task, regime).errors("lenet")
        rivals = [found(claimed, other, *task, regime).errors("lenet") for other in others]
        ahead = [statistics.summarise(errors - original) for errors in rivals]
        wins += all(each.low > 0 for each in ahead)
        losses += any(each.high < 0 for each in ahead)
    return Cases(wins, losses, len(TASKS))


def printed_best(others: tuple[str, ...]) -> str:
    """In how many tasks the paper's own bar of the original method is the lowest of these."""
    values = revised.printed()
    first = [all(values["original", *task] < values[other, *task] for other in others) for task in TASKS]
    return f"{sum(first)} of {len(first)}"


def over_lenet(claimed: Claimed) -> np.ndarray:
    """Accuracy of the distilled 8-qubit student of the original method, trained on the full sets, minus its teacher's,
    mean over data sets, per seed."""
    differences = []
    for dataset in revised.DATASETS:
        evidence = found(claimed, "original", dataset, 8, revised.FULL)
        taught = evidence.arms["lenet"].experiment
        path = logits_path(claimed.workspace, taught, taught.teacher)
        if (logits := TeacherLogits.find(path)) is None:
            raise Lacking(f"of teacher {path.stem}")
        teacher = 100 * logits.history[-1]["test_accuracy"]
        differences.append(100 - evidence.errors("lenet") - teacher)
    return np.mean(differences, axis=0)


def entangling(_: Claimed | None = None) -> str:
    """Gates between wires in the circuit as it is drawn."""
    gates = circuits.build("rx_ry_rz", 4).gates
    return f"{sum(len(gate.wires) > 1 for gate in gates)} of {len(gates)} gates act between wires"


def _each_regime(id: str, claim: str, printed: str, kind: str, recomputed: str, test, note: str) -> list[Claim]:
    """One claim, tested in both regimes on 150 images per class."""
    named = (("", revised.DEFAULT), ("c", revised.CONVERGED))
    return [
        Claim(id + letter, "v2, abstract", f"{claim} ({regime})", printed, kind, recomputed,
              functools.partial(test, regime), note)
        for letter, regime in named
    ]  # fmt: skip


CLAIMS = (
    *_each_regime("V1", "consistent accuracy improvements by distillation", "", "count", "", improved,
                  "ours: bars with the verdict gain; the paper prints no number"),
    *_each_regime("V1a", "the same: mean gain over all bars, points", "", "gain", "", average_gain, "ours: from LeNet"),
    *_each_regime("V1k", "CIFAR10 also shows enhancement, points", "", "gain", "",
                  functools.partial(average_gain, dataset="cifar10"), "the repository's README; ours: from LeNet"),
    *_each_regime("V2", "fully connected reduction is best", "6 of 6", "count", printed_best(POOLED),
                  functools.partial(best, POOLED), "tasks; against pooling, cropping and PCA, all amplitude-encoded"),
    *_each_regime("V3", "amplitude encoding is best", "6 of 6", "count", printed_best(ENCODED),
                  functools.partial(best, ENCODED), "tasks; against angle and qubit encoding, all fully connected"),
    Claim("V4", "v2, abstract", "competitive with classical networks that have far more parameters", "",
          "no_loss", "", over_lenet, "ours: accuracy of the 8-qubit student minus its teacher "
          "LeNet's, both on the full sets; on MNIST the student has 201,074 parameters and LeNet 44,426"),
    Claim("V5", "v2, abstract", "the circuits harness entanglement", "", "", "", entangling,
          "as drawn in the unnumbered architecture figure of the authors' repository; a product ansatz, measured "
          "wire by wire"),
)  # fmt: skip
