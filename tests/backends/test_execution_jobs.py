"""Execution in jobs: their size, order and seeds, what is sent again and what only asked for again, and what is kept
after a crash, for whom."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit.primitives import BackendSamplerV2, BaseSamplerV2, StatevectorSampler
from qiskit.providers.fake_provider import GenericBackendV2

from qkdlib import backends, circuits, execution, files
from qkdlib.backends import Backend, Primitive, aer_import, jobs
from qkdlib.images.datasets import Images
from qkdlib.noise import Noise
from qkdlib.students import Student
from qkdlib.study.v2 import revised

CIRCUIT = circuits.h_ry(3)


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


WRONG_FREQUENCIES = {
    "a row less": lambda f: f[1:], "an outcome less": lambda f: f[:, 1:], "all zero": lambda f: 0 * f,
    "not a number": lambda f: f * np.nan, "negative": lambda f: f + 0.1 * np.array([[-1, 1] + [0] * 6]) * 10,
    "no counts": lambda f: f * 0 + 1 / 8, "text": lambda f: f.astype(str), "more shots": lambda f: 1.01 * f,
}  # fmt: skip


@pytest.mark.parametrize("damage", ["empty", "cut", "another's", "too large", *WRONG_FREQUENCIES])
def test_a_damaged_file_is_set_aside_and_its_job_runs_again(tmp_path, damage):
    expected = sample(Fake(), keep=tmp_path).frequencies
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file)
    if damage in WRONG_FREQUENCIES:
        np.savez(path, **{**arrays, "frequencies": WRONG_FREQUENCIES[damage](arrays["frequencies"])})
    elif damage == "another's":
        np.savez(path, **{**arrays, "job": np.array("job_0")})
    elif damage == "too large":
        np.savez_compressed(path, **arrays, more=np.zeros(10**6))
    else:
        path.write_bytes(whole[: {"empty": 0, "cut": 100}[damage]])
    with pytest.warns(files.DamagedFile, match=f"^{path} is damaged: .*; set aside as {path.name}.damaged$"):
        found = sample(fake := Fake(), keep=tmp_path)
    np.testing.assert_array_equal(found.frequencies, expected)
    assert len(fake.calls) == 1 and path.read_bytes() == whole and len(list(tmp_path.iterdir())) == 2


def generic(seed: int | None = 1, **options) -> GenericBackendV2:
    return GenericBackendV2(4, **{"seed": seed, **options})


def aer_sampler(level: float, **options):
    aer_import.load()
    from qiskit_aer.primitives import SamplerV2

    return SamplerV2(options={"backend_options": {"noise_model": Noise("readout", level).aer_model()}}, **options)


def names(on) -> str:
    return jobs.Kept(Path("."), backends.get(on), CIRCUIT, 100).name(rows(2), 7)


SAME = {
    "a device without a seed": lambda: generic(None), "its sampler": lambda: BackendSamplerV2(backend=generic(None)),
    "Aer with gates' noise": lambda: Noise("depolarising", 0.1).aer_model() and Noise("depolarising", 0.1),
    "a simulated device": lambda: aer_import.load().AerSimulator.from_backend(generic()),
    "Aer's sampler": lambda: aer_sampler(0.1), "a named sampler": lambda: Primitive(Remote(), name="mine"),
    "an exact sampler": StatevectorSampler,
}  # fmt: skip


@pytest.mark.parametrize("make", SAME.values(), ids=SAME)
def test_a_backend_is_known_again_whatever_changes_by_itself(monkeypatch, tmp_path, make):
    monkeypatch.chdir(tmp_path)
    backends.aer.cache_clear()
    first, run = names(make()), make()
    execution.sample(CIRCUIT, rows(1), 10, 0, run)  # a simulated device takes options when it first runs
    backends.aer.cache_clear()
    assert first == names(run) == names(make())


def test_backends_that_differ_in_what_is_declared_of_them_share_no_jobs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    home, simulator = generic(), aer_import.load().AerSimulator
    line = [[0, 1], [1, 2], [2, 3]]
    different = [
        None, Noise("readout", 0.1), Noise("readout", 0.2), Noise("depolarising", 0.1), simulator(),
        simulator(noise_model=Noise("readout", 0.1).aer_model()), simulator(method="matrix_product_state"),
        simulator.from_backend(home), aer_sampler(0.1), aer_sampler(0.2), aer_sampler(0.1, seed=5), home,
        BackendSamplerV2(backend=home, options={"run_options": {"noise_model": Noise("readout", 0.2).aer_model()}}),
        generic(coupling_map=line), generic(basis_gates=["cz", "rz", "sx", "x"]), GenericBackendV2(5, seed=1),
        Primitive(Remote(), name="mine"), Primitive(Remote(), name="other"), StatevectorSampler(),
        StatevectorSampler(seed=1),
    ]  # fmt: skip
    assert len({names(on) for on in different}) == len(different)


def test_jobs_of_another_calibration_are_taken_with_a_warning_and_counted(tmp_path):
    first = sample(generic(1), keep=tmp_path, rows_per_job=5)
    assert first.facts.earlier_jobs == 0
    with pytest.warns(UserWarning, match="ran on generic_backend_4q under another calibration than it has now, and"):
        found = sample(generic(2), keep=tmp_path, rows_per_job=5)
    np.testing.assert_array_equal(found.frequencies, first.frequencies)
    assert found.facts.earlier_jobs == 2 and len(list(tmp_path.iterdir())) == 2
    assert sample(generic(1), keep=tmp_path, rows_per_job=5).facts == first.facts


def test_jobs_of_a_sampler_that_shows_no_backend_are_kept_only_under_a_name(tmp_path):
    with pytest.warns(UserWarning, match=r"is not used: Remote shows no backend .*Primitive\(sampler, name=...\)"):
        sample(Remote(), keep=tmp_path)
    assert list(tmp_path.iterdir()) == []
    first, other = Remote(), Remote()
    found = [sample(Primitive(on, name="mine"), keep=tmp_path).frequencies for on in (first, other)]
    np.testing.assert_array_equal(*found)
    assert (first.sent, other.sent) == (1, 0)


def test_two_processes_that_find_one_damaged_file_both_go_on(tmp_path):
    damaged = files.Damaged(tmp_path / "job.npz", "cut off")  # and set aside by the other one
    with pytest.warns(files.DamagedFile, match="set aside as job.npz.damaged"):
        files.set_aside(damaged)


def test_a_folder_that_cannot_be_written_is_named_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="^keep=.*file.* is not allowed; allowed: a folder"):
        sample(fake := Fake(), keep=tmp_path / "file" / "jobs")
    assert fake.calls == []


# Sending and fetching


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


# Students


def test_students_that_were_interrupted_go_on_where_they_stopped(tmp_path):
    model = Student(revised.student("digits", 2, "original", classes=(0, 1, 2)), (1, 16, 16), [0, 5]).eval()
    x = torch.rand(30, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    images = Images(x, torch.zeros(30, dtype=torch.long), torch.arange(30))
    expected = execution.execute(model, images, on=Fake(), rows_per_job=8)
    with pytest.raises(RuntimeError, match="lost"):
        broken = Fake({6: RuntimeError("lost")})
        execution.execute(model, images, on=broken, rows_per_job=8, attempts=1, keep=tmp_path)
    fake = Fake()
    found = execution.execute(model, images, on=fake, rows_per_job=8, keep=tmp_path)
    assert len(fake.calls) == 3 and found.jobs == expected.jobs == 8 and found.accuracies == expected.accuracies
    assert found.shots == model.experiment.shots and found.facts == fake.facts(model.executed)
