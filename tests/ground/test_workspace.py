"""The folders of a workspace, and where the project and its data are."""

import errno
import os
import re
from pathlib import Path
from unittest.mock import Mock

import pytest

from qkdlib import records
from qkdlib.files import atomic
from qkdlib.workspace import Workspace, data_root, place, project_root


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
