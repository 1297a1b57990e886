"""Which experiments the project declares, which of them are run because they have no record, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import fill, fill_bars, record, revised_record, save_all_teachers
from tiny_study import TINY, declared, forbid, lacking

from qkdlib import cluster, records
from qkdlib.__main__ import main
from qkdlib.experiment import Teacher
from qkdlib.study import contents, missing
from qkdlib.study.chapter import Part, each
from qkdlib.study.collapse import changes
from qkdlib.study.controlled import design
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised
from qkdlib.teachers.teacher_files import teacher_name
from qkdlib.workspace import Workspace

PARTS = tuple(contents.parts())
# The controlled experiment. LeNet's students have one pair of temperature and weight, and the chosen one if another.
# Besides, a robust student has 11 arms and a revised one 10; other numbers of images have 4 each, and there are those
# of the grid's 26 students (weight 0 is one of them, at any temperature) that are no arm.
PAIRS = len({(3.0, 0.9), design.CHOSEN})
OF_ROBUST, OF_REVISED, SCALED, GRID = 6 * (11 + PAIRS), 4 * (10 + PAIRS), (2 * 2 + 2 * 4) * 4, 2 * (26 - 1 - PAIRS)
# Every change of two students; four as published, with what is not enough, robust, with what lost a class; exact ones.
OF_COLLAPSE = {paper.SEEDS, changes.SEEDS, changes.FEW, *changes.LOST_ELSEWHERE.values()}
COLLAPSE = 2 * 16 + 4 * len({changes.NOT_ENOUGH, changes.CHOSEN}) + 4 + len(changes.LOST_ELSEWHERE) + 6
IN_ALL = {
    "v1": 40, "v2-10-epochs": 112, "v2-converged": 84, "v2-converged-alexnet": 56, "v2-full-set": 16,
    "v2-entangler": 96, "collapse": COLLAPSE, "robustness": 4, "controlled": OF_ROBUST + OF_REVISED + SCALED + GRID,
}  # fmt: skip
SHARED = 28 + 6 + 6  # placebos of v2-converged-alexnet, which are v2-converged's; collapse's published and exact ones
STRAY = replace(paper.row("M-B-3q-05").experiment, shots=7, seeds=1)


# What is declared


def test_a_distilled_row_needs_its_placebo_once(monkeypatch):
    student, teacher, distilled = (paper.row(name) for name in ("M-B-3q-05", "M-T-lenet-05", "M-D-lenet-3q-05"))
    monkeypatch.setattr(paper, "described_rows", list)
    for rows, wanted in (
        ([student, teacher, distilled], [student.experiment, distilled.experiment]),
        ([distilled], [distilled.experiment.placebo(), distilled.experiment]),
        ([teacher], []),
    ):
        monkeypatch.setattr(paper, "rows", lambda rows=rows: rows)
        assert paper.experiments() == wanted


def test_declared_rows_are_both_tables_and_the_described_rows():
    assert len(paper.rows()) + len(paper.described_rows()) == 42 + 12
    assert len(paper.experiments()) == 28 + 12


def test_declared_experiments_are_v1s_and_v2s_on_every_copy_of_cifar10():
    """Counted by hand: v2 has 14 bars in each regime, 2 on the full set and 16 variants for each data set; two teachers
    for the bars of MNIST and FashionMNIST, one for CIFAR10's and for variants; two pairs are trained under noise,
    what collapse adds to v1's published students and the controlled experiment's placebos; and the controlled arms."""
    grey, colour = 3 * (14 + 14 + 2) + 2 * 16, 2 * (14 + 14 + 2) + 2 * 16
    found = declared()
    before = 40 + 2 * grey + 2 * colour + 4 + COLLAPSE - 6 - 6
    assert len(found) == before + IN_ALL["controlled"] == sum(IN_ALL.values()) - SHARED + colour
    assert len({experiment.name for experiment in found}) == len({e.digest for e in found}) == len(found)
    names = [experiment.dataset for experiment in found if experiment.seeds == 10]
    revised_arms = OF_REVISED // 2 + 4 * 4  # of each data set
    assert {name: names.count(name) for name in names} == {
        "mnist": grey + 4 + revised_arms, "fashion_mnist": grey + revised_arms, "cifar10": colour,
        "cifar10_jpeg": colour,
    }  # fmt: skip
    assert found[:40] == paper.experiments()


def test_parts_are_v1_the_regimes_and_variants_of_v2_and_what_is_studied_besides():
    assert list(PARTS) == [*IN_ALL]
    groups = {name: contents.parts()[name].groups() for name in PARTS[1:6]}
    every = [*(groups[name] for name in PARTS[1:5])]
    assert {arm for part in every for group in part for arm in group} == {
        arm for bar in revised.bars() for arm in bar.arms.values()
    }
    regimes = (revised.DEFAULT, revised.CONVERGED, revised.CONVERGED, revised.FULL)
    for name, regime in zip(PARTS[1:5], regimes, strict=True):
        arms = {arm for bar in revised.bars(regime) for arm in bar.arms.values()}
        assert {arm for group in groups[name] for arm in group} <= arms
    taught = {arm.teacher.architecture for group in groups["v2-converged-alexnet"] for arm in group if arm.teacher}
    assert taught == {"alexnet"}
    assert groups["v2-entangler"] == [tuple(bar.arms.values()) for bar in revised.variants()]


# What has no record


@pytest.mark.parametrize("part", PARTS)
def test_without_records_everything_of_a_part_is_missing_on_the_images_at_hand(workspace, at_hand, part):
    found = lacking(part, workspace=workspace)
    assert len(found) == len(set(found)) == IN_ALL[part]
    assert set(found) <= set(declared())
    assert "cifar10" not in {experiment.dataset for experiment in found}
    seeds = {"v1": {paper.SEEDS, paper.FEW}, "controlled": {5, 10, changes.SEEDS}, "collapse": OF_COLLAPSE}
    assert {e.seeds for e in found} == seeds.get(part, {10})
    assert lacking(part, workspace=workspace, fresh="students") == found


def test_cifar10_runs_on_the_original_where_that_is_there_or_nothing_is(workspace, at_hand):
    for there in ({"cifar10", "cifar10_jpeg"}, {"cifar10"}, set()):  # the last: it can be downloaded
        at_hand.clear()
        at_hand.update(there)
        found = {experiment.dataset for experiment in lacking("v2-full-set", workspace=workspace)}
        assert found == {"mnist", "fashion_mnist", "cifar10"}


def test_several_parts_are_missing_one_after_the_other(workspace, at_hand):
    first, second = (lacking(part, workspace=workspace) for part in ("v2-full-set", "v1"))
    assert lacking("v2-full-set", "v1", workspace=workspace) == first + second
    assert missing.missing([], workspace) == []


def test_an_unknown_part_is_named_before_anything_runs(workspace, monkeypatch):
    forbid(monkeypatch, missing, "train")
    with pytest.raises(ValueError, match="only='v3' is not allowed; allowed: one of v1, v2, collapse, "):
        missing.run(workspace, only=["v1", "v3"])


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Workspace:
    """A workspace with a record of everything, and one that nothing declares; not to be changed."""
    workspace = Workspace(tmp_path_factory.mktemp("filled"))
    fill(workspace)
    record(STRAY, [0.5]).save(workspace)
    return workspace


def test_only_what_has_no_complete_record_is_missing(filled, workspace, at_hand):
    assert lacking(*PARTS, workspace=filled) == []
    for path in filled.students.iterdir():
        (workspace.students / path.name).hardlink_to(path)
    gone, short = (paper.row(name).experiment for name in ("F-D-ens-4q-07", "M-B-3q-07"))
    bar = revised.bar("qubit", "mnist", 8, revised.CONVERGED)
    v2_gone, v2_short = bar.arms["alexnet"], revised.variants()[0].arms[None]
    for experiment in (gone, short, v2_gone, v2_short):
        (workspace.students / f"{experiment.name}.json").unlink()
    record(short, [0.5] * (short.seeds - 1)).save(workspace)
    revised_record(v2_short, [0.5] * 9, np.random.default_rng(0)).save(workspace)
    found = lacking(*PARTS, workspace=workspace)
    assert set(found) == {gone, short, v2_gone, v2_short} and len(found) == 4
    assert lacking("v2-entangler", workspace=workspace) == [v2_short]
    assert len(lacking(*PARTS, workspace=workspace, fresh="students")) == sum(IN_ALL.values()) - SHARED


def test_seeds_that_wait_for_their_execution_are_missing(workspace):
    part, done = Part("tiny", lambda: each([TINY])), record(TINY, [0.5] * TINY.seeds)
    done.save(workspace)
    assert missing.missing([part], workspace) == []
    done.provenance.append({"unexecuted": [0], "seconds": {"all": 1.0}})
    done.save(workspace)
    assert missing.missing([part], workspace) == [TINY]


def test_a_bar_is_complete_on_any_copy_of_its_images(workspace, at_hand):
    bar = revised.bar("original", "cifar10", 8, revised.FULL)
    original, copy = bar.copies
    fill_bars(workspace, [copy], np.random.default_rng(0))
    for there in ({"cifar10_jpeg"}, {"cifar10"}, set()):
        at_hand.clear()
        at_hand.update(there)
        assert not {*original.arms.values(), *copy.arms.values()} & set(lacking("v2-full-set", workspace=workspace))
    # Half of one copy and half of the other are no bar: the copy at hand is completed.
    (workspace.students / f"{copy.arms['lenet'].name}.json").unlink()
    revised_record(original.arms["lenet"], [0.5] * 10, np.random.default_rng(0)).save(workspace)
    at_hand.add("cifar10_jpeg")
    assert copy.arms["lenet"] in lacking("v2-full-set", workspace=workspace)
    at_hand.add("cifar10")
    found = set(lacking("v2-full-set", workspace=workspace))
    assert original.arms[None] in found and not {original.arms["lenet"], *copy.arms.values()} & found


# Running them


@pytest.fixture
def asked(monkeypatch) -> list:
    """The experiments and options that would be run side by side."""
    calls = []
    monkeypatch.setattr(cluster, "run_all", lambda wanted, place, **options: calls.append((wanted, place, options)))
    return calls


def test_fresh_students_are_all_declared_ones_and_no_teacher(workspace, no_training, at_hand, asked):
    save_all_teachers(workspace)
    said, all_of_it = [], lacking(*PARTS, workspace=workspace, fresh="students")
    missing.train(all_of_it, workspace, "students", said.append)
    ((wanted, place, options),) = asked
    assert wanted == all_of_it and len(set(wanted)) == sum(IN_ALL.values()) - SHARED
    assert place == workspace
    assert options.pop("say") and options == {"fresh": True, "aer_seeds": 2}
    assert said == [f"{40 + 112 + 84 + 28 + 16 + 96 + 4 + COLLAPSE - 12 + IN_ALL['controlled']} experiments to run"]


def test_missing_experiments_are_run_and_nothing_else(workspace, no_training, asked):
    missing.train([TINY], workspace, "no", lambda _: None)  # without a taught student no teacher is needed
    ((wanted, _, options),) = asked
    assert wanted == [TINY] and options["fresh"] is False


def test_nothing_missing_is_nothing_run(workspace, monkeypatch, asked):
    forbid(monkeypatch, missing, "train_teachers")
    for fresh in missing.FRESH:
        missing.train([], workspace, fresh, pytest.fail)
    assert asked == []


@pytest.mark.parametrize(("fresh", "anew"), [("no", False), ("students", False), ("all", True)])
def test_teachers_are_trained_anew_only_with_all(workspace, monkeypatch, at_hand, asked, fresh, anew):
    calls = []
    monkeypatch.setattr(missing, "train_teachers", lambda taught, place, fresh, say: calls.append((taught, fresh)))
    missing.train(lacking("v1", workspace=workspace, fresh=fresh), workspace, fresh, lambda _: None)
    ((taught, told),) = calls
    assert told is anew
    assert {experiment.teacher.architecture for experiment in taught} == {"lenet", "alexnet", "ensemble"}


def test_students_of_v2_run_with_their_teacher_and_are_not_missing_afterwards(workspace, monkeypatch):
    """One bar of digits in place of the variants: a second of real training."""
    images = {"train_per_class": 6, "validation_per_class": 2, "test_per_class": 5, "seeds": 2}
    student = revised.student("digits", 2, "qubit", **images, classes=(0, 1), epochs=3, patience=1)
    bar = revised.Bar("qubit", "digits", 2, "tiny", student, None, ("lenet",))
    monkeypatch.setattr(revised, "variants", lambda: [bar])
    monkeypatch.setattr(revised, "teacher", lambda name: Teacher(architecture=name, epochs=1))
    said, wanted = [], lacking("v2-entangler", workspace=workspace)
    assert wanted == list(bar.arms.values()) and len(wanted) == 2
    missing.train(wanted, workspace, "no", said.append)
    assert said[0] == f"teacher {teacher_name(student, Teacher(epochs=1))}"
    assert {found.experiment for found in records.read_all(workspace)} == set(wanted)
    assert lacking("v2-entangler", workspace=workspace) == []


def test_a_teacher_that_fails_stops_neither_the_others_nor_the_students(workspace, monkeypatch):
    monkeypatch.setenv("QKD_THREADS", "1")
    bad, good = Teacher(epochs=1, images_per_class=10**4), Teacher(epochs=1)
    taught, said = [TINY.distilled(teacher) for teacher in (bad, good)], []
    with pytest.raises(ValueError, match="^2 failed: training the teachers .*images_per_class=10000") as error:
        missing.train([*taught, TINY], workspace, "no", said.append)
    assert {found.experiment for found in records.read_all(workspace)} == {taught[1], TINY}
    assert "training the students (ValueError: teacher images_per_class=10000" in str(error.value)
    assert any(line.startswith(f"{taught[0].name} failed: ValueError: teacher images_per_class") for line in said)


# All of it, by the command `run`


@pytest.fixture
def executions(monkeypatch) -> list:
    """The workspaces and whether anew, of executions that would be run."""
    calls = []

    def execute(place, fresh, say):
        calls.append((place, fresh))

    chapters = [replace(chapter, execute=chapter.execute and execute) for chapter in contents.CHAPTERS]
    monkeypatch.setattr(contents, "CHAPTERS", tuple(chapters))
    return calls


def test_what_cannot_be_run_is_said_at_the_end_and_the_rest_is_run(workspace, monkeypatch, executions):
    def fail(*_):
        raise FileNotFoundError("no data set")

    said = []
    monkeypatch.setattr(missing, "train", fail)
    record(STRAY, [0.5]).save(workspace)
    with pytest.raises(FileNotFoundError, match="no data set"):
        missing.run(workspace, say=said.append)
    assert executions == [(workspace, False)]
    assert said[0] == "training what has no record failed: FileNotFoundError: no data set"
    assert said[1:] == [f"left alone: {STRAY.name}.json belongs to no declared experiment"]


@pytest.mark.parametrize(
    ("fresh", "parts", "count"),
    [("no", ["v1"], 40), ("students", ["v2-full-set", "v2-entangler"], 16 + 96), ("all", ["v2-full-set"], 16),
     ("no", ["v2-full-set", "robustness"], 4), ("no", None, None)],
)  # fmt: skip
def test_of_the_parts_that_are_asked_for_the_missing_is_run(
    workspace, monkeypatch, at_hand, executions, fresh, parts, count
):
    """Of chapters too, and students are executed if their chapter is among them."""
    at_hand.add("cifar10")
    fill(workspace, parts=["v2-full-set"])  # on the JPEG copy of CIFAR10
    calls = []
    monkeypatch.setattr(missing, "train", lambda wanted, place, fresh, say: calls.append((wanted, place, fresh)))
    missing.run(workspace, fresh, parts, pytest.fail)
    names = PARTS if parts is None else parts
    assert calls == [(lacking(*names, workspace=workspace, fresh=fresh), workspace, fresh)]
    assert len(calls[0][0]) == (sum(IN_ALL.values()) - SHARED - 16 if parts is None else count)
    assert executions == ([(workspace, fresh != "no")] if "robustness" in names else [])


def test_where_every_record_is_there_nothing_is_run_and_what_nothing_declares_is_named(
    filled, no_training, asked, executions, monkeypatch
):
    said = []
    missing.run(filled, say=said.append)
    assert asked == [] and executions == [(filled, False)]
    assert said == [f"left alone: {STRAY.name}.json belongs to no declared experiment"]
    assert (filled.students / f"{STRAY.name}.json").exists()


@pytest.mark.parametrize(
    ("options", "fresh", "parts"),
    [
        ([], "no", None), (["--fresh"], "all", None), (["--fresh", "all"], "all", None),
        (["--fresh", "students"], "students", None), (["--only", "v1"], "no", ["v1"]),
        (["--fresh", "students", "--only", "v2-full-set", "collapse"], "students", ["v2-full-set", "collapse"]),
    ],
)  # fmt: skip
def test_the_command_hands_on_what_is_asked_for(monkeypatch, tmp_path, options, fresh, parts):
    calls = []
    monkeypatch.setattr(missing, "run", lambda *arguments: calls.append(arguments))
    assert main(["run", "--workspace", str(tmp_path), *options]) == 0
    assert calls == [(Workspace(str(tmp_path)), fresh, parts)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fresh", "nonsense"], "invalid choice: 'nonsense' (choose from"),
        (["--only", "nonsense"], "only='nonsense' is not allowed; allowed: one of v1, v2, collapse"),
        (["--only"], "--only: expected at least one argument"),
    ],
)
def test_nonsense_is_refused_before_any_work(monkeypatch, capsys, tmp_path, options, said):
    forbid(monkeypatch, missing, "train")
    try:
        status = main(["run", "--workspace", str(tmp_path), *options])
    except SystemExit as end:
        status = end.code
    assert status == 2 and said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--fresh", "students"]])
def test_wrong_threads_are_one_line_on_stderr(workspace, capsys, monkeypatch, options):
    forbid(monkeypatch, missing, "run")
    monkeypatch.setenv("QKD_THREADS", "none")
    assert main(["run", "--workspace", str(workspace.root), *options]) == 2
    said = "error: QKD_THREADS='none' is not allowed; allowed: a whole number of 1 or more, at most 1,024\n"
    assert capsys.readouterr().err == said
