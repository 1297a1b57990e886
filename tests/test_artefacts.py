"""`make paper-artifacts`: runs what has no record, draws everything from records, and says what it leaves alone."""

import dataclasses
import inspect
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from made_up import fill, per_seed, record, save_teachers

from qkdlib import (
    __main__,
    artefacts,
    claims,
    datasets,
    figures,
    notebooks,
    paper,
    parallel,
    pipeline,
    statistics,
    summary,
    tables,
    teacher_training,
    training,
    verdicts,
)  # fmt: skip
from qkdlib.experiment import Experiment, Teacher
from qkdlib.teacher_files import TeacherLogits, teacher_name
from qkdlib.workspace import Workspace

TINY = Experiment(
    dataset="digits", classes=(0, 1), train_per_class=6, validation_per_class=2, test_per_class=5,
    epochs=2, seeds=2, shots=20,
)  # fmt: skip
FIGURES = {"figure_1", "figure_3", "figure_4", "figure_5", "figure_6", "figure_7", "seed_spread"}
TABLES = {"table_1", "table_2", "described", "claims"}
STRAY = dataclasses.replace(paper.row("M-B-3q-05").experiment, shots=7, seeds=1)
PAGE = "# Title\n" + "".join(f"<!-- begin: {name} -->\nold\n<!-- end: {name} -->\n" for name in TABLES - {"described"})


def files(workspace: Workspace) -> dict[str, bytes]:
    """What is drawn, by file name."""
    found = [path for folder in (workspace.tables, workspace.figures) for path in folder.iterdir()]
    return {path.name: path.read_bytes() for path in (*found, workspace.folder() / "README.md") if path.exists()}


