"""Digests, which change with all that changes a number and with nothing else; and file names that hold them."""

import dataclasses
import json
import random
import re
from pathlib import Path

import pytest
from any_experiments import CLASSES, experiments_of_all_kinds
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qkdlib import files, names
from qkdlib.experiment import Experiment, Teacher, as_dict, digest, from_dict, slug, task_name
from qkdlib.teachers import teacher_name

LENET, ALEXNET = Teacher(), Teacher(architecture="alexnet")


# Digests


def test_pinned_digests():
    """If this fails, every committed record has lost its name: raise NUMERICS only when numbers change."""
    distilled = Experiment().distilled(Teacher())
    assert Experiment().name == "mnist_0-5_3q_placebo_9e34c4900c"
    assert distilled.name == "mnist_0-5_3q_lenet_73db362c5b"
    assert (Experiment().digest, distilled.digest) == ("9e34c4900c", "73db362c5b")


def test_the_digest_changes_with_every_field_that_acts_but_seeds():
    acting = {"selection": "random", "noise": "readout", "noise_level": 0.1, "kd_loss": "dkd"}
    base = Experiment(dataset="imagefolder:pictures", **acting).distilled(Teacher())
    other = {
        "dataset": "digits", "classes": (0, 1), "train_per_class": None, "validation_per_class": 49,
        "test_per_class": 1, "selection": "first", "data_seed": 1, "image_size": 28, "qubits": 4, "head": "softmax",
        "reducer": "fully_connected", "encoder": "amplitude_tanh",
        "dropout": 0.25, "teacher": Teacher(seed=1), "ce_weight": 0.5, "kd_weight": 0.5, "temperature": 2.0,
        "kd_temperature_squared": False, "epochs": 1, "batch_size": 2, "learning_rate": 0.5,
        "gradient": "parameter_shift", "shots": 1, "ansatz": "rx_ry_rz", "layers": 2,
        "tested": "at_end", "noise": "depolarising", "noise_level": 0.2, "activation": "leaky_relu",
        "angle_reach": 0.5, "logit_scale": 2.0, "images": "0123456789ab",
        "kd_loss": "kl", "dkd_beta": 2.0, "optimizer": "sgd",
    }  # fmt: skip
    with_others = {"seeds", "sampler", "entangler", "readout", "patience", "learning_rates"}
    with_others |= {"pixel_mean", "pixel_std", "features", "engine"}
    assert set(other) | with_others == {field.name for field in dataclasses.fields(Experiment)}
    digests = {dataclasses.replace(base, **{name: value}).digest for name, value in other.items()}
    assert len(digests | {base.digest}) == len(other) + 1
    assert dataclasses.replace(base, seeds=7).digest == base.digest
    shifted = dataclasses.replace(base, gradient="published_shift")  # samples need a shift
    assert dataclasses.replace(shifted, sampler="multinomial").digest not in {shifted.digest, base.digest}
    chosen = dataclasses.replace(base, encoder="amplitude", head="linear", tested="at_end")
    others = {"entangler": "ring_cz", "readout": "pauli_z", "patience": 1, "learning_rates": (1e-3,)}
    changed = {dataclasses.replace(chosen, **{name: value}).digest for name, value in others.items()}
    assert len(changed | {chosen.digest}) == len(others) + 1
    noisy = [dataclasses.replace(base, noise="readout", noise_level=level).digest for level in (0.0, 0.1, 0.2)]
    assert len(set(noisy)) == 3
    quiet = dataclasses.replace(base, noise="none", noise_level=0.0)
    assert dataclasses.replace(quiet, engine="torchquantum").digest != quiet.digest
    seen = {"reducer": "fully_connected", "dropout": 0.0}
    plain = dataclasses.replace(base, **seen)
    normalised = [
        dataclasses.replace(plain, pixel_mean=(mean,), pixel_std=(std,)) for mean, std in ((0, 1), (0.5, 1), (0, 0.5))
    ]
    featured = [dataclasses.replace(plain, features=f"custom:{name}") for name in ("one", "two")]
    assert len({each.digest for each in (plain, *normalised, *featured)}) == 6


