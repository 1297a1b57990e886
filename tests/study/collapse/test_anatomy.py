"""Seeds that collapse, watched: a small training against the library's own and against plain torch, and the tables of
made-up looks against numbers that can be read off."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from qkdlib.experiment import Experiment
from qkdlib.images import Images, Splits
from qkdlib.randomness import generator
from qkdlib.students import Student
from qkdlib.study.collapse import anatomy, changes
from qkdlib.training import train_students

SMALL = Experiment(dataset="digits", train_per_class=8, validation_per_class=4, test_per_class=4, epochs=2, seeds=2)
INSIDE = ["accuracy", "dead conv2", "dead hidden", "beyond fold", "saturated", "common angle", "spread of angles"]


def images(count: int, seed: int) -> Images:
    """A bright square at another place for each of 6 classes."""
    y = torch.arange(count) % 6
    x = 0.3 * torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    for place, label in enumerate(y.tolist()):
        x[place, 0, 5 * (label // 3) + 2 : 5 * (label // 3) + 7, 5 * (label % 3) : 5 * (label % 3) + 5] = 1
    return Images(x, y, torch.arange(count))


@pytest.fixture(scope="module")
def parts():
    train = images(48, 0)
    return Splits(train, images(24, 1), images(24, 2), train, images(24, 2), tuple("abcdef"))


@pytest.fixture(scope="module")
def looks(parts):
    return anatomy.watch(SMALL, parts, every=16)


def test_there_is_a_look_for_each_arm_seed_and_pause(looks):
    assert looks.groupby(["arm", "seed"]).images.apply(list).tolist() == [[16, 32, 48, 64, 80, 96]] * 6
    assert list(dict.fromkeys(looks.arm)) == list(anatomy.ARMS)
    assert looks.columns.tolist() == ["arm", "seed", "fate", "images", *INSIDE, "gradient"]
    assert np.isfinite(looks[[*INSIDE, "gradient"]].to_numpy()).all()
    last = looks[looks.images == 96]
    assert ((last.accuracy < 1.5 / 6) == (last.fate == "collapsed")).all()
    assert looks.groupby(["arm", "seed"]).fate.nunique().eq(1).all()


@pytest.mark.parametrize("arm", anatomy.ARMS)
def test_a_watched_student_learns_as_the_librarys_training_does(looks, parts, arm):
    """Whose Adam rounds otherwise: compared are angles, not their last digits."""
    student, _ = train_students(dataclasses.replace(SMALL, **anatomy.ARMS[arm]), parts, None, [0, 1])
    expected = {name: values.tolist() for name, values in anatomy.inside(student, parts.validation).items()}
    found = looks[(looks.arm == arm) & (looks.images == 96)]
    for name in INSIDE:
        assert found[name].tolist() == pytest.approx(expected[name], rel=1e-3, abs=1e-4)


def test_looks_do_not_depend_on_other_seeds_or_on_how_often_one_looks(looks, parts):
    alone = anatomy.watch(dataclasses.replace(SMALL, seeds=1), parts, every=1000)
    assert alone.images.unique().tolist() == [48, 96]
    both = looks[(looks.seed == 0) & looks.images.isin([48, 96])].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone[["arm", *INSIDE]], both[["arm", *INSIDE]])


def test_without_dropout_the_first_gradient_is_that_of_plain_torch(parts):
    """A batch of 16 images, one step: its gradient by torch's own layers."""
    experiment = dataclasses.replace(SMALL, dropout=0.0, seeds=1, epochs=1)
    found = anatomy.watch(experiment, parts, every=16)
    first = found[(found.arm == "batch 16") & (found.images == 16)].gradient.item()
    layers = {name: value[0].detach() for name, value in Student(experiment, parts.shape, [0]).named_parameters()}
    layers["reducer.conv1.weight"].requires_grad_()
    rows = torch.randperm(48, generator=generator(0, "order"))[:16]
    theta = math.pi * features(layers, parts.train.x[rows])[-1].tanh()
    signs = torch.tensor([[1 if outcome >> wire & 1 else -1 for wire in range(3)] for outcome in range(8)])
    outcomes = ((1 + signs * theta.sin().unsqueeze(1)) / 2).prod(-1)
    logits = torch.cat([outcomes.sigmoid(), 1 - outcomes.sigmoid()], 1)
    functional.cross_entropy(logits, parts.train.y[rows]).backward()
    assert first == pytest.approx(layers["reducer.conv1.weight"].grad.norm().item(), rel=1e-4)


