"""What the recorded facts say: the audit's arithmetic against pandas on the csv, read without qkdlib."""

import pandas as pd
import pytest
import torch
from synthetic import published

from qkdlib.study.v1 import audit, claims

TASK = ["dataset", "classes", "qubits"]


@pytest.fixture(scope="module")
def rows():
    return audit.distilled()


@pytest.fixture(scope="module")
def expected():
    """The distilled lines of the csv, each beside its direct one, by id."""
    facts = published()
    direct = facts[facts.role == "baseline"].set_index(TASK)[["paper_accuracy", "recorded_last", "head"]]
    return facts[facts.role == "distillation"].join(direct.add_suffix("_direct"), on=TASK).set_index("id")


def test_each_distilled_row_stands_beside_its_direct_one(rows, expected):
    assert len(rows) == 18 and set(rows.index) == set(expected.index)
    lines = expected.loc[rows.index]
    assert rows.gain.tolist() == pytest.approx((lines.paper_accuracy - lines.paper_accuracy_direct).tolist())
    assert rows.last_gain.tolist() == pytest.approx((lines.recorded_last - lines.recorded_last_direct).tolist())
    assert rows.printed.tolist() == lines.paper_delta.tolist()
    assert rows.teacher.tolist() == lines.teacher.tolist() and rows.dataset.tolist() == lines.dataset.tolist()
    assert rows.distils.tolist() == (lines.kd_weight_effective != 0).tolist()
    assert rows.same_head.tolist() == (lines["head"] == lines.head_direct).tolist()


def test_one_gain_is_misprinted(rows):
    wrong = audit.misprinted(rows)
    assert wrong[["printed", "gain"]].to_dict("index") == {"F-D-ens-4q-07": {"printed": 0.0, "gain": -1.75}}


def test_misprinted_allows_for_rounding_alone():
    rows = pd.DataFrame({"printed": [1.0, 1.0, 1.0], "gain": [1.01, 1.02, 0.98]}, index=["near", "above", "below"])
    assert audit.misprinted(rows).index.tolist() == ["above", "below"]


def test_averages(rows, expected):
    for name, line in audit.averages(rows).iterrows():
        of_it = expected[expected.dataset == name]
        assert len(of_it) == 9
        assert line.printed == pytest.approx(of_it.paper_delta.sum() / 9)
        assert line.gain == pytest.approx((of_it.paper_accuracy - of_it.paper_accuracy_direct).sum() / 9)
        assert line.last_gain == pytest.approx((of_it.recorded_last - of_it.recorded_last_direct).sum() / 9)


def test_averages_by_teacher(rows):
    found = audit.by_teacher(rows)
    assert found.shape == (3, 3)
    for teacher, line in found.iterrows():
        for column in found:
            chosen = rows[(rows.teacher == teacher) & ((rows.dataset == column) | (column == "both"))]
            assert len(chosen) == (6 if column == "both" else 3)
            assert line[column] == pytest.approx(chosen.gain.sum() / len(chosen), abs=0.005)


def test_rows_with_another_head_carry_most_of_the_gain_of_one_data_set(rows, expected):
    of_it = expected[expected.dataset == "fashion_mnist"]
    others = of_it[of_it["head"] != of_it.head_direct]
    assert audit.share_of_gain(rows, "fashion_mnist") == pytest.approx(
        others.paper_delta.sum() / of_it.paper_delta.sum()
    )
    assert audit.share_of_gain(rows, "mnist") == 0


def test_fair_rows_are_those_that_the_claims_count(rows):
    fair = audit.fair(rows)
    assert (fair.rows.sum(), 18 - fair.rows.sum(), len(rows)) == claims.same_student()
    chosen = rows[rows.distils & rows.same_head]
    assert (fair.gain * fair.rows).sum() == pytest.approx(chosen.gain.sum())


def test_best_epochs_are_what_is_printed():
    facts = published()
    students = facts[facts.role != "teacher"]
    elsewhere = (students.recorded_best - students.recorded_last).abs() > 0
    printed = facts.paper_accuracy == facts.recorded_best
    assert audit.best_epochs() == (len(facts), printed.sum(), len(students), elsewhere.sum())


def test_statements_are_printed_and_kept(rows, capsys):
    found = {"before": "1"}
    audit.note(found, audit.statements(rows) | {"a number": 0.5})
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{statement}: {number}" for statement, number in found.items()][1:]
    assert found["average gain, MNIST (paper: 0.80)"] == "0.759"
    assert found["average gain, FashionMNIST (paper: 5.40)"] == "5.204"
    assert found["rows in which nothing is distilled, of 18"] == "3" and found["mean gain of these rows"] == "0.92"
    assert found["average gain after the last epoch: MNIST, FashionMNIST"] == "0.55, 5.15"
    assert found["printed gains that are the difference of the printed accuracies"] == "17 of 18"
    table = audit.table(found)
    assert table.number.to_dict() == found and found["a number"] == "0.5"


def test_the_notebooks_loss_is_a_mean_over_batch_and_classes():
    """Why the number of classes cancels at batch size 1, as the audit's notebook says."""
    inputs, target = (torch.rand(2, 6, generator=torch.Generator().manual_seed(s)).softmax(1) for s in (0, 1))
    with pytest.warns(UserWarning, match="batchmean"):
        mean = torch.nn.KLDivLoss()(inputs.log(), target)
    assert mean.item() == pytest.approx((target * (target / inputs).log()).sum().item() / 12)
