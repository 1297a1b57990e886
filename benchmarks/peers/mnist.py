"""MNIST and a teacher's logits by numpy alone, cut as the experiment says: the first images of each class in file
order train, the next ones validate."""

from pathlib import Path

import numpy as np

HEADS = {"images": 16, "labels": 8}  # bytes before the pixels and the labels


def read(folder: Path, part: str, kind: str) -> np.ndarray:
    """Pixels (N, 1, 28, 28) or labels (N,) of a part, `train` or `t10k`."""
    name = f"{part}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
    content = np.fromfile(folder / "MNIST" / "raw" / name, np.uint8)[HEADS[kind] :]
    return content.reshape(-1, 1, 28, 28) if kind == "images" else content


def splits(job: dict) -> dict[str, tuple[np.ndarray, ...]]:
    """Images in [0, 1], labels, and for `train` the teacher's logits, of `train`, `validation` and `test`."""
    experiment, folder = job["experiment"], Path(job["data"])
    classes = experiment["classes"]
    with np.load(job["teacher"]) as file:
        teacher = file["train"].astype(np.float32)  # of the classes' images in file order
    found = {}
    for part, names in (("train", ("train", "validation")), ("t10k", ("test",))):
        pixels, labels = read(folder, part, "images"), read(folder, part, "labels")
        inside = np.flatnonzero(np.isin(labels, classes))
        labels = np.searchsorted(classes, labels[inside])
        sizes = [experiment[f"{name}_per_class"] for name in names]
        for name, rows in zip(names, _first(labels, len(classes), sizes), strict=True):
            images = pixels[inside[rows]].astype(np.float32) / 255
            found[name] = (images, labels[rows].astype(np.int32), *([teacher[rows]] if name == "train" else []))
    return found


def _first(labels: np.ndarray, classes: int, sizes: list[int | None]) -> list[np.ndarray]:
    """Of each class as many as `sizes` say, one group after the other; None takes what the others leave."""
    groups: list[list[np.ndarray]] = [[] for _ in sizes]
    for label in range(classes):
        members = np.flatnonzero(labels == label)
        rest = len(members) - sum(size or 0 for size in sizes)
        start = 0
        for group, size in zip(groups, sizes, strict=True):
            length = rest if size is None else size
            group.append(members[start : start + length])
            start += length
    return [np.sort(np.concatenate(group)) for group in groups]
