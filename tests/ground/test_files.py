"""Files that are whole or not there, and numbers in them that are finite."""

import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qkdlib import files, records
from qkdlib.files import atomic
from qkdlib.workspace import Workspace


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
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
