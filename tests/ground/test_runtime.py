"""The device that a run computes on."""

import pytest
import torch

import qkdlib
from qkdlib import runtime, torch_settings


@pytest.fixture
def with_devices(monkeypatch, one_thread):
    """A function that lets torch say which of its devices are there."""

    def there(cuda: bool = False, mps: bool = False, built: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.backends.mps, "is_built", lambda: built)

    return there


@pytest.mark.parametrize(
    ("cuda", "mps", "device", "kind"),
    [
        (False, False, "auto", "cpu"), (True, False, "auto", "cuda"), (True, True, "auto", "cuda"),
        (False, True, "auto", "cpu"),  # nobody has tried it
        (True, True, "cpu", "cpu"), (True, True, "cuda", "cuda"), (True, True, "mps", "mps"),
    ],
)  # fmt: skip
def test_the_device_is_the_one_that_is_asked_for(with_devices, cuda, mps, device, kind):
    with_devices(cuda, mps)
    assert runtime.start(device) == torch.device(kind)


@pytest.mark.parametrize(
    ("device", "built", "reason"),
    [
        ("cuda", True, "no CUDA device"),
        ("mps", True, "no Apple GPU that torch can use"),
        ("mps", False, "torch is built without MPS"),
    ],
)
def test_a_device_that_is_not_there_says_so_before_any_work(with_devices, tmp_path, device, built, reason):
    with_devices(built=built)
    said = f"device='{device}' is not allowed; allowed: auto or cpu: .*{reason}"
    with pytest.raises(ValueError, match=said):
        runtime.start(device)
    with pytest.raises(ValueError, match=said):
        qkdlib.run(qkdlib.Experiment(dataset="digits"), workspace=tmp_path, device=device)
    task = qkdlib.Experiment(dataset="digits", train_per_class=5, test_per_class=5)
    with pytest.raises(ValueError, match=said):
        qkdlib.train_teacher(task, qkdlib.Teacher(), qkdlib.splits(task), tmp_path, device)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("device", ["gpu", "MPS", "cuda:1", None, 0])
def test_other_devices_are_refused(device):
    with pytest.raises(ValueError, match="device=.* is not allowed; allowed: one of auto, cpu, cuda, mps"):
        runtime.start(device)


def test_plain_torch_has_no_autocast_on_any_device():
    with torch.autocast("cpu", torch.bfloat16):
        with torch_settings.plain_torch():
            assert not any(torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda", "mps"))
        assert torch.is_autocast_enabled("cpu")
