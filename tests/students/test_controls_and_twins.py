"""Controls of distillation and classical twins: what they keep, what they take away, and that nothing else differs."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

import qkdlib
from qkdlib import pipeline
from qkdlib.experiment import Experiment, Teacher
from qkdlib.students import Student, twins
from qkdlib.study.v2 import revised
from qkdlib.teachers import LeNet, controls
from qkdlib.teachers.teacher_files import teacher_name

TINY = Experiment(
    dataset="digits", classes=(0, 1, 2), train_per_class=12, validation_per_class=4, test_per_class=10,
    epochs=2, batch_size=4, seeds=2, shots=20,
)  # fmt: skip


def logits_and_labels(count: int = 60, classes: int = 5):
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    logits = 2 * torch.randn(count, classes, generator=draw)
    logits[torch.arange(count), labels] += 6
    return logits, labels


# Smoothed labels


@pytest.mark.parametrize("temperature", [1.0, 3.0, 10.0])
def test_smoothed_labels_have_the_teachers_mean_entropy_and_nothing_else_of_it(temperature):
    logits, labels = logits_and_labels()
    given = controls.smoothed(logits, labels, temperature)
    chances = torch.softmax(given.double() / temperature, dim=1).numpy()
    teachers = torch.softmax(logits.double() / temperature, dim=1).numpy()
    assert stats.entropy(chances, axis=1).mean() == pytest.approx(stats.entropy(teachers, axis=1).mean(), abs=1e-5)
    assert (chances.argmax(1) == labels.numpy()).all()
    others = np.sort(chances, axis=1)[:, :-1]
    assert np.ptp(others) < 1e-6  # no class is more like the right one than any other
    assert np.ptp(chances.max(1)) < 1e-6  # no image is harder than any other


def test_labels_are_smoothed_to_any_entropy_between_certain_and_uniform():
    labels = torch.arange(4)
    for sharpness in (0.01, 1.0, 30.0):
        logits = sharpness * torch.eye(4)
        given = controls.smoothed(logits, labels, 1.0)
        torch.testing.assert_close(torch.softmax(given, 1), torch.softmax(logits, 1), atol=1e-5, rtol=0)


# Shuffled logits


def test_shuffled_logits_are_those_of_the_class_in_another_order():
    logits, labels = logits_and_labels()
    given = controls.shuffled(logits, labels, seed=0)
    for label in labels.unique():
        rows = labels == label
        assert not torch.equal(given[rows], logits[rows])
        assert torch.equal(torch.sort(given[rows], 0).values, torch.sort(logits[rows], 0).values)
    assert torch.equal(controls.shuffled(logits, labels, seed=0), given)
    assert not torch.equal(controls.shuffled(logits, labels, seed=1), given)


@pytest.mark.parametrize("labels", ["smoothed", "shuffled"])
def test_validation_images_learn_nothing_of_training_images(labels):
    """Each part is changed within itself, and images of neither part keep what they had."""
    experiment = TINY.distilled(Teacher(labels=labels))
    parts = qkdlib.splits(experiment)
    logits = torch.arange(3 * len(parts.all_train)).view(-1, 3).float() % 7
    given = controls.apply(experiment, logits, parts)
    place = {int(index): row for row, index in enumerate(parts.all_train.index)}
    touched = torch.zeros(len(given), dtype=torch.bool)
    for part in (parts.train, parts.validation):
        rows = [place[int(index)] for index in part.index]
        touched[rows] = True
        if labels == "shuffled":
            assert torch.equal(torch.sort(given[rows], 0).values, torch.sort(logits[rows], 0).values)
    assert torch.equal(given[~touched], logits[~touched]) and (given[touched] != logits[touched]).any()


def test_what_a_student_gets_of_a_teacher_is_not_another_teacher():
    own, shuffled = (TINY.distilled(Teacher(labels=labels)) for labels in ("own", "shuffled"))
    assert teacher_name(TINY, own.teacher) == teacher_name(TINY, shuffled.teacher)
    assert own.digest != shuffled.digest


def test_controls_train_by_the_same_code_to_other_students(workspace):
    kinds = ("own", "smoothed", "shuffled")
    found = [pipeline.run(TINY.distilled(Teacher(epochs=1, labels=kind)), workspace=workspace) for kind in kinds]
    losses = [tuple(record.seeds[0]["train_loss"]) for record in found]
    assert len(set(losses)) == 3
    assert len(list(workspace.teachers.glob("*.npz"))) == 1


@pytest.mark.parametrize("labels", ["shuffled", "smoothed"])
def test_a_control_of_a_network_of_ones_own_is_that_control(workspace, labels):
    torch.manual_seed(0)
    network = LeNet((1, 28, 28), 3)
    plain = pipeline.run(TINY, teacher=network, workspace=workspace)
    asked = TINY.distilled(Teacher(labels=labels, seed=3))
    control = pipeline.run(asked, teacher=network, workspace=workspace)
    given = control.experiment.teacher
    assert (given.labels, given.seed) == (labels, 3 if labels == "shuffled" else 0)
    assert dataclasses.replace(given, labels="own", seed=0) == plain.experiment.teacher
    assert control.seeds[0]["train_loss"] != plain.seeds[0]["train_loss"]
    assert pipeline.run(control.experiment, workspace=workspace).seeds == control.seeds
    assert len(list(workspace.teachers.glob("*.npz"))) == 1  # one file of logits for all


# Twins


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
        assert first["classical"] == second["classical"] and second["quantum"] <= first["quantum"]
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
    with pytest.raises(ValueError, match="^ansatz='classical' is not allowed; allowed: h_ry or rx_ry_rz"):
        qkdlib.execute(student, qkdlib.splits(TINY).test, shots=10)


# Fields of the student that controls vary


def test_half_the_reach_never_folds_the_sine():
    images = torch.rand(16, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for reach, limit in ((1.0, torch.pi), (0.5, torch.pi / 2)):
        student = Student(Experiment(angle_reach=reach), (1, 28, 28), [0])
        with torch.no_grad():
            student.reducer.out.weight.mul_(100)
            angles = student.angles(images)
        assert limit * 0.9 < angles.abs().max() <= limit * (1 + 1e-6)


def test_the_logit_scale_multiplies_logits_wherever_they_are_read():
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    plain, scaled = (Student(Experiment(logit_scale=scale), (1, 28, 28), [0]) for scale in (1.0, 7.0))
    torch.testing.assert_close(scaled(images), 7 * plain(images))
    outcomes = plain.probabilities(images)[0]
    torch.testing.assert_close(scaled.read_out(outcomes, 0), 7 * plain.read_out(outcomes, 0))


def test_a_leaky_hidden_layer_lets_gradients_through_where_all_of_it_is_dead():
    for activation, alive in (("relu", False), ("leaky_relu", True)):
        student = Student(Experiment(activation=activation, dropout=0.0), (1, 28, 28), [0])
        with torch.no_grad():
            student.reducer.hidden.bias.fill_(-100.0)
        student(torch.rand(2, 1, 28, 28))[..., 0].sum().backward()
        assert bool(student.reducer.conv1.weight.grad.abs().max() > 0) == alive


def test_one_layer_with_a_ring_of_cnots_permutes_outcomes_and_two_do_not():
    """Of the published circuit: so an entangler without depth cannot change what it can tell apart."""
    images = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    plain, ringed = (Student(Experiment(entangler=name), (1, 28, 28), [0]) for name in ("none", "ring_cnot"))
    with torch.no_grad():
        before, after = plain.probabilities(images)[0], ringed.probabilities(images)[0]
    torch.testing.assert_close(torch.sort(after, -1).values, torch.sort(before, -1).values, atol=1e-6, rtol=0)
    assert not torch.allclose(after, before)
    deep = Student(Experiment(entangler="ring_cnot", layers=2), (1, 28, 28), [0])
    assert deep.angles(images).shape[-1] == 6
