"""The trained students of a run can be had again, from their weights or by training them anew."""

import numpy as np
import pytest
import torch

import qkdlib
from qkdlib import trained, training
from qkdlib.files import DamagedFile
from qkdlib.records import outcomes
from qkdlib.students import Student
from qkdlib.study.v2 import revised

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


def test_one_of_the_trained_students_has_the_records_accuracy_once_it_is_saved_and_loaded(workspace, tmp_path):
    digits = qkdlib.splits(qkdlib.Experiment(dataset="digits", test_per_class=20, train_per_class=40))
    given = digits.train.x, digits.train.y, digits.test.x, digits.test.y
    dataset = qkdlib.images.from_arrays(*given, names=[f"digit {label}" for label in range(6)])
    task = revised.student(dataset, 4, "original", classes=(5, 3), train_per_class=20, validation_per_class=5,
                           test_per_class=20, seeds=2)  # fmt: skip
    record, test = qkdlib.run(task, workspace=workspace), qkdlib.splits(task).test
    qkdlib.trained_student(task, workspace=workspace).one(1).save(tmp_path / "student.safetensors")
    single = qkdlib.load_student(tmp_path / "student.safetensors")
    labels = torch.tensor(task.classes)[test.y]  # as the data set numbers them
    right = 100 * (single.predict(test.x) == labels).double().mean().item()
    assert outcomes(record.seeds[1])["last"] == pytest.approx(right, abs=1e-3)
    assert single.class_names == ("digit 5", "digit 3") and single.experiment == task


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
            trained.weights_path(task, workspace).unlink()
        student = qkdlib.trained_student(task, workspace=workspace)
        for seed, of_seed in enumerate(student(test.x)):
            right = 100 * (of_seed.argmax(-1) == test.y).double().mean().item()
            assert outcomes(record.seeds[seed])[kept] == pytest.approx(right, abs=1e-3)


def test_lost_weights_are_trained_again_to_the_same_numbers(workspace):
    qkdlib.run(TINY, workspace=workspace)
    images = qkdlib.splits(TINY).test.x
    before = qkdlib.trained_student(TINY, workspace=workspace)(images)
    trained.weights_path(TINY, workspace).unlink()
    assert torch.equal(qkdlib.trained_student(TINY, workspace=workspace)(images), before)


def test_weights_that_lack_a_seed_do_not_count(workspace):
    qkdlib.run(TINY, workspace=workspace)
    more = qkdlib.Experiment(**{**vars(TINY), "seeds": 3})
    assert qkdlib.trained_student(more, workspace=workspace).seeds == [0, 1, 2]


def test_weights_of_seeds_that_were_trained_before_stay(workspace, monkeypatch):
    images = qkdlib.splits(TINY).test.x
    qkdlib.run(TINY, workspace=workspace)
    more = qkdlib.Experiment(**{**vars(TINY), "seeds": 5})
    qkdlib.run(more, workspace=workspace)
    monkeypatch.setattr(training, "train_students", lambda *_: pytest.fail("trained again"))
    found = qkdlib.trained_student(more, workspace=workspace)(images)
    monkeypatch.undo()
    trained.weights_path(TINY, workspace).unlink()
    assert torch.equal(found, qkdlib.trained_student(more, workspace=workspace)(images))


def test_a_file_of_weights_does_not_grow_without_end(workspace, monkeypatch):
    monkeypatch.setattr("qkdlib.students.student.MOST_SEEDS", 2)
    path = workspace.checkpoints / "weights.npz"
    for seeds in ([0, 1, 2], [3], [4, 5], [0]):
        Student(TINY, (1, 28, 28), seeds).save_weights(path)
    with np.load(path) as file:
        assert file["seeds"].tolist() == [0, 4, 5]


