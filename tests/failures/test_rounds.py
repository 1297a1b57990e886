"""Processes that run the same and overlapping experiments in one workspace at once leave what they would leave one
after the other."""

import dataclasses
import random

import children
import pytest

from qkdlib.records import read_all
from qkdlib.workspace import Workspace

ROUNDS, SEEDS = 20, 3
SAMPLED = dataclasses.replace(children.TASK, gradient="published_shift", sampler="multinomial")
TASKS = [children.TASK, children.TAUGHT, SAMPLED]


@pytest.fixture(scope="module")
def alone(parent, tmp_path_factory) -> dict[str, dict]:
    """For each experiment the results of all seeds, made one after the other."""
    root, found = tmp_path_factory.mktemp("alone"), {}
    for task in TASKS:
        call = (children.run, dataclasses.replace(task, seeds=SEEDS), root)
        [(_, found[task.name])] = parent.submit(children.together, [call]).result()
    return found


@pytest.mark.parametrize("number", range(ROUNDS))
def test_processes_in_one_workspace_at_once(parent, alone, tmp_path, number):
    draw = random.Random(number)
    asked = [dataclasses.replace(draw.choice(TASKS), seeds=draw.randint(1, SEEDS)) for _ in range(draw.randint(2, 3))]
    ended = parent.submit(children.together, [(children.run, task, tmp_path) for task in asked]).result()
    for task, (_, given) in zip(asked, ended, strict=True):
        assert given == {str(seed): alone[task.name][str(seed)] for seed in range(task.seeds)}
    wanted = {task.name: max(each.seeds for each in asked if each.name == task.name) for task in asked}
    found = {record.experiment.name: record.seeds for record in read_all(Workspace(tmp_path))}
    assert found == {name: {seed: alone[name][str(seed)] for seed in range(seeds)} for name, seeds in wanted.items()}
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert [name for name in left if name.startswith(".") or "damaged" in name] == []
