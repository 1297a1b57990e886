"""One image file: the same picture is the same array in every kind of file; what is damaged is one error."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile

from qkdlib import files
from qkdlib.images import image_files

SIZE = (12, 10)  # width, height


def drawn(box):
    """Black on white: a picture (H, W) of uint8."""
    left, top, width, height = box
    grey = np.full(SIZE[::-1], 255, np.uint8)
    grey[top : top + height, left : left + width] = 0
    return grey


def ink(grey, mode):
    """The same as black ink on a transparent page."""
    image = Image.new(mode, SIZE, 0)
    image.putalpha(Image.fromarray(255 - grey))
    return image


def palette(grey, colours, **options):
    image = Image.fromarray((grey > 0).astype(np.uint8)).convert("P")
    image.putpalette([value for colour in colours for value in colour])
    return image, options


def lab(grey):
    standard, other = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.profileToProfile(Image.fromarray(grey).convert("RGB"), standard, other, outputMode="LAB")


def integers(grey, white):
    return Image.fromarray((grey // 255).astype(np.int32) * np.int32(white))


KINDS = {  # ending -> image, or image and options of saving
    "L.png": Image.fromarray,
    "1.png": lambda grey: Image.fromarray(grey).convert("1"),
    "1.tiff": lambda grey: Image.fromarray(grey).convert("1"),
    "RGB.png": lambda grey: Image.fromarray(grey).convert("RGB"),
    "RGB.bmp": lambda grey: Image.fromarray(grey).convert("RGB"),
    "RGB.ppm": lambda grey: Image.fromarray(grey).convert("RGB"),
    "RGB.jp2": lambda grey: Image.fromarray(grey).convert("RGB"),
    "L.gif": Image.fromarray,
    "P.png": lambda grey: palette(grey, [(0, 0, 0), (255, 255, 255)]),
    "P turned round.png": lambda grey: palette(255 - grey, [(255, 255, 255), (0, 0, 0)]),
    "P transparent.png": lambda grey: palette(grey, [(0, 0, 0), (0, 0, 0)], transparency=1),
    "P transparent.gif": lambda grey: palette(grey, [(0, 0, 0), (9, 9, 9)], transparency=1),
    "P half transparent.png": lambda grey: palette(grey, [(0, 0, 0), (0, 0, 0)], transparency=bytes([255, 0])),
    "LA.png": lambda grey: ink(grey, "L"),
    "RGBA.png": lambda grey: ink(grey, "RGB"),
    "RGBA.tiff": lambda grey: ink(grey, "RGB"),
    "RGBA.webp": lambda grey: (ink(grey, "RGB"), {"lossless": True}),
    "L transparent.png": lambda grey: (Image.fromarray(np.where(grey, 7, 0).astype(np.uint8)), {"transparency": 7}),
    "CMYK.tiff": lambda grey: Image.fromarray(grey).convert("CMYK"),
    "CMYK.jpg": lambda grey: (Image.fromarray(np.full_like(grey, grey.mean())).convert("CMYK"), {"quality": 100}),
    "YCbCr.tiff": lambda grey: Image.fromarray(grey).convert("RGB").convert("YCbCr"),
    "LAB.tiff": lab,
    "I;16.png": lambda grey: Image.fromarray(grey.astype(np.uint16) * 257),
    "I;16 12 bits.png": lambda grey: Image.fromarray(grey.astype(np.uint16) * 16),
    "I 8 bits.tiff": lambda grey: integers(grey, 255),
    "I 16 bits.tiff": lambda grey: integers(grey, 2**16 - 1),
    "I 32 bits.tiff": lambda grey: integers(grey, 2**31 - 1),
    "F.tiff": lambda grey: Image.fromarray(grey.astype(np.float32) / 255),
    "F 8 bits.tiff": lambda grey: Image.fromarray(grey.astype(np.float32)),
    "F.pfm": lambda grey: Image.fromarray(grey.astype(np.float32) / 255),
}
BOXES = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 5), st.integers(1, 4))


def read(path, size=None):
    """As `imagefolder` reads a folder of this one file."""
    deep = [image_files.brightest(path)] if image_files.is_deep(image_files.header(path).mode) else []
    return image_files.pixels(path, size, image_files.shared_whites(deep))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.mark.parametrize("kind", KINDS)
@given(box=BOXES)
@settings(max_examples=10)
def test_a_picture_is_the_same_in_every_kind_of_file(folder, kind, box):
    grey = drawn(box)
    made = KINDS[kind](grey)
    image, options = made if isinstance(made, tuple) else (made, {})
    path = folder / kind
    image.save(path, **options)
    expected = np.full_like(grey, grey.mean()) if kind == "CMYK.jpg" else grey
    pixels = read(path)
    assert pixels.dtype == np.uint8 and pixels.shape[1:] == expected.shape
    assert image_files.header(path).channels == len(pixels)
    assert np.abs(pixels.astype(int) - expected).max() <= 2


def test_half_transparent_ink_is_grey(tmp_path):
    Image.new("RGBA", SIZE, (0, 0, 0, 51)).save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png") == 204).all()


def test_white_ink_on_nothing_is_white(tmp_path):
    """The ground is white whatever the ink is; a folder of such images is an error of `imagefolder`."""
    Image.new("LA", SIZE, (255, 0)).save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png") == 255).all()


@pytest.mark.parametrize("ending", ["png", "jpg", "tiff", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_cameras_rotation_is_applied(tmp_path, ending, orientation):
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :8] = 255
    undo = {  # how a camera held so stores the upright picture
        1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1],
        5: lambda x: x.T, 6: lambda x: np.rot90(x), 7: lambda x: x[::-1, ::-1].T, 8: lambda x: np.rot90(x, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    Image.fromarray(np.ascontiguousarray(undo[orientation](upright))).save(path, exif=exif, quality=100)
    assert np.abs(read(path)[0].astype(int) - upright).max() <= 8


def test_deep_greys_share_one_white():
    whites = image_files.shared_whites
    assert whites([]) == {"I": 255, "F": 1}
    assert whites([("I", 200), ("I", 300)]) == {"I": 4095, "F": 1}
    assert whites([("I", 5000), ("F", 0.5)]) == {"I": 65535, "F": 1}
    assert whites([("I", 70_000), ("F", 1.5)]) == {"I": 70_000, "F": 255}
    assert whites([("F", 1e12)])["F"] == 1e12


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_greys_that_are_none_are_an_error(tmp_path, value):
    path = tmp_path / "a.tiff"
    Image.fromarray(np.array([[0, value]], np.float32)).save(path)
    with pytest.raises(files.Damaged, match=r"a\.tiff is damaged: .*negative or not finite"):
        read(path)


def test_the_first_frame_counts(tmp_path):
    frames = [Image.new("L", SIZE, value) for value in (10, 20)]
    for name in ("a.gif", "b.tiff", "c.png", "d.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        assert image_files.header(tmp_path / name).animated
        assert (read(tmp_path / name) == 10).all()
    frames[0].save(tmp_path / "one.gif")
    assert not image_files.header(tmp_path / "one.gif").animated


def test_images_are_known_by_their_content_and_not_by_their_ending(tmp_path):
    Image.new("RGB", SIZE, (1, 2, 3)).save(tmp_path / "a.jpg", "PNG")
    assert read(tmp_path / "a.jpg")[:, 0, 0].tolist() == [1, 2, 3]


# Damaged files


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, *chunks):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


ROWS = chunk(b"IDAT", zlib.compress(bytes(4 * 5)))
DAMAGED = {
    "empty": b"",
    "text": b"no image",
    "no pixels": png(4, 4),
    "garbage between chunks": png(4, 4, ROWS[:20], b"\0\0\0\5\x8d\x03\x98\xa6aaaaaaaaa"),
    "a wrong sum": png(4, 4, ROWS[:-1] + b"\0"),
    "a short text chunk": png(4, 4, chunk(b"zTXt", b"a\0\1x"), ROWS),
    "a large text chunk": png(4, 4, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3_000_000))), ROWS),
    "more pixels than Pillow allows": png(40_000, 40_000, ROWS),
    "more pixels than there may be": png(8193, 8192, ROWS),
    "a script": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_one_error_that_names_the_file(tmp_path, name):
    path = tmp_path / "a.png"
    path.write_bytes(DAMAGED[name])
    with pytest.raises(files.Damaged, match=r"a\.png is damaged"):
        read(path)


def test_the_largest_image_is_read(tmp_path, monkeypatch):
    Image.new("L", SIZE, 3).save(tmp_path / "a.png")
    monkeypatch.setattr(image_files, "MOST_PIXELS", 120)
    assert (read(tmp_path / "a.png") == 3).all()
    monkeypatch.setattr(image_files, "MOST_PIXELS", 119)
    with pytest.raises(files.Damaged, match="12x10 pixels, where 119 are the most"):
        image_files.header(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp", "tiff", "webp", "ppm"])
def test_a_cut_file_is_damaged_even_where_others_have_asked_pillow_to_fill_it_up(tmp_path, monkeypatch, ending):
    path = tmp_path / f"a.{ending}"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(path)
    whole = path.read_bytes()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for length in range(1, len(whole) - len(whole) // 10, max(1, len(whole) // 20)):
        path.write_bytes(whole[:length])
        with pytest.raises(files.Damaged):
            read(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True  # theirs, again
    path.write_bytes(whole)
    assert read(path).shape[1:] == (32, 32)


def test_a_missing_file_stays_that(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "a.png")
