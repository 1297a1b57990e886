"""A training step of students of every kind on a device that is not the CPU, where there is none: tensors that know
their device and hold no numbers. Run in a process of its own, because what the library keeps would be such tensors.

It prints JSON: for each case `error` ("" if there was none) and, in the order in which they came, the `copies` between
the devices of one step, each as the place in the library and the numbers that it moves."""

import json
import sys
import traceback
from pathlib import Path

import qkdlib  # isort: skip  # first, for the portable mode
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from qkdlib.backends.samplers import Multinomial
from qkdlib.circuit import Circuit
from qkdlib.experiment import Experiment
from qkdlib.images.datasets import Images, Splits
from qkdlib.students import Student
from qkdlib.training.student_training import StudentTraining

DEVICE = "meta"  # CUDA would look for a driver in the backward pass
SHAPE, COUNT, SEEDS = (1, 28, 28), 24, [0, 1]
LIBRARY = str(Path(qkdlib.__file__).parent)
DESCRIBED = {"reducer": "fully_connected", "encoder": "amplitude_tanh", "head": "renormalised", "dropout": 0.0}
REVISED = {
    "reducer": "fully_connected", "encoder": "amplitude", "ansatz": "rx_ry_rz", "readout": "pauli_z", "head": "linear",
    "dropout": 0.0, "qubits": 4, "batch_size": 4,
}  # fmt: skip
PLAIN = {**REVISED, "encoder": "ansatz_angles", "readout": "outcomes", "head": "softmax"}
GATES = (
    "h 0", "rx(x[0]) 0", "u(w[0], 2*w[1], 0.3) 1", "cp(w[2]) 0 1", "ccx 0 1 2", "rxx(w[3]) 1 2", "ryy(w[4]) 0 2",
    "rzz(x[1]) 0 1", "swap 0 2", "sx 0", "t 1", "y 2", "cy 1 2", "ch 0 2", "x 1", "s 0", "crx(w[5]) 2 0",
)  # fmt: skip
WIRES = Circuit(3, [gate for gate in GATES if not gate.startswith("crx")], measure=(0, 2), name="own")
CASES = {
    "published": {},
    "published, batches": {"batch_size": 4, "activation": "leaky_relu"},
    "published shift": {"gradient": "published_shift"},
    "parameter shift": {"gradient": "parameter_shift", "noise": "amplitude_damping", "noise_level": 0.1},
    "sampled": {"gradient": "published_shift", "sampler": "multinomial", "shots": 100},
    "readout noise": {"noise": "readout", "noise_level": 0.1},
    "entangled": {"entangler": "ring_cnot", "layers": 2},
    "described": DESCRIBED,
    "revised": REVISED,
    "large": {**REVISED, "qubits": 8},
    "two layers": {**REVISED, "entangler": "ring_cz", "layers": 2},
    "eight wires, two layers": {**REVISED, "qubits": 8, "entangler": "ring_cnot", "layers": 2},
    "angle": {**REVISED, "encoder": "angle"},
    "angle, entangled": {**REVISED, "encoder": "angle", "entangler": "ring_cnot", "layers": 2},
    "qubit": {**REVISED, "encoder": "qubit"},
    "depolarising": {**REVISED, "noise": "depolarising", "noise_level": 0.1},
    "damping": {**REVISED, "entangler": "ring_cnot", "noise": "amplitude_damping", "noise_level": 0.1},
    "shifts of an encoded state": {**REVISED, "gradient": "parameter_shift"},
    "strongly entangling": {**REVISED, "ansatz": "strongly_entangling", "layers": 2},
    "basic entangler": {**PLAIN, "ansatz": "basic_entangler"},
    "re-uploading": {**PLAIN, "ansatz": "reuploading", "layers": 2},
    "own circuit": {**PLAIN, "ansatz": Circuit(3, GATES, measure=(0, 2), name="own"), "qubits": 3},
    "own circuit, noise": {**PLAIN, "ansatz": WIRES, "qubits": 3, "noise": "depolarising", "noise_level": 0.1},
    "own circuit, shifts": {**PLAIN, "ansatz": WIRES, "qubits": 3, "gradient": "parameter_shift"},
    "controlled, shifts": {
        **PLAIN,
        "ansatz": Circuit(3, GATES, name="own"),
        "qubits": 3,
        "gradient": "parameter_shift",
    },
    "twin": {**REVISED, "ansatz": "classical"},
    "linear twin": {**REVISED, "ansatz": "classical_linear"},
    "published twin": {"ansatz": "classical"},
    "TorchQuantum": {**REVISED, "engine": "torchquantum"},
    "average pool": {**REVISED, "reducer": "avg_pool"},
    "max pool": {**REVISED, "reducer": "max_pool", "encoder": "angle"},
    "crop": {**REVISED, "reducer": "center_crop"},
    "pca": {**REVISED, "reducer": "pca", "encoder": "qubit"},
    "dkd": {**REVISED, "kd_loss": "dkd"},
    "rkd": {**REVISED, "kd_loss": "rkd"},
    "no divergence": {**REVISED, "kd_loss": "none"},
    "sgd": {**REVISED, "optimizer": "sgd"},
    "rmsprop": {**REVISED, "optimizer": "rmsprop"},
    "adagrad": {**REVISED, "optimizer": "adagrad"},
    "chosen on validation": {**REVISED, "tested": "at_end", "patience": 1},
}


