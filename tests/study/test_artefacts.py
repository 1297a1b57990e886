"""`make paper-artifacts`: runs what has no record, draws everything from records, and says what it leaves alone."""

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from made_up import few_bars, fill, fill_executions, per_seed, record, save_all_teachers

from qkdlib import __main__, parallel, pipeline, training
from qkdlib.drawing import figures
from qkdlib.experiment import Experiment, Teacher
from qkdlib.images import datasets
from qkdlib.records import statistics, summary
from qkdlib.study import claims, notebooks, publish, runs, verdicts
from qkdlib.study.collapse import table as collapse_table
from qkdlib.study.controlled import answers
from qkdlib.study.controlled import table as controlled_table
from qkdlib.study.robustness import hardware
from qkdlib.study.robustness import table as robustness_table
from qkdlib.study.v1 import paper, tables
from qkdlib.study.v2 import ablation, cost
from qkdlib.study.v2 import figures as revised_figures
from qkdlib.teachers import teacher_training  # fmt: skip
from qkdlib.teachers.teacher_files import teacher_name
from qkdlib.workspace import Workspace

TINY = Experiment(
    dataset="digits", classes=(0, 1), train_per_class=6, validation_per_class=2, test_per_class=5,
    epochs=2, seeds=2, shots=20,
)  # fmt: skip
DRAWINGS = {"figure_1", "figure_3", "figure_4", "figure_5", "strategies"}
EXECUTED = {"shots", "noise", "device"}
CONTROLLED = {"controls", "data_scaling"}
FIGURES = DRAWINGS | {"figure_6", "figure_7", "figure_12", "seed_spread", "collapse"} | EXECUTED | CONTROLLED
TABLES = {
    "table_1", "table_2", "described", "claims", "ablation", "ranking", "entangler", "cost", "robustness", "hardware",
    "collapse", "robust", "controls", "grid", "answers",
}  # fmt: skip
ON_PAGE = TABLES - {"described", "cost", "robustness"}
STRAY = dataclasses.replace(paper.row("M-B-3q-05").experiment, shots=7, seeds=1)
PAGE = "# Title\n" + "".join(f"<!-- begin: {name} -->\nold\n<!-- end: {name} -->\n" for name in sorted(ON_PAGE))


def files(workspace: Workspace) -> dict[str, bytes]:
    """What is drawn, by file name."""
    found = [path for folder in (workspace.tables, workspace.figures) for path in folder.iterdir()]
    return {path.name: path.read_bytes() for path in (*found, workspace.folder() / "README.md") if path.exists()}


