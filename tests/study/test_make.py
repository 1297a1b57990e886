"""What `make paper-artifacts` runs and executes, and what it leaves alone: make's own graph, in a small copy of the
project where a script plays Python."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from qkdlib.study import contents, pages
from qkdlib.workspace import Workspace

ROOT = Path(__file__).parents[2]
PROJECT = "qkd lib"
TEMPLATES = [f"notebooks/{path.name}" for path in sorted((ROOT / "notebooks").glob("[!.]*.ipynb"))]
# It writes down what it is called with; rules are read, pages touched, and what FAIL names fails.
PYTHON = """#!/bin/sh
echo "$*${QKD_THREADS:+ on $QKD_THREADS}" >> said
case "$*" in
    *"qkdlib $FAIL"*) exit 7 ;;
    "-m qkdlib rules") cat ../rules.mk ;;
    "-m qkdlib notebooks "*) mkdir -p "$6" tables figures && touch "$6/$4.ipynb"
        for file in $(cat "../written/${6#notebooks/executed/}/$4"); do
            test "$file" = "$LACKING" || touch "$file"
        done ;;
esac
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with a project whose path has spaces: the real notebooks and Makefile, one empty module, and a record of
    each kind. Beside it lie the rules, and what each page writes."""
    home, rules = tmp_path_factory.mktemp("My Drive"), pages.rules()
    project = home / PROJECT
    for folder in (".venv/bin", "qkdlib", "notebooks"):
        (project / folder).mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock", *TEMPLATES):
        shutil.copy(ROOT / name, project / name)
    for name in ("qkdlib/__init__.py", *of_one_chapter(rules).values()):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    (home / "rules.mk").write_text(rules)
    for name, page in contents.pages().items():
        (home / "written" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "written" / name).write_text(
            " ".join(str(path.relative_to(ROOT)) for path in page.written(Workspace()))
        )
    (project / ".venv/bin/python").write_text(PYTHON)
    (project / ".venv/bin/python").chmod(0o755)
    (project / ".venv/.stamp").touch()
    return home


@pytest.fixture(scope="module")
def first(home) -> list[str]:
    """What the first `make paper-artifacts` calls."""
    return make(home / PROJECT)


@pytest.fixture
def project(home, first, tmp_path) -> Path:
    """A copy of the project in which everything is up to date."""
    shutil.copytree(home, tmp_path / "My Drive")
    return tmp_path / "My Drive" / PROJECT


def of_one_chapter(rules: str) -> dict[str, str]:
    """For each chapter a student's record, and an execution's and a teacher's file, that no other chapter reads."""
    told = {name: set(files.split()) for name, files in re.findall(r"^RECORDS_(\w+) := \S+ (.*)\)$", rules, flags=re.M)}
    own = {name: files - set().union(*(told[each] for each in told if each != name)) for name, files in told.items()}
    kinds = {name: (name, "students") for name in told} | {
        "execution": ("robustness", "executions"), "teacher": ("v2", "teachers"),
    }  # fmt: skip
    return {
        kind: min(path for path in own[name] if path.startswith(f"results/{folder}/"))
        for kind, (name, folder) in kinds.items()
    }


def make(project: Path, *asked: str, status: int = 0, **names: str) -> list[str]:
    """What Python is called with by `make paper-artifacts`, or by what is asked for, without its `-m qkdlib`."""
    own = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "FRESH", "ONLY", "QKD_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    command = ["make", "--no-print-directory", *(asked if "teachers" in asked else ("paper-artifacts", *asked))]
    said = project / "said"
    said.write_text("")
    ended = subprocess.run(
        command, cwd=project, env={**environment, "FAIL": "nothing", **names}, capture_output=True, text=True
    )
    assert ended.returncode == status, ended.stdout + ended.stderr
    calls = [call.removeprefix("-m qkdlib ") for call in said.read_text().splitlines()]
    return [
        re.sub(r"^notebooks (\S+) --out notebooks/executed/(\S+)( -p \S+ \S+)*", r"page \2/\1", call) for call in calls
    ]


def executed(calls: list[str]) -> list[str]:
    """The pages that are executed, in alphabetical order."""
    return sorted(call.split()[1] for call in calls if call.startswith("page "))


def reading(chapter: str) -> list[str]:
    """The pages that read a chapter's records."""
    found = [page.name for each in contents.CHAPTERS for page in each.pages if chapter in (each.name, *page.reads)]
    return sorted([*found, "paper/claims"])


def touch(path: Path) -> None:
    """As if it was written now: later than all else, on file systems too whose clock ticks every few milliseconds."""
    assert path.exists()
    time.sleep(0.02)
    os.utime(path)


# What has changed


def test_at_first_everything_is_run_and_then_every_page_is_executed_once(first):
    assert first[:2] == ["run", "rules"]
    assert first[2:] == [f"page {name}" for name in contents.pages()]


def test_with_nothing_changed_nothing_is_called(project):
    assert make(project) == []


