"""The benchmark beside peers: its jobs, its table and its own images; the peers' code needs their environment."""

import csv
import dataclasses
import importlib
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from qkdlib.experiment import Experiment, as_dict, from_dict
from qkdlib.images import choice, datasets
from qkdlib.study.v2 import revised

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def peers():
    """The benchmark as its own process would import it."""
    before, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("peers")
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture(scope="module")
def mnist(peers) -> types.ModuleType:
    return importlib.import_module("mnist")


def test_every_script_that_is_named_is_there(peers):
    scripts = {script for students in peers.PEERS.values() for script in students.values()}
    assert all((FOLDER / "peers" / f"{script}.py").exists() for script in scripts)
    assert set(peers.WHOLE) <= {name for students in peers.PEERS.values() for name in students}


def test_requirements_are_pinned():
    lines = (FOLDER / "peers" / "requirements.txt").read_text().split()
    assert all(line.count("==") == 1 for line in lines) and not any("/" in line for line in lines)


def test_whole_jobs_have_their_seeds_and_a_teacher(peers):
    found = peers.jobs.whole_jobs()
    assert [experiment.seeds for _, _, experiment in found] == 6 * [10] + [20, 100]
    assert all(experiment.teacher and experiment.kd_weight == 0.9 for _, _, experiment in found)


def test_inputs_hold_the_losses_of_the_first_three_steps(peers):
    """By torch's own modules and optimizer, one seed after the other."""
    experiment = dataclasses.replace(revised.student(qubits=2).distilled(revised.teacher("lenet")), seeds=2)
    inputs, losses = peers.jobs.inputs(experiment, 3)
    assert inputs.images.shape == (96, 1, 28, 28) and inputs.rows.shape == (2, 96) and losses.shape == (2, 3)
    x, y, teacher = torch.from_numpy(inputs.images).flatten(1), torch.from_numpy(inputs.labels), inputs.teacher
    soft = torch.from_numpy(teacher).div(3).log_softmax(-1)
    for seed in range(2):
        weights = {name: torch.tensor(value[seed], requires_grad=True) for name, value in inputs.weights.items()}
        optimizer = torch.optim.Adam(weights.values(), experiment.learning_rate)
        for step, rows in enumerate(torch.from_numpy(inputs.rows[seed]).split(32)):
            features = torch.nn.functional.linear(x[rows], weights["reducer.out.weight"], weights["reducer.out.bias"])
            state = torch.nn.functional.normalize(features).to(torch.complex64)
            turn_x, turn_y, _ = weights["theta"].view(3, 2)  # RZ does nothing to <Z>
            gates = [_ry(turn_y[wire]) @ _rx(turn_x[wire]) for wire in range(2)]
            chances = (state @ torch.kron(gates[1], gates[0]).T).abs() ** 2
            signs = torch.tensor([[1.0, 1], [-1, 1], [1, -1], [-1, -1]])
            logits = torch.nn.functional.linear(chances @ signs, weights["head.weight"], weights["head.bias"])
            divergence = torch.nn.functional.kl_div(
                logits.div(3).log_softmax(-1), soft[rows], reduction="batchmean", log_target=True
            )
            loss = torch.nn.functional.cross_entropy(logits, y[rows]) + 0.9 * 9 * divergence
            assert loss.item() == pytest.approx(losses[seed, step], abs=1e-4)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def _rx(angle: torch.Tensor) -> torch.Tensor:
    return torch.linalg.matrix_exp(-0.5j * angle * torch.tensor([[0, 1], [1, 0]], dtype=torch.complex64))


def _ry(angle: torch.Tensor) -> torch.Tensor:
    return torch.linalg.matrix_exp(-0.5j * angle * torch.tensor([[0, -1j], [1j, 0]], dtype=torch.complex64))


