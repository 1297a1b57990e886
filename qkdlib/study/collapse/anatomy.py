"""What happens inside of seeds that collapse: the published student and two changes of it, watched while they train.

`watch` trains them and gives one table of looks. The other functions take the looks at one arm,
`looks[looks.arm == "published"]`, and make the tables and the figure of them.
"""

import dataclasses
import math
from collections.abc import Iterator
from types import MappingProxyType

import pandas as pd
import torch
from torch.nn import functional

from qkdlib import circuits, torch_settings
from qkdlib.drawing import COLOURS, Figure, styled
from qkdlib.experiment import Experiment
from qkdlib.images import Images, Splits
from qkdlib.randomness import generator
from qkdlib.records import statistics
from qkdlib.students import Student
from qkdlib.students.reducers import CONV2
from qkdlib.study.collapse import changes

ARMS = MappingProxyType({"published": {}, "no fold": changes.REACH, "batch 16": changes.BATCH})
COLLAPSED, TRAINS = "collapsed", "trains"
FOLD = math.pi / 2
EVENTS = ("beyond fold", "saturated", "dead hidden", "dead conv2")  # shares; an event is that one rises above a half
SHOWN = ("accuracy", "common angle", "dead hidden", "gradient")


def watch(experiment: Experiment, images: Splits, every: int = 80) -> pd.DataFrame:
    """Train all seeds of each of `ARMS` on labels alone, and look inside of them after `every` images and after each
    epoch. All arms start from the same weights and see the same images in the same order.

    Args:
        experiment: the student, with the `cnn` reducer and without an encoder; the arms are changes of it.
        images: trains on `train` and looks at `validation`; test images are not used.

    Returns:
        One row per arm, look and seed: `arm`, `seed`, `fate` (`collapsed`: below 1.5 times chance after the last
        image; else `trains`), `images` seen, and
        `accuracy`: share of images whose most probable outcome is their label;
        `dead conv2`, `dead hidden`: shares of channels and of hidden units that are zero on every image;
        `beyond fold`, `saturated`: shares of angles with |theta| > pi/2, and with |tanh f| > 0.99;
        `common angle`, `spread of angles`: |mean| and standard deviation over the images, in radians, mean over qubits;
        `gradient`: length of the gradient of the first convolution's weights, mean over the steps since the last look.
    """
    looks = []
    with torch_settings.one_thread():  # as all students train
        for arm, change in ARMS.items():
            student = Student(dataclasses.replace(experiment, **change), images.shape, list(range(experiment.seeds)))
            for seen, gradient in _training(student, images.train, every):
                look = inside(student, images.validation) | {"gradient": gradient}
                looks.append(pd.DataFrame({"arm": arm, "seed": student.seeds, "images": seen, **look}))
    found = pd.concat(looks, ignore_index=True)
    last = found.groupby(["arm", "seed"]).accuracy.transform("last")
    low = 100 * last < statistics.collapse_limit(experiment)
    found.insert(2, "fate", low.map({True: COLLAPSED, False: TRAINS}))
    return found


