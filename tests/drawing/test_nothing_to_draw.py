"""Figures of nothing: one line that names the parameter, where matplotlib would speak of columns."""

import numpy as np
import pytest

from qkdlib.drawing import figures


@pytest.mark.parametrize(
    ("draw", "given", "name"),
    [
        (figures.loss_curves, ({},), "records"),
        (figures.seed_spread, ({},), "records"),
        (figures.teacher_curves, ({},), "teachers"),
        (figures.sample_images, ({},), "parts"),
        (figures.circuit_diagram, (), "named"),
        (figures.softened, (None, np.zeros(3), ("a", "b", "c"), ()), "temperatures"),
    ],
)
def test_a_figure_of_nothing_is_refused(draw, given, name):
    with pytest.raises(ValueError, match=rf"^{name}=.* is not allowed; allowed: at least one to draw$"):
        draw(*given)
