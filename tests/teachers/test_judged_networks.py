"""Networks of one's own as teachers, judged: what is refused, what is doubtful, and their accuracy."""

import pytest
import torch
from small_teachers import TASK, fitted, own_network, save, teacher_files, train
from torch import nn

from qkdlib import pipeline, teachers
from qkdlib.images import datasets
from qkdlib.teachers import DoubtfulTeacher, TeacherLogits, own_networks


class Forward(nn.Module):
    """A learned network, and what somebody's `forward` makes of it and of its images."""

    def __init__(self, does):
        super().__init__()
        self.network, self.does = fitted(), does

    def forward(self, x):
        return self.does(self.network, x)


def raises(error):
    def does(_network, _x):
        raise error

    return does


UNUSABLE = {
    "finite logits": lambda network, x: network(x) / 0,
    "returns logits, not a tuple": lambda network, x: (network(x), x),
    "KeyError: 'a b'": raises(KeyError("a\nb")),
    "AssertionError: three channels": raises(AssertionError("three channels")),
    "TypeError: no": raises(TypeError("no")),
    "not torch.complex64": lambda network, x: network(x).to(torch.complex64),
    "not torch.bool": lambda network, x: network(x) > 0,
    "not torch.float32, torch.sparse_coo": lambda network, x: network(x).to_sparse(),
    "depend on the images beside it": lambda network, x: nn.functional.batch_norm(
        network(x), None, None, training=True
    ),
}


@pytest.mark.parametrize("words", UNUSABLE)
def test_whatever_a_network_does_is_one_line(workspace, words):
    with pytest.raises(ValueError, match="^teacher='custom:Forward' is not allowed; allowed: ") as caught:
        save(Forward(UNUSABLE[words]), workspace)
    said = str(caught.value).replace("\\n", " ")
    assert words in said and "\n" not in said and teacher_files(workspace) == []


def with_gradients(network, x):
    with torch.enable_grad():
        return network(x.requires_grad_(True))


@pytest.mark.parametrize("does", [lambda network, x: network(x.clamp_(0.2, 0.8)), with_gradients])
def test_a_forward_may_work_in_place_and_with_gradients(workspace, does):
    parts = datasets.splits(TASK)
    named = own_networks.save_custom(TASK, Forward(does), parts, workspace, "cpu")
    untouched = datasets.splits(TASK)
    assert torch.equal(parts.all_train.x, untouched.all_train.x) and torch.equal(parts.all_test.x, untouched.all_test.x)
    assert train(named, workspace).meta["accuracy"]["train"] > 0.9


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = own_network()

    def forward(self, x):
        return self.network(nn.functional.dropout(x, 0.01, training=True))


def test_a_network_that_says_something_else_each_time_is_refused(workspace):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match="^teacher='custom:Dropping'.*two passes over the same images differ"):
        save(Dropping(), workspace)
    assert teacher_files(workspace) == []
    torch.manual_seed(5)
    assert torch.equal(torch.get_rng_state(), state)


class Columns(nn.Module):
    def __init__(self, network, order):
        super().__init__()
        self.network, self.order = network, order

    def forward(self, x):
        return self.network(x)[:, self.order]


DOUBTFUL = {
    "its rows are probabilities, not logits": lambda: nn.Sequential(fitted(), nn.Softmax(-1)),
    "probabilities, not logits: .* or sigmoid": lambda: nn.Sequential(fitted(), nn.Sigmoid()),
    r"with its columns in the order \(5, 0, 1, 2, 3, 4\)": lambda: Columns(fitted(), [1, 2, 3, 4, 5, 0]),
    r"with its columns in the order \(1, 0, 2, 3, 4, 5\)": lambda: Columns(fitted(), [1, 0, 2, 3, 4, 5]),
    "near chance, 16.7%: is it trained, on these classes and on pixels from 0 to 1": own_network,
    "near chance, 16.7%: .* pixels from 0 to 1": lambda: fitted(lambda x: 1 - x),
}


@pytest.mark.parametrize("words", DOUBTFUL)
def test_a_doubtful_teacher_is_warned_of_and_used(workspace, words):
    with pytest.warns(DoubtfulTeacher, match=f"^teacher digits_0-5_custom-.*: accuracy .*; .*{words}"):
        record = pipeline.run(TASK, teacher=DOUBTFUL[words](), workspace=workspace, device="cpu")
    assert record.seeds


def test_accuracy_on_the_students_images_is_said_and_kept(workspace, capsys, recwarn):
    network, parts = fitted(), datasets.splits(TASK)
    named = save(network, workspace)
    right = []
    for part in (parts.train, parts.validation):
        with torch.no_grad():
            right.append(float((network(part.x).argmax(1) == part.y).float().mean()))
    said = capsys.readouterr().out
    assert f"accuracy {right[0]:.1%} on the student's 30 training images, {right[1]:.1%} on its 12 valid" in said
    assert said.count("\n") == 1 and not recwarn.list
    stored = TeacherLogits.load(teachers.logits_path(workspace, TASK, named)).meta["accuracy"]
    assert stored == train(named, workspace).meta["accuracy"] == dict(zip(("train", "validation"), right, strict=True))
