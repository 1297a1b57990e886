"""Drawing: figures of any records, images, circuits and networks, under one style.

A figure is drawn without a window, and saved such that equal figures are equal files.
"""

from qkdlib.drawing.style import COLOURS, OTHER, PAPER, Figure, save, styled

__all__ = ["COLOURS", "OTHER", "PAPER", "Figure", "save", "styled"]
