"""A distilled quantum student as a classifier of scikit-learn's, on arrays.

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from qkdlib.sklearn import DistilledClassifier

x, y = load_digits(return_X_y=True)
DistilledClassifier(teacher=RandomForestClassifier(), qubits=4, random_state=0).fit(x[:1200], y[:1200]).score(
    x[1200:], y[1200:])
"""

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from qkdlib import checks, runtime, torch_settings
from qkdlib.circuit import Circuit
from qkdlib.experiment import Experiment
from qkdlib.experiment_checks import MOST_WEIGHT
from qkdlib.images import Images, Splits
from qkdlib.students import Student
from qkdlib.teachers import rows
from qkdlib.training import train_students

SEEDS = 2**31  # from which one is drawn where `random_state` is no number
# Of an experiment's fields those that fit decides, and those of images and features, of which arrays have none.
TAKEN = (
    "dataset", "classes", "seeds", "teacher", "tested", "train_per_class", "validation_per_class", "test_per_class",
    "selection", "data_seed", "image_size", "images", "pixel_mean", "pixel_std", "features",
)  # fmt: skip


class DistilledClassifier(ClassifierMixin, BaseEstimator):
    """A quantum student that learns from labels and, beside them, from a classical teacher.

    The default is v2's original method: all features into one trained linear layer, 2^Q amplitudes, RX RY RZ on each
    wire, <Z>, and a linear layer to the classes. Adam at 0.02 for 30 epochs in batches of 16 trains it: 95 % of
    scikit-learn's digits without a teacher. Arrays X are (N, D), (N, H, W) or (N, C, H, W); the student sees them with
    mean 0 and standard deviation 1, if `scale`.

    Args:
        teacher: None; `lenet` or `alexnet`, trained on the same images, of at least 16x16 or 4x4; a trained
            `torch.nn.Module`, which maps X as it is given, in float32, to logits (N, classes) in the order of
            `classes_`; or a classifier with `predict_proba`, of which a clone is fitted to the same X and y unless it
            is fitted already. It sees images as rows.
        qubits, reducer, encoder, ansatz, layers, entangler, readout, head, kd_weight, temperature, epochs, batch_size,
        learning_rate: as in `Experiment`. An ansatz may be a `qkdlib.Circuit`, which has its own number of qubits, and
            where it has features x[i] needs the encoder `ansatz_angles`.
        patience: 0: all rows are trained on, and the last epoch is kept. Else `validation_fraction` of the rows is held
            out, the training ends after so many epochs without a better accuracy on them, and the best one is kept.
        scale: standardise the features, or of images the channels; by the rows that are trained on.
        fields: a dictionary of further fields of the `Experiment`, such as `kd_loss`, `optimizer` or `dropout`.
        device: as of `qkdlib.run`; what is fitted lies on the CPU.
        random_state: of initial weights, order and the rows that are held out: a whole number, which is the student's
            seed, a `numpy.random.RandomState` or None.

    Attributes:
        classes_: the labels, in order.
        student_: the trained `qkdlib.students.SingleStudent`; it takes what is scaled.
        experiment_: what was run, as data.
        loss_curve_: mean training loss of each epoch; `n_iter_` is how many there were.
        validation_scores_: accuracy on the held-out rows after each epoch; None without any.
        teacher_: the teacher, as it was used; its logits are not kept.

    Raises:
        ValueError: a parameter or an array is not allowed, or they do not go together; before any training.
    """

    def __init__(
        self, teacher: Any = None, *, qubits: int = 4, reducer: str = "fully_connected", encoder: str = "amplitude",
        ansatz: str | Circuit = "rx_ry_rz", layers: int = 1, entangler: str = "none", readout: str = "pauli_z",
        head: str = "linear", kd_weight: float = 0.9, temperature: float = 3.0, epochs: int = 30, batch_size: int = 16,
        learning_rate: float = 0.02, patience: int = 0, validation_fraction: float = 0.1, scale: bool = True,
        fields: dict[str, Any] | None = None, device: str = "cpu", random_state: Any = None,
    ):  # fmt: skip
        self.teacher = teacher
        self.qubits = qubits
        self.reducer = reducer
        self.encoder = encoder
        self.ansatz = ansatz
        self.layers = layers
        self.entangler = entangler
        self.readout = readout
        self.head = head
        self.kd_weight = kd_weight
        self.temperature = temperature
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.scale = scale
        self.fields = fields
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Train the student on X (N, D), (N, H, W) or (N, C, H, W) and labels y (N,)."""
        given = X  # such as a frame, whose columns a teacher may know by name
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], allow_nd=True)
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            checks.fail("y", self.classes_.tolist(), "labels of two or more classes, not of one class")
        self.shape_ = _shape_of_image(X)
        experiment = self._experiment(X, places)
        seed = self._seed()
        kept, held_out = self._rows(experiment, places, seed)
        self.scaler_ = self._scaler(X[kept])
        with torch_settings.plain_torch():
            device = runtime.start(self.device)
            parts = self._parts(X, places, kept, held_out)
            one = Student(experiment, parts.shape, [seed]).fit_reducer(parts.train.x)  # what does not fit says so
            checks.memory("X", X.shape, one.memory_needed(parts.train.x), "the training")
            given, labels = given if X.ndim == 2 else X, self.classes_[places]
            self.teacher_, logits = rows.taught(self.teacher, given, labels, experiment, parts, device)
            student, (curves,) = train_students(experiment, parts, logits, [seed], device)
        if "diverged" in curves:
            text = f"the training diverged in epoch {curves['diverged']}; try a smaller learning_rate"
            warnings.warn(text, ConvergenceWarning, stacklevel=2)
        student.class_names = tuple(map(str, self.classes_))
        self.experiment_, self.student_ = experiment, student.cpu().one(seed)
        self.loss_curve_, self.n_iter_ = curves["train_loss"], len(curves["train_loss"])
        self.validation_scores_ = curves["validation_accuracy"] if len(held_out) else None
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (N, C) of the classes in the order of `classes_`: the softmax of the student's logits."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32], allow_nd=True)
        if (found := _shape_of_image(X)) != self.shape_:
            checks.fail("X", f"rows of shape {found}", f"rows of shape {self.shape_}, as in fit")
        logits = self.student_.logits(self._seen(X)).double()
        return torch.softmax(logits, dim=-1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each row, (N,)."""
        chances = self.predict_proba(X)
        return self.classes_[chances.argmax(1)]

    def _experiment(self, X: np.ndarray, places: np.ndarray) -> Experiment:
        """What is run, as data; its data set is known by its content."""
        fields = {} if self.fields is None else self.fields
        if not isinstance(fields, Mapping) or set(fields) & {*TAKEN, *self.get_params()}:
            allowed = f"a dictionary of an Experiment's fields but those with a parameter here and {', '.join(TAKEN)}"
            checks.fail("fields", fields, allowed)
        if unknown := sorted(set(fields) - set(Experiment.__dataclass_fields__), key=str):
            checks.fail("fields", unknown, "those of qkdlib.Experiment")
        content = hashlib.sha256(np.ascontiguousarray(X).data)
        content.update(np.ascontiguousarray(places).data)
        teacher = rows.described(self.teacher)
        kd_weight = checks.real("kd_weight", self.kd_weight, maximum=MOST_WEIGHT)
        return Experiment(
            dataset=f"arrays:{content.hexdigest()[:12]}", classes=tuple(range(len(self.classes_))), seeds=1,
            qubits=Experiment.qubits if isinstance(self.ansatz, Circuit) else self.qubits, reducer=self.reducer,
            encoder=self.encoder, ansatz=self.ansatz, layers=self.layers, entangler=self.entangler,
            readout=self.readout, head=self.head, teacher=teacher, kd_weight=kd_weight if teacher else 0.0,
            temperature=self.temperature, epochs=self.epochs, batch_size=self.batch_size,
            learning_rate=self.learning_rate, patience=self.patience, tested="at_end",
            **{"dropout": 0.0, **fields},
        )  # fmt: skip

    def _seed(self) -> int:
        if isinstance(self.random_state, (int, np.integer)):
            return checks.whole("random_state", self.random_state, minimum=0, maximum=2**32 - 1)
        return int(check_random_state(self.random_state).randint(SEEDS))

    def _rows(self, experiment: Experiment, places: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows that are trained on, and those held out, if something is chosen on them."""
        all_rows = np.arange(len(places))
        if not (experiment.patience or experiment.learning_rates):
            return all_rows, all_rows[:0]
        share = checks.real("validation_fraction", self.validation_fraction, positive=True)
        if share >= 1:
            checks.fail("validation_fraction", share, "a number between 0 and 1")
        try:
            kept, held_out = train_test_split(all_rows, test_size=share, stratify=places, random_state=seed)
        except ValueError as error:
            allowed = f"a share of these {len(places)} rows that leaves and holds out some of each class; {error}"
            checks.fail("validation_fraction", share, allowed)
        return np.sort(kept), np.sort(held_out)

    def _scaler(self, X: np.ndarray) -> StandardScaler | None:
        return StandardScaler().fit(_channels_last(X, self.shape_)) if checks.flag("scale", self.scale) else None

    def _seen(self, X: np.ndarray) -> torch.Tensor:
        """What the student sees of X: images (N, C, H, W) in float32."""
        pixels = _channels_last(X, self.shape_)
        if self.scaler_ is not None:
            pixels = self.scaler_.transform(pixels)
        channels, *sides = self.shape_
        seen = torch.tensor(np.moveaxis(pixels.reshape(len(X), *sides, channels), -1, 1), dtype=torch.float32)
        if not seen.isfinite().all():
            checks.fail("X", f"numbers up to {np.abs(X).max():g}", "numbers that float32 holds, once they are scaled")
        return seen

    def _parts(self, X: np.ndarray, places: np.ndarray, kept: np.ndarray, held_out: np.ndarray) -> Splits:
        """The arrays as splits. No test images are needed: they are the held-out ones, or one of the others."""
        whole = Images(self._seen(X), torch.tensor(places, dtype=torch.int64), torch.arange(len(X)))
        validation = whole.take(torch.from_numpy(held_out if len(held_out) else kept[:1]))
        names = tuple(map(str, self.classes_))
        return Splits(whole.take(torch.from_numpy(kept)), validation, validation, whole, validation, names)


def _shape_of_image(X: np.ndarray) -> tuple[int, int, int]:
    """(C, H, W) of the rows of X; features are channels of one pixel."""
    if X.ndim > 4:
        checks.fail("X", f"an array of shape {X.shape}", "(N, D), (N, H, W) or (N, C, H, W)")
    one, *rest = X.shape[1:]
    shape = (1, one, *rest) if X.ndim == 3 else (one, *rest, 1, 1)[:3]
    return int(shape[0]), int(shape[1]), int(shape[2])


def _channels_last(X: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The pixels of X as rows (N H W, C)."""
    return np.moveaxis(X.reshape(len(X), *shape), 1, -1).reshape(-1, shape[0])
