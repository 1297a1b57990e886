"""The chapters, their parts and their pages fit together, and what they publish is what is committed."""

import importlib
from collections import Counter
from pathlib import Path

import pytest

from qkdlib.study import contents, notebooks
from qkdlib.study.chapter import Page, Picture, Table
from qkdlib.study.claims import in_order
from qkdlib.workspace import Workspace

ROOT = Path(__file__).parents[2]
PAGES = list(contents.pages().values())


def repeated(names) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def test_names_are_unique():
    """Of chapters, and of parts, pages, tables and figures over all chapters. Where a part is called like a chapter,
    it is the whole of it, so that ONLY means one thing."""
    assert repeated(chapter.name for chapter in contents.CHAPTERS) == []
    parts = [part for chapter in contents.CHAPTERS for part in chapter.parts]
    assert repeated(part.name for part in parts) == [] and len(parts) == len(contents.parts())
    for chapter in contents.CHAPTERS:
        assert chapter.title
        if chapter.name in contents.parts():
            assert chapter.parts == (contents.parts()[chapter.name],)
    pages = [page for chapter in contents.CHAPTERS for page in chapter.pages]
    assert repeated(page.name for page in pages) == [] and len(pages) + 1 == len(PAGES)  # and that of all claims
    assert repeated(table.name for page in PAGES for table in page.tables) == []
    assert repeated(picture.name for page in PAGES for picture in page.pictures) == []


@pytest.mark.parametrize("chapter", contents.CHAPTERS, ids=lambda chapter: chapter.name)
def test_a_chapter_is_the_folder_of_its_name_and_all_its_tables_and_figures_are_on_its_pages(chapter):
    """Two figures of v1 stand with the claims."""
    module = importlib.import_module(f"qkdlib.study.{chapter.name}")
    assert module.CHAPTER is chapter and chapter.parts and chapter.pages
    made = [each for each in vars(module).values() if isinstance(each, Table | Picture)]
    shown = [each for page in PAGES for each in (*page.tables, *page.pictures)]
    assert made and [each.name for each in made if shown.count(each) != 1] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_a_notebook_that_takes_its_parameters_and_reads_chapters_that_there_are(page):
    parameters = {"workspace": ".", "publish": True, **page.parameters}
    assert notebooks.check(page.notebook, page.copy, parameters, parameters) == parameters
    assert notebooks.defaults(notebooks.template(page.notebook))["publish"] is False
    assert set(page.reads) <= {chapter.name for chapter in contents.CHAPTERS}
    assert page.name == f"{page.folder}/{page.notebook}" and contents.page(page.notebook, page.folder) is page
    assert page.copy == ROOT / "notebooks" / "executed" / page.folder / f"{page.notebook}.ipynb"


def test_a_notebook_that_no_chapter_has_made_a_page_publishes_nothing():
    page = contents.page("quickstart", "digits")
    assert page == Page("quickstart", "digits") and page.written(Workspace()) == []


def test_committed_tables_and_figures_are_those_of_the_pages():
    there = {path for folder in ("tables", "figures") for path in (ROOT / folder).glob("[!.]*")}
    written = [path for page in PAGES for path in page.written(Workspace(ROOT))]
    assert repeated(written) == [] and set(written) == there


def test_claims_have_unique_ids_and_follow_claims_that_there_are():
    claims = [claim for chapter in contents.CHAPTERS for claim in chapter.claims]
    ids = [claim.id for claim in claims]
    assert repeated(ids) == [] and all(ids)
    assert {claim.after for claim in claims} <= {"", *ids}
    assert sorted(claim.id for claim in in_order(claims)) == sorted(ids)


def test_parts_are_chosen_by_their_names_and_their_chapters_in_the_order_that_is_asked_for():
    every = contents.parts()
    assert contents.chosen() == list(every.values()) and contents.chosen([]) == []
    of_v2 = [part for name, part in every.items() if name.startswith("v2-")]
    assert len(of_v2) == 5 and contents.chosen(["v2"]) == of_v2
    assert contents.chosen(["v2-entangler", "v1", "v2"]) == [of_v2[-1], every["v1"], *of_v2[:-1]]
    with pytest.raises(ValueError, match="^only='v3' is not allowed; allowed: one of v1, v2, collapse, robustness"):
        contents.chosen(["v1", "v3"])
