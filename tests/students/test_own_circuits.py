"""Students of circuits of one's own: against Qiskit, alone and beside others, by both engines, and executed."""

import dataclasses

import numpy as np
import pytest
import torch
from protocols_of_circuits import OWN, PLAIN, train, tried

from qkdlib import Circuit, Experiment, execute
from qkdlib.images import splits
from qkdlib.noise import Noise
from qkdlib.students import Student

GREY = (1, 28, 28)
FEW = torch.rand(3, *GREY, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("fields", OWN.values(), ids=OWN)
def test_probabilities_are_qiskits_for_every_image_and_seed(fields):
    from qiskit.quantum_info import Statevector

    student = Student(Experiment(**PLAIN | fields), GREY, [3, 7]).eval()
    with torch.no_grad():
        found, seen = student.probabilities(FEW).numpy(), student.outcomes(FEW).numpy()
    wires = list(student.layer.measured) or list(range(student.experiment.qubits))
    for place, seed in enumerate((3, 7)):
        for image in range(3):
            quantum = student.qiskit(FEW[image], seed).remove_final_measurements(inplace=False)
            state = Statevector(quantum)
            np.testing.assert_allclose(found[place, image], state.probabilities(), atol=2e-6)
            np.testing.assert_allclose(seen[place, image], state.probabilities(wires), atol=2e-6)


@pytest.mark.parametrize("fields", OWN.values(), ids=OWN)
def test_a_seed_trains_to_the_same_bits_alone_and_beside_others(fields):
    for task in (tried(**fields), tried(**fields, gradient="parameter_shift", batch_size=7)):
        together, results = train(task, [0, 1, 2])
        alone, (result,) = train(task, [1])
        assert results[1] == result
        for one, many in zip(alone.parameters(), together.parameters(), strict=True):
            assert torch.equal(one[0], many[1])


@pytest.mark.parametrize("fields", OWN.values(), ids=OWN)
def test_both_engines_agree_over_20_steps(fields):
    task = tried(**fields, learning_rate=0.01)
    _, ours = train(task, [0, 1], steps=20)
    _, theirs = train(dataclasses.replace(task, engine="torchquantum"), [0, 1], steps=20)
    for one, other in zip(ours, theirs, strict=True):
        for name in ("train_loss", "train_ce", "validation_ce", "test_ce"):
            np.testing.assert_allclose(one[name], other[name], atol=1e-4)


@pytest.mark.parametrize("name", ["published", "revised", "angle", "qubit"])
def test_both_engines_agree_for_the_papers_students(name):
    fields = {
        "published": {"reducer": "cnn", "dropout": 0.5, "head": "sigmoid_complement"},
        "revised": {"ansatz": "rx_ry_rz", "encoder": "amplitude", "readout": "pauli_z", "head": "linear"},
        "angle": {"ansatz": "rx_ry_rz", "encoder": "angle", "readout": "pauli_z", "head": "linear"},
        "qubit": {"ansatz": "rx_ry_rz", "encoder": "qubit", "layers": 2, "entangler": "ring_cz"},
    }[name]
    task = tried(**fields)
    curves = [train(each, [0], steps=20)[1][0] for each in (task, dataclasses.replace(task, engine="torchquantum"))]
    np.testing.assert_allclose(curves[0]["train_loss"], curves[1]["train_loss"], atol=1e-4)
    np.testing.assert_allclose(curves[0]["test_ce"], curves[1]["test_ce"], atol=1e-4)


def test_engine_torchquantum_refuses_what_it_has_not():
    for name, value in (("noise", "depolarising"), ("gradient", "parameter_shift"), ("ansatz", "classical")):
        noise = {"noise_level": 0.1} if name == "noise" else {}
        with pytest.raises(ValueError, match=f"^({name}|engine)="):
            Experiment(**{name: value, **noise, "engine": "torchquantum"})


def test_gradients_by_shifts_train_as_autograd_does():
    task = tried(**OWN["own, two wires"])
    _, exact = train(task, [0], steps=5)
    _, shifted = train(dataclasses.replace(task, gradient="parameter_shift"), [0], steps=5)
    np.testing.assert_allclose(exact[0]["train_loss"], shifted[0]["train_loss"], atol=1e-5)


def test_weights_are_counted_and_shared_ones_once():
    def quantum(circuit: Circuit) -> int:
        return Student(Experiment(**PLAIN, ansatz=circuit), GREY, [0]).parameter_count()["quantum"]

    lines = [f"rx(x[{wire}]) {wire}" for wire in range(3)]
    assert quantum(Circuit(3, lines)) == 0
    assert quantum(Circuit(3, lines + [f"ry(w[0]) {wire}" for wire in range(3)])) == 1
    assert quantum(Circuit(3, lines + [f"ry(w[{wire}]) {wire}" for wire in range(3)])) == 3


def test_a_circuit_without_weights_trains_its_features():
    circuit = Circuit(3, ["rx(x[0]) 0", "ry(x[1]) 1", "ry(x[2]) 2", "cx 0 1", "cx 1 2"])
    student, _ = train(tried(ansatz=circuit), [0, 1])
    assert student.theta is None and student.finite() == [True, True]


def test_executed_on_aer_it_is_what_the_simulator_says_within_the_error_of_shots():
    task = tried(**OWN["own, two wires"], test_per_class=3)
    student, _ = train(task, [0])
    student.eval()
    images = splits(task).test
    with torch.no_grad():
        expected = (student(images.x)[0].argmax(-1) == images.y).float().mean().item()
    found = execute(student, images, shots=20_000)
    assert found.accuracies[0] == pytest.approx(expected, abs=2 / len(images))


def test_noise_on_a_gate_that_aers_density_matrices_lack_is_refused_before_anything_runs():
    circuit = Circuit(3, ["ry(x[0]) 0", "crx(w[0]) 0 1", "ry(x[1]) 2"])
    with pytest.raises(ValueError, match=r"^noise='depolarising'.*none or readout for a circuit with crx"):
        Student(Experiment(**PLAIN, ansatz=circuit, noise="depolarising", noise_level=0.1), GREY, [0])
    student = Student(Experiment(**PLAIN, ansatz=circuit), GREY, [0])
    task = tried(ansatz=circuit)
    with pytest.raises(ValueError, match="^gate='crx'"):
        execute(student, splits(task).test, on=Noise("depolarising", 0.1))


def test_flipped_bits_go_with_every_gate_on_aer_too():
    task = tried(ansatz=Circuit(3, ["ry(x[0]) 0", "crx(w[0]) 0 1", "crz(0.3) 1 2", "ry(x[1]) 2", "cry(w[1]) 2 1"]))
    noisy = dataclasses.replace(task, noise="readout", noise_level=0.1, sampler="aer", gradient="parameter_shift")
    student = Student(dataclasses.replace(noisy, shots=20_000), GREY, [0]).eval()
    exact = Student(dataclasses.replace(noisy, sampler="exact"), GREY, [0]).eval()
    with torch.no_grad():
        np.testing.assert_allclose(student.outcomes(FEW), exact.outcomes(FEW), atol=0.02)


@pytest.mark.parametrize("fields", OWN.values(), ids=OWN)
@pytest.mark.parametrize("engine", ["stacked", "torchquantum"])
@pytest.mark.parametrize("readout", ["outcomes", "pauli_z"])
def test_a_student_in_double_precision_is_one_through_and_through(fields, engine, readout):
    head = "renormalised" if readout == "outcomes" else "linear"
    for each in {head, "linear"}:
        task = Experiment(**PLAIN | {"head": each, "readout": readout} | fields, engine=engine)
        single = Student(task, GREY, [0, 1]).eval()
        double = Student(task, GREY, [0, 1]).double().eval()
        logits = double(FEW.double())
        assert logits.dtype == torch.float64
        torch.testing.assert_close(logits.float(), single(FEW), atol=2e-4, rtol=2e-4)
        logits.sum().backward()
        assert {p.grad.dtype for p in double.parameters()} == {torch.float64}


@pytest.mark.parametrize("encoder", ["angle", "amplitude"])
def test_torchquantum_is_said_to_keep_a_state_for_each_gate(encoder):
    fields = {"ansatz": "strongly_entangling", "layers": 20, "encoder": encoder, "qubits": 5}
    ours, theirs = (
        Student(Experiment(**PLAIN | fields, engine=each), GREY, [0]) for each in ("stacked", "torchquantum")
    )
    assert theirs.layer.numbers_kept() > 4 * 20 * 15 * 2**5 > 10 * ours.layer.numbers_kept()


def test_more_qubits_than_memory_say_how_much_they_need(monkeypatch):
    from qkdlib import checks, run

    monkeypatch.setattr(checks, "available_memory", lambda: 1e8)
    fields = {"reducer": "fully_connected", "dropout": 0.0, "qubits": 16, "ansatz": "reuploading", "batch_size": 60}
    task = dataclasses.replace(tried(), **fields, seeds=3)
    with pytest.raises(ValueError, match=r"^seeds=3 .*their training fits into memory: it takes about \d+\.\d GB"):
        run(task)


def test_weights_that_no_measurement_sees_stay_where_they_are():
    unseen = ["rz(w[1]) 0", "ry(w[2]) 2", "crx(w[3]) 2 1"]  # diagonal at the end; and on wires that are not measured
    circuit = Circuit(3, ["rx(x[0]) 0", "ry(x[1]) 1", "cx 0 1", "ry(w[0]) 0", *unseen], measure=(0,))
    task = tried(ansatz=circuit, classes=(0, 1))
    start = Student(task, GREY, [0, 1]).theta.detach()
    for gradient in ("autograd", "parameter_shift"):
        student, _ = train(dataclasses.replace(task, gradient=gradient), [0, 1])
        moved = (student.theta.detach() != start).all(0)
        assert moved.tolist() == [True, False, False, False]
