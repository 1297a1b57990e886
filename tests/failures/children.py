"""Processes that run experiments and may be killed: children of one process that has imported everything.

That process has never trained or executed, so that it has one thread, and forking it is safe and fast.
"""

import concurrent.futures
import json
import multiprocessing
import os
import traceback
from collections.abc import Callable

from qkdlib.experiment import Experiment, Teacher
from qkdlib.workspace import Workspace

TASK = Experiment(
    dataset="digits", classes=(0, 1), train_per_class=6, validation_per_class=3, test_per_class=5, qubits=2, epochs=1,
    batch_size=6, seeds=2, shots=50,
)  # fmt: skip
TAUGHT = TASK.distilled(Teacher(epochs=1, images_per_class=40))


def parent() -> concurrent.futures.ProcessPoolExecutor:
    """The process whose children run; as a context, it ends with it."""
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(1, mp_context=context, initializer=_import)


def _import() -> None:
    import qiskit.transpiler.preset_passmanagers.builtin_plugins  # noqa: F401
    import qiskit_aer  # noqa: F401
    import torch._dynamo  # an optimizer loads it  # noqa: F401

    from qkdlib.images import datasets
    from qkdlib.teachers import teacher_training  # noqa: F401

    datasets.splits(TASK)


def together(calls: list[tuple]) -> list[tuple[int, object]]:
    """Run each `(function, *arguments)` in a child of its own, all at once.

    Returns:
        For each the signal that ended it, 0 if none did, and what the function returned, as JSON holds it.
    """
    started = [_start(*call) for call in calls]
    return [_end(*child) for child in started]


def _start(function: Callable, *given) -> tuple[int, int]:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            answer = json.dumps(function(*given)).encode()
            with os.fdopen(write, "wb") as pipe:
                pipe.write(answer)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(write)
    return pid, read


def _end(pid: int, read: int) -> tuple[int, object]:
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    status = os.waitpid(pid, 0)[1]
    return (os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0), json.loads(answer or "null")


def run(experiment: Experiment, root) -> dict:
    """The results of an experiment, seed by seed."""
    from qkdlib import pipeline

    seeds = pipeline.run(experiment, workspace=Workspace(root), device="cpu").seeds
    return {str(seed): results for seed, results in seeds.items()}
