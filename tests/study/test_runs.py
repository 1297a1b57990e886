"""Which experiments the project declares, which of them are run because they have no record, and their teachers."""

import numpy as np
import pytest
from made_up import fill, fill_bars, record, revised_record, save_all_teachers, save_teachers

from qkdlib import parallel, records, training
from qkdlib.experiment import Experiment, Teacher
from qkdlib.images import datasets
from qkdlib.study import runs
from qkdlib.study.controlled import design
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised
from qkdlib.teachers import teacher_training
from qkdlib.teachers.teacher_files import TeacherLogits, teacher_name

TINY = Experiment(
    dataset="digits", classes=(0, 1), train_per_class=6, validation_per_class=2, test_per_class=5,
    epochs=2, seeds=2, shots=20,
)  # fmt: skip
# The controlled experiment. LeNet's students have one pair of temperature and weight, and the chosen one if that is
# another. Besides, a robust student has 11 arms and a revised one 10; there are 4 arms for each other number of images,
# and those of the grid's 26 students (weight 0 is one of them, at any temperature) that are no arm.
PAIRS = len({(3.0, 0.9), design.CHOSEN})
OF_ROBUST, OF_REVISED, SCALED, GRID = 6 * (11 + PAIRS), 4 * (10 + PAIRS), (2 * 2 + 2 * 4) * 4, 2 * (26 - 1 - PAIRS)
IN_ALL = {
    "v1": 40, "v2-10-epochs": 112, "v2-converged": 84, "v2-converged-alexnet": 56, "v2-full-set": 16,
    "v2-entangler": 96, "robustness": 4, "collapse": 34, "controlled": OF_ROBUST + OF_REVISED + SCALED + GRID,
}  # fmt: skip
SHARED = 28 + 6  # placebos of v2-converged-alexnet, which are v2-converged's; collapse's that are published


def forbid(monkeypatch, module, name: str) -> None:
    monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail(f"{name} was called"))


@pytest.fixture
def at_hand(monkeypatch):
    """A set of the data sets that are at hand: all but the original CIFAR10, as where the records were made."""
    there = {"mnist", "fashion_mnist", "cifar10_jpeg"}
    monkeypatch.setattr(datasets, "at_hand", lambda name: name in there)
    return there


# What is declared


def test_a_distilled_row_needs_its_placebo_once():
    student, teacher, distilled = (paper.row(name) for name in ("M-B-3q-05", "M-T-lenet-05", "M-D-lenet-3q-05"))
    assert runs.experiments([student, teacher, distilled]) == [student.experiment, distilled.experiment]
    assert runs.experiments([distilled]) == [distilled.experiment.placebo(), distilled.experiment]
    assert runs.experiments([teacher]) == []


def test_declared_rows_are_both_tables_and_the_described_rows():
    rows = runs.declared_rows()
    assert len(rows) == 42 + 12
    assert len(runs.experiments(rows)) == 28 + 12


def test_declared_experiments_are_v1s_and_v2s_on_every_copy_of_cifar10():
    """Counted by hand: v2 has 14 bars in each regime, 2 on the full set and 16 variants for each data set; two teachers
    for the bars of MNIST and FashionMNIST, one for CIFAR10's and for variants; two pairs are trained under noise,
    two published students with 12 changes each, and four more with the change that cures; and the controlled arms."""
    grey, colour = 3 * (14 + 14 + 2) + 2 * 16, 2 * (14 + 14 + 2) + 2 * 16
    found = runs.declared()
    before = 40 + 2 * grey + 2 * colour + 4 + 28
    assert len(found) == before + IN_ALL["controlled"] == sum(IN_ALL.values()) - SHARED + colour
    assert len({experiment.name for experiment in found}) == len({e.digest for e in found}) == len(found)
    names = [experiment.dataset for experiment in found if experiment.seeds == 10]
    revised_arms = OF_REVISED // 2 + 4 * 4  # of each data set
    assert {name: names.count(name) for name in names} == {
        "mnist": grey + 4 + revised_arms, "fashion_mnist": grey + revised_arms, "cifar10": colour,
        "cifar10_jpeg": colour,
    }  # fmt: skip
    assert found[:40] == runs.experiments(runs.declared_rows())


def test_parts_are_v1_the_regimes_and_variants_of_v2_and_what_is_studied_besides():
    assert list(runs.PARTS) == [*IN_ALL]
    arms = [e for part in runs.PARTS[1:5] for bar in runs.V2_PARTS[part]() for e in bar.arms.values()]
    assert set(arms) == {e for bar in revised.bars() for e in bar.arms.values()}
    regimes = ("10 epochs", "converged", "converged", "full set")
    for part, regime in zip(runs.PARTS[1:5], regimes, strict=True):
        assert {bar.regime for bar in runs.V2_PARTS[part]()} == {regime}
    assert {bar.teachers for bar in runs.V2_PARTS["v2-converged-alexnet"]()} == {("alexnet",)}
    assert runs.V2_PARTS["v2-entangler"]() == revised.variants()