def forbid(monkeypatch, module, name: str) -> None:
    monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail(f"{name} was called"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A workspace with a record of every experiment, of v2's a few, a stray one and all teachers' files; drawn once,
    where no data set is at hand and nothing may be trained. With it, what `make` said."""
    workspace = Workspace(tmp_path_factory.mktemp("drawn"))
    (workspace.folder() / "README.md").write_text(PAGE)
    for name in ("figure_2.png", "figure_11.png"):
        (workspace.figures / name).write_bytes(b"committed")
    with pytest.MonkeyPatch.context() as patch:
        few_bars(patch)
        fill(workspace)
        fill_executions(workspace)
        save_all_teachers(workspace)
        record(STRAY, [0.5]).save(workspace)
        patch.setenv("QKD_DATA", str(tmp_path_factory.mktemp("no data")))
        for module, name in ((parallel, "run_all"), (teacher_training, "train_teacher"), (datasets, "splits")):
            forbid(patch, module, name)
        said = []
        publish.make(workspace, say=said.append)
        first = files(workspace)
        publish.make(workspace, say=lambda _: None)
    return workspace, "\n".join(said), first


# From records alone


def test_all_figures_and_tables_are_drawn_without_images(drawn):
    _, said, made = drawn
    wanted = {f"{name}.{ending}" for name in FIGURES for ending in ("pdf", "png")}
    wanted |= {f"{name}.{ending}" for name in TABLES for ending in ("csv", "md", "tex")}
    assert set(made) == wanted | {"figure_2.png", "figure_11.png", "README.md"}
    assert all(made[name].startswith(b"%PDF") for name in wanted if name.endswith("pdf"))
    assert all(made[name].startswith(b"\x89PNG") for name in wanted if name.endswith("png"))
    assert "experiments to run" not in said


@pytest.mark.parametrize(
    ("name", "images"), [("figure_2", "mnist and fashion_mnist"), ("figure_11", "mnist and fashion_mnist and cifar10")]
)
def test_the_figures_of_images_stay_and_that_is_said(drawn, name, images):
    _, said, made = drawn
    assert made[f"{name}.png"] == b"committed"
    (line,) = [line for line in said.splitlines() if line.startswith(name)]
    assert f"images of {images}, not at hand" in line and line.endswith("the committed figure stays as it is")


def test_drawn_again_every_file_is_the_same(drawn):
    workspace, _, first = drawn
    again = files(workspace)
    assert [name for name in first if again[name] != first[name]] == []
    assert set(again) == set(first)


def test_tables_have_every_row_and_their_rules_below(drawn):
    workspace, said, _ = drawn
    for name, count in {"table_1": 19, "table_2": 23, "described": 12}.items():
        frame = pd.read_csv(workspace.tables / f"{name}.csv")
        assert len(frame) == count
        assert verdicts.MISSING not in set(frame.verdict)
        text = (workspace.tables / f"{name}.md").read_text()
        assert text.count("\n| ") == count  # and the header in the first line
        assert all(note in text for note in (tables.UNITS, tables.RUNS, verdicts.RULE))
        assert f"\n{name}\n" in said
    frame = pd.read_csv(workspace.tables / "claims.csv")
    text = (workspace.tables / "claims.md").read_text()
    assert text.count("\n| ") == len(frame) and claims.RULE in text
    assert "\nclaims\n" in said


def test_v2s_tables_have_every_bar_and_their_rules_below(drawn):
    """Of seven bars in two regimes, four variants, and for MNIST the paper's order and ours, four times."""
    workspace, said, _ = drawn
    notes = {"ablation": [ablation.UNITS, ablation.RULE], "ranking": [ablation.RANKING], "cost": [cost.UNITS]}
    notes["entangler"] = notes["ablation"]
    notes |= {"robustness": [robustness_table.UNITS, robustness_table.RULE], "hardware": [hardware.UNITS]}
    notes |= {"collapse": [collapse_table.UNITS], "controls": [controlled_table.UNITS, controlled_table.WORDS]}
    notes |= {"answers": [answers.RULE, controlled_table.WORDS]}
    counts = {"ablation": 14, "entangler": 4, "ranking": 1 + 4, "cost": 6 + 4 + 7 + 4, "hardware": 2 + 9}
    counts |= {"robustness": 2 * (2 + 3 * 2) + 1, "collapse": 26}
    # Two robust tasks of 13 arms and two revised ones of 12, and 4 arms for one and two more numbers of images. Of both
    # students 14 differences and their rings', and four for each number of images.
    counts |= {"controls": 2 * (13 + 12) + 2 * (1 + 2) * 4, "answers": 2 * 14 + 2 + 1 + 4 * (2 + 3)}
    for name, count in counts.items():
        frame = pd.read_csv(workspace.tables / f"{name}.csv")
        assert len(frame) == count, name
        text = (workspace.tables / f"{name}.md").read_text()
        assert text.count("\n| ") == count
        assert all(note in text for note in notes[name])
    assert all(f"\n{name}\n" in said for name in ("ablation", "entangler", "answers"))
    found = pd.read_csv(workspace.tables / "ablation.csv")
    assert verdicts.MISSING not in set(found.verdict)
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
    assert [cell.strip() for cell in blocks["table_1"][0].strip("| ").split("|")] == publish.README_COLUMNS
    # Claims that nothing was measured for are in the file and not on the page.
    frame = pd.read_csv(workspace.tables / "claims.csv")
    assert len(blocks["claims"]) == 2 + frame.ours.notna().sum() < 2 + len(frame)


def test_a_record_of_no_experiment_is_named_and_left_alone(drawn):
    workspace, said, _ = drawn
    assert [line for line in said.splitlines() if line.startswith("left alone")] == [
        f"left alone: {STRAY.name}.json belongs to no declared experiment"
    ]
    assert (workspace.students / f"{STRAY.name}.json").exists()


@pytest.mark.parametrize("cifar10", ["cifar10", "cifar10_jpeg"])
def test_with_the_data_sets_at_hand_figures_2_and_11_show_them(workspace, monkeypatch, cifar10):
    splits, asked, shown = datasets.splits, [], {}
    eight = splits(dataclasses.replace(TINY, classes=tuple(range(8))))
    monkeypatch.setattr(datasets, "at_hand", {"mnist", "fashion_mnist", cifar10}.__contains__)
    monkeypatch.setattr(datasets, "splits", lambda experiment: asked.append(experiment) or eight)
    monkeypatch.setattr(revised_figures, "figure_11", lambda parts: list(parts))
    monkeypatch.setattr(figures, "save", lambda figure, _, name: shown.update({name: figure}))
    publish._draw_images(workspace, pytest.fail)
    of_figure_2 = [(name, tuple(range(8))) for name in ("mnist", "fashion_mnist")]
    of_figure_11 = [(name, tuple(range(10))) for name in ("mnist", "fashion_mnist", cifar10)]
    assert [(e.dataset, e.classes) for e in asked] == of_figure_2 + of_figure_11
    assert [panel.get_suptitle() for panel in shown.pop("figure_2").subfigs] == ["MNIST", "FashionMNIST"]
    assert shown == {"figure_11": ["mnist", "fashion_mnist", "cifar10"]}


@pytest.mark.parametrize(
    "error", [FileNotFoundError("no network"), ValueError("t10k is damaged"), OSError("no rights")]
)
def test_images_that_cannot_be_loaded_leave_their_figures_as_they_are(workspace, monkeypatch, error):
    def fail(_experiment):
        raise error

    monkeypatch.setattr(datasets, "at_hand", lambda name: True)
    monkeypatch.setattr(datasets, "splits", fail)
    said = []
    publish._draw_images(workspace, said.append)
    cannot = "shows images that cannot be loaded: the committed figure stays as it is"
    assert said == [f"{name} {cannot} ({error})" for name in ("figure_2", "figure_11")]
    assert not list(workspace.figures.iterdir())


def test_a_page_that_is_a_link_stays_one_and_keeps_its_letters(tmp_path):
    """In a locale without UTF-8, too, in which Python would read and write a page otherwise."""
    page, end = tmp_path / "page.md", "<!-- end: a -->\nZürich"
    page.write_text(f"Größe <!-- begin: a -->\nold\n{end}", encoding="utf-8")
    (tmp_path / "README.md").symlink_to("page.md")
    code = "import pathlib; from qkdlib import tables; tables.embed(pathlib.Path('README.md'), 'a', '\\xe4')"
    names = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, **names}, check=True)
    assert (tmp_path / "README.md").is_symlink()
    assert page.read_text(encoding="utf-8") == f"Größe <!-- begin: a -->\nä\n{end}"