def edited(path, **changes):
    """Change arrays of a file of weights; None takes one away."""
    with np.load(path) as file:
        arrays = {**dict(file), **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "a flipped bit": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "empty": lambda path: path.write_bytes(b""),
    "another experiment's": lambda path: edited(path, digest=np.array("0123456789")),
    "without seeds": lambda path: edited(path, seeds=None),
    "without a parameter": lambda path: edited(path, **{NAME: None}),
    "another shape": lambda path: edited(path, **{NAME: np.zeros((2, 3), np.float32)}),
    "another type": lambda path: edited(path, **{NAME: zeros().astype(np.float64)}),
    "not finite": lambda path: edited(path, **{NAME: zeros() + np.float32("nan")}),
    "too large": lambda path: edited(path, more=np.zeros(10**8, np.uint8)),
}
NAME = "reducer.hidden.bias"


def zeros() -> np.ndarray:
    student = Student(TINY, (1, 28, 28), [0, 1])
    return np.zeros(dict(student.named_parameters())[NAME].shape, np.float32)


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_weights_are_set_aside_and_the_students_trained_again(workspace, damage):
    qkdlib.run(TINY, workspace=workspace)
    images = qkdlib.splits(TINY).test.x
    before, path = qkdlib.trained_student(TINY, workspace=workspace)(images), trained.weights_path(TINY, workspace)
    damage(path)
    with pytest.warns(DamagedFile, match=f"{path.name} is damaged.*set aside as {path.name}.damaged"):
        again = qkdlib.trained_student(TINY, workspace=workspace)
    assert torch.equal(again(images), before)
    assert path.with_name(f"{path.name}.damaged").exists()
    assert torch.equal(qkdlib.trained_student(TINY, workspace=workspace)(images), before)  # from the new file


def test_weights_of_earlier_versions_hold_no_digest(workspace):
    qkdlib.run(TINY, workspace=workspace)
    path = trained.weights_path(TINY, workspace)
    edited(path, digest=None, **{NAME: zeros() + 7})
    student = qkdlib.trained_student(TINY, workspace=workspace)
    assert (dict(student.named_parameters())[NAME] == 7).all()


# Of which arm


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 2))


def all_weights(student: Student) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in student.parameters()])


@pytest.mark.filterwarnings("ignore::qkdlib.teachers.DoubtfulTeacher")
def test_the_student_is_that_of_the_call_that_made_it(workspace, monkeypatch):
    placebo = qkdlib.run(TINY, workspace=workspace)
    taught = qkdlib.run(TINY, teacher=network(), workspace=workspace)
    light = qkdlib.run(TINY, teacher=network(), kd_weight=0.2, workspace=workspace)
    monkeypatch.setattr(training, "train_students", lambda *_: pytest.fail("trained again"))
    given = [
        qkdlib.trained_student(record, workspace=workspace) for record in (placebo, taught, light, taught.experiment)
    ]
    given.append(qkdlib.trained_student(TINY, teacher=network(), workspace=workspace))
    given.append(qkdlib.trained_student(TINY, teacher=network(), kd_weight=0.2, workspace=workspace))
    names = [taught.experiment.name, light.experiment.name]
    with pytest.warns(UserWarning, match=f"{TINY.name} is the placebo.* taught ") as said:
        given.append(qkdlib.trained_student(TINY, workspace=workspace))
    assert len(said) == 1 and all(name in str(said[0].message) for name in names)
    weights = [all_weights(student) for student in given]
    same = [[torch.equal(one, other) for other in weights[:3]] for one in weights]
    of_placebo, of_taught, of_light = [True, False, False], [False, True, False], [False, False, True]
    assert same == [of_placebo, of_taught, of_light, of_taught, of_taught, of_light, of_placebo]


def test_a_student_that_was_never_trained_says_that_it_is_trained_now(workspace):
    with pytest.warns(UserWarning, match=f"{TINY.name}: there is no record of it; it is trained now"):
        student = qkdlib.trained_student(TINY, workspace=workspace)
    qkdlib.run(TINY, workspace=workspace, fresh=True)
    assert torch.equal(all_weights(qkdlib.trained_student(TINY, workspace=workspace)), all_weights(student))
