"""An experiment that takes a moment, and its run."""

from qkdlib import pipeline
from qkdlib.experiment import Experiment
from qkdlib.records import Record
from qkdlib.workspace import Workspace

TINY = Experiment(
    dataset="digits", train_per_class=5, validation_per_class=2, test_per_class=5, epochs=1, batch_size=5, seeds=2,
    shots=200,
)  # fmt: skip


def run(experiment: Experiment, workspace: Workspace, **options) -> Record:
    return pipeline.run(experiment, workspace=workspace, device="cpu", **options)
