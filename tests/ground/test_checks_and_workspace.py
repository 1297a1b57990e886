"""The checks of parameters, the folders of a workspace, and atomic writing."""

import errno
import functools
import itertools
import math
import os
import re
import stat
from fractions import Fraction
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qkdlib
from qkdlib import checks, files, records
from qkdlib.files import atomic
from qkdlib.workspace import Workspace, data_root, place, project_root

# Checks


@given(st.integers(-20, 20), st.integers(-5, 5), st.none() | st.integers(6, 12))
def test_whole_takes_integers_between_its_bounds(value, minimum, maximum):
    if minimum <= value <= (math.inf if maximum is None else maximum):
        checks.whole("name", value, minimum, maximum)
        checks.whole("name", np.int64(value), minimum, maximum)
    else:
        with pytest.raises(ValueError, match="whole number") as caught:
            checks.whole("name", value, minimum, maximum)
        assert str(caught.value).startswith(f"name={value} ")


@pytest.mark.parametrize("value", [True, False, np.True_, 1.0, "1", None, [1], math.nan])
def test_whole_refuses_what_is_no_integer(value):
    with pytest.raises(ValueError, match="whole number of 0 or more"):
        checks.whole("name", value, minimum=0)


@pytest.mark.parametrize(("name", "most"), [("shots", 10**7), ("teacher epochs", 10**6), ("QKD_THREADS", 1024)])
def test_whole_numbers_are_bounded_by_the_last_word_of_their_name(name, most):
    assert checks.whole(name, most) == most
    with pytest.raises(ValueError, match=f"^{name}={most + 1} .* whole number of 1 or more, at most {most:,}$"):
        checks.whole(name, most + 1)
    assert checks.whole("number of none of these", 10**30) == 10**30


@given(st.floats())
def test_real_takes_finite_numbers_from_0_to_what_32_bits_hold(value):
    if 0 <= value <= 1e38:
        assert checks.real("name", value) == value
    else:
        with pytest.raises(ValueError, match="a finite number of 0 or more, at most 1e\\+38"):
            checks.real("name", value)


@pytest.mark.parametrize("value", [0, 0.0, -1, True, "0.1", None, math.inf, math.nan, 1j, 10**400, Fraction(-1, 2)])
def test_real_and_positive_refuses(value):
    with pytest.raises(ValueError, match="a finite number greater than 0"):
        checks.real("name", value, positive=True)


def test_numbers_that_pass_become_pythons_own():
    for value, plain in (
        (checks.whole("name", np.int64(3)), 3), (checks.real("name", np.float32(0.5)), 0.5),
        (checks.real("name", 2), 2.0),
        (checks.real("name", Fraction(1, 4)), 0.25), (checks.flag("name", np.True_), True),
        (checks.one_of("name", np.str_("b"), ("a", "b")), "b"), (checks.text("name", np.str_("b")), "b"),
    ):  # fmt: skip
        assert value == plain and type(value) is type(plain)
    assert math.copysign(1, checks.real("name", -0.0)) == 1


@pytest.mark.parametrize("value", [1, 0, "True", "", None, [True], np.array([True])])
def test_a_flag_is_true_or_false_and_nothing_that_counts_as_it(value):
    with pytest.raises(ValueError, match="^name=.* is not allowed; allowed: True or False$"):
        checks.flag("name", value)


@pytest.mark.parametrize("value", [[2, 1], (2, 1), np.array([2, 1]), range(2, 0, -1), iter([2, 1])])
def test_members_are_those_of_anything_that_has_an_order(value):
    assert checks.members("name", value, "numbers") == (2, 1)


@pytest.mark.parametrize("value", ["21", b"21", {2, 1}, {2: 1}, frozenset([1]), 5, None, int, np.array(5)])
def test_members_of_a_text_or_of_what_has_no_order_are_refused(value):
    with pytest.raises(ValueError, match="^name=.* is not allowed; allowed: numbers$"):
        checks.members("name", value, "numbers")


@pytest.mark.parametrize("value", [range(10**12), itertools.count()])
def test_members_are_counted_before_they_are_taken(value):
    with pytest.raises(ValueError, match="allowed: numbers, at most 1,000$"):
        checks.members("name", value, "numbers")


