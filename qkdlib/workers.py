"""Processes that compute for this one: on this machine, or of the Dask scheduler that `QKD_SCHEDULER` names.

A worker computes one thing at a time, on one thread, and returns it. The images that this takes are the worker's own,
from its `QKD_DATA`, if they are the same to the last pixel; else it says so (`Lacking`) and is given them, once.
"""

import contextlib
import logging
import os
import platform
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from qkdlib import checks, names, portable, runtime

if TYPE_CHECKING:
    import distributed

VARIABLE = "QKD_SCHEDULER"
ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://[^\s/]+:\d{1,5}")
EXAMPLE = "the address of a Dask scheduler that answers, such as tcp://10.0.0.1:8786"
ANSWER = 10  # seconds in which a scheduler answers
LOST = (
    "a process was killed, perhaps for lack of memory, or could not start, because the script has no "
    'if __name__ == "__main__": above what it calls; what was finished before is saved'
)

_turn = threading.Lock()
_handed: dict[tuple[str, int | None], str] = {}  # the content of the data sets that this process was handed


class Images(NamedTuple):
    """A data set, its image size and its content."""

    dataset: str
    image_size: int | None
    content: str

    @classmethod
    def of(cls, dataset: str, image_size: int | None) -> "Images":
        """Those that this process reads."""
        from qkdlib.images import datasets

        return cls(dataset, image_size, datasets.content(dataset, image_size))


class Lacking(Exception):
    """A worker does not have the images."""


def scheduler() -> str | None:
    """The address in `QKD_SCHEDULER`; None if there is none. `ValueError`: it is no address."""
    text = os.environ.get(VARIABLE)
    return checks.fail(VARIABLE, text, EXAMPLE) if text and not ADDRESS.fullmatch(text) else text or None


def facts() -> dict[str, Any]:
    """In what processes have to agree, so that their results are the same."""
    same = {name: runtime.version(name) for name in ("qkdlib", "torch", "numpy")}
    python = ".".join(platform.python_version_tuple()[:2])
    return same | {"commit": runtime.commit(), "numerics": names.NUMERICS, "Python": python,
                   "QKD_PORTABLE": int(portable.wanted()), "device": runtime.found_device("auto").type}  # fmt: skip


def differences(theirs: dict[str, Any], mine: dict[str, Any]) -> str:
    """What differs between two processes' `facts`, as text; "" if nothing does. A commit that one does not know is no
    difference."""
    told = [(name, theirs.get(name), value) for name, value in mine.items() if theirs.get(name) != value]
    told = [each for each in told if each[0] != "commit" or None not in each]
    return ", ".join(f"{name} {there} in place of {here}" for name, there, here in told)


@contextlib.contextmanager
def connected(count: int, say: Callable[[str], None] = print) -> Iterator["distributed.Client"]:
    """A client of the scheduler in `QKD_SCHEDULER`; without one, of `count` processes on this machine, which end with
    it, and with this process, however it ends.

    Raises:
        ValueError: `QKD_SCHEDULER` is no scheduler that answers, or its workers differ from this process.
        RuntimeError: the processes cannot start.
    """
    address = scheduler()
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(_reached(address) if address else _started(count))
        stack.enter_context(client.as_current())
        if address:
            _check_workers(client, address, say)
        else:
            client.register_plugin(_near_plugin())
        if sys.stderr.isatty() and client.dashboard_link:
            say(f"dashboard: {client.dashboard_link}")
        yield client


def check() -> None:
    """Raise `ValueError` where `QKD_SCHEDULER` names no scheduler that answers, or one whose workers do not fit."""
    if scheduler():
        with connected(0, say=lambda _: None):
            pass


def _reached(address: str) -> "distributed.Client":
    import distributed

    try:
        return distributed.Client(address, timeout=ANSWER, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        return checks.fail(VARIABLE, address, f"{EXAMPLE} ({checks.line(error, 200)})")


def _check_workers(client: "distributed.Client", address: str, say: Callable[[str], None]) -> None:
    """Raise `ValueError` unless all workers that are there have one thread and agree with this process."""
    threads = client.nthreads()
    if several := [(worker, count) for worker, count in threads.items() if count != 1]:
        worker, count = several[0]
        checks.fail(
            VARIABLE, address, f"workers of one thread (dask worker --nthreads 1), unlike {worker} with {count}"
        )
    mine = facts()
    for worker, found in client.run(facts, on_error="return").items() if threads else ():
        told = checks.line(found, 200) if isinstance(found, BaseException) else differences(found, mine)
        if told:
            alike = f"workers with the versions of this process and its kind of device, unlike {worker}: {told}"
            checks.fail(VARIABLE, address, alike)
    if not threads:
        say(f"{address} has no workers yet; waiting for some")


@contextlib.contextmanager
def _started(count: int) -> Iterator["distributed.Client"]:
    import distributed

    pages = {"dashboard": sys.stderr.isatty(), "dashboard_address": "127.0.0.1:0"}
    try:
        cluster = distributed.LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, memory_limit=0, dashboard_address=None,
            scheduler_kwargs=pages, silence_logs=logging.CRITICAL, env={"QKD_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    except RuntimeError as error:
        raise RuntimeError(LOST) from error
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        try:
            yield client
        except BaseException:  # Ctrl-C: what is being computed is lost anyway, and nobody waits for it
            _kill(cluster)
            raise


def _kill(cluster: "distributed.LocalCluster") -> None:
    import psutil

    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        with contextlib.suppress(psutil.Error):
            psutil.Process(nanny.pid).kill()


def _near_plugin() -> "distributed.WorkerPlugin":
    import distributed

    class Near(distributed.WorkerPlugin):
        """A worker on this machine leaves Ctrl-C to its parent, which ends it."""

        def setup(self, worker: Any) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Near()


def work(
    call: Callable[..., Any], given: tuple, images: Images | None, expected: dict[str, Any], handed: tuple | None = None
) -> Any:
    """What `call(*given)` returns, computed by a worker that has the `images`, or is handed them, as arrays.

    Args:
        expected: `facts` of the process that asks.

    Raises:
        Lacking: it has other images, or none, and is handed none.
        RuntimeError: it differs from the process that asks.
    """
    with _turn:
        runtime.QUIET = True
        os.environ.setdefault("QKD_THREADS", "1")
        runtime.keep_freed_memory()
        if told := differences(facts(), expected):
            raise RuntimeError(f"a worker that has {told}")
        if images is not None:
            _have(images, handed)
        return call(*given)


def _have(images: Images, handed: tuple | None) -> None:
    import torch

    from qkdlib.images import datasets

    dataset, size, content = images
    if _handed.get((dataset, size)) == content:
        return
    if handed is not None:
        *arrays, labels = handed
        x_train, y_train, x_test, y_test = map(torch.tensor, arrays)
        datasets.hand_over(dataset, size, (x_train, y_train, x_test, y_test, labels))
        _handed[dataset, size] = content
        return
    own = None
    with contextlib.suppress(OSError, ValueError):  # each time: a folder may change
        own = datasets.content(dataset, size) if datasets.at_hand(dataset) else None
    if own != content:
        raise Lacking


def handed(images: Images) -> tuple:
    """The data set as arrays, for workers that lack it."""
    from qkdlib.images import datasets

    *tensors, labels = datasets.load(images.dataset, images.image_size)
    return (*(each.numpy() for each in tensors), labels)


def same(found: tuple) -> tuple:
    """Itself: so the scheduler has images, from which any worker gets them."""
    return found
