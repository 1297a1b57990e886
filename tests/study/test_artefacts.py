"""Tables and figures are written from records alone, by the objects that the pages name; what cannot be drawn stays."""

import contextlib
import dataclasses
import inspect
import io
import re

import pandas as pd
import pytest
from synthetic import few_bars, fill, fill_executions, per_seed, save_all_teachers
from tiny_study import PNG, TINY, forbid_training, quick_statistics

from qkdlib import pipeline, training
from qkdlib.experiment import Teacher
from qkdlib.records import summary
from qkdlib.study import artefacts, claims, contents, missing, v1, verdicts
from qkdlib.study.collapse import changes
from qkdlib.study.collapse import table as collapse_table
from qkdlib.study.controlled import answers
from qkdlib.study.controlled import table as controlled_table
from qkdlib.study.robustness import hardware
from qkdlib.study.robustness import table as robustness_table
from qkdlib.study.v1 import paper, tables
from qkdlib.study.v2 import ablation, cost
from qkdlib.teachers.teacher_files import teacher_name
from qkdlib.training import student_training
from qkdlib.workspace import Workspace

DRAWINGS = {"figure_1", "figure_3", "figure_4", "figure_5", "strategies"}
EXECUTED = {"shots", "noise", "device"}
CONTROLLED = {"controls", "data_scaling"}
FIGURES = DRAWINGS | {"figure_6", "figure_7", "figure_12", "seed_spread", "collapse"} | EXECUTED | CONTROLLED
REDRAWN = {"drawn"} & {table.name for page in contents.pages().values() for table in page.tables}  # once declared
TABLES = REDRAWN | {
    "table_1", "table_2", "described", "claims", "ablation", "ranking", "entangler", "cost", "robustness",
    "hardware", "collapse", "robust", "controls", "grid", "answers",
}  # fmt: skip
ON_PAGE = TABLES - {"described", "drawn", "cost", "robustness"}
PAGE = "# Title\n" + "".join(f"<!-- begin: {name} -->\nold\n<!-- end: {name} -->\n" for name in sorted(ON_PAGE))


def files(workspace: Workspace) -> dict[str, bytes]:
    """What is drawn, by file name."""
    found = [path for folder in (workspace.tables, workspace.figures) for path in folder.iterdir()]
    return {path.name: path.read_bytes() for path in (*found, workspace.folder() / "README.md") if path.exists()}


def publish(workspace: Workspace) -> str:
    """Write every table and figure of every page. Returns what is said on stderr."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        for page in contents.pages().values():
            for table in page.tables:
                artefacts.table(table, workspace, publish=True)
            for picture in page.pictures:
                artefacts.picture(picture, workspace, publish=True)
    return said.getvalue()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A workspace with a record of every experiment, of v2's a few, and all teachers' files; its tables and figures
    written twice, where no data set is at hand and nothing may be trained. With it, what was said, and what the first
    time wrote."""
    workspace = Workspace(tmp_path_factory.mktemp("drawn"))
    (workspace.folder() / "README.md").write_text(PAGE)
    for name in ("figure_2.png", "figure_11.png"):
        (workspace.figures / name).write_bytes(PNG)
    with pytest.MonkeyPatch.context() as patch, quick_statistics():
        few_bars(patch)
        fill(workspace)
        fill_executions(workspace)
        save_all_teachers(workspace)
        patch.setenv("QKD_DATA", str(tmp_path_factory.mktemp("no data")))
        forbid_training(patch)
        said = publish(workspace)
        first = files(workspace)
        publish(workspace)
    return workspace, said, first


# From records alone


def test_all_figures_and_tables_are_drawn_without_images(drawn):
    _, _, made = drawn
    wanted = {f"{name}.{ending}" for name in FIGURES for ending in ("pdf", "png")}
    wanted |= {f"{name}.{ending}" for name in TABLES for ending in ("csv", "md", "tex")}
    assert set(made) == wanted | {"figure_2.png", "figure_11.png", "README.md"}
    assert all(made[name].startswith(b"%PDF") for name in wanted if name.endswith("pdf"))
    assert all(made[name].startswith(b"\x89PNG") for name in wanted if name.endswith("png"))


@pytest.mark.parametrize(
    ("name", "images"), [("figure_2", "mnist and fashion_mnist"), ("figure_11", "mnist and fashion_mnist and cifar10")]
)
def test_the_figures_of_images_stay_and_that_is_said(drawn, name, images):
    _, said, made = drawn
    assert made[f"{name}.png"] == PNG
    (line,) = [line for line in said.splitlines() if line.startswith(name)]
    assert f"images of {images}, which are not at hand" in line and line.endswith("one that is there stays as it is")
    assert len(said.splitlines()) == 2


