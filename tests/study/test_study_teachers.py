"""The study's teachers on a data set, by labels that a reader understands."""

import pytest
from synthetic import save_all_teachers, save_logits, save_teacher

from qkdlib.files import DamagedFile
from qkdlib.study import contents
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised

OF_V1 = [f"{name}, 0-{last}" for name in ("AlexNet", "LeNet", "ensemble") for last in (5, 7)]
OF_V2 = [f"{name}, 0-9" for name in ("LeNet", "AlexNet", "ensemble")]
OF_CONTROLS = [f"LeNet, 0-{last}, 150 images per class" for last in (5, 7, 9)]


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_teachers_of_all_chapters_have_their_labels_and_their_logits(workspace, dataset):
    save_all_teachers(workspace)
    found = contents.teachers(dataset, workspace)
    assert list(found) == OF_V1 + OF_V2 + OF_CONTROLS
    printed = {
        f"{label}, 0-{row.classes[-1]}": row.paper_accuracy / 100 - 0.005
        for row in paper.rows()
        if row.category == "Teacher" and row.dataset == dataset
        for label in [{"alexnet": "AlexNet", "lenet": "LeNet"}.get(row.teacher, row.teacher)]
    }
    lasts = {label: logits.history[-1]["test_accuracy"] for label, logits in found.items()}
    assert lasts == pytest.approx(printed | dict.fromkeys(OF_V2 + OF_CONTROLS, 0.8))
    for label, logits in found.items():
        assert logits.train.shape[1] == int(label.split("0-")[1][0]) + 1


def test_those_without_a_file_and_those_of_other_data_sets_are_not_there(workspace):
    assert contents.teachers("mnist", workspace) == contents.teachers("digits", workspace) == {}
    save_teacher(workspace, paper.row("M-T-ens-07"), [0.9])
    save_teacher(workspace, paper.row("F-T-lenet-05"), [0.8])
    assert list(contents.teachers("mnist", workspace)) == ["ensemble, 0-7"]
    assert list(contents.teachers("fashion_mnist", workspace)) == ["LeNet, 0-5"]


def test_a_damaged_file_is_named_and_passed_over(workspace):
    save_teacher(workspace, paper.row("M-T-ens-07"), [0.9])
    path = save_teacher(workspace, paper.row("M-T-lenet-05"), [0.8])
    path.write_bytes(b"damaged")
    with pytest.warns(DamagedFile, match=path.name):
        assert list(contents.teachers("mnist", workspace)) == ["ensemble, 0-7"]


@pytest.mark.parametrize("asked", ["cifar10", "cifar10_jpeg"])
def test_on_either_copy_of_cifar10_the_teacher_of_any_copy_is_found_the_originals_before(workspace, asked):
    original, jpeg = revised.bar("original", "cifar10", 4).copies
    save_logits(workspace, jpeg.experiment.distilled(revised.teacher("lenet")), [0.5])
    (logits,) = contents.teachers(asked, workspace).values()
    assert logits.history[-1]["test_accuracy"] == 0.5
    save_logits(workspace, original.experiment.distilled(revised.teacher("lenet")), [0.6])
    ((label, logits),) = contents.teachers(asked, workspace).items()
    assert (label, logits.history[-1]["test_accuracy"]) == ("LeNet, 0-9", 0.6)
