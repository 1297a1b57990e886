"""The one training loop, for teachers and students."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from qkdlib import runtime
from qkdlib.training import checkpoints


def fit(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, batches: Callable[[int], Iterable[tuple]],
    loss_of: Callable[..., torch.Tensor], measure: Callable[[], dict], epochs: int, title: str, steps: int,
    checkpoint: Path | checkpoints.Kept | None = None, finished: Callable[[], bool] = lambda: False,
) -> list[dict]:  # fmt: skip
    """Train `model` and return what `measure` said after each epoch, with the epoch's `seconds`.

    Args:
        batches: epoch -> the epoch's batches, each the arguments of `loss_of`. It draws its randomness from
            seed and epoch alone, so that a training that goes on from a checkpoint has the same result.
        loss_of: batch -> scalar loss.
        steps: batches per epoch, for the progress bar's time left.
        checkpoint: file that holds the training after each epoch; an existing one of this title is gone on from. Or
            what keeps the training in its own way; `batches` may then draw from generators that this keeps, too.
        finished: asked after each epoch whether to stop there.
    """
    if isinstance(checkpoint, Path):
        checkpoint = checkpoints.EveryEpoch(checkpoint, title, model, optimizer)
    history = [] if checkpoint is None else checkpoint.resume()
    bar = runtime.progress(total=epochs * steps, initial=len(history) * steps, desc=title)
    with bar, torch.inference_mode(False), torch.enable_grad():  # whatever the caller has switched off
        for epoch in range(len(history), epochs):
            if epoch and finished():
                break
            started = time.perf_counter()
            model.train()
            for batch in batches(epoch):
                optimizer.zero_grad()
                loss_of(*batch).backward()
                optimizer.step()
                bar.update()
            model.eval()
            with torch.inference_mode():
                history.append({**measure(), "seconds": time.perf_counter() - started})
            if checkpoint is not None:
                checkpoint.keep(history)
    return history
