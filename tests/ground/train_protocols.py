"""Run by test_portable: trains every protocol for 60 steps in a process of its own, and writes what came out.

Arguments: for each way of computing a file to write, `mkldnn` or `none`, and how many threads.
"""

import sys

import torch
from protocols import PROTOCOLS, experiment, teacher_logits, train, weights

from qkdlib import portable
from qkdlib.experiment import Teacher
from qkdlib.images import splits
from qkdlib.teachers import train_teacher
from qkdlib.workspace import Workspace


def all_protocols(folder: str) -> dict[str, dict[str, torch.Tensor]]:
    """Weights and training losses of two seeds of every student; logits and loss of a teacher, which leaves its files
    in `folder`."""
    found = {}
    more = {"revised, ten classes": {**PROTOCOLS["revised"], "classes": range(10)}}
    for name, fields in (PROTOCOLS | more).items():
        task = experiment(batch_size=1, **fields).distilled(Teacher())
        student, results = train(task, [3, 9], teacher_logits(task))
        values = torch.cat([weights(student, place) for place in (0, 1)])
        found[name] = {"weights": values, "loss": torch.tensor([seed["train_loss"] for seed in results])}
    task = experiment()
    lenet = train_teacher(task, Teacher(epochs=3), splits(task), Workspace(folder), "cpu")
    found["teacher lenet"] = {"weights": lenet.train, "loss": torch.tensor([lenet.history[-1]["train_loss"]])}
    return found


if __name__ == "__main__":
    for path, mkldnn, threads in zip(*[iter(sys.argv[1:])] * 3, strict=True):
        torch.backends.mkldnn.enabled = mkldnn == "mkldnn"
        torch.set_num_threads(int(threads))
        torch.save({"found": all_protocols(f"{path}.workspace"), "facts": portable.facts()}, path)
