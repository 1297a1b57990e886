"""Images: data sets, folders of pictures, and splits of them that share no image.

`splits` turns an experiment's description of its images into tensors (N, C, H, W) in [0, 1]. Nothing is downloaded
twice, and a folder is known by what it holds.
"""

from qkdlib.images.datasets import Images, Splits, at_hand, class_names, describe, identified, splits

__all__ = ["Images", "Splits", "at_hand", "class_names", "describe", "identified", "splits"]
