"""What the commands teach and do: help with examples, versions, the demo's steps, tables and figures from records."""

import argparse
import contextlib
import dataclasses
import functools
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import qkdlib
from qkdlib import __main__, commands, records
from qkdlib.records import packed
from qkdlib.study import contents, demo, publish, verify
from qkdlib.study.chapter import Page
from qkdlib.workspace import Workspace

NAMES = ["demo", "run", "artefacts", "teachers", "notebooks", "rules", "summary", "verify"]
SMALL = {"classes": (0, 1), "train_per_class": 8, "validation_per_class": 4, "test_per_class": 4, "seeds": 2,
         "epochs": 1, "shots": 10}  # fmt: skip


def said(capsys, *arguments: str) -> str:
    """What a command prints that ends well."""
    with pytest.raises(SystemExit) if set(arguments) & {"--help", "--version"} else contextlib.nullcontext():
        assert __main__.main(list(arguments)) == 0
    return capsys.readouterr().out


def test_every_command_is_there():
    (subparsers,) = (each for each in commands.parser()._actions if isinstance(each, argparse._SubParsersAction))
    assert list(subparsers.choices) == NAMES


def test_help_names_every_command_with_what_it_does_and_shows_examples(capsys):
    text = said(capsys, "--help")
    assert all(re.search(rf"^ +{name}\b", text, flags=re.M) for name in NAMES)
    assert "examples:" in text and "import qkdlib" in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("name", NAMES)
def test_help_of_each_command_has_examples_that_parse(capsys, name):
    text = said(capsys, name, "--help")
    examples = re.findall(rf"^  (?:python -m )?qkdlib {name}(.*)$", text.partition("examples:")[2], flags=re.M)
    assert examples
    for example in examples:
        words = shlex.split(example.partition(" > ")[0])
        assert commands.parser().parse_args([name, *words]).command == name
    assert max(map(len, text.splitlines())) <= 120


def test_version_is_the_packages(capsys):
    assert said(capsys, "--version") == f"qkdlib {qkdlib.__version__}\n"


def test_help_is_quick():
    """It imports nothing heavy."""
    code = "import sys; from qkdlib import commands; commands.parser().format_help(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


# demo


def test_demo_says_a_line_for_each_step_and_finds_its_records_again(workspace, monkeypatch, capsys):
    task, teacher = dataclasses.replace(demo.TASK, **SMALL), dataclasses.replace(demo.TEACHER, epochs=1)
    monkeypatch.setattr(demo, "run", functools.partial(demo.run, task=task, teacher=teacher))
    text = said(capsys, "demo", "--workspace", str(workspace.root))
    steps = re.findall(r"^\[(\d)/7\] (.+) \(\d+ s\)$", text, flags=re.M)
    assert [int(number) for number, _ in steps] == list(range(1, 8))
    found = records.read_all(workspace)
    assert len(found) == 4 and all(len(record.seeds) == 2 for record in found)
    arms = [text.partition(":")[0] for _, text in steps[2:6]]
    assert arms == [
        "published, on labels alone",
        "published, distilled",
        "robust, on labels alone",
        "robust, distilled",
    ]
    for record in found:
        mean = records.summarise(records.accuracies(record)).mean
        assert any(f" {mean:.2f} [" in step for _, step in steps[2:6])
    assert (workspace.figures / "seed_spread.png").is_file() and "what the teacher added" in text
    before = {path: path.stat().st_mtime_ns for path in workspace.students.iterdir()}
    said(capsys, "demo", "--workspace", str(workspace.root))
    assert {path: path.stat().st_mtime_ns for path in workspace.students.iterdir()} == before


# records of the study


