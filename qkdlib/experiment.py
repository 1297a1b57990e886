"""What an experiment is: a frozen description of everything that changes a number, and its digest.

The defaults are the `published` protocol: what the authors' 24 student notebooks run
(https://github.com/junayed-hasan/Quantum-Machine-Learning at 5db65f1), with MNIST 0-5 and 3 qubits.
"""

import dataclasses
import hashlib
import json
import numbers
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from qkdlib import checks
from qkdlib.noise import Noise

NUMERICS = 1  # raise when a change of the code changes numbers: every digest changes with it

DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10", "cifar10_jpeg")
REDUCERS = ("cnn", "fully_connected", "avg_pool", "max_pool", "center_crop", "pca")
ENCODERS = ("ansatz_angles", "amplitude_tanh", "amplitude", "angle", "qubit")
TWINS = ("classical", "classical_linear")
ANSATZE = ("h_ry", "rx_ry_rz", *TWINS)
ENTANGLERS = ("none", "ring_cnot", "ring_cz")
READOUTS = ("outcomes", "pauli_z")
HEADS = ("sigmoid_complement", "softmax", "renormalised", "linear")
TESTED = ("every_epoch", "at_end")
GRADIENTS = ("autograd", "parameter_shift", "published_shift")
SAMPLERS = ("exact", "multinomial", "aer")
ARCHITECTURES = ("lenet", "alexnet", "ensemble")
LABELS = ("own", "smoothed", "shuffled")
ACTIVATIONS = ("relu", "leaky_relu")
CUSTOM = "custom:"
IMAGEFOLDER = "imagefolder:"
FINGERPRINT = re.compile("[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A classical network and its training (v1, sections 4.3 and 4.6).

    `architecture` is `lenet`, `alexnet`, `ensemble`, or `custom:<name>` for a network of your own.
    `ensemble` says how the ensemble is made: `mean_probabilities` averages the class probabilities of the two
    trained networks (Eq. 16); `joint_logits` averages logits and trains both through the mean, as the authors'
    notebooks do. `images_per_class` is None for all training images of the classes. `members` are the networks of an
    ensemble of probabilities, where they differ in more than their architecture; by default LeNet and AlexNet, both
    trained as this teacher says. `labels` says what the student gets of it: its `own` logits; as a control, labels
    `smoothed` to the entropy of its softened ones; or its logits `shuffled` among the images of a class (`controls`).
    """

    architecture: str = "lenet"
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    images_per_class: int | None = None
    ensemble: str = "mean_probabilities"
    members: tuple["Teacher", ...] = ()
    seed: int = 0
    labels: str = "own"

    def __post_init__(self):
        if not (self.architecture.startswith(CUSTOM) and len(self.architecture) > len(CUSTOM)):
            checks.one_of("teacher", self.architecture, (*ARCHITECTURES, CUSTOM + "<name>"))
        checks.whole("teacher epochs", self.epochs)
        checks.whole("teacher batch_size", self.batch_size)
        checks.real("teacher learning_rate", self.learning_rate, positive=True)
        if self.images_per_class is not None:
            checks.whole("teacher images_per_class", self.images_per_class)
        checks.one_of("ensemble", self.ensemble, ("mean_probabilities", "joint_logits"))
        checks.whole("teacher seed", self.seed, minimum=0)
        checks.one_of("teacher labels", self.labels, LABELS)
        if not isinstance(self.members, Iterable):
            checks.fail("teacher members", self.members, "a tuple of teachers")
        object.__setattr__(self, "members", tuple(self.members))
        if self.members and (self.architecture, self.ensemble) != ("ensemble", "mean_probabilities"):
            checks.fail("teacher members", self.members, "() but for an ensemble of mean_probabilities")
        if any(not isinstance(member, Teacher) or member.architecture == "ensemble" for member in self.members):
            checks.fail("teacher members", self.members, "teachers that are single networks")
        _plain_numbers(self)

    def trained(self) -> tuple["Teacher", ...]:
        """The networks that are trained: those of an ensemble of probabilities, else this one."""
        if self.architecture == "ensemble" and self.ensemble == "mean_probabilities":
            both = (dataclasses.replace(self, architecture=name, members=()) for name in ("lenet", "alexnet"))
            return self.members or tuple(both)
        return (self,)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One row of evidence: images, student, teacher, loss, training and execution, for a number of seeds.

    Images: `dataset` (one of `DATASETS` or `imagefolder:<path>`), `classes` (label indices in the data set),
    images per class of each split (None: all of them; validation needs a number), `selection` `first` or `random`
    (drawn with `data_seed`), `image_size` to resize the images of a folder to (pixels). A relative path of images
    counts from the project's folder, or the current one outside of it. `images` is the fingerprint of a folder's
    images, by which they are known: "" takes whatever the folder holds; the record of a run says what that was.
    Student: `qubits`, and by name `reducer`, `encoder`, `ansatz`, `entangler`, `readout`, `head`; `layers` of the
    ansatz, `dropout` of the reducer, `activation` of its hidden layer. The ansatz `classical` is the twin of a quantum
    layer, `classical_linear` a weak one (`twins`). `angle_reach`: encoder `ansatz_angles` takes
    theta = pi angle_reach tanh f, and its twin the same slope at 0. `logit_scale`: the head's logits times it.
    Read-out `pauli_z` needs the head `linear`.
    Loss: ce_weight * CE + kd_weight * T^2 * KL(teacher || student), T = `temperature`; `kd_temperature_squared`
    False leaves out T^2, as in Eq. 6. Without a teacher the experiment is a placebo and `kd_weight` is 0.
    Training: `epochs`, `batch_size`, `learning_rate` (Adam), `gradient` of the circuit: `autograd`,
    `parameter_shift` (Eq. 12) or `published_shift` (the notebooks' pi/4 shift, sqrt(2) too large). `sampler` says what
    the student sees of its circuits, in training and in testing: `exact` outcome probabilities, or frequencies of
    `shots` samples, which need a gradient by shifts: `multinomial`, drawn from the exact probabilities, or `aer`, run
    on Qiskit's simulator. `noise` of `noise_level` acts on those circuits, as `noise.Noise` says. `patience`: a seed
    stops after this many epochs without a better validation accuracy, and keeps the weights of its best epoch; 0: it
    trains all epochs and keeps the last. `learning_rates` to choose from for each seed, on validation; ():
    `learning_rate`. `tested` says when test accuracy is measured: after `every_epoch`, or `at_end`, with the weights
    of the last and of the best validation epoch.
    Execution: `shots` per circuit. `seeds`: how many seeds, counted from 0; not part of the digest, because a
    seed draws the same numbers whatever other seeds run beside it.

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

    qubits: int = 3
    reducer: str = "cnn"
    encoder: str = "ansatz_angles"
    ansatz: str = "h_ry"
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

    epochs: int = 10
    batch_size: int = 1
    learning_rate: float = 1e-3
    gradient: str = "autograd"
    sampler: str = "exact"
    noise: str = "none"
    noise_level: float = 0.0
    patience: int = 0
    learning_rates: tuple[float, ...] = ()
    tested: str = "every_epoch"

    shots: int = 5000
    seeds: int = field(default=20, metadata={"digest": False})

    def __post_init__(self):
        if not isinstance(self.classes, Iterable):
            checks.fail("classes", self.classes, "two or more different class indices")
        object.__setattr__(self, "classes", tuple(self.classes))
        self._check_images()
        for name, allowed in (
            ("reducer", REDUCERS), ("encoder", ENCODERS), ("ansatz", ANSATZE), ("entangler", ENTANGLERS),
            ("readout", READOUTS), ("head", HEADS), ("gradient", GRADIENTS), ("sampler", SAMPLERS), ("tested", TESTED),
            ("activation", ACTIVATIONS),
        ):  # fmt: skip
            checks.one_of(name, getattr(self, name), allowed)
        for name in ("qubits", "layers", "epochs", "batch_size", "shots", "seeds"):
            checks.whole(name, getattr(self, name), maximum=10 if name == "qubits" else None)
        checks.whole("patience", self.patience, minimum=0)
        self._check_rates()
        for name in ("learning_rate", "temperature", "angle_reach", "logit_scale"):
            checks.real(name, getattr(self, name), positive=True)
        for name in ("ce_weight", "kd_weight", "dropout"):
            checks.real(name, getattr(self, name))
        if self.dropout >= 1:
            checks.fail("dropout", self.dropout, "a number from 0 to below 1")
        self._check_student()
        Noise(self.noise, self.noise_level)  # checks both
        if self.teacher is not None and not isinstance(self.teacher, Teacher):
            checks.fail("teacher", self.teacher, "a qkdlib.Teacher or None")
        if self.teacher is None and self.kd_weight != 0:
            checks.fail("kd_weight", self.kd_weight, "0 for an experiment without a teacher (a placebo)")
        object.__setattr__(self, "classes", tuple(map(int, self.classes)))
        _plain_numbers(self)

    def _check_rates(self):
        if not isinstance(self.learning_rates, Iterable):
            checks.fail("learning_rates", self.learning_rates, "learning rates to choose from, or ()")
        object.__setattr__(self, "learning_rates", tuple(self.learning_rates))
        for rate in self.learning_rates:
            checks.real("learning_rates", rate, positive=True)
        object.__setattr__(self, "learning_rates", tuple(map(float, self.learning_rates)))
        chosen = self.patience > 0 or self.learning_rates
        if chosen and self.tested != "at_end":
            checks.fail("tested", self.tested, "at_end where patience or learning_rates choose on validation")

    def _check_student(self):
        """Parts of the student that exclude each other."""
        if self.encoder == "ansatz_angles":
            if self.head == "linear":
                checks.fail("head", self.head, "any but linear for encoder ansatz_angles: its outcomes are the logits")
            if self.reducer not in ("cnn", "fully_connected", "pca"):
                checks.fail("reducer", self.reducer, "cnn, fully_connected or pca for encoder ansatz_angles")
        if self.ansatz in TWINS:
            self._check_twin()
        if self.sampler != "exact" and self.gradient == "autograd":
            checks.fail("gradient", self.gradient, "parameter_shift or published_shift where outcomes are sampled")
        if self.readout == "pauli_z" and self.head != "linear":
            checks.fail("head", self.head, "linear for readout pauli_z, which is not a distribution")
        if self.head != "linear" and 2**self.qubits < len(self.classes):
            checks.fail("qubits", self.qubits, f"enough outcomes, 2^qubits >= {len(self.classes)} classes")

    def _check_twin(self):
        if self.ansatz == "classical_linear" and self.encoder != "amplitude":
            checks.fail("ansatz", self.ansatz, "classical but for encoder amplitude")
        if (self.encoder, self.readout) not in (("ansatz_angles", "outcomes"), ("amplitude", "pauli_z")):
            allowed = "h_ry or rx_ry_rz but for encoder ansatz_angles with outcomes, or amplitude with pauli_z"
            checks.fail("ansatz", self.ansatz, allowed)
        for name, only in (
            ("layers", 1), ("entangler", "none"), ("gradient", "autograd"), ("sampler", "exact"), ("noise", "none"),
        ):  # fmt: skip
            if getattr(self, name) != only:
                checks.fail(name, getattr(self, name), f"{only} for the ansatz {self.ansatz}, which has no circuit")

    def _check_images(self):
        if not isinstance(self.dataset, str):
            checks.fail("dataset", self.dataset, "the name of a data set")
        if not (self.dataset.startswith(IMAGEFOLDER) and len(self.dataset) > len(IMAGEFOLDER)):
            checks.one_of("dataset", self.dataset, (*DATASETS, IMAGEFOLDER + "<path>"))
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            checks.fail("classes", self.classes, "two or more different class indices")
        for label in self.classes:
            checks.whole("classes", label, minimum=0)
        for name in ("train_per_class", "test_per_class", "image_size"):
            if getattr(self, name) is not None:
                checks.whole(name, getattr(self, name))
        if self.image_size is not None and not self.dataset.startswith(IMAGEFOLDER):
            checks.fail("image_size", self.image_size, f"None for {self.dataset}; a size is for imagefolder:<path>")
        if not isinstance(self.images, str) or (self.images and not FINGERPRINT.fullmatch(self.images)):
            checks.fail("images", self.images, "'' or a fingerprint of 12 hexadecimal digits")
        if self.images and not self.dataset.startswith(IMAGEFOLDER):
            checks.fail("images", self.images, f"'' for {self.dataset}; a fingerprint is for imagefolder:<path>")
        checks.whole("validation_per_class", self.validation_per_class)
        checks.whole("data_seed", self.data_seed, minimum=0)
        checks.one_of("selection", self.selection, ("first", "random"))

    def placebo(self) -> "Experiment":
        """The same experiment with nothing distilled: no teacher, `kd_weight` 0."""
        return dataclasses.replace(self, teacher=None, kd_weight=0.0)

    def distilled(self, teacher: Teacher, kd_weight: float = 0.9) -> "Experiment":
        """The same experiment taught by `teacher`."""
        return dataclasses.replace(self, teacher=teacher, kd_weight=kd_weight)

    @property
    def digest(self) -> str:
        """Ten hexadecimal digits that name the experiment's record; see `digest`."""
        return digest(self)

    @property
    def name(self) -> str:
        """A readable, unique file name: data set, classes, qubits, teacher or placebo, digest."""
        arm = self.teacher.architecture if self.teacher else "placebo"
        return f"{task_name(self)}_{self.qubits}q_{slug(arm)}_{self.digest}"


def _plain_numbers(described) -> None:
    """Equal numbers become the same number: 2 and numpy's 2.0 are 2.0 where a field is real."""
    for item in dataclasses.fields(described):
        value = getattr(described, item.name)
        if isinstance(value, numbers.Number) and not isinstance(value, bool):
            plain = float if item.type is float else int
            object.__setattr__(described, item.name, plain(value))


def as_dict(described) -> dict:
    """A nested dictionary of an experiment's or teacher's fields, ready for JSON."""
    return json.loads(json.dumps(dataclasses.asdict(described)))


def from_dict(values: dict) -> Experiment:
    """The experiment that `as_dict` described.

    Raises:
        ValueError: a field is unknown or its value is not allowed.
    """
    values = dict(values)
    unknown = sorted(set(values) - {field.name for field in dataclasses.fields(Experiment)})
    if unknown:
        raise ValueError(f"unknown experiment fields {unknown}")
    if values.get("teacher"):
        values["teacher"] = _teacher(values["teacher"])
    return Experiment(**values)


def _teacher(values: dict) -> Teacher:
    unknown = sorted(set(values) - {field.name for field in dataclasses.fields(Teacher)})
    if unknown:
        raise ValueError(f"unknown teacher fields {unknown}")
    return Teacher(**{**values, "members": tuple(map(_teacher, values.get("members", ())))})


def digest(*described, **more) -> str:
    """Hash of the fields of dataclasses that differ from their defaults, and of `NUMERICS`.

    Fields at their default do not count, so that a field which a later version adds, with the old behaviour as
    its default, leaves the names of existing records as they are.
    """
    parts = [_changed_fields(item) for item in described]
    text = json.dumps([NUMERICS, parts, more], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _changed_fields(described) -> dict:
    changed = {}
    for item in dataclasses.fields(described):
        value = getattr(described, item.name)
        if item.metadata.get("digest", True) and value != item.default:
            changed[item.name] = _plain(value)
    return changed


def _plain(value):
    """A field's value as JSON can hold it; a dataclass names itself, as a teacher at its defaults is not no teacher."""
    if dataclasses.is_dataclass(value):
        return _changed_fields(value) | {"is": type(value).__name__}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def task_name(experiment: Experiment) -> str:
    """Data set and classes as part of a file name, e.g. `mnist_0-5`."""
    labels = experiment.classes
    consecutive = labels == tuple(range(labels[0], labels[-1] + 1))
    span = f"{labels[0]}-{labels[-1]}" if consecutive else "+".join(map(str, labels))
    return f"{slug(experiment.dataset)}_{span}"


def slug(text: str) -> str:
    """`text` with everything but letters, digits and underscores turned into single hyphens, at most 40 long."""
    words = "".join(c if c.isalnum() or c == "_" else " " for c in text).split()
    return "-".join(words)[-40:].strip("-")
