"""Fixtures of v1's tables: synthetic records of all its students, what is made of them, and what they say."""

import itertools

import pytest
from synthetic import fill, per_seed, save_teachers

from qkdlib.study import v1
from qkdlib.study.v1 import paper, tables
from qkdlib.workspace import Workspace


@pytest.fixture(scope="session")
def every_row(tmp_path_factory):
    """A workspace with a record for every declared experiment of v1 and every redrawn row, and every teacher's file."""
    workspace = Workspace(tmp_path_factory.mktemp("whole"))
    fill(workspace, parts=("v1", "v1-drawn"))
    save_teachers(workspace)
    return workspace


@pytest.fixture(scope="session")
def frames(every_row):
    """The three tables of that workspace and that of the redrawn rows, by name."""
    declared = {table.name: table.make(every_row) for table in (v1.TABLE_1, v1.TABLE_2, v1.DESCRIBED)}
    return declared | {"drawn": tables.drawn(every_row)}


@pytest.fixture(scope="session")
def by_table(every_row, frames):
    """For each table its students: the row, its line, and the seeds' numbers and those of as many of its placebo, read
    without qkdlib."""
    raw = {name: seeds.sort_values("seed") for name, seeds in per_seed(every_row).groupby("name")}
    rows = paper.rows(1), paper.rows(2), paper.described_rows(), paper.drawn_rows()
    asked = dict(zip(frames, rows, strict=True))
    return {
        name: [
            (row, line, raw[row.experiment.name], raw[row.experiment.placebo().name].iloc[: row.experiment.seeds])
            for row, line in zip(asked[name], frame.to_dict("records"), strict=True)
            if row.category != "Teacher"
        ]
        for name, frame in frames.items()
    }


@pytest.fixture(scope="session")
def pairs(by_table):
    """The students of all four tables."""
    return list(itertools.chain.from_iterable(by_table.values()))
