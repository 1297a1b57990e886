"""What the benchmarks of training steps share."""

import time


def milliseconds(step, steps: int) -> float:
    """Milliseconds of one call of `step`, mean over `steps` calls."""
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return 1000 * (time.perf_counter() - started) / steps
