"""Execution in jobs: their size, order and seeds, what is tried again and what is kept after a crash; and students of
every kind, whose executed circuits have the outcomes that they train with."""

import itertools
import math

import numpy as np
import pytest
import torch
from qiskit.quantum_info import Statevector
from scipy import stats

from qkdlib import aer_import, backends, circuits, execution, revised
from qkdlib.backends import Backend
from qkdlib.datasets import Images
from qkdlib.experiment import Experiment
from qkdlib.noise import Noise
from qkdlib.students import Student, correct

CIRCUIT = circuits.h_ry(3)
SHOTS = 20_000


class Fake(Backend):
    """Made-up frequencies that depend on the seed, and errors in the calls that `failures` names, counted from 1."""

    def __init__(self, failures: dict | None = None, name: str = "fake", noise: str = "none", rows_per_job: int = 300):
        super().__init__(name, noise, None, rows_per_job)
        self.failures, self.calls = failures or {}, []

    def sample(self, quantum, angles, shots, seed):
        self.calls.append((angles, shots, seed))
        if len(self.calls) in self.failures:
            raise self.failures[len(self.calls)]
        return np.random.default_rng([seed, shots]).dirichlet(np.ones(2**quantum.num_clbits), len(angles))


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(execution, "PAUSE", 0)


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3))


def sample(on, angles=None, shots: int = 100, seed: int = 7, **options):
    return execution.sample(CIRCUIT, rows(10) if angles is None else angles, shots, seed, on, **options)


# Jobs


@pytest.mark.parametrize(("count", "size", "sizes"), [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 1, [1] * 3), (5, 9, [5]),
                                                      (0, 4, [])])  # fmt: skip
def test_rows_are_cut_into_jobs_in_their_order(count, size, sizes):
    fake, angles = Fake(), rows(count)
    found = sample(fake, angles, rows_per_job=size)
    assert [len(of_job) for of_job, _, _ in fake.calls] == sizes
    np.testing.assert_array_equal(np.concatenate([np.zeros((0, 3)), *(of_job for of_job, _, _ in fake.calls)]), angles)
    assert (found.jobs, found.shots, found.seed) == (len(sizes), 100, 7)
    assert found.frequencies.shape == (count, 8) and found.facts == fake.facts(CIRCUIT)


def test_jobs_are_of_the_backends_size_unless_one_is_asked_for():
    for asked, jobs in ((None, 4), (5, 2), (100, 1)):
        assert sample(Fake(rows_per_job=3), rows_per_job=asked).jobs == jobs


def test_frequencies_lie_in_the_order_of_their_rows_on_aer():
    outcomes = np.random.default_rng(1).integers(8, size=20)
    angles = math.pi * np.array([[outcome >> wire & 1 for wire in range(3)] for outcome in outcomes]) - math.pi / 2
    assert sample(None, angles, rows_per_job=6).frequencies.argmax(1).tolist() == outcomes.tolist()


def test_jobs_have_seeds_of_their_own_and_a_single_job_has_the_seed_itself():
    one, many, other = Fake(), Fake(), Fake()
    sample(one, seed=11)
    sample(many, seed=11, rows_per_job=1)
    sample(other, seed=12, rows_per_job=1)
    assert [seed for _, _, seed in one.calls] == [11]
    seeds = [seed for _, _, seed in many.calls + other.calls]
    assert len(set(seeds)) == 20 and seeds[0] == 11


def test_one_job_on_aer_is_aers_own_sample():
    aer, angles = backends.aer(), rows(4)
    expected = aer.sample(aer.prepare(CIRCUIT), angles, 300, 5)
    np.testing.assert_array_equal(sample(None, angles, 300, 5).frequencies, expected)


# Trying again


@pytest.mark.parametrize("failures", [{1: RuntimeError("busy")}, {1: RuntimeError("busy"), 2: OSError("gone")}])
def test_a_job_that_fails_is_tried_again_with_the_same_rows_and_seed(failures):
    fake = Fake(failures)
    found = sample(fake, rows_per_job=5)
    np.testing.assert_array_equal(found.frequencies, sample(Fake(), rows_per_job=5).frequencies)
    assert [seed for _, _, seed in fake.calls[: len(failures) + 1]] == [7] * (len(failures) + 1)
    assert found.jobs == 2 and len(fake.calls) == len(failures) + 2


def test_an_error_that_stays_is_raised_after_the_last_attempt():
    for attempts in (1, 2):
        fake = Fake({1: RuntimeError("first"), 2: RuntimeError("second")})
        with pytest.raises(RuntimeError, match="first" if attempts == 1 else "second"):
            sample(fake, attempts=attempts)
        assert len(fake.calls) == attempts


