"""A run of students that is killed or interrupted half-way keeps what it has: run again, it trains only the rest, and
leaves the record that it would have left."""

import dataclasses
import os
import signal
from pathlib import Path

import children
import pytest

from qkdlib.records import find
from qkdlib.workspace import Workspace

EPOCHS = 6
LONG = dataclasses.replace(children.TASK, epochs=EPOCHS, seeds=3)
CHOOSING = dataclasses.replace(LONG, tested="at_end", patience=EPOCHS, learning_rates=(0.001, 0.01))
SAMPLED = dataclasses.replace(LONG, gradient="published_shift", sampler="multinomial")
MANY = dataclasses.replace(children.TASK, seeds=4)
TASKS = {"published": LONG, "choosing": CHOOSING, "sampled": SAMPLED}


def watched(experiment, root: Path, ends_with: int = 0, epoch: int = 0, fresh: bool = False) -> dict:
    """Run, kept after every epoch; in the given one, counted from 1, get a signal. Returns the results of all seeds,
    the weights, and how many epochs were trained."""
    from qkdlib import pipeline
    from qkdlib.training import checkpoints, student_training

    signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background it is ignored
    checkpoints.SECONDS, checkpoints.SHARE, begun = 0.0, 1e9, []
    trained = student_training.StudentTraining.epoch

    def counted(self, number, advance):
        begun.append(number)
        if len(begun) == epoch:
            os.kill(os.getpid(), ends_with)
        trained(self, number, advance)

    student_training.StudentTraining.epoch = counted
    record = pipeline.run(experiment, workspace=Workspace(root), device="cpu", fresh=fresh)
    student = pipeline.trained_student(record, workspace=Workspace(root), device="cpu")
    return {
        "seeds": {str(seed): results for seed, results in record.seeds.items()},
        "weights": [parameter.tolist() for parameter in student.parameters()],
        "epochs": len(begun),
        "left": sorted(path.suffix for path in Workspace(root).checkpoints.iterdir()),
    }


@pytest.fixture(scope="module")
def undisturbed(parent, tmp_path_factory) -> dict[str, dict]:
    found = {}
    for name, task in TASKS.items():
        [(_, found[name])] = parent.submit(children.together, [(watched, task, tmp_path_factory.mktemp(name))]).result()
    return found


@pytest.mark.parametrize("ends_with", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("name", TASKS)
def test_a_run_that_ends_half_way_goes_on_from_there(parent, undisturbed, tmp_path, name, ends_with):
    whole = undisturbed[name]
    half = whole["epochs"] // 2
    [(ended, found)] = parent.submit(
        children.together, [(watched, TASKS[name], tmp_path, ends_with, half + 1)]
    ).result()
    assert found is None and ended == (ends_with if ends_with == signal.SIGKILL else 0)
    assert list(Workspace(tmp_path).students.iterdir()) == []
    [(_, again)] = parent.submit(children.together, [(watched, TASKS[name], tmp_path)]).result()
    assert again == {**whole, "epochs": whole["epochs"] - half}
    assert ".pt" not in again["left"]  # nothing is left of what is not needed any more


def executing(root: Path, killed_at: int = 0) -> dict:
    """Run, what has been executed being saved at once; be killed when so many seeds have begun. Returns the results of
    all seeds, the provenance without times, and the seeds whose execution began."""
    from qkdlib import backends, execution, pipeline
    from qkdlib.randomness import number

    execution.SECONDS, begun, sample = 0.0, [], backends.sample

    def counted(circuit, angles, shots, seed, *more, **options):
        begun.append(next(each for each in range(9) if number(each, "shots") == seed))
        if len(begun) == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return sample(circuit, angles, shots, seed, *more, **options)

    backends.sample = counted
    record = pipeline.run(MANY, workspace=Workspace(root), device="cpu")
    seeds = {str(seed): results for seed, results in record.seeds.items()}
    return {"seeds": seeds, "begun": begun, "waiting": record.unexecuted(), "entries": len(record.provenance)}


def test_an_execution_that_ends_half_way_executes_only_the_rest(parent, tmp_path):
    [(_, whole)] = parent.submit(children.together, [(executing, tmp_path / "whole")]).result()
    assert whole["begun"] == [0, 1, 2, 3] and whole["waiting"] == []
    [(ended, _)] = parent.submit(children.together, [(executing, tmp_path / "cut", 3)]).result()
    cut = find(MANY, Workspace(tmp_path / "cut"))
    assert ended == signal.SIGKILL and [entry["unexecuted"] for entry in cut.unexecuted()] == [[2, 3]]
    [(_, again)] = parent.submit(children.together, [(executing, tmp_path / "cut")]).result()
    assert again == {**whole, "begun": [2, 3]}


def test_a_fresh_run_does_not_go_on_from_what_was_interrupted(parent, undisturbed, tmp_path):
    parent.submit(children.together, [(watched, LONG, tmp_path, signal.SIGKILL, 4)]).result()
    [(_, fresh)] = parent.submit(children.together, [(watched, LONG, tmp_path, 0, 0, True)]).result()
    assert fresh == undisturbed["published"]


def test_more_seeds_than_were_interrupted_start_anew(parent, undisturbed, tmp_path):
    fewer = dataclasses.replace(LONG, seeds=2)
    parent.submit(children.together, [(watched, fewer, tmp_path, signal.SIGKILL, 4)]).result()
    [(_, found)] = parent.submit(children.together, [(watched, LONG, tmp_path)]).result()
    assert found["seeds"] == undisturbed["published"]["seeds"] and found["epochs"] == EPOCHS
