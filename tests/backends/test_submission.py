"""Rows in jobs: their size, order and seeds, what is sent again and what only asked for again, and what is refused;
and Aer's frequencies against the exact probabilities, their bit order and seeds."""

import json
import math

import numpy as np
import pytest
from fake_backends import CIRCUIT, Fake, Remote, Sent, rows, sample
from qiskit import QuantumCircuit
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Statevector
from scipy import stats

from qkdlib import backends, circuits, files
from qkdlib.backends import submission
from qkdlib.circuits import Gate, GateList

SHOTS = 20_000

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
    monkeypatch.setattr(submission, "PAUSE", 2.0)
    monkeypatch.setattr(submission.time, "sleep", pauses.append)
    with pytest.raises(RuntimeError, match=f"lost {attempts}"):
        sample(fake, attempts=attempts)
    assert len(fake.calls) == attempts and pauses == [2, 4, 8][: attempts - 1]


@pytest.mark.parametrize("error", [ValueError("wrong"), TypeError("wrong"), KeyboardInterrupt("wrong")], ids=repr)
def test_what_would_fail_again_is_not_tried_again(error):
    fake = Fake({1: error})
    with pytest.raises(type(error), match="wrong"):
        sample(fake)
    assert len(fake.calls) == 1


def test_a_folder_that_cannot_be_written_is_named_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="^keep=.*file.* is not allowed; allowed: a folder"):
        sample(fake := Fake(), keep=tmp_path / "file" / "jobs")
    assert fake.calls == []


# Sending and fetching

LOST = [ConnectionError("Max retries exceeded"), ValueError("no JSON")]


@pytest.mark.parametrize(("status", "sent"), [("DONE", 1), ("QUEUED", 1), (None, 1), ("ERROR", 2), ("CANCELLED", 2)])
def test_a_job_is_sent_again_only_if_it_failed(status, sent):
    failures = [ConnectionError("lost")] if sent == 2 else LOST
    remote = Remote(*failures, status=status)
    found = sample(remote)
    assert (remote.sent, remote.fetched) == (sent, len(failures) + 1)
    np.testing.assert_array_equal(found.frequencies, sample(Remote()).frequencies)


def test_a_job_that_cannot_be_fetched_is_named():
    remote = Remote(*[ConnectionError("Max retries\nexceeded")] * 9)
    with pytest.raises(RuntimeError) as caught:
        sample(remote)
    expected = "Remote: job job-1 was sent, but not fetched (ConnectionError: Max retries exceeded); the provider may"
    assert str(caught.value).startswith(expected) and "\n" not in str(caught.value)
    assert (remote.sent, remote.fetched) == (1, 3)


class Cloud(GenericBackendV2):
    """A device whose jobs are found again by their ids."""

    there = {}

    def run(self, circuits, **options):
        job = super().run(circuits, **options)
        self.there[job.job_id()] = job
        return Sent(lambda: waiting(job), number=job.job_id())

    def retrieve_job(self, number):
        return self.there[number]


def waiting(job):
    raise KeyboardInterrupt


def test_a_later_session_asks_for_the_job_that_was_sent(tmp_path):
    Cloud.there.clear()
    with pytest.raises(KeyboardInterrupt):
        sample(Cloud(3, seed=1), keep=tmp_path)
    (note,) = tmp_path.glob("*.json")
    assert json.loads(note.read_text()) == {"backend": "generic_backend_3q", "id": next(iter(Cloud.there))}
    found = sample(Cloud(3, seed=1), keep=tmp_path)
    assert len(Cloud.there) == 1 and not note.exists()
    np.testing.assert_array_equal(found.frequencies, sample(GenericBackendV2(3, seed=1)).frequencies)


def test_a_job_that_the_provider_does_not_find_is_named_with_the_file_that_asks_for_it(tmp_path):
    Cloud.there.clear()
    with pytest.raises(KeyboardInterrupt):
        sample(Cloud(3, seed=1), keep=tmp_path)
    (note,), (number,) = tmp_path.glob("*.json"), Cloud.there
    Cloud.there.clear()
    with pytest.raises(RuntimeError, match=f"job {number} was sent, but .*or sends it again if you delete {note}$"):
        sample(Cloud(3, seed=1), keep=tmp_path)
    assert note.exists() and not Cloud.there


