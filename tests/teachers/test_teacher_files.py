"""A teacher's file of logits: whose it is, damage, what 16 bits keep; and whose checkpoint is gone on from."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qkdlib import files, runtime, teachers
from qkdlib.experiment import Experiment, Teacher
from qkdlib.files import Damaged, DamagedFile
from qkdlib.images import datasets
from qkdlib.teachers import TeacherLogits, teacher_files, teacher_name
from qkdlib.teachers.teacher_files import without_offset
from qkdlib.workspace import Workspace

TASK = Experiment(
    dataset="digits", classes=(0, 1, 2), train_per_class=5, validation_per_class=2, test_per_class=5, epochs=1, seeds=1
)
LENET = Teacher(epochs=2, images_per_class=10, batch_size=16)
COMMITTED = sorted((Path(__file__).parents[2] / "results" / "teachers").glob("*.npz"))
LOGITS, EPOCHS = np.zeros((3, 6), np.float16), [{"test_accuracy": 0.5, "seconds": 1.0}]


def train(teacher: Teacher, workspace: Workspace, task: Experiment = TASK, **options) -> TeacherLogits:
    return teachers.train_teacher(task, teacher, datasets.splits(task), workspace, **options)


def path_of(teacher: Teacher, workspace: Workspace) -> Path:
    return teachers.logits_path(workspace, TASK, teacher)


def write(path: Path, history=EPOCHS, meta=(), text=None, **arrays) -> Path:
    """A teacher's file with some of its parts as given."""
    text = text or json.dumps({"history": history, "meta": dict(meta)})
    with open(path, "wb") as file:
        np.savez_compressed(file, **({"train": LOGITS, "test": LOGITS, "text": np.array(text)} | arrays))
    return path


# Whose a file is


def test_committed_files_are_those_of_their_names_and_would_be_saved_with_the_same_numbers():
    assert len(COMMITTED) >= 25
    for path in COMMITTED:
        logits = TeacherLogits.load(path)
        with np.load(path) as file:
            for name, kept in (("train", logits.train), ("test", logits.test)):
                assert np.array_equal(kept.numpy(), file[name].astype(np.float32))
                assert np.array_equal(without_offset(kept).numpy().astype(np.float16), file[name])


def test_a_file_copied_to_anothers_name_is_not_taken_for_the_others(workspace):
    other = dataclasses.replace(LENET, learning_rate=0.01)
    first = train(LENET, workspace)
    shutil.copy(path_of(LENET, workspace), path_of(other, workspace))
    with pytest.warns(DamagedFile, match=f"the file of another teacher, {teacher_name(TASK, LENET)}; set aside"):
        second = train(other, workspace)
    assert second.meta["teacher"]["learning_rate"] == 0.01 and not torch.equal(first.train, second.train)
    assert torch.equal(train(LENET, workspace).train, first.train)


@pytest.mark.parametrize("changes", [{"classes": (0, 1, 3)}, {"images": "0123456789ab"}])
def test_a_file_of_other_classes_or_images_has_another_name(changes):
    folder = dataclasses.replace(TASK, dataset="imagefolder:x")
    assert teacher_name(dataclasses.replace(folder, **changes), LENET) != teacher_name(folder, LENET)


def test_a_file_with_logits_of_other_images_is_set_aside(workspace):
    path = write(path_of(LENET, workspace), train=np.zeros((7, 3), np.float16), test=np.zeros((7, 3), np.float16))
    content = path.read_bytes()
    with pytest.warns(DamagedFile, match=rf"{path.name} is damaged: logits of shapes \[\(7, 3\), \(7, 3\)\]"):
        found = train(LENET, workspace)
    assert len(found.train) > 300 and path.with_name(f"{path.name}.damaged").read_bytes() == content


def test_images_of_a_folder_that_have_changed_have_another_teacher(tmp_path, workspace):
    for number in range(32):
        image = Image.fromarray(np.random.default_rng(number).integers(0, 255, (28, 28), dtype=np.uint8))
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    task = dataclasses.replace(TASK, dataset=f"imagefolder:{tmp_path / 'images'}", classes=(0, 1), test_per_class=3)
    teacher = Teacher(epochs=1)
    before = train(teacher, workspace, task)
    assert torch.equal(train(teacher, workspace, task).train, before.train)
    Image.fromarray(np.full((28, 28), 7, np.uint8)).save(path)
    after = train(teacher, workspace, task)
    assert not torch.equal(after.train, before.train) and len(list(workspace.teachers.glob("*.npz"))) == 2


def test_a_checkpoint_copied_to_anothers_name_is_not_gone_on_from(workspace, monkeypatch):
    other, started = dataclasses.replace(LENET, epochs=3), []
    expected = train(other, Workspace(workspace.folder("alone")))
    train(LENET, workspace)
    names = [workspace.checkpoints / f"{teacher_name(TASK, one)}.pt" for one in (LENET, other)]
    shutil.copy(*names)
    progress = runtime.progress
    monkeypatch.setattr(runtime, "progress", lambda **o: started.append(o["initial"]) or progress(**o))
    with pytest.warns(DamagedFile, match=f"{names[1].name} is damaged.*another training, '{names[0].stem}'"):
        found = train(other, workspace)
    assert started == [0] and len(found.history) == 3 and torch.equal(found.train, expected.train)


