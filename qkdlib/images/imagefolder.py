"""Anybody's own images: which files of a folder belong to which class and part, and what they hold.

`<path>/train/<class>/*` and `<path>/test/<class>/*`, or names like these; or `<path>/<class>/*`, of which every fifth
image of a class (in the order of file names) becomes a test image, but copies go where the first of them is. What is
nearly such a folder is an error, and no file is passed over without a word.
"""

import hashlib
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeVar

import numpy as np
import torch

from qkdlib import checks, files
from qkdlib.images import image_files

T = TypeVar("T")

PARTS = ("train", "test")
TEST_EVERY = 5
LAYOUT = "a folder with one folder of images per class, or with train/ and test/ that hold one per class"
PART = re.compile(r"(train|test|val)(?:ing|id|idation)?(?:[ _-]?(?:set|data|images|split))?", re.IGNORECASE)
PART_WORD = re.compile(r"(?<![a-z])(?:train|test)")  # "seg_train", "testA"
LITTER = {"__macosx", "__pycache__", "@eadir", "#recycle", "$recycle.bin", "lost+found", "thumbs.db", "desktop.ini"}


@dataclass
class Layout:
    """The image files of a folder: paths, labels and which of the `PARTS`, in the order of class and name. `drawn` says
    that the parts are not folders of theirs; `states` are names, sizes, inodes and times; `passed_over` counts the
    files that are not read, by what they are; `name` is that of the data set, for messages."""

    root: Path
    name: str
    class_names: list[str] = field(default_factory=list)
    samples: list[tuple[Path, int, str]] = field(default_factory=list)
    drawn: bool = False
    states: list[tuple] = field(default_factory=list)
    passed_over: Counter = field(default_factory=Counter)

    @property
    def signature(self) -> str:
        """It changes whenever one of the files does."""
        return hashlib.sha256(repr(self.states).encode()).hexdigest()

    def shown(self, file: Path) -> str:
        """The name of a file in a message."""
        return checks.shortened(str(file.relative_to(self.root)))

    def unlike(self, what: str) -> NoReturn:
        """Fail, because the folder is not as it should be."""
        checks.fail("dataset", self.name, f"{LAYOUT}, unlike this one: {what}")


def layout(root: Path, name: str) -> Layout:
    """Find the images of a folder. Hidden files and folders, and what systems leave behind, do not count. `ValueError`:
    the folder is none of those that the module describes; the message says what was found."""
    if not root.is_dir():
        checks.fail("dataset", name, "imagefolder:<path> of an existing folder with one folder per class")
    found = Layout(root, name)
    folders, loose = _listed(root, found)
    found.passed_over.update(map(_kind, loose))
    halves = _halves(folders, found)
    found.drawn = not halves
    listed = [_listed(half, found) for half in halves] or [(folders, [])]
    found.class_names, of_test = ([folder.name for folder in each] for each, _ in (listed[0], listed[-1]))
    if found.class_names != of_test:
        other = [Path(each) for each in sorted({*found.class_names} ^ {*of_test})]
        found.unlike(f"not the same class folders in train and in test: {_names(other)}")
    if not found.class_names:
        found.unlike("there are no class folders")
    for part, (folders, loose) in zip(PARTS, listed, strict=False):
        found.passed_over.update(map(_kind, loose))
        for label, folder in enumerate(folders):
            for number, file in enumerate(_images(folder, found), start=1):
                drawn = "train" if number % TEST_EVERY else "test"
                found.samples.append((file, label, drawn if found.drawn else part))
    return found


def _listed(folder: Path, found: Layout) -> tuple[list[Path], list[Path]]:
    """Its folders and its files, each in the order of their names."""
    try:
        with os.scandir(folder) as entries:
            names = sorted((each.name, each.is_dir()) for each in entries if each.name[0] != ".")
    except OSError as error:
        found.unlike(f"{found.shown(folder)} cannot be read ({error.strerror})")
    kept = [(folder / name, is_folder) for name, is_folder in names if name.casefold() not in LITTER]
    return [path for path, is_folder in kept if is_folder], [path for path, is_folder in kept if not is_folder]


