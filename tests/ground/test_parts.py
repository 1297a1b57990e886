"""Parts of one's own: names, identities that follow the code, and what an experiment keeps of them."""

import dataclasses
import functools
import importlib
import json
import linecache
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qkdlib
from qkdlib import parts
from qkdlib.experiment import Experiment, Teacher, as_dict, from_dict


@pytest.fixture(autouse=True)
def no_parts(monkeypatch):
    """Nothing is registered, before and after."""
    monkeypatch.setattr(parts, "_registered", {})
    monkeypatch.setattr(parts, "_latest", {})


def focal(student_logits, labels, teacher_logits):
    return student_logits.mean((1, 2))


def compiled(body: str, name: str = "<focal>"):
    """A function `focal` of this source, as a notebook's cell would give it."""
    source = f"def focal(student_logits, labels, teacher_logits):\n    return {body}\n"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space: dict = {}
    exec(compile(source, name, "exec"), space)
    return space["focal"]


def test_a_part_is_known_by_its_name_and_a_hash_of_its_source():
    assert qkdlib.register("loss", code=focal) is focal
    e = Experiment(kd_loss="focal")
    assert re.fullmatch("focal@[0-9a-f]{8}", e.kd_loss)
    assert as_dict(e)["kd_loss"] == e.kd_loss and from_dict(json.loads(json.dumps(as_dict(e)))) == e
    assert parts.find("loss", e.kd_loss, {}) is focal


def test_a_decorator_names_and_versions_as_the_function_does():
    @qkdlib.register("head", "mine", version="1.2")
    def head(outcomes):
        return outcomes

    assert Experiment(head="mine").head == "mine@1.2" and head(5) == 5
    qkdlib.register("head", version="2", code=head)
    assert Experiment(head="head").head == "head@2"
    assert qkdlib.register("encoder", version="3")(Experiment) is Experiment
    assert Experiment(encoder="Experiment").encoder == "Experiment@3"


def test_a_patched_part_is_another_experiment_and_the_same_source_is_the_same():
    taught = Experiment().distilled(Teacher())
    found = []
    for name, body in (("<a>", "logits.sum()"), ("<b>", "logits.mean()"), ("<c>", "logits.sum()")):
        qkdlib.register("loss", code=compiled(body, name))
        found.append(dataclasses.replace(taught, kd_loss="focal"))
    assert found[0].digest == found[2].digest != found[1].digest
    assert taught.digest not in {e.digest for e in found}
    assert found[0].kd_loss == found[2].kd_loss  # wherever it stands
    assert parts.find("loss", found[1].kd_loss, {}) is not parts.find("loss", found[0].kd_loss, {})


