"""Reading a saved student."""

from pathlib import Path

import torch
from safetensors import safe_open

from qkdlib import checks, files
from qkdlib.experiment import from_dict
from qkdlib.names import NUMERICS
from qkdlib.students.single import FORMAT, KEY, SingleStudent, checksum, hold
from qkdlib.students.student import Student

LARGEST_SIDE = 10**7  # of an image
TYPES = {"F32": torch.float32, "F64": torch.float64}


def load_student(path: str | Path) -> SingleStudent:
    """The student that `SingleStudent.save` wrote, on the CPU, in evaluation mode. The data set need not be there.

    Raises:
        FileNotFoundError: there is no such file.
        files.Damaged: the file is damaged, or its tensors are not those of its experiment's student.
        ValueError: it is no saved student, one of another version, or one with parts that are not there.
    """
    path = Path(path)
    said = _said(path)
    try:
        if (found := (said.get("format"), said.get("numerics"))) != (FORMAT, NUMERICS):
            value = f"format {found[0]}, numerics {found[1]}, saved by qkdlib {said.get('qkdlib')}"
            checks.fail("version", value, f"format {FORMAT}, numerics {NUMERICS}; load it with that version")
        single = _made(said)
    except ValueError as error:
        raise ValueError(f"saved student {path}: {error}") from error
    with files.checked(path):
        _fill(single, path, said.get("sha256"))
    return single.eval()


def _said(path: Path) -> dict:
    """What the file says about itself."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a saved student")
    with files.checked(path), safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get(KEY)
        if text is not None:
            said = files.parse(text)
            if not isinstance(said, dict):
                raise ValueError(f"a JSON {type(said).__name__} in place of an object")
            return said
    raise ValueError(f"{path} is no saved student; allowed: a file that student.one(seed).save(path) wrote")


def _made(said: dict) -> SingleStudent:
    """The student that is described, with its first weights."""
    experiment, classes = from_dict(said.get("experiment", {})), "a name for each class"
    seed = checks.whole("seed", said.get("seed"), minimum=0)
    allowed = "three whole numbers: channels, height, width"
    sides = checks.members("shape", said.get("shape"), allowed, most=3)
    if len(sides) != 3:
        checks.fail("shape", sides, allowed)
    channels, height, width = (checks.whole("shape", side, maximum=LARGEST_SIDE) for side in sides)
    names = checks.members("class_names", said.get("class_names"), classes, most=len(experiment.classes))
    if len(names) != len(experiment.classes) or not all(isinstance(name, str) for name in names):
        checks.fail("class_names", names, classes)
    student = Student(experiment, (channels, height, width), [seed])
    student.class_names = names
    return student.one(seed)


def _fill(single: SingleStudent, path: Path, digest: str | None) -> None:
    """Give the student the tensors of the file, after a look at their names, shapes and types."""
    with safe_open(path, framework="pt") as file:
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
        kinds = {part.get_dtype() for part in parts.values()}
        if len(kinds) > 1 or not kinds <= TYPES.keys():
            raise ValueError(f"its numbers are of the types {', '.join(sorted(kinds))}")
        fitted = {name for name in parts.keys() - single.state_dict().keys() if _is_fitted(single, name)}
        expected = {name: list(value.shape) for name, value in single.state_dict().items()}
        expected |= {name: parts[name].get_shape() for name in fitted}
        if names := expected.keys() ^ parts.keys():
            raise ValueError(f"it has other tensors than such a student: {', '.join(sorted(names)[:5])}")
        for name, shape in expected.items():
            if parts[name].get_shape() != shape:
                raise ValueError(f"{name} has the shape {parts[name].get_shape()}, not {shape}")
        tensors = {name: file.get_tensor(name) for name in parts}
    if checksum(tensors) != digest:
        raise ValueError("the checksum of its tensors is wrong")
    for name in fitted:
        hold(single, name, tensors[name])
    single.to(next((TYPES[kind] for kind in kinds), torch.float32)).load_state_dict(tensors)
    if fitted:  # what training images decided, in shapes that only a try can check
        single(torch.zeros(1, *single.shape))


def _is_fitted(single: SingleStudent, name: str) -> bool:
    """Whether a reducer's buffer of this name is empty until it is fitted."""
    owner, _, leaf = name.rpartition(".")
    try:
        return getattr(single.get_submodule(owner), leaf, 0) is None
    except AttributeError:
        return False