@pytest.mark.parametrize("text", ["", "<!-- begin: a -->", "<!-- end: a --> <!-- begin: a -->"])
def test_a_page_without_both_markers_stays_as_it_is(tmp_path, text):
    page = tmp_path / "README.md"
    tables.embed(page, "a", "new")
    assert not page.exists()
    page.write_text(text)
    tables.embed(page, "a", "new")
    assert page.read_text() == text


def test_without_records_the_drawings_are_there_and_the_rest_is_said(workspace, monkeypatch):
    monkeypatch.setattr(datasets, "at_hand", lambda name: False)
    said = []
    publish.draw_figures(workspace, said.append)
    wanted = [
        "figure_6",
        "figure_7",
        "seed_spread",
        "figure_12",
        "collapse",
        *sorted(CONTROLLED),
        *sorted(EXECUTED),
        "figure_2",
        "figure_11",
    ]
    assert [line.split()[0] for line in said] == wanted
    assert all("committed figure stays as it is" in line for line in said)
    assert {path.stem for path in workspace.figures.iterdir()} == DRAWINGS


# What is run before


def test_what_cannot_be_run_is_said_at_the_end_and_the_rest_is_run_and_drawn(workspace, monkeypatch):
    def fail(*_):
        raise FileNotFoundError("no data set")

    done = []
    monkeypatch.setattr(runs, "run_missing", fail)
    monkeypatch.setattr(publish.robustness, "run_missing", lambda *_: done.append("robustness"))
    for name in ("write_tables", "draw_figures"):
        monkeypatch.setattr(publish, name, lambda place, say, name=name: done.append(name))
    with pytest.raises(FileNotFoundError, match="no data set"):
        publish.make(workspace, say=done.append)
    assert done[1:4] == ["robustness", "write_tables", "draw_figures"]
    assert done[0] == "running what has no record failed: FileNotFoundError: no data set"


