"""What backends answer: counts in every form are read, and what is not the answer to what was asked is one error."""

import math

import numpy as np
import pytest
from qiskit.primitives import BackendSamplerV2, BitArray, DataBin, StatevectorSampler
from qiskit.providers import BackendV2, Options
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.result.models import ExperimentResultData

from qkdlib import aer_import, backends, circuits

pytestmark = pytest.mark.filterwarnings("ignore:.*has no QubitProperties")  # Aer, of GenericBackendV2 without noise


class Answering(BackendV2):
    """A provider's backend whose jobs answer what `change` makes of the counts of a circuit, a dict by outcome; as
    `memory` in place of `counts` if that is a list."""

    max_circuits = None

    def __init__(self, change=dict, name: str = "answering"):
        super().__init__(name=name)
        self.change, self.simulator = change, aer_import.load().AerSimulator()
        self.like = GenericBackendV2(5, noise_info=False, seed=1)

    target = property(lambda self: self.like.target)

    @classmethod
    def _default_options(cls):
        return Options(shots=1000)

    def run(self, run_input, shots):  # none of the options that a simulator takes
        result = self.simulator.run(run_input, shots=shots, seed_simulator=1).result()
        for each in result.results:
            counts = {int(key, 16): count for key, count in each.data.counts.items()}
            answer = self.change(counts)
            data = {} if answer is None else {"memory" if isinstance(answer, list) else "counts": answer}
            each.data = ExperimentResultData(**data)
        return type("Job", (), {"result": lambda self: result})()


def repeated(counts: dict, form: str) -> list[str]:
    return [format(key, form) for key, count in counts.items() for _ in range(count)]


ANSWERS = {
    "hexadecimal counts": lambda counts: {hex(key): count for key, count in counts.items()},
    "bit strings": lambda counts: {format(key, "03b"): count for key, count in counts.items()},
    "spaced bit strings": lambda counts: {" ".join(format(key, "03b")): count for key, count in counts.items()},
    "short bit strings": lambda counts: {format(key, "b"): count for key, count in counts.items()},
    "numbers": dict, "memory of bit strings": lambda counts: repeated(counts, "03b"),
    "hexadecimal memory": lambda counts: repeated(counts, "#x"),
}  # fmt: skip
TURNED = np.array([[math.pi / 2] * 3, [math.pi / 2, -math.pi / 2, -math.pi / 2], [0, 0, 0]])


@pytest.mark.parametrize("wrap", [lambda on: on, lambda on: BackendSamplerV2(backend=on)], ids=["itself", "a sampler"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_counts_are_read_in_whatever_form_a_provider_gives_them(answer, wrap):
    found = backends.sample(circuits.build("h_ry", 3), TURNED, 2000, 0, wrap(Answering(ANSWERS[answer]))).frequencies
    assert found[0, 7] == found[1, 1] == 1
    np.testing.assert_allclose(found[2], 1 / 8, atol=0.05)


UNUSABLE = {
    "nothing": (lambda counts: None, "neither counts nor single shots of circuit 0"),
    "no counts": (lambda counts: {}, "0 samples of a row in place of 2000"),
    "a shot less": (
        lambda counts: {**counts, max(counts): counts[max(counts)] - 1},
        "1999 samples of a row in place of 2000",
    ),
    "a shot more": (
        lambda counts: {**counts, max(counts): counts[max(counts)] + 1},
        "2001 samples of a row in place of 2000",
    ),
    "probabilities": (lambda counts: {key: count / 2000 for key, count in counts.items()}, "1 samples of a row in "),
    "quasi-probabilities": (lambda counts: {0: 2001, 1: -1}, "negative or no numbers"),
    "halves": (lambda counts: {0: 1999.5, 1: 0.5}, "frequencies that are no counts"),
    "NaN": (lambda counts: {0: math.nan}, "negative or no numbers"),
    "an outcome too large": (lambda counts: {8: 2000}, "outcome 8 of 3 bits"),
    "a negative outcome": (lambda counts: {-1: 2000}, "outcome -1 of 3 bits"),
    "bits of all qubits": (lambda counts: {"00111": 2000}, "outcome '00111' of 3 bits"),
    "words": (lambda counts: {"up": 2000}, "ValueError: invalid literal"),
}


@pytest.mark.parametrize("answer", UNUSABLE)
def test_an_answer_that_lacks_what_was_asked_for_is_one_error_and_not_asked_for_again(monkeypatch, answer):
    calls, run, (change, reason) = [], Answering.run, UNUSABLE[answer]
    monkeypatch.setattr(Answering, "run", lambda *a, **options: calls.append(1) or run(*a, **options))
    with pytest.raises(ValueError) as caught:
        backends.sample(circuits.build("h_ry", 3), TURNED, 2000, 0, Answering(change))
    text = str(caught.value)
    assert text.startswith("backend answering gave an answer that cannot be used (") and reason in text
    assert text.endswith("; expected: 2000 shots over 8 outcomes for each of 3 circuits (job ?)") and "\n" not in text
    assert calls == [1]


class Sampling(StatevectorSampler):
    """A sampler whose answer `change` makes of what is right."""

    def __init__(self, change):
        super().__init__(seed=1)
        self.change = change

    def run(self, pubs, *, shots=None):
        result = self.change(super().run(pubs, shots=shots).result())
        return type("Job", (), {"result": lambda self: result})()


def samples(array, bits: int = 3):
    return lambda result: [type("Pub", (), {"data": DataBin(meas=BitArray(np.array(array, np.uint8), bits))})()]


WRONG_SAMPLES = {
    "no register": (lambda result: [type("Pub", (), {"data": DataBin()})()], "AttributeError"),
    "no circuit": (lambda result: [], r"shape \(0,\) in place of \(3, 8\)"),
    "a circuit less": (samples(np.zeros((2, 50, 1))), r"shape \(2, 8\) in place of \(3, 8\)"),
    "other bits": (samples(np.zeros((3, 50, 1)), 2), "samples of 2 bits"),
    "fewer shots": (samples(np.zeros((3, 40, 1))), "40 samples of a row in place of 50"),
    "an outcome too large": (samples(np.full((3, 50, 1), 9)), r"shape \(3, 10\) in place of \(3, 8\)"),
}


@pytest.mark.parametrize("wrong", WRONG_SAMPLES)
def test_samples_that_are_not_those_asked_for_are_one_error(wrong):
    change, reason = WRONG_SAMPLES[wrong]
    with pytest.raises(
        ValueError, match=f"^backend Sampling gave an answer that cannot be used .*{reason}.*; expected"
    ):
        backends.sample(circuits.build("h_ry", 3), TURNED, 50, 0, Sampling(change))
