"""v1's claims: what the list says of each, and what the paper's own tables give, recomputed from the csv by pandas."""

import re

import numpy as np
import pytest
from synthetic import published

from qkdlib.experiment import Teacher
from qkdlib.study import claims, contents
from qkdlib.study.v1 import claims as v1_claims
from qkdlib.study.v1 import paper
from qkdlib.study.v1.claims import CLAIMS
from qkdlib.study.verdicts import IN_PART, NOT_SHOWN
from qkdlib.workspace import Workspace

TASK = ["dataset", "classes", "qubits"]
# The notebooks train all three for 10 epochs; their ensemble is one network.
PUBLISHED = (
    Teacher(epochs=10), Teacher(architecture="alexnet", epochs=10),
    Teacher(architecture="ensemble", ensemble="joint_logits", epochs=10),
)  # fmt: skip
FROM_THE_CODE = {"C2": "15 of 18", "C3": "10 of 18"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The table of v1's claims without any record, by id."""
    return claims.table(CLAIMS, Workspace(tmp_path_factory.mktemp("empty"))).set_index("id")


@pytest.fixture(scope="module")
def printed():
    """The 18 distilled rows of the csv beside their direct row's printed accuracy and head."""
    frame = published()
    direct = frame[frame.role == "baseline"].set_index(TASK)[["paper_accuracy", "head"]].add_suffix("_direct")
    rows = frame[frame.role == "distillation"].join(direct, on=TASK)
    return rows.assign(gain=rows.paper_accuracy - rows.paper_accuracy_direct)


def test_every_claim_says_what_and_where():
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS) >= 18
    part = r"(abstract|contribution \d|\d(\(\d\))?)"
    for claim in CLAIMS:
        assert claim.claim and claim.kind in ("gain", "no_difference", "count", ""), claim.id
        assert re.fullmatch(f"Tables 1, 2|{part}(; {part})*", claim.source), claim.id
        assert not claim.kind or claim.ours is not None
        assert claim.ours is not None or claim.note or claim.id == "C4d"
        assert claim.value is None or f"{claim.value:.2f}" in (claim.printed, "4.60")
    sources = " ".join(each.source for chapter in contents.CHAPTERS for each in chapter.claims)
    assert all(f"contribution {n}" in sources for n in range(1, 6))
    assert [claim.source for claim in CLAIMS if claim.id.startswith("F")] == [f"5({n})" for n in range(1, 7)]


def test_claims_on_rows_with_other_teachers_are_marked():
    """LeNet alone is the notebooks' teacher: 10 epochs on all images."""
    teachers = {row.teacher for row in paper.rows() if row.distils and row.experiment.teacher in PUBLISHED}
    assert teachers == {"lenet"}
    of_others = {"A1", "A1m", "A2", "A2m", "A3", "C1", "F1", "F2", "F3", "F5", "F6"}
    assert {claim.id for claim in CLAIMS if not claim.as_published} == of_others


def test_what_gains_more_than_another_has_to_gain_itself():
    assert {claim.id for claim in CLAIMS if claim.premise is not None} == {"C1", "F2"}


# Recomputed from the printed accuracies


def test_recomputed_averages(printed, found):
    means = printed.groupby("dataset").gain.mean()
    assert means.round(3).to_dict() == {"mnist": 0.759, "fashion_mnist": 5.204}
    for name, dataset in {
        "A1": "mnist", "A1m": "mnist", "A2": "fashion_mnist", "A2m": "fashion_mnist", "F3": "fashion_mnist",
    }.items():  # fmt: skip
        assert found.recomputed[name] == f"{means[dataset]:.3f}"
    assert found.recomputed["F2"] == "5.204 > 0.759"
    assert (found.printed["A1"], found.printed["A2"], found.printed["F2"]) == ("0.80", "5.40", "5.40 > 0.80")


def test_recomputed_gains_of_each_teacher(printed, found):
    means = printed.groupby("teacher").gain.mean().round(2)
    assert means.to_dict() == {"alexnet": 4.57, "lenet": 2.68, "ensemble": 1.70}
    assert found.recomputed["C1"] == found.recomputed["F1"] == "AlexNet 4.57, LeNet 2.68, ensemble 1.70"
    of_fashion = printed[printed.dataset == "fashion_mnist"].groupby("teacher").gain.mean().round(2)
    of_lenet = printed[printed.teacher == "lenet"].groupby("dataset").gain.mean()
    assert (found.recomputed["A1l"], found.recomputed["A2l"]) == tuple(
        f"{of_lenet[name]:.3f}" for name in ("mnist", "fashion_mnist")
    )
    for name, mean in of_fashion.items():
        assert np.mean(v1_claims.printed_gains(2, name)) == pytest.approx(mean, abs=0.005)


def test_recomputed_counts(printed, found):
    assert (printed.gain.round(6) > 0).sum() == 16
    assert found.recomputed["A3"] == found.recomputed["F6"] == "16 of 18 above 0"
    distils = printed.kd_weight_effective > 0
    same_head = printed["head"] == printed.head_direct
    assert (distils.sum(), (distils & same_head).sum()) == (15, 10)
    for name, count in FROM_THE_CODE.items():
        assert found.recomputed[name] == found.ours[name] == count
        assert found.verdict[name] == IN_PART


def test_recomputed_rank_of_the_ensemble(printed, found):
    large = printed[printed.classes == 8]
    best = large.loc[large.groupby(TASK).paper_accuracy.idxmax()]
    assert best.qubits[best.teacher == "ensemble"].tolist() == [3, 3]
    assert len(best) == 4
    assert found.recomputed["F5"] == "first in 2 of 4 tasks"


def test_recomputed_difference_of_four_and_three_qubits(found):
    frame = published()
    large = frame[(frame.role == "baseline") & (frame.classes == 8)].pivot(
        index="dataset", columns="qubits", values="paper_accuracy"
    )
    difference = (large[4] - large[3]).round(2)
    assert difference.to_dict() == {"mnist": 0.08, "fashion_mnist": 6.25}
    assert found.recomputed["F4"] == "MNIST +0.08, FashionMNIST +6.25"


def test_the_students_parameters_by_hand(found):
    convolutions = 10 * (25 + 1) + 20 * (10 * 25 + 1)
    linear = 50 * (320 + 1) + 3 * (50 + 1)
    assert convolutions + linear == 21_483
    assert found.ours["A4"] == "0 of 21,483 trained parameters are quantum"
    assert found.verdict["A4"] == NOT_SHOWN
