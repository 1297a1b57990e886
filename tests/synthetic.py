"""Synthetic records and teachers' files of the project's experiments, and their numbers read back without qkdlib."""

import contextlib
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from qkdlib.experiment import Experiment
from qkdlib.records import Record
from qkdlib.study import contents
from qkdlib.study.collapse import changes
from qkdlib.study.controlled import design
from qkdlib.study.robustness import sweeps
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised
from qkdlib.teachers.teacher_files import TeacherLogits, teacher_name
from qkdlib.workspace import Workspace

V2_PARTS = {
    "v2-10-epochs": lambda: revised.bars(revised.DEFAULT),
    "v2-converged": lambda: revised.bars(revised.CONVERGED, ("lenet",)),
    "v2-converged-alexnet": lambda: revised.bars(revised.CONVERGED, ("alexnet",)),
    "v2-full-set": lambda: revised.bars(revised.FULL),
    "v2-entangler": lambda: revised.variants(),
}
PARTS = tuple(contents.parts())
SECONDS = 12.5  # of every synthetic training
POOLED = ("max_pool", "avg_pool", "center_crop")


def record(experiment: Experiment, lasts, qasm_seeds: int | None = None) -> Record:
    """Seeds whose test accuracy after the last epoch, from 0 to 1, is `lasts`, and 0.01 more in the epoch before.

    Their validation accuracy is equal in all epochs but best in the third one, where the test accuracy is 0.2. Those
    executed on the QASM simulator, the first `qasm_seeds` or all, are 0.02 worse there.
    """
    epochs = experiment.epochs
    seeds = {
        seed: {
            "train_loss": [3 - 0.1 * epoch + 0.01 * seed for epoch in range(epochs)],
            "validation_loss": [4 - 0.1 * epoch + 0.01 * seed**2 for epoch in range(epochs)],
            "validation_accuracy": [0.5, 0.5, 0.6, *[0.5] * epochs][:epochs], "validation_ce": [1.0] * epochs,
            "test_accuracy": [0.1, 0.1, 0.2, *[0.1] * epochs][: epochs - 2] + [last + 0.01, last],
            "qasm_accuracy": last - 0.02 if qasm_seeds is None or seed < qasm_seeds else None,
        }
        for seed, last in enumerate(lasts)
    }  # fmt: skip
    return Record(experiment, json.loads(json.dumps(seeds), object_hook=_rounded), provenance(len(lasts)))


def with_classes(made: Record, missed=lambda seed: seed % 7 == 3) -> Record:
    """The record with what its seeds make of each class, of a million images: those that `missed` says and those below
    1.5 times chance lose the first class, whose images go to the second."""
    classes = len(made.experiment.classes)
    for seed, results in made.seeds.items():
        accuracy = results["test_accuracy"][-1]
        gone = missed(seed) or accuracy < 1.5 / classes
        for name, share in (("confusion", accuracy), ("validation_confusion", results["validation_accuracy"][-1])):
            right = round(1e6 * share)
            found = np.zeros((classes, classes + 1), dtype=int)
            for place in range(int(gone), classes):
                found[place, place] = right // (classes - gone)
            found[-1, classes - 1] += right - found.trace()
            found[0, 1] = 1e6 - right
            results[name] = found.tolist()
    return made


def provenance(seeds: int) -> list[dict]:
    """What a run leaves, as far as tables read it."""
    return [{"seeds": list(range(seeds)), "seconds": {"training": SECONDS}}]


def _rounded(values: dict) -> dict:
    """As a run rounds them, and with seeds for keys."""
    if all(key.isdigit() for key in values):
        return {int(key): value for key, value in values.items()}
    return {key: np.round(value, 6).tolist() if value is not None else None for key, value in values.items()}


