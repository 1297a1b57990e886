"""Whether the fields of an experiment are allowed, each by itself and beside the others; and the names that are."""

import re
from typing import Any

from qkdlib import checks, parts, teacher_description
from qkdlib.circuit import MOST_QUBITS, Circuit
from qkdlib.noise import MOST, Noise
from qkdlib.teacher_description import CUSTOM, Teacher, check_fields

DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10", "cifar10_jpeg")
LOSSES, REDUCERS, ENCODERS, HEADS = (parts.BUILT_IN[kind] for kind in ("loss", "reducer", "encoder", "head"))
FIXED = ("avg_pool", "max_pool", "center_crop")  # reducers that give pixels
TWINS = ("classical", "classical_linear")
RINGS = ("h_ry", "rx_ry_rz")  # ansaetze with an `entangler`
ANSATZE = (*RINGS, "basic_entangler", "strongly_entangling", "reuploading", *TWINS)
ENGINES = ("stacked", "torchquantum")
ENTANGLERS = ("none", "ring_cnot", "ring_cz")
SELECTIONS = ("first", "random", "each_seed")
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
OF_ONE_SELECTION = "what is fitted on training images needs the same ones for all seeds"
LEAST_SPREAD = 1e-6  # by which pixels may be divided


def check(e: Any) -> None:
    """Check the fields of an `Experiment` and keep what the checks return. `ValueError`: one is not allowed."""
    _check_images(e)
    for name, allowed in (
        ("entangler", ENTANGLERS), ("engine", ENGINES), ("readout", READOUTS), ("optimizer", OPTIMIZERS),
        ("gradient", GRADIENTS), ("sampler", SAMPLERS), ("tested", TESTED), ("activation", ACTIVATIONS),
        ("noise", MOST),
    ):  # fmt: skip
        check_fields(e, checks.one_of, name, allowed=allowed)
    for kind, name in parts.FIELDS.items():
        object.__setattr__(e, name, parts.described(kind, getattr(e, name)))
    check_fields(e, checks.whole, "qubits", maximum=MOST_QUBITS)
    _check_ansatz(e)
    check_fields(e, checks.whole, "layers", "epochs", "batch_size", "shots", "seeds")
    check_fields(e, checks.whole, "patience", "data_seed", minimum=0)
    check_fields(e, checks.real, "learning_rate", positive=True)
    check_fields(e, checks.real, "temperature", "angle_reach", "logit_scale", positive=True, maximum=MOST_WEIGHT)
    check_fields(e, checks.real, "ce_weight", "kd_weight", "dkd_beta", maximum=MOST_WEIGHT)
    check_fields(e, checks.real, "dropout", "noise_level")
    check_fields(e, checks.flag, "kd_temperature_squared")
    if e.kd_loss == "rkd" and e.batch_size < 2:
        checks.fail("batch_size", e.batch_size, "2 or more for kd_loss rkd, which compares images of a batch")
    if e.dropout >= 1:
        checks.fail("dropout", e.dropout, "a number from 0 to below 1")
    _check_rates(e)
    _check_seen(e)
    _check_student(e)
    Noise(e.noise, e.noise_level)  # checks whether they go together
    if e.teacher is not None and not isinstance(e.teacher, Teacher):
        checks.fail("teacher", e.teacher, "a qkdlib.Teacher or None")
    if e.teacher is None and e.kd_weight != 0:
        own = "for an own network run(..., teacher=network, kd_weight=...)"
        checks.fail("kd_weight", e.kd_weight, f"0 without a teacher (a placebo); {own}")


def _check_rates(e: Any) -> None:
    check_fields(e, checks.members, "learning_rates", allowed="learning rates to choose from, or ()", most=100)
    rates = tuple(checks.real("learning_rates", rate, positive=True) for rate in e.learning_rates)
    object.__setattr__(e, "learning_rates", rates)
    if (e.patience or e.learning_rates) and e.tested != "at_end":
        checks.fail("tested", e.tested, "at_end where patience or learning_rates choose on validation")