@given(labels=some.lists(some.integers(0, 2), min_size=30, max_size=60), train=some.integers(1, 3) | some.none())
def test_the_peers_split_images_as_this_library_does(mnist, labels, train):
    labels = torch.tensor([*range(3)] * 6 + labels)
    experiment = Experiment(classes=(0, 1, 2), train_per_class=train, validation_per_class=2)
    images = datasets.Images(torch.zeros(len(labels), 1, 1, 1), labels, torch.arange(len(labels)))
    ours = choice.choices(images, images, dataclasses.replace(experiment, test_per_class=1))[:2]
    theirs = mnist._first(labels.numpy(), 3, [train, 2])
    assert [part.tolist() for part in ours] == [part.tolist() for part in theirs]


def test_a_peer_reads_idx_files_and_the_logits_of_its_classes(mnist, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    draw = np.random.default_rng(0)
    labels, pixels = np.array([7, 0, 1, 0, 1, 0, 1, 0], np.uint8), draw.integers(0, 256, (8, 784), np.uint8)
    for part in ("train", "t10k"):
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(bytes(8) + labels.tobytes())
        (raw / f"{part}-images-idx3-ubyte").write_bytes(bytes(16) + pixels.tobytes())
    np.savez(tmp_path / "teacher.npz", train=np.arange(14.0).reshape(7, 2))
    sizes = {"train_per_class": 2, "validation_per_class": 1, "test_per_class": None, "classes": [0, 1]}
    found = mnist.splits({"experiment": sizes, "data": str(tmp_path), "teacher": str(tmp_path / "teacher.npz")})
    images, classes, teacher = found["train"]
    assert classes.tolist() == [0, 1, 0, 1] and teacher[:, 0].tolist() == [0, 2, 4, 6]
    assert np.array_equal(images.reshape(4, 784), pixels[1:5].astype(np.float32) / 255)
    assert found["validation"][1].tolist() == [0, 1] and len(found["test"][1]) == 7


@pytest.mark.parametrize(
    ("ours", "peers_numbers", "higher", "expected"),
    [
        (200.0, {"a": 100.0, "b": 50.0}, True, ("200", "100", "a", "2.00")),
        (2.0, {"a": 1.0, "b": 5.0}, False, ("2", "1", "a", "0.50")),
        (60.0, {"a": float("inf")}, False, ("60", ">1200", "a", ">20.00")),
    ],
)
def test_a_ratio_above_one_says_that_ours_is_faster(peers, ours, peers_numbers, higher, expected):
    row = peers.row("job", Experiment(), ours, peers_numbers, higher, "unit")
    assert tuple(row[name] for name in ("ours", "fastest", "peer", "ratio")) == expected


def test_a_job_that_no_peer_does_right_has_no_row(peers):
    with pytest.raises(RuntimeError, match="job: no peer computes the same"):
        peers.row("job", Experiment(), 1.0, {}, True, "unit")


def test_new_rows_take_the_place_of_those_of_the_same_job(peers, monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "RESULTS", tmp_path / "peers.csv")
    first, other = (peers.row(job, Experiment(), 1.0, {"a": 2.0}, False, "s") for job in ("one", "two"))
    (tmp_path / "peers.csv").write_text(peers.merged([first, other]))
    rows = list(csv.DictReader(peers.merged([first | {"ours": "9"}]).splitlines()))
    assert [(row["job"], row["ours"]) for row in rows] == [("two, s", "1"), ("one, s", "9")]


def test_a_script_that_is_asked_answers_in_seconds(peers, monkeypatch, tmp_path):
    """Ours: two epochs of three steps, by the protocol of all peers."""
    inputs, _ = peers.jobs.inputs(dataclasses.replace(revised.student(qubits=2), seeds=1), 3)
    peers.protocol.write(tmp_path / "inputs.npz", inputs)
    assert peers.protocol.read(tmp_path / "inputs.npz").experiment == as_dict(from_dict(inputs.experiment))
    line, started = peers.processes.command(sys.executable, "ours", "steps", tmp_path / "inputs.npz", "1")
    with peers.processes.running(line, started) as there:
        assert there.facts.keys() == {"losses", "first"}
        assert 0 < there.seconds(2) < 60
