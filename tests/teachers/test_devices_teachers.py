"""Teachers on every device that is there: the same networks, trained from images that are copied once."""

import numpy as np
import pytest
import torch

from qkdlib import torch_settings
from qkdlib.experiment import Experiment, Teacher
from qkdlib.images import datasets
from qkdlib.teachers import frozen, large, networks, train_teacher
from qkdlib.teachers.teacher_training import trained_network
from qkdlib.training import checkpoints

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
TASK = Experiment(dataset="digits", classes=(0, 1, 2), train_per_class=10, validation_per_class=5, test_per_class=10)


def plain_steps(teacher: Teacher, images: datasets.Images, epochs: int) -> torch.nn.Module:
    """LeNet trained by a loop of its own, in float64."""
    from qkdlib.randomness import generator, number

    torch.manual_seed(number(teacher.seed, "weights"))
    network = networks.build("lenet", images.shape, 3).double()
    optimizer = torch.optim.Adam(network.parameters(), lr=teacher.learning_rate)
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=generator(teacher.seed, f"order {epoch}"))
        for rows in order.split(teacher.batch_size):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images.x[rows].double()), images.y[rows]).backward()
            optimizer.step()
    return network


@pytest.mark.parametrize("device", DEVICES)
def test_twenty_steps_end_where_a_plain_loop_in_float64_does(device, workspace):
    parts, teacher = datasets.splits(TASK), Teacher(epochs=1, batch_size=20)
    steps = -(-len(parts.all_train) // teacher.batch_size)
    assert steps == 20
    with torch.random.fork_rng():
        expected = plain_steps(teacher, parts.all_train, 1)
    found = trained_network(TASK, teacher, parts, workspace, device)
    assert next(found.parameters()).device.type == device
    with torch.no_grad():
        logits, reference = found(parts.test.x.to(device)).cpu(), expected(parts.test.x.double())
    np.testing.assert_allclose(logits, reference, atol=2e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_logits_are_on_the_cpu_and_their_file_names_the_device(device, workspace):
    parts = datasets.splits(TASK)
    found = train_teacher(TASK, Teacher(epochs=2), parts, workspace, device)
    assert found.train.device.type == found.test.device.type == "cpu"
    assert found.meta["device"] == device and found.meta["portable"] is (found.meta["portable"] and device == "cpu")


@pytest.mark.parametrize("device", DEVICES)
def test_images_are_near_where_there_is_room_and_keep_their_numbers(device):
    images = datasets.splits(TASK).all_train
    found = large.near(images, device)
    assert found.x.device.type == found.y.device.type == device
    assert torch.equal(found.x.cpu(), images.x) and torch.equal(found.y.cpu(), images.y)
    assert (found is images) == (device == "cpu")


def test_images_that_would_fill_a_device_stay(monkeypatch):
    images = datasets.splits(TASK).all_train
    room = int(images.x.nbytes / large.MEMORY)
    for free, moved in ((room - 8, False), (room + 8, True)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2 * free))
        copied = []
        monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device, copied=copied: copied.append(device) or tensor)
        large.near(images, "cuda")
        assert copied == [torch.device("cuda")] * 2 * moved


def test_convolutions_are_whole_and_the_same_for_a_while():
    cudnn = torch.backends.cudnn
    before = cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision, cudnn.deterministic
    with torch_settings.plain_torch(), frozen.convolutions():
        assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision, cudnn.deterministic) == ("ieee", "ieee", True)
    assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision, cudnn.deterministic) == before


def test_a_large_network_is_kept_as_often_as_writing_it_is_worth(tmp_path, monkeypatch):
    """1.2 MB of weights and means are written in a millisecond: every 24 ms."""
    now, kept = [0.0], []
    monkeypatch.setattr(large.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoints.EveryEpoch, "keep", lambda self, history: kept.append(len(history)))
    model = torch.nn.Linear(1000, 100, bias=False)
    keeper = large.Unhurried(tmp_path / "x.pt", "x", model, torch.optim.Adam(model.parameters()))
    assert keeper.pause == pytest.approx(3 * 4e5 / 1e9 / 0.05)
    for epoch in range(1, 9):
        now[0] += 0.010
        keeper.keep([{}] * epoch)
    assert kept == [3, 6]
