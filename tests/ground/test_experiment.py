"""Experiments: their checks, digests, names and the way to JSON and back."""

import dataclasses
import enum
import functools
import inspect
import itertools
import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import qkdlib
from qkdlib import checks, files, names
from qkdlib import experiment as experiments
from qkdlib.experiment import Experiment, Teacher, as_dict, digest, from_dict, slug, task_name
from qkdlib.teachers import teacher_files

NAN = float("nan")

# field, value, words that the message has besides the field and the value
BAD_FIELDS = [
    ("dataset", "minst", "mnist"),
    ("dataset", "", "digits"),
    ("dataset", "imagefolder:", "imagefolder:<path>"),
    ("classes", (0,), "two or more"),
    ("classes", (), "two or more"),
    ("classes", (0, 1, 1), "different"),
    ("classes", (0, -1), "whole number"),
    ("classes", (0, 1.5), "whole number"),
    ("classes", ("0", "1"), "whole number"),
    ("classes", "012", "two or more"),
    ("classes", {0, 1, 2}, "two or more"),
    ("classes", {0: 1, 1: 2}, "two or more"),
    ("classes", (0, True), "whole number"),
    ("classes", (0, np.bool_(True)), "whole number"),
    ("classes", (0, 10**9), "at most 1,000,000"),
    ("classes", range(1001), "at most 1,000"),
    ("classes", itertools.count(), "at most 1,000"),
    ("dataset", "imagefolder:a\0b", "imagefolder:<path>"),
    ("dataset", "imagefolder: ", "imagefolder:<path>"),
    ("dataset", "imagefolder:" + "a/" * 2500, "imagefolder:<path>"),
    ("dataset", b"mnist", "mnist"),
    ("dataset", None, "mnist"),
    ("dataset", 5, "mnist"),
    ("classes", 5, "two or more"),
    ("classes", None, "two or more"),
    ("teacher", "lenet", "a qkdlib.Teacher or None"),
    ("teacher", {"architecture": "lenet"}, "a qkdlib.Teacher or None"),
    ("teacher", Teacher, "a qkdlib.Teacher or None"),
    ("kd_temperature_squared", "False", "True or False"),
    ("kd_temperature_squared", 1, "True or False"),
    ("kd_temperature_squared", None, "True or False"),
    ("train_per_class", 10**8, "at most 10,000,000"),
    ("image_size", 5000, "at most 4,096"),
    ("data_seed", 2**63, "at most"),
    ("layers", 10**6, "at most 1,000"),
    ("epochs", 10**7, "at most 1,000,000"),
    ("batch_size", 10**9, "at most 1,000,000"),
    ("shots", 2**31, "at most 10,000,000"),
    ("seeds", 10**6, "at most 100,000"),
    ("patience", 10**7, "at most 1,000,000"),
    ("temperature", 1e7, "at most 1e+06"),
    ("ce_weight", 1e7, "at most 1e+06"),
    ("angle_reach", 1e7, "at most 1e+06"),
    ("logit_scale", "1", "finite number"),
    ("learning_rate", 1e39, "at most 1e+38"),
    ("learning_rate", 10**400, "finite number"),
    ("learning_rates", "0.1", "learning rates to choose from"),
    ("learning_rates", {0.1}, "learning rates to choose from"),
    ("learning_rates", [0.1] * 101, "at most 100"),
    ("dropout", 1.5, "below 1"),
    ("noise", 5, "none, depolarising"),
    ("noise_level", "0", "finite number"),
    ("train_per_class", 0, "1 or more"),
    ("train_per_class", 2.5, "whole number"),
    ("train_per_class", True, "whole number"),
    ("validation_per_class", 0, "1 or more"),
    ("validation_per_class", None, "whole number"),
    ("test_per_class", -1, "1 or more"),
    ("selection", "last", "first, random"),
    ("data_seed", -1, "0 or more"),
    ("image_size", 0, "1 or more"),
    ("image_size", 28, "None for mnist"),
    ("images", None, "12 hexadecimal digits"),
    ("images", "0123456789AB", "12 hexadecimal digits"),
    ("images", "0123456789ab\n", "12 hexadecimal digits"),
    ("images", "0123456789ab", "'' for mnist"),
    ("qubits", 0, "from 1 to 10"),
    ("qubits", 11, "from 1 to 10"),
    ("qubits", True, "whole number"),
    ("qubits", 2, "6 classes"),
    ("qubits", "3", "whole number"),
    ("reducer", "median_pool", "cnn, fully_connected, avg_pool, max_pool, center_crop, pca"),
    ("reducer", "avg_pool", "cnn, fully_connected or pca for encoder ansatz_angles"),
    ("encoder", "basis", "ansatz_angles, amplitude_tanh, amplitude, angle, qubit"),
    ("ansatz", "h_rx", "h_ry, rx_ry_rz, classical"),
    ("layers", 0, "1 or more"),
    ("layers", 1.0, "whole number"),
    ("entangler", "chain", "none, ring_cnot, ring_cz"),
    ("readout", "expectation", "outcomes, pauli_z"),
    ("head", "quadratic", "sigmoid_complement, softmax, renormalised, linear"),
    ("patience", -1, "0 or more"),
    ("patience", True, "whole number"),
    ("learning_rates", 0.1, "learning rates to choose from"),
    ("tested", "at_start", "every_epoch, at_end"),
    ("gradient", "adjoint", "autograd, parameter_shift, published_shift"),
    ("sampler", "poisson", "exact, multinomial"),
    ("dropout", 1, "below 1"),
    ("dropout", -0.1, "0 or more"),
    ("ce_weight", -1.0, "0 or more"),
    ("ce_weight", "1", "finite number"),
    ("kd_weight", 0.9, "placebo"),
    ("kd_weight", NAN, "finite number"),
    ("temperature", 0, "greater than 0"),
    ("temperature", float("inf"), "finite number"),
    ("epochs", 0, "1 or more"),
    ("epochs", 1.0, "whole number"),
    ("batch_size", 0, "1 or more"),
    ("batch_size", False, "whole number"),
    ("learning_rate", 0.0, "greater than 0"),
    ("learning_rate", -1e-3, "greater than 0"),
    ("learning_rate", NAN, "finite number"),
    ("learning_rate", True, "finite number"),
    ("shots", 0, "1 or more"),
    ("shots", -5000, "1 or more"),
    ("seeds", 0, "1 or more"),
    ("seeds", True, "whole number"),
]

