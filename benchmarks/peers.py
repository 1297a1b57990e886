"""This library beside JAX, TensorCircuit-NG, PennyLane and DeepQuantum, in one run, each process on one core.

Step jobs: whole training steps (shuffling, forward, loss with distillation, backward, Adam), in samples per second
summed over seeds, or milliseconds. A peer is timed only if the losses of its first three steps are ours, from the same
weights and batches; rounds go in turn, and the fastest counts. Whole jobs: seconds from the start of a process to its
written result: imports, images, compiling, training and testing; a peer has to reach our accuracy within 3 points.

The peers live in `benchmarks/peers/`, each a script with its own environment below `build/`. Printed, and written to
`benchmarks/peers.csv`; a ratio above 1 says that ours is faster.

    python benchmarks/peers.py [--quick] [--only NAME ...]
"""

import argparse
import contextlib
import csv
import dataclasses
import io
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from qkdlib import files, images, portable, runtime, torch_settings
from qkdlib.experiment import Experiment, as_dict
from qkdlib.students import Student
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised
from qkdlib.teachers.teacher_files import logits_path
from qkdlib.training import losses
from qkdlib.training.optimizers import FlatAdam
from qkdlib.workspace import Workspace, data_root

HERE = Path(__file__).resolve().parent
SCRIPTS, RESULTS = HERE / "peers", HERE / "peers.csv"
BUILD = HERE.parent / "build" / "peers"
COLUMNS = ("job", "qubits", "seeds", "threads", "ours", "fastest", "peer", "ratio", "machine")

ORIGINAL, PUBLISHED = "v2 original", "published, sampled"
PEERS = {  # script, and which students it can train
    "plain JAX, one matrix": ("plain_jax", (ORIGINAL, PUBLISHED)),
    "plain JAX, two factors": ("plain_jax_factors", (ORIGINAL,)),
    "TensorCircuit-NG": ("tensorcircuit_ng", (ORIGINAL, PUBLISHED)),
    "PennyLane": ("pennylane_jax", (ORIGINAL,)),
    "DeepQuantum": ("deepquantum_torch", (ORIGINAL,)),
}
WHOLE = ("plain JAX, one matrix", "plain JAX, two factors", "TensorCircuit-NG")
MODES = {"0": "not portable", "1": "portable"}  # QKD_PORTABLE

STEPS = {ORIGINAL: 47, PUBLISHED: 300}  # of an epoch: v2's 1500 images make 47
SAME, POINTS = 1e-4, 0.03  # of losses, of accuracies
ROUNDS, SECONDS, REPEATS, LIMIT = 5, 0.5, 3, 1200
SHORT = 120  # seconds of a whole job that is worth repeating


def step_jobs() -> list[tuple[str, Experiment]]:
    """Student and experiment of each step job."""
    taught = {qubits: revised.student(qubits=qubits).distilled(revised.teacher("lenet")) for qubits in revised.QUBITS}
    found = [(ORIGINAL, dataclasses.replace(taught[qubits], seeds=seeds)) for qubits in taught for seeds in (1, 10)]
    sampled = paper.row("M-D-lenet-3q-05").experiment
    return found + [(PUBLISHED, dataclasses.replace(sampled, seeds=seeds)) for seeds in (1, 20)]


def whole_jobs() -> list[tuple[str, str, Experiment]]:
    """Student, name and experiment of each whole job."""
    found = []
    for regime in revised.REGIMES:
        for qubits in revised.QUBITS:
            arm = revised.bar("original", "mnist", qubits, regime).experiment.distilled(revised.teacher("lenet"))
            found.append((ORIGINAL, f"{ORIGINAL}, {regime}", arm))
    sampled = paper.row("M-D-lenet-3q-05").experiment
    return found + [(PUBLISHED, PUBLISHED, dataclasses.replace(sampled, seeds=seeds)) for seeds in (20, 100)]


