"""The chapters, in the order of the argument, and the pages of all of them. To add a chapter, name it here."""

from qkdlib import checks
from qkdlib.experiment import Experiment
from qkdlib.names import span
from qkdlib.study import claims, collapse, controlled, robustness, v1, v2
from qkdlib.study.chapter import TITLES, Chapter, Page, Part, Table, copies, same_images
from qkdlib.teachers import TeacherLogits, logits_path
from qkdlib.workspace import Workspace

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


def page(notebook: str, folder: str) -> Page:
    """The page of a notebook in a folder; one that publishes nothing where no chapter declares it."""
    return pages().get(f"{folder}/{notebook}", Page(notebook, folder))


def teachers(dataset: str, workspace: Workspace) -> dict[str, TeacherLogits]:
    """Every teacher of the study on a data set, or a copy of it, that has its logits, by a label."""
    found: dict[str, TeacherLogits] = {}
    same = same_images(dataset)
    for experiment in (each for chapter in CHAPTERS for each in chapter.taught() if each.dataset in same):
        for (task,) in copies((experiment,)):
            logits = TeacherLogits.find(logits_path(workspace, task, task.teacher))
            if logits is not None:
                found.setdefault(_label(task), logits)
    return found


def _label(task: Experiment) -> str:
    few = task.teacher.images_per_class
    images = f", {few} images per class" if few else ""
    return f"{TITLES[task.teacher.architecture]}, {span(task.classes)}{images}"


def pages() -> dict[str, Page]:
    """Every page, by its name."""
    return {page.name: page for page in (*(page for chapter in CHAPTERS for page in chapter.pages), VERDICTS)}
