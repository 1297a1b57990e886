"""Execution in jobs: their size, order and seeds, what is tried again and what is kept after a crash; and students of
every kind, whose executed circuits have the outcomes that they train with."""

import functools
import gc
import itertools
import math

import numpy as np
import pytest
import torch
from qiskit.quantum_info import Statevector
from scipy import stats

from qkdlib import aer_import, circuits, execution, revised
from qkdlib.backends import Backend
from qkdlib.datasets import Images
from qkdlib.experiment import Experiment
from qkdlib.noise import Noise
from qkdlib.students import Student, correct

CIRCUIT = circuits.h_ry(3)
SHOTS = 20_000


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


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(execution, "PAUSE", 0)


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3))


def sample(on, angles=None, shots: int = 100, seed: int = 7, **options):
    return execution.sample(CIRCUIT, rows(10) if angles is None else angles, shots, seed, on, **options)


# Jobs


CUTS = [(10, 3, [3, 3, 3, 1]), (8, None, [4, 4]), (3, 1, [1] * 3), (5, 9, [5]), (0, 4, [])]


@pytest.mark.parametrize(("count", "size", "sizes"), CUTS)
def test_rows_are_cut_in_their_order_into_jobs_of_the_size_asked_for_or_the_backends(count, size, sizes):
    fake, angles = Fake(rows_per_job=4), rows(count)
    found = sample(fake, angles, rows_per_job=size)
    assert [len(of_job) for of_job, _, _ in fake.calls] == sizes
    np.testing.assert_array_equal(np.concatenate([np.zeros((0, 3)), *(of_job for of_job, _, _ in fake.calls)]), angles)
    assert (found.jobs, found.shots, found.seed) == (len(sizes), 100, 7)
    assert found.frequencies.shape == (count, 8) and found.facts == fake.facts(CIRCUIT)


def test_frequencies_lie_in_the_order_of_their_rows_on_aer():
    outcomes = np.random.default_rng(1).integers(8, size=20)
    angles = math.pi * np.array([[outcome >> wire & 1 for wire in range(3)] for outcome in outcomes]) - math.pi / 2
    assert sample(None, angles, rows_per_job=6).frequencies.argmax(1).tolist() == outcomes.tolist()


def test_jobs_have_seeds_of_their_own_and_a_single_job_has_the_seed_itself():
    seeds = []
    for size, seed in ((10, 11), (1, 11), (1, 12)):
        sample(fake := Fake(), seed=seed, rows_per_job=size)
        seeds.append([of_job for _, _, of_job in fake.calls])
    assert seeds[0] == [11] and len({*seeds[1], *seeds[2]}) == 20


@pytest.mark.parametrize("failures", [{1: RuntimeError("busy")}, {1: RuntimeError("busy"), 2: OSError("gone")}])
def test_a_job_that_fails_is_tried_again_with_the_same_rows_and_seed(failures):
    fake = Fake(failures)
    found = sample(fake, rows_per_job=5)
    np.testing.assert_array_equal(found.frequencies, sample(Fake(), rows_per_job=5).frequencies)
    seeds = [seed for _, _, seed in fake.calls]
    assert seeds[:-1] == [7] * (len(failures) + 1) and found.jobs == 2


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_an_error_that_stays_is_raised_after_the_last_attempt_and_pauses_double(monkeypatch, attempts):
    pauses, fake = [], Fake({call: RuntimeError(f"lost {call}") for call in range(1, 9)})
    monkeypatch.setattr(execution, "PAUSE", 2.0)
    monkeypatch.setattr(execution.time, "sleep", pauses.append)
    with pytest.raises(RuntimeError, match=f"lost {attempts}"):
        sample(fake, attempts=attempts)
    assert len(fake.calls) == attempts and pauses == [2, 4, 8][: attempts - 1]


@pytest.mark.parametrize("error", [ValueError("wrong"), TypeError("wrong"), KeyboardInterrupt("wrong")], ids=repr)
def test_what_would_fail_again_is_not_tried_again(error):
    fake = Fake({1: error})
    with pytest.raises(type(error), match="wrong"):
        sample(fake)
    assert len(fake.calls) == 1


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


OTHERS = [{"shots": 101}, {"seed": 8}, {"angles": rows(10, seed=1)}, 
          {"on": Fake(name="other")}, {"on": Fake(noise="some")}, {"circuit": circuits.qubit_encoding(3)}]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_other_calls_do_not_take_the_kept_jobs(tmp_path, other):
    same = {"circuit": CIRCUIT, "angles": rows(10), "shots": 100, "seed": 7, "keep": tmp_path}
    execution.sample(**same, on=Fake())
    call = {**same, "on": Fake(), **other}
    execution.sample(**call)
    again = Fake()
    execution.sample(**same, on=again)
    assert len(call["on"].calls) == 1 and again.calls == []


def test_simulators_with_other_noise_do_not_share_jobs(tmp_path):
    simulator, angles = aer_import.load().AerSimulator, np.full((1, 3), math.pi / 2)
    for level in (0.001, 0.4):
        found = sample(simulator(noise_model=Noise("readout", level).aer_model()), angles, keep=tmp_path)
        assert found.frequencies[0, 7] == pytest.approx((1 - level) ** 3, abs=0.15)


