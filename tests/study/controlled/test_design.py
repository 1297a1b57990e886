"""What the controlled experiment compares: arms that differ in one thing, grid and sizes; and that it can be run."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch
from synthetic import published

from qkdlib import circuits, pipeline, splits, training
from qkdlib.circuits import simulation
from qkdlib.students import Student
from qkdlib.study import missing
from qkdlib.study.collapse import changes
from qkdlib.study.controlled import design
from qkdlib.study.controlled.table import chosen, grid
from qkdlib.study.v2 import revised
from qkdlib.teachers.teacher_training import train_teacher
from qkdlib.workspace import Workspace

TAUGHT = {"teacher", "kd_weight"}
AS_LENET = (3.0, 0.9)  # temperature and weight of all taught arms but one
DEEP, RINGED = "two layers", "two layers, ring of CNOTs"
ARMS = {  # arm: the one it stands against, and the fields of the student that differ
    "LeNet": ("placebo", TAUGHT), "AlexNet": ("placebo", TAUGHT), "ensemble": ("placebo", TAUGHT),
    "smoothed labels": ("placebo", TAUGHT), "shuffled logits": ("placebo", TAUGHT),
    "LeNet of the same images": ("placebo", TAUGHT),
    "LeNet, chosen": ("placebo", TAUGHT | ({"temperature"} if design.CHOSEN[0] != AS_LENET[0] else set())),
    "classical twin": ("placebo", {"ansatz"}), "classical twin, LeNet": ("classical twin", TAUGHT),
}  # fmt: skip
OWN = {  # of one kind of student alone
    "robust": {"weak twin": ("classical twin", {"angle_reach"}), DEEP: ("placebo", {"layers"}),
               RINGED: (DEEP, {"entangler"})},
    "revised": {"weak twin": ("classical twin", {"ansatz"}), "ring of CNOTs": ("placebo", {"entangler"})},
}  # fmt: skip
OF_TEACHERS = {  # arm: the fields of its teacher that differ from LeNet's
    "LeNet": set(), "LeNet, chosen": set(), "classical twin, LeNet": set(), "AlexNet": {"architecture", "epochs"},
    "ensemble": {"architecture", "members"}, "smoothed labels": {"labels"}, "shuffled logits": {"labels"},
    "LeNet of the same images": {"images_per_class", "epochs"},
}  # fmt: skip
SIZES = {"robust": (10, 30, 150), "revised": (10, 30, 150, 500, None)}
SMALL = {"dataset": "digits", "train_per_class": 12, "validation_per_class": 4, "test_per_class": 10}
EPOCH = [{"test_accuracy": 0.5}]  # what a training that did not take place says of itself


def changed(one, other) -> set[str]:
    """Names of the fields that differ."""
    return {each.name for each in dataclasses.fields(one) if getattr(one, each.name) != getattr(other, each.name)}


def of_students(name: str) -> list[design.Task]:
    return [task for task in design.tasks() if task.student == name]


# Tasks and arms


def test_tasks_are_v1s_six_students_and_v2s_original_method():
    direct = published().query("role == 'baseline'")
    six = set(zip(direct.dataset, direct.classes, direct.qubits.astype(int), strict=True))
    found = [(task.student, task.placebo) for task in design.tasks()]
    tasks = [(student, placebo.dataset, len(placebo.classes), placebo.qubits) for student, placebo in found]
    four = {(dataset, 10, qubits) for dataset in ("mnist", "fashion_mnist") for qubits in (4, 8)}
    assert (len(six), len(tasks)) == (6, 10)
    assert set(tasks) == {("robust", *task) for task in six} | {("revised", *task) for task in four}


def test_robust_placebos_are_the_published_ones_with_a_third_of_the_rate_and_exact_outcomes():
    for task, row in zip(of_students("robust"), changes.ROWS, strict=True):
        before, now = changes.published(row), task.placebo
        assert changed(before, now) == {"learning_rate", "sampler", "gradient", "tested"}
        assert now.learning_rate == pytest.approx(before.learning_rate / 3)
        assert now.patience == 0  # the last epoch is kept: its test accuracy is measured


def test_revised_placebos_are_the_converged_bars_with_the_rate_that_validation_chose():
    """118 of 120 seeds of the committed records, with and without a teacher, chose it."""
    rates = []
    for task in of_students("revised"):
        bar = revised.bar("original", task.placebo.dataset, task.placebo.qubits, revised.CONVERGED)
        assert changed(bar.experiment, task.placebo) == {"learning_rate", "learning_rates"}
        for arm in bar.arms.values():
            seeds = json.loads((Workspace().students / f"{arm.name}.json").read_text())["seeds"]
            rates += [results["learning_rate"] for results in seeds.values()]
    assert (rates.count(0.01), len(rates)) == (118, 120)
    assert {task.placebo.learning_rate for task in of_students("revised")} == {0.01}


@pytest.mark.parametrize("task", design.tasks(), ids=lambda task: task.placebo.name)
def test_every_arm_differs_from_the_one_that_it_stands_against_in_what_it_names(task):
    expected = ARMS | OWN[task.student]
    assert set(task.arms) == {"placebo", *expected}
    assert task.against == {name: other for name, (other, _) in expected.items()}
    for name, (other, fields) in expected.items():
        assert changed(task.arms[other], task.arms[name]) == fields, name
    assert (task.placebo.teacher, task.placebo.layers, task.placebo.entangler) == (None, 1, "none")
    ringed = {name for name, arm in task.arms.items() if arm.entangler != "none"}
    assert ringed == {list(OWN[task.student])[-1]}
    assert {task.arms[name].entangler for name in ringed} == {"ring_cnot"}
    assert task.student == "revised" or {task.arms[name].layers for name in (DEEP, RINGED)} == {2}


@pytest.mark.parametrize("task", design.tasks(), ids=lambda task: task.placebo.name)
def test_teachers_differ_from_lenet_in_what_the_arm_names(task):
    lenet = task.arms["LeNet"].teacher
    assert (lenet.architecture, lenet.labels, lenet.images_per_class) == ("lenet", "own", None)
    taught = {name: arm for name, arm in task.arms.items() if arm.teacher}
    assert {name: changed(lenet, arm.teacher) for name, arm in taught.items()} == OF_TEACHERS
    assert taught["ensemble"].teacher.members == (lenet, taught["AlexNet"].teacher)
    controls = [taught[name].teacher.labels for name in ("smoothed labels", "shuffled logits")]
    assert controls == ["smoothed", "shuffled"]
    pairs = {name: (arm.temperature, arm.kd_weight) for name, arm in taught.items()}
    assert pairs == dict.fromkeys(taught, AS_LENET) | {"LeNet, chosen": design.CHOSEN}


@pytest.mark.parametrize(("student", "seeds"), [("robust", changes.SEEDS), ("revised", 10)])
def test_arms_of_a_task_share_images_seeds_and_exact_outcomes(student, seeds):
    shared = ("dataset", "classes", "train_per_class", "validation_per_class", "test_per_class", "selection",
              "data_seed", "epochs", "batch_size", "learning_rate", "patience", "noise")  # fmt: skip
    for task in of_students(student):
        for arm in task.arms.values():
            assert [getattr(arm, name) for name in shared] == [getattr(task.placebo, name) for name in shared]
            assert (arm.seeds, arm.sampler, arm.gradient, arm.tested) == (seeds, "exact", "autograd", "at_end")


@pytest.mark.parametrize("task", design.tasks(), ids=lambda task: task.placebo.name)
def test_a_twin_has_no_more_trained_parameters_than_the_circuit_and_the_same_others(task):
    names = ("classical twin", "classical twin, LeNet", "weak twin")
    assert [name for name, arm in task.arms.items() if arm.ansatz.startswith("classical")] == list(names)
    arms = [task.placebo, *(task.arms[name] for name in names)]
    circuit, *twins = (Student(arm, (1, 28, 28), [0]).parameter_count() for arm in arms)
    for twin in twins:
        instead = twin["classical"] - circuit["classical"]
        assert instead == (0 if task.student == "robust" else 2 * task.placebo.qubits)
        assert twin["quantum"] == 0 and instead <= circuit["quantum"]
    assert circuit["quantum"] == (0 if task.student == "robust" else 3 * task.placebo.qubits)
    weak = {"robust": ("classical", pytest.approx(1 / (2 * np.pi))), "revised": ("classical_linear", 1)}
    assert (arms[-1].ansatz, arms[-1].angle_reach) == weak[task.student]


def test_the_teacher_of_the_same_images_sees_those_that_the_student_trains_on(monkeypatch, workspace):
    """On digits: what its batches hold, whatever their order."""
    for task in design.tasks():
        arm = task.arms["LeNet of the same images"]
        assert arm.teacher.images_per_class == arm.train_per_class == 150 and arm.selection == "first"
    small = dataclasses.replace(arm, **SMALL, teacher=dataclasses.replace(arm.teacher, images_per_class=12))
    seen = []

    def first_epoch(network, train, *_given, **_named):
        with network.register_forward_pre_hook(lambda _module, given: seen.append(given[0].clone())):
            train(0, lambda: None)
        return EPOCH

    monkeypatch.setattr(training, "fit", first_epoch)
    parts = splits(small)
    train_teacher(small, small.teacher, parts, workspace)
    one, other = (sorted(image.numpy().tobytes() for image in images) for images in (torch.cat(seen), parts.train.x))
    assert len(one) == 10 * 12 and one == other


@pytest.mark.parametrize("student", ["robust", "revised"])
def test_arms_without_a_teacher_run_as_the_project_runs_them(student, workspace):
    """On a few digits. Seeds that the project executes on a simulator have an accuracy there, but for twins."""
    task, few = of_students(student)[0], {"classes": (0, 1, 2), "epochs": 1, "seeds": 1, "shots": 20}
    for name, arm in task.arms.items():
        if arm.teacher is None:
            small = dataclasses.replace(arm, **SMALL, **few)
            record = pipeline.run(small, workspace=workspace, aer_seeds=missing.AER_SEEDS)
            executed = record.seeds[0]["qasm_accuracy"] is not None
            assert executed == (student == "robust" and "twin" not in name), name


# The ring of CNOTs


def outcomes(task: design.Task, **changes) -> np.ndarray:
    student = dataclasses.replace(task.placebo, **changes)
    circuit = circuits.build(student.ansatz, student.qubits, student.layers, student.entangler)
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (20, circuit.angles))
    return simulation.exact(circuit, torch.from_numpy(angles)).numpy()


@pytest.mark.parametrize("task", of_students("robust")[1:3], ids=["3 qubits", "4 qubits"])
def test_a_ring_only_swaps_outcomes_of_one_layer_and_does_more_to_those_of_two(task):
    qubits, plain, ringed = task.placebo.qubits, outcomes(task), outcomes(task, entangler="ring_cnot")
    swapped = np.empty_like(plain)
    for outcome in range(2**qubits):
        bits = [outcome >> wire & 1 for wire in range(qubits)]
        for wire in range(qubits):
            bits[(wire + 1) % qubits] ^= bits[wire]
        swapped[:, sum(bit << wire for wire, bit in enumerate(bits))] = plain[:, outcome]
    np.testing.assert_allclose(ringed, swapped, atol=1e-9)
    assert np.abs(ringed - plain).max() > 0.1
    deep, both = (np.sort(outcomes(task, layers=2, entangler=name)) for name in ("none", "ring_cnot"))
    assert np.abs(both - deep).max() > 0.1


# Grid, sizes, all of it


def test_the_grid_has_every_temperature_and_weight_of_two_students():
    arms = design.grid()
    temperatures, weights = {1.0, 2.0, 3.0, 5.0, 10.0}, {0.0, 0.1, 0.5, 0.9, 2.0, 8.1}
    datasets = {"robust": "mnist", "revised": "fashion_mnist"}
    assert set(arms) == set(itertools.product(datasets, temperatures, weights))
    for (student, temperature, weight), arm in arms.items():
        assert (arm.dataset, arm.seeds) == (datasets[student], 5)
        place = [arm.dataset, arm.qubits, arm.classes[-1]]
        (task,) = [task for task in of_students(student)
                   if [task.placebo.dataset, task.placebo.qubits, task.placebo.classes[-1]] == place]  # fmt: skip
        if weight == 0:
            assert changed(task.placebo, arm) == {"seeds"}
        else:
            assert changed(task.arms["LeNet"], arm) - {"temperature", "kd_weight"} == {"seeds"}
            assert (arm.temperature, arm.kd_weight) == (temperature, weight)


def test_the_chosen_pair_is_the_best_of_the_committed_grid():
    frame = grid(Workspace())
    assert len(frame) == 30 and frame["mean"].notna().all()
    assert chosen(frame) == design.CHOSEN


def test_arms_of_a_size_differ_as_at_150_images_and_from_those_in_their_images_alone():
    found = design.scaled_tasks()
    kinds = [(task.student, task.placebo.qubits, len(task.placebo.classes)) for task, _ in found]
    assert sorted(kinds) == [("revised", 4, 10)] * 2 + [("robust", 3, 8)] * 2
    assert [task.placebo.dataset for task, _ in found] == ["mnist", "fashion_mnist"] * 2
    for task, sizes in found:
        assert task in design.tasks() and sizes == SIZES[task.student]
        for size in sizes:
            scaled = design.scaled(task, size)
            assert list(scaled.arms) == ["placebo", "LeNet", "classical twin", "classical twin, LeNet"]
            assert scaled.against == {name: task.against[name] for name in list(scaled.arms)[1:]}
            for name, other in scaled.against.items():
                assert changed(scaled.arms[other], scaled.arms[name]) == ARMS[name][1]
            for name, arm in scaled.arms.items():
                expected = {150: set(), None: {"train_per_class", "epochs"}}.get(size, {"train_per_class"})
                assert changed(task.arms[name], arm) == expected
                assert (arm.train_per_class, arm.epochs) == (size, task.placebo.epochs if size else 10)


def test_everything_is_asked_for_once():
    found = design.experiments()
    seeds = {experiment.name: experiment.seeds for experiment in found}
    wanted = [arm for task in design.tasks() for arm in task.arms.values()]
    wanted += [arm for task, sizes in design.scaled_tasks() for size in sizes
               for arm in design.scaled(task, size).arms.values()]  # fmt: skip
    wanted += design.grid().values()
    assert {arm.name for arm in wanted} == set(seeds)
    assert all(seeds[arm.name] >= arm.seeds for arm in wanted)
    # A record of 5 seeds is part of one of 20: asked for twice, two processes would train the same seeds side by side.
    assert len(seeds) == len(found)


def test_all_teachers_are_trained_with_the_others():
    trained = {(arm.dataset, arm.classes, arm.teacher) for arm in missing.all_teachers(Workspace())}
    for experiment in design.experiments():
        if experiment.teacher is not None:
            teacher = dataclasses.replace(experiment.teacher, labels="own")
            assert (experiment.dataset, experiment.classes, teacher) in trained
