"""Circuits of one's own with every gate, drawn by hypothesis, and what Qiskit makes of them."""

import numpy as np
import torch
from hypothesis import strategies as st
from qiskit.quantum_info import Statevector

from qkdlib.circuit import GATES, Circuit

FEATURES, WEIGHTS = 3, 4


@st.composite
def angles(draw) -> str:
    factor = draw(st.floats(-3, 3).map(lambda value: round(value, 3)))
    symbol = draw(st.sampled_from([*(f"x[{i}]" for i in range(FEATURES)), *(f"w[{i}]" for i in range(WEIGHTS)), "pi"]))
    return draw(st.sampled_from([f"{factor}*{symbol}", symbol, f"-{symbol}", f"{symbol}/2", str(factor)]))


@st.composite
def own_circuits(draw, most_qubits: int = 4, most_gates: int = 15, names=tuple(GATES)) -> Circuit:
    """Up to so many gates on random wires; then every feature and every weight once more, so that none is left out."""
    qubits = draw(st.integers(1, most_qubits))
    lines = []
    for name in draw(st.lists(st.sampled_from([n for n in names if GATES[n][0] <= qubits]), max_size=most_gates)):
        wires = draw(st.permutations(range(qubits)))[: GATES[name][0]]
        turns = ", ".join(draw(angles()) for _ in range(GATES[name][1]))
        lines.append(f"{name}({turns}) {' '.join(map(str, wires))}" if turns else f"{name} {' '.join(map(str, wires))}")
    lines += [f"ry({kind}[{i}]) {i % qubits}" for kind, n in (("x", FEATURES), ("w", WEIGHTS)) for i in range(n)]
    return Circuit(qubits, lines)


def inputs(seeds: int = 2, images: int = 3, seed: int = 0, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (S, B, F) and weights (S, W)."""
    draw = torch.Generator().manual_seed(seed)
    shapes = ((seeds, images, FEATURES), (seeds, WEIGHTS))
    return tuple((torch.rand(shape, generator=draw, dtype=torch.float64) * 6 - 3).to(dtype) for shape in shapes)


def by_qiskit(circuit: Circuit, x: torch.Tensor, w: torch.Tensor) -> np.ndarray:
    """Qiskit's amplitudes (2^Q,) for the features (F,) and weights (W,) of one image and seed."""
    quantum = circuit.to_qiskit(measure=False)
    given = {"x": x.tolist(), "w": w.tolist()}
    return Statevector(quantum.assign_parameters({p: given[p.vector.name][p.index] for p in quantum.parameters})).data
