"""Tables of any set of records: every seed of every record, and arms side by side."""

import dataclasses

import pytest
from few_records import TASK, executed, record, saved

from qkdlib.circuit import Circuit
from qkdlib.experiment import Experiment, Teacher
from qkdlib.records import Record, summary
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


REUPLOADING = Circuit(qubits=3, gates=("ry(x[0]) 0", "ry(w[0]) 1", "cx 0 1", "ry(x[0]) 2"), name="mine")
KINDS = {
    "placebo": Experiment(dataset="digits", epochs=1),
    "taught": Experiment(dataset="digits", epochs=1).distilled(Teacher(epochs=3, images_per_class=40)),
    "ensemble": Experiment(dataset="digits", epochs=1).distilled(
        Teacher(architecture="ensemble", members=(Teacher(epochs=2), Teacher()))
    ),
    "circuit": Experiment(dataset="digits", epochs=1, ansatz=REUPLOADING),
    "rates": Experiment(dataset="digits", epochs=1, learning_rates=(0.1, 0.2), tested="at_end"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_load_has_every_field_of_every_experiment(tmp_path, kind):
    task = KINDS[kind]
    record([0.5, 0.25], task).save(Workspace(tmp_path))
    frame = summary.load(Workspace(tmp_path))
    fields = {item.name for item in dataclasses.fields(Experiment)}
    of_teacher = {f"teacher_{item.name}" for item in dataclasses.fields(Teacher)} - {"teacher_architecture"}
    assert {*frame} >= fields | of_teacher | {"name", "seed", "last", "qasm", "lost_classes", "diverged"}
    assert frame.seed.tolist() == [0, 1] and frame["last"].tolist() == [50, 25]
    for name in fields - {"teacher", "ansatz"}:
        assert frame[name].tolist() == [getattr(task, name)] * 2, name
    assert frame.ansatz.tolist() == ["mine" if kind == "circuit" else "h_ry"] * 2
    assert frame.teacher.tolist() == [task.teacher and task.teacher.architecture] * 2
    assert frame.teacher_members.tolist() == [task.teacher and task.teacher.members] * 2
    assert len(frame.drop_duplicates(["name", "seed"])) == 2


def test_load_says_what_became_of_each_seed():
    task = Experiment(dataset="digits", classes=(0, 1), epochs=3)
    well, badly = record([0.75, 0.5], task).seeds.values()
    well |= {"validation_accuracy": [0.5] * 3, "confusion": [[2, 0, 0], [1, 1, 0]]}
    badly |= {"diverged": 2, "learning_rate": 0.1, "zero_vectors": 4, "confusion": [[2, 0, 0], [1, 0, 1]]}
    old = record([0.5]).seeds[0]
    frame = summary.load([Record(task, {0: well, 1: badly, 2: old})])
    assert frame.trained_epochs.tolist() == [3, 1, 1]
    assert frame.diverged.dropna().tolist() == [2] and frame.zero_vectors.dropna().tolist() == [4]
    assert frame.chosen_learning_rate.dropna().tolist() == [0.1]
    assert frame.lost_classes.tolist()[:2] == [0, 1] and frame.lost_classes.isna().tolist() == [False, False, True]


def test_load_of_an_empty_workspace_is_an_empty_table(tmp_path):
    assert len(summary.load(Workspace(tmp_path))) == 0


# Arms side by side


@pytest.mark.parametrize("table", [summary.arms, summary.load])
def test_what_is_no_list_of_records_is_refused(table):
    for wrong in (record([0.5]), [record([0.5]), "other"], 3):
        with pytest.raises(ValueError, match=r"^found=.* is not allowed; allowed: a list of records"):
            table(wrong)


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


def test_a_distilled_arm_finds_its_placebo_whatever_that_ones_temperature():
    task = Experiment(dataset="digits", epochs=1, seeds=2)
    placebo = record([0.5, 0.5], dataclasses.replace(task, temperature=7.0))
    taught = record([0.6, 0.6], dataclasses.replace(task, temperature=5.0).distilled(Teacher()))
    assert summary.arms([placebo, taught])["gain over placebo [95 %]"].tolist()[1] == "+10.00 [+10.00, +10.00]"


def test_arms_show_each_field_that_differs_and_no_other():
    task = Experiment(dataset="digits", epochs=1, seeds=2)
    kinds = [task, task.distilled(Teacher()), dataclasses.replace(task.distilled(Teacher()), temperature=5.0)]
    kinds.append(dataclasses.replace(task.distilled(Teacher(epochs=3), 0.5), reducer="pca", dropout=0.0))
    frame = summary.arms([record([0.5, 0.6], kind) for kind in kinds])
    assert frame.arm.tolist() == ["placebo", "lenet", "lenet", "lenet"]
    expected = {
        "reducer": ["cnn", "cnn", "cnn", "pca"], "dropout": ["0.5", "0.5", "0.5", "0.0"],
        "teacher_epochs": ["", "10", "10", "3"], "kd_weight": ["", "0.9", "0.9", "0.5"],
        "temperature": ["", "3.0", "5.0", "3.0"],
    }  # fmt: skip
    between = frame.columns[frame.columns.get_loc("arm") + 1 : frame.columns.get_loc("seeds")]
    assert {name: frame[name].tolist() for name in between} == expected
    alone = summary.arms([record([0.5, 0.6], kinds[1])])
    assert [*alone.columns[:4]] == ["task", "qubits", "arm", "seeds"]


def test_arms_say_how_many_seeds_lost_a_class_where_it_is_known():
    task = Experiment(dataset="digits", classes=(0, 1), epochs=1, seeds=2)
    known, old = record([0.75, 0.5], task), record([0.5], task.distilled(Teacher()))
    known.seeds[0]["confusion"], known.seeds[1]["confusion"] = [[2, 0, 0], [1, 1, 0]], [[2, 0, 0], [2, 0, 0]]
    assert summary.arms([known, old])["lost a class"].tolist() == ["1 of 2", ""]
    assert "lost a class" not in summary.arms([old])


def test_summary_of_an_empty_workspace_says_so(tmp_path):
    workspace = Workspace(tmp_path)
    assert summary.text(workspace) == f"no records in {tmp_path / 'results' / 'students'}"
    record([0.5, 0.6]).save(workspace)
    assert "| digits_0-5 |" in summary.text(workspace)
    assert "none yet" in summary.text(workspace)
    (workspace.figures / "figure_7.png").write_bytes(b"")
    assert summary.text(workspace).endswith(": figure_7.png")
