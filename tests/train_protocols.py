"""Run by test_portable: trains every protocol for 60 steps in a process of its own and writes what came out."""

import sys

from test_training import PROTOCOLS, experiment, teacher_logits, train

if __name__ == "__main__":
    import torch

    from qkdlib import portable
    from qkdlib.experiment import Teacher
    from qkdlib.images import datasets
    from qkdlib.teachers import teacher_training
    from qkdlib.workspace import Workspace

    path, mkldnn, threads = sys.argv[1:]
    torch.backends.mkldnn.enabled = mkldnn == "mkldnn"
    torch.set_num_threads(int(threads))
    found = {}
    more = {"revised, ten classes": {**PROTOCOLS["revised"], "classes": range(10)}}
    for name, fields in (PROTOCOLS | more).items():
        task = experiment(batch_size=1, **fields).distilled(Teacher())
        student, results = train(task, [3, 9], teacher_logits(task))
        values = [parameter.detach().flatten() for parameter in student.parameters()]
        found[name] = {"weights": torch.cat(values), "loss": torch.tensor([seed["train_loss"] for seed in results])}
    task = experiment()
    lenet = teacher_training.train_teacher(
        task, Teacher(epochs=3), datasets.splits(task), Workspace(f"{path}.workspace"), "cpu"
    )
    found["teacher lenet"] = {"weights": lenet.train, "loss": torch.tensor([lenet.history[-1]["train_loss"]])}
    torch.save({"found": found, "facts": portable.facts()}, path)
