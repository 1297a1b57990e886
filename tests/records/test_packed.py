"""The study's records: of a checkout, of a wheel's one file, and what is said where there are neither."""

import importlib.util
import io
import json
import re
import tarfile
from pathlib import Path

import pytest
from synthetic import record

from qkdlib import records
from qkdlib.experiment import Experiment
from qkdlib.files import Damaged
from qkdlib.records import packed
from qkdlib.workspace import Workspace

ROOT = Path(__file__).parents[2]
TASK = Experiment(classes=(0, 1), seeds=2)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A made-up checkout with one record, and a place for the wheel's file beside it."""
    root = tmp_path / "checkout"
    record(TASK, [0.5, 0.75]).save(Workspace(root))
    (root / "results" / "portable").mkdir()
    (root / "results" / "portable" / "a.json").write_text('{"é": 1}', encoding="utf-8")
    (root / "results" / "portable" / ".killed.tmp.json").write_text("{")
    (root / "pyproject.toml").touch()
    monkeypatch.setattr(packed, "CHECKOUT", root)
    monkeypatch.setattr(packed, "PACKED", tmp_path / "paper.tar.xz")
    return root


@pytest.fixture
def installed(checkout, monkeypatch):
    """The same, in the file of a wheel alone, as setup.py packs it."""
    build = builder(monkeypatch)
    monkeypatch.setattr(build, "ROOT", checkout)
    build.pack(packed.PACKED)
    monkeypatch.setattr(packed, "CHECKOUT", checkout / "nowhere")
    return checkout


def builder(monkeypatch):
    """setup.py as a module, which builds nothing."""
    monkeypatch.setattr("setuptools.setup", lambda **_: None)
    spec = importlib.util.spec_from_file_location("setup_of_qkdlib", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.json")}


def test_a_checkout_gives_its_loose_records(checkout):
    (found,) = records.paper()
    assert found.experiment == TASK
    with packed.study() as workspace:
        assert workspace.root == checkout


def test_a_wheel_gives_the_same_and_leaves_nothing_behind(installed):
    (found,) = records.paper()
    assert found == records.read_all(Workspace(installed))[0]
    assert len(records.load(records.paper())) == 2 and len(records.arms(records.paper())) == 1
    with packed.study() as workspace:
        assert json.loads((workspace.path("results", "portable") / "a.json").read_text("utf-8")) == {"é": 1}
    assert not Path(workspace.root).exists()


def test_a_workspace_that_is_asked_for_is_the_one(installed, tmp_path):
    with packed.study(tmp_path / "mine") as workspace:
        assert workspace == Workspace(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_equal_records_are_equal_files(checkout, monkeypatch, tmp_path):
    build = builder(monkeypatch)
    monkeypatch.setattr(build, "ROOT", checkout)
    build.pack(tmp_path / "a.tar.xz")
    (path,) = (checkout / "results" / "students").glob("*.json")
    path.touch()
    path.chmod(0o600)
    build.pack(tmp_path / "b.tar.xz")
    assert (tmp_path / "a.tar.xz").read_bytes() == (tmp_path / "b.tar.xz").read_bytes()
    assert build.FOLDERS == packed.FOLDERS


@pytest.mark.parametrize("kind", ["checkout", "installed"])
def test_a_copy_has_every_file_and_overwrites_none(kind, request, tmp_path):
    root, mine = request.getfixturevalue(kind), Workspace(tmp_path / "mine")
    expected = {name: content for name, content in files_of(root).items() if "/." not in name}
    assert len(expected) == 2
    packed.copy(mine)
    assert files_of(tmp_path / "mine") == expected
    (tmp_path / "mine" / "results" / "portable" / "a.json").write_text("mine")
    packed.copy(mine)
    assert files_of(tmp_path / "mine") == expected | {"results/portable/a.json": b"mine"}


def test_without_any_it_is_one_line(checkout, monkeypatch):
    monkeypatch.setattr(packed, "CHECKOUT", checkout / "nowhere")
    for ask in (records.paper, lambda: packed.copy(Workspace(checkout))):
        with pytest.raises(FileNotFoundError, match=r"^the study's records are not here: .*`make wheel`") as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_a_damaged_file_is_named(installed):
    packed.PACKED.write_bytes(packed.PACKED.read_bytes()[:100])
    with pytest.raises(Damaged, match=re.escape(str(packed.PACKED))):
        records.paper()


def test_a_link_in_the_file_is_no_record(installed, tmp_path):
    with tarfile.open(packed.PACKED, "w:xz") as archive:
        entry = tarfile.TarInfo("results/students")
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry, io.BytesIO())
    with pytest.raises(Damaged):
        packed.copy(Workspace(tmp_path / "mine"))


def test_the_committed_records_are_the_papers():
    assert {each.experiment.name for each in records.paper()} == {
        path.stem for path in (ROOT / "results" / "students").glob("[!.]*.json")
    }