def environment() -> Path:
    """The Python of the peers' environment, made if it is not there or their requirements have changed."""
    wanted, stamp = (SCRIPTS / "requirements.txt").read_text(), BUILD / "installed.txt"
    python = BUILD / ".venv" / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        print("installing the peers ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", BUILD / ".venv"], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # torch first: it is by far the largest, and what else asks for it takes the one that is there.
        torch_pin = next(line for line in wanted.split() if line.startswith("torch=="))
        subprocess.run([*pip, torch_pin], check=True)
        subprocess.run([*pip, "-r", SCRIPTS / "requirements.txt"], check=True)
        stamp.write_text(wanted)
    return python


def command(python: Path | str, script: str, kind: str, path: Path, mode: str = "") -> tuple[list, dict]:
    """A peer's command line, and how `subprocess` starts it: on one core, with one thread."""
    core = max(os.sched_getaffinity(0))
    variables = {name: value for name, value in os.environ.items() if name not in portable.VARIABLES}
    variables |= {"OMP_NUM_THREADS": "1", "QKD_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    variables |= {"QKD_PORTABLE": mode} if mode else {}
    started = {"env": variables, "text": True, "preexec_fn": lambda: os.sched_setaffinity(0, {core})}
    return [python, SCRIPTS / f"{script}.py", kind, path], started


def inputs(experiment: Experiment, steps: int) -> tuple[dict, np.ndarray]:
    """Random images, initial weights and the rows of three batches, as `peers/protocol.py` has them; and our losses
    (S, 3) of the first three steps, without what is random: exact outcomes, no dropout."""
    draw, seeds = torch.Generator().manual_seed(0), list(range(experiment.seeds))
    batch, classes = experiment.batch_size, len(experiment.classes)
    count = steps * batch
    x, labels = torch.rand(count, 1, 28, 28, generator=draw), torch.arange(count) % classes
    teacher = 3 * torch.randn(count, classes, generator=draw)
    rows = torch.stack([torch.randperm(count, generator=draw)[: 3 * batch] for _ in seeds])
    with torch_settings.one_thread(), torch_settings.plain_torch():
        student = Student(dataclasses.replace(experiment, sampler="exact", dropout=0.0), (1, 28, 28), seeds)
        weights = {name: value.detach().numpy().copy() for name, value in student.named_parameters()}
        optimizer, found = FlatAdam(student.parameters(), experiment.learning_rate), []
        settings = losses.settings(experiment)
        prepared = student.reducer.prepare(x)
        for places in rows.split(batch, 1):
            optimizer.zero_grad()
            logits = student.logits(prepared[places])
            total = losses.distillation_loss(logits, labels[places], teacher[places], **settings).total
            total.sum().backward()
            optimizer.step()
            found.append(total.detach())
    arrays = {"images": x, "labels": labels, "teacher": teacher, "rows": rows}
    given = {name: value.numpy() for name, value in arrays.items()} | {"experiment": as_dict(experiment)}
    return given | {"weights": weights}, torch.stack(found, 1).numpy()


class Running:
    """A peer's process, which trains epochs when it is asked."""

    def __init__(self, started: subprocess.Popen):
        self.process = started
        self.facts = self._answer()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended with status {self.process.wait()}")
        return json.loads(line)

    def seconds(self, epochs: int) -> float:
        """Seconds that it takes for so many epochs."""
        self.process.stdin.write(f"{epochs}\n")
        self.process.stdin.flush()
        return self._answer()["seconds"]


@contextlib.contextmanager
def running(line: list, started: dict) -> Iterator[Running]:
    """A peer that runs until the end."""
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **started)
    try:
        yield Running(process)
    finally:
        process.kill()
        process.wait()