def forbid(monkeypatch, module, name: str) -> None:
    monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail(f"{name} was called"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A workspace with a record of every declared experiment, a stray one and all teachers' files; drawn once, where
    no data set is at hand and nothing may be trained. With it, what `make` said."""
    workspace = Workspace(tmp_path_factory.mktemp("drawn"))
    fill(workspace)
    save_teachers(workspace)
    record(STRAY, [0.5]).save(workspace)
    (workspace.folder() / "README.md").write_text(PAGE)
    (workspace.figures / "figure_2.png").write_bytes(b"committed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QKD_DATA", str(tmp_path_factory.mktemp("no data")))
        for module, name in ((parallel, "run_all"), (teacher_training, "train_teacher"), (datasets, "splits")):
            forbid(patch, module, name)
        said = []
        artefacts.make(workspace, say=said.append)
        first = files(workspace)
        artefacts.make(workspace, say=lambda _: None)
    return workspace, "\n".join(said), first


# From records alone


def test_all_figures_and_tables_are_drawn_without_images(drawn):
    _, said, made = drawn
    wanted = {f"{name}.{ending}" for name in FIGURES for ending in ("pdf", "png")}
    wanted |= {f"{name}.{ending}" for name in TABLES for ending in ("csv", "md", "tex")}
    assert set(made) == wanted | {"figure_2.png", "README.md"}
    assert all(made[name].startswith(b"%PDF") for name in wanted if name.endswith("pdf"))
    assert all(made[name].startswith(b"\x89PNG") for name in wanted if name.endswith("png"))
    assert "experiments to run" not in said


def test_the_figure_of_images_stays_and_that_is_said(drawn):
    _, said, made = drawn
    assert made["figure_2.png"] == b"committed"
    (line,) = [line for line in said.splitlines() if line.startswith("figure_2")]
    assert "mnist and fashion_mnist" in line and line.endswith("the committed figure stays as it is")


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


def test_the_tables_numbers_are_those_of_the_records(drawn):
    workspace, *_ = drawn
    means = per_seed(workspace).groupby("name")["last"].mean()
    for number in (1, 2):
        frame = pd.read_csv(workspace.tables / f"table_{number}.csv")
        for row, mean in zip(paper.rows(number), frame.mean_last, strict=True):
            if row.category != "Teacher":
                assert mean == pytest.approx(means[row.experiment.name], rel=1e-5)


def test_the_page_gets_both_tables_and_the_claims(drawn):
    workspace, *_ = drawn
    page = (workspace.folder() / "README.md").read_text()
    assert page.startswith("# Title\n") and "old" not in page
    found = re.findall(r"<!-- begin: (\w+) -->\n(.*?)\n<!-- end: \1 -->", page, flags=re.S)
    blocks = {name: text.splitlines() for name, text in found}
    assert (len(blocks["table_1"]), len(blocks["table_2"])) == (2 + 19, 2 + 23)
    assert [cell.strip() for cell in blocks["table_1"][0].strip("| ").split("|")] == artefacts.README_COLUMNS
    # Claims that nothing was measured for are in the file and not on the page.
    frame = pd.read_csv(workspace.tables / "claims.csv")
    assert len(blocks["claims"]) == 2 + frame.ours.notna().sum() < 2 + len(frame)


def test_a_record_of_no_row_is_named_and_left_alone(drawn):
    workspace, said, _ = drawn
    assert [line for line in said.splitlines() if line.startswith("left alone")] == [
        f"left alone: {STRAY.name}.json belongs to no declared row"
    ]
    assert (workspace.students / f"{STRAY.name}.json").exists()


def test_with_the_data_sets_at_hand_figure_2_shows_both(workspace, monkeypatch):
    splits, asked, shown = datasets.splits, [], []
    eight = splits(dataclasses.replace(TINY, classes=tuple(range(8))))
    monkeypatch.setattr(datasets, "at_hand", lambda name: True)
    monkeypatch.setattr(datasets, "splits", lambda experiment: asked.append(experiment) or eight)
    monkeypatch.setattr(figures, "save", lambda figure, _, name: shown.append((name, figure)))
    artefacts._draw_images(workspace, pytest.fail)
    assert [(e.dataset, e.classes) for e in asked] == [(name, tuple(range(8))) for name in ("mnist", "fashion_mnist")]
    ((name, figure),) = shown
    assert name == "figure_2"
    assert [panel.get_suptitle() for panel in figure.subfigs] == ["MNIST", "FashionMNIST"]


def test_without_records_the_drawings_are_there_and_the_rest_is_said(workspace, monkeypatch):
    monkeypatch.setattr(datasets, "at_hand", lambda name: False)
    said = []
    artefacts.draw_figures(workspace, said.append)
    assert [line.split()[0] for line in said] == ["figure_6", "figure_7", "seed_spread", "figure_2"]
    assert all("committed figure stays as it is" in line for line in said)
    assert {path.stem for path in workspace.figures.iterdir()} == {"figure_1", "figure_3", "figure_4", "figure_5"}


# Which experiments the rows need, and which of them are run


def test_a_distilled_row_needs_its_placebo_once():
    student, teacher, distilled = (paper.row(name) for name in ("M-B-3q-05", "M-T-lenet-05", "M-D-lenet-3q-05"))
    assert artefacts.experiments([student, teacher, distilled]) == [student.experiment, distilled.experiment]
    assert artefacts.experiments([distilled]) == [distilled.experiment.placebo(), distilled.experiment]
    assert artefacts.experiments([teacher]) == []


def test_declared_are_both_tables_and_the_described_rows():
    rows = artefacts.declared_rows()
    assert len(rows) == 42 + 12
    assert len(artefacts.experiments(rows)) == 28 + 12


@pytest.fixture
def asked(monkeypatch):
    """The experiments and options that would be run in parallel."""
    calls = []
    monkeypatch.setattr(parallel, "run_all", lambda wanted, place, **options: calls.append((wanted, place, options)))
    return calls


def test_fresh_students_are_all_declared_ones_and_no_teacher(workspace, monkeypatch, asked):
    fill(workspace)
    save_teachers(workspace)
    forbid(monkeypatch, teacher_training, "train_teacher")
    forbid(monkeypatch, datasets, "splits")
    said = []
    artefacts.run_missing(artefacts.declared_rows(), workspace, "students", said.append)
    ((wanted, place, options),) = asked
    assert wanted == artefacts.experiments(artefacts.declared_rows())
    assert len(set(wanted)) == 40
    assert place == workspace
    assert options.pop("say") and options == {"fresh": True, "aer_seeds": artefacts.AER_SEEDS}
    assert said == ["40 experiments to run, 20 seeds each"]


def test_complete_records_are_not_run_again(workspace, monkeypatch, asked):
    fill(workspace)
    forbid(monkeypatch, teacher_training, "train_teacher")  # and without students no teacher is needed
    artefacts.run_missing(artefacts.declared_rows(), workspace, "no", pytest.fail)
    assert asked == []


def test_only_what_has_no_complete_record_is_run(workspace, monkeypatch, asked):
    fill(workspace)
    save_teachers(workspace)
    gone, short = (paper.row(name).experiment for name in ("F-D-ens-4q-07", "M-B-3q-07"))
    for experiment in (gone, short):
        (workspace.students / f"{experiment.name}.json").unlink()
    record(short, [0.5] * 19).save(workspace)
    artefacts.run_missing(artefacts.declared_rows(), workspace, "no", lambda _: None)
    ((wanted, _, options),) = asked
    assert set(wanted) == {gone, short} and len(wanted) == 2
    assert options["fresh"] is False


@pytest.mark.parametrize(("fresh", "anew"), [("students", False), ("all", True)])
def test_teachers_are_trained_anew_only_with_all(workspace, monkeypatch, asked, fresh, anew):
    calls = []
    monkeypatch.setattr(artefacts, "train_teachers", lambda rows, place, fresh, say: calls.append((rows, fresh)))
    artefacts.run_missing(artefacts.declared_rows(), workspace, fresh, lambda _: None)
    ((rows, told),) = calls
    assert told is anew
    assert {row.experiment.teacher.architecture for row in rows} == {"lenet", "alexnet", "ensemble"}


# Teachers


@pytest.fixture
def training_of(monkeypatch):
    """What would be trained: data set, last class, architecture, epochs and whether anew."""
    calls = []

    def train(task, teacher, parts, place, device, fresh):
        calls.append((task.dataset, task.classes[-1], teacher.architecture, teacher.epochs, fresh))

    monkeypatch.setattr(teacher_training, "train_teacher", train)
    monkeypatch.setattr(datasets, "splits", lambda task: None)
    return calls


def teacher_rows() -> list:
    return [row for row in paper.rows() if row.category == "Teacher"]


@pytest.mark.parametrize(
    "rows",
    [
        teacher_rows(),
        [row for row in paper.rows() if row.distils],
        [row for row in teacher_rows() if row.teacher == "ensemble"],
    ],
    ids=["teachers", "students", "ensembles"],
)
def test_twelve_teachers_are_trained_members_before_their_ensemble(workspace, training_of, rows):
    artefacts.train_teachers(rows, workspace, False, lambda _: None)
    assert len(training_of) == len(set(training_of)) == 12
    alexnet = {"mnist": 3, "fashion_mnist": 5}
    for dataset in alexnet:
        for last in (5, 7):
            names = [call[2] for call in training_of if call[:2] == (dataset, last)]
            assert sorted(names) == ["alexnet", "ensemble", "lenet"]
            assert names[-1] == "ensemble"
            assert (dataset, last, "lenet", 10, False) in training_of
            assert (dataset, last, "alexnet", alexnet[dataset], False) in training_of


def test_teachers_that_are_there_are_left(workspace, training_of, monkeypatch):
    save_teachers(workspace)
    gone = paper.row("F-T-alex-07")
    (workspace.teachers / f"{teacher_name(gone.experiment, gone.experiment.teacher)}.npz").unlink()
    said = []
    artefacts.train_teachers(teacher_rows(), workspace, False, said.append)
    assert training_of == [("fashion_mnist", 7, "alexnet", 5, False)]
    assert said == [f"teacher {teacher_name(gone.experiment, gone.experiment.teacher)}"]


def test_fresh_teachers_are_all_trained_and_ensembles_put_together_anew(workspace, training_of):
    save_teachers(workspace)
    artefacts.train_teachers(teacher_rows(), workspace, True, lambda _: None)
    assert len(training_of) == 12
    assert {(name, fresh) for *_, name, _, fresh in training_of} == {
        ("lenet", True), ("alexnet", True), ("ensemble", False),
    }  # fmt: skip
    # An ensemble's old file is gone: it would be read in place of its new members.
    assert not list(workspace.teachers.glob("*ensemble*"))


def test_an_ensemble_is_the_mean_of_the_networks_trained_before_it(workspace, monkeypatch):
    first, second = Teacher(epochs=1), Teacher(epochs=1, seed=1)
    both = Teacher(architecture="ensemble", members=(first, second))
    row = dataclasses.replace(teacher_rows()[0], experiment=TINY.distilled(both))
    fit, trained = training.fit, []
    monkeypatch.setattr(training, "fit", lambda *given, **named: trained.append(1) or fit(*given, **named))
    for fresh, times in ((False, 2), (False, 2), (True, 4)):
        artefacts.train_teachers([row], workspace, fresh, lambda _: None)
        assert len(trained) == times
        found = [TeacherLogits.load(workspace.teachers / f"{teacher_name(TINY, t)}.npz") for t in (first, second, both)]
        one, two, mean = (np.exp(each.test.numpy()) for each in found)
        one, two, mean = (each / each.sum(1, keepdims=True) for each in (one, two, mean))
        assert mean == pytest.approx((one + two) / 2, abs=2e-3)
        assert np.abs(one - two).max() > 0.01


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
    return taught


def test_what_has_no_record_is_run_and_drawn(tiny_paper, workspace, monkeypatch):
    lines = []
    artefacts.make(workspace, say=lines.append)
    assert {path.stem for path in workspace.students.iterdir()} == {TINY.name, tiny_paper.name}
    said = "\n".join(lines)
    assert "2 experiments to run, 2 seeds each" in said
    assert f"teacher {teacher_name(TINY, tiny_paper.teacher)}" in said
    assert {path.stem for path in workspace.figures.iterdir()} == FIGURES
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
    artefacts.run_missing(artefacts.declared_rows(), workspace, "no", pytest.fail)
    assert trained == []
    artefacts.run_missing(artefacts.declared_rows(), workspace, "students", lambda _: None)
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
    monkeypatch.setattr(artefacts, "make", lambda *arguments: calls.append(arguments))
    assert __main__.main(["paper-artifacts", "--workspace", str(tmp_path), *options]) == 0
    assert calls == [(Workspace(str(tmp_path)), fresh)]


def test_nonsense_to_make_anew_is_refused(tmp_path):
    command = [sys.executable, "-m", "qkdlib", "paper-artifacts", "--fresh", "nonsense", "--workspace", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "invalid choice: 'nonsense'" in ended.stderr and "students" in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--fresh"]])
def test_teachers_command(monkeypatch, tmp_path, options):
    calls = []
    monkeypatch.setattr(artefacts, "train_teachers", lambda *arguments: calls.append(arguments[:3]))
    assert __main__.main(["teachers", "--workspace", str(tmp_path), *options]) == 0
    assert calls == [(teacher_rows(), Workspace(str(tmp_path)), bool(options))]
    assert len(calls[0][0]) == 12


@pytest.mark.parametrize("options", [[], ["--fresh", "students"]])
def test_wrong_threads_are_one_line_on_stderr(tiny_paper, workspace, capsys, monkeypatch, options):
    monkeypatch.setenv("QKD_THREADS", "none")
    assert __main__.main(["paper-artifacts", "--workspace", str(workspace.root), *options]) == 2
    assert capsys.readouterr().err == "error: QKD_THREADS='none' is not allowed; allowed: a whole number of 1 or more\n"


def test_notebooks_command(monkeypatch, workspace, capsys):
    assert __main__.main(["notebooks", "nonsense", "--out", str(workspace.root)]) == 2
    assert "notebook='nonsense' is not allowed; allowed: one of audit, baselines" in capsys.readouterr().err
    calls = []
    monkeypatch.setattr(notebooks, "execute", lambda *arguments: calls.append(arguments))
    given = ["-p", "epochs", "3", "-p", "dataset", "mnist", "-p", "classes", "[0, 1]"]
    assert __main__.main(["notebooks", "audit", "teachers", "--out", "there", *given]) == 0
    chosen = {"epochs": 3, "dataset": "mnist", "classes": [0, 1]}
    asked = ["epochs", "dataset", "classes"]
    assert calls == [(name, f"there/{name}.ipynb", chosen, asked) for name in ("audit", "teachers")]
    assert __main__.main(["notebooks", "teachers", "--out", "there", "--row", "M-D-ens-4q-07"]) == 0
    assert calls[-1] == ("teachers", "there/teachers.ipynb", notebooks.parameters_of("M-D-ens-4q-07"), [])
