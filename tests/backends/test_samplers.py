"""Both samplers: that Aer's samples and ours are distributed alike, seed by seed and under noise, that gradients from
them are unbiased, and that students which train on either end alike."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qkdlib import backends, circuits, images, training
from qkdlib.backends import samplers
from qkdlib.backends.samplers import Multinomial, OnAer
from qkdlib.circuits import product
from qkdlib.noise import Noise
from qkdlib.students import Student
from qkdlib.study.v2 import revised

SHOTS = 5000
BOTH = {"multinomial": Multinomial, "aer": OnAer}
NOISES = [Noise("depolarising", 0.15), Noise("amplitude_damping", 0.3), Noise("readout", 0.15)]
CIRCUITS = [
    circuits.build("h_ry", 3),
    circuits.build("h_ry", 4, layers=2, entangler="ring_cnot"),
    circuits.build("rx_ry_rz", 2, entangler="ring_cz"),
    circuits.build("rx_ry_rz", 3, layers=2, entangler="ring_cnot"),
    circuits.build("rx_ry_rz", 4),
    circuits.amplitude_encoding(2),
    circuits.join(circuits.amplitude_encoding(3), circuits.build("rx_ry_rz", 3)),
    circuits.join(circuits.qubit_encoding(2), circuits.build("h_ry", 2, entangler="ring_cnot")),
    circuits.join(circuits.angle_encoding(3, 9), circuits.build("rx_ry_rz", 3, entangler="ring_cz")),
]
CIRCUIT = CIRCUITS[3]


def random_angles(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1) * 3


def p_values(frequencies: torch.Tensor, exact: torch.Tensor) -> np.ndarray:
    """Of the chi-square test for each row; outcomes that are hardly expected count as one."""
    found = []
    for one, expected in zip(SHOTS * frequencies.numpy(), SHOTS * exact.numpy(), strict=True):
        often = expected >= 5
        rest = [(np.append(x[often], x[~often].sum()) if (~often).any() else x) for x in (one, expected)]
        found.append(stats.chisquare(*rest, sum_check=False).pvalue)
    return np.array(found)


# Distribution


def test_samples_of_aer_are_distributed_as_ours():
    values = []
    for place, circuit in enumerate(CIRCUITS):
        angles = random_angles(1, 8, circuit.angles, seed=place)
        aer, ours = (sampler(SHOTS, [place], "test shots")(circuit, angles)[0] for sampler in (OnAer, Multinomial))
        for table in SHOTS * torch.stack([aer, ours], 1).numpy():  # (8, 2, outcomes)
            rare = table.sum(0) < 20
            table = np.column_stack([table[:, ~rare], table[:, rare].sum(1)])
            values.append(stats.chi2_contingency(np.round(table[:, table.sum(0) > 0])).pvalue)
    assert len(values) == 72
    assert min(values) > 1e-4
    assert stats.kstest(values, "uniform").pvalue > 1e-3  # neither too far from each other nor too near


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("noise", [Noise(), *NOISES], ids=str)
def test_noise_reaches_both_samplers(name, noise):
    angles = random_angles(1, 6, CIRCUIT.angles, seed=1)
    (training_shots, test_shots) = samplers.build(name, SHOTS, [0], noise)
    for sampler in (training_shots, test_shots):
        found = sampler(CIRCUIT, angles)[0]
        assert p_values(found, circuits.exact(CIRCUIT, angles, noise)[0]).min() > 1e-4
        if not noise.is_ideal:
            assert p_values(found, circuits.exact(CIRCUIT, angles)[0]).max() < 1e-4


# Seeds and shapes


@pytest.mark.parametrize("name", BOTH)
def test_samples_of_a_seed_do_not_depend_on_the_others_beside_it(name):
    angles = random_angles(1, 2, CIRCUIT.angles).expand(3, -1, -1)
    together, alone = BOTH[name](200, [0, 3, 9], "test shots"), BOTH[name](200, [3], "test shots")
    drawn = []
    for _ in range(3):  # as training goes on
        found = together(CIRCUIT, angles)
        assert torch.equal(found[1:2], alone(CIRCUIT, angles[:1]))
        drawn += found.flatten(0, 1).tolist()
    assert len(set(map(tuple, drawn))) == 3 * 3 * 2  # every seed, call and row draws its own


@pytest.mark.parametrize("name", BOTH)
def test_training_and_testing_draw_from_streams_of_their_own_that_repeat(name):
    angles = random_angles(2, 3, CIRCUIT.angles)
    first, again = (
        [sampler(CIRCUIT, angles) for sampler in samplers.build(name, 100, [0, 1], Noise())] for _ in range(2)
    )
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], first[1])


def test_exact_outcomes_need_no_sampler():
    assert samplers.build("exact", 100, [0, 1], Noise()) == []


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("shape", [(2,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frequencies_have_the_shape_and_type_of_the_angles_and_no_gradient(name, shape, dtype):
    circuit = circuits.build("h_ry", 3)
    places = torch.arange(math.prod(shape)).view(shape) % 8  # each row has an outcome that is certain
    angles = (math.pi * ((places[..., None] >> torch.arange(3) & 1) - 0.5)).to(dtype).requires_grad_()
    found = BOTH[name](50, [0, 1], "test shots")(circuit, angles)
    assert (found.shape, found.dtype, found.requires_grad) == ((*shape, 8), dtype, False)
    assert torch.equal(found.argmax(-1), places) and found.amax(-1).eq(1).all()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_seed_that_diverged_sees_nan_and_the_others_see_what_they_see_without_it(name, wrong):
    angles = random_angles(3, 2, CIRCUIT.angles)
    expected = BOTH[name](100, [0, 1, 2], "test shots")
    diverging = BOTH[name](100, [0, 1, 2], "test shots")
    broken = angles.clone()
    broken[0, 1, 3], broken[1] = wrong, wrong
    for _ in range(2):
        found, sound = diverging(CIRCUIT, broken), expected(CIRCUIT, angles)
        assert torch.equal(found[2], sound[2])
        assert found[0, 1].isnan().all() and found[1].isnan().all()
        torch.testing.assert_close(found[0, 0].sum(), torch.tensor(1.0, dtype=torch.float64))


# Gradients


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("circuit", [CIRCUITS[0], CIRCUITS[2]], ids=lambda circuit: circuit.name)
def test_gradient_of_sampled_circuits_is_unbiased(name, circuit):
    angles, draws = random_angles(1, 1, circuit.angles, seed=2) / 2, 250
    weights = torch.linspace(-1, 2, 2**circuit.qubits, dtype=torch.float64)
    here = angles.clone().requires_grad_()
    (circuits.probabilities(circuit, here) * weights).sum().backward()
    many = angles.expand(1, draws, -1).clone().requires_grad_()
    sampler = BOTH[name](30, [4], "training shots")
    (circuits.probabilities(circuit, many, "parameter_shift", sampler) * weights).sum().backward()
    error = many.grad[0].std(0) / math.sqrt(draws)
    assert error.min() > 0  # it is sampled
    assert ((many.grad[0].mean(0) - here.grad[0, 0]) / error).abs().max() < 4.5
    assert (here.grad[0, 0] / error).abs().max() > 10  # far from zero, so that a wrong gradient would be seen


# Our own draws


def random_probabilities(*shape: int, seed: int = 0) -> torch.Tensor:
    """Outcome probabilities of the published circuit with random angles away from certain outcomes."""
    return product.probabilities(circuits.build("h_ry", 3), random_angles(*shape, 3, seed=seed) / 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=25, database=None)
@given(
    shots=st.integers(1, 10_000),
    rows=st.lists(
        st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda row: sum(row) > 0.01), min_size=1, max_size=5
    ),
)
def test_frequencies_times_shots_are_whole_numbers_that_sum_to_the_shots(dtype, shots, rows):
    exact = torch.tensor(rows, dtype=dtype)[:, None]
    exact = exact / exact.sum(-1, keepdim=True)
    found = Multinomial(shots, list(range(len(rows))), "training shots").frequencies(exact)
    assert (found.shape, found.dtype) == (exact.shape, dtype)
    counts = found.double() * shots
    torch.testing.assert_close(counts, counts.round(), atol=2e-3, rtol=0)
    assert counts.round().sum(-1).eq(shots).all()
    assert found[exact == 0].eq(0).all()  # what cannot happen is never seen


def test_rounding_below_0_is_no_error_and_never_drawn():
    exact = torch.tensor([[[1.0 + 1e-7, -1e-7, 0.0, 0.0]]])
    assert Multinomial(100, [0], "training shots").frequencies(exact).tolist() == [[[1.0, 0.0, 0.0, 0.0]]]


def test_draws_of_a_seed_do_not_depend_on_the_others():
    exact = random_probabilities(8, 2)
    together, alone = Multinomial(SHOTS, list(range(8)), "training shots"), Multinomial(SHOTS, [3], "training shots")
    for _ in range(3):
        assert torch.equal(together.frequencies(exact)[3], alone.frequencies(exact[3:4])[0])
    found = Multinomial(SHOTS, list(range(8)), "training shots").frequencies(exact[:1].expand(8, -1, -1))
    assert len({tuple(row.flatten().tolist()) for row in found}) == 8  # each seed draws its own


def test_stages_draw_from_streams_of_their_own():
    exact = random_probabilities(1, 4)
    first, again, other = (
        Multinomial(SHOTS, [0], stage).frequencies(exact) for stage in ("training", "training", "test")
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_samples_carry_no_gradient_and_leave_the_probabilities_as_they_are():
    exact = random_probabilities(2, 3).requires_grad_()
    before = exact.detach().clone()
    assert not Multinomial(SHOTS, [0, 1], "training shots").frequencies(exact).requires_grad
    assert torch.equal(exact, before)


def test_mean_of_many_draws_converges_to_the_probabilities():
    exact, draws = random_probabilities(2, 1), 400
    sample = Multinomial(50, [0, 1], "training shots")
    found = sample.frequencies(exact.expand(-1, draws, -1))  # (2, draws, 8)
    error = (exact * (1 - exact) / 50).sqrt()[:, 0]
    assert ((found.mean(1) - exact[:, 0]).abs() < 5 * error / math.sqrt(draws)).all()
    torch.testing.assert_close(found.std(1), error, atol=0.0, rtol=0.2)  # neither more nor less than shot noise


def test_counts_are_those_of_the_exact_probabilities():
    exact = random_probabilities(3, 50)  # 150 circuits
    assert SHOTS * exact.min() > 5
    counts = SHOTS * Multinomial(SHOTS, [0, 1, 2], "test shots").frequencies(exact)
    values = stats.chisquare(counts.numpy(), SHOTS * exact.numpy(), axis=-1).pvalue.ravel()
    assert values.min() > 1e-5
    assert stats.kstest(values, "uniform").pvalue > 1e-3  # neither too far from the probabilities nor too near


def test_counts_are_distributed_as_aers():
    circuit, angles = circuits.build("h_ry", 3), random_angles(5, 3) / 4
    aer = SHOTS * backends.sample(circuit, angles.numpy(), SHOTS, seed=0).frequencies
    exact = product.probabilities(circuit, angles)[None]
    ours = SHOTS * Multinomial(SHOTS, [0], "test shots").frequencies(exact)[0].numpy()
    for pair in zip(aer, ours, strict=True):
        assert stats.chi2_contingency(np.round(pair)).pvalue > 1e-4


# Students


def digits(qubits: int, method: str, **changes):
    fields = {"classes": (0, 1, 2), "train_per_class": 16, "validation_per_class": 2, "test_per_class": 40}
    return revised.student("digits", qubits, method, **{**fields, **changes})


def train(task, seeds: int) -> tuple[Student, np.ndarray]:
    """The students and their test accuracies."""
    student, results = training.train_students(task, images.splits(task), None, list(range(seeds)))
    return student, np.array([curves["test_accuracy"][-1] for curves in results])


def test_students_that_train_on_samples_of_aer_end_as_those_on_ours():
    fields = {"batch_size": 16, "learning_rate": 0.02, "epochs": 4}
    changes = {"ansatz": "h_ry", "gradient": "parameter_shift", "shots": 200, **fields}
    aer, ours = (train(digits(4, "qubit", sampler=name, **changes), 5)[1] for name in ("aer", "multinomial"))
    assert (aer != ours).any()  # samples of their own
    assert min(aer.mean(), ours.mean()) > 0.6  # chance is 1/3
    paired = stats.ttest_rel(aer, ours).confidence_interval(0.95)
    assert paired.low < 0 < paired.high
    assert abs(aer.mean() - ours.mean()) < 0.1


@pytest.mark.parametrize("entangler", ["none", "ring_cnot"])
def test_amplitude_encoded_student_trains_by_parameter_shift_to_the_weights_of_autograd(entangler, one_thread):
    trained = {}
    for gradient in ("autograd", "parameter_shift", "published_shift"):
        task = digits(2, "original", gradient=gradient, entangler=entangler, epochs=1)
        trained[gradient] = weights(train(task, 2)[0])
    start = weights(Student(task, images.splits(task).shape, [0, 1]))
    for name, expected in trained["autograd"].items():
        torch.testing.assert_close(trained["parameter_shift"][name], expected, atol=1e-4, rtol=0)
        assert (start[name] - expected).abs().max() > 1e-3  # it has moved
    name = "reducer.out.weight"
    assert not torch.equal(trained["published_shift"][name], trained["parameter_shift"][name])


def weights(student: Student) -> dict[str, torch.Tensor]:
    """Of both seeds; not the last RZ, which nothing depends on: Adam makes steps of the rounding of its gradient."""
    found = {name: value.detach().clone() for name, value in student.named_parameters()}
    return found | {"theta": found["theta"][:, : -student.experiment.qubits]}


@pytest.mark.parametrize("noise", [Noise(), *NOISES], ids=str)
@torch.no_grad()
def test_student_sees_the_noisy_outcomes_of_its_executed_circuit(noise):
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    fields = {"noise": noise.kind, "noise_level": noise.level, "gradient": "parameter_shift", "shots": SHOTS}
    seen = {}
    for sampler in ("exact", "multinomial", "aer"):
        student = Student(digits(3, "original", sampler=sampler, **fields), (1, 8, 8), [0, 1])
        seen[sampler] = [student.train(mode).outcomes(x) for mode in (True, False)]
    expected = circuits.exact(student.executed, student.angles(x).double(), noise)
    for outcomes in seen["exact"]:
        torch.testing.assert_close(outcomes.double(), expected, atol=1e-5, rtol=0)
    for outcomes in (*seen["multinomial"], *seen["aer"]):
        assert p_values(outcomes.double().flatten(0, 1), expected.flatten(0, 1)).min() > 1e-4
    for training_outcomes, test_outcomes in (seen["multinomial"], seen["aer"]):
        assert not torch.equal(training_outcomes, test_outcomes)
