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
OURS = {theirs: name for name, theirs in NAMES.items()} | {"u1": "p", "h": "h"}  # which its op lists use, too
OF_U = (("p", 2), ("ry", 0), ("p", 1))  # U(theta, phi, lambda) as gates, each with the place of its angle, in turn
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
    inputs = _parameters("inputs", inputs, quantum)
    others = [parameter for parameter in quantum.parameters if parameter not in set(inputs)]
    weights = others if weights is None else _parameters("weights", weights, quantum)
    if twice := [parameter.name for parameter in weights if parameter in set(inputs)]:
        checks.fail("inputs + weights", twice[0], "every parameter of the circuit in one of both")
    symbols = {p: f"{kind}[{i}]" for kind, group in (("x", inputs), ("w", weights)) for i, p in enumerate(group)}
    if unbound := [p.name for p in quantum.parameters if p not in symbols]:
        checks.fail("inputs + weights", unbound[0], "every parameter of the circuit in one of both")
    known = {*NAMES, "measure", "barrier", "id"}
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
            checks.fail("gate", name, f"gates among {', '.join(NAMES)}")
        elif set(wires) & set(bits.values()):
            checks.fail("gate", f"{name} on wires {wires}", "no gate on a wire that has been measured")
        else:
            gates += _lines(name, [_terms(angle, symbols) for angle in step.operation.params], wires)
    return gates, tuple(bits[bit] for bit in sorted(bits))


def _parameters(called: str, given: Any, quantum: "QuantumCircuit") -> list:
    """Parameters of the circuit, in the order in which they are given."""
    from qiskit.circuit import Parameter

    allowed = "parameters of the circuit, each once, or a ParameterVector of such"
    left, found = list(quantum.parameters), list(checks.members(called, given, allowed, most=100_000))
    for each in found:
        if not isinstance(each, Parameter) or each not in left:
            checks.fail(called, getattr(each, "name", each), allowed)
        left.remove(each)
    return found


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
    if any(len(terms) > 1 for terms in angles):  # u, which is made of gates that add
        return [line for part, place in OF_U for line in _lines(part, [angles[place]], wires)]
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
            for name, values, count in (("x", x, circuit.features), ("w", w, circuit.weights)):
                if values.shape[-1] < count:
                    checks.fail(name, tuple(values.shape), f"a last axis of {count} for circuit {circuit.name}")
            if device.n_wires != circuit.qubits:
                checks.fail("device", f"{device.n_wires} wires", f"{circuit.qubits} wires for circuit {circuit.name}")
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


def from_torchquantum(module: Any, qubits: int | None, most: int) -> tuple[list[str], int]:
    """Gates as text and how many wires, `most` at most; see `Circuit.from_torchquantum`."""
    import torch

    ops, trained = module, None
    if not isinstance(module, (list, tuple)):
        qubits = getattr(module, "n_wires", None) if qubits is None else qubits
        if not isinstance(module, torch.nn.Module) or qubits is None:
            checks.fail("module", module, "a TorchQuantum module with n_wires (or qubits=...), or an op list")
        ops, trained = _run(module, checks.whole("qubits", qubits, maximum=most))
    weights: dict[object, int] = {}
    lines = [_line_of(op, weights, trained) for op in ops]
    return lines, 1 + max((wire for op in ops for wire in _wires(op)), default=0) if qubits is None else qubits


def _run(module: "torch.nn.Module", qubits: int) -> tuple[list[dict], set[float]]:
    """What a module does to a device, and the values that its trained parameters have meanwhile: each another one, by
    which it is known in every gate that it turns."""
    import torch

    from qkdlib.torchquantum_import import load

    parameters = [each for each in module.parameters() if each.requires_grad]
    before = [each.detach().clone() for each in parameters]
    sizes = [each.numel() for each in parameters]
    values = torch.randperm(2**20, generator=torch.Generator().manual_seed(0))[: sum(sizes)] / 2**20
    device = load().QuantumDevice(n_wires=qubits, bsz=1, record_op=True)
    try:
        with torch.no_grad():
            for parameter, value in zip(parameters, values.split(sizes) if sizes else (), strict=True):
                parameter.copy_(value.view_as(parameter))
        module(device)
    except Exception as error:  # a stranger's code
        raised = checks.line(error, 200)
        checks.fail("module", module, f"one that acts on a device alone, a batch of 1; it raised {raised}")
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)
    return device.op_history, set(values.tolist())


def _wires(op: dict) -> list[int]:
    wires = op["wires"] if isinstance(op["wires"], (list, tuple)) else [op["wires"]]
    return [checks.whole("op wires", wire, minimum=0) for wire in wires]


def _line_of(op: Any, weights: dict[object, int], trained: set[float] | None) -> str:
    """A line for one entry of an op list. `weights` has the places of those that came before, and gets this entry's;
    `trained`: the values by which trained parameters are known, if they are."""
    if not isinstance(op, dict) or not ("wires" in op and ("func" in op or "name" in op)):
        checks.fail("op", op, "a dictionary with wires and func or name")
    name = OURS[checks.one_of("op", str(op.get("func", op.get("name"))).lower(), OURS)]
    if op.get("input_idx"):
        angles = [f"x[{checks.whole('op input_idx', place, minimum=0)}]" for place in op["input_idx"]]
    else:
        values = op.get("params")
        values = [] if values is None else [values] if isinstance(values, (int, float)) else list(values)
        if any(not isinstance(value, (int, float)) or not math.isfinite(value) for value in values):
            checks.fail("op params", values, "finite angles of one circuit, not of a batch")
        angles = [repr(float(value)) for value in values]
        if op.get("trainable", False):
            if trained is not None and not trained.issuperset(values):
                checks.fail("op", name, "angles that are trained parameters, and not computed from them")
            keys = [object() if trained is None else value for value in values]
            angles = [f"w[{weights.setdefault(key, len(weights))}]" for key in keys]
    if op.get("inverse") and angles:
        checks.fail("op", op, "no inverse of a gate with angles; negate them")
    if op.get("inverse") and name in ("s", "t", "sx", "sdg", "tdg", "sxdg"):
        name = name.removesuffix("dg") if name.endswith("dg") else f"{name}dg"
    where = " ".join(map(str, _wires(op)))
    return f"{name}({', '.join(angles)}) {where}" if angles else f"{name} {where}"