def _kind(file: Path) -> str:
    return f"*{file.suffix.lower()}" if file.suffix else "names without an ending"


def _names(paths: list[Path]) -> str:
    return ", ".join(checks.shortened(path.name) for path in paths[:6]) + (", ..." if len(paths) > 6 else "")


def _halves(folders: list[Path], found: Layout) -> list[Path]:
    """The folders train and test, or none if the folders are classes. What lies beside them is passed over."""
    parts = [(match[1].lower(), folder) for folder in folders if (match := PART.fullmatch(folder.name))]
    kinds = Counter(kind for kind, _ in parts)
    words = {word for folder in folders for word in PART_WORD.findall(folder.name.lower())}
    if len({*kinds} | words) < 2 and not any(_listed(folder, found)[0] for _, folder in parts):
        return []  # a class may be called "train", where no folder is called "test"
    if kinds["train"] != 1 or kinds["test"] != 1:
        found.unlike(f"not one folder is train and one test among {_names(folders)}")
    halves = [dict(parts)[kind] for kind in PARTS]
    for folder in folders:
        if folder not in halves:
            found.passed_over[f"in {checks.shortened(folder.name)}, beside train and test"] = _count(folder)
    return halves


def _count(folder: Path) -> int:
    """How many files lie in a folder and below it."""
    return sum(len(names) for _, _, names in os.walk(folder))


def _images(folder: Path, found: Layout) -> list[Path]:
    """The images of one class in one part. Folders among them may hold thumbnails, but no more files than it does."""
    folders, listed = _listed(folder, found)
    images = [file for file in listed if file.suffix.lower() in image_files.ENDINGS]
    others = Counter(_kind(file) for file in listed if file.suffix.lower() not in image_files.ENDINGS)
    links = any(path.is_symlink() for path in folders)  # which may lead to everything
    below = {f"in {found.shown(path)}, a folder in a class": _count(path) for path in folders if not links}
    if folders and (links or not images or sum(below.values()) > len(images)):
        found.unlike(f"{found.shown(folder)} holds the folders {_names(folders)} where its images should be")
    if not images:
        found.unlike(f"{found.shown(folder)} holds no images{_counted(others)}")
    found.passed_over.update(others + Counter(below))
    for file in images:
        if not file.is_file():
            found.unlike(f"{found.shown(file)} is no file, or a link to none")
        stat = file.stat()
        found.states.append((str(file), stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns))
    return images


def _counted(kinds: Counter) -> str:
    kinds = +kinds  # without zeros
    text = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(6)) + (", ..." if len(kinds) > 6 else "")
    return f" ({text})" if text else ""


def load_folder(
    path: Path, image_size: int | None, name: str = ""
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, list[str]]:
    """Images (N, C, H, W) uint8 and labels (N,) of both parts, and class names. C is 1 if every image is grey.

    Args:
        image_size: height and width to resize to; None if all images already have one size.
        name: of the data set in messages; by default that of the path.

    Raises:
        ValueError: the layout is another one, a file cannot be read, sizes differ and `image_size` is None, memory is
            too small, an image is in both parts or has two labels, or all of a part are equal.

    Warns:
        UserWarning: of files that are not read, of frames, of copies, and of numbers as names in the order of text.
    """
    found = layout(path, name or f"imagefolder:{path}")
    listed, labels, _ = zip(*found.samples, strict=True)
    headers = [_of(image_files.header, file, found) for file in listed]
    pixels = _pixels(found, listed, headers, image_size)
    firsts = _firsts(found, pixels)
    counts = {
        f"files that are not read{_counted(found.passed_over)}": found.passed_over.total(),
        "files of several frames, of which the first is read": sum(header.animated for header in headers),
        "copies of other images of their class": sum(place > first for place, first in enumerate(firsts)),
    }
    notes = [f"{what}: {count}" for what, count in counts.items() if count]
    names = found.class_names
    by_number = sorted(names, key=int) if all(map(str.isdecimal, names)) else names
    if moved := [label for label, name in enumerate(names) if name != by_number[label]]:
        notes.append(f"names of classes are in the order of text: class {moved[0]} is {names[moved[0]]!r}")
    if notes:
        warnings.warn(f"{checks.shortened(found.name)}: {'; '.join(notes)}", stacklevel=2)
    x, y = torch.from_numpy(pixels), torch.tensor(labels)
    test = torch.tensor([found.samples[first][-1] == "test" for first in firsts])
    return x[~test], y[~test], x[test], y[test], found.class_names


