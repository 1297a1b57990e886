"""Trained students: of a workspace, with the weights that it keeps, else trained, on the logits of their teacher; or,
wherever they are trained, as what comes of a block of seeds."""

import dataclasses
import datetime
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qkdlib import checks, files, runtime, torch_settings
from qkdlib.experiment import Experiment
from qkdlib.parts import check_registered
from qkdlib.records import Record
from qkdlib.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import torch

    from qkdlib.images import Splits
    from qkdlib.students import Student


def weights_path(experiment: Experiment, workspace: Workspace) -> Path:
    """Where the weights of an experiment's students lie, or will."""
    return workspace.checkpoints / f"{experiment.name}.npz"


def students_of(
    experiment: Experiment, seeds: list[int], parts: "Splits", record: Record | None, workspace: Workspace,
    device: "torch.device",
) -> "Student":  # fmt: skip
    """The trained students of `seeds`: with the weights that are kept, else (or if those are damaged) trained again."""
    from qkdlib import training
    from qkdlib.students import Student

    student = Student(experiment, parts.shape, seeds).fit_reducer(parts.train.x)
    try:
        if student.load_weights(weights_path(experiment, workspace), record.diverged() if record else ()):
            return student.to(device).eval()
    except files.Damaged as damaged:
        files.set_aside(damaged)
    if record is None:
        warnings.warn(f"{experiment.name}: there is no record of it; it is trained now", stacklevel=3)
    student, _, _ = train(experiment, seeds, parts, workspace, device, workspace.checkpoints)
    keep(student, workspace)
    training.forget(workspace.checkpoints, experiment, seeds, device)
    return student.to(device).eval()


def check_fit(experiment: Experiment, parts: "Splits", most: int | None = None) -> None:
    """Raise `ValueError` where the student and its loss do not fit each other, the images or the memory, by all seeds
    or at `most` so many at once."""
    from qkdlib import training
    from qkdlib.students import Student

    one = Student(experiment, parts.shape, seeds=[0])
    training.check_reducer(one, parts)
    one.fit_reducer(parts.train.x)
    training.check_loss(one)
    count = min(experiment.seeds, most or experiment.seeds)
    needed = one.memory_needed(parts.train.x[: len(parts.train)])
    if parts.drawn:  # of each seed's own images those that are evaluated at once, and targets for all
        tests = parts.test.x[0].numel() * min(one.evaluation_batch, len(parts.test))
        images = sum(map(len, (parts.train, parts.validation, parts.test)))
        needed += 4.0 * tests + 16.0 * images * len(experiment.classes)
    checks.memory("seeds", experiment.seeds, count * needed, "their training")


def keep(student: "Student", workspace: Workspace) -> None:
    """Save the weights, which can be had again by training: without them a result is none the worse."""
    path = weights_path(student.experiment, workspace)
    try:
        student.save_weights(path)
    except (OSError, MemoryError) as error:
        warnings.warn(f"the weights are not kept: {path}: {error}", stacklevel=3)


def train(
    experiment: Experiment, seeds: list[int], parts: "Splits", workspace: Workspace, device: "str | torch.device",
    folder: Path | None = None,
) -> "tuple[Student, list[dict], float]":  # fmt: skip
    """The students of `seeds`, trained on `parts` with the logits of their teacher, which is trained first if it has
    none; their curves (`training.train_students`), and the seconds that took, without the teacher's. What `folder`
    keeps of a training that was interrupted is gone on from, and counted; `training.forget` removes it."""
    check_registered(experiment)
    logits = teachers_logits(experiment, seeds, parts, workspace, device)
    return _train(experiment, seeds, parts, logits, device, folder)


def teachers_logits(
    experiment: Experiment, seeds: list[int], parts: "Splits", workspace: Workspace, device: "str | torch.device"
) -> "torch.Tensor | None":
    """The logits that students of these seeds learn from, controls included, of their teachers, which are trained first
    if there are none: (N, C) for `parts.all_train`; or where each seed has its own images or teacher, (S, N, C) for its
    training and then its validation images. None for a placebo."""
    import torch

    from qkdlib.teachers import controls, teacher_training

    if experiment.teacher is None:
        return None
    seen, found = parts.of(seeds), {}
    for teacher in dict.fromkeys(map(experiment.teacher.of, seeds)):
        found[teacher] = teacher_training.train_teacher(experiment, teacher, seen, workspace, device).train
    if parts.drawn is None and experiment.teacher.networks == 1:
        return controls.apply(experiment, found[experiment.teacher], parts)
    each = []
    for seed in seeds:
        alone, own = experiment.of_seed(seed), parts.of([seed])
        logits = controls.apply(alone, found[experiment.teacher.of(seed)], own)
        each.append(logits[torch.cat(own.students_rows())])
    return torch.stack(each)


