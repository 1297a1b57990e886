"""The checks of parameters, the folders of a workspace, and atomic writing."""

import math
import os
import stat

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qkdlib
from qkdlib import checks, records
from qkdlib.files import atomic
from qkdlib.workspace import Workspace, data_root, project_root

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


def test_the_project_is_found_from_a_folder_below_it(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "qkdlib"\n')
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert project_root() == tmp_path
    assert Workspace("build/demo").students == tmp_path / "build" / "demo" / "results" / "students"


def test_another_project_is_not_taken_for_this_one(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "qkdlib"\n')
    own = tmp_path / "own"
    own.mkdir()
    (own / "pyproject.toml").write_text('[project]\nname = "other"\n')
    monkeypatch.chdir(own)
    assert project_root() == tmp_path  # further up


def test_outside_of_the_checkout_paths_count_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project_root() == tmp_path
    assert Workspace("runs").students == tmp_path / "runs" / "results" / "students"


def test_data_root_is_qkd_data_or_the_projects_data_folder(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('name = "qkdlib"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QKD_DATA", raising=False)
    assert data_root() == tmp_path / "data"
    monkeypatch.setenv("QKD_DATA", "sets")
    assert data_root() == tmp_path / "sets"
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
