"""Cores, device and provenance of the running process."""

import contextlib
import ctypes
import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from qkdlib import checks, portable

if TYPE_CHECKING:
    import torch
    from tqdm import tqdm

DEVICES = ("auto", "cpu", "cuda", "mps")
TRIM, MMAP = (-1, 256 << 20), (-3, 32 << 20)  # parameters of glibc's mallopt, and bytes: the most that the latter takes
QUIET = False  # True in a worker, whose parent shows the progress
VERSIONED = (
    "torch", "torchvision", "torchquantum", "torchquantum-ng", "qiskit", "qiskit-aer", "numpy", "scipy", "scikit-learn",
)  # fmt: skip


def threads() -> int:
    """How many threads this process may use: `QKD_THREADS`, by default every core it is allowed. `ValueError`:
    `QKD_THREADS` is not a whole number from 1 to `checks.MOST["QKD_THREADS"]`."""
    text = os.environ.get("QKD_THREADS")
    if text is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    is_number = text.isascii() and text.isdecimal() and len(text) < 20
    return checks.whole("QKD_THREADS", int(text) if is_number else text)


def start(device: str = "auto") -> "torch.device":
    """Set torch's threads, see whether the portable mode is on, and return the `found_device` to compute on."""
    import torch

    found = found_device(device)
    torch.set_num_threads(threads())
    portable.is_on()
    return found


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next tensor; other C libraries do as they like. Dask has workers return it at
    once (it sets `MALLOC_TRIM_THRESHOLD_`), and to fetch it again takes a block half its time."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc; Windows
        libc = ctypes.CDLL(None)
        for parameter in (TRIM, MMAP):
            libc.mallopt(*parameter)


def found_device(device: str) -> "torch.device":
    """The `torch.device` of this name. `auto` is CUDA where it is there, else the CPU. `mps`, the GPU of Apple's
    processors, computes in float32 alone and is untried so far: it is taken where it is named. `ValueError`: the device
    is not there."""
    import torch

    checks.one_of("device", device, DEVICES)
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        checks.fail("device", device, "auto or cpu: this machine has no CUDA device")
    if device == "mps" and not torch.backends.mps.is_available():
        built = torch.backends.mps.is_built()
        reason = "this machine has no Apple GPU that torch can use" if built else "this torch is built without MPS"
        checks.fail("device", device, f"auto or cpu: {reason}")
    if device == "auto":
        return torch.device("cuda" if cuda else "cpu")
    return torch.device(device)


def provenance(device: "str | torch.device" = "cpu") -> dict:
    """Commit, library versions, device, processor and kernels, for the record of a run."""
    made = portable.facts()
    return {
        "device": str(device),
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("qkdlib", *VERSIONED)},
        "machine": platform.machine(),
        **made,
        "portable": made["portable"] and str(device) == "cpu",
    }


def version(name: str) -> str | None:
    """The version of an installed package."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that this code runs from, `+` marking changes to it that are not committed; else the
    one that pip installed it from. A repository that merely surrounds the code does not count."""
    root = Path(__file__).resolve().parent.parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if Path(git("rev-parse", "--show-toplevel")).resolve() == root and git("ls-files", "--", "qkdlib/runtime.py"):
            changed = git("status", "--porcelain", "--", "qkdlib")
            return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    with contextlib.suppress(ValueError, importlib.metadata.PackageNotFoundError):
        installed = json.loads(importlib.metadata.distribution("qkdlib").read_text("direct_url.json") or "{}")
        return installed.get("vcs_info", {}).get("commit_id", "")[:12] or None
    return None


def progress(iterable: Iterable | None = None, **options: object) -> "tqdm":
    """A tqdm bar with the time left; silent where nobody watches (no terminal), so that logs stay short."""
    from tqdm import tqdm

    return tqdm(iterable, disable=QUIET or not sys.stderr.isatty(), dynamic_ncols=True, **options)
