"""What a training leaves after each epoch: what is damaged or another training's is set aside, nothing of it taken."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from qkdlib import files
from qkdlib.files import DamagedFile
from qkdlib.training import checkpoints

EPOCHS = [{"test_accuracy": 0.5, "seconds": 1.0}]


def trained(steps: int = 2) -> tuple[nn.Module, torch.optim.Optimizer]:
    with torch.random.fork_rng():
        torch.manual_seed(steps)
        model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def tensors(model, optimizer) -> list[torch.Tensor]:
    state = [tensor for each in optimizer.state_dict()["state"].values() for tensor in each.values()]
    return [tensor.clone() for tensor in (*model.state_dict().values(), *state)]


def same(first, second) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


def resumed(path: Path, title: str = "mine"):
    """History, whether the file was set aside, what a new training then holds, and what it held before."""
    model, optimizer = trained(0)
    before = tensors(model, optimizer)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        history = checkpoints.resume(path, title, model, optimizer)
    named = [each for each in said if each.category is DamagedFile and path.name in str(each.message)]
    return history, len(named) == 1 and not path.exists(), tensors(model, optimizer), before


def test_every_flipped_bit_of_a_checkpoint_is_detected_or_harmless(tmp_path):
    model, optimizer = trained()
    path, detected = tmp_path / "t.pt", 0
    checkpoints.keep(path, "mine", model, optimizer, EPOCHS)
    history, aside, found, _ = resumed(path)
    assert (history, aside) == (EPOCHS, False) and same(found, tensors(model, optimizer))
    whole = path.read_bytes()
    for place in range(0, len(whole), 11):
        path.with_name("t.pt.damaged").unlink(missing_ok=True)
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        history, aside, found, before = resumed(path)
        detected += aside
        expected = ([], before) if aside else (EPOCHS, tensors(model, optimizer))
        assert history == expected[0] and same(found, expected[1]), place
    assert detected > len(whole) / 11 / 10


CHECKPOINTS = {
    "cut": lambda state, path: path.write_bytes(path.read_bytes()[:700]),
    "empty": lambda state, path: path.write_bytes(b""),
    "text": lambda state, path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1"),
    "code": lambda state, path: torch.save(state | {"history": [Path("x")]}, path),
    "no title": lambda state, path: torch.save({k: v for k, v in state.items() if k != "title"}, path),
    "no object": lambda state, path: torch.save([1], path),
    "other shape": lambda state, path: torch.save(state | {"model": nn.Linear(3, 4).state_dict()}, path),
    "other names": lambda state, path: torch.save(state | {"model": {"weight": torch.zeros(2, 3)}}, path),
    "not finite": lambda state, path: torch.save(state | {"model": {"weight": torch.full((2, 3), torch.nan),
                                                                    "bias": torch.zeros(2)}}, path),
    "no optimizer": lambda state, path: torch.save(state | {"optimizer": {}}, path),
    "other moments": lambda state, path: torch.save(state | {"optimizer": state["optimizer"] | {
        "state": {0: {"exp_avg": torch.zeros(7)}}}}, path),
    "wrong history": lambda state, path: torch.save(state | {"history": [{"test_accuracy": 97.5}]}, path),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_checkpoint_that_cannot_be_trusted_is_set_aside_and_nothing_of_it_taken(tmp_path, kind):
    model, optimizer = trained()
    path = tmp_path / "t.pt"
    checkpoints.keep(path, "mine", model, optimizer, EPOCHS)
    CHECKPOINTS[kind](torch.load(path, weights_only=True), path)
    content = path.read_bytes()
    history, aside, found, before = resumed(path)
    assert history == [] and aside and same(found, before)
    assert path.with_name("t.pt.damaged").read_bytes() == content


def test_a_checkpoint_larger_than_the_training_can_be_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_TEXT", 1 << 16)
    torch.save({"title": "mine", "model": torch.zeros(10**5)}, tmp_path / "t.pt")
    history, aside, *_ = resumed(tmp_path / "t.pt")
    assert history == [] and aside
