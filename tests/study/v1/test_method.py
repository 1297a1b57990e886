"""The drawing of the method (v1, Fig. 1)."""

from readable import assert_readable, assert_the_same_file_twice, words

from qkdlib.study.v1.method import method


def test_method_can_be_read_and_says_what_is_trained():
    figure = method()
    assert_readable(figure)
    drawn = " ".join(text.replace("\n", " ") for text, _ in words(figure))
    said = ("LeNet", "AlexNet", "frozen", "trained", "no parameter of its own", "outcome frequencies", "read-out",
            "teacher's logits", "student's logits", "KL divergence", "softened by T", "cross entropy", "labels",
            "ce_weight CE", "kd_weight $T^2$ KL")  # fmt: skip
    assert [phrase for phrase in said if phrase not in drawn] == []


def test_drawn_twice_is_the_same_file(tmp_path):
    assert_the_same_file_twice(method, tmp_path)
