"""The drawing of the three ways to distil (v2, Fig. 1)."""

from readable import assert_readable, assert_the_same_file_twice, words

from qkdlib.study.v2.strategies import strategies


def test_strategies_can_be_read_and_say_who_teaches_whom():
    figure = strategies()
    assert_readable(figure)
    found = [(text.replace("\n", " "), (extent.x0 + extent.x1) / 2) for text, extent in words(figure)]
    titles = {text: x for text, x in found if " to " in text}
    networks = {"classical": "classical network", "quantum": "quantum circuit"}
    assert list(titles) == ["classical to classical", "quantum to quantum", "classical to quantum"]
    for title, middle in titles.items():
        near = [text for text, x in found if abs(x - middle) < 1.45 * figure.dpi]  # half a panel of 2.9 inches
        teacher, student = title.split(" to ")
        assert f"large {networks[teacher]}" in near and f"small {networks[student]}" in near
        assert {"teacher, frozen", "student, trained", "KL of logits / T"} <= set(near)


def test_drawn_twice_is_the_same_file(tmp_path):
    assert_the_same_file_twice(strategies, tmp_path)