def _check_ansatz(e: Any) -> None:
    """What goes with a circuit of one's own, which replaces the number of qubits, or one that has its entanglers."""
    if not isinstance(e.ansatz, (str, Circuit)):
        made = "a qkdlib.Circuit, which Circuit.from_qiskit and Circuit.from_torchquantum make"
        checks.fail("ansatz", e.ansatz, f"one of {', '.join(ANSATZE)}, or {made}")
    if not isinstance(e.ansatz, Circuit):
        check_fields(e, checks.one_of, "ansatz", allowed=ANSATZE)
    elif e.qubits not in (type(e).qubits, e.ansatz.qubits):
        checks.fail("qubits", e.qubits, f"{e.ansatz.qubits}, as the circuit of the ansatz has")
    else:
        object.__setattr__(e, "qubits", e.ansatz.qubits)
    if e.ansatz not in RINGS and e.entangler != "none":
        checks.fail("entangler", e.entangler, f"none for the ansatz {e.ansatz_name}")
    if isinstance(e.ansatz, Circuit) and e.layers != 1:
        checks.fail("layers", e.layers, "1 for a circuit of your own, which has the layers that it has")
    if e.takes_features and e.encoder != "ansatz_angles":
        checks.fail("encoder", e.encoder, "ansatz_angles for a circuit with features x[i]")
    if isinstance(e.ansatz, Circuit) and e.encoder == "ansatz_angles" and not e.takes_features:
        checks.fail("ansatz", e.ansatz_name, "a circuit with features x[i] for encoder ansatz_angles")


def _check_seen(e: Any) -> None:
    """What the student sees: pixels in [0, 1], normalised ones, or features of a frozen network."""
    if e.selection == "each_seed" and e.reducer == "pca":
        checks.fail("reducer", e.reducer, f"any other for selection each_seed: {OF_ONE_SELECTION}")
    for name in ("pixel_mean", "pixel_std"):
        check_fields(e, checks.members, name, allowed="a tuple of one number or one for each channel, or ()")
        values = tuple(checks.real(name, each, maximum=1) for each in getattr(e, name))
        object.__setattr__(e, name, values)
    if len(e.pixel_mean) != len(e.pixel_std):
        allowed = f"as many numbers as pixel_mean={checks.shortened(e.pixel_mean)} has"
        checks.fail("pixel_std", e.pixel_std, allowed)
    if min(e.pixel_std, default=1) < LEAST_SPREAD:
        checks.fail("pixel_std", e.pixel_std, f"numbers from {LEAST_SPREAD:g} to 1")
    if e.pixel_mean and e.reducer in FIXED and e.encoder in ("angle", "qubit"):
        allowed = f"() for reducer {e.reducer} with encoder {e.encoder}, which takes pixels in [0, 1]"
        checks.fail("pixel_mean", e.pixel_mean, allowed)
    if e.features == "":
        return
    name = e.features.removeprefix(CUSTOM) if isinstance(e.features, str) else ""
    longest = teacher_description.LONGEST_NAME
    if not name.strip() or name == e.features or len(name) > longest or not name.isprintable():
        allowed = f"'', or {CUSTOM}<name> as run(..., features=network) names a network"
        checks.fail("features", e.features, allowed)
    check_fields(e, checks.text, "features")
    if e.reducer in ("cnn", *FIXED):
        checks.fail("reducer", e.reducer, "fully_connected or pca where features take the place of images")
    if e.selection == "each_seed":
        checks.fail("selection", e.selection, "first or random where features take the place of images")
    if e.pixel_mean:
        checks.fail("pixel_mean", e.pixel_mean, "() with features, whose network sees pixels in [0, 1] and may "
                    "begin with torchvision.transforms.Normalize")  # fmt: skip