TAUGHT = Experiment(kd_weight=0.5, teacher=Teacher())
IDLE = [
    (Experiment(), {"temperature": 5.0, "kd_loss": "rkd", "dkd_beta": 1.0, "batch_size": 2}, {"batch_size": 2}),
    (dataclasses.replace(TAUGHT, kd_weight=0), {"temperature": 5.0, "kd_loss": "dkd", "dkd_beta": 1.0}, {}),
    (
        dataclasses.replace(TAUGHT, kd_loss="none"),
        {"temperature": 5.0, "kd_weight": 2.0},
        {"kd_loss": "kl", "kd_weight": 0},
    ),
    (TAUGHT, {"dkd_beta": 1.0}, {}),
    (
        dataclasses.replace(TAUGHT, kd_loss="rkd", batch_size=2),
        {"temperature": 5.0, "kd_temperature_squared": False, "dkd_beta": 1.0},
        {},
    ),
    (Experiment(), {"noise": "readout"}, {}),
    (Experiment(), {"data_seed": 3}, {}),
    (Experiment(reducer="pca", dropout=0), {"activation": "leaky_relu"}, {}),
    (Experiment(encoder="amplitude"), {"angle_reach": 0.5}, {}),
    (Experiment(tested="at_end", learning_rates=[0.1]), {"learning_rate": 0.5}, {}),
]


@pytest.mark.parametrize(("base", "changed", "same"), IDLE)
def test_fields_that_change_nothing_do_not_change_the_digest(base, changed, same):
    same = dataclasses.replace(base, **same)
    together = dataclasses.replace(base, **changed)
    assert together.digest == same.digest and together != same
    assert names.acting(together) == names.acting(same)
    assert set(changed) - {"batch_size"} <= names.idle(together) | {"kd_weight"}


def test_fields_that_act_are_not_idle():
    smoothed = dataclasses.replace(TAUGHT, kd_loss="rkd", batch_size=2, teacher=Teacher(labels="smoothed"))
    assert smoothed.digest != dataclasses.replace(smoothed, temperature=5.0).digest  # labels are smoothed at T
    dkd = dataclasses.replace(TAUGHT, kd_loss="dkd")
    values = {"temperature": 5.0, "kd_temperature_squared": False, "dkd_beta": 1.0, "kd_weight": 1.0, "kd_loss": "kl"}
    assert len({dkd.digest, *(dataclasses.replace(dkd, **{name: value}).digest for name, value in values.items())}) == 6


@given(experiments_of_all_kinds())
@settings(max_examples=40)
def test_idle_fields_are_at_their_defaults_where_numbers_are_made(e):
    acting = names.acting(e)
    assert names.acting(acting) == acting and acting.digest == e.digest == digest(acting)
    for item in dataclasses.fields(e):
        expected = item.default if item.name in names.idle(e) else getattr(e, item.name)
        assert getattr(acting, item.name) == expected


def test_a_placebo_has_the_names_that_its_record_may_bear():
    placebo = Experiment(temperature=5.0)
    assert placebo.names[0] == placebo.name == Experiment().name
    unsquared = dataclasses.replace(placebo, kd_temperature_squared=False)
    assert unsquared.name != placebo.name  # as ever, since records are named by it
    assert set(unsquared.names) == set(placebo.names)
    assert {f"{placebo.name[:-10]}{digest(each)}" for each in (placebo, unsquared)} < set(placebo.names)  # by old rules
    assert TAUGHT.names == [TAUGHT.name]


def test_the_digest_changes_with_every_field_of_the_teacher():
    other = {
        "architecture": "alexnet", "epochs": 1, "batch_size": 1, "learning_rate": 0.1, "images_per_class": 5,
        "ensemble": "joint_logits", "seed": 1, "labels": "smoothed", "networks": 2,
    }  # fmt: skip
    assert set(other) | {"members"} == {field.name for field in dataclasses.fields(Teacher)}
    digests = {Experiment().distilled(Teacher(**{name: value})).digest for name, value in other.items()}
    assert len(digests | {Experiment().distilled(Teacher()).digest}) == len(other) + 1


def test_the_digest_changes_with_the_members_of_an_ensemble():
    members = [
        (), (LENET,), (LENET, ALEXNET), (ALEXNET, LENET), (Teacher(epochs=3), ALEXNET),
        (Teacher(epochs=3), Teacher(architecture="alexnet", epochs=3)),
    ]  # fmt: skip
    ensembles = [Teacher(architecture="ensemble", members=several) for several in members]
    assert len({Experiment().distilled(ensemble).digest for ensemble in ensembles}) == len(members)
    assert ensembles[2] == Teacher(architecture="ensemble", members=[LENET, Teacher(architecture="alexnet", epochs=10)])


def test_a_default_teacher_is_not_no_teacher():
    assert Experiment(teacher=Teacher()).digest != Experiment().digest


def test_the_digest_knows_the_version_of_the_numerics(monkeypatch):
    before = Experiment().digest
    monkeypatch.setattr(names, "NUMERICS", names.NUMERICS + 1)
    assert Experiment().digest != before


def test_further_values_are_part_of_a_digest():
    assert digest(Teacher(), dataset="mnist") != digest(Teacher(), dataset="digits") != digest(Teacher())


def test_equal_experiments_have_equal_digests():
    whole, real = Experiment(temperature=2, learning_rate=1), Experiment(temperature=2.0, learning_rate=1.0)
    assert whole == real
    assert whole.digest == real.digest


