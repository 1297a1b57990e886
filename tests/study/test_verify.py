"""Portable records: made, compared bit by bit, and committed for five protocols."""

import dataclasses
import json
from pathlib import Path

import pytest

from qkdlib import portable
from qkdlib.__main__ import main
from qkdlib.experiment import Experiment
from qkdlib.study import verify
from qkdlib.workspace import Workspace

ROOT = Path(__file__).parents[2]
PUBLISHED = Experiment(
    dataset="digits", train_per_class=10, validation_per_class=5, test_per_class=10, epochs=1, batch_size=4, seeds=3
)
DESCRIBED = dataclasses.replace(
    PUBLISHED, reducer="fully_connected", encoder="amplitude_tanh", head="renormalised", dropout=0.0
)
TINY = {"published": PUBLISHED, "described": DESCRIBED}


@pytest.fixture
def made(workspace, monkeypatch):
    """A workspace with the portable records of two tiny experiments."""
    monkeypatch.setattr(verify, "blocks", lambda: TINY)
    monkeypatch.setattr(portable, "is_on", lambda: True)  # what a processor without AVX2 computes is equal to itself
    assert main(["verify", "--make", "--workspace", str(workspace.root)]) == 0
    return workspace


def path_of(workspace: Workspace, name: str) -> Path:
    return workspace.folder("results", "portable") / f"{TINY[name].name}.json"


def test_equal_bits_are_said_to_be_equal(made, capsys):
    assert main(["verify", "--workspace", str(made.root)]) == 0
    said = capsys.readouterr().out.splitlines()[-3:]
    assert [line.rpartition(": ")[2] for line in said[:2]] == ["equal", "equal"]
    assert said[2] == f"2 of 2 equal on this machine ({portable.facts()['processor']})"


@pytest.mark.parametrize("part", ["weights", "validation_ce"])
def test_a_different_bit_is_named_and_the_command_fails(made, capsys, part):
    path = path_of(made, "described")
    body = json.loads(path.read_text())
    body["seeds"]["1"][part] = "0" * 64 if part == "weights" else [body["seeds"]["1"][part][0] + 1e-6]
    path.write_text(json.dumps(body))
    assert main(["verify", "--workspace", str(made.root)]) == 1
    captured = capsys.readouterr()
    assert [line.rpartition(": ")[2] for line in captured.out.splitlines()[-3:-1]] == ["equal", "differs in seed 1"]
    assert captured.out.splitlines()[-1].startswith("1 of 2 equal")
    assert captured.err == "error: this machine computes other bits than those of the portable records\n"


def test_nothing_is_compared_outside_of_the_portable_mode(made, monkeypatch, capsys):
    monkeypatch.setenv("QKD_PORTABLE", "0")
    assert main(["verify", "--workspace", str(made.root)]) == 2
    assert capsys.readouterr().err.startswith("error: QKD_PORTABLE='0' is not allowed; allowed: 1")
    monkeypatch.setattr(portable, "is_on", lambda: False)
    assert main(["verify", "--make", "--workspace", str(made.root)]) == 1
    assert "only be made in the portable mode" in capsys.readouterr().err


def test_missing_and_damaged_records_are_named_before_anything_trains(made, monkeypatch, capsys):
    monkeypatch.setattr(verify, "_trained", None)
    path = path_of(made, "described")
    path.write_text("{")
    assert main(["verify", "--workspace", str(made.root)]) == 2
    assert f"{path} is damaged" in capsys.readouterr().err
    path.unlink()
    assert main(["verify", "--workspace", str(made.root)]) == 2
    assert path.name in capsys.readouterr().err


def test_five_protocols_have_committed_portable_records():
    blocks = verify.blocks()
    assert len({task.digest for task in blocks.values()}) == len(blocks) == 5
    for name, task in blocks.items():
        body = json.loads((ROOT / "results" / "portable" / f"{task.name}.json").read_text())
        assert (body["protocol"], body["digest"]) == (name, task.digest)
        assert (body["provenance"]["portable"], body["provenance"]["mkl"]) == (True, "COMPATIBLE")
        assert list(body["seeds"]) == ["0", "1"]
        assert len({seed["weights"] for seed in body["seeds"].values()}) == 2
