"""Whatever comes in is a value that is allowed, or one line that names the parameter, before anything is written.

The values are generated from a fixed seed: what nobody would type, what a shell, a spreadsheet, numpy or a typing error
makes of a value, and what is too large.
"""

import dataclasses
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

import qkdlib
from qkdlib import __main__, checks, circuits, pipeline, runtime, teachers, workspace
from qkdlib.backends import sample
from qkdlib.experiment import Experiment, Teacher, from_dict
from qkdlib.noise import Noise
from qkdlib.students import Student
from qkdlib.study.robustness.executions import Condition

EACH = 6  # values for each parameter
LONGEST = 400  # characters of a message
SIGNS = "abc XYZ 019 -_/\\ \n\r\t\0 '\"{}[]% äß図𝒳 ٣² \u2028\udce9 <!&$;"
TASK = Experiment(
    dataset="digits", classes=(0, 1), train_per_class=5, validation_per_class=2, test_per_class=2, qubits=2, epochs=1,
    batch_size=5, seeds=1, shots=10,
)  # fmt: skip
CIRCUIT = circuits.build("h_ry", 2, 1, "none")
ANGLES = np.zeros((2, 2))


class Rude:
    """A stranger's object."""

    def __repr__(self):
        raise RuntimeError("no\nname")


def text(rng: random.Random) -> str:
    return "".join(rng.choices(SIGNS, k=rng.choice([1, 7, 40, 5000])))


def number(rng: random.Random):
    """None that any parameter takes."""
    return rng.choice(
        [-1, -0.5, 10**20 + rng.randrange(10), -(10**5000), 10**5000, 1e300, float("nan"), float("inf"), -float("inf"),
         1j, np.float32("nan"), np.int64(-3), np.float64(-1e9), np.uint64(2**64 - 1)],
    )  # fmt: skip


def thing(rng: random.Random):
    return rng.choice(
        [Rude(), Rude, text, object(), b"mnist", bytearray(9), np.datetime64("nat"), range(0), slice(1), ...]
    )


def box(rng: random.Random):
    """Containers, nested, some of them large."""
    inside = [rng.choice([text, number, thing, box])(rng) for _ in range(rng.choice([1, 2, 2]))]
    wide = [inside[0]] * rng.choice([1, 5000])
    return rng.choice(
        [inside, tuple(inside), wide, {text(rng): inside}, {0: {1: wide}}, np.array(["a", "b"]), frozenset("ab")]
    )


def values(name: str, *kinds) -> list:
    """The values that a parameter of this name gets."""
    rng = random.Random(name)
    return [rng.choice(kinds or (text, number, thing, box))(rng) for _ in range(EACH)]


def refused(call, name: str = "") -> str:
    """The message of the one error that a call ends in."""
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and len(message) <= LONGEST, message
    assert "allowed" in message and name in message, message
    return message


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_refusal_names_parameter_value_and_what_is_allowed():
    with pytest.raises(ValueError, match="^teacher='x' is not allowed; allowed: something else$"):
        checks.fail("teacher", "x", "something else")


@pytest.mark.parametrize("name", [item.name for item in dataclasses.fields(Experiment)])
def test_fields_of_an_experiment(name):
    for value in values(name):
        refused(lambda value=value: Experiment(**{name: value}), name)
        refused(lambda value=value: from_dict({name: value}), name)


@pytest.mark.parametrize("name", [item.name for item in dataclasses.fields(Teacher)])
def test_fields_of_a_teacher(name):
    said = {"architecture": "teacher"}.get(name, name)
    for value in values(name):
        refused(lambda value=value: Teacher(**{name: value}), said)
        refused(lambda value=value: from_dict({"teacher": {name: value}, "kd_weight": 0.9}), said)
        member = {"architecture": "ensemble", "members": [{name: value}]}
        refused(lambda member=member: from_dict({"teacher": member, "kd_weight": 0.9}), said)


def test_dictionaries_that_describe_no_experiment():
    for value in values("dictionary", thing, box):
        refused(lambda value=value: from_dict(value), "experiment")
        refused(lambda value=value: from_dict({"teacher": value}), "teacher")


@pytest.mark.parametrize("function", [qkdlib.run, qkdlib.trained_student, qkdlib.splits])
def test_what_is_no_experiment(function):
    for value in values(function.__name__):
        refused(lambda value=value: function(value), "experiment")


@pytest.mark.parametrize("name", ["teacher", "kd_weight", "device", "fresh", "aer_seeds"])
def test_keywords_of_run(name, tmp_path):
    for value in values(name):
        refused(lambda value=value: qkdlib.run(TASK, workspace=tmp_path, **{name: value}), name)
        if name in ("teacher", "kd_weight", "device"):
            refused(lambda value=value: pipeline.trained_student(TASK, workspace=tmp_path, **{name: value}), name)


def path(rng: random.Random):
    return rng.choice(
        ["", " ", "\n", "a\0b", "x" * 5000, "/dev/null", "/dev/null/a", "~nobody-of-this-name/a", 5, b"a", [1], 1.5]
    )


def test_workspaces():
    for value in values("workspace", path, thing) + values("another workspace", path, number):
        refused(lambda value=value: qkdlib.run(TASK, workspace=value), "workspace")


