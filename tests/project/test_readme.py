"""The README's Python examples run as they stand, on a folder of images; its links and its numbers are right."""

import contextlib
import io
import itertools
import re
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import qkdlib
from qkdlib import parts, records
from qkdlib.study import v1
from qkdlib.study.v1 import paper

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.S)
BLOCKS = dict(re.findall(r"<!-- begin: (\w+) -->\n(.*?)<!-- end: \1 -->", README, flags=re.S))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def pictures(folder: Path) -> None:
    """Discs, rings and spots, as a folder `my_images` of three classes."""
    rng = np.random.default_rng(0)
    distance = np.hypot(*np.mgrid[-10:10, -12:12])[..., None]
    shapes = {"disc": distance < 8, "ring": (distance > 5) & (distance < 9), "spot": distance < 3}
    for (name, shape), (part, count) in itertools.product(shapes.items(), (("train", 120), ("test", 50))):
        target = folder / "my_images" / part / name
        target.mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 60, (20, 24, 3)) + 150 * shape
            Image.fromarray(pixels.astype(np.uint8)).save(target / f"{number}.png")


def quick(code: str) -> str:
    return code.replace("epochs=30", "epochs=10").replace("seeds=10", "seeds=2, shots=500")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page's examples, run in their order in one namespace, in a folder with pictures; two seeds in place of ten,
    a third of the epochs and fewer shots.
    What they left (`names`, in `folder`), and what each `printed`."""
    folder, printed, names = tmp_path_factory.mktemp("reader"), [], {"__name__": "example"}
    pictures(folder)
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.chdir(folder)
        patch.setattr(parts, "_registered", {})
        patch.setattr(parts, "_latest", {})
        torch.manual_seed(0)
        for number, code in enumerate(EXAMPLES):
            path = folder / f"example_{number}.py"  # where `register` reads the source
            path.write_text(quick(code))
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(path.read_text(), path, "exec"), names)
            printed.append(said.getvalue())
        yield types.SimpleNamespace(folder=folder, names=names, printed=printed)


def printed(page, word: str) -> str:
    """What the one example with this word printed."""
    (said,) = (said for code, said in zip(EXAMPLES, page.printed, strict=True) if word in code)
    return said


def well_above_chance(percent: float, classes: int) -> bool:
    """Nearer to all right than to chance."""
    return percent > (100 + 100 / classes) / 2


def test_examples_are_short():
    assert len(EXAMPLES) >= 12 and README.count("seeds=10") == 1
    assert max(sum(bool(line.strip()) for line in code.splitlines()) for code in EXAMPLES) <= 10


def test_every_student_that_an_example_trains_is_well_above_chance(page):
    found = records.read_all(qkdlib.Workspace("my_runs"))
    means = {each.experiment.name: np.mean(records.accuracies(each)) for each in found}
    assert len(found) == 12 and all(len(each.seeds) == 2 for each in found)
    low = [
        each.experiment
        for each in found
        if not well_above_chance(means[each.experiment.name], len(each.experiment.classes))
    ]
    assert low == [], means
    assert well_above_chance(100 * float(printed(page, "DistilledClassifier")), 10)


def test_arms_and_comparisons_of_the_examples(page):
    assert "placebo" in page.printed[0]
    assert all(arm in printed(page, "my_images") for arm in ("placebo", "lenet"))
    assert "custom:Sequential" in printed(page, "records.compare") and "points, p =" in printed(page, "records.compare")
    assert "OPENQASM 3" in printed(page, "efficient_su2")
    assert "custom:Sequential" in printed(page, "absolute") and "custom:Sequential" in printed(page, "Squashed")
    assert "custom:SequentialLastHidden" in printed(page, "last_hidden")
    assert page.names["circuit"].weights == 16 and page.names["found"].frame.shape[0] == 4


def test_what_comes_out(page):
    right, *_ = re.findall(r"tensor\((0\.\d+)\)", printed(page, "load_student"))
    assert well_above_chance(100 * float(right), 10)
    made = {"student.safetensors", "confusion.png", "sweep.png"}
    assert made <= {path.name for path in page.folder.iterdir()}


def test_a_backend_of_ones_own(page):
    said = printed(page, "GenericBackendV2")
    assert all(part in said for part in (" % [", "right on generic_backend_5q (2 seeds", "14 two-qubit gates"))
    assert well_above_chance(float(said.split(" %")[0]), 10)
    assert len(list(page.folder.glob("my_runs/jobs/*.npz"))) == 2  # a job for each seed


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
