"""Images: data sets, folders of pictures, and splits of them that share no image.

`splits` turns an experiment's description of its images into tensors (N, C, H, W). Nothing is downloaded twice; a
folder is known by what it holds, and so are arrays and torch data sets, which `from_arrays` and `from_datasets` take.
"""

from qkdlib.images.arrays import from_arrays, from_datasets
from qkdlib.images.choice import Images, Splits, normalised
from qkdlib.images.datasets import at_hand, class_names, describe, identified, splits

__all__ = [
    "Images", "Splits", "at_hand", "class_names", "describe", "from_arrays", "from_datasets", "identified",
    "normalised", "splits",
]  # fmt: skip
