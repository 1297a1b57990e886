"""The trained students of a run can be had again, from their weights or by training them anew."""

import pytest
import torch

import qkdlib
from qkdlib import pipeline, revised
from qkdlib.records import outcomes

TINY = qkdlib.Experiment(
    dataset="digits", classes=(0, 1), train_per_class=6, validation_per_class=2, test_per_class=5,
    epochs=1, seeds=2, shots=20,
)  # fmt: skip


def test_trained_student_has_the_accuracy_of_its_record(workspace):
    record = qkdlib.run(TINY, workspace=workspace)
    student = qkdlib.trained_student(TINY, workspace=workspace)
    test = qkdlib.splits(TINY).test
    right = (student(test.x).argmax(-1) == test.y).float().mean(1)  # (S,)
    recorded = torch.tensor([record.seeds[seed]["test_accuracy"][-1] for seed in (0, 1)])
    assert torch.allclose(right, recorded, atol=1e-5)


@pytest.mark.parametrize("method", ["pca", "original", "angle"])
@pytest.mark.parametrize(("patience", "kept"), [(0, "last"), (1, "selected")])
def test_revised_student_has_the_weights_that_its_training_keeps(workspace, method, patience, kept):
    task = revised.student(
        "digits", 4, method, classes=(0, 1, 2), train_per_class=8, validation_per_class=4, test_per_class=20,
        epochs=5, seeds=3, patience=patience, learning_rate=0.1,
    )  # fmt: skip
    record, test = qkdlib.run(task, workspace=workspace), qkdlib.splits(task).test
    for lost in (False, True):
        if lost:
            pipeline._weights(task, workspace).unlink()
        student = qkdlib.trained_student(task, workspace=workspace)
        for seed, of_seed in enumerate(student(test.x)):
            right = 100 * (of_seed.argmax(-1) == test.y).double().mean().item()
            assert outcomes(record.seeds[seed])[kept] == pytest.approx(right, abs=1e-3)


def test_lost_weights_are_trained_again_to_the_same_numbers(workspace):
    qkdlib.run(TINY, workspace=workspace)
    images = qkdlib.splits(TINY).test.x
    before = qkdlib.trained_student(TINY, workspace=workspace)(images)
    pipeline._weights(TINY, workspace).unlink()
    assert torch.equal(qkdlib.trained_student(TINY, workspace=workspace)(images), before)


def test_weights_that_lack_a_seed_do_not_count(workspace):
    qkdlib.run(TINY, workspace=workspace)
    more = qkdlib.Experiment(**{**vars(TINY), "seeds": 3})
    assert qkdlib.trained_student(more, workspace=workspace).seeds == [0, 1, 2]


def test_damaged_weights_are_named(workspace):
    qkdlib.run(TINY, workspace=workspace)
    path = pipeline._weights(TINY, workspace)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=f"{path.name} is damaged"):
        qkdlib.trained_student(TINY, workspace=workspace)