# field of Teacher, value, name in the message, further words
BAD_TEACHER_FIELDS = [
    ("architecture", "resnet", "teacher", "lenet, alexnet, ensemble, custom:<name>"),
    ("architecture", "custom:", "teacher", "custom:<name>"),
    ("architecture", "custom: ", "teacher", "custom:<name>"),
    ("architecture", "", "teacher", "lenet"),
    ("epochs", 0, "teacher epochs", "1 or more"),
    ("epochs", True, "teacher epochs", "whole number"),
    ("batch_size", -1, "teacher batch_size", "1 or more"),
    ("learning_rate", NAN, "teacher learning_rate", "greater than 0"),
    ("learning_rate", 0, "teacher learning_rate", "greater than 0"),
    ("images_per_class", 0, "teacher images_per_class", "1 or more"),
    ("ensemble", "vote", "ensemble", "mean_probabilities, joint_logits"),
    ("seed", -1, "teacher seed", "0 or more"),
    ("seed", 2**64, "teacher seed", "0 or more"),
    ("architecture", None, "teacher", "lenet"),
    ("architecture", "custom:a\nb", "teacher", "100 printable characters"),
    ("architecture", "custom:\x00", "teacher", "100 printable characters"),
    ("architecture", "custom:" + 101 * "x", "teacher", "100 printable characters"),
    ("epochs", "10", "teacher epochs", "whole number"),
    ("batch_size", 2**40, "teacher batch_size", "at most 1,000,000"),
    ("learning_rate", "1e-3", "teacher learning_rate", "finite number"),
    ("labels", "hard", "teacher labels", "own, smoothed, shuffled"),
]


