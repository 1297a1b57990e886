"""Robustness: what is declared, and the table, claims and figures that made-up executions give, against numpy."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.stats
from made_up import fill_executions, holm

from qkdlib.study import claims, runs
from qkdlib.study.robustness import executions, hardware, sweeps
from qkdlib.study.robustness import figures as robustness_figures
from qkdlib.study.robustness import table as robustness_table
from qkdlib.study.robustness.executions import Condition
from qkdlib.study.verdicts import MISSING, NOISE, NOT_REPRODUCED, REPRODUCED
from qkdlib.workspace import Workspace

NOISES = ("depolarising", "amplitude_damping", "readout")


@pytest.fixture
def few(monkeypatch):
    """The first published pair with two levels of everything, and an 8-qubit pair on its device."""
    chosen = sweeps.pairs()
    first = dataclasses.replace(
        chosen[0], conditions=sweeps.sweep(10, (10, 100), {kind: (0.01, 0.1) for kind in NOISES})
    )
    eight = next(pair for pair in chosen if pair.experiment.qubits == 8)
    monkeypatch.setattr(sweeps, "pairs", lambda: (first, eight))
    return first, eight


def raw(workspace, pair) -> tuple[dict, dict]:
    """Accuracies (S,) of both arms by condition (noise, level, shots, images per class), from the files."""
    found = []
    for arm in pair.arms:
        body = json.loads((workspace.folder("results", "executions") / f"{arm.name}.json").read_text())
        found.append(
            {
                tuple(entry["condition"].values()): np.array([entry["accuracies"][str(s)] for s in range(10)])
                for entry in body["conditions"]
            }
        )
    return tuple(found)


# What is declared


def test_pairs_differ_in_the_teacher_alone():
    for pair in sweeps.pairs():
        placebo, distilled = pair.arms
        assert placebo.teacher is None and placebo.kd_weight == 0 and distilled.kd_weight == 0.9
        assert dataclasses.replace(distilled, teacher=None, kd_weight=0.0) == placebo
        assert placebo.seeds == 10


def test_published_and_revised_students_are_executed_under_noise_that_they_did_and_did_not_see():
    for student in ("published", "revised"):
        named = [pair for pair in sweeps.pairs() if pair.student == student]
        assert {pair.experiment.dataset for pair in named} == {"mnist", "fashion_mnist"}
        assert {str(pair.trained_under) for pair in named} == {"none", "depolarising 0.05"}
        for pair in named:
            kinds = {name for name, _ in pair.conditions}
            if pair.experiment.qubits < 8:
                assert {"none", "shots", *NOISES} <= kinds
            assert ("device" in kinds) == (student == "revised" and pair.trained_under.is_ideal)
    twins = {pair.experiment.digest for pair in sweeps.pairs() if pair.trained_under.is_ideal}
    for pair in sweeps.pairs():
        ideal = dataclasses.replace(pair.experiment, noise="none", noise_level=0.0)
        assert ideal.digest in twins  # what was trained under noise has a twin that was not


def test_levels_go_from_10_shots_to_10000_and_from_none_to_a_tenth():
    conditions = dict.fromkeys(condition for _, condition in sweeps.sweep(50))
    shots = sorted(condition.shots for condition in conditions if condition.noise == "none")
    assert (shots[0], shots[-1]) == (10, 10_000) and 5000 in shots
    for kind in ("depolarising", "amplitude_damping"):
        levels = [condition.level for condition in conditions if condition.noise == kind]
        assert max(levels) == 0.1 and {condition.shots for condition in conditions if condition.noise == kind} == {5000}


def test_a_device_is_compared_with_no_noise_at_its_own_shots_and_images():
    for pair in sweeps.pairs():
        for name, condition in pair.conditions:
            same = sweeps.baseline(pair, name)
            assert same.noise == "none" and same.images_per_class == condition.images_per_class
            if name not in ("shots", sweeps.BASELINE):
                assert same.shots == condition.shots


# The table


def test_without_records_every_row_is_missing(workspace, few):
    frame = robustness_table.table(workspace)
    assert len(frame) == 2 + 3 * 2 + 1
    assert set(frame.verdict) == {MISSING}
    assert not robustness_table.readable(frame).map(lambda cell: "nan" in str(cell).lower().split()).any(axis=None)


def test_numbers_are_those_of_the_files(workspace, few):
    fill_executions(workspace, few, fall=100, rest=20)
    frame = robustness_table.table(workspace)
    assert list(frame.columns) == list(robustness_table.COLUMNS)
    first = frame[frame.qubits == 3]
    placebo, distilled = raw(workspace, few[0])
    for line in first.itertuples():
        noise = "none" if line.condition == "shots" else line.condition
        key = (noise, 0.0 if line.condition == "shots" else line.level, line.shots, 10)
        base = ("none", 0.0, 5000, 10)
        assert (line.mean_placebo, line.mean_distilled) == pytest.approx((placebo[key].mean(), distilled[key].mean()))
        assert line.delta == pytest.approx((distilled[key] - placebo[key]).mean())
        spared = (distilled[key] - distilled[base]) - (placebo[key] - placebo[base])
        assert line.spared == pytest.approx(spared.mean())
        assert line.loss_placebo == pytest.approx((placebo[base] - placebo[key]).mean())
        assert line.ci_low < line.delta < line.ci_high and line.spared_ci_low < line.spared < line.spared_ci_high
        assert (line.depth, line.two_qubit_gates, line.seeds, line.images) == (7, 3, 10, 60)


def test_p_is_corrected_over_the_levels_of_one_condition(workspace, few):
    fill_executions(workspace, few, rest=10)
    frame = robustness_table.table(workspace)
    for _, group in frame[frame.qubits == 3].groupby("condition"):
        assert len(group) == 2
        for name in ("p", "spared_p"):
            assert group[f"{name}_holm"].tolist() == pytest.approx(holm(group[f"{name}_wilcoxon"].tolist()))
    placebo, distilled = raw(workspace, few[0])
    key, base = ("readout", 0.1, 5000, 10), ("none", 0.0, 5000, 10)
    spared = (distilled[key] - distilled[base]) - (placebo[key] - placebo[base])
    (line,) = frame[(frame.condition == "readout") & (frame.level == 0.1) & (frame.qubits == 3)].itertuples()
    assert line.spared_p_wilcoxon == pytest.approx(scipy.stats.wilcoxon(spared).pvalue)


@pytest.mark.parametrize(("rest", "expected"), [(60.0, REPRODUCED), (-60.0, NOT_REPRODUCED), (0.0, NOISE)])
def test_verdicts_of_students_that_lose_less_more_or_the_same(workspace, few, rest, expected):
    fill_executions(workspace, few, fall=100, rest=rest)
    frame = robustness_table.table(workspace)
    strong = frame[(frame.level == 0.1) & (frame.qubits == 3)]
    assert set(strong.condition) == set(NOISES)
    if expected == NOISE:
        assert (strong.spared.abs() < 2).all() and REPRODUCED not in set(strong.verdict)
    else:
        assert set(strong.verdict) == {expected}


def test_a_student_with_less_to_lose_is_not_called_robust(workspace, few):
    fill_executions(workspace, few, fall=300)
    path = workspace.folder("results", "executions") / f"{few[0].arms[1].name}.json"
    body = json.loads(path.read_text())
    for entry in body["conditions"]:  # collapsed: at chance with and without noise
        entry["accuracies"] = {seed: 16.0 + 0.01 * int(seed) for seed in entry["accuracies"]}
    path.write_text(json.dumps(body))
    frame = robustness_table.table(workspace)
    strong = frame[(frame.level == 0.1) & (frame.qubits == 3)]
    assert (strong.spared > 20).all() and (strong.spared_p_holm < 0.05).all()
    assert set(strong.verdict) == {robustness_table.LESS_TO_LOSE}


# Claims


def test_claims_about_noise_are_counted_and_averaged_from_the_executions(workspace, few):
    fill_executions(workspace, few, fall=100, rest=60)
    found = claims.table(workspace).set_index("id")
    frame = robustness_table.table(workspace)
    noisy = frame[frame.condition != "shots"]
    count = int((noisy.verdict == REPRODUCED).sum())
    assert found.ours["C4a"] == f"{count} of {len(noisy)}" and 0 < count < len(noisy)
    placebo, distilled = raw(workspace, few[0])
    base = ("none", 0.0, 5000, 10)
    spared = [
        (distilled[key] - distilled[base]) - (placebo[key] - placebo[base]) for key in placebo if key[0] in NOISES
    ]
    assert len(spared) == 6
    assert float(found.ours["C4a2"]) == pytest.approx(np.mean(spared), abs=0.00501)
    assert found.verdict["C4a2"] == REPRODUCED
    on_device = frame[frame.condition == "device"]
    assert float(found.ours["V6a"]) == pytest.approx(on_device.spared.mean(), abs=0.00501)
    assert float(found.ours["V6"]) == pytest.approx(-on_device.loss_distilled.mean(), abs=0.00501)
    assert found.verdict["V6"] == NOT_REPRODUCED


def test_one_missing_execution_takes_the_claims_with_it(workspace, few):
    fill_executions(workspace, few[:1])
    found = claims.table(workspace).set_index("id")
    assert found.verdict["C4a"] == found.verdict["V6"] == found.verdict["V6a"] == MISSING
    assert found.verdict["C4a2"] != MISSING


# What is run


def test_only_what_has_no_record_is_asked_for(workspace, few):
    every = sweeps.missing(workspace)
    assert [arm for arm, _ in every] == [arm for pair in few for arm in pair.arms]
    assert [len(conditions) for _, conditions in every] == [1 + 2 + 3 * 2] * 2 + [2] * 2
    fill_executions(workspace, few[:1])
    assert [arm for arm, _ in sweeps.missing(workspace)] == list(few[1].arms)
    assert sweeps.missing(workspace, fresh=True) == every
    assert sweeps.missing(workspace, chosen=few[:1]) == []


def test_committed_executions_are_those_that_are_declared():
    assert "robustness" in runs.PARTS
    for pair in sweeps.pairs():
        for arm in pair.arms:
            asked = {condition for _, condition in pair.conditions}
            assert set(executions.find(arm, Workspace())) == asked


def test_a_condition_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="^noise_level=0.7 is not allowed; allowed: a number from 0 to 0.5"):
        Condition(noise="readout", level=0.7)


# Figures and costs


def test_figures_show_every_level_of_every_pair(workspace, few):
    assert robustness_figures.drawn(workspace) == {}
    fill_executions(workspace, few)
    drawn = robustness_figures.drawn(workspace)
    assert list(drawn) == ["shots", "noise", "device"]
    (axis,) = drawn["shots"].axes
    lines = [line for line in axis.lines if len(line.get_xdata()) == 2 and line.get_marker() == "."]
    placebo, distilled = raw(workspace, few[0])
    for line, arm in zip(lines, (placebo, distilled), strict=True):
        assert line.get_xdata().tolist() == [10, 100]
        assert line.get_ydata() == pytest.approx([arm["none", 0.0, shots, 10].mean() for shots in (10, 100)])
    assert len(drawn["noise"].axes) == 3
    for axis, kind in zip(drawn["noise"].axes, NOISES, strict=True):
        curve = next(line for line in axis.lines if line.get_marker() == ".")
        assert curve.get_xdata().tolist() == [0, 0.01, 0.1]
        assert curve.get_ydata()[-1] == pytest.approx(placebo[kind, 0.1, 5000, 10].mean())
    (axis,) = drawn["device"].axes
    heights = [patch.get_height() for patch in axis.patches]
    placebo, distilled = raw(workspace, few[1])
    assert heights == pytest.approx([arm[key].mean() for arm in (placebo, distilled) for key in arm])


def test_costs_are_circuits_times_shots():
    frame = hardware.table().set_index(["student", "qubits", "encoder"])
    published, amplitude = frame.loc["published", 3, "ansatz_angles"], frame.loc["revised", 4, "amplitude"]
    assert (published.test_circuits, published.epoch_circuits) == (900, 900 * 7)
    assert amplitude.circuits_per_image == 1 + 2 * (15 + 12)
    assert amplitude.epoch_shots == 1500 * 55 * 5000
    assert amplitude.epoch_hours == pytest.approx(1500 * 55 * 5000 * 250e-6 / 3600)
    doubled = frame.xs("amplitude", level="encoder").two_qubit_gates.droplevel(0)
    assert doubled.to_dict() == {q: 2**q - 2 for q in (4, 8, 10)}
    assert (frame.line_two_qubit_gates >= frame.two_qubit_gates).all()
    assert (frame[frame.two_qubit_gates == 0].line_two_qubit_gates == 0).all()
