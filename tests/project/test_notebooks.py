"""Notebooks: templates are clean, executed copies are of them and can be read, and they run headless."""

import ast
import base64
import json
import re
import struct
from pathlib import Path

import pytest
from names_of_qkdlib import imported, missing

from qkdlib import records
from qkdlib.study import contents, notebooks

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "notebooks").glob("[!.]*.ipynb"))
EXECUTED = sorted((ROOT / "notebooks" / "executed").glob("*/[!.]*.ipynb"))
LONGEST_FUNCTION = 5  # lines; longer ones belong to the library
WIDEST = 1500  # pixels of a picture, which pages scale down to their width


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text())["cells"]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_template_is_clean(path):
    found = cells(path)
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in found) == 1
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in found)
    assert len(found) <= 21
    code = ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]
    assert not any(re.search(r"^class ", text, flags=re.M) for text in code)
    for text in code:
        plain = re.sub(r"^( *)%.*$", r"\1pass", text, flags=re.M)  # a notebook's own commands
        functions = [node for node in ast.walk(ast.parse(plain)) if isinstance(node, ast.FunctionDef)]
        assert all(node.end_lineno - node.lineno < LONGEST_FUNCTION for node in functions)
    assert sum(len(text.splitlines()) for text in code) <= 150
    kernel = json.loads(path.read_text())["metadata"]["kernelspec"]["name"]
    assert kernel == "python3"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_name_of_qkdlib_in_a_notebook_is_there(path):
    code = "\n".join("".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code")
    source = re.sub(r"^( *)%.*$", r"\1pass", code, flags=re.M)  # a notebook's own commands
    assert missing(source, imported(source)) == []


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_executed_copy_is_of_the_present_template(path):
    """Apart from the parameters that papermill adds, an executed notebook has the cells of its template."""
    added = [cell for cell in cells(path) if "injected-parameters" in cell["metadata"].get("tags", [])]
    assert len(added) <= 1
    sources = ["".join(cell["source"]) for cell in cells(path) if cell not in added]
    assert sources == ["".join(cell["source"]) for cell in cells(ROOT / "notebooks" / path.name)]
    outputs = [output for cell in cells(path) for output in cell.get("outputs", [])]
    assert outputs
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_executed_copy_can_be_read_by_everybody(path):
    """No path of a machine, no wall of text, pictures with a text for those who do not see them and no wider than a
    page, and no table that has lost rows or words."""
    assert not re.search(r"(/home/|/root/|/tmp/|/Users/)", path.read_text()) and str(ROOT) not in path.read_text()
    for output in (output for cell in cells(path) for output in cell.get("outputs", [])):
        data, alts = output.get("data", {}), output.get("metadata", {}).get("image/png", {})
        assert len("".join(output.get("text", ""))) < 4000
        if "image/png" in data:
            width, _ = struct.unpack(">II", base64.b64decode(data["image/png"])[16:24])
            assert alts.get("alt"), "a picture without a text"
            assert min(width, alts.get("width", width)) <= WIDEST
        if "text/html" in data:
            rows = re.findall(r"<tr.*?</tr>", "".join(data["text/html"]), flags=re.S)
            table = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, flags=re.S) for row in rows]
            assert not [cell for row in table for cell in row if cell.endswith("...")]
            longest = [
                max(len(word) for cell in column for word in cell.split(" ")) for column in zip(*table, strict=True)
            ]
            assert 6.5 * sum(letters + 2 for letters in longest) <= 1000  # pixels, of letters and margins


def test_every_page_has_its_executed_copy_and_every_copy_is_a_page_or_a_quick_one():
    pages = {page.name for page in contents.pages().values()}
    there = {f"{path.parent.name}/{path.stem}" for path in EXECUTED}
    assert there == pages | {f"digits/{path.stem}" for path in TEMPLATES} | {"mnist/audit"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_notebooks_that_take_a_folder_take_the_size_of_its_images(path):
    """And hand it on, so that photographs of many sizes can be used."""
    code = ["".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code"]
    parameters = notebooks.defaults(path)
    assert ("image_size" in parameters) == ("dataset" in parameters) == any("imagefolder:" in text for text in code)
    if "image_size" in parameters:
        assert parameters["image_size"] is None
        assert sum(bool(re.search(r"(image_size=|\"image_size\": )image_size", text)) for text in code) == 1


def test_a_mistyped_parameter_is_named():
    with pytest.raises(ValueError, match="parameter='datset' is not allowed; allowed: one of "):
        notebooks.execute("audit", "unused.ipynb", {"datset": "mnist"}, ["datset"])


def test_unknown_notebook_is_named():
    with pytest.raises(ValueError, match="notebook='nonsense' is not allowed; allowed: one of ablations, audit, "):
        notebooks.execute("nonsense", "unused.ipynb", {})


def test_a_notebook_runs_headless_and_leaves_no_trace_of_the_run(workspace, monkeypatch):
    """The real template with few students: parameters go in, outputs come out, timings and paths do not."""
    small = {"seeds": 1, "epochs": 1, "train_per_class": 4, "shots": 10, "workspace": str(workspace.root), "unknown": 1}
    out = notebooks.execute("baselines", workspace.folder() / "out.ipynb", small)
    text = out.read_text()
    assert "papermill" not in text
    assert str(ROOT) not in text
    found = cells(out)
    assert ["injected-parameters" in cell["metadata"].get("tags", []) for cell in found].count(True) == 1
    printed = "".join("".join(o.get("text", "")) for cell in found for o in cell.get("outputs", []))
    assert "trainable parameters: {'classical': 21483, 'quantum': 0}" in printed
    assert records.read_all(workspace)[0].experiment.seeds == 1