@pytest.mark.parametrize(("name", "value", "words"), BAD_FIELDS)
def test_a_wrong_field_is_one_error_with_name_value_and_what_is_allowed(name, value, words):
    with pytest.raises(ValueError) as caught:
        Experiment(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{name}=")
    assert "allowed: " in message and words in message
    assert caught.value.__context__ is None  # one error, not a chain
    assert "\n" not in message and len(message) < 400
    assert checks.shortened(value) in message or name == "classes"  # of classes, the wrong one is named


@pytest.mark.parametrize(("field", "value", "name", "words"), BAD_TEACHER_FIELDS)
def test_a_wrong_teacher_field_is_one_error(field, value, name, words):
    with pytest.raises(ValueError) as caught:
        Teacher(**{field: value})
    message = str(caught.value)
    assert message.startswith(f"{name}={checks.shortened(value)} is not allowed; allowed: ")
    assert words in message and len(message.splitlines()) == 1 and len(message) < 400


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"sampler": "multinomial"},
            "gradient='autograd'.*parameter_shift or published_shift where outcomes are sampled",
        ),
        ({"noise_level": 0.1}, "^noise_level=0.1.*from 0 to 0 for noise none"),
        ({"noise": "readout", "noise_level": 0.6}, "^noise_level=0.6.*from 0 to 0.5 for noise readout"),
        ({"noise": "depolarising", "noise_level": -0.1}, "^noise_level=-0.1.*0 or more"),
        ({"noise": "thermal"}, "^noise='thermal'.*none, depolarising, amplitude_damping, readout"),
        ({"head": "linear"}, "^head='linear'.*any but linear for encoder ansatz_angles"),
        ({"readout": "pauli_z"}, "^head='sigmoid_complement'.*linear for readout pauli_z"),
        ({"readout": "pauli_z", "head": "renormalised"}, "^head='renormalised'.*linear for readout pauli_z"),
        ({"patience": 3}, "^tested='every_epoch'.*at_end where patience or learning_rates choose on validation"),
        ({"learning_rates": [0.1]}, "^tested='every_epoch'.*at_end where patience or learning_rates"),
        ({"tested": "at_end", "learning_rates": (0.1, 0.0)}, "^learning_rates=0.0.*greater than 0"),
        ({"tested": "at_end", "learning_rates": ("0.1",)}, "^learning_rates='0.1'.*a finite number"),
        ({"qubits": 2, "head": "softmax"}, "^qubits=2.*>= 6 classes"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Experiment(**fields)


@pytest.mark.parametrize("gradient", ["parameter_shift", "published_shift"])
def test_samples_go_with_either_shift(gradient):
    for sampler in ("multinomial", "aer"):
        assert Experiment(sampler=sampler, gradient=gradient).gradient == gradient
        assert Experiment(encoder="amplitude_tanh", sampler=sampler, gradient=gradient).gradient == gradient
        with pytest.raises(ValueError, match="^gradient='autograd'.*where outcomes are sampled"):
            Experiment(encoder="amplitude_tanh", sampler=sampler)


def test_a_linear_head_has_a_logit_for_every_class_whatever_the_qubits():
    fields = {"encoder": "amplitude", "head": "linear", "classes": range(10)}
    assert Experiment(qubits=2, **fields).qubits == 2


LENET, ALEXNET = Teacher(), Teacher(architecture="alexnet")


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"members": (LENET, ALEXNET)}, r"\(\) but for an ensemble of mean_probabilities"),
        ({"architecture": "alexnet", "members": (LENET,)}, r"\(\) but for an ensemble"),
        ({"architecture": "custom:mine", "members": (LENET,)}, r"\(\) but for an ensemble"),
        (
            {"architecture": "ensemble", "ensemble": "joint_logits", "members": (LENET, ALEXNET)},
            r"\(\) but for an ensemble",
        ),
        ({"architecture": "ensemble", "members": (LENET, Teacher(architecture="ensemble"))}, "single networks"),
        ({"architecture": "ensemble", "members": ("lenet", "alexnet")}, "single networks"),
        ({"architecture": "ensemble", "members": (LENET, None)}, "single networks"),
        ({"architecture": "ensemble", "members": LENET}, "a tuple of teachers"),
        ({"architecture": "ensemble", "members": 2}, "a tuple of teachers"),
        ({"architecture": "ensemble", "members": [{"architecture": "lenet"}]}, "single networks"),
    ],
)
def test_members_are_single_networks_of_an_ensemble_of_probabilities(fields, allowed):
    with pytest.raises(ValueError, match=f"^teacher members=.*; allowed: .*{allowed}"):
        Teacher(**fields)


def test_unknown_fields_of_a_dictionary_are_named():
    with pytest.raises(ValueError, match="qbits"):
        from_dict({"qbits": 3})


