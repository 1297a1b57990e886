"""Students: their size, their logits, and the floor of the cross entropy that the heads set."""

import math

import pytest
import torch
from torch.nn import functional

from qkdlib.circuits import pure
from qkdlib.experiment import Experiment
from qkdlib.students import Student, classified_right, encoders

GREY = (1, 28, 28)

# Qubits, head, number of logits, range of a logit, range of the cross entropy. The cross entropies are what the
# authors' recorded training losses never leave.
RANGES = [
    (3, "sigmoid_complement", 16, (0.2689, 0.7311), (2.5449, 2.7759)),
    (4, "sigmoid_complement", 32, (0.2689, 0.7311), (3.2364, 3.4674)),
    (3, "softmax", 8, (0.1029, 0.2797), (1.9265, 2.1033)),
]


def student(seeds=(0, 1), **fields) -> Student:
    return Student(Experiment(**fields), GREY, list(seeds))


def images(count: int) -> torch.Tensor:
    return torch.rand(count, *GREY, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(("qubits", "count"), [(3, 21_483), (4, 21_534)])
def test_parameter_count_is_the_authors(qubits, count):
    assert student(qubits=qubits).parameter_count() == {"classical": count, "quantum": 0}
    assert student(qubits=qubits, seeds=range(5)).parameter_count()["classical"] == count


@pytest.mark.parametrize(("qubits", "head", "size", "reach", "_losses"), RANGES)
def test_logits_have_the_heads_size_and_range(qubits, head, size, reach, _losses):
    model = student(qubits=qubits, head=head)
    with torch.no_grad():
        model.reducer.out.weight.mul_(30)  # spread the angles over their whole range
        logits = model(images(40))
    assert logits.shape == (2, 40, size)
    assert logits.min() >= reach[0] - 1e-4 and logits.max() <= reach[1] + 1e-4
    assert logits.std() > 1e-3


@pytest.mark.parametrize(("qubits", "head", "size", "reach", "losses"), RANGES)
def test_cross_entropy_reaches_its_floor_and_ceiling_at_basis_states(qubits, head, size, reach, losses):
    logits = student(qubits=qubits, head=head).head(torch.eye(2**qubits))
    assert logits.min().item() == pytest.approx(reach[0], abs=1e-4)
    assert logits.max().item() == pytest.approx(reach[1], abs=1e-4)
    right = functional.cross_entropy(logits, torch.arange(2**qubits), reduction="none")
    wrong = functional.cross_entropy(logits, (torch.arange(2**qubits) + 1) % 2**qubits, reduction="none")
    torch.testing.assert_close(right, torch.full_like(right, losses[0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(wrong, torch.full_like(wrong, losses[1]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("qubits", "head", "_size", "_reach", "losses"), RANGES)
def test_cross_entropy_of_any_outcome_probabilities_stays_within_floor_and_ceiling(qubits, head, _size, _reach, losses):
    torch.manual_seed(0)
    for concentration in (0.05, 0.5, 5.0):
        outcomes = torch.distributions.Dirichlet(torch.full((2**qubits,), concentration)).sample((500,))
        logits = student(qubits=qubits, head=head).head(outcomes)
        found = functional.cross_entropy(logits, torch.randint(0, 6, (500,)), reduction="none")
        assert found.min() >= losses[0] - 1e-4 and found.max() <= losses[1] + 1e-4


def test_second_half_of_the_sigmoid_head_is_the_complement():
    outcomes = torch.rand(4, 8)
    first, second = student().head(outcomes).split(8, dim=-1)
    torch.testing.assert_close(first, 1 / (1 + torch.exp(-outcomes)))
    torch.testing.assert_close(second, 1 - first)


def test_angles_are_pi_tanh_of_the_features_and_probabilities_follow_from_them():
    model, x = student(), images(6)
    with torch.no_grad():
        angles = model.angles(x)
        torch.testing.assert_close(angles, math.pi * torch.tanh(model.reducer(model.reducer.prepare(x))))
        up = (1 + torch.sin(angles)) / 2  # p(1) of each wire
        for outcome in range(8):
            digits = [outcome >> wire & 1 for wire in range(3)]
            expected = math.prod(up[..., wire] if bit else 1 - up[..., wire] for wire, bit in enumerate(digits))
            torch.testing.assert_close(model.probabilities(x)[..., outcome], expected, atol=1e-6, rtol=1e-5)


def test_gradient_field_reaches_the_circuit():
    gradients = []
    for gradient in ("autograd", "parameter_shift", "published_shift"):
        model = student(gradient=gradient)
        model(images(4)).square().sum().backward()
        gradients.append(model.reducer.conv1.weight.grad)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(gradients[2], math.sqrt(2) * gradients[0], atol=1e-5, rtol=1e-3)
    assert gradients[0].abs().max() > 1e-3


def test_outcome_that_is_no_class_counts_as_wrong():
    logits = torch.zeros(1, 3, 16)
    logits[0, 0, 2] = logits[0, 1, 7] = logits[0, 2, 10] = 1
    assert classified_right(logits, torch.tensor([[2, 1, 2]])).tolist() == [[True, False, False]]


# Sampled outcomes

SAMPLED = {"gradient": "published_shift", "sampler": "multinomial", "shots": 100}


def test_sampled_student_sees_frequencies_of_its_exact_probabilities():
    model, exact, x = student(**SAMPLED), student(), images(400)
    with torch.no_grad():
        frequencies, probabilities = model.outcomes(x), exact.outcomes(x)
        assert torch.equal(model.probabilities(x), probabilities)  # exact whatever the sampler
    counts = 100 * frequencies
    torch.testing.assert_close(counts, counts.round(), atol=1e-4, rtol=0)
    spread = (frequencies - probabilities) / (probabilities * (1 - probabilities) / 100).sqrt()
    assert spread.std().item() == pytest.approx(1, abs=0.05)  # shot noise of 100 shots
    assert abs(spread.mean().item()) < 0.05


def test_evaluation_does_not_move_the_samples_of_the_training():
    found = []
    for evaluations in (0, 2):
        model, x = student(**SAMPLED), images(5)
        model.eval()
        for _ in range(evaluations):
            model(x)
        model.train()
        found.append(model(x))
        model.eval()
        assert not torch.equal(model.outcomes(x), model.outcomes(x))  # each call draws anew
    assert torch.equal(*found)


def test_test_shots_of_a_student_are_not_its_training_shots():
    training, testing = student(**SAMPLED).train(), student(**SAMPLED).eval()
    assert not torch.equal(training.outcomes(images(5)), testing.outcomes(images(5)))


def test_samples_of_seed_1_are_the_same_alone_and_beside_others():
    x = images(5)
    alone, together = student(seeds=[1], **SAMPLED), student(seeds=range(4), **SAMPLED)
    for _ in range(2):
        torch.testing.assert_close(alone.outcomes(x)[0], together.outcomes(x)[1], atol=1e-6, rtol=0)


# The student that v1's text describes

DESCRIBED = {
    "reducer": "fully_connected", "encoder": "amplitude_tanh", "head": "renormalised", "dropout": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(("qubits", "classical"), [(3, 785 * 8), (4, 785 * 16)])
def test_described_student_has_a_linear_layer_and_an_angle_per_wire(qubits, classical):
    for seeds in ((0,), (0, 1, 2)):
        model = student(seeds=seeds, qubits=qubits, **DESCRIBED)
        assert model.parameter_count() == {"classical": classical, "quantum": qubits}


def test_described_student_is_the_formula_in_plain_torch():
    model, x = student(seeds=(0, 4), **DESCRIBED), images(6)
    with torch.no_grad():
        logits = model(x)
    for seed in range(2):
        features = torch.tanh(
            functional.linear(x.flatten(1), model.reducer.out.weight[seed], model.reducer.out.bias[seed])
        )
        state = (features / features.norm(dim=1, keepdim=True)).detach()
        for wire in range(3):  # H, then RY(theta), on the axis of the wire's digit
            half = model.theta[seed, wire].detach() / 2
            turn = torch.stack([torch.cos(half), -torch.sin(half), torch.sin(half), torch.cos(half)]).view(2, 2)
            gate = turn @ (torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / math.sqrt(2))
            state = torch.einsum("ij,bxjy->bxiy", gate, state.view(6, 2 ** (2 - wire), 2, 2**wire)).reshape(6, 8)
        expected = state[:, :6] ** 2
        expected = expected / expected.sum(1, keepdim=True)
        torch.testing.assert_close(logits[seed].exp(), expected, atol=1e-5, rtol=1e-4)


def test_described_student_trains_its_angles_and_its_layer():
    model = student(seeds=(0, 1), **DESCRIBED)
    model(images(4))[..., 0].sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().amax(dim=tuple(range(1, parameter.ndim))).min() > 1e-4, name
    assert {"theta"} < {name for name, _ in model.named_parameters()}


def test_angles_start_anywhere_on_the_circle_and_alike_alone_and_in_a_stack():
    starts = student(seeds=range(200), **DESCRIBED).theta.detach()
    assert starts.abs().max() <= math.pi
    assert starts.std().item() == pytest.approx(math.pi / math.sqrt(3), rel=0.05)
    assert torch.equal(student(seeds=[7], **DESCRIBED).theta[0], starts[7])


def test_probabilities_of_the_described_student_are_what_it_sees():
    model, x = student(**DESCRIBED), images(5)
    with torch.no_grad():
        state = encoders.AmplitudeTanh(3).state(model.reducer(x.flatten(1)))
        state = pure.final_state(model.circuit, state, model.theta)
        expected = state.square().sum(3).flatten(2)  # real and imaginary parts
        assert torch.equal(model.probabilities(x), expected)
        assert torch.equal(model.outcomes(x), expected)
    torch.testing.assert_close(expected.sum(-1), torch.ones(2, 5))


def test_angles_of_the_described_student_are_those_of_its_state_then_those_of_its_ansatz():
    model = student(**DESCRIBED)
    with torch.no_grad():
        angles = model.angles(images(4))
    ansatz = model.theta.shape[-1]
    assert angles.shape == (2, 4, 7 + ansatz) and model.executed.angles == 7 + ansatz
    assert torch.equal(angles[:, :, 7:], model.theta[:, None].expand(-1, 4, -1))
    assert (angles[:, :1, :7] != angles[:, 1:, :7]).any()


def test_weights_of_the_described_student_survive_a_file(tmp_path):
    model, other = student(seeds=(0, 1, 2), **DESCRIBED), student(seeds=(2, 0), **DESCRIBED)
    with torch.no_grad():
        model.theta.add_(1.0)
    model.save_weights(tmp_path / "weights.npz")
    assert other.load_weights(tmp_path / "weights.npz")
    assert torch.equal(other.theta, model.theta[[2, 0]])
    assert torch.equal(other.reducer.out.weight, model.reducer.out.weight[[2, 0]])


# Fields of the student that controls vary


def test_half_the_reach_never_folds_the_sine():
    for reach, limit in ((1.0, torch.pi), (0.5, torch.pi / 2)):
        model = student(seeds=[0], angle_reach=reach)
        with torch.no_grad():
            model.reducer.out.weight.mul_(100)
            angles = model.angles(images(16))
        assert limit * 0.9 < angles.abs().max() <= limit * (1 + 1e-6)


def test_the_logit_scale_multiplies_logits_wherever_they_are_read():
    plain, scaled = (student(seeds=[0], logit_scale=scale) for scale in (1.0, 7.0))
    torch.testing.assert_close(scaled(images(3)), 7 * plain(images(3)))
    outcomes = plain.probabilities(images(3))[0]
    torch.testing.assert_close(scaled.read_out(outcomes, 0), 7 * plain.read_out(outcomes, 0))


def test_a_leaky_hidden_layer_lets_gradients_through_where_all_of_it_is_dead():
    for activation, alive in (("relu", False), ("leaky_relu", True)):
        model = student(seeds=[0], activation=activation, dropout=0.0)
        with torch.no_grad():
            model.reducer.hidden.bias.fill_(-100.0)
        model(images(2))[..., 0].sum().backward()
        assert bool(model.reducer.conv1.weight.grad.abs().max() > 0) == alive


def test_one_layer_with_a_ring_of_cnots_permutes_outcomes_and_two_do_not():
    """Of the published circuit: so an entangler without depth cannot change what it can tell apart."""
    plain, ringed = (student(seeds=[0], entangler=name) for name in ("none", "ring_cnot"))
    with torch.no_grad():
        before, after = plain.probabilities(images(5))[0], ringed.probabilities(images(5))[0]
    torch.testing.assert_close(torch.sort(after, -1).values, torch.sort(before, -1).values, atol=1e-6, rtol=0)
    assert not torch.allclose(after, before)
    deep = student(seeds=[0], entangler="ring_cnot", layers=2)
    assert deep.angles(images(5)).shape[-1] == 6