@pytest.mark.parametrize("error", [ValueError("wrong"), TypeError("wrong"), KeyboardInterrupt("wrong")], ids=repr)
def test_what_would_fail_again_is_not_tried_again(error):
    fake = Fake({1: error})
    with pytest.raises(type(error), match="wrong"):
        sample(fake)
    assert len(fake.calls) == 1


def test_pauses_double(monkeypatch):
    pauses = []
    monkeypatch.setattr(execution, "PAUSE", 2.0)
    monkeypatch.setattr(execution.time, "sleep", pauses.append)
    sample(Fake(dict.fromkeys((1, 2, 3), RuntimeError("busy"))), attempts=4)
    assert pauses == [2, 4, 8]


# Keeping


def test_after_a_crash_finished_jobs_are_taken_from_their_files(tmp_path):
    keep, expected = tmp_path / "jobs", sample(Fake(), rows_per_job=2).frequencies
    with pytest.raises(RuntimeError, match="lost"):
        sample(Fake({3: RuntimeError("lost")}), rows_per_job=2, attempts=1, keep=keep)
    assert len(list(keep.iterdir())) == 2
    for calls in (3, 0):
        fake = Fake()
        found = sample(fake, rows_per_job=2, keep=keep)
        np.testing.assert_array_equal(found.frequencies, expected)
        assert len(fake.calls) == calls and found.jobs == 5
        assert len(list(keep.iterdir())) == 5


OTHERS = {
    "shots": lambda keep: sample(fake := Fake(), shots=101, keep=keep) and fake,
    "seed": lambda keep: sample(fake := Fake(), seed=8, keep=keep) and fake,
    "angles": lambda keep: sample(fake := Fake(), angles=rows(10, seed=1), keep=keep) and fake,
    "size of jobs": lambda keep: sample(fake := Fake(), rows_per_job=9, keep=keep) and fake,
    "name of the backend": lambda keep: sample(fake := Fake(name="other"), keep=keep) and fake,
    "noise": lambda keep: sample(fake := Fake(noise="some"), keep=keep) and fake,
    "circuit": lambda keep: execution.sample(circuits.qubit_encoding(3), rows(10), 100, 7, fake := Fake(), keep=keep) and fake,
}  # fmt: skip


@pytest.mark.parametrize("what", OTHERS)
def test_other_calls_do_not_take_the_kept_jobs(tmp_path, what):
    sample(Fake(), keep=tmp_path)
    assert len(OTHERS[what](tmp_path).calls) == (2 if what == "size of jobs" else 1)
    again = Fake()
    sample(again, keep=tmp_path)
    assert again.calls == []


def test_simulators_with_other_noise_do_not_share_jobs(tmp_path):
    simulator, found = aer_import.load().AerSimulator, []
    for level in (0.001, 0.4):
        noisy = simulator(noise_model=Noise("readout", level).aer_model())
        found.append(sample(noisy, np.full((1, 3), math.pi / 2), keep=tmp_path).frequencies)
    assert found[0][0, 7] > 0.9 and found[1][0, 7] < 0.5


@pytest.mark.parametrize("damage", ["empty", "cut", "other"])
def test_a_damaged_file_is_refused_by_name(tmp_path, damage):
    sample(Fake(), keep=tmp_path)
    (path,) = tmp_path.iterdir()
    if damage == "other":
        np.savez(path, counts=np.zeros(3))
    else:
        path.write_bytes(path.read_bytes()[: 100 if damage == "cut" else 0])
    with pytest.raises(ValueError) as caught:
        sample(fake := Fake(), keep=tmp_path)
    assert str(caught.value).startswith(f"{path} is damaged") and "delete it to run that job again" in str(caught.value)
    assert fake.calls == []


WRONG = [("shots", value) for value in (0, -1, 2.5, True, "10")]
WRONG += [("attempts", value) for value in (0, 1.5, None)] + [("rows_per_job", value) for value in (0, -3, 2.5, True)]
WRONG += [("angles", value) for value in (np.zeros(3), np.zeros((2, 4)), np.full((1, 3), np.nan), [[0, np.inf, 0]])]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name} {value}" for name, value in WRONG])
def test_bad_arguments_are_refused_before_the_backend_is_asked(monkeypatch, tmp_path, name, value):
    fake = Fake()
    monkeypatch.setattr(fake, "prepare", lambda circuit: pytest.fail("prepared"))
    with pytest.raises(ValueError, match=f"^{name}=.* is not allowed; allowed: "):
        sample(fake, keep=tmp_path / "jobs", **{name: value})
    assert fake.calls == [] and not (tmp_path / "jobs").exists()


# Students

