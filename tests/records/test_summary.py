"""Tables of any set of records: every seed of every record, and arms side by side."""

import pytest
from few_records import TASK, executed, record, saved

from qkdlib.experiment import Experiment, Teacher
from qkdlib.records import summary
from qkdlib.workspace import Workspace

# Every seed of every record


def test_load_gives_a_row_per_experiment_and_seed(tmp_path):
    workspace = Workspace(tmp_path)
    distilled = TASK.distilled(Teacher(architecture="alexnet"))
    saved(workspace, TASK, (0, 1, 2))
    saved(workspace, distilled, (0, 1))
    frame = summary.load(workspace)
    assert len(frame) == 5
    assert frame.groupby("name").seed.apply(list).to_dict() == {TASK.name: [0, 1, 2], distilled.name: [0, 1]}
    assert {"dataset", "qubits", "kd_weight", "last", "selected", "selected_epoch", "best_test", "qasm"} <= {*frame}
    taught = frame[frame.name == distilled.name]
    assert set(taught.teacher) == {"alexnet"} and set(taught.kd_weight) == {0.9}
    assert frame[frame.name == TASK.name].teacher.isna().all()
    assert taught["last"].tolist() == pytest.approx([50, 51])
    assert frame.classes.tolist() == [(0, 1, 2, 3, 4, 5)] * 5


def test_load_of_an_empty_workspace_is_an_empty_table(tmp_path):
    assert len(summary.load(Workspace(tmp_path))) == 0


# Arms side by side


def test_summary_sets_each_arm_beside_its_placebo():
    task = Experiment(dataset="digits", epochs=1, seeds=3)
    placebo = record([0.5, 0.6, 0.7], task)
    distilled = record([0.6, 0.7, 0.8], task.distilled(Teacher()))
    frame = summary.arms([distilled, placebo])
    assert frame["arm"].tolist() == ["placebo", "lenet"]
    assert frame["gain over placebo [95 %]"].tolist() == ["", "+10.00 [+10.00, +10.00]"]
    assert frame["sd"].tolist() == ["10.00", "10.00"]
    assert frame["accuracy [95 %]"].tolist()[0].startswith("60.00 [")
    assert frame["QASM, 5000 shots"].tolist() == ["30.00 (3 seeds)", "35.00 (3 seeds)"]


def test_summary_says_how_many_seeds_were_executed():
    some, none = executed([0.5, 0.6, 0.7], [0.4, None, 0.75]), executed([0.5], [None])
    assert summary.arms([some])["QASM, 5000 shots"].tolist() == ["57.50 (2 seeds)"]
    assert summary.arms([none])["QASM, 5000 shots"].tolist() == [""]


def test_summary_pairs_the_common_seeds():
    task = Experiment(dataset="digits", epochs=1, seeds=2)
    frame = summary.arms([record([0.5, 0.5, 0.9], task), record([0.6, 0.6], task.distilled(Teacher()))])
    assert frame["gain over placebo [95 %]"].tolist()[1] == "+10.00 [+10.00, +10.00]"


def test_summary_leaves_the_gain_out_without_a_placebo():
    alone = record([0.6, 0.7], Experiment(dataset="digits", epochs=1, seeds=2).distilled(Teacher()))
    assert summary.arms([alone])["gain over placebo [95 %]"].tolist() == [""]


def test_arms_without_a_common_seed_have_no_gain():
    task = Experiment(dataset="digits", seeds=1)
    apart = record([0.5, 0.6], task), record([0.5], task.distilled(Teacher()))
    del apart[0].seeds[0]
    assert summary.arms(apart)["gain over placebo [95 %]"].tolist() == ["", ""]


def test_summary_of_an_empty_workspace_says_so(tmp_path):
    workspace = Workspace(tmp_path)
    assert summary.text(workspace) == f"no records in {tmp_path / 'results' / 'students'}"
    record([0.5, 0.6]).save(workspace)
    assert "| digits_0-5 |" in summary.text(workspace)
    assert "none yet" in summary.text(workspace)
    (workspace.figures / "figure_7.png").write_bytes(b"")
    assert summary.text(workspace).endswith(": figure_7.png")
