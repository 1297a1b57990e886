"""<Z> on every wire of a real state after a circuit without gates between wires: v2's quantum layer, with its gradient.

No state has to be turned. In the Heisenberg picture the gates on wire k turn its Z instead, to n_k . (X, Y, Z) with a
unit vector n_k of the angles alone (`product.directions`). A real state has <Y_k> = 0, so that for amplitudes f / |f|

    <Z_k> = (n_kz z_k + n_kx x_k) / N,   z_k = sum_i s_ki f_i^2,   x_k = sum_i s_ki h_i^2,   N = sum_i f_i^2

where s_ki = +-1 is the sign of Z_k, and h are the amplitudes after a Hadamard on wire k, and on any others: X is Z seen
from there. A product with fixed numbers gives F = (f, h), with Hadamards on all wires; for many wires two smaller ones
give F = (f, l, u), with Hadamards on the lower and on the upper half of them. So the sums (z, x, N) are F^2 M with a
fixed matrix M, and with g_k, the loss's gradient by <Z_k>,

    dL/dF   = 2 F * (G M^T),   G = (g n_z, g n_x, -sum_k g_k <Z_k>) / N,   and by f back through the products
    dL/dn_k = sum over images of g_k (x_k, 0, z_k) / N,   n_k by an angle being [n(+pi/2) - n(-pi/2)] / 2, exactly.
"""

import math

import torch
from torch import nn

from qkdlib.circuits import GateList, product
from qkdlib.students.encoders import SMALLEST

WHOLE = 5  # qubits of which one product with (f, h) is cheaper than two smaller ones


class WiresOfRealStates:
    """The link (`chain`) from features (S, B, 2^Q), encoded as amplitudes, to <Z> on each wire, (S, B, Q)."""

    def __init__(self, circuit: GateList, theta: nn.Parameter, signs: torch.Tensor, needed: bool):
        self.circuit, self.theta, self.needed, self.qubits = circuit, theta, needed, signs.shape[1]
        turning = [places for _, places in circuit.columns if places]
        self.columns = len(turning)
        self.places = torch.tensor(turning, dtype=torch.long, device=signs.device).flatten()  # column by column
        shifts = torch.zeros(1 + 2 * len(turning), 1, theta.shape[1])  # none, each column up, each column down
        for number, places in enumerate(turning):
            shifts[1 + number, 0, list(places)] = math.pi / 2
            shifts[1 + len(turning) + number, 0, list(places)] = -math.pi / 2
        self.shifts = shifts.to(signs)
        self.amplitudes = Halves(signs, len(theta)) if self.qubits > WHOLE else Whole(signs, len(theta))
        z = torch.cat([signs, torch.zeros_like(signs), torch.ones_like(signs[:, :1])], 1)
        zero = torch.zeros_like(signs)
        x = [torch.cat([zero, signs * wires, zero[:, :1]], 1) for wires in self.amplitudes.seen]
        matrix = torch.cat([z, *x])  # (2 or 3 times 2^Q, 2 Q + 1)
        self.matrix, self.transposed = shared(matrix, len(theta)), shared(matrix.T.contiguous(), len(theta))
        self.two = signs.new_tensor(2.0)

    def forward(self, features: torch.Tensor, keep: None = None) -> torch.Tensor:
        x, _, z = product.directions(self.circuit, self.theta + self.shifts)  # (1 + 2 C, S, Q)
        self.n = torch.cat([z, x], -1)
        self.f = self.amplitudes.forward(features)
        sums = torch.bmm(self.f * self.f, self.matrix)  # (S, B, 2 Q + 1)
        self.sums, norm = sums[..., :-1], sums[..., -1:]
        blank = norm < SMALLEST**2
        self.blank = blank if blank.device.type != "cpu" or blank.any() else None  # a GPU would wait for the answer
        if self.blank is not None:  # |0...0>, of which z is 1 and x is 0
            ground = torch.cat([torch.ones_like(z[0]), torch.zeros_like(x[0])], -1).unsqueeze(1)
            self.sums, norm = torch.where(blank, ground, self.sums), torch.where(blank, 1.0, norm)
        self.scale = torch.reciprocal(norm)
        self.measured = (self.sums * self.n[0].unsqueeze(1)).unflatten(-1, (2, self.qubits)).sum(-2) * self.scale
        return self.measured

    def backward(self, upstream: torch.Tensor) -> torch.Tensor | None:
        g, c = upstream * self.scale, self.columns
        twice = torch.cat([g, g], -1)
        if c:
            slopes = self.n[1 : 1 + c] - self.n[1 + c :]  # (C, S, 2 Q), twice the derivatives
            found = ((twice * self.sums).sum(1) * slopes).unflatten(-1, (2, self.qubits)).sum(-2)  # (C, S, Q)
            assert self.theta.grad is not None
            self.theta.grad.index_copy_(1, self.places, (found / self.two).transpose(0, 1).flatten(1))
        if not self.needed:
            return None
        if self.blank is not None:  # whatever the features, up to the smallest norm
            g, twice = torch.where(self.blank, 0.0, g), torch.where(self.blank, 0.0, twice)
        along = (g * self.measured).sum(-1, keepdim=True)
        by_sums = torch.cat([twice * self.n[0].unsqueeze(1), -along], -1) * self.two
        return self.amplitudes.backward(self.f * torch.bmm(by_sums, self.transposed))