def _of(read: Callable[..., T], file: Path, found: Layout, *more: object) -> T:
    """What `read(file, *more)` finds."""
    try:
        return read(file, *more)
    except (files.Damaged, OSError, MemoryError) as error:
        cause = error.__cause__ or error
        reason = f"{type(cause).__name__}: {str(cause)[:120]}"
        checks.fail("dataset", found.name, f"images that can be read, unlike {found.shown(file)} ({reason})")


def _pixels(
    found: Layout, listed: Sequence[Path], headers: list[image_files.Header], image_size: int | None
) -> np.ndarray:
    """All images as one array (N, C, H, W) of uint8."""
    sizes = {tuple(sorted(header.size)) for header in headers}  # a camera's rotation may swap them
    if image_size is None and len(sizes) > 1:
        _fail_size(len(sizes), found.name)
    channels = max(header.channels for header in headers)
    area = image_size**2 if image_size else np.prod(next(iter(sizes)), dtype=float)
    needed = 5.0 * len(listed) * channels * area  # a byte as read, four in an experiment
    parameter: tuple[str, object] = ("image_size", image_size) if image_size else ("dataset", found.name)
    checks.memory(*parameter, needed, f"all {len(listed)} images")
    deep = [file for file, header in zip(listed, headers, strict=True) if image_files.is_deep(header.mode)]
    whites = image_files.shared_whites([_of(image_files.brightest, file, found) for file in deep])
    for place, file in enumerate(listed):
        image = _of(image_files.pixels, file, found, image_size, whites)
        if place == 0:
            x = np.empty((len(listed), channels, *image.shape[1:]), np.uint8)
        if x.shape[2:] != image.shape[1:]:
            _fail_size(2, found.name)
        x[place] = image
    return x


def _fail_size(count: int, name: str) -> NoReturn:
    allowed = f"a size, e.g. 28, to bring the {count} sizes of train and test in {checks.shortened(name)} to"
    checks.fail("image_size", None, allowed)


def _firsts(found: Layout, x: np.ndarray) -> list[int]:
    """For each image, the place of the first that holds the same. `ValueError`: an image is in both parts, where they
    are folders, or has two labels, or all of a part are equal."""
    keys = [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in x]
    for part in PARTS:
        of_part = [key for key, (*_, each) in zip(keys, found.samples, strict=True) if each == part]
        if len(of_part) > 1 and len(set(of_part)) == 1:
            checks.fail("dataset", found.name, f"images that differ; all {len(of_part)} of {part} are equal")
    places: dict[bytes, int] = {}
    firsts = [places.setdefault(key, place) for place, key in enumerate(keys)]
    for first, (file, label, part) in zip(firsts, found.samples, strict=True):
        its_file, its_label, its_part = found.samples[first]
        parted = its_part != part and not found.drawn
        if parted or its_label != label:
            what = "either in train or in test" if parted else "with one label"
            both = f"{found.shown(its_file)} and {found.shown(file)}"
            checks.fail("dataset", found.name, f"each image {what}; {both} hold the same")
    return firsts