def revised_record(experiment: Experiment, lasts, rng) -> Record:
    """Seeds of a student of v2 whose test accuracy after the last epoch is `lasts`, and after the epoch that validation
    chooses a little more or less. In no other epoch it was tested. With patience they stop at different epochs."""
    seeds = {}
    for seed, last in enumerate(np.round(lasts, 4).tolist()):
        best = int(rng.integers(2, experiment.epochs))  # counted from 0
        end = min(best + 1 + experiment.patience, experiment.epochs) if experiment.patience else experiment.epochs
        tested = [None] * end
        tested[best], tested[-1] = min(round(last + float(rng.normal(0.01, 0.01)), 4), 1.0), last
        seeds[seed] = {
            # The epoch before the best is as accurate, and less sure.
            "validation_accuracy": [0.3] * (best - 1) + [0.4, 0.4] + [0.35] * (end - best - 1),
            "validation_ce": [2.0] * best + [1.5] * (end - best), "test_accuracy": tested,
            "zero_vectors": int(rng.integers(1, 30)) if experiment.reducer in POOLED else 0,
            "learning_rate": float(rng.choice(experiment.learning_rates or [experiment.learning_rate])),
            "qasm_accuracy": None,
        }  # fmt: skip
    return Record(experiment, seeds, provenance(len(seeds)))


