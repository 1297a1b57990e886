"""PyTorch's settings for a while: how many threads, and everything else as it is by default."""

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ALONE = threading.RLock()  # of the thread that computes: torch's settings and random numbers are its process's


@contextlib.contextmanager
def one_thread(wanted: bool = True) -> Iterator[None]:
    """Let torch compute on one thread for a while, if that is `wanted`."""
    import torch

    before = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def plain_torch(dtype: str = "float32", device: "str | torch.device" = "cpu") -> Iterator[None]:
    """Compute as torch does by default, whatever the session has set: with gradients, in whole float32, without
    autocast, with every algorithm; restored afterwards. Threads that do so take turns.

    Args:
        dtype, device: of tensors that are made without naming theirs.
    """
    import torch

    with ALONE, contextlib.ExitStack() as stack:
        if torch.get_default_device() != torch.device(device):  # it costs time at every call of torch
            stack.enter_context(torch.device(device))
        if torch.are_deterministic_algorithms_enabled():
            warn = torch.is_deterministic_algorithms_warn_only_enabled()
            stack.callback(torch.use_deterministic_algorithms, True, warn_only=warn)
            torch.use_deterministic_algorithms(False)
        kernels = torch.backends.mkldnn, torch.backends.cuda, torch.backends.cudnn
        for part in (getattr(each, name, None) for each in kernels for name in ("matmul", "conv", "rnn")):
            # Of torch 2.9 and later, where "medium" means bfloat16, "high" TF32.
            if part is not None and hasattr(part, "fp32_precision"):
                stack.callback(setattr, part, "fp32_precision", part.fp32_precision)
                part.fp32_precision = "ieee"
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(getattr(torch, dtype))
        for kind in ("cpu", "cuda", "mps"):
            stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        yield
