"""The project's own files agree with each other: lock, conda environment, notebooks, Makefile, README, committed
results."""

import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from made_up import per_seed

import qkdlib
from qkdlib import records
from qkdlib.study import notebooks, runs
from qkdlib.study.controlled import design
from qkdlib.study.robustness import sweeps
from qkdlib.study.v1 import paper, tables
from qkdlib.study.v2 import ablation, cost, revised
from qkdlib.teachers.teacher_files import TeacherLogits, teacher_name
from qkdlib.workspace import Workspace

ROOT = Path(__file__).parent.parent
TEMPLATES = sorted((ROOT / "notebooks").glob("[!.]*.ipynb"))
EXECUTED = sorted((ROOT / "notebooks" / "executed").glob("*/[!.]*.ipynb"))


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


@pytest.mark.parametrize("folder", ["digits", "mnist", "fashion_mnist", "cifar10"])
def test_data_sets_have_executed_copies(folder):
    there = {path.stem for path in EXECUTED if path.parent.name == folder}
    assert {"teachers", "baselines", "distillation", "ablations"} <= there
    if folder == "digits":
        assert there == {path.stem for path in TEMPLATES} >= {"quickstart", "audit"}


def test_commands_of_the_readme_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make ([a-z][a-z-]+)", (ROOT / "README.md").read_text()))
    assert {"demo", "test", "paper-artifacts"} <= named
    assert all(re.search(rf"^{name}:", makefile, flags=re.M) for name in named)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("paper-artifacts", "qkdlib paper-artifacts"),
        ("paper-artifacts FRESH=0", "qkdlib paper-artifacts"),
        ("paper-artifacts FRESH=1", "qkdlib paper-artifacts --fresh all"),
        ("paper-artifacts FRESH=all", "qkdlib paper-artifacts --fresh all"),
        ("paper-artifacts FRESH=students", "qkdlib paper-artifacts --fresh students"),
        ("paper-artifacts ONLY=v1", "qkdlib paper-artifacts --only v1"),
        ("paper-artifacts ONLY='v1 v2-converged'", "qkdlib paper-artifacts --only v1 v2-converged"),
        ("paper-artifacts ONLY=", "qkdlib paper-artifacts"),
        ("paper-artifacts FRESH=1 ONLY=v2-full-set", "qkdlib paper-artifacts --fresh all --only v2-full-set"),
        ("teachers", "qkdlib teachers"),
        ("teachers FRESH=1", "qkdlib teachers --fresh"),
    ],
)
def test_make_hands_on_what_to_do_anew(asked, said):
    own = ("MAKEFLAGS", "MAKELEVEL", "FRESH", "ONLY")
    names = {name: value for name, value in os.environ.items() if name not in own}
    command = ["make", "--dry-run", "--assume-old=.venv/.stamp", *shlex.split(asked)]
    ended = subprocess.run(command, cwd=ROOT, env=names, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split("-m ")[-1].split() == said.split()


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_make_sets_up_in_a_folder_whose_path_has_a_space(tmp_path, installer):
    """Python and uv are played by scripts that print what they are called with."""
    project, tools = tmp_path / "My Drive", tmp_path / "tools"
    (project / ".venv" / "bin").mkdir(parents=True)
    tools.mkdir()
    (tools / "touch").symlink_to(shutil.which("touch"))
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, project)
    players = [project / ".venv/bin/python", *([tools / "uv"] if installer == "uv" else [])]
    for player in players:
        player.write_text('#!/bin/sh\necho "$(pwd)|${VIRTUAL_ENV:-}|$*"\n')
        player.chmod(0o755)
    ended = subprocess.run(
        [shutil.which("make"), "setup"], cwd=project, env={"PATH": str(tools)}, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    used = f"{project}/.venv" if installer == "uv" else ""
    first, second = (line.split("|") for line in ended.stdout.splitlines())
    assert first[:2] == second[:2] == [str(project), used]
    assert first[2].split()[-1] == "requirements.lock" and second[2].split()[-2:] == ["-e", "."]


def test_make_reads_no_notebook_that_a_killed_process_has_left():
    ended = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "--assume-old=.venv/.stamp", "test"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.stdout.split()[-1] == "notebooks/executed/digits/*.ipynb"  # the shell passes over hidden files


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_notebooks_that_take_a_folder_take_the_size_of_its_images(path):
    """And hand it on, so that photographs of many sizes can be used."""
    code = ["".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code"]
    parameters = notebooks.defaults(path)
    assert ("image_size" in parameters) == ("dataset" in parameters) == any("imagefolder:" in text for text in code)
    if "image_size" in parameters:
        assert parameters["image_size"] is None
        assert sum(bool(re.search(r"(image_size=|\"image_size\": )image_size", text)) for text in code) == 1


def test_make_names_the_parts_that_there_are():
    (named,) = re.findall(r'ONLY="([^"]+)"', (ROOT / "Makefile").read_text())
    assert named.split() == list(runs.PARTS)


# What is committed: records, teachers, tables, figures


@pytest.fixture(scope="module")
def committed() -> dict[str, records.Record]:
    return {record.experiment.name: record for record in records.read_all(Workspace(ROOT))}


def test_rows_of_v1_have_committed_records_with_20_seeds(committed):
    declared = runs.experiments(runs.declared_rows())
    assert len(declared) == 40
    assert [each.name for each in declared if each.name not in committed] == []
    for experiment in declared:
        record = committed[experiment.name].asked(experiment)
        assert record is not None and len(record.seeds) == 20, experiment.name


@pytest.mark.parametrize("part", list(runs.V2_PARTS))
def test_bars_and_variants_of_v2_have_committed_records_with_10_seeds(committed, part):
    """All arms of a bar on one copy of its images."""

    def complete(experiment) -> bool:
        record = committed.get(experiment.name)
        return record is not None and set(range(10)) <= set(record.seeds)

    bars = runs.V2_PARTS[part]()
    assert len(bars) == {"v2-entangler": 48, "v2-converged-alexnet": 28, "v2-full-set": 6}.get(part, 42)
    lacking = [bar for bar in bars if not any(all(map(complete, copy.arms.values())) for copy in bar.copies)]
    assert [(bar.method, bar.dataset, bar.qubits, bar.regime, bar.experiment.layers) for bar in lacking] == []


def test_students_trained_under_noise_have_committed_records(committed):
    for experiment in sweeps.trainings():
        assert len(committed[experiment.name].seeds) == 10


@pytest.mark.parametrize("part", ["collapse", "controlled"])
def test_what_is_studied_besides_has_committed_records_of_all_seeds(committed, part):
    wanted = runs.PLAIN_PARTS[part]()
    there = [each for each in wanted if each.name in committed and committed[each.name].asked(each) is not None]
    assert [each.name for each in wanted if each not in there] == []


def test_no_record_is_committed_that_nothing_declares(committed):
    assert sorted(set(committed) - {experiment.name for experiment in runs.declared()}) == []


@pytest.mark.parametrize("row", [row for row in paper.all_rows() if row.category == "Teacher"], ids=lambda row: row.id)
def test_teachers_have_committed_logits_of_all_images(row):
    """All training and test images of the classes, as many as the authors' notebooks have."""
    images = {
        ("mnist", 6): (36017, 6031), ("mnist", 8): (48200, 8017),
        ("fashion_mnist", 6): (36000, 6000), ("fashion_mnist", 8): (48000, 8000),
    }  # fmt: skip
    path = Workspace(ROOT).teachers / f"{teacher_name(row.experiment, row.experiment.teacher)}.npz"
    assert path.exists()
    logits = TeacherLogits.load(path)
    classes = len(row.classes)
    train, test = images[row.dataset, classes]
    assert (logits.train.shape, logits.test.shape) == ((train, classes), (test, classes))
    assert logits.train.isfinite().all() and logits.test.isfinite().all()
    epochs = {"lenet": 10, "alexnet": {"mnist": 3, "fashion_mnist": 5}[row.dataset], "ensemble": 1}
    assert len(logits.history) == epochs[row.teacher]
    assert 0.8 < logits.history[-1]["test_accuracy"] < 1


@pytest.mark.parametrize(
    ("dataset", "name", "epochs"),
    [
        ("mnist", "lenet", 10), ("mnist", "alexnet", 3), ("mnist", "ensemble", 1), ("fashion_mnist", "lenet", 10),
        ("fashion_mnist", "alexnet", 3), ("fashion_mnist", "ensemble", 1), ("cifar10", "lenet", 10),
    ],
)  # fmt: skip
def test_teachers_on_ten_classes_have_committed_logits_of_all_images(dataset, name, epochs):
    """CIFAR10's of the original images or of the JPEG copy: whatever its students have learned from."""
    tasks = [copy.experiment for copy in revised.bar("original", dataset, 4).copies]
    paths = [Workspace(ROOT).teachers / f"{teacher_name(task, revised.teacher(name))}.npz" for task in tasks]
    there = [TeacherLogits.load(path) for path in paths if path.exists()]
    assert there
    train = 50_000 if dataset == "cifar10" else 60_000
    for logits in there:
        assert (logits.train.shape, logits.test.shape) == ((train, 10), (10_000, 10))
        assert logits.train.isfinite().all() and logits.test.isfinite().all()
        assert len(logits.history) == epochs
        assert 0.3 < logits.history[-1]["test_accuracy"] < 1  # it has learned, and three times chance says so


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("classes", [6, 8, 10])
def test_teachers_of_the_students_own_images_have_committed_logits(dataset, classes):
    """Trained on 150 images per class for 100 epochs, with logits of all images."""
    tasks = {(task.placebo.dataset, len(task.placebo.classes)): task for task in design.tasks()}
    taught = tasks[dataset, classes].arms["LeNet of the same images"]
    logits = TeacherLogits.load(Workspace(ROOT).teachers / f"{teacher_name(taught, taught.teacher)}.npz")
    assert logits.meta["trained_on"] == 150 * classes and len(logits.history) == 100
    assert logits.train.shape[1] == logits.test.shape[1] == classes
    assert len(logits.train) >= 6000 * classes - 400 and logits.train.isfinite().all()
    assert 0.75 < logits.history[-1]["test_accuracy"] < 1


def test_every_figure_and_table_is_committed():
    figures = [*(f"figure_{number}" for number in (*range(1, 8), 11, 12)), "seed_spread", "strategies"]
    figures += ["shots", "noise", "device", "collapse", "controls", "data_scaling"]
    tables_ = ["table_1", "table_2", "described", "claims", "ablation", "ranking", "entangler", "cost"]
    tables_ += ["robustness", "hardware", "collapse", "robust", "controls", "grid", "answers"]
    wanted = [f"figures/{name}.{ending}" for name in figures for ending in ("pdf", "png")]
    wanted += [f"tables/{name}.{ending}" for name in tables_ for ending in ("csv", "md", "tex")]
    assert [name for name in wanted if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("name", ["table_1", "table_2", "described"])
def test_committed_tables_are_what_the_committed_records_give(name):
    rows = {"table_1": paper.rows(1), "table_2": paper.rows(2), "described": paper.described_rows()}[name]
    now = tables.paper_table(rows, Workspace(ROOT))
    there = pd.read_csv(ROOT / "tables" / f"{name}.csv")
    assert there.columns.tolist() == now.columns.tolist()
    for column in ("id", "run", "verdict"):
        assert there[column].tolist() == now[column].tolist()
    for column in ("mean_last", "ci_low", "ci_high", "delta_mean", "p_holm", "over_direct_mean"):
        expected = now[column].astype(float).tolist()
        assert there[column].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-9, nan_ok=True)


V2_TABLES = {"ablation": revised.bars(), "entangler": revised.variants()}


@pytest.mark.parametrize("name", V2_TABLES)
def test_committed_tables_of_v2_have_the_means_of_the_committed_records(name):
    """From the records' JSON alone: of the epoch that validation chose where it stopped the training, else the last."""
    raw = per_seed(Workspace(ROOT)).sort_values("seed").groupby("name")
    there = pd.read_csv(ROOT / "tables" / f"{name}.csv")
    assert len(there) == len(V2_TABLES[name])
    for line, bar in zip(there.itertuples(), V2_TABLES[name], strict=True):
        assert (line.method, line.dataset, line.qubits, line.regime) == (
            bar.method,
            bar.dataset,
            bar.qubits,
            bar.regime,
        )
        (copy,) = [copy for copy in bar.copies if copy.experiment.dataset == line.images]
        column = "selected" if bar.regime == revised.CONVERGED else "last"
        arms = {arm: e.name for arm, e in copy.arms.items()}
        error = {arm: 100 - raw.get_group(name)[column].iloc[:10].values for arm, name in arms.items()}
        assert line.seeds == 10
        assert line.mean_error == pytest.approx(error["lenet"].mean(), rel=1e-4)
        assert line.sd == pytest.approx(error["lenet"].std(ddof=1), rel=1e-4)
        assert line.placebo_error == pytest.approx(error[None].mean(), rel=1e-4)
        assert line.gain_kd == pytest.approx((error[None] - error["lenet"]).mean(), rel=1e-4, abs=1e-4)
        if "alexnet" in error:
            assert line.alexnet_gain == pytest.approx((error[None] - error["alexnet"]).mean(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", V2_TABLES)
def test_committed_tables_of_v2_are_what_the_committed_records_give(name):
    """Every column of the bars of CIFAR10, which are the fewest; the others' means are tested above."""
    now = ablation.table([bar for bar in V2_TABLES[name] if bar.dataset == "cifar10"], Workspace(ROOT))
    there = pd.read_csv(ROOT / "tables" / f"{name}.csv", keep_default_na=False, na_values=[""])
    there = there[there.dataset == "cifar10"].reset_index(drop=True)
    assert there.columns.tolist() == now.columns.tolist()
    for column in now.columns:
        if now[column].map(lambda cell: isinstance(cell, str)).any():
            assert there[column].tolist() == now[column].tolist()
        else:
            expected = now[column].astype(float).tolist()
            assert there[column].astype(float).tolist() == pytest.approx(expected, rel=1e-4, abs=1e-9, nan_ok=True)


def test_committed_controls_have_the_means_of_the_committed_records():
    """From the records' JSON alone: of the epoch that validation chose where it stopped the training, else the last."""
    raw = per_seed(Workspace(ROOT)).sort_values("seed").groupby("name")
    there = pd.read_csv(ROOT / "tables" / "controls.csv", dtype={"images_per_class": str})
    place = ["student", "dataset", "qubits", "classes", "images_per_class"]
    tasks = [(task, 150) for task in design.tasks()]
    tasks += [(task, size) for task, sizes in design.scaled_tasks() for size in sizes if size != 150]
    assert len(there.groupby(place)) == len(tasks)
    for task, size in tasks:
        own = (task.student, task.placebo.dataset, task.placebo.qubits, f"0-{task.placebo.classes[-1]}")
        lines = there[(there[place] == [*own, str(size or "all")]).all(axis=1)].set_index("control")
        arms = task.arms if size == 150 else design.scaled(task, size).arms
        assert lines.index.tolist() == list(arms)
        column = "selected" if task.student == "revised" else "last"
        kept = {name: raw.get_group(arm.name)[column].iloc[: arm.seeds].values for name, arm in arms.items()}
        for name, values in kept.items():
            assert lines["mean"][name] == pytest.approx(values.mean(), rel=1e-4)
            if name != "placebo":
                delta = (values - kept["placebo"]).mean()
                assert lines.delta_vs_placebo[name] == pytest.approx(delta, rel=1e-4, abs=1e-4)


def test_the_committed_ranking_is_that_of_the_committed_table():
    ranking, frame = (pd.read_csv(ROOT / "tables" / f"{name}.csv") for name in ("ranking", "ablation"))
    assert len(ranking) == 6 * 5  # tasks, and the paper's order and ours in two regimes with and without a teacher
    for row in ranking.to_dict("records"):
        regime, _, arm = row["source"].partition(", ")
        of_task = frame[(frame.dataset == row["dataset"]) & (frame.qubits == row["qubits"])]
        of_task = of_task[of_task.regime == ("10 epochs" if regime == "paper" else regime)]
        column = {"": "paper_error", "distilled": "mean_error", "placebo": "placebo_error"}[arm]
        named = [row[f"{place}."].split(" ")[0] for place in range(1, 8)]
        assert of_task.set_index("method")[column][named].is_monotonic_increasing
        assert row["rho"] == pytest.approx(of_task[column].corr(of_task.paper_error, method="spearman"), abs=0.0051)


def test_the_committed_costs_have_seconds_wherever_something_was_trained():
    there = pd.read_csv(ROOT / "tables" / "cost.csv", keep_default_na=False, na_values=[""])
    assert there.columns.tolist() == list(cost.COLUMNS)
    assert len(there) == 70
    assert (there.bytes == 4 * (there.classical_parameters + there.quantum_parameters)).all()
    untimed = there[there.seconds_per_epoch.isna()]
    assert untimed[["network", "images"]].values.tolist() == [["alexnet", "32x32 colour"], ["ensemble", "32x32 colour"]]


# Notebooks of a row


def test_notebook_parameters_of_a_row():
    assert notebooks.parameters_of("M-D-lenet-3q-05") == {
        "row": "M-D-lenet-3q-05", "workspace": ".", "architectures": ["lenet", "alexnet", "ensemble"],
    }  # fmt: skip
    for name in ("teachers", "baselines", "distillation"):
        (parameters,) = [cell for cell in cells(ROOT / "notebooks" / f"{name}.ipynb") if cell["metadata"].get("tags")]
        assert re.search(r'^row = ""', "".join(parameters["source"]), flags=re.M)


def set_up(name: str, row: str, monkeypatch) -> dict:
    """The variables of a template's cell after the parameters, run for a row without any images."""
    monkeypatch.setattr(qkdlib, "splits", lambda experiment: None)
    found = [cell for cell in cells(ROOT / "notebooks" / f"{name}.ipynb") if cell["cell_type"] == "code"]
    (place,) = [place for place, cell in enumerate(found) if cell["metadata"].get("tags") == ["parameters"]]
    variables = {}
    exec("".join(found[place]["source"]), variables)
    variables |= notebooks.parameters_of(row)
    exec("".join(found[place + 1]["source"]), variables)
    return variables


@pytest.mark.parametrize("row", ["M-D-lenet-3q-05", "F-D-alex-3q-05", "F-D-alex-3q-07", "M-D-ens-4q-07"])
def test_notebooks_of_a_row_run_its_experiment_its_placebo_and_its_teachers(monkeypatch, row):
    wanted = paper.row(row).experiment
    distillation = set_up("distillation", row, monkeypatch)
    assert distillation["taught"] == wanted
    assert distillation["experiment"] == set_up("baselines", row, monkeypatch)["experiment"] == wanted.placebo()
    assert distillation["place"] == Workspace(".")
    teachers = set_up("teachers", row, monkeypatch)
    assert teachers["wanted"][paper.row(row).teacher] == wanted.teacher
    assert list(teachers["wanted"]) == ["lenet", "alexnet", "ensemble"]
    assert (teachers["experiment"].dataset, teachers["experiment"].classes) == (wanted.dataset, wanted.classes)


@pytest.mark.parametrize("row", ["M-D-lenet-4q-07", "F-D-lenet-3q-07", "M-B-3q-05", "F-T-ens-05"])
def test_a_row_that_distils_nothing_is_refused(row):
    with pytest.raises(ValueError, match=f"row='{row}' is not allowed; allowed: a row that distils: one of ") as error:
        notebooks.parameters_of(row)
    named = str(error.value).split("one of ")[1].split(", ")
    assert len(named) == 15 and "F-D-alex-3q-07" in named and row not in named


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
