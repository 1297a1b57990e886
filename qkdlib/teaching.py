"""The training of a teacher as a job, for this process or for a worker."""

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from qkdlib import files, images, runtime, teachers
from qkdlib.blocks import Task
from qkdlib.experiment import Experiment, Teacher
from qkdlib.spreading import Job
from qkdlib.teachers.networks import LARGE
from qkdlib.workspace import Workspace


def teacher_job(
    task: Experiment, teacher: Teacher, workspace: Workspace, fresh: bool, say: Callable[[str], None], near: bool
) -> Job:
    """The job that trains a teacher and leaves its logits in the workspace.

    Args:
        task: its data set and classes are the teacher's.
        say: told the teacher's name when its training begins.
        near: workers are on this machine and keep the training in the workspace. A large network, which takes all
            cores, is then trained in this process, as is put together here what consists of several.
    """
    single = teacher.trained() == (teacher,)
    name = teachers.teacher_name(task, teacher)

    def here() -> None:
        say(f"teacher {name}")
        if fresh and not single:  # its members are fresh already
            teachers.logits_path(workspace, task, teacher).unlink(missing_ok=True)
        teachers.train_teacher(task, teacher, images.splits(task), workspace, runtime.start(), fresh=fresh and single)

    def tasks(_pieces: int) -> list[Task]:
        say(f"teacher {name}")
        given = task, teacher, workspace.folder() if near else None, fresh
        return [
            Task(task, train_network, given, functools.partial(_write, teachers.logits_path(workspace, task, teacher)))
        ]

    one = dataclasses.replace(task, seeds=1)
    return Job(name, one, here, (tasks,), alone=not single or (near and teacher.architecture in LARGE))


def train_network(task: Experiment, teacher: Teacher, root: Path | None, fresh: bool) -> bytes:
    """Train the network of a teacher, and return the file of its logits. The training is kept in the workspace of that
    `root`, if there is one."""
    with contextlib.ExitStack() as stack:
        place = Workspace(root or stack.enter_context(tempfile.TemporaryDirectory()))
        teachers.train_teacher(task, teacher, images.splits(task), place, runtime.start(), fresh=fresh)
        return teachers.logits_path(place, task, teacher).read_bytes()


def _write(path: Path, content: bytes) -> None:
    with files.atomic(path) as temporary:
        temporary.write_bytes(content)
