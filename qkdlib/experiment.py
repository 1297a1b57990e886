"""What an experiment is: a frozen description of everything that changes a number. The defaults are what the authors'
student notebooks run (https://github.com/junayed-hasan/Quantum-Machine-Learning at 5db65f1), with MNIST 0-5."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qkdlib import checks, experiment_checks, names
from qkdlib.circuit import Circuit
from qkdlib.names import NUMERICS, digest, slug, task_name  # noqa: F401, a part of the description
from qkdlib.teacher_description import ARCHITECTURES, CUSTOM, LABELS, Teacher, check_fields  # noqa: F401, as well

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One row of evidence: images, student, teacher, loss, training and execution, for a number of seeds.

    Images: `dataset` (one of `DATASETS`, `imagefolder:<path>`, or what `images.from_arrays` returned), `classes` (label
    indices in the data set), images per class of each split (None: all of them; validation needs a number), `selection`
    `first`, `random` (drawn with `data_seed`) or `each_seed` (seed s has images of its own, those that are drawn with
    `data_seed` s), `image_size` to resize the images of a folder to (pixels). A relative
    path of images counts from the project's folder, or the current one outside of it. `images` is the fingerprint of a
    folder's images, by which they are known: "" takes whatever the folder holds; the record of a run says what it was.
    `pixel_mean` and `pixel_std`, one number or one for each channel: the student sees (x - mean) / std of pixels x in
    [0, 1], its teacher x itself. `features` names the frozen network whose outputs the student sees in the images'
    place; `run(..., features=network)` fills it in.
    Student: `qubits`, and by name `reducer`, `encoder`, `ansatz`, `entangler`, `readout`, `head`; `layers` of the
    ansatz, `dropout` of the reducer, `activation` of its hidden layer. The ansatz `classical` is the twin of a quantum
    layer, `classical_linear` a weak one (`twins`). An ansatz of your own is a `qkdlib.Circuit`, which says itself how
    many qubits it has. `angle_reach`: encoder `ansatz_angles` takes theta = pi angle_reach tanh f, which are the
    ansatz's angles, or the features x of a circuit that has such (`reuploading`, or your own); its twin has the same
    slope at 0. `logit_scale`: the head's logits times it.
    Read-out `pauli_z` needs the head `linear`.
    A reducer, an encoder, a head or a loss of your own is named as `register` has made it known.
    Loss: ce_weight * CE + kd_weight * T^2 * KL(teacher || student), T = `temperature`; `kd_temperature_squared`
    False leaves out T^2, as in Eq. 6. `kd_loss` puts another term in the place of KL, as `training.losses` has them:
    `dkd` (with `dkd_beta` and T^2), `rkd` (without T), `none` (0), or your own (without T). Without a teacher the
    experiment is a placebo and `kd_weight` is 0.
    Training: `epochs`, `batch_size`, `learning_rate`, `optimizer` (`sgd` is Eq. 13), `gradient` of the circuit:
    `autograd`, `parameter_shift` (Eq. 12) or `published_shift` (the notebooks' pi/4 shift, sqrt(2) too large).
    `sampler` says what the student sees of its circuits, in training and in testing: `exact` outcome probabilities, or
    frequencies of `shots` samples, which need a gradient by shifts: `multinomial`, drawn from the exact probabilities,
    or `aer`, run on Qiskit's simulator. `noise` of `noise_level` acts on those circuits, as `noise.Noise` says.
    `patience`: a seed stops after this many epochs without a better validation accuracy, and keeps the weights of its
    best epoch; 0: it trains all epochs and keeps the last. `learning_rates` to choose from for each seed, on
    validation; (): `learning_rate`. `tested` says when test accuracy is measured: after `every_epoch`, or `at_end`,
    with the weights of the last and of the best validation epoch. `engine`: `stacked`, this library's simulators, all
    seeds at once; or `torchquantum`, TorchQuantum's own gates one after the other, exact and without noise.
    Execution: `shots` per circuit. `seeds`: how many seeds, counted from 0; not part of the digest, because a
    seed draws the same numbers whatever other seeds run beside it. Nor are fields that change nothing here
    (`names.idle`), such as a placebo's temperature.
    Types are strict, numbers bounded as `checks.MOST` says; numpy's scalars and any ordered container are taken.

    Raises:
        ValueError: a field has a value that is not allowed; the message says what is.
    """

    dataset: str = "mnist"
    classes: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    train_per_class: int | None = 150
    validation_per_class: int = 50
    test_per_class: int | None = 150
    selection: str = "first"
    data_seed: int = 0
    image_size: int | None = None
    images: str = ""
    pixel_mean: tuple[float, ...] = ()
    pixel_std: tuple[float, ...] = ()
    features: str = ""

    qubits: int = 3
    reducer: str = "cnn"
    encoder: str = "ansatz_angles"
    ansatz: str | Circuit = "h_ry"
    layers: int = 1
    entangler: str = "none"
    readout: str = "outcomes"
    head: str = "sigmoid_complement"
    dropout: float = 0.5
    activation: str = "relu"
    angle_reach: float = 1.0
    logit_scale: float = 1.0

    teacher: Teacher | None = None
    ce_weight: float = 1.0
    kd_weight: float = 0.0
    temperature: float = 3.0
    kd_temperature_squared: bool = True
    kd_loss: str = "kl"
    dkd_beta: float = 8.0

    epochs: int = 10
    batch_size: int = 1
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    gradient: str = "autograd"
    sampler: str = "exact"
    noise: str = "none"
    noise_level: float = 0.0
    patience: int = 0
    learning_rates: tuple[float, ...] = ()
    tested: str = "every_epoch"
    engine: str = "stacked"

    shots: int = 5000
    seeds: int = field(default=20, metadata={"digest": False})

    def __post_init__(self) -> None:
        experiment_checks.check(self)

    @property
    def ansatz_name(self) -> str:
        """What the ansatz is called."""
        return self.ansatz.name if isinstance(self.ansatz, Circuit) else self.ansatz

    @property
    def takes_features(self) -> bool:
        """Whether the ansatz has places for features beside its own weights."""
        return self.ansatz.features > 0 if isinstance(self.ansatz, Circuit) else self.ansatz == "reuploading"

    @property
    def measured_qubits(self) -> int:
        """How many wires are measured."""
        return len(self.ansatz.measured) if isinstance(self.ansatz, Circuit) else self.qubits

    def placebo(self) -> "Experiment":
        """The same experiment with nothing distilled: no teacher, `kd_weight` 0."""
        return dataclasses.replace(self, teacher=None, kd_weight=0.0)

    def distilled(self, teacher: Teacher, kd_weight: float = 0.9) -> "Experiment":
        """The same experiment taught by `teacher`."""
        return dataclasses.replace(self, teacher=teacher, kd_weight=kd_weight)

    def of_seed(self, seed: int) -> "Experiment":
        """The experiment in which every seed sees the images of this one and learns from its teacher: with selection
        `each_seed` those that are `random` with that `data_seed`. In both that seed ends the same."""
        taught = dataclasses.replace(self, teacher=self.teacher and self.teacher.of(seed))
        own = self.selection == "each_seed"
        return dataclasses.replace(taught, selection="random", data_seed=seed) if own else taught

    def teachers(self) -> tuple[Teacher, ...]:
        """The single teachers that its seeds learn from; () for a placebo."""
        return tuple(dict.fromkeys(map(self.teacher.of, range(self.seeds)))) if self.teacher else ()

    @property
    def digest(self) -> str:
        """Ten hexadecimal digits that name the experiment's record; see `names.digest`."""
        return digest(names.acting(self))

    @property
    def name(self) -> str:
        """A readable, unique file name: data set, classes, qubits, teacher or placebo, digest."""
        return self._named(self.digest)

    @property
    def names(self) -> list[str]:
        """Its name, and others under which its record may lie; see `names.digests`."""
        return [self._named(each) for each in names.digests(self)]

    def _named(self, digest: str) -> str:
        arm = self.teacher.architecture if self.teacher else "placebo"
        return f"{task_name(self)}_{self.qubits}q_{slug(arm)}_{digest}"


