"""This library beside JAX, TensorCircuit-NG, PennyLane and DeepQuantum, in one run, each process on one core.

Step jobs: whole training steps (shuffling, forward, loss with distillation, backward, Adam), in samples per second
summed over seeds, or milliseconds. A peer is timed only if the losses of its first three steps are ours, from the same
weights and batches; rounds go in turn, and the fastest counts. Whole jobs: seconds from the start of a process to its
written result: imports, images, compiling, training and testing; a peer has to reach our accuracy (`reaches`).

The peers live in `benchmarks/peers/`, each a script with its own environment below `build/`. Printed, and written to
`benchmarks/peers.csv`; a ratio above 1 says that ours is faster.

    python benchmarks/peers.py [--quick] [--only PART ...]
"""

import argparse
import contextlib
import csv
import dataclasses
import io
import itertools
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from qkdlib import files, images, portable, runtime
from qkdlib.experiment import Experiment

sys.path.insert(0, str(Path(__file__).parent / "peers"))  # a folder of scripts, which import their neighbours

import jobs
import processes
import protocol
from jobs import ORIGINAL, PUBLISHED

RESULTS = Path(__file__).with_suffix(".csv")
COLUMNS = ("job", "qubits", "seeds", "threads", "ours", "fastest", "peer", "ratio", "machine")

PEERS = {  # of each student, the scripts of those that can train it
    ORIGINAL: {
        "plain JAX, one matrix": "plain_jax", "plain JAX, two factors": "plain_jax_factors",
        "TensorCircuit-NG": "tensorcircuit_ng", "PennyLane": "pennylane_jax", "DeepQuantum": "deepquantum_torch",
    },
    PUBLISHED: {"plain JAX": "plain_jax", "TensorCircuit-NG": "tensorcircuit_ng"},
}  # fmt: skip
WHOLE = ("plain JAX, two factors", "plain JAX", "TensorCircuit-NG")  # the fastest ones
MODES = {"0": "not portable", "1": "portable"}  # QKD_PORTABLE

STEPS = {ORIGINAL: 47, PUBLISHED: 300}  # of an epoch: v2's 1500 images make 47
SAME, POINTS = 1e-4, 0.03  # of losses, of accuracies
ROUNDS, SECONDS, REPEATS, LIMIT = 5, 0.5, 3, 1200
SHORT = 30  # seconds of a whole job that is worth repeating


def time_steps(student: str, experiment: Experiment, python: Path, quick: bool) -> dict[str, float]:
    """Seconds of a training step of all seeds: of ours under the names of `MODES`, and of each peer that can do it."""
    steps = 3 if quick else STEPS[student]
    given, expected = jobs.inputs(experiment, steps)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / "inputs.npz"
        protocol.write(path, given)
        lines = {name: processes.command(sys.executable, "ours", "steps", path, mode) for mode, name in MODES.items()}
        for name, script in PEERS[student].items():
            lines[name] = processes.command(python, script, "steps", path)
        there = {}
        for name, line in lines.items():
            there[name] = stack.enter_context(processes.running(*line))
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


def time_whole(experiment: Experiment, script: list, mode: str, quick: bool) -> tuple[float, list[float]]:
    """Seconds of a whole job by a Python and its script, and the accuracies of its seeds. A job that takes longer than
    `LIMIT` is stopped: infinity, and no accuracies."""
    fastest, spent, repeats = math.inf, 0.0, 0
    while repeats < (1 if quick else REPEATS) and (not repeats or spent < SHORT):
        with tempfile.TemporaryDirectory() as folder:
            job = jobs.whole_job(experiment, Path(folder))
            path = Path(folder) / "job.json"
            path.write_text(json.dumps(job))
            line, started = processes.command(*script, "whole", path, mode)
            begun = time.perf_counter()
            try:
                subprocess.run(line, check=True, timeout=LIMIT, stdout=subprocess.DEVNULL, **started)
            except subprocess.TimeoutExpired:
                return math.inf, []
            spent += (seconds := time.perf_counter() - begun)
            fastest, repeats = min(fastest, seconds), repeats + 1
            accuracies = json.loads(Path(job["results"]).read_text())["test_accuracy"]
    return fastest, accuracies