def features(layers: dict[str, torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Second convolution (N, 20, ...) and hidden units (N, 50) after their ReLU, and features (N, 3), of one seed."""
    of = {name.removeprefix("reducer."): value for name, value in layers.items()}
    x = functional.relu(functional.max_pool2d(functional.conv2d(x, of["conv1.weight"], of["conv1.bias"]), 2))
    conv2 = functional.relu(functional.max_pool2d(functional.conv2d(x, of["conv2.weight"], of["conv2.bias"]), 2))
    hidden = functional.relu(functional.linear(conv2.flatten(1), of["hidden.weight"], of["hidden.bias"]))
    return conv2, hidden, functional.linear(hidden, of["out.weight"], of["out.bias"])


@pytest.mark.parametrize("reach", [1.0, changes.REACH["angle_reach"]])
def test_what_is_inside_is_what_plain_torch_finds(parts, reach):
    student = Student(dataclasses.replace(SMALL, angle_reach=reach), parts.shape, [3, 4])
    with torch.no_grad():
        student.reducer.out.weight.mul_(60)  # angles over their whole range
        student.reducer.hidden.bias[:, :30] -= 5  # dead
        student.reducer.conv2.bias[:, :7] -= 50
    found = anatomy.inside(student, parts.validation)
    for seed in range(2):
        layers = {name: value[seed].detach() for name, value in student.named_parameters()}
        conv2, hidden, out = (each.numpy() for each in features(layers, parts.validation.x))
        tanh = np.tanh(out)
        theta = np.pi * reach * tanh
        likely = [sum(2**wire for wire in range(3) if np.sin(angle[wire]) > 0) for angle in theta]
        expected = {
            "accuracy": np.mean(np.array(likely) == parts.validation.y.numpy()),
            "dead conv2": np.mean((conv2 == 0).all((0, 2, 3))), "dead hidden": np.mean((hidden == 0).all(0)),
            "beyond fold": np.mean(np.abs(theta) > np.pi / 2 + 1e-6), "saturated": np.mean(np.abs(tanh) > 0.99),
            "common angle": np.abs(theta.mean(0)).mean(), "spread of angles": theta.std(0, ddof=1).mean(),
        }  # fmt: skip
        assert {name: values[seed].item() for name, values in found.items()} == pytest.approx(
            expected, rel=1e-4, abs=1e-5
        )
        assert expected["dead conv2"] >= 7 / 20 and expected["dead hidden"] >= 0.6
    assert (found["beyond fold"].max() == 0) == (reach == 0.5)


# Tables of looks that can be read off: seeds 0 and 2 collapse, 1 and 3 train; seed 2 never saturates.

FOLDS = {0: [0.2, 0.9, 1.0, 1.0], 1: [0.1, 0.6, 0.2, 0.2], 2: [0.0, 0.4, 0.8, 0.9], 3: [0.1, 0.1, 0.1, 0.1]}
DEAD = {0: [0.6, 0.7, 0.7, 0.7], 1: [0.7, 0.3, 0.2, 0.1], 2: [0.4, 0.6, 0.8, 0.7], 3: [0.5, 0.4, 0.3, 0.3]}


@pytest.fixture
def made():
    lines = [
        {
            "arm": arm, "seed": seed, "fate": "collapsed" if arm == "published" and seed in (0, 2) else "trains",
            "images": 80 * (look + 1), "accuracy": 0.1 * seed, "dead conv2": 0.5, "dead hidden": DEAD[seed][look],
            "beyond fold": FOLDS[seed][look], "saturated": 0.9 if seed == 0 and look > 1 else 0.0,
            "common angle": seed + look, "spread of angles": 0.1 * seed + 0.01 * look, "gradient": 1 / (seed + 1),
        }
        for arm in anatomy.ARMS for look in range(4) for seed in range(4)
    ]  # fmt: skip
    return pd.DataFrame(lines)


def test_collapsed_seeds_are_counted_by_arm(made):
    assert anatomy.collapsed_seeds(made) == {"published": 2, "no fold": 0, "batch 16": 0}


def test_examples_are_looks_at_the_first_seed_of_each_fate(made):
    published = made[made.arm == "published"]
    found = anatomy.examples(published, lines=2)
    assert found.index.tolist() == ["collapsed", "collapsed", "trains", "trains"]
    assert found[["seed", "images"]].to_numpy().tolist() == [[0, 160], [0, 320], [1, 160], [1, 320]]
    assert found["beyond fold"].tolist() == [0.9, 1.0, 0.6, 0.2]
    assert len(anatomy.examples(published)) == 8


def test_ends_are_medians_of_the_last_look(made):
    found = anatomy.ends(made[made.arm == "published"])
    assert found["beyond fold"].to_dict() == pytest.approx({"collapsed": 0.95, "trains": 0.15})
    assert found["gradient"].to_dict() == pytest.approx({"collapsed": (1 + 1 / 3) / 2, "trains": (1 / 2 + 1 / 4) / 2})
    assert found["most dead hidden"].to_dict() == pytest.approx({"collapsed": 0.75, "trains": 0.6})


def test_events_are_the_first_looks_above_a_half(made):
    published = made[made.arm == "published"]
    first = anatomy.events(published)
    assert first["beyond fold"].to_dict() == {
        ("collapsed", 0): 160, ("collapsed", 2): 240, ("trains", 1): 160, ("trains", 3): math.inf,
    }  # fmt: skip
    assert first["dead hidden"].loc["collapsed"].tolist() == [80, 160] and (first["dead conv2"] == math.inf).all()
    table = anatomy.order_of_events(published)
    assert table.index.tolist() == ["beyond fold", "saturated", "dead hidden", "dead conv2"]
    assert table["collapsed: images"].tolist() == [200, "never", 120, "never"]
    assert table["collapsed: share of seeds"].tolist() == [1, 0.5, 1, 0]
    assert table["trains: images"].tolist() == ["never", "never", "never", "never"]
    assert table["trains: share of seeds"].tolist() == [0.5, 0, 0.5, 0]
    crossing = anatomy.at_the_fold(published)
    assert crossing[["seed", "images", "common angle"]].to_numpy().tolist() == [[0, 160, 1], [2, 240, 4]]


def test_statements(made):
    assert list(anatomy.statements(made).values()) == ["2, 0, 0", "95%, 15%", "200", "2.50, 0.12"]


def test_the_figure_has_a_line_for_each_seed_in_the_colour_of_its_fate(made):
    drawn = anatomy.figure(made[made.arm == "published"])
    assert [axis.get_title() for axis in drawn.axes] == list(anatomy.SHOWN)
    for axis, name in zip(drawn.axes, anatomy.SHOWN, strict=True):
        lines = axis.get_lines()
        assert [line.get_color() for line in lines] == ["#d55e00", "#0072b2"] * 2
        for seed, line in enumerate(lines):
            assert line.get_ydata().tolist() == made[(made.arm == "published") & (made.seed == seed)][name].tolist()
