"""Finished jobs: what is kept after a crash, under which name, and for whom."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_backends import CIRCUIT, Fake, Remote, rows, sample
from qiskit.primitives import BackendSamplerV2, StatevectorSampler
from qiskit.providers.fake_provider import GenericBackendV2

from qkdlib import aer_import, backends, circuits, execution, files
from qkdlib.backends import Primitive, jobs
from qkdlib.backends.backend import _aer_model
from qkdlib.images import Images
from qkdlib.noise import Noise
from qkdlib.students import Student
from qkdlib.study.v2 import revised


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
    backends.sample(**same, on=Fake())
    call = {**same, "on": Fake(), **other}
    backends.sample(**call)
    again = Fake()
    backends.sample(**same, on=again)
    assert len(call["on"].calls) == 1 and again.calls == []


def test_simulators_with_other_noise_do_not_share_jobs(tmp_path):
    simulator, angles = aer_import.load().AerSimulator, np.full((1, 3), math.pi / 2)
    for level in (0.001, 0.4):
        found = sample(simulator(noise_model=_aer_model(Noise("readout", level))), angles, keep=tmp_path)
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

    return SamplerV2(options={"backend_options": {"noise_model": _aer_model(Noise("readout", level))}}, **options)


def names(on) -> str:
    return jobs.Kept(Path("."), backends.get(on), CIRCUIT, 100).name(rows(2), 7)


SAME = {
    "a device without a seed": lambda: generic(None), "its sampler": lambda: BackendSamplerV2(backend=generic(None)),
    "Aer with gates' noise": lambda: _aer_model(Noise("depolarising", 0.1)) and Noise("depolarising", 0.1),
    "a simulated device": lambda: aer_import.load().AerSimulator.from_backend(generic()),
    "Aer's sampler": lambda: aer_sampler(0.1), "a named sampler": lambda: Primitive(Remote(), name="mine"),
    "an exact sampler": StatevectorSampler,
}  # fmt: skip


@pytest.mark.parametrize("make", SAME.values(), ids=SAME)
def test_a_backend_is_known_again_whatever_changes_by_itself(monkeypatch, tmp_path, make):
    monkeypatch.chdir(tmp_path)
    backends.aer.cache_clear()
    first, run = names(make()), make()
    backends.sample(CIRCUIT, rows(1), 10, 0, run)  # a simulated device takes options when it first runs
    backends.aer.cache_clear()
    assert first == names(run) == names(make())


def test_backends_that_differ_in_what_is_declared_of_them_share_no_jobs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    home, simulator = generic(), aer_import.load().AerSimulator
    line = [[0, 1], [1, 2], [2, 3]]
    different = [
        None, Noise("readout", 0.1), Noise("readout", 0.2), Noise("depolarising", 0.1), simulator(),
        simulator(noise_model=_aer_model(Noise("readout", 0.1))), simulator(method="matrix_product_state"),
        simulator.from_backend(home), aer_sampler(0.1), aer_sampler(0.2), aer_sampler(0.1, seed=5), home,
        BackendSamplerV2(backend=home, options={"run_options": {"noise_model": _aer_model(Noise("readout", 0.2))}}),
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
