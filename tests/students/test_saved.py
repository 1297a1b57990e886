"""Saved students: what is loaded is what was saved, and everything else is one clear line."""

import json
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

import qkdlib
from qkdlib import parts
from qkdlib.circuit import Circuit
from qkdlib.experiment import Experiment, Teacher
from qkdlib.files import Damaged
from qkdlib.students import Student, load_student
from qkdlib.students.single import KEY, SingleStudent
from qkdlib.students.stacked import StackedLinear

GREY = (1, 16, 16)
REVISED = {"readout": "pauli_z", "head": "linear", "dropout": 0.0, "ansatz": "rx_ry_rz", "entangler": "ring_cz"}
KINDS = {
    "published": {"classes": (0, 2, 5)},
    "taught": {"teacher": Teacher(architecture="lenet", epochs=3), "kd_weight": 0.5, "learning_rate": 0.003},
    "amplitude": {"reducer": "fully_connected", "encoder": "amplitude", **REVISED},
    "pca": {"reducer": "pca", "encoder": "qubit", "qubits": 4, **REVISED},
    "published pca": {"reducer": "pca", "dropout": 0.0},
    "own circuit": {
        "reducer": "fully_connected",
        **REVISED,
        "entangler": "none",
        "ansatz": Circuit(2, ["ry(x[0]) 0", "ry(x[1]/2) 1", "crx(w[0]) 0 1", "ry(w[1]) 0"], (1,), name="mine"),
    },
    "twin": {"ansatz": "classical", "classes": (0, 1, 2)},
}


def images(count: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, *GREY, generator=torch.Generator().manual_seed(seed))


def single(kind: str, seed: int = 0) -> SingleStudent:
    student = Student(Experiment(**KINDS[kind]), GREY, [seed, seed + 1]).fit_reducer(images(40)).eval()
    student.class_names = tuple(f"kind {label}" for label in student.experiment.classes)
    return student.one(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_student_is_the_saved_one(tmp_path, kind):
    saved, x = single(kind, seed=4), images(6)
    saved.train().save(tmp_path / "folder" / "student.safetensors")
    loaded = qkdlib.load_student(str(tmp_path / "folder" / "student.safetensors"))
    assert torch.equal(loaded(x), saved.eval()(x)) and not loaded.training
    assert (loaded.experiment, loaded.seed, loaded.shape) == (saved.experiment, 4, GREY)
    assert loaded.class_names == saved.class_names
    assert loaded.state_dict().keys() == saved.state_dict().keys()
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "folder" / "student.safetensors").read_bytes()


class Scaled(nn.Module):
    """A reducer of one's own, with a buffer."""

    def __init__(self, shape, features, generators, dropout):
        super().__init__()
        self.layer = StackedLinear(shape[1], features, generators)
        self.register_buffer("scale", torch.full((1,), 2.0))

    def forward(self, images, keep=None):
        rows = self.scale * images.mean((-3, -1))
        return self.layer(rows if rows.ndim == 3 else rows.expand(len(self.layer.weight), -1, -1))


def test_a_student_with_a_part_of_ones_own_needs_that_part(tmp_path, monkeypatch):
    for known in ("_registered", "_latest"):
        monkeypatch.setattr(parts, known, {})
    qkdlib.register("reducer", "scaled", version="1", code=Scaled)
    fields = KINDS["amplitude"] | {"reducer": "scaled"}
    saved = Student(Experiment(**fields), GREY, [0]).eval().one(0)
    saved.student.reducer.scale.fill_(3.0)
    saved.save(tmp_path / "student")
    assert torch.equal(load_student(tmp_path / "student")(images(3)), saved(images(3)))
    parts._registered.clear()
    with pytest.raises(ValueError, match="student: .*scaled@1.* is not allowed"):
        load_student(tmp_path / "student")


def test_a_student_in_64_bits_stays_one(tmp_path):
    saved, x = single("published").double(), images(3)
    saved.save(tmp_path / "student")
    assert torch.equal(load_student(tmp_path / "student")(x), saved(x))


def test_a_loaded_student_can_be_trained_on(tmp_path):
    single("amplitude").save(tmp_path / "student")
    loaded, x = load_student(tmp_path / "student"), images(6)
    nn.functional.cross_entropy(loaded(x), torch.arange(6)).backward()
    assert all(parameter.grad is not None for parameter in loaded.parameters())


def test_safetensors_reads_it_without_this_library(tmp_path):
    saved = single("pca")
    saved.save(tmp_path / "student")
    found = load_file(tmp_path / "student")
    assert found.keys() == saved.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in saved.state_dict().items())
    content = (tmp_path / "student").read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    said = json.loads(header["__metadata__"][KEY])
    assert said["experiment"]["reducer"] == "pca" and said["qkdlib"] == qkdlib.__version__


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    single("amplitude").save(tmp_path / "student")
    before = (tmp_path / "student").read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        single("amplitude", seed=9).save(tmp_path / "student")
    assert (tmp_path / "student").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


