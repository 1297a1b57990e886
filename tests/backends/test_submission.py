"""Rows in jobs: their size, order and seeds, what is sent again and what only asked for again, and what is refused."""

import json
import math

import numpy as np
import pytest
from fake_backends import CIRCUIT, Fake, Remote, Sent, rows, sample
from qiskit.providers.fake_provider import GenericBackendV2

from qkdlib import files
from qkdlib.backends import submission

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
