"""Teachers as data: what is refused, and which networks are trained."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkdlib import checks
from qkdlib.experiment import Experiment, Teacher, as_dict, from_dict

# field of Teacher, value, name in the message, further words
BAD_TEACHER_FIELDS = [
    ("architecture", "resnet", "teacher", "lenet, alexnet, ensemble, custom:<name>"),
    ("architecture", "custom:", "teacher", "custom:<name>"),
    ("architecture", "custom: ", "teacher", "custom:<name>"),
    ("architecture", "", "teacher", "lenet"),
    ("epochs", 0, "teacher epochs", "1 or more"),
    ("epochs", True, "teacher epochs", "whole number"),
    ("batch_size", -1, "teacher batch_size", "1 or more"),
    ("learning_rate", math.nan, "teacher learning_rate", "greater than 0"),
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
    ("networks", 0, "teacher networks", "from 1 to 1,000"),
    ("networks", 1001, "teacher networks", "from 1 to 1,000"),
    ("networks", None, "teacher networks", "whole number"),
]


@pytest.mark.parametrize(("field", "value", "name", "words"), BAD_TEACHER_FIELDS)
def test_a_wrong_teacher_field_is_one_error(field, value, name, words):
    with pytest.raises(ValueError) as caught:
        Teacher(**{field: value})
    message = str(caught.value)
    assert message.startswith(f"{name}={checks.shortened(value)} is not allowed; allowed: ")
    assert words in message and len(message.splitlines()) == 1 and len(message) < 400


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


def test_unknown_teacher_fields_of_a_dictionary_are_named():
    with pytest.raises(ValueError, match="depth"):
        from_dict({"teacher": {"depth": 3}, "kd_weight": 0.9})
    with pytest.raises(ValueError, match="width"):
        from_dict({"teacher": {"architecture": "ensemble", "members": [{"width": 3}]}, "kd_weight": 0.9})


def test_networks_that_are_trained_for_a_teacher():
    both = Teacher(architecture="ensemble", epochs=3, seed=4)
    assert both.trained() == (Teacher(epochs=3, seed=4), Teacher(architecture="alexnet", epochs=3, seed=4))
    members = (Teacher(epochs=2), Teacher(epochs=7), ALEXNET)
    assert Teacher(architecture="ensemble", members=members).trained() == members
    joint = Teacher(architecture="ensemble", ensemble="joint_logits")
    assert joint.trained() == (joint,)
    assert LENET.trained() == (LENET,)


# Several networks


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"architecture": "custom:mine", "networks": 2}, "^teacher networks=2 .*: 1 for a network of your own"),
        (
            {"architecture": "ensemble", "members": (LENET, ALEXNET), "networks": 2},
            "^teacher networks=2 .*: 1 for members, which have seeds of their own",
        ),
        ({"architecture": "ensemble", "members": (LENET, Teacher(networks=2))}, "^teacher members=.* networks=1 each"),
        ({"seed": 2**63 - 1, "networks": 2}, "^teacher seed=9223372036854775808 "),
    ],
)
def test_networks_that_do_not_go_with_the_rest_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Teacher(**fields)


@given(seed=st.integers(0, 100), networks=st.integers(1, 12), student=st.integers(0, 200))
def test_each_network_is_a_single_teacher_of_the_next_seed(seed, networks, student):
    several = Teacher(epochs=3, labels="shuffled", seed=seed, networks=networks)
    singles = [Teacher(epochs=3, labels="shuffled", seed=seed + place) for place in range(networks)]
    assert several.each() == several.trained() == tuple(singles)
    assert several.of(student) == singles[student % networks]
    assert (several == singles[0]) == (networks == 1)


def test_ensembles_may_be_several_each_with_networks_of_its_own():
    several = Teacher(architecture="ensemble", networks=2)
    one, other = several.each()
    assert several.trained() == (*one.trained(), *other.trained())
    assert [(each.architecture, each.seed) for each in several.trained()] == [
        ("lenet", 0), ("alexnet", 0), ("lenet", 1), ("alexnet", 1),
    ]  # fmt: skip
    joint = dataclasses.replace(several, ensemble="joint_logits")
    assert joint.trained() == joint.each() == tuple(dataclasses.replace(joint, networks=1, seed=k) for k in (0, 1))


def test_seeds_of_an_experiment_learn_from_the_networks_in_turn():
    taught = Experiment(seeds=5).distilled(Teacher(networks=3, seed=7))
    assert [each.seed for each in taught.teachers()] == [7, 8, 9]
    assert len(dataclasses.replace(taught, seeds=2).teachers()) == 2 and not taught.placebo().teachers()
    assert [taught.of_seed(seed).teacher.seed for seed in range(5)] == [7, 8, 9, 7, 8]
    assert from_dict(as_dict(taught)) == taught
