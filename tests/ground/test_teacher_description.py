"""Teachers as data: what is refused, and which networks are trained."""

import math

import pytest

from qkdlib import checks
from qkdlib.experiment import Teacher, from_dict

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
