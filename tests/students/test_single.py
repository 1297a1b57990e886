"""The student of one seed in other people's programs: an ordinary PyTorch module, and a circuit of Qiskit's."""

import copy
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from qiskit.quantum_info import Statevector
from torch import nn

from qkdlib.circuit import Circuit
from qkdlib.experiment import Experiment
from qkdlib.students import SingleStudent, Student

GREY = (1, 16, 16)
REVISED = {"readout": "pauli_z", "head": "linear", "dropout": 0.0, "ansatz": "rx_ry_rz"}
OWN = Circuit(
    3, ["ry(x[0]) 0", "rx(x[1]) 1", "h 2", "crx(2*w[0]) 0 2", "ry(-x[0]) 1", "rzz(w[1]) 1 2", "ry(w[0]) 2"], (2, 0)
)
KINDS = {
    "published": {"classes": (0, 2, 5)},
    "softmax": {"head": "softmax", "qubits": 2, "classes": (3, 1)},
    "renormalised": {"head": "renormalised", "reducer": "fully_connected", "dropout": 0.0, "classes": (1, 4)},
    "amplitude": {"reducer": "fully_connected", "encoder": "amplitude", "entangler": "ring_cnot", **REVISED},
    "angle": {"reducer": "avg_pool", "encoder": "angle", "qubits": 4, **REVISED},
    "pca": {"reducer": "pca", "encoder": "qubit", "qubits": 4, **REVISED},
    "published pca": {"reducer": "pca", "dropout": 0.0},
    "own circuit": {"reducer": "fully_connected", **REVISED, "ansatz": OWN},
    "reuploading": {"reducer": "fully_connected", "layers": 2, **REVISED, "ansatz": "reuploading"},
    "twin": {"ansatz": "classical", "classes": (0, 1, 2)},
}
CIRCUITS = [name for name in KINDS if name != "twin"]


def images(count: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, *GREY, generator=torch.Generator().manual_seed(seed))


def stack(kind: str, seeds: tuple[int, ...] = (3, 0, 7), **fields) -> Student:
    return Student(Experiment(**KINDS[kind] | fields), GREY, list(seeds)).fit_reducer(images(40)).eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 7])
def test_one_seed_gives_the_logits_of_its_place_in_the_stack(kind, seed, one_thread):
    student, x = stack(kind), images(9, seed=2)
    single, classes = student.one(seed), len(student.experiment.classes)
    assert isinstance(single, nn.Module) and not single.training
    torch.testing.assert_close(single(x), student(x)[student.seeds.index(seed), :, :classes], rtol=0, atol=1e-6)
    assert single(x).shape == (9, classes)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_the_softmax_and_the_argmax_of_the_class_logits(kind):
    single, x = stack(kind).one(0).train(), images(20)
    chances, found = single.predict_proba(x), single.predict(x)
    logits = single.eval()(x).detach()
    torch.testing.assert_close(chances, logits.exp() / logits.exp().sum(1, keepdim=True))
    torch.testing.assert_close(chances.sum(1), torch.ones(20))
    assert found.tolist() == [single.experiment.classes[place] for place in logits.argmax(1).tolist()]
    assert not chances.requires_grad and not chances.is_inference()


def test_arrays_give_arrays_and_an_image_is_a_batch_of_one():
    single, x = stack("published").one(0), images(3)
    assert isinstance(single.predict(x.numpy()), np.ndarray)
    np.testing.assert_array_equal(single.predict(x.numpy()), single.predict(x).numpy())
    np.testing.assert_allclose(single.predict_proba(x.double().numpy()), single.predict_proba(x), atol=1e-6)
    assert single.predict(x[0]).shape == (1,) and single.predict_proba(x[0].numpy()).shape == (1, 3)
    assert single.train().predict(x).shape == (3,) and single.training  # the mode is what it was


