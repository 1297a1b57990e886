"""v1's claims: what the list says of each, and what the paper's own tables give, recomputed from the csv by pandas."""

import re

import numpy as np
import pytest
from synthetic import published

from qkdlib.study import claims
from qkdlib.study.v1 import claims as v1_claims
from qkdlib.study.v1.claims import CLAIMS
from qkdlib.study.verdicts import IN_PART, NOT_SHOWN
from qkdlib.workspace import Workspace

TASK = ["dataset", "classes", "qubits"]
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
    for claim in CLAIMS:
        assert claim.claim and claim.kind in ("gain", "no_difference", "count", "fact"), claim.id
        assert re.fullmatch(r"(abstract|contribution \d|\d(\(\d\))?)(; (contribution \d|\d(\(\d\))?))*", claim.source)
        assert claim.kind == "fact" or claim.ours is not None
    sources = " ".join(claim.source for claim in CLAIMS)
    assert all(f"contribution {n}" in sources for n in range(1, 6))
    assert [claim.source for claim in CLAIMS if claim.id.startswith("F")] == [f"5({n})" for n in range(1, 7)]


# Recomputed from the printed accuracies


def test_recomputed_averages(printed, found):
    means = printed.groupby("dataset").gain.mean()
    assert means.round(3).to_dict() == {"mnist": 0.759, "fashion_mnist": 5.204}
    for name, dataset in {"A1": "mnist", "A1m": "mnist", "A2": "fashion_mnist", "F3": "fashion_mnist"}.items():
        assert found.recomputed[name] == f"{means[dataset]:.3f}"
    assert found.recomputed["F2"] == "5.204 > 0.759"
    assert (found.printed["A1"], found.printed["A2"], found.printed["F2"]) == ("0.80", "5.40", "5.40 > 0.80")


def test_recomputed_gains_of_each_teacher(printed, found):
    means = printed.groupby("teacher").gain.mean().round(2)
    assert means.to_dict() == {"alexnet": 4.57, "lenet": 2.68, "ensemble": 1.70}
    assert found.recomputed["C1"] == found.recomputed["F1"] == "AlexNet 4.57, LeNet 2.68, ensemble 1.70"
    of_fashion = printed[printed.dataset == "fashion_mnist"].groupby("teacher").gain.mean().round(2)
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
    assert "21,483 parameters" in found.note["A5"]
    assert found.verdict["A4"] == found.verdict["A5"] == NOT_SHOWN
