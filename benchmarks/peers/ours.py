"""This library in the place of a peer, run by the project's own Python."""

import json
import sys
from pathlib import Path

import protocol


def steps(path: Path) -> None:
    """Train epochs on the inputs' images when asked."""
    import torch

    from qkdlib import runtime, torch_settings
    from qkdlib.experiment import from_dict
    from qkdlib.images.datasets import Images, Splits
    from qkdlib.training.student_training import StudentTraining

    runtime.start("cpu")
    inputs = protocol.read(path)
    labels = torch.from_numpy(inputs.labels).long()
    images = Images(torch.from_numpy(inputs.images), labels, torch.arange(len(labels)))
    few = images.take(range(10))
    parts = Splits(images, few, few, images, few, tuple("0123456789"))
    experiment = from_dict(inputs.experiment)
    with torch_settings.one_thread(), torch_settings.plain_torch():
        training = StudentTraining(
            experiment, experiment.learning_rate, parts, torch.from_numpy(inputs.teacher),
            list(range(experiment.seeds)), "cpu",
        )  # fmt: skip
        training.student.train()

        def train(epochs: int) -> None:
            for _ in range(epochs):
                training.epoch()

        protocol.answer(train)


def whole(path: Path) -> None:
    """Run the experiment in a workspace that holds its teacher's logits, and write the kept accuracies."""
    import qkdlib
    from qkdlib import files
    from qkdlib.experiment import from_dict

    job = json.loads(path.read_text())
    experiment = from_dict(job["experiment"])
    record = qkdlib.run(experiment, workspace=job["workspace"], device="cpu", aer_seeds=0)
    accuracies = [kept(each, experiment.patience) for each in record.seeds.values()]
    files.write_text(Path(job["results"]), json.dumps({"test_accuracy": accuracies}))


def kept(curves: dict, patience: int) -> float:
    """Test accuracy of the weights that a training keeps: its last epoch's, with patience the best one's."""
    tested = [accuracy for accuracy in curves["test_accuracy"] if accuracy is not None]
    return tested[0] if patience else tested[-1]


if __name__ == "__main__":
    {"steps": steps, "whole": whole}[sys.argv[1]](Path(sys.argv[2]))
