"""The chapters, in the order of the argument, and the pages of all of them. To add a chapter, name it here."""

from qkdlib import checks
from qkdlib.study import claims, collapse, controlled, robustness, v1, v2
from qkdlib.study.chapter import Chapter, Page, Part, Table

CHAPTERS: tuple[Chapter, ...] = (v1.CHAPTER, v2.CHAPTER, collapse.CHAPTER, robustness.CHAPTER, controlled.CHAPTER)

CLAIMS = Table(
    "claims",
    lambda workspace: claims.table((claim for chapter in CHAPTERS for claim in chapter.claims), workspace),
    claims.readable, (claims.RULE,), claims.tested,
)  # fmt: skip
VERDICTS = Page(  # on all chapters
    "claims", "paper", (CLAIMS,), (v1.SEED_SPREAD, v1.FIGURE_7), reads=tuple(each.name for each in CHAPTERS)
)


def parts() -> dict[str, Part]:
    """Every part of every chapter, by its name."""
    return {part.name: part for chapter in CHAPTERS for part in chapter.parts}


def chosen(names: list[str] | None = None) -> list[Part]:
    """The parts that are called so, and all parts of chapters that are; None: every part.

    Raises:
        ValueError: no part or chapter has that name.
    """
    named = {chapter.name: list(chapter.parts) for chapter in CHAPTERS} | {n: [part] for n, part in parts().items()}
    if names is None:
        return list(parts().values())
    for name in names:
        checks.one_of("only", name, named)
    return list(dict.fromkeys(part for name in names for part in named[name]))


def pages() -> dict[str, Page]:
    """Every page, by its name."""
    return {page.name: page for page in (*(page for chapter in CHAPTERS for page in chapter.pages), VERDICTS)}