PUBLISHED = {"classes": (0, 1, 2), "dataset": "digits"}
DESCRIBED = {"reducer": "fully_connected", "encoder": "amplitude_tanh", "head": "renormalised", "dropout": 0.0}
KINDS = {
    "published": lambda qubits: Experiment(qubits=qubits, **PUBLISHED),
    "described": lambda qubits: Experiment(qubits=qubits, **PUBLISHED, **DESCRIBED),
    "described ring_cz": lambda qubits: Experiment(qubits=qubits, entangler="ring_cz", **PUBLISHED, **DESCRIBED),
} | {
    f"{method} {entangler}": lambda qubits, method=method, entangler=entangler, layers=layers: revised.student(
        "digits", qubits, method, entangler=entangler, layers=layers, classes=(0, 1, 2)
    )
    for method, (entangler, layers) in itertools.product(
        ("original", "angle", "qubit"), (("none", 1), ("ring_cnot", 1), ("ring_cz", 2))
    )
}  # fmt: skip


def student(kind: str, qubits: int) -> tuple[Student, torch.Tensor]:
    """A random student of two seeds, and images for it."""
    x = torch.rand(40, 1, 16, 16, generator=torch.Generator().manual_seed(qubits))
    model = Student(KINDS[kind](qubits), (1, 16, 16), [0, 5]).eval()
    with torch.no_grad():
        model.reducer.out.weight.mul_(3)  # so that images differ more
    return model, x


def p_value(frequencies: np.ndarray, probabilities: np.ndarray) -> float:
    """Of the chi-square test, with outcomes that are hardly expected counted as one."""
    expected = SHOTS * probabilities.astype(float) / probabilities.sum(dtype=float)
    often = expected >= 5
    counts = [np.append(x[often], x[~often].sum()) for x in (SHOTS * frequencies, expected)]
    counts = counts if counts[1][-1] > 1 else [x[:-1] / x[:-1].sum() * SHOTS for x in counts]
    return stats.chisquare(*counts).pvalue if len(counts[0]) > 1 else 1.0


@pytest.mark.parametrize("qubits", [2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_executed_circuit_has_the_students_outcomes(kind, qubits):
    model, x = student(kind, qubits)
    x = x[:4]
    angles, expected, logits = model.angles(x).double().numpy(), model.probabilities(x).numpy(), model(x)
    assert angles.shape == (2, 4, model.executed.angles)
    assert np.abs(expected[0] - expected[1]).max() > 0.02 and np.abs(expected[:, 0] - expected[:, 1]).max() > 0.01
    quantum = circuits.to_qiskit(model.executed, measure=False)
    for place in (0, 1):
        exact = np.stack([Statevector(quantum.assign_parameters(row)).probabilities() for row in angles[place]])
        np.testing.assert_allclose(expected[place], exact, atol=1e-5)
        sampled = execution.sample(model.executed, angles[place], SHOTS, seed=place).frequencies
        assert min(map(p_value, sampled, expected[place])) > 1e-4
        torch.testing.assert_close(model.read_out(torch.from_numpy(exact), place), logits[place], atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["published", "described", "original none", "angle ring_cnot", "qubit ring_cz"])
@torch.no_grad()
def test_many_shots_classify_clear_images_as_the_exact_student_does(kind):
    model, x = student(kind, 3)
    logits = model(x)
    best, second = logits.topk(2, dim=-1).values.unbind(-1)
    x = x[((best - second) > (0.01 if kind == "published" else 0.06)).all(0)]  # 5 standard errors or more
    assert len(x) > 8
    labels = model(x)[0].argmax(-1)
    labels[::3] = (labels[::3] + 1) % 3
    images = Images(x, labels, torch.arange(len(x)))
    executed = execution.execute(model, images, shots=SHOTS, rows_per_job=5)
    right = correct(model(x), labels).double().mean(1).tolist()
    assert list(executed.accuracies) == [0, 5] and list(executed.accuracies.values()) == pytest.approx(right, abs=1e-6)
    assert (executed.shots, executed.images, executed.jobs) == (SHOTS, len(x), 2 * -(-len(x) // 5))


def test_students_that_were_interrupted_go_on_where_they_stopped(tmp_path):
    model, x = student("original none", 2)
    images = Images(x, torch.zeros(40, dtype=torch.long), torch.arange(40))
    expected = execution.execute(model, images, on=Fake(), rows_per_job=10)
    with pytest.raises(RuntimeError, match="lost"):
        broken = Fake({6: RuntimeError("lost")})
        execution.execute(model, images, on=broken, rows_per_job=10, attempts=1, keep=tmp_path)
    fake = Fake()
    found = execution.execute(model, images, on=fake, rows_per_job=10, keep=tmp_path)
    assert len(fake.calls) == 3 and found.jobs == expected.jobs == 8 and found.accuracies == expected.accuracies
    assert found.shots == model.experiment.shots and found.facts == fake.facts(model.executed)