class Whole:
    """F = (f, h) of f (S, B, 2^Q), by one product. `seen`: of each part but f, which wires have a Hadamard."""

    def __init__(self, signs: torch.Tensor, seeds: int):
        outcomes, qubits = signs.shape
        matrix = torch.cat([torch.eye(outcomes).to(signs), hadamard(qubits).to(signs)], 1)
        self.matrix, self.transposed = shared(matrix, seeds), shared(matrix.T.contiguous(), seeds)
        self.seen = [signs.new_ones(qubits)]

    def forward(self, f: torch.Tensor) -> torch.Tensor:
        return torch.bmm(f, self.matrix)

    def backward(self, upstream: torch.Tensor) -> torch.Tensor:
        return torch.bmm(upstream, self.transposed)


class Halves:
    """F = (f, l, u), by two products; as `Whole`."""

    def __init__(self, signs: torch.Tensor, seeds: int):
        qubits, low = signs.shape[1], signs.shape[1] // 2
        self.lower, self.upper = shared(hadamard(low).to(signs), seeds), hadamard(qubits - low).to(signs)
        of_low = (torch.arange(qubits, device=signs.device) < low).to(signs)
        self.seen = [of_low, 1 - of_low]

    def forward(self, f: torch.Tensor) -> torch.Tensor:
        return torch.cat([f, *self._turned(f, f)], -1)

    def backward(self, upstream: torch.Tensor) -> torch.Tensor:
        plain, lower, upper = upstream.chunk(3, -1)
        lower, upper = self._turned(lower, upper)
        return plain + lower + upper

    def _turned(self, lower: torch.Tensor, upper: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seeds, batch, size = lower.shape
        low, high = self.lower.shape[-1], self.upper.shape[-1]
        lower = torch.bmm(lower.reshape(seeds, batch * high, low), self.lower).view(seeds, batch, size)
        rows = upper.reshape(seeds * batch, high, low)
        return lower, torch.bmm(shared(self.upper, len(rows)), rows).view(seeds, batch, size)


def shared(matrix: torch.Tensor, count: int) -> torch.Tensor:
    """One matrix for each of so many products, without a copy."""
    return matrix.expand(count, -1, -1)


def hadamard(wires: int) -> torch.Tensor:
    """The matrix (2^w, 2^w) of a Hadamard on each of so many wires."""
    found = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(wires):
        found = torch.cat([torch.cat([found, found], 1), torch.cat([found, -found], 1)])
    return found / math.sqrt(len(found))
