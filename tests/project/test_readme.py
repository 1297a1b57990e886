"""The README's Python examples run as they stand, on a folder of images; its links and its numbers are right."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qkdlib.study import v1
from qkdlib.study.v1 import paper

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.S)
BLOCKS = dict(re.findall(r"<!-- begin: (\w+) -->\n(.*?)<!-- end: \1 -->", README, flags=re.S))


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
    monkeypatch.chdir(tmp_path)
    published, revised = [code for code in EXAMPLES if "my_images" in code]
    for code, arms in ((published, ("placebo", "custom:ResNet")), (revised, ("placebo", "lenet"))):
        assert len(code.splitlines()) <= 14 and "seeds=10" in code
        before = set(Path(tmp_path).glob("my_runs/results/students/*.json"))
        exec(code.replace("seeds=10", "seeds=2, epochs=1, shots=100"), {})
        printed = capsys.readouterr().out
        assert all(arm in printed for arm in arms)
        assert len(set(Path(tmp_path).glob("my_runs/results/students/*.json")) - before) == 2


def test_a_backend_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = [code for code in EXAMPLES if "GenericBackendV2" in code]
    with pytest.warns(UserWarning, match="there is no record of it; it is trained now"):
        exec(code.replace("seeds=10", "seeds=2, epochs=1").replace("shots=1000", "shots=50"), {})
    printed = capsys.readouterr().out
    assert all(part in printed for part in (" % [", "right on generic_backend_5q (2 seeds", "14 two-qubit gates"))
    assert len(list(tmp_path.glob("my_runs/jobs/*.npz"))) == 2  # a job for each seed


def test_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert {"figures/seed_spread.png", "figures/figure_12.png", "tables/claims.md", "tables/ablation.md"} <= set(links)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_number_of_experiments():
    (count,) = re.findall(r"(\d+) experiments of 20 seeds for v1", README)
    assert int(count) == len(paper.experiments())


def test_which_tables_the_page_has():
    assert {"table_1", "table_2", "claims", "ranking"} <= set(BLOCKS)
    assert README.count("<!-- begin: ") == README.count("<!-- end: ") == len(BLOCKS)


@pytest.mark.parametrize("name", list(BLOCKS))
def test_tables_of_the_page_are_those_of_the_files(name):
    """Every line of the page is in the file, cell by cell; the page has every row, and every claim that was tested."""
    shown = [cells(line) for line in BLOCKS[name].splitlines() if line]
    lines = [line for line in (ROOT / "tables" / f"{name}.md").read_text().splitlines() if line.startswith("|")]
    header, _, *rows = [cells(line) for line in lines]
    assert shown, "nothing stands between the markers"
    places = [header.index(column) for column in shown[0]]
    expected = [[row[place] for place in places] for row in rows]
    if name == "claims":
        expected = [row for row in expected if row[shown[0].index("ours")]]
    if name.startswith("table_"):
        assert shown[0] == list(v1.COLUMNS)
        assert len(expected) == len(paper.rows(int(name[-1])))
    assert shown[2:] == expected


def test_the_answers_quote_numbers_of_the_tables():
    """Every difference with an interval in the sentences of that section stands in tables/answers or controls."""
    section = README.split("### Does distillation help a quantum student?")[1].split("![")[0]
    quoted = re.findall(r"[+-]\d+\.\d\d \[[^\]]+\]", section)
    there = "".join((ROOT / "tables" / f"{name}.md").read_text() for name in ("answers", "controls"))
    assert len(quoted) >= 8 and [number for number in quoted if number not in there] == []
