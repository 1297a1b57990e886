"""The one training loop, for teachers and students."""

import time
from collections.abc import Callable

import torch

from qkdlib import runtime
from qkdlib.training import checkpoints


def fit(
    model: torch.nn.Module, train: Callable[[int, Callable[[], object]], None], measure: Callable[[], dict],
    epochs: int, title: str, steps: int, checkpoint: checkpoints.Kept | None = None,
    finished: Callable[[], bool] = lambda: False,
) -> list[dict]:  # fmt: skip
    """Train `model` and return what `measure` said after each epoch, with the epoch's `seconds`.

    Args:
        train: trains the epoch of this number, and calls what it is given after each step. It draws its randomness
            from seed and epoch alone, or from generators that `checkpoint` keeps, so that a training that goes on has
            the same result.
        steps: steps per epoch, for the progress bar's time left.
        checkpoint: keeps the training after each epoch, and knows what was kept.
        finished: asked after each epoch whether to stop there.
    """
    history = [] if checkpoint is None else checkpoint.resume()
    bar = runtime.progress(total=epochs * steps, initial=len(history) * steps, desc=title)
    with bar, torch.inference_mode(False), torch.enable_grad():  # whatever the caller has switched off
        for epoch in range(len(history), epochs):
            if epoch and finished():
                break
            started = time.perf_counter()
            model.train()
            train(epoch, bar.update)
            model.eval()
            with torch.inference_mode():
                history.append({**measure(), "seconds": time.perf_counter() - started})
            if checkpoint is not None:
                checkpoint.keep(history)
    return history
