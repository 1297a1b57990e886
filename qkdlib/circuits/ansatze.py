"""Named circuits, as data: the two ansaetze of the papers, and three that peers use. Each is a function that returns a
`qkdlib.Circuit`; `compiled` makes of any such circuit the gate list that simulators take.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from qkdlib import checks
from qkdlib.circuit import MOST_QUBITS, Angle, Circuit
from qkdlib.circuit import Gate as Written
from qkdlib.circuit_translations import OF_U
from qkdlib.circuits.gatelist import Gate, GateList
from qkdlib.experiment import Experiment
from qkdlib.experiment_checks import ENTANGLERS, RINGS


def _check(qubits: int, layers: int, entangler: str = "none") -> None:
    """`ValueError`: one of the arguments is not allowed."""
    checks.whole("qubits", qubits, maximum=MOST_QUBITS)
    checks.whole("layers", layers)
    checks.one_of("entangler", entangler, ENTANGLERS)


def ring(entangler: str, qubits: int, reach: int = 1) -> list[str]:
    """Wire k with wire k + `reach`, counted around; on two wires the one gate that there is."""
    if entangler == "none" or qubits < 2:
        return []
    name = {"ring_cnot": "cx", "ring_cz": "cz"}[entangler]
    return [f"{name} {wire} {(wire + reach) % qubits}" for wire in range(qubits if qubits > 2 else 1)]


def _column(name: str, qubits: int, kind: str, first: int) -> list[str]:
    """One gate on every wire, of angles that follow each other."""
    return [f"{name}({kind}[{first + wire}]) {wire}" for wire in range(qubits)]


def h_ry(qubits: int, layers: int = 1, entangler: str = "none") -> Circuit:
    """Hadamard on every wire, then `layers` times RY(theta_k) on wire k and the entangler (v1, section 4.4 and
    Fig. 5, where there is one layer and no entangler)."""
    _check(qubits, layers, entangler)
    gates = [f"h {wire}" for wire in range(qubits)]
    for layer in range(layers):
        gates += _column("ry", qubits, "w", layer * qubits) + ring(entangler, qubits)
    return Circuit(qubits, gates, name="h_ry")


def rx_ry_rz(qubits: int, layers: int = 1, entangler: str = "none") -> Circuit:
    """`layers` times RX, RY and RZ with an angle each on every wire, then the entangler (v2, Fig. 1, where there is
    one layer and no entangler). Angles count by layer, then by column, then by wire."""
    return Circuit(qubits, _turned(("rx", "ry", "rz"), qubits, layers, entangler), name="rx_ry_rz")


def _turned(names: tuple[str, ...], qubits: int, layers: int, entangler: str) -> list[str]:
    _check(qubits, layers, entangler)
    gates: list[str] = []
    for layer in range(layers):
        for place, name in enumerate(names):
            gates += _column(name, qubits, "w", (len(names) * layer + place) * qubits)
        gates += ring(entangler, qubits)
    return gates


def basic_entangler(qubits: int, layers: int = 1) -> Circuit:
    """`layers` times RX on every wire, then a ring of CNOTs (PennyLane's `BasicEntanglerLayers`)."""
    return Circuit(qubits, _turned(("rx",), qubits, layers, "ring_cnot"), name="basic_entangler")


def strongly_entangling(qubits: int, layers: int = 1) -> Circuit:
    """`layers` times RZ RY RZ on every wire, then CNOTs from wire k to wire k + r, r = 1, 2, ... Q - 1 by layer (Schuld
    et al. 2020, arXiv:1804.00633; PennyLane's `StronglyEntanglingLayers`)."""
    _check(qubits, layers)
    gates: list[str] = []
    for layer in range(layers):
        for place, name in enumerate(("rz", "ry", "rz")):
            gates += _column(name, qubits, "w", (3 * layer + place) * qubits)
        gates += ring("ring_cnot", qubits, 1 + layer % max(1, qubits - 1))
    return Circuit(qubits, gates, name="strongly_entangling")


def reuploading(qubits: int, layers: int = 1) -> Circuit:
    """Data re-uploading (Perez-Salinas et al. 2020, arXiv:1907.02085): `layers` times RX(x_k) on every wire k, then
    trained RZ and RY, then a ring of CNOTs. Each layer has the same Q features."""
    _check(qubits, layers)
    gates: list[str] = []
    for layer in range(layers):
        gates += _column("rx", qubits, "x", 0)
        gates += _column("rz", qubits, "w", 2 * layer * qubits) + _column("ry", qubits, "w", (2 * layer + 1) * qubits)
        gates += ring("ring_cnot", qubits)
    return Circuit(qubits, gates, name="reuploading")


CIRCUITS: dict[str, Callable[..., Circuit]] = {
    "h_ry": h_ry, "rx_ry_rz": rx_ry_rz, "basic_entangler": basic_entangler,
    "strongly_entangling": strongly_entangling, "reuploading": reuploading,
}  # fmt: skip


def named(ansatz: str, qubits: int, layers: int = 1, entangler: str = "none") -> Circuit:
    """The circuit called `ansatz` on `qubits` wires."""
    checks.one_of("ansatz", ansatz, CIRCUITS)
    checks.one_of("entangler", entangler, ENTANGLERS if ansatz in RINGS else ("none",))
    return CIRCUITS[ansatz](qubits, layers, entangler) if ansatz in RINGS else CIRCUITS[ansatz](qubits, layers)


def described(experiment: Experiment) -> Circuit:
    """The experiment's circuit: its own one, or the one that it names."""
    if isinstance(experiment.ansatz, Circuit):
        return experiment.ansatz
    return named(experiment.ansatz, experiment.qubits, experiment.layers, experiment.entangler)


def build(ansatz: str, qubits: int, layers: int = 1, entangler: str = "none") -> GateList:
    """The gate list of the circuit called `ansatz`: its angles are features and weights in the order of the gates."""
    return compiled(named(ansatz, qubits, layers, entangler))[0]


@dataclass(frozen=True)
class Binding:
    """How the angles of a gate list follow from features and weights: angle k is `factors[k]` times the `places[k]`-th
    of both, features first, plus `numbers[k]`."""

    features: int
    weights: int
    places: tuple[int, ...]
    factors: tuple[float, ...]
    numbers: tuple[float, ...]

    def angles(self, features: torch.Tensor | None, weights: torch.Tensor) -> torch.Tensor:
        """Angles (S, B, A) in radians of features (S, B, F) and weights (S, W); (S, A) without features."""
        values = weights
        if features is not None:
            values = torch.cat([features, weights[:, None].expand(-1, features.shape[1], -1)], -1)
        if self.is_plain:
            return values
        if not self.features + self.weights:  # numbers alone
            return values.new_tensor(self.numbers).expand(*values.shape[:-1], -1)
        places = torch.tensor(self.places, device=values.device)
        return values.index_select(-1, places) * values.new_tensor(self.factors) + values.new_tensor(self.numbers)

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether the angles are features and weights as they are."""
        given = self.features + self.weights
        return self.places == tuple(range(given)) and set(self.factors) <= {1.0} and not any(self.numbers)


def compiled(circuit: Circuit) -> tuple[GateList, Binding]:
    """The gate list of a circuit, with an angle of its own for every angle of every gate, and how those follow from
    features and weights. U and CH, which not every simulator has, are written in others, of the same matrix."""
    return _compiled(circuit, circuit.name)


@functools.lru_cache(maxsize=256)
def _compiled(circuit: Circuit, called: str) -> tuple[GateList, Binding]:  # circuits of two names may be equal
    gates: list[Gate] = []
    places: list[int] = []
    factors: list[float] = []
    numbers: list[float] = []
    for gate in circuit.parsed:
        for name, angles, wires in _parts(gate):
            gates.append(Gate(name, wires, len(places) if angles else None))
            for angle in angles:
                places.append(angle.place + (circuit.features if angle.kind == "w" else 0) if angle.kind else 0)
                factors.append(angle.factor if angle.kind else 0.0)
                numbers.append(0.0 if angle.kind else angle.factor)
    listed = GateList(called, circuit.qubits, tuple(gates))
    binding = Binding(circuit.features, circuit.weights, tuple(places), tuple(factors), tuple(numbers))
    return listed, binding


def _parts(gate: Written) -> list[tuple[str, tuple[Angle, ...], tuple[int, ...]]]:
    """Name, angles and wires of the gates that make up one."""
    if gate.name == "u":
        return [(name, (gate.angles[place],), gate.wires) for name, place in OF_U]
    if gate.name == "ch":
        target = gate.wires[1:]
        turns = [[(name, (), target) for name in names] for names in (("s", "h", "t"), ("tdg", "h", "sdg"))]
        return [*turns[0], ("cx", (), gate.wires), *turns[1]]
    return [(gate.name, gate.angles, gate.wires)]