@pytest.mark.parametrize("damage", ["empty", "cut", "other"])
def test_a_damaged_file_is_refused_by_name(tmp_path, damage):
    sample(Fake(), keep=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[: {"empty": 0, "cut": 100}.get(damage)])
    if damage == "other":
        np.savez(path, counts=np.zeros(3))
    with pytest.raises(ValueError) as caught:
        sample(fake := Fake(), keep=tmp_path)
    assert str(caught.value).startswith(f"{path} is damaged") and "; delete it to run that job" in str(caught.value)
    assert fake.calls == []
    del caught
    gc.collect()  # a file that was left open would say so here


WRONG = {"shots": (0, -1, 2.5, True, "10"), "attempts": (0, 1.5, None), "rows_per_job": (0, -3, 2.5, True),
         "angles": (np.zeros(3), np.zeros((2, 4)), [[0, 0, np.nan]], [[0, np.inf, 0]])}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_bad_arguments_are_refused_before_the_backend_is_asked(monkeypatch, tmp_path, name, value):
    fake = Fake()
    monkeypatch.setattr(fake, "prepare", lambda circuit: pytest.fail("prepared"))
    with pytest.raises(ValueError, match=f"^{name}=.* is not allowed; allowed: "):
        sample(fake, keep=tmp_path / "jobs", **{name: value})
    assert fake.calls == [] and not (tmp_path / "jobs").exists()


# Students

IMAGES = {"dataset": "digits", "classes": (0, 1, 2)}
DESCRIBED = IMAGES | {"reducer": "fully_connected", "encoder": "amplitude_tanh", "head": "renormalised", "dropout": 0}
RINGS = {"none": 1, "ring_cnot": 1, "ring_cz": 2}  # and layers
KINDS = {
    "published": functools.partial(Experiment, **IMAGES),
    "described": functools.partial(Experiment, **DESCRIBED),
    "described ring_cz": functools.partial(Experiment, **DESCRIBED, entangler="ring_cz"),
}
for method, (ring, layers) in itertools.product(("original", "angle", "qubit"), RINGS.items()):
    fields = {"method": method, "entangler": ring, "layers": layers}
    KINDS[f"{method} {ring}"] = functools.partial(revised.student, **IMAGES, **fields)


def student(kind: str, qubits: int) -> tuple[Student, torch.Tensor]:
    """A random student of two seeds, and images for it."""
    x = torch.rand(30, 1, 16, 16, generator=torch.Generator().manual_seed(qubits))
    return Student(KINDS[kind](qubits=qubits), (1, 16, 16), [0, 5]).eval(), x


def p_value(frequencies: np.ndarray, probabilities: np.ndarray) -> float:
    """Of the chi-square test, outcomes that are hardly expected being counted with the likeliest one."""
    often, most = SHOTS * probabilities > 5, probabilities.argmax()
    both = [SHOTS * frequencies, SHOTS * probabilities.astype(float)]
    for counts in both:
        counts[most] = SHOTS - counts[often].sum() + counts[most]
    return np.nan_to_num(stats.chisquare(*(counts[often] for counts in both)).pvalue, nan=1.0)  # one outcome alone


@pytest.mark.parametrize("qubits", [2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_executed_circuit_has_the_students_outcomes(kind, qubits):
    model, x = student(kind, qubits)
    x = x[:3]
    angles, expected, logits = model.angles(x).double().numpy(), model.probabilities(x).numpy(), model(x)
    assert angles.shape == (2, 3, model.executed.angles)
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
    best, second = model(x).topk(2, dim=-1).values.unbind(-1)
    x = x[((best - second) > (0.01 if kind == "published" else 0.06)).all(0)]  # 5 standard errors or more
    assert len(x) > 8
    labels = model(x)[0].argmax(-1)
    labels[::3] = (labels[::3] + 1) % 3
    images = Images(x, labels, torch.arange(len(x)))
    executed = execution.execute(model, images, shots=SHOTS, rows_per_job=5)
    right = correct(model(x), labels).double().mean(1).tolist()
    assert executed.accuracies == pytest.approx(dict(zip([0, 5], right, strict=True)), abs=1e-6)
    assert (executed.images, executed.jobs) == (len(x), 2 * -(-len(x) // 5))


def test_students_that_were_interrupted_go_on_where_they_stopped(tmp_path):
    model, x = student("original none", 2)
    images = Images(x, torch.zeros(30, dtype=torch.long), torch.arange(30))
    expected = execution.execute(model, images, on=Fake(), rows_per_job=8)
    with pytest.raises(RuntimeError, match="lost"):
        broken = Fake({6: RuntimeError("lost")})
        execution.execute(model, images, on=broken, rows_per_job=8, attempts=1, keep=tmp_path)
    fake = Fake()
    found = execution.execute(model, images, on=fake, rows_per_job=8, keep=tmp_path)
    assert len(fake.calls) == 3 and found.jobs == expected.jobs == 8 and found.accuracies == expected.accuracies
    assert found.shots == model.experiment.shots and found.facts == fake.facts(model.executed)
