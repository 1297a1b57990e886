"""What a quantum computer would be asked for, against counts by hand."""

import pytest

from qkdlib.study.robustness import hardware


def test_costs_are_circuits_times_shots():
    frame = hardware.table().set_index(["student", "qubits", "encoder"])
    published, amplitude = frame.loc["published", 3, "ansatz_angles"], frame.loc["revised", 4, "amplitude"]
    assert (published.test_circuits, published.epoch_circuits) == (900, 900 * 7)
    assert amplitude.circuits_per_image == 1 + 2 * (15 + 12)
    assert amplitude.epoch_shots == 1500 * 55 * 5000
    assert amplitude.epoch_hours == pytest.approx(1500 * 55 * 5000 * 250e-6 / 3600)
    doubled = frame.xs("amplitude", level="encoder").two_qubit_gates.droplevel(0)
    assert doubled.to_dict() == {q: 2**q - 2 for q in (4, 8, 10)}
    assert (frame.line_two_qubit_gates >= frame.two_qubit_gates).all()
    assert (frame[frame.two_qubit_gates == 0].line_two_qubit_gates == 0).all()
