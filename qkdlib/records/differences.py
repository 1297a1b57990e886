"""In what experiments differ, field by field, as tables say it."""

import dataclasses
import hashlib
from collections.abc import Sequence

from qkdlib import names
from qkdlib.circuit import Circuit
from qkdlib.experiment import Experiment, Teacher

LONGEST_NUMBER = 8  # characters of one that is shown whole
OF_DISTILLATION = ("kd_weight", "kd_loss", "dkd_beta", "temperature", "kd_temperature_squared")


def fields(experiment: Experiment) -> dict[str, object]:
    """All fields but the number of seeds, those of the teacher as `teacher_epochs` and so on (`teacher` itself is its
    architecture). Fields that change no number are at their defaults, and those that act only beside a teacher are
    left out without one."""
    acting, found = names.acting(experiment), {}
    for item in dataclasses.fields(acting):
        value = getattr(acting, item.name)
        if item.name == "teacher":
            found["teacher"] = value.architecture if value else None
            of_teacher = dataclasses.fields(value) if value else ()
            found |= {f"teacher_{each.name}": getattr(value, each.name) for each in of_teacher}
        elif item.name != "seeds" and (acting.teacher or item.name not in OF_DISTILLATION):
            found[item.name] = value
    found.pop("teacher_architecture", None)
    return found


def shown(name: str, value: object) -> str:
    """A field's value in a cell of a table: a part of one's own by its name."""
    if value is None:
        text = "all" if name.endswith("per_class") else "none"
    elif isinstance(value, Teacher):
        text = value.architecture
    elif isinstance(value, Circuit):
        text = value.name
    elif isinstance(value, tuple):
        text = ", ".join(shown(name, each) for each in value) or "none"
    else:
        text = str(value)
        text = f"{value:.4g}" if isinstance(value, float) and len(text) > LONGEST_NUMBER else text
    return fit(text)


def fit(text: str) -> str:
    """A text that does not break a cell of a table."""
    return "".join(letter if letter.isprintable() and letter != "|" else "?" for letter in text)


def differing(
    experiments: Sequence[Experiment], besides: Sequence[str] = (), one_sided: bool = False
) -> dict[str, list[str]]:
    """The fields in which experiments differ, each with its value in every one, as text; "" where it does not act.

    Args:
        experiments: in any number.
        besides: fields that are told elsewhere.
        one_sided: count also what acts in some of them alone, where it is not at its default there.
    """
    found, columns = [fields(each) for each in experiments], {}
    for name, default in _known().items():
        there = [each.get(name, default) for each in found if one_sided or name in each]
        if name in besides or len(set(there)) < 2:
            continue
        acting = iter(told_apart(name, [each[name] for each in found if name in each]))
        columns[name] = [next(acting) if name in each else "" for each in found]
    return columns


def told_apart(name: str, values: Sequence) -> list[str]:
    """The values of a field as text; a text that stands for several of them has a mark behind it for each."""
    texts: list[str] = [shown(name, value) for value in values]
    meant: dict[str, set] = {}
    for text, value in zip(texts, values, strict=True):
        meant.setdefault(text, set()).add(value)
    return [f"{t} #{_mark(v)}" if len(meant[t]) > 1 else t for t, v in zip(texts, values, strict=True)]


def _mark(value: object) -> str:
    plain = names.digest(value) if isinstance(value, Circuit) else hashlib.sha256(repr(value).encode()).hexdigest()
    return plain[:4]


def _known() -> dict[str, object]:
    """Every name that `fields` may have, in its order, with the default."""
    known: dict[str, object] = {}
    for item in dataclasses.fields(Experiment):
        known[item.name] = item.default
        if item.name == "teacher":
            known |= {f"teacher_{each.name}": each.default for each in dataclasses.fields(Teacher)}
    return known