@pytest.mark.parametrize("name", ["angles", "shots", "seed", "on", "rows_per_job", "attempts", "keep"])
def test_arguments_of_an_execution(name):
    wrong = values(name, path, thing) if name == "keep" else values(name)
    for value in wrong:
        arguments = {"circuit": CIRCUIT, "angles": ANGLES, "shots": 10, "seed": 0, name: value}
        refused(lambda arguments=arguments: sample(**arguments), {"on": "backend"}.get(name, name))


@pytest.mark.parametrize("name", ["noise", "level", "shots", "images_per_class"])
def test_conditions_of_an_execution(name):
    for value in values(name):
        refused(lambda value=value: Condition(**{name: value}), name)
        if name == "level":
            refused(lambda value=value: Condition("device", value), name)


def test_noise():
    for value in values("kind"):
        refused(lambda value=value: Noise(value, 0.0), "noise")
    for value in values("level of noise"):
        refused(lambda value=value: Noise("readout", value), "noise_level")


@pytest.mark.parametrize(
    "value", ["100000", "0", "-1", "1.5", "٣", "²", "", " ", "1e3", "0x2", "9" * 5000, "a\nb", "True"]
)
def test_threads_of_the_environment(value, monkeypatch, tmp_path):
    monkeypatch.setenv("QKD_THREADS", value)
    refused(runtime.threads, "QKD_THREADS")
    refused(lambda: qkdlib.run(TASK, workspace=tmp_path), "QKD_THREADS")


@pytest.mark.parametrize("value", ["", " ", "\n", "x" * 5000, "/dev/null", "/dev/null/data", "~nobody-of-this-name"])
def test_data_of_the_environment(value, monkeypatch):
    monkeypatch.setenv("QKD_DATA", value)
    refused(workspace.data_root, "QKD_DATA")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """What a command needs of a checkout of the project."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "qkdlib/__init__.py", "notebooks/quickstart.ipynb"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(Path(__file__).parents[2] / name, folder / name)
    return folder


def commands() -> list[list[str]]:
    """Command lines in which one word is wrong."""
    rng = random.Random("commands")
    words = [text(rng).replace("\0", "") or "?" for _ in range(40)]
    places = ["", " ", "x" * 5000, "/dev/null", "/dev/null/a", "~nobody-of-this-name"]
    notebook = ["notebooks", "quickstart", "--out", "copies"]
    found = [
        [],
        ["--nonsense"],
        ["notebooks"],
        ["notebooks", "quickstart"],
        ["notebooks", "../quickstart", "--out", "a"],
    ]
    for word in words[::4]:
        found += [[word], ["summary", word], ["teachers", "--fresh", word], ["notebooks", word, "--out", "copies"]]
        found += [["paper-artifacts", name, word] for name in ("--fresh", "--only")]
        found += [[*notebook, "--row", word], [*notebook, "-p", word, "1"]]
        found += [[*notebook, "-p", name, f"?{word}"] for name in ("classes", "qubits", "epochs", "seeds", "shots")]
    for place in places:
        found += [[command, "--workspace", place] for command in ("summary", "teachers", "paper-artifacts")]
        found += [["notebooks", "quickstart", "--out", place]]
    for value in ("3.5", "True", "'3'", "[3]", "(" * 500, "9" * 5000, "1e400", "{}"):
        found += [[*notebook, "-p", "qubits", value]]
    for value in ("5", "[]", "['a']", "{0, 1}", "None", "[True]", "0, '1'"):
        found += [[*notebook, "-p", "classes", value]]
    return found


@pytest.mark.parametrize("arguments", commands(), ids=lambda arguments: str(len(arguments)))
def test_command_lines(arguments, capsys, checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    try:
        status = __main__.main(arguments)
    except SystemExit as end:  # argparse
        status = end.code
    said = capsys.readouterr().err
    assert status == 2 and said.startswith("error: ") and len(said.splitlines()) == 1, said
    assert len(said) <= 3 * LONGEST  # with the usage
    assert sum(each.is_file() for each in checkout.rglob("*")) == 3


def test_memory_that_is_not_there_is_refused_before_it_is_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "available_memory", lambda: 4.0 * 2**30)
    many = dataclasses.replace(TASK, seeds=10**5)
    said = refused(lambda: qkdlib.run(many, workspace=tmp_path), "seeds=100000")
    assert "their training fits into memory" in said and "4.0 GB are free" in said
    said = refused(lambda: teachers.build("alexnet", (3, 224, 224), 10), "image size='224x224'")
    assert (
        "the training of alexnet fits into memory: it takes about 73.8 GB" in said
    )  # 4.95e9 parameters, 16 bytes each
    wide = dataclasses.replace(TASK, encoder="amplitude", reducer="fully_connected", qubits=10, dropout=0)
    refused(lambda: Student(wide, (3, 4096, 4096), [0]), "shape of weights=(1024, 50331648)")
    for lock in tmp_path.rglob("*.lock"):
        lock.unlink()


def test_there_are_more_than_300_of_them():
    fields = len(dataclasses.fields(Experiment)) + 2 * len(dataclasses.fields(Teacher))
    assert EACH * (fields + 5 + 7 + 4) + len(commands()) > 300
