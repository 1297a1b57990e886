"""Images as they are chosen: what a student sees of a data set, or each of many students, and what its teacher does."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from qkdlib import checks
from qkdlib.experiment import Experiment
from qkdlib.experiment_checks import DATASETS
from qkdlib.randomness import stream


@dataclass(frozen=True)
class Images:
    """Images `x` (N, C, H, W) float32 in [0, 1], or what a student sees in their place; labels `y` (N,) int64 counted
    from 0 in the order of the experiment's classes, and `index` (N,), each image's place in the data set's training or
    test part.

    Where each of S seeds has N images of its own, `x` holds those of all seeds and more, `y` and `index` are (S, N),
    and `rows` (S, N) says where in `x` a seed's images are; else it is None."""

    x: torch.Tensor
    y: torch.Tensor
    index: torch.Tensor
    rows: torch.Tensor | None = None

    def __len__(self) -> int:
        """N."""
        return self.y.shape[-1]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.x.shape[1:]
        return channels, height, width

    def take(self, places: torch.Tensor | Sequence[int]) -> "Images":
        """The images at `places`. `ValueError`: each seed has its own."""
        if self.rows is not None:
            checks.fail("images", f"of {len(self.rows)} seeds", "those of one, qkdlib.splits(experiment.of_seed(seed))")
        places = torch.as_tensor(places)
        return Images(self.x[places], self.y[places], self.index[places])

    def seen(self, places: torch.Tensor) -> torch.Tensor:
        """What each seed sees in these of its places (S, B): (S, B, C, H, W)."""
        rows = places if self.rows is None else self.rows.gather(1, places)
        return self.x.index_select(0, rows.reshape(-1)).view(*rows.shape, *self.x.shape[1:])

    def chunks(self, size: int) -> Iterator[torch.Tensor]:
        """Up to `size` images at once in their order: (B, C, H, W), or (S, B, C, H, W) where each seed has its own."""
        if self.rows is None:
            yield from self.x.split(size)
        else:
            for rows in self.rows.split(size, 1):
                yield self.x.index_select(0, rows.reshape(-1)).view(*rows.shape, *self.x.shape[1:])


@dataclass(frozen=True)
class Splits:
    """The student's `train`, `validation` and `test` images, which share none; and every training and test image
    of the classes (`all_train`, `all_test`), for teachers. `validation` is a part of `all_train` that the student
    does not train on. `drawn` is the experiment whose seeds have images of their own, if they do, and `pools` are
    `all_train` and `all_test` as its students see them. Where the choice leaves none out, all seeds have the same."""

    train: Images
    validation: Images
    test: Images
    all_train: Images
    all_test: Images
    class_names: tuple[str, ...]
    drawn: Experiment | None = None
    pools: tuple[torch.Tensor, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image, as the student sees it."""
        return self.train.shape

    def students_rows(self) -> list[torch.Tensor]:
        """Where the student's training images are among `all_train`, and its validation images; (N,), or (S, N)."""
        return [torch.searchsorted(self.all_train.index, part.index) for part in (self.train, self.validation)]

    def of(self, seeds: Sequence[int]) -> "Splits":
        """As these seeds see them."""
        if self.drawn is None:
            return self
        chosen = [choices(self.all_train, self.all_test, self.drawn.of_seed(seed)) for seed in seeds]
        whole = zip((self.all_train, self.all_test), self.pools, strict=True)
        of_train, of_test = (dataclasses.replace(images, x=x) for images, x in whole)
        train, validation, test = map(_each, (of_train, of_train, of_test), zip(*chosen, strict=True))
        return dataclasses.replace(self, train=train, validation=validation, test=test)


def normalised(x: torch.Tensor, experiment: Experiment) -> torch.Tensor:
    """Images (..., C, H, W) in [0, 1] as the experiment's student sees them, (x - mean) / std. `ValueError`: those are
    not as many numbers as the images have channels."""
    if not experiment.pixel_mean:
        return x
    if len(experiment.pixel_mean) not in (1, x.shape[-3]):
        checks.fail("pixel_mean", experiment.pixel_mean, f"one number, or one for each of the {x.shape[-3]} channels")
    mean, std = (x.new_tensor(each)[:, None, None] for each in (experiment.pixel_mean, experiment.pixel_std))
    return (x - mean) / std


def choices(all_train: Images, all_test: Images, experiment: Experiment) -> list[torch.Tensor]:
    """Where the student's train, validation and test images are among all."""
    train = _choose(all_train, experiment, "train", "train_per_class", "validation_per_class")
    return train + _choose(all_test, experiment, "test", "test_per_class")


def _each(whole: Images, places: Sequence[torch.Tensor]) -> Images:
    """Of the `whole` images those in each seed's `places` (N,)."""
    if all(torch.equal(each, places[0]) for each in places):
        return whole.take(places[0])
    rows = torch.stack(list(places))
    return Images(whole.x, whole.y[rows], whole.index[rows], rows)


def _choose(images: Images, experiment: Experiment, part: str, *names: str) -> list[torch.Tensor]:
    """For each class, consecutive groups of as many images as the fields `names` say, in file order or in a random one;
    None takes what the other groups leave. Returns the places (N,) of each group, in file order."""
    sizes: list[int | None] = [getattr(experiment, name) for name in names]
    chosen: list[list[torch.Tensor]] = [[] for _ in sizes]
    asked = sum(size or 0 for size in sizes)
    for place, label in enumerate(experiment.classes):
        members = torch.nonzero(images.y == place).squeeze(1)
        if len(members) < asked + sizes.count(None):
            most = len(members) - sizes.count(None)  # a group that takes the rest needs an image
            allowed = f"at most {most}, the {part} images of class {label} in {short(experiment)}"
            checks.fail(" + ".join(names), asked, allowed)
        if experiment.selection == "random":
            order = np.random.default_rng(stream(experiment.data_seed, f"data {part} {label}"))
            members = members[torch.from_numpy(order.permutation(len(members)))]
        lengths = [len(members) - asked if size is None else size for size in sizes]
        for group, taken in zip(chosen, members[: sum(lengths)].split(lengths), strict=True):
            group.append(taken)
    return [torch.cat(group).sort().values for group in chosen]


def short(experiment: Experiment) -> str:
    """The data set's name in a message."""
    return experiment.dataset if experiment.dataset in DATASETS else checks.shortened(experiment.dataset)
