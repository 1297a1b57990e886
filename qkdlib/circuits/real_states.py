"""<X> and <Z> of every wire of real states, as sums of squares: X is Z seen after a Hadamard.

For real amplitudes f (not normalised) and s_ki = +-1, the sign of Z_k in outcome i,

    z_k = sum_i s_ki f_i^2,   x_k = sum_i s_ki h_i^2,   N = sum_i f_i^2

where h are the amplitudes after a Hadamard on wire k, and on any others. A product with fixed numbers gives F = (f, h),
with Hadamards on all wires; for many wires two smaller ones give F = (f, l, u), with Hadamards on the lower and on the
upper half of them. Then (z, x, N) = F^2 M with a fixed matrix M. <Y_k> is 0.
"""

import functools
import math

import torch

from qkdlib.circuits.gatelist import pauli_z
from qkdlib.rounding import shared_product

WHOLE = 5  # qubits of which one product with (f, h) is cheaper than two smaller ones


class RealStates:
    """What those sums of states (S, B, 2^Q) need: `extended` gives F (S, B, 2 or 3 times 2^Q), `collected` its gradient
    back to f, and M is `matrix` (.., 2 Q + 1), with its transpose."""

    def __init__(self, qubits: int, dtype: torch.dtype, device: torch.device):
        self.qubits, low = qubits, qubits // 2
        self.halves = qubits > WHOLE
        self.lower, self.upper = hadamard(low), hadamard(qubits - low)
        seen = [torch.arange(qubits) < low, torch.arange(qubits) >= low] if self.halves else [torch.ones(qubits)]
        whole = hadamard(0 if self.halves else qubits)
        self.forth = torch.cat([torch.eye(len(whole)), whole], 1)  # f to (f, h)
        self.back = self.forth.T.contiguous()
        signs = pauli_z(qubits).double()
        zero = torch.zeros_like(signs)
        z = torch.cat([signs, zero, torch.ones_like(signs[:, :1])], 1)
        x = [torch.cat([zero, signs * wires, zero[:, :1]], 1) for wires in seen]
        self.matrix = torch.cat([z, *x])
        self.transposed = self.matrix.T.contiguous()
        for name in ("lower", "upper", "forth", "back", "matrix", "transposed"):
            setattr(self, name, getattr(self, name).to(device, dtype))

    def extended(self, f: torch.Tensor) -> torch.Tensor:
        return torch.cat([f, *self._turned(f, f)], -1) if self.halves else shared_product(f, self.forth)

    def collected(self, upstream: torch.Tensor) -> torch.Tensor:
        if not self.halves:
            return shared_product(upstream, self.back)
        plain, lower, upper = upstream.chunk(3, -1)
        lower, upper = self._turned(lower, upper)
        return plain + lower + upper

    def _turned(self, lower: torch.Tensor, upper: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The first one with Hadamards on the lower half of the wires, the other one on the upper half."""
        seeds, batch, size = lower.shape
        low, high = len(self.lower), len(self.upper)
        lower = shared_product(lower.reshape(seeds, batch * high, low), self.lower).view(seeds, batch, size)
        rows = upper.reshape(seeds * batch, high, low)
        return lower, torch.bmm(self.upper.expand(len(rows), -1, -1), rows).view(seeds, batch, size)


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)  # they are kept, and may be needed in a training later
def real_states(qubits: int, dtype: torch.dtype, device: torch.device) -> RealStates:
    """`RealStates`, made once."""
    return RealStates(qubits, dtype, device)


def bloch(amplitudes: torch.Tensor) -> torch.Tensor:
    """<X>, <Y> and <Z> of every wire, (3, S, B, Q), of real amplitudes (S, B, 2^Q) with norm 1."""
    sums = real_states(amplitudes.shape[-1].bit_length() - 1, amplitudes.dtype, amplitudes.device)
    extended = sums.extended(amplitudes)
    z, x = shared_product(extended * extended, sums.matrix)[..., :-1].chunk(2, -1)
    return torch.stack([x, torch.zeros_like(x), z])


def hadamard(wires: int) -> torch.Tensor:
    """The matrix (2^w, 2^w) of a Hadamard on each of so many wires, in 64 bits."""
    found = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(wires):
        found = torch.cat([torch.cat([found, found], 1), torch.cat([found, -found], 1)])
    return found / math.sqrt(len(found))
