"""Networks of one's own as teachers: left as they were, known by their logits, judged on the student's images."""

import threading

import pytest
import torch
from torch import nn

from qkdlib import pipeline, teachers, torch_settings, training
from qkdlib.experiment import Experiment, Teacher
from qkdlib.files import DamagedFile
from qkdlib.images import datasets
from qkdlib.teachers import DoubtfulTeacher, LeNet, teacher_training
from qkdlib.teachers.teacher_files import TeacherLogits, teacher_name
from qkdlib.workspace import Workspace

TASK = Experiment(
    dataset="digits", train_per_class=5, validation_per_class=2, test_per_class=5, epochs=1, batch_size=5, seeds=1,
    shots=100,
)  # fmt: skip
GREY = (1, 28, 28)


def refuse_training(monkeypatch):
    def fail(*_arguments, **_options):
        raise AssertionError("trained although it must not")

    monkeypatch.setattr(training, "fit", fail)


def train(teacher: Teacher, workspace: Workspace) -> TeacherLogits:
    return teacher_training.train_teacher(TASK, teacher, datasets.splits(TASK), workspace)


def teacher_files(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in workspace.teachers.glob("*.npz"))


def save(network: nn.Module, workspace: Workspace, task: Experiment = TASK) -> Teacher:
    return teacher_training.save_custom(task, network, datasets.splits(task), workspace, "cpu")


def logits_of(network: nn.Module, workspace: Workspace) -> torch.Tensor:
    return train(save(network, workspace), workspace).train


def lenet(classes: int = 6) -> LeNet:
    torch.manual_seed(3)
    return LeNet(GREY, classes)


def fitted(change=lambda x: x, task: Experiment = TASK) -> nn.Module:
    """A network that has learned all training images, of which `change` is what it was shown."""
    images = datasets.splits(task).all_train
    network = own_network(len(task.classes))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(change(images.x)), images.y).backward()
        optimizer.step()
    return network


def own_network(classes: int = 6, activation: type[nn.Module] = nn.Identity) -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, classes), activation())


def test_own_network_is_a_teacher(tmp_path):
    workspace, network, parts = Workspace(tmp_path), own_network(), datasets.splits(TASK)
    record = pipeline.run(TASK, teacher=network, workspace=workspace, device="cpu")
    assert record.experiment.teacher.architecture.startswith("custom:Sequential-")
    assert record.experiment.kd_weight == 0.9
    (name,) = teacher_files(workspace)
    with torch.no_grad():
        expected = network(parts.all_train.x)
    torch.testing.assert_close(TeacherLogits.load(workspace.teachers / name).train, expected, atol=1e-2, rtol=0)


def test_record_of_an_own_network_is_found_again_by_network_and_by_name(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path)
    record = pipeline.run(TASK, teacher=own_network(), workspace=workspace, device="cpu")
    refuse_training(monkeypatch)
    assert pipeline.run(TASK, teacher=own_network(), workspace=workspace, device="cpu").seeds == record.seeds
    assert pipeline.run(record.experiment, workspace=workspace, device="cpu").seeds == record.seeds


def test_own_networks_with_other_weights_are_other_teachers(tmp_path):
    first, second = own_network(), own_network()
    with torch.no_grad():
        second[1].bias[0] += 1e-3
    workspace, parts = Workspace(tmp_path), datasets.splits(TASK)
    names = [teacher_training.save_custom(TASK, one, parts, workspace, "cpu") for one in (first, own_network(), second)]
    assert names[0] == names[1] != names[2]
    assert first.training  # the caller's network stays in its mode


def test_own_network_may_compute_in_bfloat16(tmp_path):
    network = nn.Sequential(own_network(), ToBfloat16())
    assert pipeline.run(TASK, teacher=network, workspace=Workspace(tmp_path), device="cpu").seeds


class ToBfloat16(nn.Module):
    def forward(self, x):
        return x.bfloat16()


def test_own_networks_with_the_same_weights_and_other_layers_do_not_share_logits(tmp_path):
    # Else a network that was changed and handed in again would silently teach with its old logits.
    workspace, parts = Workspace(tmp_path), datasets.splits(TASK)
    found = []
    for activation in (nn.Identity, nn.Tanh):
        named = teacher_training.save_custom(TASK, own_network(6, activation), parts, workspace, "cpu")
        found.append(train(named, workspace).train)
    torch.testing.assert_close(found[1], torch.tanh(found[0]), atol=1e-2, rtol=0)


@pytest.mark.parametrize("classes", [5, 7, 10])
def test_own_network_with_a_wrong_number_of_logits_is_refused_before_training(tmp_path, monkeypatch, classes):
    refuse_training(monkeypatch)
    workspace = Workspace(tmp_path)
    with pytest.raises(ValueError, match="^teacher='custom:Sequential.*logits of shape"):
        pipeline.run(TASK, teacher=own_network(classes), workspace=workspace, device="cpu")
    assert teacher_files(workspace) == []