@pytest.fixture
def packed_one(tmp_path, monkeypatch):
    """A wheel's file with one small record, and no checkout."""
    monkeypatch.setattr(packed, "CHECKOUT", tmp_path / "nowhere")
    monkeypatch.setattr(packed, "PACKED", tmp_path / "paper.tar.xz")
    path = min(
        (Path(__file__).parents[2] / "results" / "students").glob("[!.]*.json"), key=lambda at: at.stat().st_size
    )
    with tarfile.open(packed.PACKED, "w:xz") as archive:
        archive.add(path, f"results/students/{path.name}")
    return path


def test_summary_shows_the_studys_records_where_there_is_no_checkout(packed_one, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert __main__.main(["summary"]) == 0
    nothing = capsys.readouterr()
    assert nothing.out == f"no records in {tmp_path / 'empty' / 'results' / 'students'}\n"
    assert nothing.err.endswith("summary --paper\n") and list(Path().iterdir()) == []
    table = said(capsys, "summary", "--paper")
    assert records.read(packed_one).experiment.dataset.upper()[:5] in table.upper()
    packed.PACKED.unlink()
    assert __main__.main(["summary", "--paper"]) == 2
    assert capsys.readouterr().err.startswith("error: the study's records are not here")


def test_artefacts_are_written_from_the_records_and_what_lacks_is_named(packed_one, workspace, monkeypatch, capsys):
    pages = [page for page in contents.pages().values() if page.name in ("mnist/distillation", "paper/collapse")]
    monkeypatch.setattr(contents, "pages", lambda: {page.name: page for page in pages})
    assert __main__.main(["artefacts", "--paper", "--workspace", str(workspace.root)]) == 0
    ended = capsys.readouterr()
    written = {path for page in pages for table in page.tables for path in table.paths(workspace)}
    assert all(path.is_file() for path in written)
    assert ended.out.splitlines()[0].startswith("mnist/distillation: table table_1")
    lacking = [each.name for page in pages for each in page.pictures if not each.paths(workspace)[0].is_file()]
    assert lacking and all(f"{name} needs " in ended.err for name in lacking)
    assert (workspace.path("results", "students") / packed_one.name).read_bytes() == packed_one.read_bytes()


def test_publishing_passes_over_pages_without_tables_and_figures(workspace, monkeypatch):
    lines = []
    monkeypatch.setattr(contents, "pages", lambda: {"a/b": Page("b", "a")})
    publish.everything(workspace, lines.append)
    assert lines == [f"written to {workspace.tables} and {workspace.figures}"]


def test_a_figure_needs_no_ipython(workspace, monkeypatch):
    """Notebooks have it; `artefacts` does without."""
    code = "import sys; sys.modules['IPython'] = None; from qkdlib.study import publish, verify, missing, demo, pages"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("equal", [True, False])
def test_verify_takes_the_studys_portable_records_where_none_are_asked_for(packed_one, monkeypatch, equal):
    seen = []
    monkeypatch.setattr(verify, "verify", lambda workspace, say: seen.append(workspace) or equal)
    assert __main__.main(["verify"]) == (0 if equal else 1)
    (place,) = seen
    assert isinstance(place, Workspace) and not Path(place.root).exists()  # a temporary one


def test_notebooks_come_from_the_wheel_and_say_what_they_need(tmp_path, monkeypatch, capsys):
    from qkdlib.study import notebooks

    monkeypatch.chdir(tmp_path)
    (tmp_path / "wheel").mkdir()
    monkeypatch.setattr(notebooks, "IN_WHEEL", tmp_path / "wheel")
    (tmp_path / "wheel" / "look.ipynb").touch()
    assert notebooks.template("look") == tmp_path / "wheel" / "look.ipynb"
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "look.ipynb").touch()
    assert notebooks.template("look") == tmp_path / "notebooks" / "look.ipynb"
    monkeypatch.setattr(commands, "find_spec", lambda name: None)
    assert __main__.main(["notebooks", "look", "--out", "out"]) == 1
    assert "qkdlib[notebooks]" in capsys.readouterr().err and not (tmp_path / "out").exists()