def test_a_placebos_message_names_a_way_that_works():
    """`run` has `kd_weight` for a network of one's own."""
    with pytest.raises(ValueError, match=re.escape("run(..., teacher=network, kd_weight=...)")):
        Experiment(kd_weight=0.5)
    assert "kd_weight" in inspect.signature(qkdlib.run).parameters


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (None, "experiment"),
        ([], "experiment"),
        ("mnist", "experiment"),
        ({5: 3, None: 1}, "experiment fields"),
        ({"teacher": "lenet", "kd_weight": 0.9}, "teacher"),
        ({"teacher": {}, "qubits": "3"}, "qubits"),
        ({"teacher": 0}, "teacher"),
        ({"teacher": {"members": 5}}, "teacher members"),
        ({"teacher": {"members": "ab"}}, "teacher members"),
        ({"teacher": {"members": {"architecture": "lenet"}}}, "teacher members"),
        ({"teacher": {"architecture": "ensemble", "members": [5]}}, "teacher members"),
        ({"teacher": {"architecture": "ensemble", "members": [{"members": [{}]}]}}, "teacher members"),
        ({"classes": None}, "classes"),
        ({"classes": functools.reduce(lambda inner, _: [inner], range(10**4), [])}, "classes"),
        ({"teacher": functools.reduce(lambda inner, _: {"members": [inner]}, range(10**4), {})}, "teacher members"),
    ],
)
def test_a_dictionary_that_describes_no_experiment_is_one_error(values, name):
    with pytest.raises(ValueError) as caught:
        from_dict(values)
    message = str(caught.value)
    assert message.startswith(f"{name}=") and len(message.splitlines()) == 1 and len(message) < 400


def test_unknown_teacher_fields_of_a_dictionary_are_named():
    with pytest.raises(ValueError, match="depth"):
        from_dict({"teacher": {"depth": 3}, "kd_weight": 0.9})
    with pytest.raises(ValueError, match="width"):
        from_dict({"teacher": {"architecture": "ensemble", "members": [{"width": 3}]}, "kd_weight": 0.9})


def test_borders_that_are_allowed():
    assert Experiment(qubits=1, classes=(0, 1)).qubits == 1
    assert Experiment(qubits=3, classes=range(8)).classes == tuple(range(8))
    assert Experiment(dropout=0, ce_weight=0, data_seed=0, train_per_class=None, test_per_class=None).dropout == 0
    assert Teacher(architecture="custom:mine").architecture == "custom:mine"


def test_an_experiment_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Experiment().qubits = 4


def test_the_defaults_are_the_published_protocol():
    e = Experiment()
    assert (e.dataset, e.classes, e.qubits) == ("mnist", (0, 1, 2, 3, 4, 5), 3)
    # 900 training and 900 test images of six classes, batches of 1, Adam 1e-3, 10 epochs, 5000 shots
    assert 6 * e.train_per_class == 6 * e.test_per_class == 900
    assert (e.batch_size, e.learning_rate, e.epochs, e.shots) == (1, 1e-3, 10, 5000)


# Digests


def test_pinned_digests():
    """If this fails, every committed record has lost its name: raise NUMERICS only when numbers change."""
    distilled = Experiment().distilled(Teacher())
    assert Experiment().name == "mnist_0-5_3q_placebo_9e34c4900c"
    assert distilled.name == "mnist_0-5_3q_lenet_73db362c5b"
    assert (Experiment().digest, distilled.digest) == ("9e34c4900c", "73db362c5b")


def test_the_digest_changes_with_every_field_but_seeds():
    base = Experiment(dataset="imagefolder:pictures").distilled(Teacher())
    other = {
        "dataset": "digits", "classes": (0, 1), "train_per_class": None, "validation_per_class": 49,
        "test_per_class": 1, "selection": "random", "data_seed": 1, "image_size": 28, "qubits": 4, "head": "softmax",
        "reducer": "fully_connected", "encoder": "amplitude_tanh",
        "dropout": 0.25, "teacher": Teacher(seed=1), "ce_weight": 0.5, "kd_weight": 0.5, "temperature": 2.0,
        "kd_temperature_squared": False, "epochs": 1, "batch_size": 2, "learning_rate": 0.5,
        "gradient": "parameter_shift", "shots": 1, "ansatz": "rx_ry_rz", "layers": 2,
            "tested": "at_end", "noise": "readout", "activation": "leaky_relu",
        "angle_reach": 0.5, "logit_scale": 2.0, "images": "0123456789ab",
    }  # fmt: skip
    with_others = {"seeds", "sampler", "entangler", "readout", "patience", "learning_rates", "noise_level"}
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
    noisy = [dataclasses.replace(base, noise="readout", noise_level=level).digest for level in (0.0, 0.1)]
    assert len({*noisy, base.digest}) == 3


