"""The README's Python example runs as it stands, on a folder of images; its links and its numbers are right."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qkdlib import artefacts, paper

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split("|")]


def test_own_teacher_student_and_images(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for part, count in (("train", 120), ("test", 50)):
        for place, name in enumerate(("disc", "ring", "spot")):
            folder = tmp_path / "my_images" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 40, (20, 24, 3)) + 60 * place
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(code.splitlines()) <= 13
    monkeypatch.chdir(tmp_path)
    exec(code.replace("seeds=10", "seeds=2, epochs=1, shots=100"), {})
    printed = capsys.readouterr().out
    assert "custom:ResNet" in printed
    assert len(list((tmp_path / "my_runs" / "results" / "students").glob("*.json"))) == 2


def test_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert {"figures/seed_spread.png", "tables/claims.md"} <= set(links)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_number_of_experiments():
    (count,) = re.findall(r"(\d+) experiments of 20 seeds", README)
    assert int(count) == len(artefacts.experiments(artefacts.declared_rows()))


@pytest.mark.parametrize("name", ["table_1", "table_2", "claims"])
def test_tables_of_the_page_are_those_of_the_files(name):
    """Every line of the page is in the file, cell by cell; the page has every row, and every claim that was tested."""
    (block,) = re.findall(rf"<!-- begin: {name} -->\n(.*?)<!-- end: {name} -->", README, flags=re.S)
    shown = [cells(line) for line in block.splitlines() if line]
    lines = [line for line in (ROOT / "tables" / f"{name}.md").read_text().splitlines() if line.startswith("|")]
    header, _, *rows = [cells(line) for line in lines]
    assert shown, "nothing stands between the markers"
    places = [header.index(column) for column in shown[0]]
    expected = [[row[place] for place in places] for row in rows]
    if name == "claims":
        expected = [row for row in expected if row[shown[0].index("ours")]]
    else:
        assert shown[0] == artefacts.README_COLUMNS
        assert len(expected) == len(paper.rows(int(name[-1])))
    assert shown[2:] == expected
