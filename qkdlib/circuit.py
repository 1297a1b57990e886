"""What a circuit of one's own is: a gate list as text, with features of the image and trained weights as angles.

A gate is a line such as `h 0`, `ry(x[2]) 1`, `crz(-0.5*w[0]) 0 1`: its name, its angles in radians, its wires (controls
first). An angle is a number (`pi/4`), a feature `x[i]` or a trained weight `w[j]`, with a factor before it or a divisor
behind it; a feature or a weight may turn several gates. So data re-uploading, shared angles and trained entanglers are
one thing, and a record can hold it.
"""

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from qkdlib import checks, circuit_translations

if TYPE_CHECKING:
    import torch
    from qiskit import QuantumCircuit

GATES = {  # name: (wires, angles)
    **dict.fromkeys(("x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "sxdg"), (1, 0)),
    **dict.fromkeys(("rx", "ry", "rz", "p"), (1, 1)),
    "u": (1, 3),
    **dict.fromkeys(("cx", "cy", "cz", "ch", "swap"), (2, 0)),
    **dict.fromkeys(("cp", "crx", "cry", "crz", "rxx", "ryy", "rzz"), (2, 1)),
    "ccx": (3, 0),
}
MOST_QUBITS, MOST_GATES = 16, 100_000
LINE = re.compile(r"\s*([a-z]+)\s*(?:\(([^()]*)\))?\s*(\d{1,99}(?:[\s,]+\d{1,99})*)\s*")
NUMBER, SYMBOL = r"\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?", r"pi|[xw]\[\d{1,99}\]"
ANGLE = re.compile(rf"([+-]?)\s*(?:({NUMBER})(?:\s*\*\s*({SYMBOL}))?|({SYMBOL}))(?:\s*/\s*({NUMBER}))?")


class Angle(NamedTuple):
    """`factor` times the feature (`x`) or the weight (`w`) at `place`; of no kind: `factor` radians."""

    kind: str
    place: int
    factor: float

    def __str__(self) -> str:
        if not self.kind:
            return repr(self.factor)
        sign = {1.0: "", -1.0: "-"}.get(self.factor, f"{self.factor!r}*")
        return f"{sign}{self.kind}[{self.place}]"


class Gate(NamedTuple):
    """One gate: its name, its angles, and the wires that it acts on, controls first."""

    name: str
    angles: tuple[Angle, ...]
    wires: tuple[int, ...]

    def __str__(self) -> str:
        angles = f"({', '.join(map(str, self.angles))})" if self.angles else ""
        return f"{self.name}{angles} {' '.join(map(str, self.wires))}"


@dataclass(frozen=True)
class Circuit:
    """A circuit of your own, on wires 0 to `qubits` - 1, from |0...0>.

        Circuit(2, ["h 0", "h 1", "ry(x[0]) 0", "ry(x[1]) 1", "crx(w[0]) 0 1", "rz(2*x[0]) 1"], measure=(1,))

    Args:
        qubits: from 1 to 16.
        gates: lines of text, as this module says; `GATES` has their names. They are kept in one way of writing.
        measure: the wires that are measured, the first being the least significant bit of an outcome; (): all wires.
        name: what tables call it; it is not part of what the circuit is, nor of an experiment's digest.

    Raises:
        ValueError: an unknown gate, too few or too many angles, a wire that is not there or stands twice, a place of
            features or weights that is left out.
    """

    qubits: int
    gates: Sequence[str]
    measure: Sequence[int] = ()
    name: str = field(default="circuit", compare=False, metadata={"digest": False})

    def __post_init__(self) -> None:
        keep = functools.partial(object.__setattr__, self)
        keep("qubits", checks.whole("circuit qubits", self.qubits, maximum=MOST_QUBITS))
        keep("name", checks.text("circuit name", self.name))
        lines = checks.members("gates", self.gates, "lines such as 'ry(x[0]) 1'", most=MOST_GATES)
        keep("gates", tuple(str(_parsed(_line(line), self.qubits)) for line in lines))
        measured = checks.members("measure", self.measure, "different wires, or () for all", most=MOST_QUBITS)
        keep("measure", tuple(checks.whole("measure", wire, 0, self.qubits - 1) for wire in measured))
        if len(set(self.measure)) < len(self.measure):
            checks.fail("measure", self.measure, "different wires, or () for all")
        if self.measure == tuple(range(self.qubits)):
            keep("measure", ())
        for kind, called in (("x", "features"), ("w", "weights")):
            places = {angle.place for gate in self.parsed for angle in gate.angles if angle.kind == kind}
            if left_out := set(range(max(places, default=-1) + 1)) - places:
                checks.fail(called, f"{kind}[{min(left_out)}]", f"every {kind}[i] from 0 to {max(places)} in some gate")

    @functools.cached_property
    def parsed(self) -> tuple[Gate, ...]:
        """The gates, taken apart."""
        return tuple(_parsed(line, self.qubits) for line in self.gates)

    @property
    def features(self) -> int:
        """How many features of an image it takes."""
        return self._count("x")

    @property
    def weights(self) -> int:
        """How many weights it has."""
        return self._count("w")

    @property
    def measured(self) -> tuple[int, ...]:
        """The measured wires, the least significant bit first."""
        return tuple(self.measure) or tuple(range(self.qubits))

    def _count(self, kind: str) -> int:
        return 1 + max((a.place for gate in self.parsed for a in gate.angles if a.kind == kind), default=-1)

    def to_qiskit(self, measure: bool = True) -> "QuantumCircuit":
        """A `qiskit.QuantumCircuit` with the `ParameterVector`s x and w."""
        return circuit_translations.to_qiskit(self, measure)

    def to_qasm3(self) -> str:
        """OpenQASM 3, with `input float[64] _x_0_`... for features and `_w_0_`... for weights."""
        from qiskit import qasm3

        return qasm3.dumps(self.to_qiskit())

    def to_torchquantum(self) -> "torch.nn.Module":
        """A TorchQuantum module whose `forward(device, x, w)` acts gate by gate on a `torchquantum.QuantumDevice`, with
        features `x` (N, F) and weights `w` (W,) or (N, W) in radians."""
        return circuit_translations.to_torchquantum(self)

    @classmethod
    def from_qiskit(
        cls, quantum: "QuantumCircuit", inputs: Any = (), weights: Any = None, name: str | None = None
    ) -> "Circuit":
        """A `qiskit.QuantumCircuit` whose parameters are features (`inputs`) and trained weights.

        Args:
            inputs: parameters, or a `ParameterVector`, in the order of the features.
            weights: the same of the weights; None: all other parameters, in Qiskit's order.
            name: by default the circuit's own.

        An angle may be a sum of numbers and of numbers times one parameter each. Barriers are left out; wires are
        measured that the circuit measures at its end, into the classical bits that give their order; without
        measurements all are. Blocks and other gates become those of `GATES`, up to a phase of the whole state.
        `ValueError`: a gate or an angle that is not allowed, a parameter of neither kind or of both, one that the
        circuit has not, a measurement before a gate.
        """
        gates, measure = circuit_translations.from_qiskit(quantum, inputs, weights)
        return cls(quantum.num_qubits, gates, measure, name or quantum.name)

    @classmethod
    def from_torchquantum(cls, module: Any, qubits: int | None = None, name: str = "torchquantum") -> "Circuit":
        """A TorchQuantum module, or an op list, as a circuit.

        Args:
            module: a `torchquantum.QuantumModule` with `n_wires`, which is run once, on a device alone: each trained
                parameter becomes a weight, whichever gates it turns, and all other angles numbers. Or a list of
                dictionaries as `GeneralEncoder` takes it (`func`, `wires`, `input_idx`: features) or as a device's
                `op_history` has it (`name`, `wires`, `params`, and `trainable`, each such angle a weight of its own).
            qubits: by default the module's, or as many as the list's wires need.

        `ValueError`: a gate that is not allowed, angles of a batch, or such as are computed from trained parameters.
        """
        gates, wires = circuit_translations.from_torchquantum(module, qubits, MOST_QUBITS)
        return cls(wires, gates, name=name)


def _line(line: object) -> str:
    if not isinstance(line, str) or not LINE.fullmatch(line):
        checks.fail("gate", line, "a line such as 'h 0', 'ry(x[2]) 1' or 'crz(-0.5*w[0]) 0 1'")
    return line


@functools.lru_cache(maxsize=100_000)
def _parsed(line: str, qubits: int) -> Gate:
    """The gate in a line, checked."""
    found = LINE.fullmatch(line)
    assert found is not None
    name, inside, numbers = found.groups()
    needs = GATES[checks.one_of("gate", name, GATES)]
    angles = tuple(_angle(text, line) for text in inside.split(",")) if inside else ()
    wires = tuple(map(int, re.split(r"[\s,]+", numbers)))
    if (len(wires), len(angles)) != needs or len(set(wires)) < len(wires):
        checks.fail("gate", line, f"{needs[0]} different wires and {needs[1]} angles for {name}")
    if max(wires) >= qubits:
        checks.fail("gate", line, f"wires from 0 to {qubits - 1} of {qubits} qubits")
    return Gate(name, angles, wires)


def _angle(text: str, line: str) -> Angle:
    found = ANGLE.fullmatch(text.strip())
    if found is None:
        checks.fail("gate", line, "angles such as 0.5, pi/4, x[0], -w[1], 2*x[0], w[3]/2")
    sign, number, of_number, alone, divisor = found.groups()
    factor, symbol = float(number or 1), of_number or alone or ""
    factor *= -1 if sign == "-" else 1
    if divisor is not None:
        factor = factor / float(divisor) if float(divisor) else math.inf
    if symbol == "pi":
        factor, symbol = factor * math.pi, ""
    place = int(symbol[2:-1]) if symbol else 0
    if not math.isfinite(factor) or place >= MOST_GATES:
        checks.fail("gate", line, f"finite angles, and places below {MOST_GATES:,}")
    return Angle(symbol[:1], place, factor)
