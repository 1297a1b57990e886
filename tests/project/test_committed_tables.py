"""What is committed of tables and figures: all of them, with the numbers of the committed records."""

from pathlib import Path

import pandas as pd
import pytest
from synthetic import per_seed

from qkdlib import records
from qkdlib.study import v1
from qkdlib.study.controlled import design
from qkdlib.study.v1 import paper, tables
from qkdlib.study.v2 import ablation, cost, revised
from qkdlib.study.verdicts import MISSING
from qkdlib.workspace import Workspace

ROOT = Path(__file__).parents[2]
V1_TABLES = {table.name: table for table in (*v1.TABLES.values(), v1.DESCRIBED)}
OF_TRAINED = ("trained_share", "trained_ci_low", "p_trained", "pairs_trained", "trained_delta", "rank", "delta_90_low")


def test_every_figure_and_table_is_committed():
    figures = [*(f"figure_{number}" for number in (*range(1, 8), 11, 12)), "seed_spread", "strategies"]
    figures += ["shots", "noise", "device", "collapse", "controls", "data_scaling"]
    tables_ = ["table_1", "table_2", "described", "claims", "ablation", "ranking", "entangler", "cost"]
    tables_ += ["robustness", "hardware", "collapse", "robust", "controls", "grid", "answers"]
    wanted = [f"figures/{name}.{ending}" for name in figures for ending in ("pdf", "png")]
    wanted += [f"tables/{name}.{ending}" for name in tables_ for ending in ("csv", "md", "tex")]
    assert [name for name in wanted if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("name", V1_TABLES)
def test_committed_tables_are_what_the_committed_records_give(name):
    now = V1_TABLES[name].make(Workspace(ROOT))
    there = pd.read_csv(ROOT / "tables" / f"{name}.csv")
    assert there.columns.tolist() == now.columns.tolist()
    for column in ("id", "run", *tables.VERDICTS):
        assert there[column].fillna("").tolist() == now[column].fillna("").tolist()
    for column in ("mean_last", "ci_low", "ci_high", "delta_mean", "p_holm", "over_direct_mean", *OF_TRAINED):
        expected = now[column].astype(float).tolist()
        assert there[column].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-9, nan_ok=True)


def test_every_row_of_the_paper_has_its_records():
    """All of its seeds, what they make of each class, and in the table a verdict on whatever is run as published."""
    for row in (row for row in paper.rows() + paper.described_rows() if row.qubits):
        for arm in (row.experiment, row.experiment.placebo()):
            found = records.complete(arm, Workspace(ROOT))
            assert found is not None and len(found.seeds) == arm.seeds, row.label
            assert records.confusions(found).shape == (arm.seeds, len(row.classes), len(row.classes) + 1)
    for name in V1_TABLES:
        there = pd.read_csv(ROOT / "tables" / f"{name}.csv")
        assert not (there[list(tables.VERDICTS)] == MISSING).any(axis=None)


V2_TABLES = {"ablation": revised.bars(), "entangler": revised.variants()}


