"""The paper's rows, against the numbers printed in Tables 1 and 2 and their own arithmetic."""

import csv
import importlib.resources
import statistics

import pytest

from qkdlib import paper
from qkdlib.experiment import Teacher


def facts():
    """The csv, read without qkdlib.paper."""
    text = importlib.resources.files("qkdlib").joinpath("data/published_runs.csv").read_text()
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def recomputed_gains(dataset):
    """Accuracy of each distilled row minus that of the direct row with its classes and qubits."""
    direct = {(r.classes, r.qubits): r.paper_accuracy for r in table(dataset) if r.category == "Student"}
    return {
        r.id: r.paper_accuracy - direct[r.classes, r.qubits] for r in table(dataset) if r.category == "Distillation"
    }


def table(dataset):
    return [row for row in paper.all_rows() if row.dataset == dataset]


def test_there_are_36_rows_18_in_each_table():
    rows = paper.all_rows()
    assert len(rows) == len({row.id for row in rows}) == len({row.label for row in rows}) == 36
    for number, dataset in ((1, "mnist"), (2, "fashion_mnist")):
        of_table = [row for row in rows if row.table == number]
        assert {row.dataset for row in of_table} == {dataset}
        counts = {
            name: sum(row.category == name for row in of_table) for name in ("Teacher", "Student", "Distillation")
        }
        assert counts == {"Teacher": 6, "Student": 3, "Distillation": 9}


def test_the_recorded_best_is_what_the_paper_prints():
    for row in paper.all_rows():
        assert f"{row.recorded_best:.2f}" == f"{row.paper_accuracy:.2f}", row.id
        assert row.recorded_last <= row.recorded_best


def test_mnist_gains_have_the_printed_mean():
    gains = recomputed_gains("mnist")
    assert len(gains) == 9
    assert statistics.mean(gains.values()) == pytest.approx(0.759, abs=5e-4)


def test_fashion_mnist_gains_have_the_printed_mean():
    gains = recomputed_gains("fashion_mnist")
    assert len(gains) == 9
    assert statistics.mean(gains.values()) == pytest.approx(5.204, abs=5e-4)
    # The paper prints this loss as a gain of 0.00.
    assert gains["F-D-ens-4q-07"] == pytest.approx(-1.75)
    assert paper.row("F-D-ens-4q-07").paper_delta == 0


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_printed_gains_follow_from_printed_accuracies(dataset):
    for name, gain in recomputed_gains(dataset).items():
        assert paper.row(name).paper_delta == pytest.approx(max(gain, 0), abs=0.006), name


def test_only_distilled_rows_have_a_gain():
    for row in paper.all_rows():
        assert (row.paper_delta is not None) == (row.category == "Distillation")
        assert (row.qubits is None) == (row.category == "Teacher")
        assert (row.teacher is None) == (row.category == "Student")


def test_rows_say_what_the_csv_says():
    for row, values in zip(paper.all_rows(), facts(), strict=True):
        assert row.id == values["id"]
        assert row.paper_accuracy == float(values["paper_accuracy"])
        assert row.classes == tuple(range(6 if values["classes"] == "0-5" else 8))
        if values["shots"]:
            e = row.experiment
            assert (e.qubits, e.shots, e.head) == (int(values["qubits"]), int(values["shots"]), values["head"])


def test_experiments_follow_the_published_protocol():
    for row in paper.all_rows():
        e = row.experiment
        assert (e.dataset, e.classes, e.seeds) == (row.dataset, row.classes, 20)
        assert e.teacher == (Teacher(architecture=row.teacher) if row.teacher else None)
        assert e.kd_weight == (0.9 if row.teacher else 0)
        assert (e.temperature, e.kd_temperature_squared) == (3, True)
        # A weight of 0.9 times 3^2 is what most notebooks add to a cross entropy of weight 1.
        assert e.kd_weight * e.temperature**2 == pytest.approx(8.1 if row.teacher else 0)


def test_an_id_spells_its_row():
    initial = {"mnist": "M", "fashion_mnist": "F"}
    role = {"Teacher": "T", "Student": "B", "Distillation": "D"}
    short = {"alexnet": "alex", "lenet": "lenet", "ensemble": "ens"}
    for row in paper.all_rows():
        words = [initial[row.dataset], role[row.category], short.get(row.teacher), row.qubits and f"{row.qubits}q"]
        assert row.id == "-".join([*filter(None, words), f"0{row.classes[-1]}"])


def test_labels():
    assert paper.row("M-B-3q-05").label == "MNIST 0-5, 3 qubits, direct"
    assert paper.row("M-D-lenet-3q-05").label == "MNIST 0-5, 3 qubits, from LeNet"
    assert paper.row("F-T-ens-07").label == "FashionMNIST 0-7, ensemble (teacher)"


def test_an_unknown_row_is_named():
    with pytest.raises(ValueError, match="row='M-X' is not allowed; allowed: one of M-T-alex-05, "):
        paper.row("M-X")


def test_covered_rows_come_in_the_papers_order():
    assert {row.id for row in paper.rows()} == set(paper.COVERED)
    order = [(row.table, ["Student", "Teacher", "Distillation"].index(row.category)) for row in paper.rows()]
    assert order == sorted(order)
    assert paper.rows(1) + paper.rows(2) == paper.rows()


def test_every_distilled_row_has_a_placebo_of_its_own_settings():
    for row in paper.all_rows():
        if row.category == "Distillation":
            placebo = row.experiment.placebo()
            assert placebo.teacher is None
            assert (placebo.head, placebo.shots, placebo.qubits) == (
                row.experiment.head, row.experiment.shots, row.experiment.qubits,
            )  # fmt: skip


def test_row_of_an_experiment_is_a_students_row():
    # A teacher's row has the experiment of the student that learns from it; it is not that student's row.
    for row in paper.all_rows():
        found = paper.row_of(row.experiment)
        assert found is None or (found.category != "Teacher" and found.experiment == row.experiment)
    assert paper.row_of(paper.row("M-T-lenet-05").experiment).id == "M-D-lenet-3q-05"
    assert paper.row_of(paper.row("M-D-lenet-3q-05").experiment.placebo()).id == "M-B-3q-05"