@given(experiments_of_all_kinds(), st.randoms(use_true_random=False), st.integers(1, 99))
@settings(max_examples=40)
def test_the_digest_ignores_the_order_of_fields_and_the_number_of_seeds(e, order: random.Random, seeds):
    values = list(as_dict(e).items())
    order.shuffle(values)
    assert from_dict(dict(values)).digest == e.digest
    assert dataclasses.replace(e, seeds=seeds).digest == e.digest
    assert len(e.digest) == 10 and set(e.digest) <= set("0123456789abcdef")


@given(experiments_of_all_kinds())
@settings(max_examples=40)
def test_a_name_is_one_plain_file_name(e):
    assert e.name.endswith(e.digest)
    assert not set(e.name) & set("/\\: ")
    assert len(e.name.encode()) < 200  # file systems allow 255


# Names


@pytest.mark.parametrize(
    ("classes", "name"),
    [((0, 1, 2), "mnist_0-2"), ((3, 4), "mnist_3-4"), (range(8), "mnist_0-7")],
)
def test_task_names(classes, name):
    assert task_name(Experiment(classes=classes)) == name


@given(CLASSES, CLASSES)
@example([0, 5], [0, 1, 2, 3, 4, 5])  # tables name the task alone: "0 and 5" must not read like "0 to 5"
@example([1, 0], [0, 1])
def test_two_tasks_do_not_share_a_name(one, two):
    names = {task_name(Experiment(classes=classes)) for classes in (one, two)}
    assert len(names) == (1 if one == two else 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mnist", "mnist"),
        ("custom:My net!", "custom-My-net"),
        ("a//b..c", "a-b-c"),
        ("fashion_mnist", "fashion_mnist"),
        ("x " + 39 * "y", 39 * "y"),
    ],  # no hyphen is left in front where 40 letters cut between words
)
def test_slug(text, expected):
    assert slug(text) == expected


@given(st.text(max_size=120))
@example("x " + 39 * "y")
@example("図" * 60)
@settings(max_examples=150)
def test_a_slug_holds_nothing_a_file_name_cannot(text):
    short = slug(text)
    assert len(short) <= 40 and len(short.encode()) <= 72
    assert all(c.isalnum() or c in "_-" for c in short)
    assert "--" not in short and not short.startswith("-") and not short.endswith("-")
    assert slug(short) == short


@pytest.mark.parametrize("letter", ["x", "é", "図", "𝒳", "x "])
@pytest.mark.parametrize("classes", [range(64), range(0, 128, 2), [10**6 - 7 * n for n in range(1000)]])
def test_names_fit_into_what_file_systems_allow(letter, classes, tmp_path):
    """255 bytes, of which other files of the experiment take up to 30 more, e.g. `_executions.lock.soft`."""
    teacher = Teacher(architecture="custom:" + (100 * letter)[:100].strip())
    e = Experiment(
        dataset=f"imagefolder:/{255 * letter}", classes=classes, encoder="amplitude", head="linear", qubits=10,
        teacher=teacher, kd_weight=0.9,
    )  # fmt: skip
    assert len(e.name.encode()) <= 220 and e.name.endswith(e.digest)
    assert len(teacher_name(e, teacher).encode()) <= 220
    files.write_text(tmp_path / f"{e.name}.json", "{}")
    with files.lock(tmp_path / f"{e.name}_executions.lock"):
        assert (tmp_path / f"{e.name}.json").read_text() == "{}"


def test_long_tasks_are_shortened_and_still_have_names_of_their_own():
    """Committed names are those of shorter ones."""
    wide = Experiment(classes=range(64), head="linear", encoder="amplitude")
    even, other = (dataclasses.replace(wide, classes=range(0, 128, step)) for step in (2, 4))
    assert re.fullmatch(r"mnist_0\+2\+4\+\.\.\.\+126-[0-9a-f]{6}", task_name(even))
    assert task_name(even) != task_name(dataclasses.replace(even, classes=(0, 2, 4, *range(8, 128, 2))))
    assert task_name(other).startswith("mnist_0+4+8+...+124-")
    assert task_name(Experiment(classes=(0, 2, 4, 6, 8, 10, 12, 15))) == "mnist_0+2+4+6+8+10+12+15"
    assert task_name(wide) == "mnist_0-63"


def test_every_committed_experiment_is_valid_and_keeps_its_digest_and_name():
    paths = sorted((Path(__file__).parents[2] / "results").glob("[se]*/*.json"))
    for path in paths:
        body = json.loads(path.read_text())
        e = from_dict(body["experiment"])
        assert (e.digest, f"{e.name}.json") == (body["digest"], path.name)
    assert len(paths) > 600
