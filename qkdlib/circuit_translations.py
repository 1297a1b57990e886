"""Circuits of one's own to Qiskit and TorchQuantum, and back. `Circuit` has these as methods."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from qkdlib import checks

if TYPE_CHECKING:
    import torch
    from qiskit import QuantumCircuit

NAMES = {  # TorchQuantum's
    "x": "paulix", "y": "pauliy", "z": "pauliz", "h": "hadamard", "p": "phaseshift", "u": "u3", "cx": "cnot",
    "ch": "chadamard", "cp": "cu1", "ccx": "toffoli",
    **{name: name for name in (
        "s", "sdg", "t", "tdg", "sx", "sxdg", "rx", "ry", "rz", "cy", "cz", "swap", "crx", "cry", "crz", "rxx", "ryy",
        "rzz",
    )},
}  # fmt: skip
OURS = {theirs: name for name, theirs in NAMES.items()} | {"u1": "p"}
ADDITIVE = ("rx", "ry", "rz", "p", "cp", "crx", "cry", "crz", "rxx", "ryy", "rzz")  # G(a + b) = G(a) G(b)


class Described(Protocol):
    """What a `Circuit` shows of itself."""

    @property
    def qubits(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def features(self) -> int: ...
    @property
    def weights(self) -> int: ...
    @property
    def measured(self) -> tuple[int, ...]: ...
    @property
    def parsed(self) -> tuple[Any, ...]: ...


def to_qiskit(circuit: Described, measure: bool) -> "QuantumCircuit":
    """See `Circuit.to_qiskit`."""
    from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
    from qiskit.circuit import ParameterVector

    vectors = {"x": ParameterVector("x", circuit.features), "w": ParameterVector("w", circuit.weights)}
    quantum = QuantumCircuit(QuantumRegister(circuit.qubits, "q"), name=circuit.name)
    for gate in circuit.parsed:
        angles = [a.factor * vectors[a.kind][a.place] if a.kind else a.factor for a in gate.angles]
        getattr(quantum, gate.name)(*angles, *gate.wires)
    if measure:
        quantum.add_register(ClassicalRegister(len(circuit.measured), "meas"))
        quantum.barrier()
        quantum.measure(circuit.measured, range(len(circuit.measured)))
    return quantum


def from_qiskit(quantum: "QuantumCircuit", inputs: Any, weights: Any) -> tuple[list[str], tuple[int, ...]]:
    """Gates as text and measured wires; see `Circuit.from_qiskit`."""
    from qiskit import QuantumCircuit, transpile

    if not isinstance(quantum, QuantumCircuit):
        checks.fail("circuit", quantum, "a qiskit.QuantumCircuit")
    inputs = list(inputs)
    weights = [p for p in quantum.parameters if p not in set(inputs)] if weights is None else list(weights)
    symbols = {p: f"{kind}[{i}]" for kind, group in (("x", inputs), ("w", weights)) for i, p in enumerate(group)}
    if unbound := [p.name for p in quantum.parameters if p not in symbols]:
        checks.fail("inputs + weights", unbound[0], "every parameter of the circuit in one of both")
    known = {*OURS.values(), "measure", "barrier", "id"}
    if not set(quantum.count_ops()) <= known:  # a library's blocks, and gates that Qiskit writes in others
        quantum = transpile(quantum, basis_gates=sorted(known - {"measure", "barrier"}), optimization_level=0)
    gates: list[str] = []
    bits: dict[int, int] = {}
    for step in quantum.data:
        name, wires = step.operation.name, [quantum.find_bit(qubit).index for qubit in step.qubits]
        if name == "measure":
            bits[quantum.find_bit(step.clbits[0]).index] = wires[0]
        elif name in ("barrier", "id"):
            continue
        elif name not in known:
            checks.fail("gate", name, f"gates among {', '.join(sorted(OURS.values()))}")
        elif set(wires) & set(bits.values()):
            checks.fail("gate", f"{name} on wires {wires}", "no gate on a wire that has been measured")
        else:
            gates += _lines(name, [_terms(angle, symbols) for angle in step.operation.params], wires)
    return gates, tuple(bits[bit] for bit in sorted(bits))


def _terms(angle: Any, symbols: dict) -> list[str]:
    """An angle as the terms of its sum, each a number or a number times a symbol."""
    parameters = list(getattr(angle, "parameters", ()))
    if not parameters:
        return [repr(float(angle))]
    slopes = [angle.gradient(parameter) for parameter in parameters]
    if not all(isinstance(slope, (int, float)) for slope in slopes):
        checks.fail("angle", str(angle), "a sum of numbers, each times at most one parameter")
    terms = [f"{float(slope)!r}*{symbols[p]}" for slope, p in zip(slopes, parameters, strict=True)]
    offset = float(angle.bind(dict.fromkeys(parameters, 0.0)))
    return sorted(terms) + ([repr(offset)] if offset else [])


def _lines(name: str, angles: list[list[str]], wires: Sequence[int]) -> list[str]:
    """The gate; one with a sum of terms for its angle is a gate for each of them."""
    where = " ".join(map(str, wires))
    if name in ADDITIVE:
        return [f"{name}({term}) {where}" for term in angles[0]]
    if any(len(terms) > 1 for terms in angles):
        checks.fail("gate", f"{name}({', '.join('+'.join(terms) for terms in angles)})", "no sums as angles of u")
    return [f"{name}({', '.join(term for (term,) in angles)}) {where}" if angles else f"{name} {where}"]


def to_torchquantum(circuit: Described) -> "torch.nn.Module":
    """See `Circuit.to_torchquantum`."""
    from qkdlib.torchquantum_import import load

    tq = load()

    class Module(tq.QuantumModule):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.n_wires = circuit.qubits

        def forward(self, device: Any, x: "torch.Tensor", w: "torch.Tensor") -> None:
            import torch

            given = {"x": x, "w": w}
            for gate in circuit.parsed:
                ones = torch.ones(device.bsz, device=x.device)
                columns = [a.factor * (given[a.kind][..., a.place] if a.kind else 1.0) * ones for a in gate.angles]
                apply(tq, device, gate.name, gate.wires, torch.stack(columns, -1) if columns else None)

    return Module()


def apply(tq: Any, device: Any, name: str, wires: Iterable[int], angles: "torch.Tensor | None" = None) -> None:
    """One gate by TorchQuantum on its device, with `angles` (N, k) in radians. Its own CH, CU1 and Toffoli fail (0.1.8
    and 0.2.0): these are matrices, and a controlled phase is CRZ and a phase of the control."""
    wires = list(wires)
    if name == "cp" and angles is not None:
        tq.functional.phaseshift(device, wires=wires[:1], params=angles / 2)
        tq.functional.crz(device, wires=wires, params=angles)
    elif name in ("ch", "ccx"):
        from qiskit.circuit import library

        # Qiskit's matrices have the first wire in the least significant digit, TorchQuantum's in the most.
        matrix = {"ch": library.CHGate, "ccx": library.CCXGate}[name]().to_matrix()
        digits = [int(f"{i:0{len(wires)}b}"[::-1], 2) for i in range(len(matrix))]
        tq.functional.qubitunitaryfast(device, wires=wires, params=matrix[digits][:, digits])
    else:
        getattr(tq.functional, NAMES[name])(device, wires=wires, params=angles)


def from_torchquantum(module: Any, qubits: int | None) -> tuple[list[str], int]:
    """Gates as text and how many wires; see `Circuit.from_torchquantum`."""
    ops = module
    if not isinstance(module, (list, tuple)):
        wires = qubits or getattr(module, "n_wires", None)
        if not callable(module) or wires is None:
            checks.fail("module", module, "a TorchQuantum module with n_wires (or qubits=...), or an op list")
        from qkdlib.torchquantum_import import load

        device = load().QuantumDevice(n_wires=wires, bsz=1, record_op=True)
        module(device)
        ops, qubits = device.op_history, wires
    lines: list[str] = []
    weights = 0
    for op in ops:
        line, taken = _line_of(op, weights)
        lines.append(line)
        weights += taken
    most = max((int(wire) for line in lines for wire in line.rpartition(")")[2].split() if wire.isdigit()), default=0)
    return lines, qubits or most + 1


def _line_of(op: Any, weights: int) -> tuple[str, int]:
    """A line for one entry of an op list, and how many weights it takes, the next one being `weights`."""
    if not isinstance(op, dict) or not ("wires" in op and ("func" in op or "name" in op)):
        checks.fail("op", op, "a dictionary with wires and func or name")
    theirs = str(op.get("func", op.get("name"))).lower()
    name = OURS[checks.one_of("op", theirs, OURS)]
    wires = op["wires"] if isinstance(op["wires"], (list, tuple)) else [op["wires"]]
    where = " ".join(str(int(wire)) for wire in wires)
    taken = 0
    if op.get("input_idx"):
        angles = [f"x[{int(place)}]" for place in op["input_idx"]]
    else:
        values = op.get("params")
        values = [] if values is None else [values] if isinstance(values, (int, float)) else list(values)
        if any(not isinstance(value, (int, float)) or not math.isfinite(value) for value in values):
            checks.fail("op params", values, "finite angles of one circuit, not of a batch")
        trained = op.get("trainable", False)
        taken = len(values) if trained else 0
        angles = [f"w[{weights + i}]" if trained else repr(float(value)) for i, value in enumerate(values)]
        if op.get("inverse") and angles:
            checks.fail("op", op, "no inverse of a gate with angles; negate them")
    if op.get("inverse") and name in ("s", "t", "sx", "sdg", "tdg", "sxdg"):
        name = name.removesuffix("dg") if name.endswith("dg") else f"{name}dg"
    return (f"{name}({', '.join(angles)}) {where}" if angles else f"{name} {where}"), taken