def time_steps(student: str, experiment: Experiment, python: Path, quick: bool) -> dict[str, float]:
    """Seconds of a training step of all seeds: of ours under the names of `MODES`, and of each peer that can do it."""
    sys.path.insert(0, str(SCRIPTS))
    import protocol

    steps = 3 if quick else STEPS[student]
    given, expected = inputs(experiment, steps)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / "inputs.npz"
        protocol.write(path, protocol.Inputs(**given))
        lines = {name: command(sys.executable, "ours", "steps", path, mode) for mode, name in MODES.items()}
        for name, (script, students) in PEERS.items():
            if student in students:
                lines[name] = command(python, script, "steps", path)
        there = {}
        for name, line in lines.items():
            there[name] = stack.enter_context(running(*line))
            if (said := there[name].facts["losses"]) is not None:
                apart = float(np.abs(np.array(said) - expected).max())
                if not apart < SAME:
                    print(f"  {name}: refused, its losses differ by {apart:.2g}", flush=True)
                    del there[name]
        best = {}
        for name, each in there.items():
            once = each.seconds(1)
            best[name] = once, 1 if quick else max(1, round(SECONDS / once))
        for _ in range(1 if quick else ROUNDS):
            for name, each in there.items():
                seconds, epochs = best[name]
                best[name] = min(seconds, each.seconds(epochs) / epochs), epochs
    return {name: seconds / steps for name, (seconds, _) in best.items()}


def time_whole(experiment: Experiment, name: str, python: Path, quick: bool) -> tuple[float, float]:
    """Seconds of a whole job by ours (a mode's name) or a peer, and the mean accuracy that it reaches. A job that takes
    longer than `LIMIT` is stopped: infinity, and no accuracy."""
    fastest, spent, repeats = math.inf, 0.0, 0
    while repeats < (1 if quick else REPEATS) and (not repeats or spent < SHORT):
        with tempfile.TemporaryDirectory() as folder:
            job = whole_job(experiment, Path(folder))
            path = Path(folder) / "job.json"
            path.write_text(json.dumps(job))
            mode = {name: mode for mode, name in MODES.items()}.get(name, "")
            line, started = command(*((sys.executable, "ours") if mode else (python, PEERS[name][0])), "whole", path, mode)
            begun = time.perf_counter()
            try:
                subprocess.run(line, check=True, timeout=LIMIT, stdout=subprocess.DEVNULL, **started)
            except subprocess.TimeoutExpired:
                return math.inf, math.nan
            spent += (seconds := time.perf_counter() - begun)
            fastest, repeats = min(fastest, seconds), repeats + 1
            accuracy = statistics.mean(json.loads(Path(job["results"]).read_text())["test_accuracy"])
    return fastest, accuracy


def whole_job(experiment: Experiment, folder: Path) -> dict:
    """What the processes of a whole job are told; the workspace in `folder` holds the teacher's logits."""
    logits = logits_path(Workspace(), experiment, experiment.teacher)
    kept = logits_path(Workspace(folder / "workspace"), experiment, experiment.teacher)
    shutil.copy(logits, kept)
    shapes = {name: tuple(each.shape[1:]) for name, each in Student(experiment, (1, 28, 28), [0]).named_parameters()}
    return {
        "experiment": as_dict(experiment), "workspace": str(folder / "workspace"), "data": str(data_root()),
        "teacher": str(kept), "results": str(folder / "results.json"), "shapes": shapes,
    }  # fmt: skip


def row(job: str, experiment: Experiment, ours: float, peers: dict[str, float], higher: bool, unit: str) -> dict:
    """A line of the table; `higher` numbers are better, or lower ones. A peer that was stopped took infinitely long."""
    peer = (max if higher else min)(peers, key=peers.get)
    fastest = peers[peer]
    bound = math.isinf(fastest)
    ratio = ours / fastest if higher else min(fastest, LIMIT) / ours
    return {
        "job": f"{job}, {unit}", "qubits": experiment.qubits, "seeds": experiment.seeds, "threads": 1,
        "ours": rounded(ours), "fastest": f">{LIMIT}" if bound else rounded(fastest), "peer": peer,
        "ratio": f"{'>' if bound else ''}{ratio:.2f}", "machine": machine(),
    }  # fmt: skip