def reaches(accuracies: list[float], ours: list[float]) -> bool:
    """Whether their mean is ours or better, but for `POINTS` or, where seeds differ widely, two standard errors."""
    if not accuracies:
        return True  # it was stopped, and counts as longer than that
    error = math.sqrt(sum(statistics.variance(each) / len(each) for each in (accuracies, ours)))
    return statistics.mean(accuracies) >= statistics.mean(ours) - max(POINTS, 2 * error)


def row(job: str, experiment: Experiment, ours: float, peers: dict[str, float], higher: bool, unit: str) -> dict:
    """A line of the table; `higher` numbers are better, or lower ones. A peer that was stopped took infinitely long.
    `RuntimeError`: all peers were refused."""
    if not peers:
        raise RuntimeError(f"{job}: no peer computes the same")
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
    for student, experiment in jobs.step_jobs():
        name, size = f"step {student}", f"{experiment.qubits} qubits, {experiment.seeds} seeds"
        if not chosen(f"{name}, {size}", only):
            continue
        seconds = time_steps(student, experiment, python, quick)
        higher = student == ORIGINAL
        samples = experiment.seeds * experiment.batch_size
        values = {each: samples / spent if higher else 1000 * spent for each, spent in seconds.items()}
        unit = "samples/s" if higher else "ms"
        said = ", ".join(f"{each} {rounded(value)}" for each, value in values.items())
        print(f"{name}, {size}, {unit}: {said}", flush=True)
        peers = {each: value for each, value in values.items() if each in PEERS[student]}
        for mode in MODES.values():
            yield row(f"{name}, {mode}", experiment, values[mode], peers, higher, unit)


def rows_of_whole(only: list[str], python: Path, quick: bool) -> Iterator[dict]:
    """The lines of the whole jobs."""
    for student, job, experiment in jobs.whole_jobs():
        name, size = f"whole {job}", f"{experiment.qubits} qubits, {experiment.seeds} seeds"
        if not chosen(f"{name}, {size}", only):
            continue
        if quick:
            experiment = dataclasses.replace(experiment, epochs=1, seeds=2, train_per_class=10)
        found = {each: time_whole(experiment, [sys.executable, "ours"], mode, quick) for mode, each in MODES.items()}
        for each, script in PEERS[student].items():
            if each in WHOLE:
                found[each] = time_whole(experiment, [python, script], "", quick)
        means = {each: statistics.mean(right) if right else math.nan for each, (_, right) in found.items()}
        said = ", ".join(f"{each} {rounded(spent)} ({means[each]:.1%})" for each, (spent, _) in found.items())
        print(f"{name}, {size}, s: {said}", flush=True)
        wanted = found[MODES["1"]][1]
        there = {each: pair for each, pair in found.items() if each in WHOLE}
        peers = {each: spent for each, (spent, right) in there.items() if quick or reaches(right, wanted)}
        for mode in MODES.values():
            yield row(f"{name}, {mode}", experiment, found[mode][0], peers, False, "s")


def chosen(name: str, only: list[str]) -> bool:
    """Whether a job is asked for: by all parts of its name."""
    return all(each in name for each in only)


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
    parser.add_argument("--only", nargs="*", default=[], help="jobs whose names contain all of these")
    asked = parser.parse_args(arguments)
    runtime.start("cpu")
    python, rows = processes.environment(), []
    found = [rows_of_steps(asked.only, python, asked.quick)]
    if images.at_hand("mnist"):
        found.append(rows_of_whole(asked.only, python, asked.quick))
    else:
        print("no whole jobs: MNIST is not in QKD_DATA")
    for each in itertools.chain(*found):
        rows.append(each)
        if not asked.quick:
            files.write_text(RESULTS, merged(rows))
    print(table(rows), end="")


def merged(rows: list[dict]) -> str:
    """The table with these rows in the place of earlier ones of the same job, qubits and seeds."""
    key = ("job", "qubits", "seeds")
    with contextlib.suppress(FileNotFoundError), RESULTS.open(encoding="utf-8", newline="") as there:
        now = {tuple(str(each[name]) for name in key) for each in rows}
        rows = [each for each in csv.DictReader(there) if tuple(each[name] for name in key) not in now] + rows
    return table(rows)


if __name__ == "__main__":
    main()