def scattered(experiment: Experiment, rng) -> np.ndarray:
    """Accuracies of seeds as test images give them: some seeds at chance, the others spread, with many ties; LeNet's
    students are the best and the ensemble's the second best."""
    images = 150 * len(experiment.classes)
    more = {"lenet": 0.1, "ensemble": 0.05}.get(experiment.teacher.architecture if experiment.teacher else "", 0)
    good = rng.integers(int((0.6 + more) * images), int((0.8 + more) * images), experiment.seeds) // 20 * 20
    bad = np.full(experiment.seeds, images // len(experiment.classes))
    return np.where(rng.random(experiment.seeds) < 0.65 + 3 * more, good, bad) / images


def fill(workspace: Workspace, accuracies=scattered, parts=PARTS) -> None:
    """A record of every experiment of some parts of the project, or of `v1-drawn`, the redrawn rows, which no chapter
    declares; `accuracies(experiment, rng)` gives one for each seed of v1's students. CIFAR10's are on its JPEG copy, as
    the project's own."""
    rng = np.random.default_rng(0)
    for part in parts:
        if part == "collapse":
            for experiment in changes.experiments():
                if not (workspace.students / f"{experiment.name}.json").exists():
                    record(experiment, accuracies(experiment, rng), qasm_seeds=0).save(workspace)
        elif part == "robustness":
            for experiment in sweeps.trainings():
                revised_or_not(experiment, rng.normal(0.7, 0.02, experiment.seeds), rng).save(workspace)
        elif part == "controlled":
            fill_controlled(workspace)
        elif part in V2_PARTS:
            fill_bars(workspace, [bar.copies[-1] for bar in V2_PARTS[part]()], rng)
        else:
            for experiment in {"v1": paper.experiments, "v1-drawn": paper.drawn}[part]():
                with_classes(record(experiment, accuracies(experiment, rng), qasm_seeds=2)).save(workspace)


def revised_or_not(experiment: Experiment, lasts, rng) -> Record:
    """`revised_record` of an experiment that stops on validation, else `record`, none of it executed."""
    return revised_record(experiment, lasts, rng) if experiment.patience else record(experiment, lasts, 0)


def fill_controlled(workspace: Workspace) -> None:
    """A record of everything that the controlled experiment needs, whatever its order: LeNet's students are better than
    their placebos, AlexNet's worse, the smoothed labels' better on MNIST alone, twins a little worse, and a seed of
    every student without a teacher collapses. Validation accuracies differ from seed to seed."""
    for experiment in design.experiments():
        rng = np.random.default_rng(int(experiment.digest, 16))
        teacher = experiment.teacher
        gain = {"lenet": 0.03, "alexnet": -0.05}.get(teacher.architecture, 0) if teacher else 0
        if teacher and teacher.labels != "own":
            gain = 0.04 * (teacher.labels == "smoothed" and experiment.dataset == "mnist")
        gain -= 0.01 * (experiment.ansatz == "classical")
        lasts = rng.normal(0.7 + gain, 0.02, experiment.seeds).round(4)
        lasts[: 0 if teacher else 1] = 0.1
        made = revised_or_not(experiment, lasts, rng)
        for results in made.seeds.values():
            share = rng.uniform(0.7, 1.1)
            results["validation_accuracy"] = [round(share * value, 6) for value in results["validation_accuracy"]]
        made.save(workspace)


@contextlib.contextmanager
def controlled_records(folder: Path):
    """A workspace with all records of `few_tasks`, which is in force meanwhile, and each record's kept accuracies."""
    workspace = Workspace(folder)
    with pytest.MonkeyPatch.context() as patch:
        few_tasks(patch)
        fill_controlled(workspace)
        raw = per_seed(workspace).sort_values("seed")
        kept = raw.selected.where(raw.patience > 0, raw["last"])
        yield workspace, {name: values.to_numpy() for name, values in kept.groupby(raw.name)}


def without(workspace: Workspace, folder: Path, arms) -> Workspace:
    """A copy of a workspace without the records of some arms."""
    copy = Workspace(folder)
    shutil.copytree(workspace.students, copy.students, dirs_exist_ok=True)
    for arm in arms:
        (copy.students / f"{arm.name}.json").unlink()
    return copy


def fill_bars(workspace: Workspace, bars: list[revised.Bar], rng) -> None:
    """A record of every arm of these bars: near the paper's error or not, with all kinds of gains. A placebo that is
    there already, because two parts share it, stays."""
    for bar in bars:
        near = 1 - (bar.paper_error or 25) / 100 + rng.normal(0, 0.012)
        for experiment in bar.arms.values():
            gain = 0 if experiment.teacher is None else rng.normal(0.005, 0.012)
            lasts = rng.normal(near + gain, 0.012, experiment.seeds).clip(0.02, 0.95)
            if not (workspace.students / f"{experiment.name}.json").exists():
                revised_record(experiment, lasts, rng).save(workspace)


def fill_executions(workspace: Workspace, pairs=None, fall: float = 50.0, rest: float = 0.0) -> None:
    """Executions of every arm of these pairs (None: all declared ones), as their files are written: 80 % without noise,
    `fall` times the level of the noise less with it, `rest` times it more where there is a teacher, and a little chance
    everywhere."""
    rng = np.random.default_rng(0)
    for pair in sweeps.pairs() if pairs is None else pairs:
        for arm in pair.arms:
            entries = []
            for _, condition in pair.conditions:
                level = 0.1 if condition.noise == "device" else condition.level
                slope = fall - (rest if arm.teacher else 0)
                drawn = 80 - slope * level - 100 / condition.shots + rng.normal(0, 0.8, arm.seeds)
                facts = {"backend": "aer", "noise": condition.noise, "depth": 7, "gates": 20, "two_qubit_gates": 3}
                accuracies = {str(seed): round(float(value), 4) for seed, value in enumerate(drawn)}
                entries.append({"condition": dataclasses.asdict(condition), "facts": facts, "accuracies": accuracies})
            path = workspace.folder("results", "executions") / f"{arm.name}.json"
            path.write_text(json.dumps({"digest": arm.digest, "conditions": entries}))


def few_bars(patch) -> None:
    """Leave of v2 the bars of MNIST with 4 qubits on 150 images per class, and four variants, of the executions those
    of two pairs, and of the controlled experiment what `few_tasks` leaves, for tests that go through all tables and
    figures. A bar that is looked up by name is found as ever."""
    first = sweeps.pairs()[0]
    eight = next(each for each in sweeps.pairs() if each.experiment.qubits == 8)
    shots, noises = (10, 1000), {kind: levels[:2] for kind, levels in sweeps.LEVELS.items()}
    swept = sweeps.sweep(20, shots, noises)
    pairs = (dataclasses.replace(first, conditions=swept),
             dataclasses.replace(eight, conditions=(*swept, *sweeps.on_device(8, 5))))  # fmt: skip
    patch.setattr(sweeps, "pairs", lambda: pairs)
    few_tasks(patch)
    every = {(bar.method, bar.dataset, bar.qubits, bar.regime): bar for bar in revised.bars()}
    all_bars = revised.bars

    def bars(*chosen):
        return [
            bar for bar in all_bars(*chosen) if (bar.dataset, bar.qubits) == ("mnist", 4) and bar.regime != "full set"
        ]

    variants = [bar for bar in revised.variants() if (bar.dataset, bar.qubits) == ("mnist", 4)][:4]
    patch.setattr(revised, "bars", bars)
    patch.setattr(revised, "variants", lambda: variants)
    patch.setattr(revised, "bar", lambda *names, regime=revised.DEFAULT: every[(*names, regime)[:4]])


def few_tasks(patch) -> None:
    """Leave of the controlled experiment the four tasks whose images per class vary, a robust and a revised one of each
    data set, three sizes and two temperatures."""
    few = tuple(task for task, _ in design.scaled_tasks())
    corners = {pair: arm for pair, arm in design.grid().items() if pair[1] in (1.0, 3.0)}
    patch.setattr(design, "tasks", lambda: few)
    patch.setattr(design, "SIZES", {"robust": (10, 150), "revised": (10, 150, None)})
    patch.setattr(design, "grid", lambda: corners)


def save_teacher(workspace: Workspace, row: paper.Row, accuracies, **meta):
    """A teacher's file with a curve of test accuracies from 0 to 1."""
    return save_logits(workspace, row.experiment, accuracies, **meta)


def save_logits(workspace: Workspace, taught: Experiment, accuracies, **meta):
    """The file of an experiment's teacher, with a curve of test accuracies from 0 to 1."""
    history = [{"test_accuracy": value, "seconds": SECONDS} for value in accuracies]
    path = workspace.teachers / f"{teacher_name(taught, taught.teacher)}.npz"
    classes = len(taught.classes)
    TeacherLogits(torch.zeros(2, classes), torch.zeros(3, classes), history, meta).save(path)
    return path


def save_teachers(workspace: Workspace) -> None:
    """The files of all 12 teachers of v1, in every row 0.5 points below the paper."""
    for row in paper.rows():
        if row.category == "Teacher":
            save_teacher(workspace, row, [row.paper_accuracy / 100, row.paper_accuracy / 100 - 0.005], trained_on=100)


def save_all_teachers(workspace: Workspace) -> None:
    """The files of v1's and v2's teachers, those of CIFAR10 on its JPEG copy, and of the controls'."""
    save_teachers(workspace)
    for dataset, names in revised.TEACHERS.items():
        task = revised.bar("original", dataset, 4).copies[-1].experiment
        for name in (*names, "ensemble") if "alexnet" in names else names:
            save_logits(workspace, task.distilled(revised.teacher(name)), [0.5, 0.8], trained_on=100)
    for task in design.tasks():
        save_logits(workspace, task.arms[design.OWN_IMAGES], [0.5, 0.8], trained_on=100)


def per_seed(workspace: Workspace) -> pd.DataFrame:
    """One row per record and seed, from the files' JSON: the experiment's fields, and accuracies in percent."""
    rows = []
    for path in sorted(workspace.students.glob("*.json")):
        body = json.loads(path.read_text())
        fields = body["experiment"] | {"classes": len(body["experiment"]["classes"]), "name": path.stem}
        fields["teacher"] = (fields["teacher"] or {}).get("architecture")
        rows += [fields | {"seed": int(seed)} | _numbers(results) for seed, results in body["seeds"].items()]
    return pd.DataFrame(rows)


def _numbers(results: dict) -> dict:
    """Of one seed. The chosen epoch is the surest of those with the best validation accuracy."""
    test, qasm = results["test_accuracy"], results["qasm_accuracy"]
    order = np.lexsort([results["validation_ce"], -np.array(results["validation_accuracy"])])
    best = np.nan if None in test else max(test)
    numbers = {"last": test[-1], "best": best, "selected": test[order[0]], "qasm": np.nan if qasm is None else qasm}
    return {name: 100 * value for name, value in numbers.items()} | {
        "trained": len(test),
        "trains": all(row[place] for place, row in enumerate(results.get("confusion", ()))),
        **{name: results.get(name, np.nan) for name in ("zero_vectors", "learning_rate")},
    }


def holm(ps) -> list[float]:
    """Holm's step-down correction, by its definition."""
    corrected, worst = [0.0] * len(ps), 0.0
    for rank, place in enumerate(np.argsort(ps)):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = worst
    return corrected


def published() -> pd.DataFrame:
    """The csv of the paper's rows, read without qkdlib: one line per notebook, with the number of its classes."""
    frame = pd.read_csv(Path(__file__).parent.parent / "qkdlib/study/v1/published_runs.csv", comment="#")
    return frame.assign(classes=frame.classes.map({"0-5": 6, "0-7": 8}))


def figure_12(columns="error_percent"):
    """The csv of v2's Fig. 12, read without qkdlib: errors in percent, by method, data set and qubits."""
    frame = pd.read_csv(Path(__file__).parent.parent / "qkdlib/study/v2/figure_12.csv", comment="#")
    return frame.set_index(["method", "dataset", "qubits"])[columns]
