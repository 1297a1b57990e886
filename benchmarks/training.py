"""One training step of the published student (3 qubits, batch 1) on one thread: one seed or 20 side by side, and the
circuit by Bloch vectors, by Bloch vectors with 5000 shots drawn for it and its shifts, or gate by gate in
TorchQuantum. Milliseconds per step, median of 5 rounds, measured in turn."""

import statistics

from timing import milliseconds, stepper

from qkdlib import runtime, torch_settings
from qkdlib.experiment import Experiment

STEPS, ROUNDS = 100, 5
CASES = {
    "Bloch vectors": {}, "sampled": {"sampler": "multinomial", "gradient": "published_shift"},
    "TorchQuantum": {"engine": "torchquantum"},
}  # fmt: skip


def main(steps: int = STEPS, rounds: int = ROUNDS) -> None:
    """Print a line for each case."""
    runtime.start("cpu")
    with torch_settings.one_thread(), torch_settings.plain_torch():
        cases = {(seeds, case): stepper(Experiment(**CASES[case]), seeds) for seeds in (1, 20) for case in CASES}
        for step in cases.values():
            milliseconds(step, steps)  # warm-up
        timed = [{case: milliseconds(step, steps) for case, step in cases.items()} for _ in range(rounds)]
    print("training step, one thread")
    for seeds, case in cases:
        median = statistics.median(each[seeds, case] for each in timed)
        print(f"  {seeds:>2} seeds, {case:<13} {median:6.2f} ms")


if __name__ == "__main__":
    main()
