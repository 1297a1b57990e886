"""What a chapter of the study is: the experiments that it declares, the pages that show them, the claims that it tests.

A page is a notebook that is executed with some parameters. It writes the tables and figures that it shows, so that what
is published and what is read are one thing. The list of all chapters is in `contents`.
"""

import csv
import dataclasses
import importlib.resources
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from qkdlib.drawing import Figure
from qkdlib.experiment import Experiment
from qkdlib.study.claims import Claim
from qkdlib.workspace import Workspace, place

COPIES = (("cifar10", "cifar10_jpeg"),)  # data sets of equal images: results on any of them are results on all
TITLES = {
    "mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10", "lenet": "LeNet", "alexnet": "AlexNet",
    "ensemble": "ensemble",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A published table, `tables/<name>.csv`, `.md` and `.tex`.

    Attributes:
        make: the table of a workspace's records, with all its columns.
        readable: the same as rounded text.
        notes: paragraphs below it: units and rules.
        in_readme: columns of the readable table that the README shows, or a function that gives them; (): all.
    """

    name: str
    make: Callable[[Workspace], pd.DataFrame]
    readable: Callable[[pd.DataFrame], pd.DataFrame]
    notes: tuple[str, ...]
    in_readme: tuple[str, ...] | Callable[[pd.DataFrame], pd.DataFrame] = ()

    def paths(self, workspace: Workspace) -> list[Path]:
        """Its files."""
        return [workspace.tables / f"{self.name}.{ending}" for ending in ("csv", "md", "tex")]


@dataclass(frozen=True)
class Picture:
    """A published figure, `figures/<name>.pdf` and `.png`.

    Attributes:
        alt: what it shows, for those who do not see it.
        draw: the figure of a workspace's records.

    `draw` raises `Lacking` where records or images that it needs are not there; a figure that was drawn before then
    stays.
    """

    name: str
    alt: str
    draw: Callable[[Workspace], Figure]

    def paths(self, workspace: Workspace) -> list[Path]:
        """Its files."""
        return [workspace.figures / f"{self.name}.{ending}" for ending in ("pdf", "png")]


@dataclass(frozen=True)
class Page:
    """An executed notebook, `notebooks/executed/<folder>/<notebook>.ipynb`, and what it publishes.

    Attributes:
        reads: names of other chapters whose records it shows, too.
    """

    notebook: str
    folder: str
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)
    reads: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Folder and notebook, e.g. `mnist/distillation`."""
        return f"{self.folder}/{self.notebook}"

    @property
    def copy(self) -> Path:
        """The executed copy."""
        return place(f"notebooks/executed/{self.name}.ipynb")

    def written(self, workspace: Workspace) -> list[Path]:
        """The files of its tables and figures."""
        return [path for each in (*self.tables, *self.pictures) for path in each.paths(workspace)]


@dataclass(frozen=True)
class Part:
    """Experiments that are run together, by name: `make paper-artifacts ONLY=<name>`. Experiments of one group are arms
    that have to see the same copy of their images (`COPIES`)."""

    name: str
    groups: Callable[[], list[tuple[Experiment, ...]]]


@dataclass(frozen=True)
class Chapter:
    """A chapter, whose folder is its name.

    Attributes:
        taught: experiments, one for each teacher that its tables need.
        executed: the experiments whose students it executes on backends.
        execute: executes those that have no record of it, after the training: (workspace, fresh, say).
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    pages: tuple[Page, ...]
    claims: tuple[Claim, ...] = ()
    taught: Callable[[], list[Experiment]] = list
    executed: Callable[[], list[Experiment]] = list
    execute: Callable[[Workspace, bool, Callable[[str], None]], None] | None = None

    def experiments(self) -> list[Experiment]:
        """All that it declares, each once, on every copy of its images."""
        found = (copy for part in self.parts for group in part.groups() for copy in copies(group))
        return list(dict.fromkeys(experiment for copy in found for experiment in copy))


def each(experiments: list[Experiment]) -> list[tuple[Experiment, ...]]:
    """Experiments that may see any copy of their images each, as groups."""
    return [(experiment,) for experiment in experiments]


def copies(group: tuple[Experiment, ...]) -> list[tuple[Experiment, ...]]:
    """A group on each copy of its images, whichever it is on."""
    same = same_images(group[0].dataset)
    return [tuple(dataclasses.replace(experiment, dataset=name) for experiment in group) for name in same]


def on_copy(group: tuple[Experiment, ...], suits: Callable[[Experiment], bool]) -> tuple[Experiment, ...]:
    """A group on the first copy of its images that suits; as it is if none does."""
    return next((copy for copy in copies(group) if suits(copy[0])), group)


def same_images(dataset: str) -> tuple[str, ...]:
    """The data sets that hold the images of this one, itself included."""
    return next((names for names in COPIES if dataset in names), (dataset,))


def facts(package: str, name: str) -> list[dict[str, str]]:
    """The lines of a csv file in a chapter's folder; its comments begin with #."""
    text = importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
