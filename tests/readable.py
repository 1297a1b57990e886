"""Whether the words of a drawing can be read, and whether it is drawn the same twice."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch

from qkdlib import drawing


def words(figure) -> list[tuple[str, object]]:
    """The words of a figure and where they are, in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    return [(text.get_text(), text.get_window_extent(renderer)) for axis in figure.axes for text in axis.texts]


def inside(inner, outer) -> bool:
    return outer.x0 <= inner.x0 and outer.y0 <= inner.y0 and inner.x1 <= outer.x1 and inner.y1 <= outer.y1


def assert_readable(figure) -> None:
    """No words overlap, all are in the figure, and whatever has its middle in a box does not stick out of it."""
    found = [(text, extent) for text, extent in words(figure) if text]
    assert len(found) > 10
    assert [text for text, extent in found if not inside(extent, figure.bbox)] == []
    pairs = itertools.combinations(found, 2)
    assert [(one[0], two[0]) for one, two in pairs if one[1].overlaps(two[1])] == []
    boxes = [patch.get_window_extent() for patch in figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    assert all(inside(box, figure.bbox) for box in boxes)
    for text, extent in found:
        middle = (extent.x0 + extent.x1) / 2, (extent.y0 + extent.y1) / 2
        assert all(inside(extent, box) for box in boxes if box.contains(*middle)), text


def assert_the_same_file_twice(draw, folder) -> None:
    """Drawn twice, the files of the figure are equal."""
    one, two = (drawing.save(draw(), folder / name, "drawing") for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