# What has no record


@pytest.mark.parametrize("part", runs.PARTS)
def test_without_records_everything_of_a_part_is_missing_on_the_images_at_hand(workspace, at_hand, part):
    found = runs.missing([part], workspace)
    assert len(found) == len(set(found)) == IN_ALL[part]
    assert set(found) <= set(runs.declared())
    assert "cifar10" not in {experiment.dataset for experiment in found}
    seeds = {"v1": {20}, "collapse": {20}, "controlled": {5, 10, 20}}
    assert {e.seeds for e in found} == seeds.get(part, {10})
    assert runs.missing([part], workspace, "students") == found


def test_cifar10_runs_on_the_original_where_that_is_there_or_nothing_is(workspace, at_hand):
    for there in ({"cifar10", "cifar10_jpeg"}, {"cifar10"}, set()):  # the last: it can be downloaded
        at_hand.clear()
        at_hand.update(there)
        found = {experiment.dataset for experiment in runs.missing(["v2-full-set"], workspace)}
        assert found == {"mnist", "fashion_mnist", "cifar10"}


def test_several_parts_are_missing_one_after_the_other(workspace, at_hand):
    first, second = (runs.missing([part], workspace) for part in ("v2-full-set", "v1"))
    assert runs.missing(["v2-full-set", "v1"], workspace) == first + second
    assert runs.missing([], workspace) == []


def test_an_unknown_part_is_named(workspace):
    with pytest.raises(ValueError, match="part='v3' is not allowed; allowed: one of v1, v2-10-epochs, "):
        runs.missing(["v1", "v3"], workspace)


def test_only_what_has_no_complete_record_is_missing(workspace, at_hand):
    fill(workspace)
    assert runs.missing(runs.PARTS, workspace) == []
    gone, short = (paper.row(name).experiment for name in ("F-D-ens-4q-07", "M-B-3q-07"))
    bar = revised.bar("qubit", "mnist", 8, revised.CONVERGED)
    v2_gone, v2_short = bar.arms["alexnet"], revised.variants()[0].arms[None]
    for experiment in (gone, short, v2_gone, v2_short):
        (workspace.students / f"{experiment.name}.json").unlink()
    record(short, [0.5] * 19).save(workspace)
    revised_record(v2_short, [0.5] * 9, np.random.default_rng(0)).save(workspace)
    found = runs.missing(runs.PARTS, workspace)
    assert set(found) == {gone, short, v2_gone, v2_short} and len(found) == 4
    assert runs.missing(["v2-entangler"], workspace) == [v2_short]
    assert len(runs.missing(runs.PARTS, workspace, "students")) == sum(IN_ALL.values()) - SHARED


def test_seeds_that_wait_for_their_execution_are_missing(workspace, monkeypatch):
    monkeypatch.setitem(runs.PLAIN_PARTS, "v1", lambda: [TINY])
    done = record(TINY, [0.5] * TINY.seeds)
    done.save(workspace)
    assert runs.missing(["v1"], workspace) == []
    done.provenance.append({"unexecuted": [0], "seconds": {"all": 1.0}})
    done.save(workspace)
    assert runs.missing(["v1"], workspace) == [TINY]


def test_a_bar_is_complete_on_any_copy_of_its_images(workspace, at_hand):
    bar = revised.bar("original", "cifar10", 8, revised.FULL)
    original, copy = bar.copies
    fill_bars(workspace, [copy], np.random.default_rng(0))
    for there in ({"cifar10_jpeg"}, {"cifar10"}, set()):
        at_hand.clear()
        at_hand.update(there)
        assert not {*original.arms.values(), *copy.arms.values()} & set(runs.missing(["v2-full-set"], workspace))
    # Half of one copy and half of the other are no bar: the copy at hand is completed.
    (workspace.students / f"{copy.arms['lenet'].name}.json").unlink()
    revised_record(original.arms["lenet"], [0.5] * 10, np.random.default_rng(0)).save(workspace)
    at_hand.add("cifar10_jpeg")
    assert copy.arms["lenet"] in runs.missing(["v2-full-set"], workspace)
    at_hand.add("cifar10")
    found = set(runs.missing(["v2-full-set"], workspace))
    assert original.arms[None] in found and not {original.arms["lenet"], *copy.arms.values()} & found


# Running them


