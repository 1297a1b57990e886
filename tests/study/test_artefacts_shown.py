"""What a page shows of a table or a figure, what it publishes, and what stays as it is."""

import dataclasses
import os
import subprocess
import sys

import pytest
from IPython.display import Image, Markdown
from tiny_study import PNG, TINY

from qkdlib import images
from qkdlib.drawing import Figure
from qkdlib.images import datasets
from qkdlib.study import artefacts, contents, v1, v2
from qkdlib.study.v1 import tables
from qkdlib.study.v2 import figures as revised_figures


def test_what_is_looked_at_is_not_written(workspace):
    """A table with all its columns and as text, and a figure to display, with its alt text."""
    page = workspace.folder() / "README.md"
    page.write_text(text := "<!-- begin: table_1 -->\nold\n<!-- end: table_1 -->\n")
    frame, shown = artefacts.table(v1.TABLE_1, workspace)
    assert list(frame.columns) == list(tables.COLUMNS) and list(shown.columns)[:2] == ["row", "paper"]
    figure = artefacts.picture(v1.FIGURE_5, workspace)
    assert isinstance(figure, Figure) and figure.alt == v1.FIGURE_5.alt
    assert page.read_text() == text
    assert [*workspace.tables.iterdir(), *workspace.figures.iterdir()] == []


def test_a_published_figure_is_shown_as_its_file(workspace):
    shown = artefacts.picture(v1.FIGURE_5, workspace, publish=True)
    assert isinstance(shown, Image) and shown.alt == v1.FIGURE_5.alt
    png = (workspace.figures / "figure_5.png").read_bytes()
    assert shown.data == png and shown.width == min(artefacts.WIDEST, int.from_bytes(png[16:20]))


@pytest.mark.parametrize("publish", [False, True])
def test_a_figure_that_cannot_be_drawn_is_the_one_that_is_there_or_none(workspace, capsys, publish):
    assert artefacts.picture(v1.FIGURE_7, workspace, publish).data == "*figure_7: not drawn yet*"
    (workspace.figures / "figure_7.png").write_bytes(PNG)
    assert artefacts.picture(v1.FIGURE_7, workspace, publish).data == PNG
    said = "figure_7 needs records of its rows: one that is there stays as it is\n"
    assert capsys.readouterr().err == said + said


@pytest.mark.parametrize("cifar10", ["cifar10", "cifar10_jpeg"])
def test_with_the_data_sets_at_hand_figures_2_and_11_show_them(workspace, monkeypatch, at_hand, cifar10):
    splits, asked = datasets.splits, []
    eight = splits(dataclasses.replace(TINY, classes=tuple(range(8))))
    at_hand.discard("cifar10_jpeg")
    at_hand.add(cifar10)
    monkeypatch.setattr(images, "splits", lambda experiment: asked.append(experiment) or eight)
    monkeypatch.setattr(revised_figures, "figure_11", lambda parts: Figure(figsize=(len(parts), 1)))
    figure = artefacts.picture(v1.FIGURE_2, workspace)
    assert [panel.get_suptitle() for panel in figure.subfigs] == ["MNIST", "FashionMNIST"]
    assert artefacts.picture(v2.FIGURE_11, workspace).get_figwidth() == 3
    of_figure_2 = [(name, tuple(range(8))) for name in ("mnist", "fashion_mnist")]
    of_figure_11 = [(name, tuple(range(10))) for name in ("mnist", "fashion_mnist", cifar10)]
    assert [(e.dataset, e.classes) for e in asked] == of_figure_2 + of_figure_11


@pytest.mark.parametrize(
    "error", [FileNotFoundError("no network"), ValueError("t10k is damaged"), OSError("no rights")]
)
def test_images_that_cannot_be_loaded_leave_their_figures_as_they_are(workspace, monkeypatch, at_hand, capsys, error):
    def fail(_experiment):
        raise error

    monkeypatch.setattr(images, "splits", fail)
    for picture in (v1.FIGURE_2, v2.FIGURE_11):
        assert isinstance(artefacts.picture(picture, workspace, publish=True), Markdown)
    cannot = f"needs images that cannot be loaded ({error}): one that is there stays as it is"
    assert capsys.readouterr().err.splitlines() == [f"{name} {cannot}" for name in ("figure_2", "figure_11")]
    assert not list(workspace.figures.iterdir())


def test_without_records_the_drawings_are_there_and_the_rest_is_said(workspace, at_hand, capsys):
    at_hand.clear()
    for page in contents.pages().values():
        for picture in page.pictures:
            artefacts.picture(picture, workspace, publish=True)
    said = capsys.readouterr().err.splitlines()
    lacking = ["figure_6", "figure_7", "seed_spread", "figure_12", "collapse", "controls", "data_scaling"]
    lacking += ["shots", "noise", "device", "figure_2", "figure_11"]
    assert sorted(line.split()[0] for line in said) == sorted(lacking)
    assert all("one that is there stays as it is" in line for line in said)
    drawings = {"figure_1", "figure_3", "figure_4", "figure_5", "strategies"}
    assert {path.stem for path in workspace.figures.iterdir()} == drawings


# The README


def test_a_page_that_is_a_link_stays_one_and_keeps_its_letters(tmp_path):
    """In a locale without UTF-8, too, in which Python would read and write a page otherwise."""
    page, end = tmp_path / "page.md", "<!-- end: a -->\nZürich"
    page.write_text(f"Größe <!-- begin: a -->\nold\n{end}", encoding="utf-8")
    (tmp_path / "README.md").symlink_to("page.md")
    code = (
        "import pathlib; from qkdlib.study import artefacts; artefacts.embed(pathlib.Path('README.md'), 'a', '\\xe4')"
    )
    names = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, **names}, check=True)
    assert (tmp_path / "README.md").is_symlink()
    assert page.read_text(encoding="utf-8") == f"Größe <!-- begin: a -->\nä\n{end}"


@pytest.mark.parametrize("text", ["", "<!-- begin: a -->", "<!-- end: a --> <!-- begin: a -->"])
def test_a_page_without_both_markers_stays_as_it_is(tmp_path, text):
    page = tmp_path / "README.md"
    artefacts.embed(page, "a", "new")
    assert not page.exists()
    page.write_text(text)
    artefacts.embed(page, "a", "new")
    assert page.read_text() == text
