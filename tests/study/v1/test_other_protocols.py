"""The students that v1's text describes, and those whose images and teachers are drawn for each seed."""

import dataclasses

from qkdlib.experiment import Experiment, Teacher
from qkdlib.study.v1 import paper


def differing(one: Experiment, two: Experiment) -> set[str]:
    names = [field.name for field in dataclasses.fields(Experiment)]
    return {name for name in names if getattr(one, name) != getattr(two, name)}


# As described


def test_described_rows_are_the_direct_and_lenet_students_of_all_six_tasks():
    ids = [row.id for row in paper.described_rows()]
    assert ids == [
        f"{initial}-{kind}-{task}"
        for initial in "MF"
        for task in ("3q-05", "3q-07", "4q-07")
        for kind in ("B", "D-lenet")
    ]
    assert {row.run for row in paper.described_rows()} == {paper.DESCRIBED}
    assert {row.deviation for row in paper.described_rows()} == {""}


def test_described_experiments_are_the_papers_text():
    for row in paper.described_rows():
        taught = row.category == "Distillation"
        assert row.experiment == Experiment(
            dataset=row.dataset, classes=row.classes, qubits=row.qubits, selection="random", train_per_class=150,
            test_per_class=150, reducer="fully_connected", encoder="amplitude_tanh", ansatz="h_ry",
            readout="outcomes", head="renormalised", dropout=0,
            teacher=Teacher(architecture="lenet", epochs=10) if taught else None, kd_weight=0.9 if taught else 0,
            ce_weight=1, temperature=3, kd_temperature_squared=False,
            epochs=10, batch_size=1, learning_rate=1e-3, gradient="autograd", sampler="exact", shots=5000,
            seeds=paper.SEEDS,
        ), row.label  # fmt: skip
        assert row.distils == taught


# Redrawn


def test_redrawn_rows_are_the_direct_and_lenet_students_as_meant_with_images_and_teachers_for_each_seed():
    rows, described = paper.drawn_rows(), paper.described_rows()
    assert [(row.id, row.run, row.deviation) for row in rows] == [(row.id, "redrawn", "") for row in described]
    for row in rows:
        meant = paper.as_meant(paper.row(row.id)).experiment
        changed = {"selection", "seeds", "teacher"} if row.category == "Distillation" else {"selection", "seeds"}
        assert differing(row.experiment, meant) == changed, row.label
        assert (row.experiment.selection, row.experiment.seeds) == ("each_seed", 50)
        assert row.experiment.teacher == (Teacher(epochs=10, networks=10) if row.distils else None)
    placebos = {row.experiment.placebo() for row in rows}
    assert placebos == {row.experiment for row in rows if row.category == "Student"} and len(placebos) == 6
    assert paper.drawn() == [row.experiment for row in rows] and len(set(paper.drawn())) == 12
    assert not set(paper.drawn()) & set(paper.experiments())
