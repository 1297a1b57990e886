"""Tables as files, parsed back, and in a page between its markers."""

import pandas as pd
import pytest
from synthetic import fill, save_teachers

from qkdlib.study import artefacts, v1
from qkdlib.study.v1 import tables
from qkdlib.study.verdicts import RULE
from qkdlib.workspace import Workspace


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """The four tables of v1, by name, of synthetic records of all its students and its teachers' files."""
    workspace = Workspace(tmp_path_factory.mktemp("v1"))
    fill(workspace, parts=("v1", "v1-drawn"))
    save_teachers(workspace)
    found = {each.name: each.make(workspace) for each in (*v1.TABLES.values(), v1.DESCRIBED)}
    return found | {"drawn": tables.drawn(workspace)}


def parsed_markdown(text):
    """Header and rows of the first table in Markdown."""
    lines = [line.removeprefix("|").removesuffix("|") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return cells[0], cells[2:]


def parsed_latex(text):
    """Header and rows between booktabs' rules."""
    body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    header, _, rest = body.partition(r"\midrule")
    rows = [[cell.strip() for cell in line.removesuffix(r"\\").split("&")] for line in rest.strip().splitlines()]
    return [cell.strip() for cell in header.strip().removesuffix(r"\\").split("&")], rows


@pytest.mark.parametrize("name", ["table_1", "table_2", "described", "drawn"])
def test_the_three_files_hold_the_table(frames, tmp_path, name):
    frame = frames[name]
    shown = tables.readable(frame)
    artefacts.write(frame, tmp_path, name, [tables.UNITS, tables.RUNS, RULE], shown)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.csv", f"{name}.md", f"{name}.tex"]

    back = pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False, na_values=[""])
    assert list(back.columns) == list(frame.columns)
    numbers = frame.columns[frame.map(lambda cell: not isinstance(cell, str)).all()]
    assert {"mean_last", "ci_low", "delta_mean", "p_holm", "chance_single_pair", "best_test_max"} <= set(numbers)
    for column in frame.columns:
        if column in numbers:
            expected = frame[column].astype(float).tolist()
            assert back[column].astype(float).tolist() == pytest.approx(expected, rel=1e-5, abs=1e-12, nan_ok=True)
        else:
            assert back[column].astype(object).fillna("").tolist() == frame[column].fillna("").tolist()

    text = (tmp_path / f"{name}.md").read_text()
    header, rows = parsed_markdown(text)
    assert header == list(shown.columns)
    assert rows == shown.to_numpy().tolist()
    assert text.endswith(f"\n\n{tables.UNITS}\n\n{tables.RUNS}\n\n{RULE}\n")

    text = (tmp_path / f"{name}.tex").read_text()
    header, rows = parsed_latex(text)
    assert header == list(shown.columns)
    assert [[cell.replace(r"\%", "%") for cell in row] for row in rows] == shown.to_numpy().tolist()
    assert "'reproduced' if its 90 \\% interval lies within 2 points" in text


def test_latex_has_no_bare_special_characters(workspace):
    frame = pd.DataFrame([{"a_b": "fashion_mnist", "c": "95 %"}])
    artefacts.write(frame, workspace.tables, "t", ["`mean_last` in %"])
    text = (workspace.tables / "t.tex").read_text()
    for special in "%_":
        assert special in text and special not in text.replace("\\" + special, "")
    assert "`" not in text


def test_without_text_to_show_the_whole_table_is_shown(tmp_path):
    artefacts.write(pd.DataFrame([{"a": "one", "b": 2.5}]), tmp_path, "t", ["a note"])
    assert parsed_markdown((tmp_path / "t.md").read_text()) == (["a", "b"], [["one", "2.5"]])
    assert parsed_latex((tmp_path / "t.tex").read_text())[0] == ["a", "b"]


def test_a_page_without_markers_stays(tmp_path):
    page = tmp_path / "README.md"
    artefacts.embed(page, "table_1", "| new |")
    assert not page.exists()
    page.write_text("before\n<!-- begin: table_2 -->\nold\n<!-- end: table_2 -->\n")
    artefacts.embed(page, "table_1", "| new |")
    assert page.read_text() == "before\n<!-- begin: table_2 -->\nold\n<!-- end: table_2 -->\n"
    artefacts.embed(page, "table_2", "| new |")
    assert page.read_text() == "before\n<!-- begin: table_2 -->\n| new |\n<!-- end: table_2 -->\n"
