"""The figures of synthetic executions show the numbers of their files."""

import pytest
from few_pairs import NOISES, raw
from synthetic import fill_executions

from qkdlib.study.claims import Lacking
from qkdlib.study.robustness import figures as robustness_figures


def test_figures_show_every_level_of_every_pair(workspace, few):
    drawings = {"shots": robustness_figures.shots, "noise": robustness_figures.noise,
                "device": robustness_figures.device}  # fmt: skip
    for draw in drawings.values():
        with pytest.raises(Lacking, match="^records of executions$"):
            draw(workspace)
    fill_executions(workspace, few)
    drawn = {name: draw(workspace) for name, draw in drawings.items()}
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
