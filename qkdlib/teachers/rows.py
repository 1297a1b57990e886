"""Teachers of plain arrays: a network that is trained on them, one of your own, or a classifier of scikit-learn's."""

import tempfile
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from qkdlib import checks
from qkdlib.experiment import CUSTOM, Experiment, Teacher
from qkdlib.images import Splits
from qkdlib.teachers import networks
from qkdlib.teachers.own_networks import own_logits
from qkdlib.teachers.teacher_training import logits_of, trained_network
from qkdlib.workspace import Workspace

FLOOR = 1e-6  # of a classifier's probabilities, before their logarithm
ALLOWED = "None, 'lenet' or 'alexnet', a torch.nn.Module that gives logits, or a classifier with predict_proba"


def described(teacher: Any) -> Teacher | None:
    """The teacher as data: None, the name of a network, or an object of your own. `ValueError`: it is none of these."""
    if teacher is None:
        return None
    if isinstance(teacher, str):
        return Teacher(architecture=checks.one_of("teacher", teacher, networks.SINGLE))
    own = isinstance(teacher, torch.nn.Module) or hasattr(teacher, "predict_proba")
    if isinstance(teacher, type) or not own:
        checks.fail("teacher", teacher, ALLOWED)
    return Teacher(architecture=f"{CUSTOM}{type(teacher).__name__}")


def taught(
    teacher: Any, X: Any, y: np.ndarray, experiment: Experiment, parts: Splits, device: torch.device
) -> tuple[Any, torch.Tensor | None]:
    """The teacher as it is used, fitted or trained if it was not, and its logits (N, C) for `parts.all_train`; None and
    None without one.

    Args:
        teacher: the name of a network, which trains on `parts.all_train`; a network or classifier, which sees X.
        X: rows (N, ...), as they were given.
        y: their labels (N,).
        experiment: its `teacher` is what `described` says.

    Raises:
        ValueError: the logits are not finite or not one for each class, those of a network are not always the same, or
            the classifier knows other classes.

    Warns:
        DoubtfulTeacher: it is hardly ever right.
    """
    if teacher is None:
        return None, None
    name = teacher if isinstance(teacher, str) else type(teacher).__name__
    if isinstance(teacher, str):
        with tempfile.TemporaryDirectory() as folder:
            at = Workspace(folder)
            teacher = trained_network(experiment, experiment.teacher or Teacher(), parts, at, device).cpu()
        logits = logits_of(teacher, parts.all_train.x)
    elif isinstance(teacher, torch.nn.Module):
        images = torch.tensor(np.asarray(X), dtype=torch.float32)
        (logits,) = own_logits(teacher, [images], len(experiment.classes), device, name)
    else:
        teacher, logits = _of_classifier(teacher, X, y, name)
    shape = len(y), len(experiment.classes)
    if logits.shape != shape or not logits.isfinite().all():
        checks.fail("teacher", name, f"one that gives finite logits of shape {shape}, not {tuple(logits.shape)}")
    if found := networks.doubts(logits, parts.all_train.y, "X as it is given here"):
        warnings.warn(f"teacher {name}: {'; '.join(found)}", networks.DoubtfulTeacher, stacklevel=3)
    return teacher, logits


def _of_classifier(classifier: Any, X: Any, y: np.ndarray, name: str) -> tuple[Any, torch.Tensor]:
    """The fitted classifier, and its log-probabilities (N, C) in the order of the sorted classes."""
    rows = X if len(np.shape(X)) == 2 else np.reshape(X, (len(X), -1))
    try:
        check_is_fitted(classifier)
    except NotFittedError:
        classifier = clone(classifier).fit(rows, y)
    known, asked = np.asarray(classifier.classes_), np.unique(y)
    if not np.array_equal(np.sort(known), asked):
        allowed = f"a classifier of the classes {checks.shortened(asked.tolist())}"
        checks.fail("teacher", f"{name} of {checks.shortened(known.tolist())}", allowed)
    chances = np.asarray(classifier.predict_proba(rows))[:, np.argsort(known)]
    return classifier, torch.tensor(np.log(np.clip(chances, FLOOR, 1.0)), dtype=torch.float32)