@pytest.mark.parametrize(("fresh", "parts"), [("no", ["v1"]), ("students", ["v2-full-set", "v2-entangler"])])
def test_of_the_parts_that_are_asked_for_the_missing_is_run(workspace, monkeypatch, fresh, parts):
    """Before tables and figures are drawn, which show all that is there."""
    calls = []
    monkeypatch.setattr(runs, "run_missing", lambda wanted, place, fresh, say: calls.append((wanted, place, fresh)))
    for name in ("write_tables", "draw_figures"):
        monkeypatch.setattr(publish, name, lambda place, say: calls.append(place))
    monkeypatch.setattr(datasets, "at_hand", lambda name: True)
    fill(workspace, parts=["v2-full-set"])  # on the JPEG copy of CIFAR10
    publish.make(workspace, fresh, parts, say=lambda _: None)
    assert len(calls[0][0]) == {"no": 40, "students": 16 + 96}[fresh]
    assert calls == [(runs.missing(parts, workspace, fresh), workspace, fresh), workspace, workspace]


# All of it, with experiments of a second


@pytest.fixture
def tiny_paper(monkeypatch):
    """The paper's rows with two experiments and one teacher of a second, and nothing described otherwise."""
    taught = TINY.distilled(Teacher(epochs=1))

    def tiny(row):
        experiment = taught if row.category == "Teacher" or row.distils else TINY
        return dataclasses.replace(row, experiment=experiment, deviation="")

    rows, described = tuple(map(tiny, paper.all_rows())), [tiny(row) for row in paper.described_rows()]
    monkeypatch.setattr(paper, "all_rows", lambda: rows)
    monkeypatch.setattr(paper, "described_rows", lambda: described)
    monkeypatch.setattr(datasets, "at_hand", lambda name: False)
    monkeypatch.setattr(statistics, "RESAMPLES", 99)
    few_bars(monkeypatch)
    return taught


def test_what_has_no_record_is_run_and_drawn(tiny_paper, workspace, monkeypatch):
    lines = []
    publish.make(workspace, parts=["v1"], say=lines.append)
    assert {path.stem for path in workspace.students.iterdir()} == {TINY.name, tiny_paper.name}
    said = "\n".join(lines)
    assert "2 experiments to run" in said
    assert f"teacher {teacher_name(TINY, tiny_paper.teacher)}" in said
    assert {path.stem for path in workspace.figures.iterdir()} == FIGURES - {"figure_12"} - EXECUTED - CONTROLLED
    assert {path.stem for path in workspace.tables.iterdir()} == TABLES
    assert set(pd.read_csv(workspace.tables / "ablation.csv").verdict) == {verdicts.MISSING}
    frame = pd.read_csv(workspace.tables / "table_2.csv")
    assert len(frame) == 18
    assert verdicts.MISSING not in set(frame.verdict)
    raw = per_seed(workspace)
    direct = raw["last"][raw.teacher.isna()].mean()
    assert frame.mean_last[frame.category == "Student"].tolist() == pytest.approx([direct] * 3)

    trained, fit = [], training.fit

    def watched(*given, **named):
        trained.append(inspect.signature(fit).bind(*given, **named).arguments["title"])
        return fit(*given, **named)

    monkeypatch.setattr(training, "fit", watched)
    for fresh, say in (("no", pytest.fail), ("students", lambda _: None)):
        assert trained == []
        runs.run_missing(runs.missing(["v1"], workspace, fresh), workspace, fresh, say)
    assert sorted(trained) == sorted([TINY.name, tiny_paper.name])  # and no teacher
    pd.testing.assert_frame_equal(per_seed(workspace), raw)


def test_summary_pairs_an_arm_with_its_placebo(tiny_paper, workspace):
    found = [pipeline.run(experiment, workspace=workspace) for experiment in (tiny_paper, TINY)]
    table = summary.arms(found)
    assert list(table["arm"]) == ["placebo", "lenet"]
    assert list(table["gain over placebo [95 %]"] != "") == [False, True]
    (workspace.figures / "spread.png").touch()
    assert "spread.png" in summary.text(workspace)


