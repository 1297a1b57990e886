"""Noise on a quantum computer's gates and read-out: what is meant by it, in our simulators and in Qiskit Aer's.

Noise acts on every wire of a gate, after the gate, as the circuit is written down (CH as the CNOT and the gates on one
wire that it is made of). RZ and the other diagonal gates on
one wire have none: devices turn frames in their place.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from qkdlib import checks

MOST = {"none": 0.0, "depolarising": 1.0, "amplitude_damping": 1.0, "readout": 0.5}  # the highest level of each kind
NOISY_GATES = {
    1: ("h", "sx", "sxdg", "rx", "ry", "x", "y"),
    2: ("cx", "cz", "cy", "swap", "cp", "rxx", "ryy", "rzz"),
    3: ("ccx",),
}
QUIET_GATES = ("rz", "p", "z", "s", "sdg", "t", "tdg")
PURE_GATES = ("crx", "cry", "crz")  # which Aer has for states and not for density matrices


@dataclass(frozen=True)
class Noise:
    """One kind of noise, and how much of it.

    `depolarising`: after a gate on n wires, rho -> (1 - level) rho + level I / 2^n. `amplitude_damping`: after a gate,
    each of its wires falls from |1> to |0> with chance `level`. `readout`: each measured bit is flipped with chance
    `level`, which is at most 0.5. `none`: level 0. `ValueError`: another kind or level.
    """

    kind: str = "none"
    level: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", checks.one_of("noise", self.kind, MOST))
        level = checks.real("noise_level", self.level)
        if level > MOST[self.kind]:
            checks.fail("noise_level", self.level, f"a number from 0 to {MOST[self.kind]:g} for noise {self.kind}")
        object.__setattr__(self, "level", level)

    def __str__(self) -> str:
        return f"{self.kind} {self.level:g}" if self.kind != "none" else self.kind

    @property
    def is_ideal(self) -> bool:
        """Whether nothing happens."""
        return self.level == 0

    def bloch(self) -> tuple[float, float, float]:
        """(a, b, c): what a noisy gate on one wire adds is x -> a x, y -> a y, z -> b z + c."""
        keep = 1 - self.level
        if self.kind == "depolarising":
            return keep, keep, 0.0
        if self.kind == "amplitude_damping":
            return keep**0.5, keep, self.level
        return 1.0, 1.0, 0.0

    def check_gates(self, names: Iterable[str]) -> None:
        """`ValueError`: noise on gates, and one of these that it cannot act on."""
        if self.level and self.kind != "readout" and (pure := sorted(set(names) & set(PURE_GATES))):
            allowed = f"none or readout for a circuit with {pure[0]}; write it as rotations and CNOTs"
            checks.fail("noise", self.kind, allowed)

    @property
    def flips(self) -> float:
        """Chance that a measured bit is flipped."""
        return self.level if self.kind == "readout" else 0.0


IDEAL = Noise()