def test_one_of_lists_the_choices_in_order():
    checks.one_of("name", "b", ("a", "b"))
    with pytest.raises(ValueError) as caught:
        checks.one_of("name", "c", ("a", "b"))
    assert str(caught.value) == "name='c' is not allowed; allowed: one of a, b"


def test_of_many_choices_the_first_and_the_nearest_are_named():
    with pytest.raises(ValueError) as caught:
        checks.one_of("row", "row number 75!", [f"row number {number}" for number in range(100)])
    message = str(caught.value)
    assert message.startswith("row='row number 75!' is not allowed; allowed: one of row number 0, row number 1, ")
    assert message.endswith(", ... (100 in all; the nearest: row number 75)") and len(message) < 400


class Rude:
    """Its text is long, has many lines, or cannot be had."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text if isinstance(self.text, str) else 1 / 0


NESTED = functools.reduce(lambda inner, _: [inner], range(10**4), [])


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, "a\nb\r\u2028c", [0.5] * 10**6, {n: "y" * 1000 for n in range(1000)}, 10**5000, np.zeros((100, 100)),
     b"z" * 10**5, Rude("line\n" * 10**5), Rude(None), NESTED, ("q" * 50,) * 50, {1, "a"}, int],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_in_a_message_is_one_short_line(value):
    with pytest.raises(ValueError) as caught:
        checks.fail("name", value, "something\nelse")
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and len(message) < 150
    assert message.endswith(" is not allowed; allowed: something else")


def test_memory_that_is_not_there_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(checks, "available_memory", lambda: 2.0**30)
    checks.memory("seeds", 5, 2.0**30, "five seeds")
    with pytest.raises(ValueError) as caught:
        checks.memory("seeds", 9, 3 * 2.0**30, "training")
    assert str(caught.value) == (
        "seeds=9 is not allowed; allowed: a value for which training fits into memory: it takes about 3.0 GB, and 1.0 "
        "GB are free"
    )


def test_available_memory_is_what_the_control_group_allows_without_files_that_are_only_cached(monkeypatch):
    files = {
        "/proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n",
        "/sys/fs/cgroup/memory.max": "5000000\n", "/sys/fs/cgroup/memory.current": "4000000\n",
        "/sys/fs/cgroup/memory.stat": "anon 1000\ninactive_file 3000000\n",
    }  # fmt: skip

    def text(path):
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    monkeypatch.setattr(checks, "_text", text)
    assert checks.available_memory() == 4000000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert checks.available_memory() == 8000 * 1024


# The package


def test_public_names_are_found_and_others_are_not():
    assert qkdlib.Workspace is Workspace
    assert qkdlib.checks is checks
    assert all(getattr(qkdlib, name) is not None for name in qkdlib.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = qkdlib.nothing


# Folders


def test_folders_lie_below_the_root(tmp_path):
    workspace = Workspace(tmp_path / "new")
    assert workspace.students == tmp_path / "new" / "results" / "students"
    assert workspace.teachers == tmp_path / "new" / "results" / "teachers"
    for name in ("checkpoints", "figures", "tables"):
        assert getattr(workspace, name) == tmp_path / "new" / name
        assert (tmp_path / "new" / name).is_dir()


@pytest.fixture
def checkout(tmp_path):
    """What a copy of this project is known by."""
    (tmp_path / "qkdlib").mkdir()
    for name in ("pyproject.toml", "qkdlib/__init__.py"):
        (tmp_path / name).touch()
    return tmp_path


def test_the_project_is_found_from_a_folder_below_it(checkout, monkeypatch):
    (checkout / "notebooks" / "executed").mkdir(parents=True)
    for folder in (checkout, checkout / "notebooks", checkout / "notebooks" / "executed"):
        monkeypatch.chdir(folder)
        assert project_root() == checkout
        assert Workspace("build/demo").students == checkout / "build" / "demo" / "results" / "students"
        assert place("images") == checkout / "images"


@pytest.mark.parametrize(
    "content",
    ["[project]\nname = 'mine'\nauthors = [{name = 'Jos\xe9'}]\n".encode("cp1252"), None, b'name = "qkdlib"\n'],
)
def test_no_file_of_another_project_decides_anything(checkout, monkeypatch, content):
    """Whatever a stranger's pyproject.toml holds, or if it is a folder: it is never opened."""
    own = checkout / "own"
    own.mkdir()
    if content is None:
        (own / "pyproject.toml").mkdir()
    else:
        (own / "pyproject.toml").write_bytes(content)
    monkeypatch.chdir(own)
    assert project_root() == checkout  # further up
    (checkout / "qkdlib" / "__init__.py").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("io.open", lambda *_, **__: pytest.fail("a file was opened"))
        assert project_root() == own
        assert Workspace("runs").students == own / "runs" / "results" / "students"