# The command line


@pytest.mark.parametrize(
    ("options", "fresh"),
    [([], "no"), (["--fresh"], "all"), (["--fresh", "all"], "all"), (["--fresh", "students"], "students")],
)
def test_paper_artifacts_command(monkeypatch, tmp_path, options, fresh):
    calls = []
    monkeypatch.setattr(publish, "make", lambda *arguments: calls.append(arguments))
    assert __main__.main(["paper-artifacts", "--workspace", str(tmp_path), *options]) == 0
    assert calls == [(Workspace(str(tmp_path)), fresh, runs.PARTS)]


@pytest.mark.parametrize("parts", [["v1"], ["v2-full-set", "v2-entangler"], list(runs.PARTS)])
def test_parts_are_handed_on(monkeypatch, tmp_path, parts):
    calls = []
    monkeypatch.setattr(publish, "make", lambda *arguments: calls.append(arguments))
    options = ["--workspace", str(tmp_path), "--fresh", "students", "--only", *parts]
    assert __main__.main(["paper-artifacts", *options]) == 0
    assert calls == [(Workspace(str(tmp_path)), "students", parts)]


@pytest.mark.parametrize(("option", "known"), [("--fresh", "students"), ("--only", "v2-converged")])
def test_nonsense_to_make_is_refused(tmp_path, option, known):
    command = [sys.executable, "-m", "qkdlib", "paper-artifacts", option, "nonsense", "--workspace", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "invalid choice: 'nonsense'" in ended.stderr and known in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_part_at_all_is_refused(monkeypatch, capsys):
    forbid(monkeypatch, publish, "make")
    with pytest.raises(SystemExit):
        __main__.main(["paper-artifacts", "--only"])
    assert "--only: expected at least one argument" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--fresh"]])
def test_teachers_command(monkeypatch, tmp_path, options):
    calls = []
    monkeypatch.setattr(runs, "train_teachers", lambda *arguments: calls.append(arguments[:3]))
    assert __main__.main(["teachers", "--workspace", str(tmp_path), *options]) == 0
    assert calls == [(runs.all_teachers(), Workspace(str(tmp_path)), bool(options))]
    names = {teacher_name(experiment, experiment.teacher) for experiment in calls[0][0]}
    assert len(names) == 12 + 3 + 3 + 1 + 2 * 3  # and a LeNet of the controls' own images for 6, 8 and 10 classes


@pytest.mark.parametrize("options", [[], ["--fresh", "students"]])
def test_wrong_threads_are_one_line_on_stderr(tiny_paper, workspace, capsys, monkeypatch, options):
    monkeypatch.setenv("QKD_THREADS", "none")
    assert __main__.main(["paper-artifacts", "--workspace", str(workspace.root), *options]) == 2
    said = "error: QKD_THREADS='none' is not allowed; allowed: a whole number of 1 or more, at most 1,024\n"
    assert capsys.readouterr().err == said


def test_notebooks_command(monkeypatch, workspace, capsys):
    assert __main__.main(["notebooks", "nonsense", "--out", str(workspace.root)]) == 2
    assert "notebook='nonsense' is not allowed; allowed: one of ablations, audit, baselines" in capsys.readouterr().err
    calls = []
    monkeypatch.setattr(notebooks, "execute", lambda *arguments: calls.append(arguments))
    given = ["-p", "epochs", "3", "-p", "dataset", "mnist", "-p", "classes", "[0, 1]"]
    assert __main__.main(["notebooks", "audit", "baselines", "--out", "there", *given]) == 0
    chosen = {"epochs": 3, "dataset": "mnist", "classes": [0, 1]}
    asked = ["epochs", "dataset", "classes"]
    assert calls == [(name, Path(f"there/{name}.ipynb"), chosen, asked) for name in ("audit", "baselines")]
    assert __main__.main(["notebooks", "teachers", "--out", "there", "--row", "M-D-ens-4q-07"]) == 0
    assert calls[-1] == ("teachers", Path("there/teachers.ipynb"), notebooks.parameters_of("M-D-ens-4q-07"), [])
