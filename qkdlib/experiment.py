"""What an experiment is: a frozen description of everything that changes a number. The defaults are what the authors'
student notebooks run (https://github.com/junayed-hasan/Quantum-Machine-Learning at 5db65f1), with MNIST 0-5."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qkdlib import checks, names, parts, teacher_description
from qkdlib.circuit import MOST_QUBITS, Circuit
from qkdlib.names import NUMERICS, digest, slug, task_name  # noqa: F401, a part of the description
from qkdlib.noise import MOST, Noise
from qkdlib.teacher_description import ARCHITECTURES, CUSTOM, LABELS, Teacher, check_fields  # noqa: F401, as well

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10", "cifar10_jpeg")
LOSSES, REDUCERS, ENCODERS, HEADS = (parts.BUILT_IN[kind] for kind in ("loss", "reducer", "encoder", "head"))
FIXED = ("avg_pool", "max_pool", "center_crop")  # reducers that give pixels
TWINS = ("classical", "classical_linear")
RINGS = ("h_ry", "rx_ry_rz")  # ansaetze with an `entangler`
ANSATZE = (*RINGS, "basic_entangler", "strongly_entangling", "reuploading", *TWINS)
ENGINES = ("stacked", "torchquantum")
ENTANGLERS = ("none", "ring_cnot", "ring_cz")
READOUTS = ("outcomes", "pauli_z")
OPTIMIZERS = ("adam", "sgd", "rmsprop", "adagrad")
TESTED = ("every_epoch", "at_end")
GRADIENTS = ("autograd", "parameter_shift", "published_shift")
SAMPLERS = ("exact", "multinomial", "aer")
ACTIVATIONS = ("relu", "leaky_relu")
IMAGEFOLDER = "imagefolder:"
ARRAYS = re.compile("arrays:[0-9a-f]{12}")
FINGERPRINT = re.compile("([0-9a-f]{12})?")
LONGEST_PATH = 4096  # characters
MOST_WEIGHT = 1e6  # of a part of the loss, a temperature or a scale
LEAST_SPREAD = 1e-6  # by which pixels may be divided


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One row of evidence: images, student, teacher, loss, training and execution, for a number of seeds.

    Images: `dataset` (one of `DATASETS`, `imagefolder:<path>`, or what `images.from_arrays` returned), `classes` (label
    indices in the data set), images per class of each split (None: all of them; validation needs a number), `selection`
    `first` or `random` (drawn with `data_seed`), `image_size` to resize the images of a folder to (pixels). A relative
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
    frequencies of `shots` samples, which need a gradient by shifts: `multinomial`, drawn from the exact probabilities, or `aer`, run
    on Qiskit's simulator. `noise` of `noise_level` acts on those circuits, as `noise.Noise` says. `patience`: a seed
    stops after this many epochs without a better validation accuracy, and keeps the weights of its best epoch; 0: it
    trains all epochs and keeps the last. `learning_rates` to choose from for each seed, on validation; ():
    `learning_rate`. `tested` says when test accuracy is measured: after `every_epoch`, or `at_end`, with the weights
    of the last and of the best validation epoch. `engine`: `stacked`, this library's simulators, all seeds at once; or
    `torchquantum`, TorchQuantum's own gates one after the other, exact and without noise.
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
        self._check_images()
        for name, allowed in (
            ("entangler", ENTANGLERS), ("engine", ENGINES), ("readout", READOUTS), ("optimizer", OPTIMIZERS),
            ("gradient", GRADIENTS), ("sampler", SAMPLERS), ("tested", TESTED), ("activation", ACTIVATIONS),
            ("noise", MOST),
        ):  # fmt: skip
            check_fields(self, checks.one_of, name, allowed=allowed)
        for kind, name in parts.FIELDS.items():
            object.__setattr__(self, name, parts.described(kind, getattr(self, name)))
        self._check_ansatz()
        check_fields(self, checks.whole, "qubits", maximum=MOST_QUBITS)
        check_fields(self, checks.whole, "layers", "epochs", "batch_size", "shots", "seeds")
        check_fields(self, checks.whole, "patience", "data_seed", minimum=0)
        check_fields(self, checks.real, "learning_rate", positive=True)
        check_fields(self, checks.real, "temperature", "angle_reach", "logit_scale", positive=True, maximum=MOST_WEIGHT)
        check_fields(self, checks.real, "ce_weight", "kd_weight", "dkd_beta", maximum=MOST_WEIGHT)
        check_fields(self, checks.real, "dropout", "noise_level")
        check_fields(self, checks.flag, "kd_temperature_squared")
        if self.kd_loss == "rkd" and self.batch_size < 2:
            checks.fail("batch_size", self.batch_size, "2 or more for kd_loss rkd, which compares images of a batch")
        if self.dropout >= 1:
            checks.fail("dropout", self.dropout, "a number from 0 to below 1")
        self._check_rates()
        self._check_seen()
        self._check_student()
        Noise(self.noise, self.noise_level)  # checks whether they go together
        if self.teacher is not None and not isinstance(self.teacher, Teacher):
            checks.fail("teacher", self.teacher, "a qkdlib.Teacher or None")
        if self.teacher is None and self.kd_weight != 0:
            own = "for an own network run(..., teacher=network, kd_weight=...)"
            checks.fail("kd_weight", self.kd_weight, f"0 without a teacher (a placebo); {own}")

    def _check_rates(self) -> None:
        check_fields(self, checks.members, "learning_rates", allowed="learning rates to choose from, or ()", most=100)
        rates = tuple(checks.real("learning_rates", rate, positive=True) for rate in self.learning_rates)
        object.__setattr__(self, "learning_rates", rates)
        if (self.patience or self.learning_rates) and self.tested != "at_end":
            checks.fail("tested", self.tested, "at_end where patience or learning_rates choose on validation")

    def _check_ansatz(self) -> None:
        """What goes with a circuit of one's own, which replaces the number of qubits, or one that has its entanglers."""
        if not isinstance(self.ansatz, Circuit):
            check_fields(self, checks.one_of, "ansatz", allowed=ANSATZE)
        elif self.qubits not in (Experiment.qubits, self.ansatz.qubits):
            checks.fail("qubits", self.qubits, f"{self.ansatz.qubits}, as the circuit of the ansatz has")
        else:
            object.__setattr__(self, "qubits", self.ansatz.qubits)
        if self.ansatz not in RINGS and self.entangler != "none":
            checks.fail("entangler", self.entangler, f"none for the ansatz {self.ansatz_name}")
        if isinstance(self.ansatz, Circuit) and self.layers != 1:
            checks.fail("layers", self.layers, "1 for a circuit of your own, which has the layers that it has")
        if self.takes_features and self.encoder != "ansatz_angles":
            checks.fail("encoder", self.encoder, "ansatz_angles for a circuit with features x[i]")
        if isinstance(self.ansatz, Circuit) and self.encoder == "ansatz_angles" and not self.takes_features:
            checks.fail("ansatz", self.ansatz_name, "a circuit with features x[i] for encoder ansatz_angles")

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

    def _check_seen(self) -> None:
        """What the student sees: pixels in [0, 1], normalised ones, or features of a frozen network."""
        for name in ("pixel_mean", "pixel_std"):
            check_fields(self, checks.members, name, allowed="a tuple of one number or one for each channel, or ()")
            values = tuple(checks.real(name, each, maximum=1) for each in getattr(self, name))
            object.__setattr__(self, name, values)
        if len(self.pixel_mean) != len(self.pixel_std):
            allowed = f"as many numbers as pixel_mean={checks.shortened(self.pixel_mean)} has"
            checks.fail("pixel_std", self.pixel_std, allowed)
        if min(self.pixel_std, default=1) < LEAST_SPREAD:
            checks.fail("pixel_std", self.pixel_std, f"numbers from {LEAST_SPREAD:g} to 1")
        if self.pixel_mean and self.reducer in FIXED and self.encoder in ("angle", "qubit"):
            allowed = f"() for reducer {self.reducer} with encoder {self.encoder}, which takes pixels in [0, 1]"
            checks.fail("pixel_mean", self.pixel_mean, allowed)
        if self.features == "":
            return
        name = self.features.removeprefix(CUSTOM) if isinstance(self.features, str) else ""
        longest = teacher_description.LONGEST_NAME
        if not name.strip() or name == self.features or len(name) > longest or not name.isprintable():
            allowed = f"'', or {CUSTOM}<name> as run(..., features=network) names a network"
            checks.fail("features", self.features, allowed)
        check_fields(self, checks.text, "features")
        if self.reducer in ("cnn", *FIXED):
            checks.fail("reducer", self.reducer, "fully_connected or pca where features take the place of images")
        if self.pixel_mean:
            checks.fail("pixel_mean", self.pixel_mean, "() with features, whose network sees pixels in [0, 1] and may "
                        "begin with torchvision.transforms.Normalize")  # fmt: skip

    def _check_student(self) -> None:
        """Parts of the student that exclude each other."""
        if self.encoder == "ansatz_angles":
            if self.head == "linear" and not self.takes_features:
                checks.fail("head", self.head, "any but linear for encoder ansatz_angles: its outcomes are the logits")
            if self.reducer in FIXED:
                checks.fail("reducer", self.reducer, "cnn, fully_connected or pca for encoder ansatz_angles")
        if self.ansatz in TWINS:
            self._check_twin()
        if self.sampler != "exact" and self.gradient == "autograd":
            checks.fail("gradient", self.gradient, "parameter_shift or published_shift where outcomes are sampled")
        trained = self.head == "linear" or parts.is_own(self.head)  # it may have any number of logits
        if self.readout == "pauli_z" and not trained:
            checks.fail("head", self.head, "linear for readout pauli_z, which is not a distribution")
        if not trained and 2**self.measured_qubits < len(self.classes):
            of_own = " that are measured" if isinstance(self.ansatz, Circuit) else ""
            allowed = f"enough outcomes, 2^qubits >= {len(self.classes)} classes"
            checks.fail(f"qubits{of_own}", self.measured_qubits, allowed)
        if self.engine == "torchquantum":
            for name, only in (("gradient", "autograd"), ("sampler", "exact"), ("noise", "none")):
                if getattr(self, name) != only:
                    checks.fail(name, getattr(self, name), f"{only} for engine torchquantum")

    def _check_twin(self) -> None:
        if self.ansatz == "classical_linear" and self.encoder != "amplitude":
            checks.fail("ansatz", self.ansatz, "classical but for encoder amplitude")
        if (self.encoder, self.readout) not in (("ansatz_angles", "outcomes"), ("amplitude", "pauli_z")):
            allowed = "h_ry or rx_ry_rz but for encoder ansatz_angles with outcomes, or amplitude with pauli_z"
            checks.fail("ansatz", self.ansatz, allowed)
        for name, only in (
            ("layers", 1), ("entangler", "none"), ("gradient", "autograd"), ("sampler", "exact"), ("noise", "none"),
            ("engine", "stacked"),
        ):  # fmt: skip
            if getattr(self, name) != only:
                checks.fail(name, getattr(self, name), f"{only} for the ansatz {self.ansatz}, which has no circuit")

    def _check_images(self) -> None:
        of_folder = isinstance(self.dataset, str) and self.dataset.startswith(IMAGEFOLDER)
        path = self.dataset.removeprefix(IMAGEFOLDER) if of_folder else ""
        if not path and not (isinstance(self.dataset, str) and ARRAYS.fullmatch(self.dataset)):
            kinds = (*DATASETS, IMAGEFOLDER + "<path>", "arrays:<12 hexadecimal digits> of images.from_arrays")
            check_fields(self, checks.one_of, "dataset", allowed=kinds)
        if path and ("\0" in path or len(path) > LONGEST_PATH or not path.strip()):
            checks.fail("dataset", self.dataset, f"{IMAGEFOLDER}<path> of an existing folder")
        check_fields(self, checks.text, "dataset")
        check_fields(self, checks.members, "classes", allowed="two or more different class indices")
        object.__setattr__(self, "classes", tuple(checks.whole("classes", each, minimum=0) for each in self.classes))
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            checks.fail("classes", self.classes, "two or more different class indices")
        check_fields(self, checks.whole, "train_per_class", "validation_per_class", "test_per_class", "image_size")
        check_fields(self, checks.one_of, "selection", allowed=("first", "random"))
        if not isinstance(self.images, str) or not FINGERPRINT.fullmatch(self.images):
            checks.fail("images", self.images, "'' or a fingerprint of 12 hexadecimal digits")
        object.__setattr__(self, "images", str.__str__(self.images))
        for name, none in (("image_size", None), ("images", "")):
            if getattr(self, name) != none and not path:
                allowed = f"{none!r} for {self.dataset}; other values are for {IMAGEFOLDER}<path>"
                checks.fail(name, getattr(self, name), allowed)

    def placebo(self) -> "Experiment":
        """The same experiment with nothing distilled: no teacher, `kd_weight` 0."""
        return dataclasses.replace(self, teacher=None, kd_weight=0.0)

    def distilled(self, teacher: Teacher, kd_weight: float = 0.9) -> "Experiment":
        """The same experiment taught by `teacher`."""
        return dataclasses.replace(self, teacher=teacher, kd_weight=kd_weight)

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
    known = {item.name for item in dataclasses.fields(kind)}
    if unknown := [key for key in values if key not in known]:
        checks.fail(f"{name} fields", unknown, f"those of qkdlib.{kind.__name__}")
    return dict(values)
