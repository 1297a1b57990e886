"""The table and the claims that synthetic executions give, against numpy and scipy."""

import json

import numpy as np
import pytest
from few_pairs import NOISES, raw
from intervals import near_interval, near_p
from synthetic import fill_executions, holm

from qkdlib.study import contents
from qkdlib.study.robustness import table as robustness_table
from qkdlib.study.verdicts import CONTRADICTED, MISSING, REPRODUCED


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
        assert (line.ci_low, line.ci_high) == near_interval(distilled[key] - placebo[key])
        assert (line.spared_ci_low, line.spared_ci_high) == near_interval(spared)
        assert (line.depth, line.two_qubit_gates, line.seeds, line.images) == (7, 3, 10, 60)


def test_p_is_corrected_over_the_levels_of_one_condition(workspace, few):
    fill_executions(workspace, few, rest=10)
    frame = robustness_table.table(workspace)
    for _, group in frame[frame.qubits == 3].groupby("condition"):
        assert len(group) == 2
        for name in ("p", "spared_p"):
            assert group[f"{name}_holm"].tolist() == pytest.approx(holm(group[name].tolist()))
    placebo, distilled = raw(workspace, few[0])
    key, base = ("readout", 0.1, 5000, 10), ("none", 0.0, 5000, 10)
    spared = (distilled[key] - distilled[base]) - (placebo[key] - placebo[base])
    (line,) = frame[(frame.condition == "readout") & (frame.level == 0.1) & (frame.qubits == 3)].itertuples()
    assert line.spared_p == near_p(spared)


@pytest.mark.parametrize(("rest", "expected"), [(60.0, REPRODUCED), (-60.0, CONTRADICTED), (0.0, None)])
def test_verdicts_of_students_that_lose_less_more_or_the_same(workspace, few, rest, expected):
    fill_executions(workspace, few, fall=100, rest=rest)
    frame = robustness_table.table(workspace)
    strong = frame[(frame.level == 0.1) & (frame.qubits == 3)]
    assert set(strong.condition) == set(NOISES)
    if expected is None:
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
    found = contents.CLAIMS.make(workspace).set_index("id")
    frame = robustness_table.table(workspace)
    noisy = frame[frame.condition != "shots"]
    count = int((noisy.verdict == REPRODUCED).sum())
    assert found.ours["C4a"] == f"{count} of {len(noisy)}" and 0 < count < len(noisy)
    against = noisy.verdict.isin([CONTRADICTED, robustness_table.LESS_TO_LOSE]).sum()
    assert robustness_table.less_sensitive(frame) == (count, against, len(noisy))
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
    assert found.verdict["V6"] == CONTRADICTED


def test_one_missing_execution_takes_the_claims_with_it(workspace, few):
    fill_executions(workspace, few[:1])
    found = contents.CLAIMS.make(workspace).set_index("id")
    assert found.verdict["C4a"] == found.verdict["V6"] == found.verdict["V6a"] == MISSING
    assert found.verdict["C4a2"] != MISSING
