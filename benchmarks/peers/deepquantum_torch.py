"""DeepQuantum on PyTorch: a batch of amplitudes as the circuit's state; seeds one after the other."""

import sys
from pathlib import Path

import deepquantum as dq
import numpy as np
import protocol
import torch
from torch import nn
from torch.nn import functional

KD_WEIGHT, TEMPERATURE = 0.9, 3.0


class Student(nn.Module):
    """v2's student of one seed, with given weights."""

    def __init__(self, weights: dict[str, np.ndarray]):
        super().__init__()
        given = {name: torch.from_numpy(value) for name, value in weights.items()}
        qubits = len(given["theta"]) // 3
        self.reducer = _linear(given["reducer.out.weight"], given["reducer.out.bias"])
        self.head = _linear(given["head.weight"], given["head.bias"])
        self.circuit = dq.QubitCircuit(qubits)
        wires = list(range(qubits))[::-1]  # the library's wire 0 is the most significant one
        for name, angles in zip(("rx", "ry", "rz"), given["theta"].view(3, qubits), strict=True):
            for wire, angle in zip(wires, angles, strict=True):
                getattr(self.circuit, name)(wire)
                next(iter(self.circuit.operators[-1].parameters())).data.fill_(float(angle))
        for wire in wires:
            self.circuit.observable(wire)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, 10) of images (B, 784)."""
        self.circuit(state=dq.amplitude_encoding(self.reducer(images), self.circuit.nqubit))
        return self.head(self.circuit.expectation())


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data.copy_(weight)
    layer.bias.data.copy_(bias)
    return layer


def loss(logits: torch.Tensor, labels: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """CE + 0.9 T^2 KL(teacher || student) at T = 3."""
    softened = functional.log_softmax(teacher / TEMPERATURE, -1)
    student = functional.log_softmax(logits / TEMPERATURE, -1)
    divergence = functional.kl_div(student, softened, reduction="batchmean", log_target=True)
    return functional.cross_entropy(logits, labels) + KD_WEIGHT * TEMPERATURE**2 * divergence


def main(path: Path) -> None:
    """The losses of the first three steps, then epochs when asked."""
    torch.set_num_threads(1)
    inputs = protocol.read(path)
    batch, rate = inputs.experiment["batch_size"], inputs.experiment["learning_rate"]
    images, labels = torch.from_numpy(inputs.images).flatten(1), torch.from_numpy(inputs.labels).long()
    teacher = torch.from_numpy(inputs.teacher)
    students = [
        Student({name: each[seed] for name, each in inputs.weights.items()})
        for seed in range(inputs.experiment["seeds"])
    ]
    optimizers = [torch.optim.Adam(student.parameters(), rate, fused=True) for student in students]

    def step(place: int, rows: torch.Tensor) -> torch.Tensor:
        optimizers[place].zero_grad()
        found = loss(students[place](images[rows]), labels[rows], teacher[rows])
        found.backward()
        optimizers[place].step()
        return found.detach()

    first = [
        [step(place, rows).item() for rows in torch.from_numpy(inputs.rows[place]).split(batch)]
        for place in range(len(students))
    ]

    def train(epochs: int) -> None:
        for _ in range(epochs):
            for place in range(len(students)):
                for rows in torch.randperm(len(labels)).split(batch):
                    step(place, rows)

    protocol.answer(train, first)


if __name__ == "__main__":
    main(Path(sys.argv[2]))
