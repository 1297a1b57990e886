"""One image file as an array: every kind that Pillow reads, brought to 8 bits of grey or red, green and blue.

Transparent pixels show white, the page that icons and letters are drawn for. Cameras' rotation is applied.
Greys of more than 8 bits are scaled by their white, which is one number for all images that belong together.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qkdlib import files

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "JPEG2000")
ENDINGS = {
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2",
}  # fmt: skip
MOST_PIXELS = 2**26  # of one file: less than the 89 million at which Pillow warns of a decompression bomb
WHITES = (255, 2**12 - 1, 2**16 - 1)  # of 8, 12 and 16 bits; that of floats may be 1, too
GREY = ("1", "L", "LA")  # beside those `is_deep`


class Header(NamedTuple):
    """What a file says before its pixels are decoded: `size` (width, height), Pillow's `mode`, whether it has more
    than one frame, of which the first counts."""

    size: tuple[int, int]
    mode: str
    animated: bool

    @property
    def channels(self) -> int:
        """1 if it is grey, else 3."""
        return 1 if self.mode in GREY or is_deep(self.mode) else 3


def is_deep(mode: str) -> bool:
    """Whether a mode of Pillow is one of greys of more than 8 bits: integers (I...) or floats (F)."""
    return mode[0] in "IF"


@contextlib.contextmanager
def opened(file: Path) -> "Iterator[Picture]":
    """The image in a file, not yet decoded; what its content provokes in the body, too, becomes the one error.
    `files.Damaged`: the file holds no whole image of a known format, or more than `MOST_PIXELS`."""
    from PIL import Image, ImageFile

    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES  # what others have set would fill cut images up with grey
    try:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        # Not by path, which Pillow would map into memory: a rotated TIFF file gets garbled so.
        with files.checked(file), open(file, "rb") as handle, Image.open(handle, formats=known) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels, where {MOST_PIXELS:,} are the most")
            yield image
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def header(file: Path) -> Header:
    """The header of a file, and a check of its sums where the format has some; errors as in `opened`."""
    with opened(file) as image:
        found = Header(image.size, image.mode, bool(getattr(image, "is_animated", False)))
        image.verify()
    return found


def brightest(file: Path) -> tuple[str, float]:
    """ "I" or "F", and the largest value, of a file of deep greys; errors as in `pixels`."""
    with opened(file) as image:
        return image.mode[0], float(_greys(image).max())


def shared_whites(largest: list[tuple[str, float]]) -> dict[str, float]:
    """The white of all integers ("I") and of all floats ("F"), from what `brightest` says of each file of deep greys:
    the smallest usual one that no image exceeds, else the largest value."""
    whites = {}
    for mode, usual in (("I", WHITES), ("F", (1, *WHITES))):
        most = max((value for each, value in largest if each == mode), default=0.0)
        whites[mode] = next((white for white in usual if white >= most), most)
    return whites


def pixels(file: Path, size: int | None, whites: dict[str, float]) -> np.ndarray:
    """The image as uint8 (C, H, W), resized to `size` x `size` if that is not None; with the `shared_whites` of all
    images that belong together. Errors as of `opened`, and `files.Damaged` if greys are negative or not finite."""
    from PIL import Image, ImageOps

    with opened(file) as image:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        shown = _eight_bits(image, whites[image.mode[0]]) if is_deep(image.mode) else on_white(image)
        if size is not None:
            shown = shown.resize((size, size), Image.Resampling.BILINEAR)
        array = np.asarray(shown)
        return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _greys(image: "Picture") -> np.ndarray:
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("greys that are negative or not finite")
    return values


def _eight_bits(image: "Picture", white: float) -> "Picture":
    from PIL import Image

    values = _greys(image)
    scaled = (values * 255 / white).round() if image.mode == "F" else values * 256 // (white + 1)
    return Image.fromarray(scaled.astype(np.uint8))


def on_white(image: "Picture") -> "Picture":
    """The image, of no deep mode, in mode L or RGB, with its transparent parts over white."""
    from PIL import Image, ImageCms

    grey = image.mode in GREY
    if image.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(*profiles, "LAB", "RGB").apply(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if grey else "RGB")
