"""The teachers' networks: their size, their logits, ensembles; and what is said of a network and of its logits."""

import pytest
import torch
from small_teachers import GREY, lenet
from torch import nn

from qkdlib import teachers
from qkdlib.experiment import Teacher
from qkdlib.teachers import LeNet, networks


@pytest.mark.parametrize(
    ("architecture", "classes", "count"),
    [
        ("lenet", 6, 44_086), ("lenet", 8, 44_256),
        ("alexnet", 6, 94_655_686), ("alexnet", 8, 94_663_880),
        ("ensemble", 6, 94_699_772), ("ensemble", 8, 94_708_136),
    ],
)  # fmt: skip
def test_parameter_count_is_the_authors(architecture, classes, count):
    with torch.device("meta"):
        network = teachers.build(architecture, GREY, classes)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("architecture", ["lenet", "alexnet", "ensemble"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 28, 28), (1, 32, 32), (3, 32, 32), (3, 28, 36)])
def test_logits_have_a_column_per_class(architecture, shape):
    with torch.device("meta"):
        assert teachers.build(architecture, shape, 6)(torch.empty(2, *shape)).shape == (2, 6)


def test_lenet_on_the_cpu_maps_images_to_finite_logits():
    torch.manual_seed(0)
    logits = teachers.build("lenet", (3, 32, 32), 8)(torch.rand(4, 3, 32, 32))
    assert logits.shape == (4, 8)
    assert torch.isfinite(logits).all() and logits.std() > 0


@pytest.mark.parametrize(("architecture", "side"), [("lenet", 15), ("alexnet", 3), ("ensemble", 15)])
def test_images_that_are_too_small_are_refused(architecture, side):
    with torch.device("meta"), pytest.raises(ValueError, match=f"{side}x{side}.*or larger"):
        teachers.build(architecture, (1, side, side), 6)


@pytest.mark.parametrize("architecture", ["lenet", "alexnet", "ensemble"])
@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 28, 28), (2, 1, 29, 28), (1, 28, 28)])
def test_other_images_than_a_network_is_for_are_refused(architecture, shape):
    with torch.device("meta"), pytest.raises(ValueError, match=r"^images='shape .*\(B, 1, 28, 28\): channels, height"):
        teachers.build(architecture, GREY, 6)(torch.empty(shape))


def test_unknown_architecture_is_refused():
    with pytest.raises(ValueError, match="^teacher='resnet'.*lenet, alexnet, ensemble"):
        teachers.build("resnet", GREY, 6)


@pytest.mark.parametrize("members", [1, 2, 3])
def test_mean_probabilities_are_the_mean_of_the_softmaxes(members):
    draw = torch.Generator().manual_seed(0)
    logits = [5 * torch.randn(10, 6, generator=draw) for _ in range(members)]
    expected = sum(torch.softmax(member.double(), dim=-1) for member in logits) / members
    found = networks.mean_probabilities(logits)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected.log(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.softmax(found, -1).double(), expected, atol=1e-6, rtol=1e-5)


def test_mean_probabilities_of_sure_members_stay_finite():
    sure = [torch.tensor([[1000.0, 0.0]]), torch.tensor([[0.0, 1000.0]])]
    torch.testing.assert_close(networks.mean_probabilities(sure), torch.full((1, 2), 0.5).log())


def test_joint_ensemble_averages_logits(small_alexnet):
    network = teachers.build("ensemble", GREY, 6).eval()
    x = torch.rand(3, *GREY)
    torch.testing.assert_close(network(x), (network.lenet(x) + network.alexnet(x)) / 2)


# Networks of one's own


WRONG = {
    "weights": lambda: lenet().state_dict(),
    "checkpoint": lambda: {"epoch": 3, "model": lenet().state_dict()},
    "class": lambda: LeNet,
    "function": lambda: torch.sigmoid,
    "teacher": Teacher,
    "list": lambda: [lenet()],
    "path": lambda: "teacher.pt",
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_network_is_refused_in_one_short_line(kind):
    with pytest.raises(
        ValueError, match="^teacher=.*allowed: a torch.nn.Module: .*load_state_dict.*distilled"
    ) as error:
        teachers.check_network(WRONG[kind]())
    assert len(str(error.value)) < 350 and len(str(error.value).splitlines()) == 1


def test_doubts_are_counted():
    labels = torch.arange(90) % 3
    right = 9 * nn.functional.one_hot(labels, 3).double() - 3
    wrong = right.roll(1, 1)
    assert networks.doubts(right, labels) == []
    assert "be 100.0% with its columns in the order (1, 2, 0)" in networks.doubts(wrong, labels)[1]
    halves = torch.where((torch.arange(90) < 45)[:, None], right, wrong)
    assert networks.doubts(halves, labels) == []  # half right: neither at chance, nor better in another order
    assert "near chance, 33.3%" in networks.doubts(torch.zeros(90, 3), labels)[0]
    # Nine of ten images are of one class: to name it always is to know nothing.
    rare = (torch.arange(200) % 10 == 0).long()
    assert "near chance, 90.0%" in networks.doubts(torch.tensor([[2.0, 0.0]]).expand(200, 2), rare)[0]
