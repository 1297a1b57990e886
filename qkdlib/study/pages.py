"""Executing pages, and the rules by which `make` knows which of them are out of date."""

from qkdlib import checks, teachers
from qkdlib.study import artefacts, contents, notebooks
from qkdlib.study.chapter import Chapter, Page
from qkdlib.workspace import Workspace, project_root


def execute(name: str) -> None:
    """Execute a page: its copy, its tables and its figures are written from the project's records.

    Raises:
        ValueError: no page is called so.
        RuntimeError: a cell failed, or the page has not written what it should.
    """
    known = contents.pages()
    page = known[checks.one_of("page", name, known)]
    parameters = {"workspace": ".", "publish": True, **page.parameters}
    notebooks.execute(page.notebook, page.copy, parameters, list(page.parameters))
    artefacts.check(page, Workspace())


def rules() -> str:
    """The pages as rules of a makefile: the executed copy depends on its template, on the library (`CODE`) and on the
    records that its chapters declare, as far as they are there, and is made anew where a table or figure of it is
    gone."""
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
    return [f"{_relative(page.copy)}: {needs}", f"\t@echo page {page.name}; $(RUN) -m qkdlib page {page.name}"]


def _files(chapter: Chapter) -> list[str]:
    """Where the records of a chapter lie, or will."""
    place = Workspace()
    asked = chapter.experiments()
    found = {place.students / f"{experiment.name}.json" for experiment in asked}
    found |= {place.folder("results", "executions") / f"{experiment.name}.json" for experiment in chapter.executed()}
    for experiment in (*asked, *chapter.taught()):
        for teacher in (experiment.teacher, *experiment.teacher.trained()) if experiment.teacher else ():
            found.add(teachers.logits_path(place, experiment, teacher))
    return sorted(map(_relative, found))


def _relative(path) -> str:
    return path.relative_to(project_root()).as_posix()
