"""Networks of one's own as teachers: left as they were, and known by their logits."""

import threading

import pytest
import torch
from small_teachers import GREY, TASK, fitted, lenet, own_network, save, teacher_files, train
from torch import nn

from qkdlib import pipeline, teachers, torch_settings
from qkdlib.experiment import Teacher
from qkdlib.files import DamagedFile
from qkdlib.images import datasets
from qkdlib.teachers import LeNet, TeacherLogits, own_networks, teacher_training
from qkdlib.workspace import Workspace


def logits_of(network: nn.Module, workspace: Workspace) -> torch.Tensor:
    return train(save(network, workspace), workspace).train


def test_own_network_is_a_teacher(tmp_path):
    workspace, network, parts = Workspace(tmp_path), own_network(), datasets.splits(TASK)
    record = pipeline.run(TASK, teacher=network, workspace=workspace, device="cpu")
    assert record.experiment.teacher.architecture.startswith("custom:Sequential-")
    assert record.experiment.kd_weight == 0.9
    (name,) = teacher_files(workspace)
    with torch.no_grad():
        expected = network(parts.all_train.x)
    torch.testing.assert_close(TeacherLogits.load(workspace.teachers / name).train, expected, atol=1e-2, rtol=0)


def test_record_of_an_own_network_is_found_again_by_network_and_by_name(tmp_path, refuse_training):
    workspace = Workspace(tmp_path)
    record = pipeline.run(TASK, teacher=own_network(), workspace=workspace, device="cpu")
    refuse_training()
    assert pipeline.run(TASK, teacher=own_network(), workspace=workspace, device="cpu").seeds == record.seeds
    assert pipeline.run(record.experiment, workspace=workspace, device="cpu").seeds == record.seeds


def test_own_networks_with_other_weights_are_other_teachers(tmp_path):
    first, second = own_network(), own_network()
    with torch.no_grad():
        second[1].bias[0] += 1e-3
    workspace, parts = Workspace(tmp_path), datasets.splits(TASK)
    names = [own_networks.save_custom(TASK, one, parts, workspace, "cpu") for one in (first, own_network(), second)]
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
        named = own_networks.save_custom(TASK, own_network(6, activation), parts, workspace, "cpu")
        found.append(train(named, workspace).train)
    torch.testing.assert_close(found[1], torch.tanh(found[0]), atol=1e-2, rtol=0)


@pytest.mark.parametrize("classes", [5, 7, 10])
def test_own_network_with_a_wrong_number_of_logits_is_refused_before_training(tmp_path, classes, refuse_training):
    refuse_training()
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
        named = own_networks.save_custom(TASK, network, parts, workspace, "cpu")
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


def test_a_network_is_found_again_whatever_rounds_its_logits(workspace, refuse_training):
    record = pipeline.run(TASK, teacher=Rounded(lenet()), workspace=workspace, device="cpu")
    refuse_training()
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
    path = teachers.logits_path(workspace, TASK, named)
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
