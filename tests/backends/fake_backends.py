"""A made-up backend, a made-up sampler whose answers get lost on the way, and a call of either."""

import numpy as np
from qiskit.primitives import BaseSamplerV2, StatevectorSampler

from qkdlib import backends, circuits
from qkdlib.backends import Backend

CIRCUIT = circuits.build("h_ry", 3)


class Sent:
    """A job that has been sent, of which `fetch` gives the result."""

    def __init__(self, fetch, status: str = "DONE", number: str = "42"):
        self.result, self.status, self.job_id = fetch, lambda: status, lambda: number


class Fake(Backend):
    """Frequencies that depend on the seed, and errors in the calls that `failures` names, counted from 1."""

    def __init__(self, failures: dict | None = None, name: str = "fake", noise: str = "none", rows_per_job: int = 300):
        super().__init__(name, noise, None, rows_per_job)
        self.failures, self.calls = failures or {}, []

    def send(self, quantum, angles, shots, seed):
        self.calls.append((angles, shots, seed))
        if len(self.calls) in self.failures:
            raise self.failures[len(self.calls)]
        size = 2**quantum.num_clbits
        counts = np.random.default_rng([seed, shots]).multinomial(shots, np.full(size, 1 / size), len(angles))
        return Sent(lambda: counts)

    def counts(self, result, quantum, rows):
        return result


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3))


def sample(on, angles=None, shots: int = 100, seed: int = 7, **options):
    return backends.sample(CIRCUIT, rows(10) if angles is None else angles, shots, seed, on, **options)


class Remote(BaseSamplerV2):
    """A sampler whose results are fetched only after `failures`, of which the n-th is the n-th fetching's."""

    def __init__(self, *failures, status="DONE"):
        self.failures, self.status, self.sent, self.fetched = list(failures), status, 0, 0

    def run(self, pubs, *, shots=None):
        self.sent += 1
        job = StatevectorSampler(seed=1).run(pubs, shots=shots)

        def fetch():
            self.fetched += 1
            if self.failures:
                raise self.failures.pop(0)
            return job.result()

        return Sent(fetch, self.status, f"job-{self.sent}")
