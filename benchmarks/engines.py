"""Training steps of whole students, batch 32: ten seeds side by side by this library, and the same stack by
TorchQuantum gate by gate (`engine="torchquantum"`), and one seed with TorchQuantum. Samples per second, summed over
seeds, median of 5 rounds, measured in turn; on one thread, as students are trained.

Last, what 16 qubits take: peak memory and seconds of a step of one seed, each in a process of its own."""

import dataclasses
import statistics
import subprocess
import sys

from timing import milliseconds, stepper

from qkdlib import runtime, torch_settings
from qkdlib.experiment import Experiment
from qkdlib.study.v2 import revised

BATCH, SEEDS, STEPS, ROUNDS, LARGE = 32, 10, 20, 5, 16
ENGINES = ((SEEDS, "stacked"), (SEEDS, "torchquantum"), (1, "torchquantum"))


def students(qubits: int) -> dict[str, Experiment]:
    """v2's original method; amplitude encoding and two strongly entangling layers; two layers of re-uploading."""
    original = revised.student(qubits=qubits)
    return {
        "v2 original": original,
        "strongly entangling": dataclasses.replace(original, ansatz="strongly_entangling", layers=2),
        "re-uploading": dataclasses.replace(original, ansatz="reuploading", layers=2, encoder="ansatz_angles"),
    }


def measure(steps: int = STEPS, rounds: int = ROUNDS) -> None:
    """Print a line for each student and number of qubits."""
    for qubits in revised.QUBITS:
        for name, experiment in students(qubits).items():
            cases = {case: stepper(dataclasses.replace(experiment, engine=case[1]), case[0]) for case in ENGINES}
            for step in cases.values():
                step()  # warm-up
            timed = [{case: milliseconds(step, steps) for case, step in cases.items()} for _ in range(rounds)]
            ours, stacked, single = (
                1000 * BATCH * case[0] / statistics.median(each[case] for each in timed) for case in ENGINES
            )
            print(
                f"  {name:<20} {qubits} qubits: {ours:>9,.0f} ({SEEDS} seeds); "
                f"TorchQuantum {stacked:>8,.0f} ({SEEDS} seeds, {ours / stacked:.1f} times slower), "
                f"{single:>8,.0f} (1 seed, {ours / single:.1f} times)"
            )


def large(name: str, qubits: int = LARGE) -> None:
    """Print peak memory and seconds of two steps of one seed."""
    import resource

    step = stepper(students(qubits)[name], 1)
    step()
    seconds = milliseconds(step, 1) / 1000
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  {name}: {qubits} qubits, 1 seed, batch {BATCH}: {peak:.2f} GB at most, {seconds:.1f} s a step")


if __name__ == "__main__":
    runtime.start("cpu")
    with torch_settings.one_thread(), torch_settings.plain_torch():
        if len(sys.argv) > 1:
            large(sys.argv[1])
            sys.exit()
        print("training steps of whole students on one thread, samples per second")
        measure()
    for name in students(LARGE):
        subprocess.run([sys.executable, __file__, name], check=True)
