"""Classical twins: the formulas in numpy, what they share with their students, and what they cannot stand for."""

import dataclasses

import numpy as np
import pytest
import torch

import qkdlib
from qkdlib.experiment import Experiment
from qkdlib.students import Student, twins
from qkdlib.study.v2 import revised


@pytest.mark.parametrize(("reach", "slope"), [(1.0, 2 * np.pi), (0.5, np.pi), (1 / (2 * np.pi), 1.0)])
def test_the_bernoulli_twin_has_independent_bits_with_sigmoid_chances(reach, slope):
    features = torch.tensor([[[0.3, -0.2, 0.5]]], dtype=torch.float64)
    found = twins.bernoulli(features, reach)[0, 0].numpy()
    ones = 1 / (1 + np.exp(-slope * features[0, 0].numpy()))
    expected = [np.prod([p if i >> k & 1 else 1 - p for k, p in enumerate(ones)]) for i in range(8)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("reach", [1.0, 0.5])
def test_the_bernoulli_twin_has_the_circuits_slope_at_0_and_does_not_fold_back(reach):
    """The published circuit's chance of a 1 falls again where theta passes pi/2; one wire, against numpy's sine."""
    features = torch.linspace(-2, 2, 401, dtype=torch.float64)[:, None]
    ones = twins.bernoulli(features, reach)[:, 1].numpy()
    circuit = (1 + np.sin(np.pi * reach * np.tanh(features[:, 0].numpy()))) / 2
    step, middle = 0.01, 200
    slopes = [(chances[middle + 1] - chances[middle - 1]) / (2 * step) for chances in (ones, circuit)]
    assert slopes == pytest.approx([np.pi * reach / 2] * 2, rel=2e-3)
    assert (np.diff(ones) > 0).all() and (np.diff(circuit) < 0).any() == (reach == 1.0)


def test_students_hand_their_reach_to_the_twin():
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for reach in (1.0, 0.25):
        student = Student(Experiment(ansatz="classical", angle_reach=reach), (1, 28, 28), [0])
        with torch.no_grad():
            features = student.reducer(student.reducer.prepare(images))
            torch.testing.assert_close(student.outcomes(images), twins.bernoulli(features, reach))


@pytest.mark.parametrize("linear", [False, True])
def test_the_pooled_twin_is_a_scaled_sum_of_signed_relus_and_the_linear_one_a_squashed_sum_of_features(linear):
    rng = np.random.default_rng(0)
    state = rng.normal(size=(2, 3, 4))
    state /= np.linalg.norm(state, axis=-1, keepdims=True)
    signs = np.array([[1, 1], [-1, 1], [1, -1], [-1, -1]], dtype=float)
    scales, shifts = rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    given = torch.from_numpy(np.concatenate([scales, shifts], axis=1))
    found = twins.pooled(torch.from_numpy(state), torch.from_numpy(signs), given, linear)
    sums = (state if linear else np.maximum(state, 0)) @ signs
    expected = scales[:, None] * sums + shifts[:, None]
    np.testing.assert_allclose(found, np.tanh(expected) if linear else expected, atol=1e-12)


@pytest.mark.parametrize("ansatz", ["classical", "classical_linear"])
def test_revised_students_have_the_twin_that_their_ansatz_names(ansatz):
    student = Student(revised.student(ansatz=ansatz), (1, 28, 28), [0])
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        state = student.encoder.state(student.reducer(student.reducer.prepare(images)))
        layer = twins.pooled(state, student.signs, student.theta, ansatz == "classical_linear")
        torch.testing.assert_close(student(images), student.head(layer))


def test_twins_have_the_same_classical_part_and_at_most_as_many_parameters_in_place_of_the_circuit():
    pairs = [(quantum, "classical") for quantum in (Experiment(), revised.student(), revised.student(qubits=8))]
    for quantum, ansatz in [*pairs, (revised.student(), "classical_linear")]:
        twin = dataclasses.replace(quantum, ansatz=ansatz)
        both = [Student(each, (1, 28, 28), [0, 1]) for each in (quantum, twin)]
        first, second = (each.parameter_count() for each in both)
        assert second["quantum"] == 0
        # What stands in the circuit's place: of the published student nothing, of v2's a scale and a shift per wire.
        instead = second["classical"] - first["classical"]
        assert instead == (2 * quantum.qubits if both[0].encoder else 0)
        assert instead <= first["quantum"]
        images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
        assert both[0](images).shape == both[1](images).shape
        for name, weights in both[0].named_parameters():
            if name != "theta":
                assert torch.equal(weights, dict(both[1].named_parameters())[name]), name
        assert both[1].executed is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoder": "angle"}, "^ansatz='classical'.*amplitude with pauli_z"),
        ({"layers": 2}, "^layers=2.*1 for the ansatz classical"),
        ({"entangler": "ring_cz"}, "^entangler='ring_cz'.*none for the ansatz classical"),
        ({"noise": "readout", "noise_level": 0.1}, "^noise='readout'.*none for the ansatz classical"),
        ({"gradient": "parameter_shift"}, "^gradient='parameter_shift'.*autograd for the ansatz classical"),
    ],
)
def test_a_twin_of_what_it_cannot_stand_for_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        revised.student(ansatz="classical", **fields)


def test_a_linear_twin_stands_for_amplitudes_alone():
    with pytest.raises(ValueError, match="^ansatz='classical_linear' is not allowed; allowed: classical but for"):
        Experiment(ansatz="classical_linear")
    with pytest.raises(ValueError, match="^layers=2.*1 for the ansatz classical_linear"):
        revised.student(ansatz="classical_linear", layers=2)


def test_a_twin_cannot_be_executed():
    student = Student(Experiment(ansatz="classical"), (1, 28, 28), [0])
    tiny = Experiment(dataset="digits", train_per_class=12, validation_per_class=4, test_per_class=10)
    with pytest.raises(ValueError, match="^ansatz='classical' is not allowed; allowed: one that is a circuit"):
        qkdlib.execute(student, qkdlib.splits(tiny).test, shots=10)
