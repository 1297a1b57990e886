"""The training loop: resuming from a checkpoint to the same weights, its history, and when it stops."""

import pytest
import torch
from torch import nn

from qkdlib import training
from qkdlib.training.checkpoints import EveryEpoch


class Interrupter:
    """A small training whose steps or measure can be interrupted in the second epoch."""

    def __init__(self, where: str | None):
        self.where = where
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01, fused=True)
        self.x = torch.randn(20, 5)
        self.epochs_seen = []

    def train(self, epoch: int, advance):
        assert self.model.training
        self.epochs_seen.append(epoch)
        order = torch.randperm(20, generator=torch.Generator().manual_seed(epoch))
        for step, rows in enumerate(order.split(6)):
            if self.where == "steps" and epoch == 1 and step == 2:
                raise KeyboardInterrupt
            x = self.x[rows]
            self.optimizer.zero_grad()
            (self.model(x) - x.sum(1, keepdim=True)).square().mean().backward()
            self.optimizer.step()
            advance()

    def measure(self) -> dict:
        assert not self.model.training
        if self.where == "measure" and self.epochs_seen[-1] == 1:
            raise KeyboardInterrupt
        return {"loss": float((self.model(self.x) - self.x.sum(1, keepdim=True)).square().mean())}

    def fit(self, checkpoint=None, epochs=4, **options) -> list[dict]:
        kept = EveryEpoch(checkpoint, "test", self.model, self.optimizer) if checkpoint else None
        return training.fit(self.model, self.train, self.measure, epochs, "test", 4, kept, **options)


def losses(history: list[dict]) -> list[float]:
    return [epoch["loss"] for epoch in history]


@pytest.mark.parametrize("where", ["steps", "measure"])
def test_interrupted_training_goes_on_to_the_same_weights(tmp_path, where):
    whole = Interrupter(None)
    expected = whole.fit()
    checkpoint = tmp_path / "training.pt"
    with pytest.raises(KeyboardInterrupt):
        Interrupter(where).fit(checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]

    resumed = Interrupter(None)
    history = resumed.fit(checkpoint)
    assert resumed.epochs_seen == [1, 2, 3]
    assert losses(history) == losses(expected)
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_finished_checkpoint_is_loaded_and_not_trained_again(tmp_path):
    checkpoint = tmp_path / "training.pt"
    first = Interrupter(None)
    expected = first.fit(checkpoint)
    again = Interrupter(None)
    assert again.fit(checkpoint) == expected
    assert again.epochs_seen == []
    assert torch.equal(again.model[0].weight, first.model[0].weight)


def test_history_has_an_entry_with_seconds_for_each_epoch():
    history = Interrupter(None).fit(epochs=3)
    assert len(history) == 3
    assert all(epoch["seconds"] >= 0 for epoch in history)
    assert losses(history)[-1] < losses(history)[0]


def test_training_stops_after_the_epoch_that_finished_it():
    stopped = Interrupter(None)
    history = stopped.fit(finished=lambda: len(stopped.epochs_seen) == 3)
    assert stopped.epochs_seen == [0, 1, 2]
    assert losses(history) == losses(Interrupter(None).fit(epochs=3))
