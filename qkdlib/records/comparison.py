"""Two records side by side: in what their experiments differ, and by how much their seeds."""

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qkdlib import checks
from qkdlib.experiment import Experiment
from qkdlib.records import differences
from qkdlib.records.record import Record
from qkdlib.records.statistics import Gain, Summary, kept_accuracies, paired_gain, summarise

if TYPE_CHECKING:
    import pandas as pd

SHARED = ("dataset", "classes", "test_per_class", "selection", "images")  # which say what the test images are


@dataclass(frozen=True)
class Comparison:
    """Two records over their common `seeds`, with accuracies in percent of the weights that are kept: the `Summary` of
    `a` and of `b`, and the paired `difference` a - b with its interval and p. `differing` has every field in which
    their experiments differ, with both values."""

    names: tuple[str, str]
    differing: dict[str, tuple[str, str]]
    seeds: tuple[int, ...]
    a: Summary
    b: Summary
    difference: Gain

    @property
    def frame(self) -> "pd.DataFrame":
        """A row for each field that differs and one for the accuracy, a column for each record."""
        import pandas as pd

        rows = {**self.differing, "accuracy [95 %]": (str(self.a), str(self.b))}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["a", "b"])

    def __str__(self) -> str:
        named = "\n".join(f"{letter}: {name}" for letter, name in zip("ab", self.names, strict=True))
        return f"{named}\n\n{self.frame.to_markdown(disable_numparse=True)}\n\n{self._said()}"

    def _said(self) -> str:
        gain, pairs = self.difference, len(self.seeds)
        interval = f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"
        return f"a - b: {interval} points, p = {gain.p:.2g} ({pairs} pair{'' if pairs == 1 else 's'} of seeds)"

    def _repr_html_(self) -> str:
        named = "<br>".join(f"{letter}: {html.escape(name)}" for letter, name in zip("ab", self.names, strict=True))
        return f"<p>{named}</p>{self.frame.to_html()}<p>{html.escape(self._said())}</p>"


def compare(a: Record, b: Record) -> Comparison:
    """The paired difference a - b over the seeds that both records have.

    Raises:
        ValueError: one of them is no record, they have no seed in common, or not the same test images.
    """
    for name, record in (("a", a), ("b", b)):
        if not isinstance(record, Record):
            checks.fail(name, record, "a record, as qkdlib.run and records.find return it")
    one, other = (_test_images(each.experiment) for each in (a, b))
    for name, value in one.items():
        if value != other.get(name):
            checks.fail(f"{name} of b", other.get(name), f"{value!r}, as in a: a comparison needs the same test images")
    if not (seeds := sorted(set(a.seeds) & set(b.seeds))):
        checks.fail("seeds of b", sorted(b.seeds), f"some of a's, {checks.shortened(sorted(a.seeds))}")
    found = differences.differing([a.experiment, b.experiment], one_sided=True)
    of_a, of_b = (kept_accuracies(record, seeds) for record in (a, b))
    return Comparison(
        (a.experiment.name, b.experiment.name), {name: (one, other) for name, (one, other) in found.items()},
        tuple(seeds), summarise(of_a), summarise(of_b), paired_gain(of_a, of_b),
    )  # fmt: skip


def _test_images(experiment: Experiment) -> dict[str, object]:
    """What decides which images a student is tested on."""
    found = {name: getattr(experiment, name) for name in SHARED} | {"classes": tuple(sorted(experiment.classes))}
    if experiment.images:  # by which they are known, wherever their folder lies
        del found["dataset"]
    return found | {"data_seed": experiment.data_seed if experiment.selection == "random" else None}