def test_a_path_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QKD_DATA", "~/data")
    assert data_root() == place("~/data") == tmp_path / "home" / "data"
    assert Workspace("~/runs").students == tmp_path / "home" / "runs" / "results" / "students"
    assert os.listdir(tmp_path) == ["home"]


@pytest.mark.parametrize(
    "path",
    ["", " \t", "a\0b", "x" * 300, "/" + 3000 * "xx/", "~nobody-has-this-name/a", "\ud800", None, 3, b"bytes", ["a"]],
)
def test_what_is_no_path_is_one_line(path):
    for name, asked in (("keep", lambda: place(path, "keep")), ("workspace", lambda: Workspace(path))):
        with pytest.raises(ValueError) as caught:
            asked()
        message = str(caught.value)
        assert re.match(rf"{name}=.* is not allowed; allowed: a path", message) and "\n" not in message
        assert len(message) < 300


def test_a_file_is_no_workspace(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    monkeypatch.setenv("QKD_DATA", str(tmp_path / "file"))
    for path in ("file", "file/below/it", "link"):
        with pytest.raises(ValueError, match="workspace=.* is not allowed; allowed: a folder, which need"):
            Workspace(tmp_path / path)
    with pytest.raises(ValueError, match="QKD_DATA=.* is not allowed; allowed: a folder"):
        data_root()


def test_where_no_folder_can_be_made_there_is_nothing_to_read(workspace, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", Mock(side_effect=OSError(errno.EROFS, os.strerror(errno.EROFS))))
    assert records.read_all(workspace) == []
    with (
        pytest.raises(OSError, match="a.csv cannot be written: Read-only file system"),
        atomic(workspace.tables / "a.csv"),
    ):
        pass


def test_outside_of_the_checkout_paths_count_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project_root() == tmp_path
    assert Workspace("runs").students == tmp_path / "runs" / "results" / "students"


def test_data_root_is_qkd_data_or_the_projects_data_folder(checkout, monkeypatch):
    monkeypatch.chdir(checkout / "qkdlib")
    monkeypatch.delenv("QKD_DATA", raising=False)
    assert data_root() == checkout / "data"
    monkeypatch.setenv("QKD_DATA", "sets")
    assert data_root() == checkout / "sets"
    monkeypatch.setenv("QKD_DATA", "/else/where")
    assert str(data_root()) == "/else/where"


# Atomic writing


def test_atomic_replaces_the_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "folder" / "record.json"
    for text in ("old", "new"):
        with atomic(path) as temporary:
            assert temporary.parent == path.parent  # os.replace is atomic within one file system only
            assert temporary.suffix == ".json"  # savefig takes the format from it
            temporary.write_text(text)
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["record.json"]


def test_atomic_gives_files_that_others_can_read(tmp_path):
    with atomic(tmp_path / "a.csv") as temporary:
        temporary.write_text("a")
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o644


@given(st.binary(max_size=50), st.binary(max_size=50))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_old_file_stays_when_the_body_raises(tmp_path, old, new):
    path = tmp_path / "file.bin"
    path.write_bytes(old)
    with pytest.raises(KeyboardInterrupt), atomic(path) as temporary:
        temporary.write_bytes(new)
        raise KeyboardInterrupt
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["file.bin"]


def test_no_file_comes_to_be_when_the_body_raises(tmp_path):
    with pytest.raises(RuntimeError, match="made up"), atomic(tmp_path / "file.txt"):
        raise RuntimeError("made up")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_json_file_holds_finite_numbers(tmp_path, number):
    (tmp_path / "a.json").write_text(f'{{"a": [1e308, {number}]}}')
    with pytest.raises(files.Damaged, match=rf"a\.json is damaged: ValueError: {number} is no finite number"):
        files.read_json(tmp_path / "a.json")


def test_a_half_written_record_is_not_taken_for_a_record(tmp_path):
    workspace = Workspace(tmp_path)
    with atomic(workspace.students / "some.json") as temporary:  # as another process does meanwhile
        temporary.write_text("{")
        assert records.read_all(workspace) == []