@pytest.mark.parametrize("name", V2_TABLES)
def test_committed_tables_of_v2_have_the_means_of_the_committed_records(name):
    """From the records' JSON alone: of the epoch that validation chose where it stopped the training, else the last."""
    raw = per_seed(Workspace(ROOT)).sort_values("seed").groupby("name")
    there = pd.read_csv(ROOT / "tables" / f"{name}.csv")
    assert len(there) == len(V2_TABLES[name])
    for line, bar in zip(there.itertuples(), V2_TABLES[name], strict=True):
        assert (line.method, line.dataset, line.qubits, line.regime) == (
            bar.method,
            bar.dataset,
            bar.qubits,
            bar.regime,
        )
        (copy,) = [copy for copy in bar.copies if copy.experiment.dataset == line.images]
        column = "selected" if bar.regime == revised.CONVERGED else "last"
        arms = {arm: e.name for arm, e in copy.arms.items()}
        seeds = copy.experiment.seeds
        error = {arm: 100 - raw.get_group(name)[column].iloc[:seeds].values for arm, name in arms.items()}
        assert line.seeds == seeds
        assert line.mean_error == pytest.approx(error["lenet"].mean(), rel=1e-4)
        assert line.sd == pytest.approx(error["lenet"].std(ddof=1), rel=1e-4)
        assert line.placebo_error == pytest.approx(error[None].mean(), rel=1e-4)
        assert line.gain_kd == pytest.approx((error[None] - error["lenet"]).mean(), rel=1e-4, abs=1e-4)
        if "alexnet" in error:
            assert line.alexnet_gain == pytest.approx((error[None] - error["alexnet"]).mean(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", V2_TABLES)
def test_committed_tables_of_v2_are_what_the_committed_records_give(name):
    """Every column of the bars of CIFAR10, which are the fewest; the others' means are tested above."""
    now = ablation.table([bar for bar in V2_TABLES[name] if bar.dataset == "cifar10"], Workspace(ROOT))
    there = pd.read_csv(ROOT / "tables" / f"{name}.csv", keep_default_na=False, na_values=[""])
    there = there[there.dataset == "cifar10"].reset_index(drop=True)
    assert there.columns.tolist() == now.columns.tolist()
    for column in now.columns:
        if now[column].map(lambda cell: isinstance(cell, str)).any():
            assert there[column].tolist() == now[column].tolist()
        else:
            expected = now[column].astype(float).tolist()
            assert there[column].astype(float).tolist() == pytest.approx(expected, rel=1e-4, abs=1e-9, nan_ok=True)


def test_committed_controls_have_the_means_of_the_committed_records():
    """From the records' JSON alone: of the epoch that validation chose where it stopped the training, else the last."""
    raw = per_seed(Workspace(ROOT)).sort_values("seed").groupby("name")
    there = pd.read_csv(ROOT / "tables" / "controls.csv", dtype={"images_per_class": str})
    place = ["student", "dataset", "qubits", "classes", "images_per_class"]
    tasks = [(task, 150) for task in design.tasks()]
    tasks += [(task, size) for task, sizes in design.scaled_tasks() for size in sizes if size != 150]
    assert len(there.groupby(place)) == len(tasks)
    for task, size in tasks:
        own = (task.student, task.placebo.dataset, task.placebo.qubits, f"0-{task.placebo.classes[-1]}")
        lines = there[(there[place] == [*own, str(size or "all")]).all(axis=1)].set_index("control")
        arms = task.arms if size == 150 else design.scaled(task, size).arms
        assert lines.index.tolist() == list(arms)
        column = "selected" if task.student == "revised" else "last"
        kept = {name: raw.get_group(arm.name)[column].iloc[: arm.seeds].values for name, arm in arms.items()}
        for name, values in kept.items():
            assert lines["mean"][name] == pytest.approx(values.mean(), rel=1e-4)
            if name != "placebo":
                delta = (values - kept["placebo"]).mean()
                assert lines.delta_vs_placebo[name] == pytest.approx(delta, rel=1e-4, abs=1e-4)


def test_the_committed_ranking_is_that_of_the_committed_table():
    ranking, frame = (pd.read_csv(ROOT / "tables" / f"{name}.csv") for name in ("ranking", "ablation"))
    assert len(ranking) == 6 * 5  # tasks, and the paper's order and ours in two regimes with and without a teacher
    for row in ranking.to_dict("records"):
        regime, _, arm = row["source"].partition(", ")
        of_task = frame[(frame.dataset == row["dataset"]) & (frame.qubits == row["qubits"])]
        of_task = of_task[of_task.regime == ("10 epochs" if regime == "paper" else regime)]
        column = {"": "paper_error", "distilled": "mean_error", "placebo": "placebo_error"}[arm]
        named = [row[f"{place}."].split(" ")[0] for place in range(1, 8)]
        assert of_task.set_index("method")[column][named].is_monotonic_increasing
        assert row["rho"] == pytest.approx(of_task[column].corr(of_task.paper_error, method="spearman"), abs=0.0051)


def test_the_committed_costs_have_seconds_wherever_something_was_trained():
    there = pd.read_csv(ROOT / "tables" / "cost.csv", keep_default_na=False, na_values=[""])
    assert there.columns.tolist() == list(cost.COLUMNS)
    assert len(there) == 70
    assert (there.bytes == 4 * (there.classical_parameters + there.quantum_parameters)).all()
    untimed = there[there.seconds_per_epoch.isna()]
    assert untimed[["network", "images"]].values.tolist() == [["alexnet", "32x32 colour"], ["ensemble", "32x32 colour"]]
