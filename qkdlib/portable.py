"""The portable mode: a training gives the same bits on every x86-64 processor with AVX2, whoever made it.

Three libraries choose their instructions by the processor, and so round differently: MKL (products of matrices, tanh,
exp), PyTorch's own kernels (softmax, sums) and oneDNN (convolutions of teachers). `MKL_CBWR=COMPATIBLE` and
`ATEN_CPU_CAPABILITY=avx2` hold the first two to code that every such processor has, if they are set before torch
computes; importing qkdlib sets them. oneDNN, which also looks at the sizes of caches, is left out (`convolutions`).
Whether it worked is not assumed: `is_on` computes a few products and functions and compares their bits.

`QKD_PORTABLE=0` switches it off: up to 2.3 times as fast, and then a sampled training is another draw on every kind of
processor. What a record was made with stands in its provenance (`facts`).
"""

import contextlib
import functools
import hashlib
import os
import platform
import warnings
from collections.abc import Iterator

from qkdlib import checks, torch_settings

VARIABLES = {"MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "avx2"}
TORCH = "2.15.0"  # whose kernels gave BITS
BITS = "3453fee1bfd87a0f"  # of `_probe` in the portable mode


class NotPortable(UserWarning):
    """The portable mode was asked for, and this process computes other bits."""


def wanted() -> bool:
    """Whether the portable mode is asked for: unless `QKD_PORTABLE` is 0. `ValueError`: it is neither 0 nor 1."""
    text = os.environ.get("QKD_PORTABLE", "1")
    checks.one_of("QKD_PORTABLE", text, ("0", "1"))
    return text == "1"


def request() -> None:
    """Ask MKL and PyTorch for portable code; they listen until they compute for the first time. What the environment
    already says stays. A processor without AVX2 is not asked: PyTorch would not look whether it has it."""
    if os.environ.get("QKD_PORTABLE", "1") == "1" and _has("avx2"):
        for name, value in VARIABLES.items():
            os.environ.setdefault(name, value)


def is_on() -> bool:
    """Whether this process computes the portable bits. If it should and does not, a warning says so once."""
    if wanted() and not _computes():
        _warn()
    return _computes()


@functools.cache
def _computes() -> bool:
    return _probe() == BITS


@functools.cache
def _warn() -> None:
    text = f"not the portable mode: {_reason()}; results may differ from other machines', and the records say so"
    warnings.warn(text, NotPortable, stacklevel=4)


def _reason() -> str:
    import torch

    if not _has("avx2"):
        return "this machine shows no x86-64 processor with AVX2"
    version = torch.__version__.split("+")[0]
    for name, value in VARIABLES.items():
        if os.environ.get(name) != value:
            return f"{name} is {checks.shortened(os.environ.get(name))} in the environment, not {value}"
    if version != TORCH:
        return f"torch is {version}, and the portable bits are those of {TORCH}"
    return "torch computed before qkdlib was imported; import qkdlib first"


def _probe() -> str:
    """Digest of what this process makes of fixed numbers, by every kind of kernel that a training uses."""
    import torch

    with torch_settings.plain_torch():  # as trainings do
        draw = torch.Generator("cpu").manual_seed(0)
        a, b = (torch.rand(shape, generator=draw) for shape in ((5, 64, 33), (5, 33, 17)))
        x = torch.linspace(-9, 9, 4099)
        functions = (torch.tanh, torch.exp, torch.sin, torch.cos, lambda x: x.abs().sqrt())
        sums = (a @ b, torch.log_softmax(a, -1), a.sum(-1), torch.linalg.vector_norm(a, dim=-1))
        found = [*sums, *(f(x) for f in functions)]
        return hashlib.sha256(b"".join(each.numpy().tobytes() for each in found)).hexdigest()[:16]


@contextlib.contextmanager
def convolutions() -> Iterator[None]:
    """Compute PyTorch's convolutions without oneDNN for a while, in the portable mode."""
    import torch

    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = before and not wanted()  # type: ignore[assignment]  # torch shows its descriptor
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before


def facts() -> dict:
    """What numbers of this process depend on: processor, kernels, MKL's mode, and whether they are portable."""
    import torch

    return {
        "processor": _of_processor("model name") or platform.processor() or platform.machine(),
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "mkl": os.environ.get("MKL_CBWR", "default") if torch.backends.mkl.is_available() else None,
        "portable": is_on(),
    }


def _has(instructions: str) -> bool:
    """Whether Linux says that the processor has these instructions, as it calls them."""
    return instructions in _of_processor("flags").split()


@functools.cache
def _of_processor(name: str) -> str:
    """What Linux tells of the first processor under this name; empty if it does not."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith(name):
                return line.partition(":")[2].strip()
    return ""
