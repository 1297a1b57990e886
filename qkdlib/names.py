"""What experiments are called: a digest of all that changes a number, and file names that hold it."""

import dataclasses
import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

NUMERICS = 1  # raise when the code changes numbers by more than rounding: every digest changes with it
LONGEST_SPAN = 40  # characters


class Task(Protocol):
    """Whatever has a data set and classes, as an experiment does."""

    @property
    def dataset(self) -> str: ...

    @property
    def classes(self) -> tuple[int, ...]: ...


def digest(*described: "DataclassInstance", **more: object) -> str:
    """Hash of the fields of dataclasses that differ from their defaults, and of `NUMERICS`. Fields at their default do
    not count, so that a field which a later version adds, with the old behaviour as its default, leaves the names of
    existing records as they are."""
    parts = [_changed_fields(item) for item in described]
    text = json.dumps([NUMERICS, parts, more], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _changed_fields(described: "DataclassInstance") -> dict[str, object]:
    changed = {}
    for item in dataclasses.fields(described):
        value = getattr(described, item.name)
        if item.metadata.get("digest", True) and value != item.default:
            changed[item.name] = _plain(value)
    return changed


def _plain(value: object) -> object:
    """A field's value as JSON can hold it; a dataclass names itself, as a teacher at its defaults is not no teacher."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _changed_fields(value) | {"is": type(value).__name__}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def idle(experiment: Any) -> set[str]:
    """Fields of an experiment that change none of its numbers, as it is. `kd_temperature_squared` of a loss without a
    teacher's voice is another such field, but old records are named by it: `digests` has both names."""
    fields = set()
    if is_silent(experiment):
        fields |= {"kd_loss", "kd_weight", "dkd_beta", "temperature"}
    elif experiment.kd_loss not in ("kl", "dkd"):
        fields |= {"dkd_beta", "temperature", "kd_temperature_squared"}
    elif experiment.kd_loss == "kl":
        fields.add("dkd_beta")
    if experiment.teacher and experiment.teacher.labels == "smoothed":  # at a temperature
        fields.discard("temperature")
    if experiment.noise_level == 0:
        fields.add("noise")
    if experiment.selection != "random":
        fields.add("data_seed")
    if experiment.learning_rates:
        fields.add("learning_rate")
    if experiment.encoder != "ansatz_angles":
        fields.add("angle_reach")
    if experiment.reducer in ("fully_connected", "avg_pool", "max_pool", "center_crop", "pca"):
        fields.add("activation")
    return fields


def is_silent(experiment: Any) -> bool:
    """Whether an experiment distils nothing."""
    return experiment.kd_weight == 0 or experiment.kd_loss == "none"


@functools.lru_cache(maxsize=4096)
def acting(experiment: T) -> T:
    """The experiment of the same numbers whose `idle` fields are at their defaults."""
    defaults = {item.name: item.default for item in dataclasses.fields(experiment) if item.name in idle(experiment)}
    changed = {name: value for name, value in defaults.items() if getattr(experiment, name) != value}
    return dataclasses.replace(experiment, **changed) if changed else experiment


def digests(experiment: Any) -> tuple[str, ...]:
    """Digests under which a record of the experiment's numbers may lie: its own, and those that earlier versions gave,
    whose idle fields counted."""
    squared = experiment.kd_temperature_squared
    flags = (squared, not squared) if is_silent(experiment) else (squared,)
    alike = [dataclasses.replace(experiment, kd_temperature_squared=flag) for flag in flags]
    return tuple(dict.fromkeys(digest(kind(each)) for each in alike for kind in (acting, lambda same: same)))


def task_name(task: Task) -> str:
    """Data set and classes as part of a file name, e.g. `mnist_0-5`; of many classes the first and the last ones."""
    labels, text = task.classes, span(task.classes)
    if len(text) > LONGEST_SPAN:
        mark = hashlib.sha256(text.encode()).hexdigest()[:6]  # two tasks do not share a name
        text = f"{'+'.join(map(str, labels[:3]))}+...+{labels[-1]}-{mark}"
    return f"{slug(task.dataset)}_{text}"


def span(labels: tuple[int, ...]) -> str:
    """Classes in short, e.g. `0-5`, or `0+2+7` where some between are left out."""
    consecutive = labels == tuple(range(labels[0], labels[0] + len(labels)))
    return f"{labels[0]}-{labels[-1]}" if consecutive else "+".join(map(str, labels))


def slug(text: str) -> str:
    """`text` with everything but letters, digits and underscores turned into single hyphens, at most 40 characters
    and 72 bytes long, so that two of them and all that is added to a name fit into the 255 of file systems."""
    words = "".join(c if c.isalnum() or c == "_" else " " for c in text).split()
    end = "-".join(words)[-40:].encode()[-72:]
    return end.decode(errors="ignore").strip("-")  # without half a letter
