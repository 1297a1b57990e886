"""Execution of trained students on a quantum backend."""

import dataclasses
import html
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from qkdlib import backends, checks, runtime, torch_settings
from qkdlib.backends import Facts
from qkdlib.images import Images
from qkdlib.randomness import number
from qkdlib.records import Record, Summary, rounded, summarise
from qkdlib.students import Student, classified_right
from qkdlib.trained import Block, with_weights
from qkdlib.workspace import Workspace

SECONDS = 5.0  # after which what has been executed is saved


@dataclass(frozen=True)
class Executed:
    """Accuracies in [0, 1] of some seeds of a student on a backend, by seed, and how they came about."""

    accuracies: dict[int, float]
    facts: Facts
    shots: int
    images: int
    jobs: int
    seconds: float

    @property
    def summary(self) -> Summary:
        """Mean over the seeds, in percent, with its interval."""
        return summarise([100 * accuracy for accuracy in self.accuracies.values()])

    def __str__(self) -> str:
        """The mean in percent, with its 95 % interval over the seeds, and how it came about."""
        seeds = f"{len(self.accuracies)} seed{'' if len(self.accuracies) == 1 else 's'}"
        circuit = f"depth {self.facts.depth:,} with {self.facts.two_qubit_gates:,} two-qubit gates"
        how = f"{self.shots:,} shots, {self.images:,} images, {self.jobs:,} jobs, {self.seconds:.1f} s; {circuit}"
        if not self.accuracies:
            return f"no seed was executed on {self.facts.backend} ({how})"
        mean = self.summary
        interval = f" [{mean.low:.2f}, {mean.high:.2f}]" if mean.seeds > 1 else ""
        return f"{mean.mean:.2f} %{interval} right on {self.facts.backend} ({seeds}, {how})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>"


def execute(
    student: Student, images: Images, *, shots: int | None = None, on: backends.AnyBackend = None,
    seeds: int | None = None, rows_per_job: int | None = None, attempts: int = 3, keep: Path | None = None,
    done: Callable[[int, float], None] = lambda seed, accuracy: None,
) -> Executed:  # fmt: skip
    """Run a trained student's circuits for every image and classify by what was sampled.

    Args:
        images: for instance `splits(experiment).test`.
        shots: samples per image; None: as the experiment says.
        on, rows_per_job, attempts, keep: as in `backends.sample`.
        seeds: how many of the student's seeds, from the first; None for all.
        done: told each seed and its accuracy as soon as it is there.

    Seeds whose weights are no numbers, because their training diverged, are left out with a warning. Errors as of
    `backends.sample`.
    """
    if not isinstance(student, Student):
        checks.fail("student", student, "a trained qkdlib.Student, as qkdlib.trained_student returns it")
    if not isinstance(images, Images):
        checks.fail("images", images, "images with their labels, such as qkdlib.splits(experiment).test")
    if images.rows is not None and len(images.rows) != len(student.seeds):
        allowed = f"images of the student's {len(student.seeds)} seeds, such as qkdlib.splits(student.experiment).test"
        checks.fail("images", f"of {len(images.rows)} seeds", allowed)
    shots = checks.whole("shots", student.experiment.shots if shots is None else shots)
    seeds = checks.whole("seeds", len(student.seeds) if seeds is None else seeds, maximum=len(student.seeds))
    if student.executed is None:
        checks.fail("ansatz", student.experiment.ansatz, "one that is a circuit: a classical twin has none")
    backend, started = backends.get(on), time.perf_counter()
    facts, earlier, count = backend.facts(student.executed), 0, 0
    with torch.inference_mode():
        chunks = (chunk.to(student.signs.device) for chunk in images.chunks(student.evaluation_batch))
        angles = torch.cat([student.angles(chunk) for chunk in chunks], dim=1)[:seeds].cpu().numpy()  # (S, N, A)
    labels = images.y.cpu().expand(len(student.seeds), -1)
    sound = np.isfinite(angles).all((1, 2)) & student.finite()[:seeds]
    if not sound.all():
        diverged = [seed for seed, good in zip(student.seeds, sound, strict=False) if not good]
        warnings.warn(f"seeds {diverged} of {student.experiment.name} diverged, and are not executed", stacklevel=2)
    accuracies = {}
    for place in runtime.progress(np.flatnonzero(sound).tolist(), desc=backend.name):
        seed = student.seeds[place]
        found = backends.sample(
            student.executed, angles[place], shots, number(seed, "shots"), backend, rows_per_job=rows_per_job,
            attempts=attempts, keep=keep,
        )  # fmt: skip
        count, earlier = count + found.jobs, earlier + found.facts.earlier_jobs
        logits = student.read_out(torch.from_numpy(found.frequencies), place).cpu()
        accuracies[seed] = float(classified_right(logits, labels[place]).float().mean())
        done(seed, accuracies[seed])
    facts = dataclasses.replace(facts, earlier_jobs=earlier)
    return Executed(accuracies, facts, shots, len(images), count, time.perf_counter() - started)