def test_a_class_of_a_notebooks_cell_has_the_source_that_it_would_have_in_a_file(tmp_path, monkeypatch):
    source = "import qkdlib\n\n\n@qkdlib.register('encoder')\nclass Mine:\n    def angles(self, f):\n        return f\n"
    (tmp_path / "in_a_file_15.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("in_a_file_15")
    in_file = Experiment(encoder="Mine").encoder
    linecache.cache["<cell>"] = (len(source), None, source.splitlines(keepends=True), "<cell>")
    exec(compile(source, "<cell>", "exec"), {"__name__": "__main__"})
    assert Experiment(encoder="Mine").encoder == in_file
    other = source.replace("return f", "return 2 * f")
    linecache.cache["<other>"] = (len(other), None, other.splitlines(keepends=True), "<other>")
    exec(compile(other, "<other>", "exec"), {"__name__": "__main__"})
    assert Experiment(encoder="Mine").encoder != in_file


def test_a_version_speaks_for_what_the_source_does_not_show():
    scaled = [lambda *given, by=by: by for by in (1, 2)]
    for each, version in zip(scaled, ("one", "two"), strict=True):
        qkdlib.register("loss", "scaled", version, code=each)
        assert Experiment(kd_loss="scaled").kd_loss == f"scaled@{version}"
    assert parts.find("loss", "scaled@one", {}) is scaled[0]
    qkdlib.register("loss", "scaled", "one", code=scaled[1])  # whoever says so
    assert parts.find("loss", "scaled@one", {}) is scaled[1]


@pytest.mark.parametrize(
    "code",
    [functools.partial(max, 5), max, eval("lambda *given: 0"), type("Made", (), {})],
    ids=["partial", "built-in", "evaluated", "made"],
)
def test_code_without_a_source_asks_for_a_version(code):
    with pytest.raises(ValueError, match="^version=None .*source cannot be read"):
        qkdlib.register("loss", "made", code=code)
    qkdlib.register("loss", "made", "1", code=code)
    assert Experiment(kd_loss="made").kd_loss == "made@1"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "circuit"}, "^kind='circuit' .*loss, reducer, encoder, head"),
        ({"kind": focal}, "^kind=<function focal"),
        ({"name": "kl"}, "^name='kl' .*no built-in loss"),
        ({"name": ""}, "^name='' .*a name for this loss"),
        ({"name": "a@b"}, "^name='a@b' .*letters, digits and underscores"),
        ({"name": 41 * "x"}, "^name='x+' .*at most 40"),
        ({"code": lambda: 0}, "^name='<lambda>' .*a name for this loss"),
        ({"code": functools.partial(focal)}, "^name='' .*a name for this loss"),
        ({"code": "focal"}, "^code='focal' .*the loss itself"),
        ({"version": ""}, "^version='' .*or None"),
        ({"version": 2}, "^version=2 .*or None"),
        ({"version": "a b"}, "^version='a b' .*or None"),
    ],
)
def test_a_part_that_cannot_be_registered_is_one_error(given, message):
    with pytest.raises(ValueError, match=message) as caught:
        qkdlib.register(**{"kind": "loss", "code": focal, **given})
    assert len(str(caught.value).splitlines()) == 1 and not parts._registered


@pytest.mark.parametrize("field", parts.FIELDS.values())
def test_a_description_is_read_where_nothing_is_registered(field):
    fields = {"readout": "pauli_z"} if field == "head" else {}
    e = from_dict({field: "focal@1a2b3c4d", **fields})
    assert getattr(e, field) == "focal@1a2b3c4d" and from_dict(as_dict(e)).name == e.name
    with pytest.raises(ValueError, match=rf"^{field}='focal@1a2b3c4d' .*qkdlib.register.*none called focal is regi"):
        parts.check_registered(e)
    kind = next(kind for kind, name in parts.FIELDS.items() if name == field)
    qkdlib.register(kind, code=focal)
    now = parts._latest[kind, "focal"]
    with pytest.raises(ValueError, match=f"registered is {now}, another one"):
        parts.check_registered(e)
    parts.check_registered(dataclasses.replace(e, **{field: "focal"}))


@pytest.mark.parametrize(
    "value", ["focal", "@1", "focal@", "foc al@1", "focal@1@2", "focal@" + 41 * "1", focal, 5, None]
)
def test_a_name_that_nobody_gave_is_refused(value):
    with pytest.raises(ValueError, match="^kd_loss=") as caught:
        Experiment(kd_loss=value)
    assert ("qkdlib.register('loss', name)" if value is focal else "kl, dkd, rkd, none") in str(caught.value)


def test_parts_of_one_kind_are_not_of_another():
    qkdlib.register("loss", code=focal)
    with pytest.raises(ValueError, match="^head='focal' .*one of sigmoid_complement"):
        Experiment(head="focal")
    with pytest.raises(ValueError, match="^kd_loss='fokal' .*one of kl, dkd, rkd, none, focal"):
        Experiment(kd_loss="fokal")


@given(st.text(max_size=50))
def test_any_text_is_a_part_or_one_error(text):
    try:
        e = Experiment(reducer=text)
    except ValueError as error:
        assert str(error).startswith("reducer=") and len(str(error).splitlines()) == 1
    else:
        assert e.reducer == text and Experiment(reducer=e.reducer) == e


def test_an_experiment_of_own_parts_belongs_to_this_process_and_one_of_arrays_does_not():
    assert not parts.of_this_process(Experiment())
    qkdlib.register("loss", code=focal)
    assert parts.of_this_process(Experiment(kd_loss="focal"))
    assert parts.of_this_process(Experiment(reducer="mine@1"))
    assert not parts.of_this_process(Experiment(dataset="arrays:0123456789ab"))  # they can be handed over