def _train(
    experiment: Experiment, seeds: list[int], parts: "Splits", logits: "torch.Tensor | None",
    device: "str | torch.device", folder: Path | None,
) -> "tuple[Student, list[dict], float]":  # fmt: skip
    from qkdlib import training

    started = time.perf_counter()
    student, results = training.train_students(experiment, parts, logits, seeds, device, folder)
    return student, results, time.perf_counter() - started + student.seconds_before


@dataclass(frozen=True)
class Block:
    """Seeds of an experiment, and what their training takes beside the images of its data set. It can be sent to
    another process.

    Args:
        logits: of the teacher, (N, C) for the rows of `Splits.students_rows`, or (S, N, C); None for a placebo.
        features: what students see in the place of their train, validation and test images; (): the images.
        folder: keeps the training while it runs, where this machine has that folder.
    """

    experiment: Experiment
    seeds: list[int]
    logits: "np.ndarray | None" = None
    features: "tuple[np.ndarray, ...]" = ()
    folder: Path | None = None

    @classmethod
    def of(
        cls, experiment: Experiment, seeds: list[int], parts: "Splits", logits: "torch.Tensor | None" = None,
        folder: Path | None = None,
    ) -> "Block":  # fmt: skip
        """The block of these seeds, on `parts` as their students see them, with logits as `teachers_logits` gives
        them."""
        import torch

        if logits is not None and logits.ndim == 2:
            logits = logits[torch.cat(parts.students_rows())]
        seen = (parts.train, parts.validation, parts.test) if experiment.features else ()
        features = tuple(each.x.numpy() for each in seen)
        return cls(experiment, seeds, None if logits is None else logits.numpy(), features, folder)

    def share(self, seeds: list[int]) -> "Block":
        """The block of some of its seeds."""
        logits = self.logits
        if logits is not None and logits.ndim == 3:
            logits = logits[[self.seeds.index(seed) for seed in seeds]]
        return dataclasses.replace(self, seeds=seeds, logits=logits)

    def parts(self) -> "Splits":
        """The images that the students see."""
        import torch

        from qkdlib.images import datasets

        found = datasets.splits(self.experiment).of(self.seeds)
        seen = {
            name: dataclasses.replace(getattr(found, name), x=torch.tensor(x))
            for name, x in zip(("train", "validation", "test"), self.features, strict=False)
        }
        return dataclasses.replace(found, **seen)

    def all_logits(self, parts: "Splits") -> "torch.Tensor | None":
        """The teacher's logits as `teachers_logits` gives them, those for `parts.all_train` 0 where no student sees
        them."""
        import torch

        if self.logits is None:
            return None
        if self.logits.ndim == 3:
            return torch.tensor(self.logits)
        logits = torch.zeros(len(parts.all_train), self.logits.shape[1])
        logits[torch.cat(parts.students_rows())] = torch.tensor(self.logits)
        return logits


@dataclass(frozen=True)
class Trained:
    """What comes of a block: for each seed its results, `weights` by name, each (S, ...), and the entry of the record's
    provenance."""

    results: list[dict]
    weights: "dict[str, np.ndarray]"
    entry: dict

    @property
    def seeds(self) -> list[int]:
        """Which they are."""
        return self.entry["seeds"]


def train_block(block: Block) -> Trained:
    """Train the students of a block on this process's device. It reads images, and writes nothing but into
    `block.folder`."""
    device = runtime.start()
    with torch_settings.plain_torch():
        parts = block.parts()
        return train_seeds(block.experiment, block.seeds, parts, block.all_logits(parts), device, block.folder)


def train_seeds(
    experiment: Experiment, seeds: list[int], parts: "Splits", logits: "torch.Tensor | None", device: "torch.device",
    folder: Path | None,
) -> Trained:  # fmt: skip
    """As `train_block`, of what is there: `parts` as students see them, logits as of `teachers_logits`."""
    started = time.perf_counter()
    student, results, seconds = _train(experiment, seeds, parts, logits, device, folder)
    entry = {
        "seeds": seeds,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": {"training": round(seconds, 1), "execution": 0.0, "all": round(time.perf_counter() - started, 1)},
        "threads": runtime.threads(),
        **runtime.provenance(device),
    }
    return Trained(results, weights_of(student), entry)


def with_weights(
    experiment: Experiment, seeds: list[int], weights: "dict[str, np.ndarray]", shape: tuple[int, int, int]
) -> "Student":  # fmt: skip
    """The students of `seeds` for images (C, H, W) with these weights, each (S, ...), whose reducer is not fitted."""
    import torch

    from qkdlib.students import Student

    student = Student(experiment, shape, seeds)
    student.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    return student


def weights_of(student: "Student") -> "dict[str, np.ndarray]":
    """The parameters of students by name, each (S, ...)."""
    return {name: value.detach().cpu().numpy() for name, value in student.named_parameters()}