def execute_record(record: Record, entry: dict, student: Student, images: Images, workspace: Workspace) -> None:
    """Execute on Aer the seeds that an entry of the record's provenance names as `unexecuted`; save the record every
    few seconds and in the end. `RuntimeError`: the execution failed; the record is saved all the same."""
    before, accuracies, failed = dict(entry["seconds"]), {}, None
    started = saved = time.perf_counter()

    def keep(seed: int, accuracy: float) -> None:
        nonlocal saved
        _note(record, entry, {seed: accuracy}, before, time.perf_counter() - started)
        entry["unexecuted"].remove(seed)
        if time.perf_counter() - saved >= SECONDS:
            record.save(workspace)
            saved = time.perf_counter()

    try:
        accuracies = execute(student, images, seeds=len(entry["unexecuted"]), done=keep).accuracies
    except Exception as error:  # Aer's own, no memory: hours of training do not depend on it
        failed = error
    _note(record, entry, accuracies, before, time.perf_counter() - started)
    del entry["unexecuted"]
    path = record.save(workspace)
    if failed is not None:
        raise _failure(checks.line(failed, 500), path) from failed


@dataclass(frozen=True)
class OnAer:
    """Accuracies in [0, 1] of a block's seeds on Aer, without those that diverged; or why it failed."""

    accuracies: dict[int, float]
    seconds: float
    failed: str = ""


def execute_block(block: Block, weights: dict[str, np.ndarray]) -> OnAer:
    """Execute the students of a block, whose weights these are, on the test images. It reads images and writes
    nothing."""
    device, started = runtime.start(), time.perf_counter()
    with torch_settings.plain_torch():
        parts = block.parts()
        student = with_weights(block.experiment, block.seeds, weights, parts.shape)
        student = student.fit_reducer(parts.train.x).to(device).eval()
        try:
            found, failed = execute(student, parts.test).accuracies, ""
        except Exception as error:  # as `execute_record`
            found, failed = {}, checks.line(error, 500)
    return OnAer(found, time.perf_counter() - started, failed)


def write_block(record: Record, entry: dict, seeds: list[int], found: OnAer, workspace: Workspace) -> None:
    """Save in the record what became of `seeds`, which its `entry` names as unexecuted. `RuntimeError`: as of
    `execute_record`."""
    _note(record, entry, found.accuracies, entry["seconds"], found.seconds)
    entry["unexecuted"] = [seed for seed in entry["unexecuted"] if seed not in seeds]
    if not entry["unexecuted"]:
        del entry["unexecuted"]
    path = record.save(workspace)
    if found.failed:
        raise _failure(found.failed, path)


def _note(record: Record, entry: dict, found: dict[int, float], before: dict, seconds: float) -> None:
    """Take accuracies into the record, and the `seconds` of their execution, beside those `before` it, into its
    entry."""
    for seed, accuracy in found.items():
        record.seeds[seed]["qasm_accuracy"] = rounded(accuracy)
    now = {"execution": before.get("execution", 0.0) + seconds, "all": before["all"] + seconds}
    entry["seconds"] = before | {name: round(value, 1) for name, value in now.items()}


def _failure(reason: str, path: Path) -> RuntimeError:
    return RuntimeError(
        f"the execution on Aer failed ({reason}); the training is saved, without accuracies on the QASM simulator, in "
        f"{path}"
    )
