"""Experiments: their checks, what equals what, and the way to JSON and back."""

import dataclasses
import enum
import functools
import inspect
import itertools
import json
import math
import re

import numpy as np
import pytest
from any_experiments import experiments_of_all_kinds
from hypothesis import given, settings

import qkdlib
from qkdlib import checks
from qkdlib.experiment import Experiment, Teacher, as_dict, from_dict

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
    ("qubits", 0, "from 1 to 16"),
    ("qubits", 17, "from 1 to 16"),
    ("qubits", True, "whole number"),
    ("qubits", 2, "6 classes"),
    ("qubits", "3", "whole number"),
    ("reducer", "median_pool", "cnn, fully_connected, avg_pool, max_pool, center_crop, pca"),
    ("reducer", "avg_pool", "cnn, fully_connected or pca for encoder ansatz_angles"),
    ("encoder", "basis", "ansatz_angles, amplitude_tanh, amplitude, angle, qubit"),
    ("ansatz", "h_rx", "h_ry, rx_ry_rz, basic_entangler"),
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
    ("kd_weight", math.nan, "finite number"),
    ("temperature", 0, "greater than 0"),
    ("temperature", float("inf"), "finite number"),
    ("epochs", 0, "1 or more"),
    ("epochs", 1.0, "whole number"),
    ("batch_size", 0, "1 or more"),
    ("batch_size", False, "whole number"),
    ("learning_rate", 0.0, "greater than 0"),
    ("learning_rate", -1e-3, "greater than 0"),
    ("learning_rate", math.nan, "finite number"),
    ("learning_rate", True, "finite number"),
    ("shots", 0, "1 or more"),
    ("shots", -5000, "1 or more"),
    ("seeds", 0, "1 or more"),
    ("seeds", True, "whole number"),
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


@given(experiments_of_all_kinds())
@settings(max_examples=60)
def test_through_json_and_back(e):
    back = from_dict(json.loads(json.dumps(as_dict(e))))
    assert back == e
    assert back.name == e.name


# Placebo and distilled


def test_a_placebo_differs_in_the_teacher_and_its_weight_alone():
    base = Experiment(qubits=4, head="softmax")
    distilled = base.distilled(Teacher(architecture="alexnet"))
    assert (distilled.teacher.architecture, distilled.kd_weight) == ("alexnet", 0.9)
    assert distilled.placebo() == base
    assert base.placebo() == base


def test_a_dictionary_of_an_earlier_version_lacks_later_fields():
    values = as_dict(Experiment().distilled(Teacher()))
    for later in ("sampler", "layers", "entangler", "patience", "learning_rates", "tested"):
        del values[later]
    del values["teacher"]["members"]
    assert from_dict(values) == Experiment().distilled(Teacher())


def test_learning_rates_of_a_list_are_the_experiment_of_a_tuple():
    one, other = (Experiment(tested="at_end", learning_rates=rates) for rates in ([1, 0.5], (1.0, np.float64(0.5))))
    assert one == other and one.digest == other.digest and one.learning_rates == (1.0, 0.5)