@pytest.mark.parametrize("kind", [*(chapter.name for chapter in contents.CHAPTERS), "execution", "teacher"])
def test_a_changed_record_executes_the_pages_that_read_it(project, kind):
    touch(project / of_one_chapter((project.parent / "rules.mk").read_text())[kind])
    calls = make(project)
    assert calls[0] == "run" and "rules" not in calls
    assert executed(calls) == reading({"execution": "robustness", "teacher": "v2"}.get(kind, kind))
    assert make(project) == []


def test_the_records_of_the_changes_are_on_two_pages():
    assert reading("collapse") == ["paper/claims", "paper/collapse"]


@pytest.mark.parametrize("name", ["tables/robust.tex", "figures/collapse.png"])
def test_a_table_or_figure_that_is_gone_executes_its_page_alone(project, name):
    (project / name).unlink()
    assert make(project) == ["page paper/collapse"]
    assert (project / name).exists()
    assert make(project) == []


def test_a_changed_notebook_executes_its_pages_and_changed_code_all(project):
    touch(project / "notebooks/teachers.ipynb")
    assert make(project) == [f"page {name}/teachers" for name in ("mnist", "fashion_mnist", "cifar10")]
    touch(project / "qkdlib/__init__.py")
    calls = make(project)
    assert calls[:2] == ["run", "rules"] and executed(calls) == sorted(contents.pages())


# What is asked for


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["FRESH=0"], []),
        (["FRESH=1"], ["run --fresh all"]),
        (["FRESH=all"], ["run --fresh all"]),
        (["FRESH=students"], ["run --fresh students"]),
        (["ONLY=v1"], ["run --only v1"]),
        (["ONLY=v1 v2-converged"], ["run --only v1 v2-converged"]),
        (["ONLY="], []),
        (["FRESH=1", "ONLY=v2-full-set"], ["run --fresh all --only v2-full-set"]),
        (["teachers"], ["teachers"]),
        (["teachers", "FRESH=1"], ["teachers --fresh"]),
    ],
)
def test_make_hands_on_what_to_do_anew(project, asked, said):
    assert make(project, *asked) == said


@pytest.mark.parametrize("asked", [["ONLY=v1"], ["ONLY=collapse", "FRESH=students"]])
def test_a_run_of_some_parts_does_not_count_as_a_run_of_all(project, asked):
    touch(project / of_one_chapter((project.parent / "rules.mk").read_text())["collapse"])
    calls = make(project, *asked)
    assert calls[0].startswith("run ") and executed(calls) == ["paper/claims", "paper/collapse"]
    assert make(project) == ["run"]
    assert make(project) == []


def test_make_names_parts_that_there_are():
    (named,) = re.findall(r'ONLY="([^"]+) \.\.\."', (ROOT / "Makefile").read_text())
    contents.chosen(named.split())


def test_a_run_that_fails_keeps_no_page_from_being_executed_and_fails_in_the_end(project):
    touch(project / of_one_chapter((project.parent / "rules.mk").read_text())["collapse"])
    assert make(project, status=2, FAIL="run") == ["run", "page paper/collapse", "page paper/claims"]
    assert make(project) == ["run"]  # again


def test_a_page_that_fails_is_executed_again(project):
    touch(project / "notebooks/cost.ipynb")
    for _ in range(2):
        assert make(project, status=2, FAIL="notebooks cost") == ["page paper/cost"]
    assert make(project) == ["page paper/cost"]
    assert make(project) == []


def test_a_page_that_fails_keeps_no_other_from_being_executed(project):
    touch(project / "notebooks/teachers.ipynb")
    pages_of_teachers = [f"page {name}/teachers" for name in ("mnist", "fashion_mnist", "cifar10")]
    assert make(project, status=2, FAIL="notebooks teachers --out notebooks/executed/mnist") == pages_of_teachers
    assert make(project) == pages_of_teachers[:1]


def test_a_page_that_does_not_write_its_table_fails(project):
    """Whether it is gone or is the one of before."""
    (project / "tables/robust.tex").unlink()
    assert make(project, status=2, LACKING="tables/robust.tex") == ["page paper/collapse"]
    assert make(project) == ["page paper/collapse"]
    touch(project / "notebooks/collapse.ipynb")
    assert make(project, status=2, LACKING="tables/robust.tex") == ["page paper/collapse"]


@pytest.mark.parametrize(
    ("asked", "names", "on"),
    [
        ([], {}, ""),
        (["-j2"], {}, " on 1"),
        (["-j2"], {"QKD_THREADS": "2"}, " on 2"),
        ([], {"QKD_THREADS": "2"}, " on 2"),
    ],
)
def test_processes_side_by_side_have_one_thread_each(project, asked, names, on):
    touch(project / "qkdlib/__init__.py")
    calls = make(project, *asked, **names)
    assert [call.split()[0] for call in calls[:2]] == ["run", "rules"]  # which have all cores: no page runs beside them
    assert sorted(calls[2:]) == sorted(f"page {name}{on}" for name in contents.pages())
