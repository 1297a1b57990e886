"""<Z> on every wire of a real state after a circuit without gates between wires: v2's quantum layer, with its gradient.

No state has to be turned. In the Heisenberg picture the gates on wire k turn its Z instead, to n_k . (X, Y, Z) with a
unit vector n_k of the angles alone (`product.directions`). For amplitudes f / |f| therefore

    <Z_k> = (n_kz z_k + n_kx x_k) / N,   with the sums (z, x, N) = F^2 M of `real_states`, F being linear in f

and with g_k, the loss's gradient by <Z_k>,

    dL/dF   = 2 F * (G M^T),   G = (g n_z, g n_x, -sum_k g_k <Z_k>) / N,   and from F back to f
    dL/dn_k = sum over images of g_k (x_k, 0, z_k) / N,   n_k by an angle being [n(+pi/2) - n(-pi/2)] / 2, exactly.
"""

import math

import torch
from torch import nn

from qkdlib.circuits import GateList, product
from qkdlib.circuits.real_states import real_states
from qkdlib.rounding import shared_product
from qkdlib.students.encoders import SMALLEST


class WiresOfRealStates:
    """The link (`chain`) from features (S, B, 2^Q), encoded as amplitudes, to <Z> on each wire, (S, B, Q)."""

    def __init__(self, circuit: GateList, theta: nn.Parameter, needed: bool):
        self.circuit, self.theta, self.needed = circuit, theta, needed
        self.states = real_states(circuit.qubits, theta.dtype, theta.device)
        turning = [places for _, places in circuit.columns if places]
        self.columns = len(turning)
        self.places = torch.tensor(turning, dtype=torch.long, device=theta.device).flatten()  # column by column
        shifts = torch.zeros(1 + 2 * len(turning), 1, theta.shape[1])  # none, each column up, each column down
        for number, places in enumerate(turning):
            shifts[1 + number, 0, list(places)] = math.pi / 2
            shifts[1 + len(turning) + number, 0, list(places)] = -math.pi / 2
        self.shifts, self.two = shifts.to(theta), theta.new_tensor(2.0)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        x, _, z = product.directions(self.circuit, self.theta + self.shifts)  # (1 + 2 C, S, Q)
        self.n = torch.cat([z, x], -1)
        self.f = self.states.extended(features)
        sums = shared_product(self.f * self.f, self.states.matrix)  # (S, B, 2 Q + 1)
        self.sums, norm = sums[..., :-1], sums[..., -1:]
        blank = norm < SMALLEST**2
        self.blank = blank if blank.device.type != "cpu" or blank.any() else None  # a GPU would wait for the answer
        if self.blank is not None:  # |0...0>, of which z is 1 and x is 0
            ground = torch.cat([torch.ones_like(z[0]), torch.zeros_like(x[0])], -1).unsqueeze(1)
            self.sums, norm = torch.where(blank, ground, self.sums), torch.where(blank, 1.0, norm)
        self.scale = torch.reciprocal(norm)
        self.measured = self._of_wires(self.sums * self.n[0].unsqueeze(1)) * self.scale
        return self.measured

    def backward(self, upstream: torch.Tensor) -> torch.Tensor | None:
        g, c = upstream * self.scale, self.columns
        twice = torch.cat([g, g], -1)
        if c:
            slopes = self.n[1 : 1 + c] - self.n[1 + c :]  # (C, S, 2 Q), twice the derivatives
            found = self._of_wires((twice * self.sums).sum(1) * slopes) / self.two  # (C, S, Q)
            assert self.theta.grad is not None
            self.theta.grad.index_copy_(1, self.places, found.transpose(0, 1).flatten(1))
        if not self.needed:
            return None
        if self.blank is not None:  # whatever the features, up to the smallest norm
            g, twice = torch.where(self.blank, 0.0, g), torch.where(self.blank, 0.0, twice)
        along = (g * self.measured).sum(-1, keepdim=True)
        by_sums = torch.cat([twice * self.n[0].unsqueeze(1), -along], -1) * self.two
        return self.states.collected(self.f * shared_product(by_sums, self.states.transposed))

    def _of_wires(self, products: torch.Tensor) -> torch.Tensor:
        """The sum of what Z and X add, (..., Q) of (..., 2 Q)."""
        return products.unflatten(-1, (2, -1)).sum(-2)
