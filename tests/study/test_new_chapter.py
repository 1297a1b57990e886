"""The chapter of CONTRIBUTING.md, added to a copy of the project as it is printed there, runs and makes its page."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat import v4

from qkdlib.study import notebooks

ROOT = Path(__file__).parents[2]


def section(title: str) -> str:
    """A section of CONTRIBUTING.md."""
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.M | re.S)
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project without records, with the chapter."""
    place = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "qkdlib", place / "qkdlib", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(ROOT / "pyproject.toml", place)
    (place / "notebooks").mkdir()
    for template in (ROOT / "notebooks").glob("[!.]*.ipynb"):
        shutil.copy(template, place / "notebooks")
    module, parameters, cell = re.findall(r"^```python\n(.*?)^```$", section("A new chapter"), flags=re.M | re.S)
    (place / "qkdlib/study/depth").mkdir()
    (place / "qkdlib/study/depth/__init__.py").write_text(module)
    cells = [v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}), v4.new_code_cell(cell)]
    notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": notebooks.KERNEL})
    nbformat.write(notebook, place / "notebooks/depth.ipynb")
    contents = place / "qkdlib/study/contents.py"
    (before,) = re.findall(r"^CHAPTERS: .* = \((.*)\)$", text := contents.read_text(), flags=re.M)
    text = text.replace(before, f"{before}, depth.CHAPTER")
    contents.write_text(text.replace("from qkdlib.study import ", "from qkdlib.study import depth, ", 1))
    return place


def command(project: Path, *arguments: str) -> str:
    names = {name: value for name, value in os.environ.items() if name not in ("QKD_DATA", "PYTHONPATH")}
    ended = subprocess.run(
        [sys.executable, "-m", "qkdlib", *arguments], cwd=project, env={**names, "PYTHONPATH": str(project)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_example_of_a_chapter_works_as_it_is_printed(project):
    said = command(project, "run", "--only", "depth")
    assert "2 experiments to run" in said
    students = sorted((project / "results/students").iterdir())
    assert len(students) == 2 and all(path.name.startswith("digits_0-1_3q_placebo_") for path in students)

    rules = command(project, "rules")
    (rule,) = re.findall(r"^notebooks/executed/paper/depth\.ipynb: .*\n.*\n\t.*$", rules, flags=re.M)
    assert "$(RECORDS_depth)" in rule
    assert all(f"results/students/{path.name}" in rules for path in students)

    command(project, *shlex.split(rule.split("-m qkdlib ")[1]))
    frame = pd.read_csv(project / "tables/depth.csv")
    assert frame.layers.tolist() == [1, 2]
    assert sorted(path.name for path in (project / "tables").iterdir()) == ["depth.csv", "depth.md", "depth.tex"]
    *_, shown = nbformat.read(project / "notebooks/executed/paper/depth.ipynb", as_version=4).cells
    (output,) = shown.outputs
    rows = re.findall(r"<tr>(.*?)</tr>", output.data["text/html"], flags=re.S)
    assert [re.findall(r"<td>(.*?)</td>", row)[-1] for row in rows] == ["1", "2"]