# Damage


def changed(**parts):
    return lambda path: write(path, **parts)


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1"),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:500] + b"\xff" * 9 + path.read_bytes()[509:]),
    "another array": changed(more=LOGITS),
    "pickled": changed(test=np.array([None])),
    "not finite": changed(train=np.full((3, 6), np.inf, np.float16)),
    "not a table": changed(train=np.zeros(18, np.float16)),
    "other classes": changed(test=np.zeros((3, 5), np.float16)),
    "other numbers": changed(train=np.zeros((3, 6), np.int64)),
    "no object": changed(text="[]"),
    "a list of facts": changed(text='{"history": [{"test_accuracy": 1}], "meta": []}'),
    "deep": changed(text="[" * 100_000),
    "no meta": changed(text='{"history": [{"test_accuracy": 1}]}'),
    "no history": changed(history=[]),
    "no accuracy": changed(history=[{"seconds": 1.0}]),
    "meta of nobody": changed(meta={"teacher": {"architecture": "resnet"}}),
    **{f"accuracy {value!r}": changed(history=[{"test_accuracy": value}])
       for value in (97.5, -0.1, float("nan"), 1e999, "0.5", True, None, [0.5], 10**400)},
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_an_error_that_names_it_in_one_line(tmp_path, kind):
    path = write(tmp_path / "digits_0-5_lenet_0123456789.npz", train=np.random.default_rng(0).normal(size=(300, 6))
                 .astype(np.float16))  # fmt: skip
    TeacherLogits.load(path)
    DAMAGE[kind](path)
    with pytest.raises(Damaged, match=f"^{path} is damaged: .") as error:
        TeacherLogits.load(path)
    assert isinstance(error.value, ValueError) and len(str(error.value).splitlines()) == 1
    with pytest.warns(DamagedFile, match=path.name):
        assert TeacherLogits.find(path) is None


def test_a_file_that_would_unpack_to_far_more_is_not_unpacked(workspace, monkeypatch):
    monkeypatch.setattr(files, "MOST_TEXT", 1 << 16)
    path = write(path_of(LENET, workspace), train=np.zeros((10**5, 3), np.float16))
    with pytest.warns(DamagedFile, match="would unpack to 60"):
        train(LENET, workspace)
    assert TeacherLogits.find(workspace.teachers / "none.npz") is None
    assert TeacherLogits.load(path).meta["trained_on"] == 30


@pytest.mark.parametrize("fresh", [False, True])
def test_a_damaged_file_is_set_aside_and_the_teacher_trained_again_to_the_same_logits(workspace, fresh):
    first, path = train(LENET, workspace), path_of(LENET, workspace)
    path.write_bytes(b"damaged")
    with pytest.warns(DamagedFile, match=f"{path.name} is damaged.*; set aside as {path.name}.damaged"):
        again = train(LENET, workspace, fresh=fresh)
    assert torch.equal(first.train, again.train)
    assert path.with_name(f"{path.name}.damaged").read_bytes() == b"damaged"


# 16 bits


def test_saved_logits_come_back_to_16_bits(tmp_path):
    logits = TeacherLogits(torch.randn(20, 6) * 10, torch.randn(9, 6), EPOCHS, {"a": [1]})
    logits.save(tmp_path / "t.npz")
    back = TeacherLogits.load(tmp_path / "t.npz")
    torch.testing.assert_close(back.train, logits.train, atol=0.02, rtol=0)
    assert back.train.dtype == torch.float32
    assert (back.history, back.meta) == (logits.history, logits.meta)


@given(scale=st.sampled_from([0.1, 3.0, 20.0, 5e3, 1e6]), offset=st.sampled_from([0, 20, 100, 3000, -40000, 1e6]),
       seed=st.integers(0, 99))  # fmt: skip
def test_saving_changes_no_probability_by_more_than_rounding_explains(tmp_path_factory, scale, offset, seed):
    plain = scale * torch.randn(50, 4, generator=torch.Generator().manual_seed(seed))
    given_ = plain + offset  # rounded by float32 itself
    path = tmp_path_factory.mktemp("saved") / "t.npz"
    TeacherLogits(given_, given_[:2], EPOCHS, {}).save(path)
    back = TeacherLogits.load(path).train
    atol = 0.01 if given_.abs().max() <= teacher_files.LARGEST_16 else 0.001
    for temperature in (1.0, 3.0, 10.0):
        expected, found = (torch.softmax(each.double() / temperature, 1) for each in (given_, back))
        torch.testing.assert_close(found, expected, atol=atol, rtol=0)
