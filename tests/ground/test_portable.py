"""The portable mode: equal bits whatever the processor, and a word where they are not."""

import functools
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from qkdlib import circuits, portable, runtime
from qkdlib.students import Student
from qkdlib.study.v2 import revised

HERE = Path(__file__).parent
PATHS = f"{HERE.parents[1]}{os.pathsep}{HERE.parent / 'training'}"  # qkdlib, and the protocols
KERNELS = {"DEFAULT": ["default"], "AVX2": ["default", "avx2"], "AVX512": ["default", "avx2", "avx512"]}


def python(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name not in portable.VARIABLES}
    return subprocess.run(
        [sys.executable, "-W", "always", *(["-c", code] if code else []), *arguments],
        capture_output=True, text=True, timeout=300, cwd=HERE,
        env={**environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": PATHS, **variables},
    )  # fmt: skip


@functools.cache
def capable() -> list[str]:
    """The kernels of torch that this processor can run, by their names in ATEN_CPU_CAPABILITY."""
    code = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    return KERNELS[python(code, QKD_PORTABLE="0").stdout.strip()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What every protocol comes to, by how it was computed; `portable` is the portable mode as it is."""
    folder = tmp_path_factory.mktemp("trained")
    plain = {"portable": ("mkldnn", "1")}
    processes = [({}, plain | {"no oneDNN": ("none", "1"), "two threads": ("mkldnn", "2")})]
    processes += [({"OPENBLAS_CORETYPE": "Prescott"}, {"other OpenBLAS": plain["portable"]})]  # numpy's, scikit-learn's
    kernels = [name for name in capable() if name != portable.VARIABLES["ATEN_CPU_CAPABILITY"]]  # which is asked for
    processes += [({"ATEN_CPU_CAPABILITY": name}, {name: plain["portable"]}) for name in kernels]
    for variables, ways in processes:
        arguments = [word for name, settings in ways.items() for word in (str(folder / name), *settings)]
        finished = python("", "train_protocols.py", *arguments, **variables)
        assert finished.returncode == 0, finished.stderr
    return {name: torch.load(folder / name) for _, ways in processes for name in ways}


def differing(one: dict, other: dict) -> dict[str, float]:
    """The protocols whose weights differ, and by how much at most."""
    pairs = {name: (one["found"][name]["weights"], other["found"][name]["weights"]) for name in one["found"]}
    return {name: float((a - b).abs().max()) for name, (a, b) in pairs.items() if not torch.equal(a, b)}


def test_every_protocol_ends_in_the_same_bits_whatever_the_processor_would_choose(trained):
    assert len(trained["portable"]["found"]) == 11
    for way in set(trained) - {"default", "avx512"}:
        assert differing(trained["portable"], trained[way]) == {}, way


@pytest.mark.parametrize("kernels", ["default", "avx512"])
def test_other_kernels_of_torch_take_another_last_bit_and_records_say_so(trained, kernels):
    # Asked for by name, they leave the portable mode. AVX-512 adds up the softmax of eight classes or more in another
    # order; without AVX2, torch takes sine, cosine and exp from the C library, which rounds them otherwise. 60 steps
    # of Adam at 1e-3 could move weights 0.12 apart; what was seen is 3e-7 and 2e-5.
    if kernels not in trained:
        assert kernels not in capable()  # this processor does not have them
        return
    assert not trained[kernels]["facts"]["portable"]
    differs = differing(trained["portable"], trained[kernels])
    assert differs.pop("teacher lenet", 0) < 0.1  # logits, after three epochs
    assert max(differs.values()) < 0.01
    assert kernels == "default" or not {"published", "described", "revised"} & set(differs)  # six classes: equal
    losses = [trained[way]["found"]["revised, ten classes"]["loss"] for way in ("portable", kernels)]
    torch.testing.assert_close(*losses, atol=1e-3, rtol=0)


def test_records_say_how_they_were_computed(trained):
    facts = trained["portable"]["facts"]
    assert facts["portable"] is ("avx2" in capable())
    assert facts["mkl"] == "COMPATIBLE"
    assert facts["processor"] == portable.facts()["processor"] != ""
    assert {name: runtime.provenance()[name] for name in facts} == portable.facts()


@pytest.mark.parametrize("first", ["import qkdlib, torch", "import torch, qkdlib"])
def test_the_order_of_imports_does_not_matter_until_torch_computes(first):
    said = python(f"{first}\nfrom qkdlib import portable\nprint(portable.is_on())")
    assert (said.stdout.strip(), "NotPortable" in said.stderr) == (
        ("True", False) if "avx2" in capable() else ("False", True)
    )


def test_a_process_that_has_computed_before_says_so_once():
    code = """
import torch
torch.rand(3, 8, 8, dtype=torch.float32) @ torch.rand(3, 8, 8)
torch.rand(100).exp()
from qkdlib import portable, runtime
runtime.start(); runtime.start()
print(portable.is_on(), runtime.provenance()["portable"])
"""
    said = python(code)
    if "avx512" in capable():  # an AVX2 processor has taken portable kernels of torch, but not of MKL
        assert "import qkdlib first" in said.stderr
    assert said.stdout.strip() == "False False"
    assert said.stderr.count("NotPortable") == 1


@pytest.mark.parametrize("flags", ["", "fpu sse2 avx"])
def test_a_processor_without_avx2_is_not_asked_for_it(monkeypatch, flags):
    # PyTorch takes ATEN_CPU_CAPABILITY by its word, and would end in an illegal instruction.
    monkeypatch.setattr(portable, "_of_processor", lambda _name: flags)
    for name in portable.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    portable.request()
    assert not set(portable.VARIABLES) & set(os.environ)
    assert "AVX2" in portable._reason()


def test_it_can_be_switched_off(monkeypatch):
    said = python("from qkdlib import portable; print(portable.is_on())", QKD_PORTABLE="0")
    assert (said.stdout.strip(), said.stderr) == ("False", "")
    monkeypatch.setenv("QKD_PORTABLE", "0")
    assert not portable.wanted()
    with portable.convolutions():
        assert torch.backends.mkldnn.enabled


@pytest.mark.parametrize("text", ["", "false", "2", "True"])
def test_a_wrong_switch_is_an_error_before_any_work(monkeypatch, text):
    monkeypatch.setenv("QKD_PORTABLE", text)
    with pytest.raises(ValueError, match="^QKD_PORTABLE=.* is not allowed; allowed: one of 0, 1$"):
        runtime.start()


def test_what_the_environment_says_stays_and_is_named():
    said = python("from qkdlib import portable; portable.is_on(); import os; print(os.environ['MKL_CBWR'])",
                  MKL_CBWR="AVX2")  # fmt: skip
    assert said.stdout.strip() == "AVX2"
    assert "MKL_CBWR is 'AVX2' in the environment, not COMPATIBLE" in said.stderr


def test_defaults_of_the_session_do_not_reach_the_probe():
    expected, precision = portable._probe(), torch.get_float32_matmul_precision()
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")  # means bfloat16, on a processor that has it
    try:
        assert portable._probe() == expected
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision(precision)


def test_teachers_compute_without_onednn():
    with portable.convolutions():
        assert not torch.backends.mkldnn.enabled
    assert torch.backends.mkldnn.enabled


@pytest.mark.parametrize("entangler", ["none", "ring_cnot", "ring_cz"])
@pytest.mark.parametrize(("layers", "method"), [(1, "original"), (2, "original"), (1, "qubit")])
def test_angles_that_no_outcome_depends_on_have_no_gradient_and_change_nothing(entangler, layers, method):
    # The last RZ of every wire: records of trainings in which rounding noise moved these angles stay valid.
    task = revised.student("digits", method=method, entangler=entangler, layers=layers)
    student = Student(task, (1, 28, 28), [0, 1])
    images = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    logits = student(images)
    logits.square().sum().backward()
    last = slice(student.theta.shape[1] - 4, None)
    assert torch.equal(student.theta.grad[:, last], torch.zeros(2, 4))
    assert (student.theta.grad[:, : last.start] != 0).all()
    with torch.no_grad():
        student.theta[:, last] += torch.tensor([0.3, -2.0, 1.0, 3.0])
        assert torch.equal(student(images), logits)
        whole = circuits.join(student.encoder.circuit, student.circuit)  # as a quantum computer runs it, gate by gate
        from qkdlib.circuits import mixed

        exact = mixed.probabilities(whole, student.angles(images).double())
        torch.testing.assert_close(student.outcomes(images).double(), exact, atol=1e-6, rtol=0)


def test_no_warning_in_the_portable_mode():
    if "avx2" in capable():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            portable._computes.cache_clear()
            assert portable.is_on()
