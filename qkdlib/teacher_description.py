"""What a teacher is: a frozen description of a classical network and its training; and how fields are checked."""

import dataclasses
import functools
import typing
from collections.abc import Callable
from dataclasses import dataclass

from qkdlib import checks

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

ARCHITECTURES = ("lenet", "alexnet", "ensemble")
LABELS = ("own", "smoothed", "shuffled")
CUSTOM = "custom:"
LONGEST_NAME = 100  # characters
MOST_NETWORKS = 1000


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A classical network and its training (v1, sections 4.3 and 4.6).

    `architecture` is `lenet`, `alexnet`, `ensemble`, or `custom:<name>` for a network of your own.
    `ensemble` says how the ensemble is made: `mean_probabilities` averages the class probabilities of the two
    trained networks (Eq. 16); `joint_logits` averages logits and trains both through the mean, as the authors'
    notebooks do. `images_per_class` is None for all training images of the classes. `members` are the networks of an
    ensemble of probabilities, where they differ in more than their architecture; by default LeNet and AlexNet, both
    trained as this teacher says. `labels` says what the student gets of it: its `own` logits; as a control, labels
    `smoothed` to the entropy of its softened ones; or its logits `shuffled` among the images of a class (`controls`).
    `networks` is how many teachers this is, which differ in their `seed` alone, counted from it: student s learns from
    the one that `of(s)` describes, so that the spread over students holds that over teachers, too.
    """

    architecture: str = "lenet"
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    images_per_class: int | None = None
    ensemble: str = "mean_probabilities"
    members: tuple["Teacher", ...] = ()
    seed: int = 0
    labels: str = "own"
    networks: int = 1

    def __post_init__(self) -> None:
        custom = isinstance(self.architecture, str) and self.architecture.startswith(CUSTOM)
        name = self.architecture.removeprefix(CUSTOM) if custom else ""
        if not name.strip():
            checks.one_of("teacher", self.architecture, (*ARCHITECTURES, CUSTOM + "<name>"))
        elif len(name) > LONGEST_NAME or not name.isprintable():
            allowed = f"{CUSTOM}<name> with a name of at most {LONGEST_NAME} printable characters"
            checks.fail("teacher", self.architecture, allowed)
        check_fields(self, checks.text, "architecture")
        check_fields(self, checks.whole, "epochs", "batch_size", "images_per_class", says="teacher ")
        check_fields(self, checks.whole, "seed", says="teacher ", minimum=0)
        check_fields(self, checks.real, "learning_rate", says="teacher ", positive=True)
        check_fields(self, checks.one_of, "ensemble", allowed=("mean_probabilities", "joint_logits"))
        check_fields(self, checks.one_of, "labels", says="teacher ", allowed=LABELS)
        check_fields(self, checks.whole, "networks", says="teacher ", maximum=MOST_NETWORKS)
        check_fields(self, checks.members, "members", says="teacher ", allowed="a tuple of teachers")
        if self.members and (self.architecture, self.ensemble) != ("ensemble", "mean_probabilities"):
            checks.fail("teacher members", self.members, "() but for an ensemble of mean_probabilities")
        if any(not isinstance(member, Teacher) or member.architecture == "ensemble" for member in self.members):
            checks.fail("teacher members", self.members, "teachers that are single networks")
        self._check_networks()

    def _check_networks(self) -> None:
        if any(member.networks > 1 for member in self.members):
            checks.fail("teacher members", self.members, "teachers that are single networks, with networks=1 each")
        if self.networks > 1 and (self.members or self.architecture.startswith(CUSTOM)):
            named = "members, which have seeds of their own" if self.members else "a network of your own, which is one"
            checks.fail("teacher networks", self.networks, f"1 for {named}")
        checks.whole("teacher seed", self.seed + self.networks - 1, minimum=0)  # of the last network

    def of(self, seed: int) -> "Teacher":
        """The single teacher of the student with this seed: that of the seed `self.seed + seed % networks`."""
        return dataclasses.replace(self, seed=self.seed + seed % self.networks, networks=1)

    def each(self) -> tuple["Teacher", ...]:
        """All `networks` of them, as single teachers."""
        return tuple(map(self.of, range(self.networks)))

    def trained(self) -> tuple["Teacher", ...]:
        """The networks that are trained: those of an ensemble of probabilities, else this one; of each teacher where
        there are several."""
        if self.networks > 1:
            return tuple(network for teacher in self.each() for network in teacher.trained())
        if self.architecture == "ensemble" and self.ensemble == "mean_probabilities":
            both = (dataclasses.replace(self, architecture=name, members=()) for name in ("lenet", "alexnet"))
            return self.members or tuple(both)
        return (self,)


def check_fields(
    described: "DataclassInstance", check: Callable[..., object], *names: str, says: str = "", **limits: object
) -> None:
    """Check fields and keep what the check returns; None stays None where a field may be."""
    optional = _optional(type(described))
    for name in names:
        value = getattr(described, name)
        if value is not None or name not in optional:
            object.__setattr__(described, name, check(says + name, value, **limits))


@functools.cache
def _optional(kind: "type[DataclassInstance]") -> set[str]:
    return {item.name for item in dataclasses.fields(kind) if type(None) in typing.get_args(item.type)}