def rounded(number: float) -> str:
    """Three digits."""
    return f"{float(f'{number:.3g}'):.0f}" if number >= 100 else f"{number:.3g}"


def machine() -> str:
    """The processor's name, with its kind where the name says no more than its maker."""
    name = portable.facts()["processor"]
    return name if any(letter.isdigit() for letter in name) else f"{name} x86_64"


def rows_of_steps(only: list[str], python: Path, quick: bool) -> Iterator[dict]:
    """The lines of the step jobs; each peer's number is printed."""
    for student, experiment in step_jobs():
        name = f"step {student}"
        if not chosen(name, only):
            continue
        seconds = time_steps(student, experiment, python, quick)
        higher = student == ORIGINAL
        samples = experiment.seeds * experiment.batch_size
        values = {each: samples / spent if higher else 1000 * spent for each, spent in seconds.items()}
        unit = "samples/s" if higher else "ms"
        said = ", ".join(f"{each} {rounded(value)}" for each, value in values.items())
        print(f"{name}, {experiment.qubits} qubits, {experiment.seeds} seeds, {unit}: {said}", flush=True)
        peers = {each: value for each, value in values.items() if each in PEERS}
        for mode in MODES.values():
            yield row(f"{name}, {mode}", experiment, values[mode], peers, higher, unit)


def rows_of_whole(only: list[str], python: Path, quick: bool) -> Iterator[dict]:
    """The lines of the whole jobs."""
    for student, job, experiment in whole_jobs():
        name = f"whole {job}"
        if not chosen(name, only):
            continue
        if quick:
            experiment = dataclasses.replace(experiment, epochs=1, seeds=2, train_per_class=10)
        found = {each: time_whole(experiment, each, python, quick) for each in (*MODES.values(), *able(WHOLE, student))}
        said = ", ".join(f"{each} {rounded(spent)} ({right:.1%})" for each, (spent, right) in found.items())
        print(f"{name}, {experiment.qubits} qubits, {experiment.seeds} seeds, s: {said}", flush=True)
        ours = found[MODES["1"]][1]
        peers = {
            each: found[each][0] for each in able(WHOLE, student)
            if quick or math.isnan(found[each][1]) or found[each][1] > ours - POINTS
        }  # fmt: skip
        for mode in MODES.values():
            yield row(f"{name}, {mode}", experiment, found[mode][0], peers, False, "s")


def able(names: tuple[str, ...], student: str) -> list[str]:
    """Those peers that can train it."""
    return [name for name in names if student in PEERS[name][1]]


def chosen(name: str, only: list[str]) -> bool:
    """Whether a job is asked for: by a part of its name."""
    return not only or any(each in name for each in only)


def table(rows: list[dict]) -> str:
    """The rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def main(arguments: list[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="this library beside its peers")
    parser.add_argument("--quick", action="store_true", help="one tiny round of everything; nothing is written")
    parser.add_argument("--only", nargs="*", default=[], help="jobs whose names contain one of these")
    asked = parser.parse_args(arguments)
    runtime.start("cpu")
    python, rows = environment(), []
    rows += rows_of_steps(asked.only, python, asked.quick)
    if images.at_hand("mnist"):
        rows += rows_of_whole(asked.only, python, asked.quick)
    else:
        print("no whole jobs: MNIST is not in QKD_DATA")
    print(table(rows), end="")
    if not asked.quick:
        files.write_text(RESULTS, merged(rows))


def merged(rows: list[dict]) -> str:
    """The table with these rows in the place of earlier ones of the same job, qubits and seeds."""
    key = ("job", "qubits", "seeds")
    with contextlib.suppress(FileNotFoundError), RESULTS.open(encoding="utf-8", newline="") as there:
        now = {tuple(str(each[name]) for name in key) for each in rows}
        rows = [each for each in csv.DictReader(there) if tuple(each[name] for name in key) not in now] + rows
    return table(rows)


if __name__ == "__main__":
    main()