class Copies(TorchDispatchMode):
    """Notes copies between devices, and indices that lie on another device than what they index."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, kinds, given=(), named=None):
        result = function(*given, **(named or {}))
        tensors = [each for each in given if isinstance(each, torch.Tensor)]
        if function.overloadpacket._qualified_op_name in ("aten::index", "aten::index_put_", "aten::index_put"):
            tensors += [each for each in given[1] if isinstance(each, torch.Tensor)]
        tensors += [result] if isinstance(result, torch.Tensor) else []
        if len({each.device.type for each in tensors}) > 1 and max(each.ndim for each in tensors):
            frames = [f for f in traceback.extract_stack() if f.filename.startswith(LIBRARY)]
            place = f"{frames[-1].filename[len(LIBRARY) + 1 :]}:{frames[-1].name}" if frames else "elsewhere"
            self.found.append([place, max(each.numel() for each in tensors)])
        return result


def splits(classes: int) -> Splits:
    def images(count: int) -> Images:
        return Images(torch.rand(count, *SHAPE), torch.arange(count) % classes, torch.arange(count))

    train, validation, test, of_teacher = images(COUNT), images(6), images(6), images(COUNT + 6)
    return Splits(train, validation, test, of_teacher, test, tuple(map(str, range(classes))))


def move(student: Student, device: str) -> Student:
    """`student.to(device)`, which changes tensors in place, as these cannot be."""
    for module in student.modules():
        for name, each in module._parameters.items():
            module._parameters[name] = torch.nn.Parameter(each.detach().to(device)) if each is not None else None
        for name, each in module._buffers.items():
            module._buffers[name] = each.to(device) if each is not None else None
    return student


def step(fields: dict, mode: FakeTensorMode) -> list:
    """The copies between devices of one training step, after an evaluation."""
    experiment = Experiment(**{"classes": (0, 1, 2, 3), "seeds": len(SEEDS), "qubits": 3, **fields})
    # What the library keeps of a circuit is read off numbers, which those tensors lack.
    Student(experiment, SHAPE, SEEDS).fit_reducer(torch.rand(COUNT, *SHAPE))(torch.rand(1, *SHAPE))
    with mode:
        parts = splits(len(experiment.classes))
        training = StudentTraining(experiment, 1e-3, parts, torch.rand(COUNT + 6, 4), SEEDS, DEVICE)
        training.student.eval()
        with torch.inference_mode():
            training.student.logits(training.test.x)
        training.student.train()
        rows = torch.zeros(len(SEEDS), experiment.batch_size, dtype=torch.long, device=DEVICE)
        masks = training.student.reducer.masks
        keep = torch.ones(*rows.shape, masks, device=DEVICE) if masks else None
        with Copies() as copies, torch.no_grad():
            training.step(rows, keep)
        for name, parameter in training.student.named_parameters():
            assert parameter.device.type == parameter.grad.device.type == DEVICE, name
    return copies.found


def main() -> None:
    Student.to = move
    # What needs numbers is left out: where the student's images are, and the samples themselves.
    Splits.students_rows = lambda parts: [torch.arange(len(parts.train)), torch.arange(len(parts.validation))]
    Multinomial.frequencies = lambda sampler, exact: exact.detach()
    sys.modules["torch.optim.optimizer"]._get_fused_kernels_supported_devices = lambda: [DEVICE, "cpu"]
    found, mode = {}, FakeTensorMode(allow_non_fake_inputs=True)
    for name, fields in CASES.items():
        try:
            found[name] = {"error": "", "copies": step(fields, mode)}
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)
            place = [f"{f.filename[len(LIBRARY) + 1 :]}:{f.lineno}" for f in where if f.filename.startswith(LIBRARY)]
            found[name] = {"error": f"{type(error).__name__}: {error} at {place[-1:]}", "copies": []}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
