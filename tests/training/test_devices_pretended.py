"""A training step of students of every kind on a device that is not the CPU: no tensor meets one of another device, and
nothing in the step waits for a number. It needs no such device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pretended_device import CASES, SEEDS, Copies

SCRIPT = Path(__file__).with_name("pretended_device.py")
# What steps still copy from the CPU: small constants of circuits, of at most so many numbers.
KNOWN = {
    "circuits/pure.py", "circuits/state_preparation.py", "circuits/torchquantum_circuit.py", "students/chain.py",
    "elsewhere",
}  # fmt: skip
SMALL = 256


@pytest.fixture(scope="module")
def found() -> dict:
    """What the steps of all cases came to, in a process of their own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", CASES)
def test_all_of_a_step_is_on_one_device(case, found):
    assert found[case]["error"] == ""


@pytest.mark.parametrize("case", CASES)
def test_a_step_copies_no_numbers_of_images_between_devices(case, found):
    places = {place.partition(":")[0] for place, _ in found[case]["copies"]}
    assert places <= KNOWN
    assert max((numbers for _, numbers in found[case]["copies"]), default=0) <= SMALL
    if CASES[case].get("reducer") == "cnn" or case.startswith("published"):
        assert places == set()


def test_a_copy_and_a_stray_index_are_seen():
    import torch

    with Copies() as copies:
        torch.ones(3).to("meta")
        torch.ones(3, device="meta") * 2
        torch.ones(4, device="meta")[torch.tensor([0, 1])]
    assert [numbers for _, numbers in copies.found] == [3, 4] and len(SEEDS) > 1