def trained(module: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int, rate: float = 0.02) -> list[float]:
    """An ordinary training; the loss of each step."""
    optimizer, losses = torch.optim.Adam(module.parameters(), lr=rate), []
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=len(x) // 2)
    for _ in range(steps):
        for chunk, labels in batches:
            loss = nn.functional.cross_entropy(module(chunk), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def bright(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of which the upper, the middle or the lower part is bright, and which it is."""
    y = torch.arange(count) % 3
    x = 0.2 * images(count)
    for row, place in enumerate(y.tolist()):
        x[row, :, 5 * place : 5 * place + 5] += 0.8
    return x, y


@pytest.mark.parametrize("kind", ["published", "amplitude", "twin"])
def test_a_plain_training_lowers_the_loss_and_changes_no_other_copy(kind):
    student = stack(kind, classes=(0, 1, 2))
    (x, y), single = bright(24), student.one(3)
    before, other = student(x).detach(), copy.deepcopy(single)
    losses = trained(single, x, y, steps=15)
    assert losses[-1] < losses[0] - (0.3 if kind == "amplitude" else 0.05)  # the head of the others is a flat one
    assert torch.equal(student(x), before) and torch.equal(other(x), student.one(3)(x))
    assert not torch.allclose(single(x), other(x))
    assert (single.predict(x) == y).float().mean() > 0.6


def test_all_parameters_get_the_gradient_that_the_stack_has():
    student, x = stack("amplitude"), images(6)
    single, y = student.one(0), torch.tensor([0, 1, 2, 3, 4, 5])
    nn.functional.cross_entropy(single(x), y).backward()
    nn.functional.cross_entropy(student(x)[1], y).backward()
    for one, many in zip(single.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(one.grad[0], many.grad[1], rtol=1e-4, atol=1e-6)


class Gain(nn.Module):
    """A layer before a student's."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.value * x)


@pytest.mark.parametrize(
    ("kind", "numbers", "step", "rel"),
    [
        ("published", torch.float64, 1e-4, 1e-5),
        ("renormalised", torch.float64, 1e-4, 1e-5),
        ("amplitude", torch.float32, 1e-2, 1e-2),
        ("pca", torch.float32, 1e-2, 1e-2),
    ],
)
def test_it_is_a_layer_that_passes_gradients_on(kind, numbers, step, rel):
    network, x = nn.Sequential(Gain(), stack(kind).one(0), nn.Softmax(dim=1)).to(numbers), images(5)
    weights = torch.arange(1.0, 1 + len(network[1].experiment.classes))

    def weighted(value: float) -> torch.Tensor:
        with torch.no_grad():
            network[0].value.fill_(value)
        return (network(x.to(numbers)).double() * weights).sum()

    weighted(0.7).backward()
    slope = (weighted(0.7 + step) - weighted(0.7 - step)).item() / (2 * step)
    assert network[0].value.grad.item() == pytest.approx(slope, rel=rel, abs=1e-3 * rel)


def test_dropout_acts_in_training_mode_alone_and_follows_torchs_seed():
    single, x = stack("published").one(0), images(4)
    assert torch.equal(single(x), single(x))
    single.train()
    torch.manual_seed(5)
    first, second = single(x), single(x)
    torch.manual_seed(5)
    assert torch.equal(single(x), first) and not torch.equal(first, second)
    no_dropout = stack("published", dropout=0.0).one(0)
    assert torch.equal(no_dropout.train()(x), no_dropout.eval()(x))


def test_dropout_keeps_the_mean_of_what_it_drops():
    single, x = stack("published").one(0).train(), torch.zeros(20000, *GREY)
    keep = single._dropout(len(x))
    assert keep.unique().tolist() == [0.0, 2.0]  # 1 / (1 - 0.5)
    assert keep.mean().item() == pytest.approx(1.0, abs=5 * 1 / math.sqrt(keep.numel()))


def test_the_state_dict_holds_all_that_differs_between_two_of_a_kind():
    for kind in KINDS:
        one, x = stack(kind).one(0), images(5)
        other = Student(one.experiment, GREY, [8]).fit_reducer(images(30, seed=9)).eval().one(8)
        assert not torch.allclose(one(x), other(x))
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(x), other(x)), kind


def test_it_can_be_stored_as_a_whole():
    one, x, file = stack("pca").one(7), images(5), io.BytesIO()
    torch.save(one, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert isinstance(again, SingleStudent) and torch.equal(again(x), one(x)) and again.seed == 7


def test_a_student_of_samples_draws_them_by_its_seed():
    options = {"sampler": "multinomial", "shots": 100, "gradient": "parameter_shift", "dropout": 0.0}
    (first, again), x = (stack("published", **options).one(7) for _ in range(2)), images(4)
    found = [first(x), first(x)]
    assert torch.equal(again(x), found[0]) and torch.equal(copy.deepcopy(again)(x), found[1])
    assert not torch.equal(*found)
    exact = stack("published", dropout=0.0).one(7)(x)
    torch.testing.assert_close(found[0], exact, rtol=0, atol=5 * 0.25 * 0.5 / math.sqrt(100))


def test_it_computes_in_32_bits_under_autocast():
    single, x = stack("amplitude").one(0), images(4)
    with torch.autocast("cpu", torch.bfloat16):
        found = single(x.bfloat16().float())
        nn.functional.cross_entropy(found, torch.zeros(4, dtype=torch.long)).backward()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, single(x.bfloat16().float()))


def test_it_computes_in_64_bits_where_it_is_asked_to():
    single, x = stack("published").one(0), images(4)
    double = copy.deepcopy(single).double()
    assert double(x).dtype == torch.float64
    torch.testing.assert_close(double(x).float(), single(x), rtol=1e-5, atol=1e-6)


WRONG = [
    (torch.zeros(2, 1, 28, 28), r"images=\(2, 1, 28, 28\) is not allowed; allowed: a tensor of shape \(B, 1, 16, 16\)"),
    (torch.zeros(16, 16), "shape"),
    (torch.zeros(2, 3, 16, 16), "shape"),
    (torch.zeros(2, *GREY, dtype=torch.uint8), "images=torch.uint8 .*not bytes from 0 to 255"),
    (torch.zeros(2, *GREY, dtype=torch.complex64), "real numbers"),
]


@pytest.mark.parametrize(("x", "said"), WRONG)
@pytest.mark.parametrize("method", ["forward", "predict", "predict_proba"])
def test_wrong_images_are_one_clear_line(x, said, method):
    with pytest.raises(ValueError, match=said) as error:
        getattr(stack("published").one(0), method)(x)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("x", [np.full((1, *GREY), np.nan), np.array([["a"]]), np.zeros((2, *GREY), complex), None])
def test_what_is_no_image_is_refused(x):
    for method in ("predict", "predict_proba"):
        with pytest.raises(ValueError, match="images=.* is not allowed"):
            getattr(stack("published").one(0), method)(x)
    with pytest.raises(ValueError, match="images=.* is not allowed"):
        stack("published").one(0)([[1.0]])


@pytest.mark.parametrize("seed", [1, -1, "0", None, 0.0, True])
def test_other_seeds_are_refused(seed):
    for ask in (stack("published").one, lambda seed: stack("published").qiskit(images(1)[0], seed)):
        with pytest.raises(ValueError, match="seed=.* is not allowed"):
            ask(seed)


@pytest.mark.parametrize("kind", CIRCUITS)
def test_the_bound_circuit_has_the_students_probabilities(kind):
    student, x = stack(kind), images(2, seed=4)
    exact = student.probabilities(x).detach().double().numpy()
    for place, seed in enumerate(student.seeds):
        for row in range(2):
            bound = student.qiskit(x[row], seed)
            assert not bound.parameters and bound.num_clbits == student.experiment.qubits
            found = Statevector(bound.remove_final_measurements(inplace=False)).probabilities()
            np.testing.assert_allclose(found, exact[place, row], atol=2e-6)


@given(seed=st.integers(0, 2**31), kind=st.sampled_from(CIRCUITS))
def test_the_circuit_of_one_seed_is_that_of_the_stack(seed, kind):
    student, x = stack(kind, (seed,)), images(1, seed=seed)
    one, many = (
        Statevector(bound.remove_final_measurements(inplace=False))
        for bound in (student.one(seed).qiskit(x[0].numpy()), student.qiskit(x[0], seed))
    )
    assert abs(one.inner(many)) == pytest.approx(1, abs=1e-9)


def test_a_twin_has_no_circuit():
    with pytest.raises(ValueError, match="ansatz='classical' is not allowed; .*a classical twin has none"):
        stack("twin").one(0).qiskit(images(1)[0])


WRONG_IMAGES = [images(1), torch.zeros(1, 28, 28), np.zeros((16, 16)), "x", torch.full(GREY, torch.nan)]


@pytest.mark.parametrize("image", WRONG_IMAGES)
def test_the_circuit_is_of_one_image(image):
    with pytest.raises(ValueError, match="images=.* is not allowed"):
        stack("published").qiskit(image, 0)