def _training(student: Student, train: Images, every: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Train all epochs with a pause at each look: images seen, and `gradient` (S,)."""
    epochs, batch = student.experiment.epochs, student.experiment.batch_size
    first = student.reducer.conv1.weight  # (S, 10, C, 5, 5)
    optimizer = torch.optim.Adam(student.parameters(), lr=student.experiment.learning_rate, fused=True)
    orders, drops = ([generator(seed, name) for seed in student.seeds] for name in ("order", "dropout"))
    kept, gradients = 1 - student.experiment.dropout, []
    for epoch in range(epochs):
        order = torch.stack([torch.randperm(len(train), generator=draw) for draw in orders])
        keep = torch.stack([torch.rand(len(train), student.reducer.masks, generator=draw) for draw in drops]) < kept
        for start in range(0, len(train), batch):
            end = min(start + batch, len(train))
            rows, masks = order[:, start:end], keep[:, start:end] / kept if student.reducer.masks else None  # (S, B)
            logits = student.logits(train.x[rows], masks).flatten(0, 1)
            loss = functional.cross_entropy(logits, train.y[rows].flatten(), reduction="sum") / rows.shape[1]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            gradients.append(first.grad.flatten(1).norm(dim=1))
            if end // every > start // every or end == len(train):
                yield epoch * len(train) + end, torch.stack(gradients).mean(0)
                gradients = []


def inside(student: Student, images: Images) -> dict[str, torch.Tensor]:
    """What a look measures but for the gradient, each (S,)."""
    seen: dict[str, torch.Tensor] = {}
    hook = student.reducer.hidden.register_forward_hook(lambda _, x, y: seen.update(conv2=x[0], hidden=y))
    with torch.no_grad():
        theta = student.angles(images.x)  # (S, N, Q)
    hook.remove()
    right = circuits.probabilities(student.circuit, theta).argmax(-1) == images.y
    most = math.pi * student.experiment.angle_reach
    return {
        "accuracy": right.float().mean(1),
        "dead conv2": (seen["conv2"].unflatten(2, (CONV2, -1)).amax((1, 3)) <= 0).float().mean(1),
        "dead hidden": (seen["hidden"].amax(1) <= 0).float().mean(1),
        "beyond fold": (theta.abs() > FOLD + 1e-6).float().mean((1, 2)),
        "saturated": (theta.abs() > 0.99 * most).float().mean((1, 2)),
        "common angle": theta.mean(1).abs().mean(1),
        "spread of angles": theta.std(1).mean(1),
    }


def collapsed_seeds(looks: pd.DataFrame) -> dict[str, int]:
    """How many seeds of each arm collapsed."""
    seeds = looks.drop_duplicates(["arm", "seed"])
    return (seeds.fate == COLLAPSED).groupby(seeds.arm, sort=False).sum().to_dict()


def examples(looks: pd.DataFrame, lines: int = 8) -> pd.DataFrame:
    """About so many looks at the first seed of each fate, by fate."""
    every = max(1, looks.images.nunique() // lines)
    firsts = [looks[looks.seed == one.seed.iloc[0]].iloc[every - 1 :: every] for _, one in looks.groupby("fate")]
    return pd.concat(firsts).set_index("fate").drop(columns="arm")


def ends(looks: pd.DataFrame) -> pd.DataFrame:
    """The look after the last image, a row per fate: medians over its seeds. `most dead hidden` is the largest share of
    dead hidden units in all looks at a seed."""
    most = looks.groupby("seed")["dead hidden"].max().rename("most dead hidden")
    last = looks[looks.images == looks.images.max()].join(most, on="seed")
    return last.drop(columns=["arm", "seed", "images"]).groupby("fate").median()


def events(looks: pd.DataFrame) -> pd.DataFrame:
    """By fate and seed: images seen when each of `EVENTS` was first above a half; infinite where never."""
    found = {name: looks[looks[name] > 0.5].groupby(["fate", "seed"]).images.min() for name in EVENTS}
    seeds = pd.MultiIndex.from_frame(looks[["fate", "seed"]].drop_duplicates())
    return pd.DataFrame(found).reindex(seeds).fillna(math.inf)


def order_of_events(looks: pd.DataFrame) -> pd.DataFrame:
    """A row for each of `EVENTS`: by fate the median number of images before it, or `never`, and the share of seeds
    where it happens."""
    columns = {}
    for fate, first in events(looks).groupby("fate"):
        columns[f"{fate}: images"] = first.median().replace(math.inf, "never")
        columns[f"{fate}: share of seeds"] = (first < math.inf).mean().round(2)
    return pd.DataFrame(columns)


def at_the_fold(looks: pd.DataFrame) -> pd.DataFrame:
    """The look at each collapsed seed when for the first time more than half of its angles were beyond the fold."""
    first = events(looks)["beyond fold"].loc[COLLAPSED]
    return looks[looks.images == looks.seed.map(first)]


def statements(looks: pd.DataFrame) -> dict[str, str]:
    """What the looks at all arms say, in short: statement and number."""
    published = looks[looks.arm == "published"]
    beyond = ends(published)["beyond fold"]
    crossed = events(published)["beyond fold"].loc[COLLAPSED].median()
    common, spread = at_the_fold(published)[["common angle", "spread of angles"]].median()
    counts = collapsed_seeds(looks)
    return {
        f"collapsed seeds: {', '.join(counts)}": ", ".join(map(str, counts.values())),
        "angles beyond the fold: collapsed seeds, others": f"{beyond[COLLAPSED]:.0%}, {beyond[TRAINS]:.0%}",
        "images until a collapsed seed crosses the fold (median)": f"{crossed:.0f}",
        "angles of a collapsed seed at the fold: |mean|, standard deviation": f"{common:.2f}, {spread:.2f}",
    }


@styled
def figure(looks: pd.DataFrame) -> Figure:
    """Accuracy, common angle, dead hidden units and gradient of every seed over the images it has seen, by fate."""
    drawn = Figure(figsize=(11, 2.7))
    colours = {COLLAPSED: COLOURS["alexnet"], TRAINS: COLOURS["lenet"]}
    for axis, name in zip(drawn.subplots(1, len(SHOWN)), SHOWN, strict=True):
        for _, curve in looks.groupby("seed"):
            axis.plot(curve.images, curve[name], color=colours[curve.fate.iloc[0]], linewidth=1, alpha=0.7)
        axis.set(xlabel="images seen", title=name)
        if name == "common angle":
            axis.set_yticks([0, FOLD, math.pi], ["0", "π/2", "π"])
    return drawn
