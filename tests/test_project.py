"""The project's own files agree with each other: lock, conda environment, notebooks, Makefile, README, committed
results."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from qkdlib import notebooks, paper, records
from qkdlib.workspace import Workspace

ROOT = Path(__file__).parent.parent
TEMPLATES = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXECUTED = sorted((ROOT / "notebooks" / "executed").glob("*/*.ipynb"))


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^[\s-]*([a-z0-9][a-z0-9._-]*)==(\S+)", text, flags=re.M | re.I))


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text())["cells"]


def test_conda_environment_states_the_locked_versions():
    lock = pins((ROOT / "requirements.lock").read_text())
    assert len(lock) > 100
    assert pins((ROOT / "environment.yml").read_text()) == lock


def test_lock_is_exact_and_holds_every_requirement_and_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert all(re.fullmatch(r"[a-z0-9._-]+==\S+", line) for line in text.split("\n")[:-1])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
    names = {re.match(r"[a-zA-Z0-9-]+", line).group().lower() for line in wanted} - {"qkdlib"}
    assert names <= set(pins(text))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_template_is_clean(path):
    found = cells(path)
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in found) == 1
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in found)
    assert len(found) <= 21
    code = ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]
    assert not any(re.search(r"^(class|def) ", text, flags=re.M) for text in code)
    kernel = json.loads(path.read_text())["metadata"]["kernelspec"]["name"]
    assert kernel == "python3"


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


def test_every_template_has_an_executed_copy_on_digits():
    assert {path.name for path in EXECUTED if path.parent.name == "digits"} == {path.name for path in TEMPLATES}


def test_commands_of_the_readme_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make ([a-z][a-z-]+)", (ROOT / "README.md").read_text()))
    assert {"demo", "test", "paper-artifacts"} <= named
    assert all(re.search(rf"^{name}:", makefile, flags=re.M) for name in named)


def test_covered_rows_have_committed_records_with_20_seeds():
    committed = {record.experiment.name: record for record in records.read_all(Workspace(ROOT))}
    for row in paper.rows():
        if row.category != "Teacher":
            assert len(committed[row.experiment.name].seeds) >= 20


def test_notebook_parameters_of_a_row_give_its_experiment():
    from qkdlib.experiment import Experiment, Teacher

    values = notebooks.parameters_of("M-D-lenet-3q-05")
    assert values.pop("workspace") == "."
    assert values.pop("architectures") == ["lenet"]
    teacher = Teacher(architecture=values.pop("teacher"), epochs=values.pop("teacher_epochs"))
    assert Experiment(**values).distilled(teacher) == paper.row("M-D-lenet-3q-05").experiment


def test_unknown_notebook_is_named():
    with pytest.raises(ValueError, match="notebook='nonsense' is not allowed; allowed: one of baselines, "):
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


def test_a_row_that_the_notebooks_cannot_run_is_refused():
    with pytest.raises(ValueError, match="row='F-B-3q-05' is not allowed"):
        notebooks.parameters_of("F-B-3q-05")  # its head is softmax
