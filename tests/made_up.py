"""Made-up records and teachers' files of the paper's rows, and their numbers read back without qkdlib."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from qkdlib import artefacts, paper
from qkdlib.experiment import Experiment
from qkdlib.records import Record
from qkdlib.teacher_files import TeacherLogits, teacher_name
from qkdlib.workspace import Workspace


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
    return Record(experiment, json.loads(json.dumps(seeds), object_hook=_rounded))


def _rounded(values: dict) -> dict:
    """As a run rounds them, and with seeds for keys."""
    if all(key.isdigit() for key in values):
        return {int(key): value for key, value in values.items()}
    return {key: np.round(value, 6).tolist() if value is not None else None for key, value in values.items()}


def scattered(experiment: Experiment, rng) -> np.ndarray:
    """Accuracies of 20 seeds as test images give them: some seeds at chance, the others spread, with many ties; LeNet's
    students are the best and the ensemble's the second best."""
    images = 150 * len(experiment.classes)
    more = {"lenet": 0.1, "ensemble": 0.05}.get(experiment.teacher.architecture if experiment.teacher else "", 0)
    good = rng.integers(int((0.6 + more) * images), int((0.8 + more) * images), experiment.seeds) // 20 * 20
    bad = np.full(experiment.seeds, images // len(experiment.classes))
    return np.where(rng.random(experiment.seeds) < 0.65 + 3 * more, good, bad) / images


def fill(workspace: Workspace, accuracies=scattered) -> None:
    """A record of every experiment that the project declares; `accuracies(experiment, rng)` gives one per seed."""
    rng = np.random.default_rng(0)
    for experiment in artefacts.experiments(artefacts.declared_rows()):
        record(experiment, accuracies(experiment, rng), qasm_seeds=2).save(workspace)


def save_teacher(workspace: Workspace, row: paper.Row, accuracies, **meta):
    """A teacher's file with a curve of test accuracies from 0 to 1."""
    history = [{"test_accuracy": value} for value in accuracies]
    path = workspace.teachers / f"{teacher_name(row.experiment, row.experiment.teacher)}.npz"
    TeacherLogits(torch.zeros(2, len(row.classes)), torch.zeros(3, len(row.classes)), history, meta).save(path)
    return path


def save_teachers(workspace: Workspace) -> None:
    """The files of all 12 teachers, in every row 0.5 points below the paper."""
    for row in paper.rows():
        if row.category == "Teacher":
            save_teacher(workspace, row, [row.paper_accuracy / 100, row.paper_accuracy / 100 - 0.005], trained_on=100)


def per_seed(workspace: Workspace) -> pd.DataFrame:
    """One row per record and seed, from the files' JSON: the experiment's fields, and accuracies in percent."""
    rows = []
    for path in sorted(workspace.students.glob("*.json")):
        body = json.loads(path.read_text())
        fields = body["experiment"] | {"classes": len(body["experiment"]["classes"]), "name": path.stem}
        fields["teacher"] = (fields["teacher"] or {}).get("architecture")
        for seed, results in body["seeds"].items():
            test = results["test_accuracy"]
            chosen = int(np.argmax(results["validation_accuracy"]))
            numbers = {"last": test[-1], "best": max(test), "selected": test[chosen]}
            qasm = results["qasm_accuracy"]
            rows.append(
                fields
                | {"seed": int(seed), "qasm": np.nan if qasm is None else 100 * qasm}
                | {name: 100 * value for name, value in numbers.items()}
            )
    return pd.DataFrame(rows)


def published() -> pd.DataFrame:
    """The csv of the paper's rows, read without qkdlib: one line per notebook, with the number of its classes."""
    frame = pd.read_csv(Path(__file__).parent.parent / "qkdlib" / "data" / "published_runs.csv", comment="#")
    return frame.assign(classes=frame.classes.map({"0-5": 6, "0-7": 8}))
