"""The training loop: seeds side by side, bit-equal repeats, arms that differ in the teacher alone, resuming."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from qkdlib import training
from qkdlib.experiment import Experiment, Teacher
from qkdlib.images import datasets
from qkdlib.students import Student

GRADIENTS = ("autograd", "parameter_shift", "published_shift")
LEARNS_NOTHING = 1e-12  # a learning rate that leaves the weights as they are, to 1e-9
DESCRIBED = {"reducer": "fully_connected", "encoder": "amplitude_tanh", "head": "renormalised", "dropout": 0.0}
REVISED = {
    "reducer": "fully_connected", "encoder": "amplitude", "ansatz": "rx_ry_rz", "readout": "pauli_z", "head": "linear",
    "dropout": 0.0,
}  # fmt: skip


def experiment(**fields) -> Experiment:
    tiny = {
        "dataset": "digits", "train_per_class": 10, "validation_per_class": 5, "test_per_class": 10,
        "epochs": 1, "batch_size": 4,
    }  # fmt: skip
    return Experiment(**{**tiny, **fields})


def train(task: Experiment, seeds, logits: torch.Tensor | None = None) -> tuple[Student, list[dict]]:
    return training.train_students(task, datasets.splits(task), logits, list(seeds))


def teacher_logits(task: Experiment) -> torch.Tensor:
    """A teacher that is right and unsure in its own way about each image, so that a mix-up of images shows."""
    labels = datasets.splits(task).all_train.y
    noise = torch.randn(len(labels), len(task.classes), generator=torch.Generator().manual_seed(3))
    return noise + 4 * functional.one_hot(labels, len(task.classes))


def weights(student: Student, place: int = 0) -> torch.Tensor:
    return torch.cat([parameter[place].detach().flatten() for parameter in student.parameters()])


PROTOCOLS = {
    "published": {},
    "published shift": {"gradient": "published_shift"},
    "published, sampled": {"gradient": "published_shift", "sampler": "multinomial", "shots": 100},
    "described": DESCRIBED,
    "revised": REVISED,
    "revised, qubit encoding": {**REVISED, "encoder": "qubit", "entangler": "ring_cz", "layers": 2},
    "revised, under noise": {**REVISED, "noise": "depolarising", "noise_level": 0.05},
    "revised, pca": {**REVISED, "reducer": "pca"},
    "twin": {**REVISED, "ansatz": "classical"},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("distilled", [False, True])
def test_seed_3_is_the_same_alone_and_in_a_stack(protocol, distilled):
    # 60 steps, to the last bit. (With torch's own Adam and sigmoid the weights differ by 1e-7.)
    task, logits = experiment(batch_size=1, **PROTOCOLS[protocol]), None
    if distilled:
        task = task.distilled(Teacher())
        logits = teacher_logits(task)
    alone, (one,) = train(task, [3], logits)
    for seeds in ([3, 9], range(20)):
        stack, results = train(task, seeds, logits)
        place = list(seeds).index(3)
        many = results[place]
        assert torch.equal(weights(alone), weights(stack, place))
        assert many == one
        other = (place + 1) % len(stack.seeds)
        assert results[other]["train_loss"] != pytest.approx(many["train_loss"], abs=1e-4)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_runs_with_one_seed_are_bit_equal_and_two_seeds_differ(protocol):
    task = experiment(epochs=2, **PROTOCOLS[protocol])
    (first, first_results), (second, second_results) = train(task, [0, 1]), train(task, [0, 1])
    for place in (0, 1):
        assert torch.equal(weights(first, place), weights(second, place))
    assert first_results == second_results
    assert not torch.equal(weights(first, 0), weights(first, 1))
    assert first_results[0]["train_loss"] != first_results[1]["train_loss"]


def test_training_does_not_depend_on_the_global_random_state():
    task = experiment()
    torch.manual_seed(1)
    first, _ = train(task, [0])
    torch.manual_seed(2)
    second, _ = train(task, [0])
    assert torch.equal(weights(first), weights(second))


def test_placebo_and_distilled_arm_start_and_go_on_alike():
    placebo = experiment()
    distilled = placebo.distilled(Teacher(), kd_weight=1e-9)
    direct, results = train(placebo, [0, 1])
    _, taught = train(distilled, [0, 1], teacher_logits(placebo))
    for one, other in zip(results, taught, strict=True):
        assert one["train_ce"] == pytest.approx(other["train_ce"], abs=1e-5)
        assert one["test_ce"] == pytest.approx(other["test_ce"], abs=1e-4)
        assert one["train_kl"] != pytest.approx(other["train_kl"], abs=1e-3)  # the teachers do differ
    strong, _ = train(placebo.distilled(Teacher()), [0, 1], teacher_logits(placebo))
    assert not torch.allclose(weights(strong), weights(direct), atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7, 60, 100])
def test_every_batch_size_counts_each_image_once(batch_size):
    # With weights that stay as they are, the mean over an epoch's batches is the mean over the 60 images.
    task = experiment(batch_size=batch_size, learning_rate=LEARNS_NOTHING, dropout=0.0)
    student, results = train(task, [0, 1])
    images = datasets.splits(task).train
    with torch.no_grad():
        logits = student(images.x)
    for place in (0, 1):
        expected = functional.cross_entropy(logits[place], images.y).item()
        assert results[place]["train_ce"] == [pytest.approx(expected, abs=1e-5)]


@pytest.mark.parametrize("selection", ["first", "random"])
def test_each_image_is_taught_by_its_own_teacher_logits(selection):
    task = experiment(learning_rate=LEARNS_NOTHING, dropout=0.0, selection=selection, classes=(7, 2, 5))
    task = task.distilled(Teacher())
    parts, logits = datasets.splits(task), teacher_logits(task)
    student, (results,) = train(task, [0], logits)
    for images, part in ((parts.train, "train"), (parts.validation, "validation")):
        # Found by its pixels, which shares nothing with the library's book-keeping.
        same = (images.x.flatten(1)[:, None] == parts.all_train.x.flatten(1)[None]).all(-1)
        assert (same.sum(1) == 1).all()
        taught = functional.softmax(logits[same.int().argmax(1)] / 3, dim=-1)
        with torch.no_grad():
            log_student = functional.log_softmax(student(images.x)[0, :, :3] / 3, dim=-1)
        expected = functional.kl_div(log_student, taught, reduction="batchmean").item()
        assert results[f"{part}_kl"] == [pytest.approx(expected, abs=1e-5)]


def test_evaluation_is_pytorchs_cross_entropy_and_accuracy_without_dropout():
    task = experiment(test_per_class=13)  # 78 images: more than one batch of evaluation, and a rest
    student, results = train(task, [0, 1])
    images = datasets.splits(task).test
    assert len(images) > student.reducer.evaluation_batch
    with torch.no_grad():
        logits = student(images.x)
    for place in (0, 1):
        expected = functional.cross_entropy(logits[place], images.y).item()
        assert results[place]["test_ce"] == [pytest.approx(expected, abs=1e-5)]
        right = (logits[place].argmax(1) == images.y).double().mean().item()
        assert results[place]["test_accuracy"] == [pytest.approx(right, abs=1e-6)]


def test_dropout_keeps_its_share_and_the_expectation():
    task = experiment(dropout=0.25)
    student = Student(task, (1, 28, 28), [0, 1])
    draws = [[torch.Generator().manual_seed(seed) for seed in (0, 1)] for _ in range(2)]
    order, keep = training._draw_epoch(student, 500, *draws)
    assert keep.shape == (2, 500, 70)
    assert keep.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert keep.mean().item() == pytest.approx(1, abs=0.01)
    assert order.sort(dim=1).values.tolist() == [list(range(500))] * 2
    assert not torch.equal(order[0], order[1])


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_student_learns_with_every_gradient(gradient):
    check_that_it_learns(experiment(gradient=gradient, epochs=4, batch_size=2))


@pytest.mark.parametrize("gradient", ["parameter_shift", "published_shift"])
def test_student_learns_from_samples(gradient):
    check_that_it_learns(experiment(gradient=gradient, sampler="multinomial", shots=1000, epochs=4, batch_size=2))


def test_described_student_learns():
    check_that_it_learns(experiment(**DESCRIBED, epochs=4, batch_size=2))


@pytest.mark.parametrize(("encoder", "entangler"), [("amplitude", "ring_cnot"), ("angle", "none"), ("qubit", "none")])
def test_revised_student_learns(encoder, entangler):
    check_that_it_learns(experiment(**{**REVISED, "encoder": encoder, "entangler": entangler}, epochs=4, batch_size=2))


def check_that_it_learns(task: Experiment):
    _, results = train(task, range(6))  # together, because at batch 1 a single seed may stay where it is
    losses = torch.tensor([seed["train_loss"] for seed in results]).mean(0)
    assert losses[-1] < losses[0] - 0.008
    assert sum(seed["test_accuracy"][-1] for seed in results) / 6 > 1.2 / 6


def test_parameter_shift_trains_as_autograd_does_and_the_published_shift_otherwise():
    trained = {name: train(experiment(gradient=name), [0]) for name in GRADIENTS}
    ce = {name: results[0]["validation_ce"][0] for name, (_, results) in trained.items()}
    assert ce["parameter_shift"] == pytest.approx(ce["autograd"], abs=1e-4)
    # Adam takes out a common factor of the gradient but for its epsilon, so that the weights differ a little.
    assert not torch.equal(weights(trained["published_shift"][0]), weights(trained["autograd"][0]))


class Interrupter:
    """A small training whose batches or measure can be interrupted in the second epoch."""

    def __init__(self, where: str | None):
        self.where = where
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01, fused=True)
        self.x = torch.randn(20, 5)
        self.epochs_seen = []

    def batches(self, epoch: int):
        self.epochs_seen.append(epoch)
        order = torch.randperm(20, generator=torch.Generator().manual_seed(epoch))
        for step, rows in enumerate(order.split(6)):
            if self.where == "batches" and epoch == 1 and step == 2:
                raise KeyboardInterrupt
            yield (self.x[rows],)

    def loss_of(self, x):
        assert self.model.training
        return (self.model(x) - x.sum(1, keepdim=True)).square().mean()

    def measure(self) -> dict:
        assert not self.model.training
        if self.where == "measure" and self.epochs_seen[-1] == 1:
            raise KeyboardInterrupt
        return {"loss": float((self.model(self.x) - self.x.sum(1, keepdim=True)).square().mean())}

    def fit(self, checkpoint=None, epochs=4, **options) -> list[dict]:
        parts = (self.model, self.optimizer, self.batches, self.loss_of, self.measure)
        return training.fit(*parts, epochs, "test", 4, checkpoint, **options)


def losses(history: list[dict]) -> list[float]:
    return [epoch["loss"] for epoch in history]


@pytest.mark.parametrize("where", ["batches", "measure"])
def test_interrupted_training_goes_on_to_the_same_weights(tmp_path, where):
    whole = Interrupter(None)
    expected = whole.fit()
    checkpoint = tmp_path / "training.pt"
    with pytest.raises(KeyboardInterrupt):
        Interrupter(where).fit(checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]

    resumed = Interrupter(None)
    history = resumed.fit(checkpoint)
    assert resumed.epochs_seen == [1, 2, 3]
    assert losses(history) == losses(expected)
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_finished_checkpoint_is_loaded_and_not_trained_again(tmp_path):
    checkpoint = tmp_path / "training.pt"
    first = Interrupter(None)
    expected = first.fit(checkpoint)
    again = Interrupter(None)
    assert again.fit(checkpoint) == expected
    assert again.epochs_seen == []
    assert torch.equal(again.model[0].weight, first.model[0].weight)


def test_history_has_an_entry_with_seconds_for_each_epoch():
    history = Interrupter(None).fit(epochs=3)
    assert len(history) == 3
    assert all(epoch["seconds"] >= 0 for epoch in history)
    assert losses(history)[-1] < losses(history)[0]


def test_training_stops_after_the_epoch_that_finished_it():
    stopped = Interrupter(None)
    history = stopped.fit(finished=lambda: len(stopped.epochs_seen) == 3)
    assert stopped.epochs_seen == [0, 1, 2]
    assert losses(history) == losses(Interrupter(None).fit(epochs=3))
