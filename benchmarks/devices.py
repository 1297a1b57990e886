"""Whole training steps (forward, loss with a teacher in it, backward, Adam) on the CPU and on a GPU: v2's original
student, batch 32, with 4 and 8 qubits, and the published one, sampled, batch 1; for 1 to 1,000 seeds side by side.

Samples per second, summed over seeds, in the fastest of 3 rounds; and memory: of a GPU what a step needed at most, of
the CPU the process's so far. `--csv FILE` writes the table, line by line; `--toy` is a step of the
first on the CPU."""

import argparse
import csv
import resource
import sys
import time

import torch
from timing import stepper

from qkdlib import runtime, torch_settings
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised

ROUNDS, SECONDS = 3, 0.5
SEEDS = {"cpu": (1, 10, 100), "cuda": (1, 10, 100, 1000)}
COLUMNS = ("job", "qubits", "seeds", "device", "samples_per_second", "milliseconds", "memory_mb", "name")
JOBS = {
    "published, sampled": (paper.row("M-B-3q-05").experiment, 1),
    "v2 original, 4 qubits": (revised.student(qubits=4), 32),
    "v2 original, 8 qubits": (revised.student(qubits=8), 32),
}


def wait(device: str) -> None:
    """Until a GPU has done what it was told to."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds_of(step, device: str, least: float) -> float:
    """Seconds of a step in the fastest of some rounds, each of at least so many seconds."""
    step()  # warm-up
    fastest = float("inf")
    for _ in range(ROUNDS):
        wait(device)
        started, steps = time.perf_counter(), 0
        while not steps or time.perf_counter() - started < least:
            step()
            steps += 1
            if steps % 10 == 0:
                wait(device)
        wait(device)
        fastest = min(fastest, (time.perf_counter() - started) / steps)
    return fastest


def measure(job: str, seeds: int, device: str, least: float = SECONDS) -> dict:
    """A line of the table."""
    experiment, batch = JOBS[job]
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    seconds = seconds_of(stepper(experiment, seeds, device, batch), device, least)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    rate, memory = round(seeds * batch / seconds), peak(device) >> 20
    values = (job, experiment.qubits, seeds, device, rate, round(1000 * seconds, 3), memory, name)
    return dict(zip(COLUMNS, values, strict=True))


def peak(device: str) -> int:
    """Bytes of memory that were taken at most."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts kilobytes


def main(given: list[str]) -> None:
    """Print and write a line for each job, number of seeds and device."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv")
    parser.add_argument("--toy", action="store_true")
    options = parser.parse_args(given)
    runtime.start("auto")
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() and not options.toy else [])]
    found = []
    with torch_settings.one_thread(), torch_settings.plain_torch():
        for job in list(JOBS)[: 1 if options.toy else None]:
            for device in devices[::-1]:
                for seeds in (1,) if options.toy else SEEDS[device]:
                    found.append(measure(job, seeds, device, 0.0 if options.toy else SECONDS))
                    print("  " + ", ".join(f"{name} {value}" for name, value in found[-1].items()), flush=True)
                    if options.csv:  # whole after each line: there may be no time for the next one
                        write(options.csv, found)


def write(path: str, found: list[dict]) -> None:
    """The table as csv."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(found)


if __name__ == "__main__":
    main(sys.argv[1:])