def test_a_damaged_note_of_a_job_is_set_aside_and_the_job_sent(tmp_path, monkeypatch):
    Cloud.there.clear()
    with pytest.raises(KeyboardInterrupt):
        sample(Cloud(3, seed=1), keep=tmp_path)
    (note,) = tmp_path.glob("*.json")
    note.write_text("{}")
    monkeypatch.setattr(Cloud, "run", GenericBackendV2.run)
    with pytest.warns(files.DamagedFile, match="set aside"):
        sample(Cloud(3, seed=1), keep=tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 1


WRONG = {"shots": (0, -1, 2.5, True, "10", 2**31), "seed": (-1, 0.5), "keep": ("", 3),
         "attempts": (0, 1.5, None), "rows_per_job": (0, -3, 2.5, True),
         "angles": (np.zeros(3), np.zeros((2, 4)), [[0, 0, np.nan]], [[0, np.inf, 0]])}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_bad_arguments_are_refused_before_the_backend_is_asked(monkeypatch, tmp_path, name, value):
    fake = Fake()
    monkeypatch.setattr(fake, "prepare", lambda circuit: pytest.fail("prepared"))
    with pytest.raises(ValueError, match=f"^{name}=.* is not allowed; allowed: "):
        sample(fake, **{"keep": tmp_path / "jobs", name: value})
    assert fake.calls == [] and not (tmp_path / "jobs").exists()


# What Aer samples


def frequencies_on_aer(circuit, angles, shots, seed):
    return backends.sample(circuit, angles, shots, seed).frequencies


def angles_of(rows: int, count: int) -> np.ndarray:
    # Away from +-pi/2, so that every outcome is expected often enough for the chi-square test.
    return np.random.default_rng(rows + count).uniform(-1, 1, (rows, count))


def exact(angles: np.ndarray) -> np.ndarray:
    rows = []
    for row in angles:
        quantum = QuantumCircuit(len(row))
        for wire, theta in enumerate(row):
            quantum.h(wire)
            quantum.ry(theta, wire)
        rows.append(Statevector(quantum).probabilities())
    return np.stack(rows)


@pytest.mark.parametrize(("qubits", "rows"), [(2, 1), (3, 5), (4, 3)])
def test_frequencies_are_those_of_the_exact_probabilities(qubits, rows):
    angles = angles_of(rows, qubits)
    found = frequencies_on_aer(circuits.build("h_ry", qubits), angles, SHOTS, seed=1)
    assert found.shape == (rows, 2**qubits)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(found * SHOTS, np.round(found * SHOTS), atol=1e-6)  # counts
    for frequencies, probabilities in zip(found, exact(angles), strict=True):
        assert SHOTS * probabilities.min() > 5
        assert stats.chisquare(SHOTS * frequencies, SHOTS * probabilities).pvalue > 1e-4


def test_sampling_is_fair_over_many_seeds():
    # One p per seed; if the samples were not independent, the p values would crowd at one end.
    angles = angles_of(1, 3)
    expected = 1000 * exact(angles)[0]
    circuit = circuits.build("h_ry", 3)
    values = [
        stats.chisquare(1000 * frequencies_on_aer(circuit, angles, 1000, s)[0], expected).pvalue for s in range(40)
    ]
    assert stats.kstest(values, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("outcome", range(8))
def test_basis_state_is_measured_as_its_own_outcome(outcome):
    signs = [1 if outcome >> wire & 1 else -1 for wire in range(3)]
    found = frequencies_on_aer(circuits.build("h_ry", 3), math.pi / 2 * np.array([signs]), 100, seed=0)
    assert found[0].tolist() == [float(place == outcome) for place in range(8)]


def test_only_wire_0_turned_is_outcome_1_on_any_number_of_wires():
    for qubits in (2, 4, 5):
        angles = np.full((1, qubits), -math.pi / 2)
        angles[0, 0] = math.pi / 2
        assert frequencies_on_aer(circuits.build("h_ry", qubits), angles, 50, seed=0)[0, 1] == 1


def test_twelve_angles_keep_their_places():
    # Sorted as text, angle 10 would come before angle 2.
    gates = tuple(Gate(name, (wire,), 3 * column + wire) for column, name in enumerate(("ry", "rx", "ry", "rx"))
                  for wire in range(3))  # fmt: skip
    circuit = GateList("twelve", 3, gates)
    for turned in range(12):
        angles = np.zeros((1, 12))
        angles[0, turned] = math.pi
        assert frequencies_on_aer(circuit, angles, 20, seed=0)[0, 2 ** (turned % 3)] == 1


def test_rows_do_not_mix():
    rows = np.array([[signs >> wire & 1 for wire in range(3)] for signs in (4, 1, 6)]) * math.pi - math.pi / 2
    assert frequencies_on_aer(circuits.build("h_ry", 3), rows, 30, seed=0).argmax(1).tolist() == [4, 1, 6]


def test_same_seed_gives_the_same_frequencies_and_another_seed_others():
    circuit, angles = circuits.build("h_ry", 3), angles_of(4, 3)
    first = frequencies_on_aer(circuit, angles, 500, seed=7)
    np.testing.assert_array_equal(frequencies_on_aer(circuit, angles, 500, seed=7), first)
    assert (frequencies_on_aer(circuit, angles, 500, seed=8) != first).any()


@pytest.mark.parametrize("shots", [0, -1, 2.5, True, 10**7 + 1, 2**31])
def test_shots_that_are_no_count_are_refused(shots):
    with pytest.raises(ValueError, match="^shots="):
        frequencies_on_aer(circuits.build("h_ry", 3), angles_of(1, 3), shots, seed=0)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (2, 4), (1, 2, 3)])
def test_angles_of_a_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"^angles=.*\(N, 3\)"):
        frequencies_on_aer(circuits.build("h_ry", 3), np.zeros(shape), 10, seed=0)


def test_angles_that_are_not_numbers_are_named():
    with pytest.raises(ValueError, match="angles='NaN or infinity' is not allowed"):
        frequencies_on_aer(circuits.build("h_ry", 2), np.array([[0.0, np.nan]]), shots=10, seed=0)
