"""The checks of parameters, the folders of a workspace, and atomic writing."""

import errno
import math
import os
import re
import stat
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qkdlib
from qkdlib import checks, records
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


@given(st.floats())
def test_real_takes_finite_numbers_of_0_or_more(value):
    if math.isfinite(value) and value >= 0:
        checks.real("name", value)
    else:
        with pytest.raises(ValueError, match="a finite number of 0 or more"):
            checks.real("name", value)


@pytest.mark.parametrize("value", [0, 0.0, -1, True, "0.1", None, math.inf, math.nan, 1j])
def test_real_and_positive_refuses(value):
    with pytest.raises(ValueError, match="a finite number greater than 0"):
        checks.real("name", value, positive=True)


def test_one_of_lists_the_choices_in_order():
    checks.one_of("name", "b", ("a", "b"))
    with pytest.raises(ValueError) as caught:
        checks.one_of("name", "c", ("a", "b"))
    assert str(caught.value) == "name='c' is not allowed; allowed: one of a, b"


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


def test_a_half_written_record_is_not_taken_for_a_record(tmp_path):
    workspace = Workspace(tmp_path)
    with atomic(workspace.students / "some.json") as temporary:  # as another process does meanwhile
        temporary.write_text("{")
        assert records.read_all(workspace) == []