def _check_student(e: Any) -> None:
    """Parts of the student that exclude each other."""
    if e.encoder == "ansatz_angles":
        if e.head == "linear" and not e.takes_features:
            checks.fail("head", e.head, "any but linear for encoder ansatz_angles: its outcomes are the logits")
        if e.reducer in FIXED:
            checks.fail("reducer", e.reducer, "cnn, fully_connected or pca for encoder ansatz_angles")
    if e.ansatz in TWINS:
        _check_twin(e)
    if e.sampler != "exact" and e.gradient == "autograd":
        checks.fail("gradient", e.gradient, "parameter_shift or published_shift where outcomes are sampled")
    trained = e.head == "linear" or parts.is_own(e.head)  # it may have any number of logits
    if e.readout == "pauli_z" and not trained:
        checks.fail("head", e.head, "linear for readout pauli_z, which is not a distribution")
    if not trained and 2**e.measured_qubits < len(e.classes):
        of_own = " that are measured" if isinstance(e.ansatz, Circuit) else ""
        allowed = f"enough outcomes, 2^qubits >= {len(e.classes)} classes"
        checks.fail(f"qubits{of_own}", e.measured_qubits, allowed)
    if e.engine == "torchquantum":
        for name, only in (("gradient", "autograd"), ("sampler", "exact"), ("noise", "none")):
            if getattr(e, name) != only:
                checks.fail(name, getattr(e, name), f"{only} for engine torchquantum")


def _check_twin(e: Any) -> None:
    if e.ansatz == "classical_linear" and e.encoder != "amplitude":
        checks.fail("ansatz", e.ansatz, "classical but for encoder amplitude")
    if (e.encoder, e.readout) not in (("ansatz_angles", "outcomes"), ("amplitude", "pauli_z")):
        allowed = "a circuit but for encoder ansatz_angles with outcomes, or amplitude with pauli_z"
        checks.fail("ansatz", e.ansatz, allowed)
    for name, only in (
        ("layers", 1), ("entangler", "none"), ("gradient", "autograd"), ("sampler", "exact"), ("noise", "none"),
        ("engine", "stacked"),
    ):  # fmt: skip
        if getattr(e, name) != only:
            checks.fail(name, getattr(e, name), f"{only} for the ansatz {e.ansatz}, which has no circuit")


def _check_images(e: Any) -> None:
    of_folder = isinstance(e.dataset, str) and e.dataset.startswith(IMAGEFOLDER)
    path = e.dataset.removeprefix(IMAGEFOLDER) if of_folder else ""
    if not path and not (isinstance(e.dataset, str) and ARRAYS.fullmatch(e.dataset)):
        kinds = (*DATASETS, IMAGEFOLDER + "<path>", "arrays:<12 hexadecimal digits> of images.from_arrays")
        check_fields(e, checks.one_of, "dataset", allowed=kinds)
    if path and ("\0" in path or len(path) > LONGEST_PATH or not path.strip()):
        checks.fail("dataset", e.dataset, f"{IMAGEFOLDER}<path> of an existing folder")
    check_fields(e, checks.text, "dataset")
    check_fields(e, checks.members, "classes", allowed="two or more different class indices")
    object.__setattr__(e, "classes", tuple(checks.whole("classes", each, minimum=0) for each in e.classes))
    if len(e.classes) < 2 or len(set(e.classes)) != len(e.classes):
        checks.fail("classes", e.classes, "two or more different class indices")
    check_fields(e, checks.whole, "train_per_class", "validation_per_class", "test_per_class", "image_size")
    check_fields(e, checks.one_of, "selection", allowed=SELECTIONS)
    if not isinstance(e.images, str) or not FINGERPRINT.fullmatch(e.images):
        checks.fail("images", e.images, "'' or a fingerprint of 12 hexadecimal digits")
    object.__setattr__(e, "images", str.__str__(e.images))
    for name, none in (("image_size", None), ("images", "")):
        if getattr(e, name) != none and not path:
            allowed = f"{none!r} for {e.dataset}; other values are for {IMAGEFOLDER}<path>"
            checks.fail(name, getattr(e, name), allowed)