def check_experiment(experiment: object) -> Experiment:
    """`experiment`, if it is one; else `ValueError`."""
    if not isinstance(experiment, Experiment):
        checks.fail("experiment", experiment, "a qkdlib.Experiment")
    return experiment


def as_dict(described: "DataclassInstance") -> dict[str, Any]:
    """A nested dictionary of an experiment's or teacher's fields, as JSON gives it back."""
    return json.loads(json.dumps(dataclasses.asdict(described)))


def from_dict(values: dict[str, Any]) -> Experiment:
    """The experiment that `as_dict` described. `ValueError`: a field is unknown or its value is not allowed."""
    values = _fields("experiment", Experiment, values)
    if isinstance(values.get("ansatz"), dict):
        values["ansatz"] = Circuit(**_fields("ansatz", Circuit, values["ansatz"]))
    if values.get("teacher") is not None:
        teacher = _fields("teacher", Teacher, values["teacher"])
        of_members = checks.members("teacher members", teacher.get("members", ()), "a list of teachers")
        teacher["members"] = [Teacher(**_fields("teacher members", Teacher, each)) for each in of_members]
        values["teacher"] = Teacher(**teacher)
    return Experiment(**values)


def _fields(name: str, kind: "type[DataclassInstance]", values: object) -> dict[str, Any]:
    if not isinstance(values, dict):
        checks.fail(name, values, f"a dictionary of the fields of qkdlib.{kind.__name__}")
    known = {item.name: item.default is dataclasses.MISSING for item in dataclasses.fields(kind)}
    if lacking := [key for key, needed in known.items() if needed and key not in values]:
        checks.fail(f"{name} fields", list(values), f"such as have {lacking[0]}, too")
    if unknown := [key for key in values if key not in known]:
        checks.fail(f"{name} fields", unknown, f"those of qkdlib.{kind.__name__}")
    return dict(values)