# What is no student


def changed(path, tensors=None, **changes) -> None:
    """Write the file again with other tensors, or with another description of itself."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    said = json.loads(header["__metadata__"][KEY]) | changes
    found = load_file(path) | (tensors or {})
    kept = {name: value for name, value in found.items() if value is not None}
    save_file(kept, path, {KEY: json.dumps({name: value for name, value in said.items() if value is not None})})


BIAS, AXES = "student.head.bias", "student.reducer.axes"
VERSIONS = {
    "format": ({"format": 2}, "version='format 2, numerics 1, saved by qkdlib .*allowed: format 1, numerics 1"),
    "numerics": ({"numerics": 0}, "version='format 1, numerics 0"),
    "neither": ({"format": None, "numerics": None}, "version='format None, numerics None"),
    "field": ({"experiment": {"colour": "red"}}, r"experiment fields=\['colour'\] is not allowed"),
    "part": ({"experiment": {"reducer": "mine@0123abcd"}}, "reducer='mine@0123abcd' is not allowed"),
    "no experiment": ({"experiment": [1]}, "experiment=.* is not allowed"),
    "seed": ({"seed": -1}, "seed=-1 is not allowed"),
    "shape": ({"shape": [1, 16]}, "shape=.* is not allowed; allowed: three whole numbers"),
    "sides": ({"shape": [1, 10**6, 10**6]}, "memory|shape"),
    "names": ({"class_names": ["a"]}, "class_names=.*a name for each class"),
    "name": ({"class_names": [1] * 6}, "class_names=.* is not allowed; allowed: a name for each class"),
}


@pytest.mark.parametrize(("changes", "said"), VERSIONS.values(), ids=VERSIONS)
def test_a_student_of_another_version_says_so_in_one_line(tmp_path, changes, said):
    path = tmp_path / "student.safetensors"
    single("pca").save(path)
    changed(path, **changes)
    with pytest.raises(ValueError, match=said) as error:
        load_student(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


TENSORS = {
    "missing": ({BIAS: None}, "other tensors than such a student: student.head.bias"),
    "missing component": ({AXES: None}, "damaged"),
    "more": ({"student.more": torch.zeros(2)}, "other tensors .* student.more"),
    "shape": ({BIAS: torch.zeros(1, 5)}, r"student.head.bias has the shape \[1, 5\], not \[1, 6\]"),
    "shape of components": ({AXES: torch.zeros(4, 9)}, "checksum"),
    "type": ({BIAS: torch.zeros(1, 6, dtype=torch.float64)}, "of the types F32, F64"),
    "whole numbers": ({BIAS: torch.zeros(1, 6, dtype=torch.int64)}, "of the types F32, I64"),
    "content": ({BIAS: torch.zeros(1, 6)}, "the checksum of its tensors is wrong"),
}


@pytest.mark.parametrize(("tensors", "said"), TENSORS.values(), ids=TENSORS)
def test_other_tensors_are_damage(tmp_path, tensors, said):
    path = tmp_path / "student.safetensors"
    single("pca").save(path)
    changed(path, tensors)
    with pytest.raises(Damaged, match=said) as error:
        load_student(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("shape", [(4, 9), (3, 256), (4,)])
def test_components_that_do_not_fit_are_damage_even_with_a_right_checksum(tmp_path, shape):
    saved = single("pca")
    saved.student.reducer.axes = torch.zeros(shape)
    saved.save(tmp_path / "student")
    with pytest.raises(Damaged):
        load_student(tmp_path / "student")


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_flipped_bit_gives_another_student(tmp_path_factory, place, bit):
    path = tmp_path_factory.mktemp("flipped") / "student"
    saved = single("amplitude")
    saved.save(path)
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    try:
        loaded = load_student(path)
    except ValueError:
        return
    x = images(3)  # the bit was in the experiment's description: the weights are the same all the same
    assert all(map(torch.equal, loaded.state_dict().values(), saved.state_dict().values()))
    assert loaded(x).isfinite().all()


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 64, b"PK\x03\x04" + bytes(100)])
def test_a_foreign_file_is_damaged(tmp_path, content):
    (tmp_path / "student").write_bytes(content)
    with pytest.raises(Damaged, match="student is damaged"):
        load_student(tmp_path / "student")


def test_tensors_of_somebody_else_are_no_student(tmp_path):
    for said in (None, {"format": "pt"}):
        save_file({"weight": torch.zeros(3)}, tmp_path / "other", said)
        with pytest.raises(ValueError, match=r"other is no saved student; allowed: .*student.one\(seed\).save"):
            load_student(tmp_path / "other")


def test_no_file_and_a_folder_say_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_student(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError, match="is a folder, not a saved student"):
        load_student(tmp_path)
