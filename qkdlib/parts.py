"""Parts of one's own that are code, known by a name and an identity, so that a changed one is another experiment.

    @qkdlib.register("loss")
    def absolute(student_logits, labels, teacher_logits):
        difference = student_logits[..., : teacher_logits.shape[-1]] - teacher_logits
        return difference.abs().mean((1, 2))

    qkdlib.run(qkdlib.Experiment(kd_loss="absolute", teacher=qkdlib.Teacher(), kd_weight=0.9))

An experiment holds `absolute@<identity>`: the version, if one is given, else a hash of the source. So its digest, and
with it the record's name, follows the code, and the record can be read where nothing is registered.
"""

import ast
import functools
import hashlib
import inspect
import linecache
import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from qkdlib import checks

T = TypeVar("T")
# kind: the field that names it
FIELDS = {"loss": "kd_loss", "reducer": "reducer", "encoder": "encoder", "head": "head"}
BUILT_IN = {
    "loss": ("kl", "dkd", "rkd", "none"),
    "reducer": ("cnn", "fully_connected", "avg_pool", "max_pool", "center_crop", "pca"),
    "encoder": ("ansatz_angles", "amplitude_tanh", "amplitude", "angle", "qubit"),
    "head": ("sigmoid_complement", "softmax", "renormalised", "linear"),
}
NAME = re.compile(r"[^\W\d]\w{0,39}")
VERSION = re.compile(r"[\w.+-]{1,40}")
HASH = 8  # hexadecimal digits

_registered: dict[tuple[str, str], Any] = {}  # (kind, name@identity): code
_latest: dict[tuple[str, str], str] = {}  # (kind, name): name@identity


def register(kind: str, name: str | None = None, version: str | None = None, *, code: Any = None) -> Any:
    """Make a part known under a name that `Experiment` takes: as a decorator, or with `code=` as a function.

    What a part has to be:
        loss: a function (student_logits (S, B, L), labels (S, B), teacher_logits (S, B, C)) -> loss per seed (S,), of
            which seed s depends on its own rows alone; the first C of L logits are the classes. Field `kd_loss`. A sum
            that torch rounds by how many seeds stand side by side may differ in its last digit.
        reducer: an `nn.Module` class, made as (shape, features, generators, dropout), whose `forward(images, keep)`
            turns images (S, B, C, H, W), or (B, C, H, W) where all seeds see the same, into features (S, B, F);
            `students.Reducer` says what else it may have, and what `keep` is.
        encoder: a class, made as (qubits), with `features(qubits)`, `circuit`, `product`, `angles(features)` and
            `state(features)`, as `students.Encoder` says.
        head: a function of outcomes (..., 2^Q), or of <Z> (..., Q) with read-out `pauli_z`, that gives logits (..., L),
            of which the first C are the classes; or an `nn.Module` class with weights, made as (measured, classes,
            generators).
    Weights have a leading axis of seeds (`students.stacked`), and seeds do not mix. Buffers stay as they are once a
    reducer is fitted, and nothing is drawn at random but by its `masks`. The last batch of an epoch, and so what a loss
    is given, may be of a single image.

    Args:
        kind: loss, reducer, encoder or head.
        name: None: the code's own.
        version: the part's identity; None: a hash of its source, with the decorators above it. Only its own source is
            hashed, and not what it calls, closes over, inherits or reads from its module; a version is for what
            depends on those.
        code: the part, where `register` is not used as a decorator.

    Returns:
        The part as it was; without `code`, a decorator.

    Raises:
        ValueError: no such kind, a name that is taken or no name, or code without a source and without a version.
    """
    checks.one_of("kind", kind, FIELDS)
    if code is None:
        return functools.partial(_register, kind, name, version)
    return _register(kind, name, version, code)


def _register(kind: str, name: str | None, version: str | None, code: T) -> T:
    if not callable(code):
        checks.fail("code", code, f"a function or a class, the {kind} itself")
    name = getattr(code, "__name__", "") if name is None else name
    if not isinstance(name, str) or not NAME.fullmatch(name):
        checks.fail("name", name, f"a name for this {kind}, of at most 40 letters, digits and underscores")
    if name in BUILT_IN[kind]:
        checks.fail("name", name, f"a name that no built-in {kind} has")
    if version is not None and not (isinstance(version, str) and VERSION.fullmatch(version)):
        checks.fail("version", version, "a text of at most 40 letters, digits, dots, hyphens and pluses, or None")
    description = f"{name}@{version or _hash(name, code)}"
    _registered[kind, description] = code
    _latest[kind, name] = description
    return code


def _hash(name: str, code: Any) -> str:
    try:
        source = inspect.getsource(code)
    except (OSError, TypeError):  # typed at a prompt, built in, or no function
        source = _of_cell(code)
    if not source.strip():
        checks.fail("version", None, f"a text for {name}, whose source cannot be read: register(..., version='1')")
    return hashlib.sha256(textwrap.dedent(source).strip().encode()).hexdigest()[:HASH]


def _of_cell(code: Any) -> str:
    """The source of a class in a notebook's cell, which Python finds from 3.13 on; "" where there is none. Its methods
    know the cell."""
    methods = [each for each in vars(code).values() if inspect.isfunction(each)] if inspect.isclass(code) else []
    if not methods:
        return ""
    lines = linecache.getlines(methods[0].__code__.co_filename)
    for node in ast.walk(ast.parse("".join(lines))):
        if isinstance(node, ast.ClassDef) and node.name == code.__name__:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            return "".join(lines[first - 1 : node.end_lineno])
    return ""


def described(kind: str, value: object) -> str:
    """The description that an experiment keeps of a part: a built-in one's name, or `name@identity` of one that is
    registered under this name; a `name@identity` stays as it is, registered or not. `ValueError`: it is neither."""
    field = FIELDS[kind]
    own = {of: description for (each, of), description in _latest.items() if each == kind}
    if isinstance(value, str) and is_own(value):
        name, _, identity = value.partition("@")
        if NAME.fullmatch(name) and VERSION.fullmatch(identity):
            return str.__str__(value)
    elif callable(value):
        checks.fail(field, value, f"the name that qkdlib.register({kind!r}, name) has given to it")
    choice = checks.one_of(field, value, (*BUILT_IN[kind], *own))
    return own.get(choice, choice)


def is_own(description: str) -> bool:
    """Whether it names a part of one's own."""
    return "@" in description


def find(kind: str, description: str, built_in: Mapping[str, T]) -> T:
    """The part that an experiment names. `ValueError`: one of one's own that is not registered in this process."""
    if description in built_in:
        return built_in[description]
    if (kind, description) not in _registered:
        name, _, identity = description.partition("@")
        now = _latest.get((kind, name))
        there = f"registered is {now}, another one" if now else f"none called {name} is registered"
        allowed = f"a {kind} that qkdlib.register({kind!r}, {name!r}) has made known to this process; {there}"
        checks.fail(FIELDS[kind], description, allowed)
    return _registered[kind, description]


def check_registered(experiment: Any, kinds: Iterable[str] = FIELDS) -> None:
    """`ValueError` if the experiment names a part of these kinds that is not registered in this process."""
    for kind in kinds:
        if is_own(description := getattr(experiment, FIELDS[kind])):
            find(kind, description, {})


def of_this_process(experiment: Any) -> bool:
    """Whether the experiment needs what lives in this process alone: a part of one's own."""
    return any(is_own(getattr(experiment, field)) for field in FIELDS.values())