def test_drawn_again_every_file_is_the_same(drawn):
    workspace, _, first = drawn
    again = files(workspace)
    assert [name for name in first if again[name] != first[name]] == []
    assert set(again) == set(first)


def test_tables_have_every_row_and_their_rules_below(drawn):
    workspace, *_ = drawn
    for name, count in {"table_1": 19, "table_2": 23, "described": 12, **dict.fromkeys(REDRAWN, 12)}.items():
        frame = pd.read_csv(workspace.tables / f"{name}.csv")
        assert len(frame) == count
        assert not (frame[list(tables.VERDICTS)] == verdicts.MISSING).any(axis=None)
        text = (workspace.tables / f"{name}.md").read_text()
        assert text.count("\n| ") == count  # and the header in the first line
        runs = {"described": tables.AS_DESCRIBED, "drawn": tables.AS_DRAWN}.get(name, tables.RUNS)
        assert all(note in text for note in (tables.UNITS, runs, verdicts.RULE))
    frame = pd.read_csv(workspace.tables / "claims.csv")
    text = (workspace.tables / "claims.md").read_text()
    assert text.count("\n| ") == len(frame) and claims.RULE in text


def test_v2s_tables_have_every_bar_and_their_rules_below(drawn):
    """Of seven bars in two regimes, four variants, and for MNIST the paper's order and ours, four times."""
    workspace, *_ = drawn
    notes = {"ablation": [ablation.UNITS, ablation.RULE], "ranking": [ablation.RANKING], "cost": [cost.UNITS]}
    notes["entangler"] = notes["ablation"]
    notes |= {"robustness": [robustness_table.UNITS, robustness_table.RULE], "hardware": [hardware.UNITS]}
    notes |= {"collapse": [collapse_table.UNITS], "controls": [controlled_table.UNITS, controlled_table.WORDS]}
    notes |= {"answers": [answers.RULE, controlled_table.WORDS]}
    counts = {"ablation": 14, "entangler": 4, "ranking": 1 + 4, "cost": 6 + 4 + 7 + 4, "hardware": 2 + 9}
    counts |= {"robustness": 2 * (2 + 3 * 2) + 1, "collapse": len(changes.variants())}
    # Two robust tasks of 13 arms and two revised ones of 12, and 4 arms for one and two more numbers of images. Of both
    # students 14 differences and their rings', and four for each number of images.
    counts |= {"controls": 2 * (13 + 12) + 2 * (1 + 2) * 4, "answers": 2 * 14 + 2 + 1 + 4 * (2 + 3)}
    for name, count in counts.items():
        frame = pd.read_csv(workspace.tables / f"{name}.csv")
        assert len(frame) == count, name
        text = (workspace.tables / f"{name}.md").read_text()
        assert text.count("\n| ") == count
        assert all(note in text for note in notes[name])
    found = pd.read_csv(workspace.tables / "ablation.csv")
    assert not (found[["verdict_mean", "verdict_gain"]] == verdicts.MISSING).any(axis=None)
    raw = per_seed(workspace)
    raw = raw[(raw.readout == "pauli_z") & (raw.train_per_class == 150)]  # the controlled experiment has more images
    lenet = raw[(raw.teacher == "lenet") & (raw.entangler == "none") & (raw.epochs == 10)]
    errors = 100 - lenet[lenet.layers == 1].groupby(["reducer", "encoder"])["last"].mean()
    for line in found[found.regime == "10 epochs"].itertuples():
        assert line.mean_error == pytest.approx(errors[line.reducer, line.encoder], rel=1e-5)


def test_the_grid_is_a_line_per_temperature_on_the_page_and_a_row_per_pair_in_the_file(drawn):
    workspace, *_ = drawn
    frame = pd.read_csv(workspace.tables / "grid.csv")
    assert len(frame) == 2 * 6 and frame["mean"].notna().all()
    text = (workspace.tables / "grid.md").read_text()
    assert text.count("\n| ") == 2 and controlled_table.GRID in text


def test_the_tables_numbers_are_those_of_the_records(drawn):
    workspace, *_ = drawn
    means = per_seed(workspace).groupby("name")["last"].mean()
    for number in (1, 2):
        frame = pd.read_csv(workspace.tables / f"table_{number}.csv")
        for row, mean in zip(paper.rows(number), frame.mean_last, strict=True):
            if row.category != "Teacher":
                assert mean == pytest.approx(means[row.experiment.name], rel=1e-5)


