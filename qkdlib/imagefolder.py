"""Anybody's own images, in torchvision's ImageFolder layout.

`<path>/train/<class>/*` and `<path>/test/<class>/*`; or `<path>/<class>/*`, of which every fifth image of a class
(in the order of file names) becomes a test image.
"""

from pathlib import Path

import numpy as np
import torch

from qkdlib import checks

TEST_EVERY = 5


def load_folder(path: Path, image_size: int | None):
    """Images (N, C, H, W) uint8 and labels (N,) of both parts, and class names. C is 1 if every image is grey.

    Args:
        path: the folder.
        image_size: height and width to resize to; None if all images already have one size.

    Raises:
        ValueError: the folder does not have the layout, or its images differ in size and `image_size` is None.
    """
    from torchvision.datasets import ImageFolder

    name = f"imagefolder:{path}"
    if not path.is_dir():
        checks.fail("dataset", name, "imagefolder:<path> of an existing folder with one folder per class")
    halves = [path / "train", path / "test"] if (path / "train").is_dir() else [path]
    try:
        folders = [ImageFolder(str(half)) for half in halves]
    except (FileNotFoundError, OSError) as error:
        checks.fail("dataset", name, f"a folder with one folder of images per class ({error})")
    if len({tuple(folder.classes) for folder in folders}) > 1:
        checks.fail("dataset", name, "the same class folders in train and in test")

    loaded = [_read(folder.samples, image_size, name) for folder in folders]
    channels = max(x.shape[1] for x, _ in loaded)
    loaded = [(x.expand(-1, channels, -1, -1), y) for x, y in loaded]
    if len(loaded) == 1:
        x, y = loaded[0]
        is_test = torch.zeros(len(y), dtype=torch.bool)
        for label in range(len(folders[0].classes)):
            is_test[torch.nonzero(y == label).squeeze(1)[TEST_EVERY - 1 :: TEST_EVERY]] = True
        loaded = [(x[~is_test], y[~is_test]), (x[is_test], y[is_test])]
    (x_train, y_train), (x_test, y_test) = loaded
    if x_train.shape[1:] != x_test.shape[1:]:
        checks.fail("image_size", image_size, "one size for train and test; set it, e.g. image_size=28")
    return x_train, y_train, x_test, y_test, folders[0].classes


def _read(samples: list[tuple[str, int]], image_size: int | None, name: str):
    from PIL import Image

    arrays = []
    for file, _ in samples:
        try:
            image = Image.open(file)
            image.load()
        except OSError as error:
            checks.fail("dataset", name, f"images that can be read, unlike {file} ({error})")
        with image:
            if image.mode.startswith("I;16"):
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            image = image.convert("L" if image.mode in ("1", "L", "LA", "I", "I;16") else "RGB")
            if image_size is not None:
                image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
            array = np.asarray(image)
        arrays.append(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))  # (C, H, W)
    sizes = {array.shape[1:] for array in arrays}
    if len(sizes) > 1:
        checks.fail("image_size", image_size, f"a size to bring the {len(sizes)} sizes of {name} to, e.g. 28")
    channels = max(len(array) for array in arrays)
    stacked = np.stack([np.broadcast_to(array, (channels, *array.shape[1:])) for array in arrays])
    return torch.from_numpy(stacked), torch.tensor([label for _, label in samples])
