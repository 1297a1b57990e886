"""The rules that tell `make` what each page depends on, and how it is executed."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from qkdlib.__main__ import main
from qkdlib.experiment import Teacher
from qkdlib.study import contents, notebooks, pages
from qkdlib.study.chapter import Part, each
from qkdlib.study.robustness import sweeps
from qkdlib.study.v1 import paper
from qkdlib.teachers.teacher_files import teacher_name
from qkdlib.workspace import Workspace

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rules() -> str:
    return pages.rules()


def told(rules: str) -> dict[str, set[str]]:
    """The records that make is told of, by chapter."""
    found = re.findall(r"^RECORDS_(\w+) := \$\(wildcard (.*)\)$", rules, flags=re.M)
    return {name: set(files.split()) for name, files in found}


@pytest.fixture(scope="module")
def records(rules) -> dict[str, set[str]]:
    """`told` of the rules as they are."""
    return told(rules)


def test_every_page_has_one_rule_that_executes_it(rules):
    copies = {name: f"notebooks/executed/{name}.ipynb" for name in contents.pages()}
    (named,) = re.findall(r"^PAGES := (.*)$", rules, flags=re.M)
    assert named.split() == list(copies.values())
    for name, copy in copies.items():
        assert rules.count(f"\n{copy}: ") == 1
        assert f"\n{copy}: notebooks/{name.split('/')[1]}.ipynb $(CODE) " in rules
    assert len(re.findall(r"^\t", rules, flags=re.M)) == 3 * len(copies)


@pytest.mark.parametrize("name", list(contents.pages()))
def test_a_page_is_executed_with_its_parameters_on_the_projects_records(rules, monkeypatch, name):
    """As `make` calls it."""
    (recipe,) = re.findall(
        rf"^notebooks/executed/{name}\.ipynb: .*\n.*\n\t@\$\(RUN\) -m qkdlib (.*)$", rules, flags=re.M
    )
    calls, page = [], contents.pages()[name]
    monkeypatch.setattr(notebooks, "execute", lambda *arguments: calls.append(arguments))
    monkeypatch.chdir(ROOT)
    assert main(shlex.split(recipe)) == 0
    parameters = {"workspace": ".", "publish": True, **page.parameters}
    ((notebook, copy, chosen, asked),) = calls
    assert (notebook, ROOT / copy, chosen, asked) == (page.notebook, page.copy, parameters, list(parameters))


def test_a_page_that_has_not_written_a_table_has_failed(rules):
    checked = dict(
        re.findall(
            r"^notebooks/executed/(\S+)\.ipynb: .*\n.*\n.*\n\t\$\(call written,(.*),build/.*\)$", rules, flags=re.M
        )
    )
    for name, page in contents.pages().items():
        assert checked[name].split() == [
            f"tables/{table.name}.{end}" for table in page.tables for end in ("csv", "md", "tex")
        ]


def test_a_page_depends_on_the_records_that_it_reads_and_on_its_tables_and_figures(rules):
    reads = dict(re.findall(r"^notebooks/executed/(\S+)\.ipynb: .* \$\(CODE\) (.*) \$\(call absent", rules, flags=re.M))
    wanted = {page.name: [chapter.name, *page.reads] for chapter in contents.CHAPTERS for page in chapter.pages}
    wanted["paper/claims"] = [chapter.name for chapter in contents.CHAPTERS]
    assert {name: re.findall(r"\$\(RECORDS_(\w+)\)", text) for name, text in reads.items()} == wanted
    assert wanted["paper/cost"] == ["v2", "v1"] and wanted["paper/collapse"] == ["collapse"]
    absent = dict(re.findall(r"^notebooks/executed/(\S+)\.ipynb: .*\$\(call absent,(.*)\)$", rules, flags=re.M))
    assert absent["paper/collapse"].split() == [
        *(f"tables/{name}.{ending}" for name in ("collapse", "robust") for ending in ("csv", "md", "tex")),
        "figures/collapse.pdf", "figures/collapse.png",
    ]  # fmt: skip
    for name, page in contents.pages().items():
        assert [ROOT / path for path in absent[name].split()] == page.written(Workspace(ROOT))


def test_make_is_told_of_every_committed_record_of_students_executions_and_teachers(records):
    """And of those that are not there yet, as CIFAR10's on its other copy."""
    there = {path.relative_to(ROOT).as_posix() for folder in ("students", "executions") for path in
             (ROOT / "results" / folder).glob("[!.]*.json")}  # fmt: skip
    there |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "results/teachers").glob("[!.]*.npz")}
    told = set().union(*records.values())
    assert sorted(there - told) == []
    for chapter in contents.CHAPTERS:
        students = {f"results/students/{experiment.name}.json" for experiment in chapter.experiments()}
        assert {name for name in records[chapter.name] if "/students/" in name} == students
        executed = {f"results/executions/{experiment.name}.json" for experiment in chapter.executed()}
        assert {name for name in records[chapter.name] if "/executions/" in name} == executed
    assert len(records["robustness"] - {name for name in records["robustness"] if "/students/" in name}) > 0
    assert {f"results/executions/{arm.name}.json" for arm in sweeps.executed()} <= records["robustness"]


def test_the_members_of_an_ensemble_are_told_of(records):
    ensembles = [name for name in records["v1"] if "_ensemble_" in name and name.startswith("results/teachers/")]
    assert len(ensembles) == 4
    for name in ensembles:
        for member in ("lenet", "alexnet"):
            assert any(other.startswith(name.split("_ensemble_")[0] + f"_{member}_") for other in records["v1"])


def test_each_of_ten_teachers_is_told_of(monkeypatch):
    """Of the redrawn rows, as a part of v1, on both sets of classes of both data sets: those of seeds 0 to 9."""
    part = Part("redrawn", lambda: each(paper.drawn()))
    chapters = [replace(one, parts=(part,)) if one.name == "v1" else one for one in contents.CHAPTERS]
    monkeypatch.setattr(contents, "CHAPTERS", tuple(chapters))
    of_v1 = told(pages.rules())["v1"]
    for experiment in (one for one in paper.drawn() if one.teacher):
        names = [f"results/teachers/{teacher_name(experiment, Teacher(seed=seed))}.npz" for seed in range(10)]
        assert len(set(names)) == 10 and set(names) <= of_v1


def test_the_command_prints_the_rules(rules, capsys):
    assert main(["rules"]) == 0
    assert capsys.readouterr().out == rules