@pytest.fixture
def asked(monkeypatch):
    """The experiments and options that would be run in parallel."""
    calls = []
    monkeypatch.setattr(parallel, "run_all", lambda wanted, place, **options: calls.append((wanted, place, options)))
    return calls


def test_fresh_students_are_all_declared_ones_and_no_teacher(workspace, monkeypatch, at_hand, asked):
    save_all_teachers(workspace)
    forbid(monkeypatch, teacher_training, "train_teacher")
    forbid(monkeypatch, datasets, "splits")
    said, all_of_it = [], runs.missing(runs.PARTS, workspace, "students")
    runs.run_missing(all_of_it, workspace, "students", said.append)
    ((wanted, place, options),) = asked
    assert wanted == all_of_it and len(set(wanted)) == sum(IN_ALL.values()) - SHARED
    assert place == workspace
    assert options.pop("say") and options == {"fresh": True, "aer_seeds": 2}
    assert said == [f"{408 + IN_ALL['controlled']} experiments to run"]


def test_missing_experiments_are_run_and_nothing_else(workspace, monkeypatch, asked):
    forbid(monkeypatch, teacher_training, "train_teacher")  # without a taught student no teacher is needed
    runs.run_missing([TINY], workspace, "no", lambda _: None)
    ((wanted, _, options),) = asked
    assert wanted == [TINY] and options["fresh"] is False


def test_nothing_missing_is_nothing_run(workspace, monkeypatch, asked):
    forbid(monkeypatch, runs, "train_teachers")
    for fresh in runs.FRESH:
        runs.run_missing([], workspace, fresh, pytest.fail)
    assert asked == []


@pytest.mark.parametrize(("fresh", "anew"), [("no", False), ("students", False), ("all", True)])
def test_teachers_are_trained_anew_only_with_all(workspace, monkeypatch, at_hand, asked, fresh, anew):
    calls = []
    monkeypatch.setattr(runs, "train_teachers", lambda taught, place, fresh, say: calls.append((taught, fresh)))
    runs.run_missing(runs.missing(["v1"], workspace, fresh), workspace, fresh, lambda _: None)
    ((taught, told),) = calls
    assert told is anew
    assert {experiment.teacher.architecture for experiment in taught} == {"lenet", "alexnet", "ensemble"}


def test_students_of_v2_run_with_their_teacher_and_are_not_missing_afterwards(workspace, monkeypatch):
    """One bar of digits in place of the variants: a second of real training."""
    images = {"train_per_class": 6, "validation_per_class": 2, "test_per_class": 5, "seeds": 2}
    student = revised.student("digits", 2, "qubit", **images, classes=(0, 1), epochs=3, patience=1)
    bar = revised.Bar("qubit", "digits", 2, "tiny", student, None, ("lenet",))
    monkeypatch.setitem(runs.V2_PARTS, "v2-entangler", lambda: [bar])
    monkeypatch.setattr(revised, "teacher", lambda name: Teacher(architecture=name, epochs=1))
    said, wanted = [], runs.missing(["v2-entangler"], workspace)
    assert wanted == list(bar.arms.values()) and len(wanted) == 2
    runs.run_missing(wanted, workspace, "no", said.append)
    assert said[0] == f"teacher {teacher_name(student, Teacher(epochs=1))}"
    assert {each.experiment for each in records.read_all(workspace)} == set(wanted)
    assert runs.missing(["v2-entangler"], workspace) == []


def test_a_teacher_that_fails_stops_neither_the_others_nor_the_students(workspace, monkeypatch):
    monkeypatch.setenv("QKD_THREADS", "1")
    bad, good = Teacher(epochs=1, images_per_class=10**4), Teacher(epochs=1)
    taught, said = [TINY.distilled(teacher) for teacher in (bad, good)], []
    with pytest.raises(ValueError, match="^2 failed: training the teachers .*images_per_class=10000") as error:
        runs.run_missing([*taught, TINY], workspace, "no", said.append)
    assert {each.experiment for each in records.read_all(workspace)} == {taught[1], TINY}
    assert "training the students (ValueError: teacher images_per_class=10000" in str(error.value)
    assert any(line.startswith(f"{taught[0].name} failed: ValueError: teacher images_per_class") for line in said)


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


def of_rows() -> list[Experiment]:
    return [row.experiment for row in paper.rows() if row.category == "Teacher"]