def test_named_own_network_without_its_file_asks_for_the_network(tmp_path):
    with pytest.raises(ValueError, match="teacher=network"):
        train(Teacher(architecture="custom:mine"), Workspace(tmp_path))


# Any module, left as it was


class Keeps(nn.Module):
    """As people write them for feature distillation, logging and caching: with what a copy cannot have."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.lock, self.mask = nn.Flatten(), nn.Linear(784, 6), threading.Lock(), None

    def forward(self, x):
        self.features = self.body(x) * (1 if self.head.weight.requires_grad else 2)
        self.mask = torch.ones_like(self.features[0]) if self.mask is None else self.mask
        return self.head(self.features * self.mask)


def with_hook():
    network = lenet()
    network[6].register_forward_hook(lambda module, inputs, output: setattr(module, "seen", output))
    return network


NETWORKS = {
    "features, a lock and a mask kept": Keeps,
    "a hook": with_hook,
    "spectral_norm": lambda: nn.Sequential(nn.Flatten(), nn.utils.spectral_norm(nn.Linear(784, 6))),
    "parametrized": lambda: nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(784, 6))),
    "batch norm": lambda: nn.Sequential(nn.BatchNorm2d(1), own_network()),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_needs_no_copy_and_trains_on_as_before(workspace, kind):
    network, images = NETWORKS[kind](), torch.rand(3, *GREY)
    network(images).sum().backward()  # leaves tensors with a gradient in it, which deepcopy refuses
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert save(network, workspace).architecture.startswith("custom:")
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    network(images).sum().backward()  # nothing of inference mode is left in it


def test_each_module_keeps_its_mode_and_weights_stay_frozen(workspace):
    network = nn.Sequential(nn.BatchNorm2d(1), lenet(), nn.Dropout())
    network[0].eval()
    network[1][0].weight.requires_grad_(False)
    modes = [module.training for module in network.modules()]
    save(network, workspace)
    broken = nn.Sequential(network, nn.Linear(7, 6))
    with pytest.raises(ValueError, match="^teacher='custom:Sequential'.*a network for images of shape.*mat1 and mat2"):
        save(broken, workspace)
    assert [module.training for module in network.modules()] == modes
    assert [weights.requires_grad for weights in network.parameters()] == [True] * 2 + [False] + [True] * 9


def test_a_network_for_other_images_is_refused_in_one_line(workspace):
    with pytest.raises(
        ValueError, match=r"^teacher='custom:LeNet'.*images of shape \(1, 28, 28\): .*channels"
    ) as error:
        save(LeNet((3, 28, 28), 6), workspace)
    assert len(str(error.value).splitlines()) == 1


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


# Number types and settings of the session


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_a_network_computes_with_its_own_numbers(workspace, kind):
    network = own_network()
    expected = logits_of(network, workspace)
    found = logits_of(network.to(kind), workspace)
    assert network[1].weight.dtype == kind and found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=4 * torch.finfo(kind).eps + 1e-5, rtol=0)


@pytest.fixture
def session(request):
    """Settings that a notebook makes for everything."""
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)
    torch.use_deterministic_algorithms(False)
    torch.set_default_dtype(torch.float32)


def test_settings_of_the_session_do_not_reach_computations_and_are_restored(session):
    with torch.inference_mode(), torch.autocast("cpu"):
        with pytest.raises(KeyError), torch_settings.plain_torch():
            weights = torch.ones(2, 2, requires_grad=True)
            product = weights @ weights
            assert (product.dtype, product.device.type, product.requires_grad) == (torch.float32, "cpu", True)
            assert not torch.are_deterministic_algorithms_enabled()
            raise KeyError
        assert torch.is_inference_mode_enabled() and torch.is_autocast_enabled("cpu")
    assert torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
    assert (torch.get_default_dtype(), torch.ones(2).device.type) == (torch.float64, "meta")


def test_teachers_are_the_same_whatever_the_session_has_set(tmp_path, request):
    parts, network, found = datasets.splits(TASK), lenet(), []
    for number in range(2):
        workspace = Workspace(tmp_path / str(number))
        named = teacher_training.save_custom(TASK, network, parts, workspace, "cpu")
        taught = [teacher_training.train_teacher(TASK, each, parts, workspace) for each in (named, Teacher(epochs=1))]
        found.append((named, *(logits.train for logits in taught)))
        if number == 0:
            request.getfixturevalue("session")
    (first, *before), (second, *after) = found
    assert first == second and all(map(torch.equal, before, after))


# Known by what it says


class Plus(nn.Module):
    def __init__(self, network, add=0.0, scale=1.0):
        super().__init__()
        self.network, self.add, self.scale = network, add, scale

    def forward(self, x):
        return self.scale * self.network(x) + self.add


class Rounded(nn.Module):
    """Logits with relative noise, the same each time: what another processor may do to them."""

    def __init__(self, network, noise=0.0):
        super().__init__()
        self.network, self.noise = network, noise

    def forward(self, x):
        logits = self.network(x)
        draw = torch.Generator().manual_seed(len(x))
        return logits * (1 + self.noise * torch.randn(logits.shape, generator=draw))


def test_a_network_is_found_again_whatever_rounds_its_logits(workspace, monkeypatch):
    record = pipeline.run(TASK, teacher=Rounded(lenet()), workspace=workspace, device="cpu")
    refuse_training(monkeypatch)
    for noise in (1e-7, 1e-5):
        again = pipeline.run(TASK, teacher=Rounded(lenet(), noise), workspace=workspace, device="cpu")
        assert (again.experiment, again.seeds) == (record.experiment, record.seeds)
    assert len(teacher_files(workspace)) == 1


def test_a_network_is_found_again_with_other_kernels(workspace, monkeypatch):
    named = save(lenet(), workspace)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert save(lenet(), workspace) == named and len(teacher_files(workspace)) == 1


@pytest.mark.parametrize("rate", [1e-3, 1e-2])
def test_a_network_after_one_more_step_is_another_one(workspace, rate):
    images, network = datasets.splits(TASK).all_train, fitted()
    first = save(network, workspace)
    optimizer = torch.optim.SGD(network.parameters(), rate)
    nn.functional.cross_entropy(network(images.x[:32]), images.y[:32]).backward()
    optimizer.step()
    assert save(network, workspace) != first and len(teacher_files(workspace)) == 2


def test_a_network_that_differs_on_a_single_image_is_another_one(workspace):
    class Odd(nn.Module):
        def __init__(self, change):
            super().__init__()
            self.network, self.change = own_network(), change

        def forward(self, x):
            logits = self.network(x)
            logits[0, 0] += self.change
            return logits

    assert save(Odd(0.0), workspace) != save(Odd(0.5), workspace)


def test_a_damaged_file_of_a_network_is_set_aside_and_written_again(workspace):
    named = save(own_network(), workspace)
    path = workspace.teachers / f"{teacher_name(TASK, named)}.npz"
    path.write_bytes(b"damaged")
    with pytest.warns(DamagedFile, match=path.name):
        assert save(own_network(), workspace) == named
    assert train(named, workspace).train.shape[1] == 6


def test_small_differences_of_large_logits_are_kept(workspace):
    plain = logits_of(Plus(own_network()), workspace)
    for add, atol in ((100.0, 2e-5), (3000.0, 5e-4), (40000.0, 0.01)):
        found = logits_of(Plus(own_network(), add), workspace)
        torch.testing.assert_close(torch.softmax(found, 1), torch.softmax(plain, 1), atol=atol, rtol=0)
    exact = logits_of(Plus(own_network(), 40000.0).double(), workspace)
    torch.testing.assert_close(torch.softmax(exact, 1), torch.softmax(plain, 1), atol=1e-5, rtol=0)
    scaled = logits_of(Plus(own_network(), 0, 1e6), workspace)
    torch.testing.assert_close(torch.log_softmax(scaled / 1e6, 1), torch.log_softmax(plain, 1), atol=1e-4, rtol=0)


# Judged


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
    named = teacher_training.save_custom(TASK, Forward(does), parts, workspace, "cpu")
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
    stored = TeacherLogits.load(workspace.teachers / f"{teacher_name(TASK, named)}.npz").meta["accuracy"]
    assert stored == train(named, workspace).meta["accuracy"] == dict(zip(("train", "validation"), right, strict=True))


def test_doubts_are_counted():
    labels = torch.arange(90) % 3
    right = 9 * nn.functional.one_hot(labels, 3).double() - 3
    wrong = right.roll(1, 1)
    assert teachers.doubts(right, labels) == []
    assert "be 100.0% with its columns in the order (1, 2, 0)" in teachers.doubts(wrong, labels)[1]
    halves = torch.where((torch.arange(90) < 45)[:, None], right, wrong)
    assert teachers.doubts(halves, labels) == []  # half right: neither at chance, nor better in another order
    assert "near chance, 33.3%" in teachers.doubts(torch.zeros(90, 3), labels)[0]
    # Nine of ten images are of one class: to name it always is to know nothing.
    rare = (torch.arange(200) % 10 == 0).long()
    assert "near chance, 90.0%" in teachers.doubts(torch.tensor([[2.0, 0.0]]).expand(200, 2), rare)[0]