def test_the_page_gets_the_tables_and_the_claims(drawn):
    workspace, *_ = drawn
    page = (workspace.folder() / "README.md").read_text()
    assert page.startswith("# Title\n") and "old" not in page
    found = re.findall(r"<!-- begin: (\w+) -->\n(.*?)\n<!-- end: \1 -->", page, flags=re.S)
    blocks = {name: text.splitlines() for name, text in found}
    assert set(blocks) == ON_PAGE
    assert (len(blocks["table_1"]), len(blocks["table_2"])) == (2 + 19, 2 + 23)
    for name in ("ablation", "ranking", "entangler", "controls", "grid", "answers"):
        lines = (workspace.tables / f"{name}.md").read_text().splitlines()
        assert blocks[name] == [line for line in lines if line.startswith("|")]
    assert [cell.strip() for cell in blocks["table_1"][0].strip("| ").split("|")] == list(v1.COLUMNS)
    # Claims that nothing was measured for are in the file and not on the page.
    frame = pd.read_csv(workspace.tables / "claims.csv")
    assert len(blocks["claims"]) == 2 + frame.ours.notna().sum() < 2 + len(frame)


# All of it, with experiments of a second


@pytest.fixture
def tiny_paper(monkeypatch, tmp_path_factory):
    """The paper's rows with two experiments and one teacher of a second, and nothing described otherwise."""
    taught = TINY.distilled(Teacher(epochs=1))

    def tiny(row):
        experiment = taught if row.category == "Teacher" or row.distils else TINY
        return dataclasses.replace(row, experiment=experiment, deviation="")

    rows, described = tuple(map(tiny, paper.all_rows())), [tiny(row) for row in paper.described_rows()]
    drawn = [tiny(row) for row in paper.drawn_rows()]
    monkeypatch.setattr(paper, "all_rows", lambda: rows)
    monkeypatch.setattr(paper, "described_rows", lambda: described)
    monkeypatch.setattr(paper, "drawn_rows", lambda: drawn)
    monkeypatch.setenv("QKD_DATA", str(tmp_path_factory.mktemp("no data")))
    monkeypatch.setattr(paper, "SEEDS", TINY.seeds)
    few_bars(monkeypatch)
    return taught


def test_what_has_no_record_is_run_and_drawn(tiny_paper, workspace, monkeypatch):
    lines = []
    missing.run(workspace, only=["v1"], say=lines.append)
    publish(workspace)
    assert {path.stem for path in workspace.students.iterdir()} == {TINY.name, tiny_paper.name}
    said = "\n".join(lines)
    assert "2 experiments to run" in said
    assert f"teacher {teacher_name(TINY, tiny_paper.teacher)}" in said
    assert {path.stem for path in workspace.figures.iterdir()} == FIGURES - {"figure_12"} - EXECUTED - CONTROLLED
    assert {path.stem for path in workspace.tables.iterdir()} == TABLES
    assert set(pd.read_csv(workspace.tables / "ablation.csv").verdict_mean) == {verdicts.MISSING}
    frame = pd.read_csv(workspace.tables / "table_2.csv")
    assert len(frame) == 18
    assert not (frame[list(tables.VERDICTS)] == verdicts.MISSING).any(axis=None)
    raw = per_seed(workspace)
    direct = raw["last"][raw.teacher.isna()].mean()
    assert frame.mean_last[frame.category == "Student"].tolist() == pytest.approx([direct] * 3)

    trained, fit = [], training.fit

    def watched(*given, **named):
        trained.append(inspect.signature(fit).bind(*given, **named).arguments["title"])
        return fit(*given, **named)

    for module in (training, student_training):
        monkeypatch.setattr(module, "fit", watched)
    for fresh, say in (("no", pytest.fail), ("students", lambda _: None)):
        assert trained == []
        missing.run(workspace, fresh, ["v1"], say)
    assert sorted(trained) == sorted([TINY.name, tiny_paper.name])  # and no teacher
    pd.testing.assert_frame_equal(per_seed(workspace), raw)


def test_summary_pairs_an_arm_with_its_placebo(tiny_paper, workspace):
    found = [pipeline.run(experiment, workspace=workspace) for experiment in (tiny_paper, TINY)]
    table = summary.arms(found)
    assert list(table["arm"]) == ["placebo", "lenet"]
    assert list(table["gain over placebo [95 %]"] != "") == [False, True]
    (workspace.figures / "spread.png").touch()
    assert "spread.png" in summary.text(workspace)