@pytest.mark.parametrize(
    "taught",
    [
        of_rows(),
        [row.experiment for row in paper.rows() if row.distils],
        [experiment for experiment in of_rows() if experiment.teacher.architecture == "ensemble"],
    ],
    ids=["teachers", "students", "ensembles"],
)
def test_v1s_twelve_teachers_are_trained_members_before_their_ensemble(workspace, training_of, taught):
    runs.train_teachers(taught, workspace, False, lambda _: None)
    assert len(training_of) == len(set(training_of)) == 12
    alexnet = {"mnist": 3, "fashion_mnist": 5}
    for dataset in alexnet:
        for last in (5, 7):
            names = [call[2] for call in training_of if call[:2] == (dataset, last)]
            assert sorted(names) == ["alexnet", "ensemble", "lenet"]
            assert names[-1] == "ensemble"
            assert (dataset, last, "lenet", 10, False) in training_of
            assert (dataset, last, "alexnet", alexnet[dataset], False) in training_of


@pytest.mark.parametrize("cifar10", ["cifar10", "cifar10_jpeg"])
def test_all_teachers_are_v1s_those_of_ten_classes_and_those_of_the_students_images(
    workspace, at_hand, training_of, cifar10
):
    """On ten classes AlexNet has 3 epochs, and neither it nor the ensemble is trained on CIFAR10. Each task of the
    controlled experiment has a LeNet of 100 epochs, of which students with other qubits learn, too."""
    at_hand.add(cifar10)
    wanted = runs.all_teachers()
    assert wanted[:12] == of_rows()
    runs.train_teachers(wanted, workspace, False, lambda _: None)
    own = [call for call in training_of if call[2:4] == ("lenet", 100)]
    tasks = [(dataset, last) for dataset in ("mnist", "fashion_mnist") for last in (5, 7, 9)]
    assert sorted(own) == sorted((*task, "lenet", 100, False) for task in tasks)
    found = [call for call in training_of if call[1] == 9 and call not in own]
    assert len(training_of) == 12 + len(found) + len(own)
    grey = [("lenet", 10), ("alexnet", 3), ("ensemble", 10)]
    assert found == [
        *((dataset, 9, *teacher, False) for dataset in ("mnist", "fashion_mnist") for teacher in grey),
        (cifar10, 9, "lenet", 10, False),
    ]


def test_students_of_v2_need_no_ensemble(workspace, at_hand, training_of):
    wanted = [e for e in runs.missing(["v2-full-set"], workspace) if e.teacher]
    runs.train_teachers(wanted, workspace, False, lambda _: None)
    assert [call[:3] for call in training_of] == [
        ("mnist", 9, "lenet"), ("mnist", 9, "alexnet"), ("fashion_mnist", 9, "lenet"), ("fashion_mnist", 9, "alexnet"),
        ("cifar10_jpeg", 9, "lenet"),
    ]  # fmt: skip


def test_teachers_that_are_there_are_left(workspace, training_of):
    save_teachers(workspace)
    gone = paper.row("F-T-alex-07")
    (workspace.teachers / f"{teacher_name(gone.experiment, gone.experiment.teacher)}.npz").unlink()
    said = []
    runs.train_teachers(of_rows(), workspace, False, said.append)
    assert training_of == [("fashion_mnist", 7, "alexnet", 5, False)]
    assert said == [f"teacher {teacher_name(gone.experiment, gone.experiment.teacher)}"]


def test_fresh_teachers_are_all_trained_and_ensembles_put_together_anew(workspace, training_of):
    save_teachers(workspace)
    runs.train_teachers(of_rows(), workspace, True, lambda _: None)
    assert len(training_of) == 12
    assert {(name, fresh) for *_, name, _, fresh in training_of} == {
        ("lenet", True), ("alexnet", True), ("ensemble", False),
    }  # fmt: skip
    # An ensemble's old file is gone: it would be read in place of its new members.
    assert not list(workspace.teachers.glob("*ensemble*"))


def test_an_ensemble_is_the_mean_of_the_networks_trained_before_it(workspace, monkeypatch):
    first, second = Teacher(epochs=1), Teacher(epochs=1, seed=1)
    both = Teacher(architecture="ensemble", members=(first, second))
    fit, trained = training.fit, []
    monkeypatch.setattr(training, "fit", lambda *given, **named: trained.append(1) or fit(*given, **named))
    for fresh, times in ((False, 2), (False, 2), (True, 4)):
        runs.train_teachers([TINY.distilled(both)], workspace, fresh, lambda _: None)
        assert len(trained) == times
        found = [TeacherLogits.load(workspace.teachers / f"{teacher_name(TINY, t)}.npz") for t in (first, second, both)]
        one, two, mean = (np.exp(each.test.numpy()) for each in found)
        one, two, mean = (each / each.sum(1, keepdims=True) for each in (one, two, mean))
        assert mean == pytest.approx((one + two) / 2, abs=2e-3)
        assert np.abs(one - two).max() > 0.01