def test_the_digest_changes_with_every_field_of_the_teacher():
    other = {
        "architecture": "alexnet", "epochs": 1, "batch_size": 1, "learning_rate": 0.1, "images_per_class": 5,
        "ensemble": "joint_logits", "seed": 1, "labels": "smoothed",
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


NUMPYS = {
    "classes": np.arange(6), "train_per_class": np.int16(150), "dataset": np.str_("mnist"), "qubits": np.uint8(3),
    "kd_temperature_squared": np.True_, "temperature": np.float32(3), "learning_rate": np.float64(1e-3),
    "dropout": np.float16(0.5), "epochs": np.int64(10), "ce_weight": 1, "seeds": np.int8(20),
    "head": np.str_("softmax"),
    "teacher": Teacher(epochs=np.int8(10), learning_rate=np.float64(1e-3), architecture=np.str_("lenet")),
}  # fmt: skip


def test_numpys_scalars_become_plain_values():
    e, plain = Experiment(**NUMPYS), Experiment(teacher=Teacher(), head="softmax")
    assert e == plain and e.digest == plain.digest and json.dumps(as_dict(e)) == json.dumps(as_dict(plain))
    for one, other in ((e, plain), (e.teacher, plain.teacher)):
        for item in dataclasses.fields(one):
            assert type(getattr(one, item.name)) is type(getattr(other, item.name)), item.name


class Choice(str, enum.Enum):  # noqa: UP042, whose `str` is its name
    DATASET, FOLDER, NETWORK = "digits", "imagefolder:pictures", "custom:mine"


def test_an_enums_text_counts_and_not_its_name():
    assert Experiment(dataset=Choice.DATASET) == Experiment(dataset="digits")
    assert Experiment(dataset=Choice.FOLDER).name == Experiment(dataset="imagefolder:pictures").name
    assert Teacher(architecture=Choice.NETWORK).architecture == "custom:mine"


def test_classes_are_taken_once_from_whatever_has_an_order():
    taken = (
        Experiment(classes=ordered).classes for ordered in ([2, 0], np.array([2, 0]), (c for c in (2, 0)), iter((2, 0)))
    )
    assert set(taken) == {(2, 0)}
    assert Experiment(dropout=-0.0).digest == Experiment(dropout=0).digest


def positive(limit: float):
    return st.floats(min_value=1e-6, max_value=limit)


CLASSES = st.lists(st.integers(0, 9), min_size=2, max_size=8, unique=True)
TRAININGS = {
    "epochs": st.integers(1, 50), "learning_rate": positive(1), "images_per_class": st.none() | st.integers(1, 5000),
    "ensemble": st.sampled_from(["mean_probabilities", "joint_logits"]), "seed": st.integers(0, 2**31),
}  # fmt: skip
SINGLE = st.builds(Teacher, architecture=st.sampled_from(["lenet", "alexnet", "custom:my net-1"]), **TRAININGS)
JOINT = st.builds(Teacher, architecture=st.just("ensemble"), **TRAININGS)
ENSEMBLES = st.builds(
    Teacher, architecture=st.just("ensemble"), epochs=st.integers(1, 50), members=st.lists(SINGLE, max_size=3)
)
TEACHERS = SINGLE | JOINT | ENSEMBLES
STUDENTS = st.sampled_from(
    [
        {},
        {"gradient": "published_shift"},
        {"gradient": "parameter_shift", "sampler": "multinomial"},
        {"reducer": "fully_connected", "encoder": "amplitude_tanh"},
        {"ansatz": "rx_ry_rz", "layers": 3},
        {"reducer": "avg_pool", "encoder": "angle", "layers": 2, "entangler": "ring_cnot", "tested": "at_end"},
        {"encoder": "amplitude", "readout": "pauli_z", "head": "linear"},
        {"encoder": "qubit", "tested": "at_end", "patience": 3, "learning_rates": [0.001, 1]},
    ]
)


@st.composite
def experiments_of_all_kinds(draw):
    teacher = draw(st.none() | TEACHERS)
    student = draw(STUDENTS)
    heads = [head for head in experiments.HEADS if head != "linear" or "encoder" in student]
    student = {"head": draw(st.sampled_from(heads)), **student}
    return Experiment(
        dataset=draw(st.sampled_from([*experiments.DATASETS, "imagefolder:some/where ü"])),
        classes=draw(CLASSES),
        train_per_class=draw(st.none() | st.integers(1, 500)),
        selection=draw(st.sampled_from(["first", "random"])),
        qubits=draw(st.integers(3, 10)),
        dropout=draw(st.floats(0, 0.99)),
        teacher=teacher,
        kd_weight=draw(st.floats(0, 10)) if teacher else 0.0,
        temperature=draw(positive(20)),
        learning_rate=draw(positive(1)),
        seeds=draw(st.integers(1, 40)),
        **student,
    )


@given(experiments_of_all_kinds())
@settings(max_examples=60, deadline=None)
def test_through_json_and_back(e):
    back = from_dict(json.loads(json.dumps(as_dict(e))))
    assert back == e
    assert back.name == e.name


@given(experiments_of_all_kinds(), st.randoms(use_true_random=False), st.integers(1, 99))
@settings(max_examples=40, deadline=None)
def test_the_digest_ignores_the_order_of_fields_and_the_number_of_seeds(e, order: random.Random, seeds):
    values = list(as_dict(e).items())
    order.shuffle(values)
    assert from_dict(dict(values)).digest == e.digest
    assert dataclasses.replace(e, seeds=seeds).digest == e.digest
    assert len(e.digest) == 10 and set(e.digest) <= set("0123456789abcdef")


@given(experiments_of_all_kinds())
@settings(max_examples=40, deadline=None)
def test_a_name_is_one_plain_file_name(e):
    assert e.name.endswith(e.digest)
    assert not set(e.name) & set("/\\: ")
    assert len(e.name.encode()) < 200  # file systems allow 255


# Placebo and distilled


def test_a_placebo_differs_in_the_teacher_and_its_weight_alone():
    base = Experiment(qubits=4, head="softmax")
    distilled = base.distilled(Teacher(architecture="alexnet"))
    assert (distilled.teacher.architecture, distilled.kd_weight) == ("alexnet", 0.9)
    assert distilled.placebo() == base
    assert base.placebo() == base


def test_networks_that_are_trained_for_a_teacher():
    both = Teacher(architecture="ensemble", epochs=3, seed=4)
    assert both.trained() == (Teacher(epochs=3, seed=4), Teacher(architecture="alexnet", epochs=3, seed=4))
    members = (Teacher(epochs=2), Teacher(epochs=7), ALEXNET)
    assert Teacher(architecture="ensemble", members=members).trained() == members
    joint = Teacher(architecture="ensemble", ensemble="joint_logits")
    assert joint.trained() == (joint,)
    assert LENET.trained() == (LENET,)


def test_a_dictionary_of_an_earlier_version_lacks_later_fields():
    values = as_dict(Experiment().distilled(LENET))
    for later in ("sampler", "layers", "entangler", "patience", "learning_rates", "tested"):
        del values[later]
    del values["teacher"]["members"]
    assert from_dict(values) == Experiment().distilled(LENET)


def test_learning_rates_of_a_list_are_the_experiment_of_a_tuple():
    one, other = (Experiment(tested="at_end", learning_rates=rates) for rates in ([1, 0.5], (1.0, np.float64(0.5))))
    assert one == other and one.digest == other.digest and one.learning_rates == (1.0, 0.5)


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
@settings(max_examples=150, deadline=None)
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
    assert len(teacher_files.teacher_name(e, teacher).encode()) <= 220
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
    paths = sorted((Path(__file__).parents[1] / "results").glob("[se]*/*.json"))
    for path in paths:
        body = json.loads(path.read_text())
        e = from_dict(body["experiment"])
        assert (e.digest, f"{e.name}.json") == (body["digest"], path.name)
    assert len(paths) > 600
