"""`make paper-artifacts`: runs what has no record, draws everything from records, and says what it leaves alone."""

import dataclasses

import pytest

from qkdlib import __main__, artefacts, datasets, paper, pipeline, summary
from qkdlib.experiment import Experiment, Teacher
from qkdlib.workspace import Workspace

TINY = Experiment(
    dataset="digits", classes=(0, 1), train_per_class=6, validation_per_class=2, test_per_class=5,
    epochs=1, seeds=2, shots=20,
)  # fmt: skip


@pytest.fixture
def tiny_paper(monkeypatch):
    """The paper's covered rows, with experiments of a second."""
    taught = TINY.distilled(Teacher(epochs=1))
    rows = [dataclasses.replace(row, experiment=TINY if row.category == "Student" else taught) for row in paper.rows()]
    monkeypatch.setattr(paper, "all_rows", lambda: tuple(rows))
    return rows


def make(workspace: Workspace, **options) -> str:
    lines = []
    artefacts.make(workspace, say=lines.append, **options)
    return "\n".join(lines)


def files(workspace: Workspace) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for folder in (workspace.tables, workspace.figures) for path in folder.iterdir()
    }


def test_everything_is_made_once_and_redrawn_from_records(tiny_paper, workspace, monkeypatch):
    said = make(workspace)
    assert f"running {TINY.name}, 2 seeds" in said
    made = files(workspace)
    assert {name for name in made if name.endswith(".png")} == {
        "figure_2.png", "figure_5.png", "figure_6.png", "figure_7.png", "seed_spread.png",
    }  # fmt: skip
    assert {name for name in made if name.startswith("table")} == {"table_1.csv", "table_1.md", "table_1.tex"}
    monkeypatch.setattr(pipeline, "run", lambda *_, **__: pytest.fail("there is a record"))
    assert "running" not in make(workspace)
    assert files(workspace) == made


def test_without_the_data_set_the_figure_of_images_stays(tiny_paper, workspace, monkeypatch):
    make(workspace)
    made = files(workspace)
    monkeypatch.setattr(datasets, "at_hand", lambda _dataset: False)
    assert "figure_2 shows images" in make(workspace)
    assert files(workspace) == made


def test_fresh_reruns_to_the_same_tables(tiny_paper, workspace):
    make(workspace)
    made = files(workspace)
    assert f"running {TINY.name}, 2 seeds" in make(workspace, fresh=True)
    assert files(workspace) == made


def test_a_record_of_no_row_is_named_and_left_alone(tiny_paper, workspace):
    stray = dataclasses.replace(TINY, shots=7)
    pipeline.run(stray, workspace=workspace)
    assert f"left alone: {stray.name}.json" in make(workspace)
    assert (workspace.students / f"{stray.name}.json").exists()


def test_the_page_gets_its_table(tiny_paper, workspace):
    page = workspace.folder() / "README.md"
    page.write_text("before\n<!-- begin: table_1 -->\nold\n<!-- end: table_1 -->\nafter\n")
    make(workspace)
    text = page.read_text()
    assert text.startswith("before\n<!-- begin: table_1 -->\n| row")
    assert text.endswith("<!-- end: table_1 -->\nafter\n")
    assert "old" not in text


def test_summary_pairs_an_arm_with_its_placebo(tiny_paper, workspace):
    make(workspace)
    table = summary.arms(pipeline.run(row.experiment, workspace=workspace) for row in tiny_paper)
    assert list(table["arm"]) == ["placebo", "lenet", "lenet"]
    assert list(table["gain over placebo [95 %]"] != "") == [False, True, True]
    assert "seed_spread.png" in summary.text(workspace)


def test_command_line(tiny_paper, workspace, capsys, monkeypatch):
    assert __main__.main(["paper-artifacts", "--workspace", str(workspace.root)]) == 0
    assert "Table 1" in capsys.readouterr().out
    monkeypatch.setenv("QKD_THREADS", "none")
    assert __main__.main(["paper-artifacts", "--fresh", "--workspace", str(workspace.root)]) == 2
    assert capsys.readouterr().err == "error: QKD_THREADS='none' is not allowed; allowed: a whole number of 1 or more\n"


def test_notebooks_command(workspace, capsys):
    assert __main__.main(["notebooks", "nonsense", "--out", str(workspace.root)]) == 2
    assert "notebook='nonsense' is not allowed; allowed: one of baselines" in capsys.readouterr().err
