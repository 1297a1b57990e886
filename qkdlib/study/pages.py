"""The pages as rules of a makefile, by which `make` knows which of them are out of date and how to execute them."""

import shlex
from pathlib import Path

from qkdlib import teachers
from qkdlib.study import contents
from qkdlib.study.chapter import Chapter, Page, copies
from qkdlib.workspace import Workspace, project_root


def rules() -> str:
    """A rule for each page: its executed copy depends on its template, on the library (`CODE`) and on the records that
    its chapters declare, as far as they are there, and is made anew where a table or figure of it is gone. A page that
    does not write a table that its chapter says it does has failed; a figure may lack its images."""
    lines = [f"RECORDS_{chapter.name} := $(wildcard {' '.join(_files(chapter))})" for chapter in contents.CHAPTERS]
    for chapter in (*contents.CHAPTERS, None):
        for page in chapter.pages if chapter else (contents.VERDICTS,):
            lines += _rule(page, (chapter.name,) if chapter else ())
    lines.append(f"PAGES := {' '.join(_relative(page.copy) for page in contents.pages().values())}")
    return "\n".join(lines) + "\n"


def _rule(page: Page, of_chapter: tuple[str, ...]) -> list[str]:
    read = " ".join(f"$(RECORDS_{name})" for name in dict.fromkeys((*of_chapter, *page.reads)))
    written = " ".join(map(_relative, page.written(Workspace())))
    needs = f"notebooks/{page.notebook}.ipynb $(CODE) {read} $(call absent,{written})"
    parameters = {"workspace": ".", "publish": True, **page.parameters}
    chosen = " ".join(f"-p {name} {shlex.quote(str(value))}" for name, value in parameters.items())
    command = f"$(RUN) -m qkdlib notebooks {page.notebook} --out {_relative(page.copy.parent)} {chosen}"
    tables = " ".join(_relative(path) for table in page.tables for path in table.paths(Workspace()))
    started = f"build/{page.folder}-{page.notebook}.started"
    recipe = (f"\t@touch {started}", f"\t@{command}", f"\t$(call written,{tables},{started})")
    return [f"{_relative(page.copy)}: {needs}", *recipe]


def _files(chapter: Chapter) -> list[str]:
    """Where the records of a chapter lie, or will."""
    place = Workspace()
    asked = chapter.experiments()
    found = {place.students / f"{experiment.name}.json" for experiment in asked}
    found |= {place.executions / f"{experiment.name}.json" for experiment in chapter.executed()}
    for experiment in (*asked, *chapter.taught()):
        for teacher in (*experiment.teacher.each(), *experiment.teacher.trained()) if experiment.teacher else ():
            found |= {teachers.logits_path(place, copy, teacher) for (copy,) in copies((experiment,))}
    return sorted(map(_relative, found))


def _relative(path: Path) -> str:
    return path.relative_to(project_root()).as_posix()
