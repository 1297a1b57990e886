"""The classifier of scikit-learn's: its conventions, what it learns, its teachers, and what it refuses."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import qkdlib
from qkdlib.sklearn import DistilledClassifier
from qkdlib.students import load_student
from qkdlib.teachers import DoubtfulTeacher

QUICK = {"qubits": 2, "epochs": 4, "learning_rate": 0.1, "random_state": 0}
EXPECTED_FAILURES: dict[str, str] = {}  # of scikit-learn's checks, with the reason: none is known


def test_it_passes_scikit_learns_own_checks():
    found = check_estimator(
        DistilledClassifier(**QUICK), on_fail=None, on_skip=None, expected_failed_checks=EXPECTED_FAILURES
    )
    failed = {each["check_name"]: each["exception"] for each in found if each["status"] == "failed"}
    expected = {each["check_name"] for each in found if each["status"] == "xfail"}
    assert not failed and expected == EXPECTED_FAILURES.keys()
    assert sum(each["status"] == "passed" for each in found) > 40


def parted(load, **options) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    x, y = load(return_X_y=True)
    return train_test_split(x, y, test_size=0.3, random_state=0, stratify=y, **options)


def test_the_defaults_train_on_flowers():
    x, x_test, y, y_test = parted(load_iris)
    accuracy = DistilledClassifier(random_state=0).fit(x, y).score(x_test, y_test)
    assert accuracy > 0.9  # chance is 1/3; three seeds reach 0.97 or more


def test_the_defaults_train_on_digits_with_few_epochs():
    x, x_test, y, y_test = parted(load_digits)
    model = DistilledClassifier(epochs=5, random_state=0).fit(x, y)
    assert model.score(x_test, y_test) > 0.8  # chance is 1/10
    assert model.n_iter_ == len(model.loss_curve_) == 5 and model.loss_curve_[-1] < 0.7 * model.loss_curve_[0]


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = make_blobs(60, n_features=3, centers=3, cluster_std=1.5, random_state=2)
    return x, y, np.array(["red", "green", "blue"])[y]


def test_labels_may_be_words_and_predictions_follow_the_probabilities(blobs):
    x, _, y = blobs
    model = DistilledClassifier(**QUICK).fit(x, y)
    assert model.classes_.tolist() == ["blue", "green", "red"]
    chances = model.predict_proba(x)
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-12)
    np.testing.assert_array_equal(model.predict(x), model.classes_[chances.argmax(1)])
    assert model.score(x, y) > 0.8


def test_a_number_is_the_seed_of_a_student_and_another_one_gives_another(blobs):
    x, y, _ = blobs
    same = [DistilledClassifier(**QUICK).fit(x, y).predict_proba(x) for _ in range(2)]
    other = DistilledClassifier(**QUICK | {"random_state": 7}).fit(x, y)
    np.testing.assert_array_equal(*same)
    assert not np.allclose(other.predict_proba(x), same[0]) and other.student_.seed == 7


def test_the_fitted_student_is_a_module_that_can_be_saved(blobs, tmp_path):
    x, _, y = blobs
    model = DistilledClassifier(**QUICK).fit(x, y)
    model.student_.save(tmp_path / "student.safetensors")
    loaded = load_student(tmp_path / "student.safetensors")
    assert loaded.class_names == ("blue", "green", "red")
    seen = torch.tensor(StandardScaler().fit_transform(x), dtype=torch.float32)[:, :, None, None]
    np.testing.assert_allclose(loaded.predict_proba(seen), model.predict_proba(x), atol=1e-6)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))


def test_scaling_is_by_the_rows_of_the_training(blobs):
    x, y, _ = blobs
    model = DistilledClassifier(**QUICK).fit(x, y)
    far = DistilledClassifier(**QUICK).fit(1000 * x + 7, y)
    np.testing.assert_allclose(model.predict_proba(x), far.predict_proba(1000 * x + 7), atol=1e-4)
    plain = DistilledClassifier(**QUICK, scale=False).fit(x, y)
    by_hand = DistilledClassifier(**QUICK, scale=False).fit(StandardScaler().fit_transform(x), y)
    assert plain.scaler_ is None
    np.testing.assert_allclose(
        by_hand.predict_proba(StandardScaler().fit_transform(x)), model.predict_proba(x), atol=1e-5
    )


def test_patience_holds_rows_out_and_keeps_the_best_epoch(blobs):
    x, y, _ = blobs
    model = DistilledClassifier(**QUICK | {"epochs": 40}, patience=2, validation_fraction=0.25).fit(x, y)
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ < 40 and scores[-1 - 2] == max(scores)
    kept, held_out = train_test_split(np.arange(60), test_size=0.25, stratify=y, random_state=0)
    assert model.score(x[held_out], y[held_out]) == pytest.approx(max(scores))
    np.testing.assert_allclose(model.scaler_.mean_, x[kept].mean(0))  # held-out rows have no say
    assert DistilledClassifier(**QUICK).fit(x, y).validation_scores_ is None


def test_it_works_in_a_pipeline_and_a_search(blobs):
    x, _, y = blobs
    pipeline = make_pipeline(StandardScaler(), DistilledClassifier(teacher=LogisticRegression(), **QUICK))
    search = GridSearchCV(pipeline, {"distilledclassifier__encoder": ["amplitude", "qubit"]}, cv=2).fit(x, y)
    assert search.best_score_ > 0.6
    teacher = search.best_estimator_[-1].teacher_
    assert teacher.classes_.tolist() == ["blue", "green", "red"]


# Teachers


def test_a_classifier_teaches_by_its_probabilities(blobs):
    x, _, y = blobs
    fitted = LogisticRegression().fit(x, y)
    student = DistilledClassifier(teacher=fitted, kd_weight=1.0, fields={"ce_weight": 0.0}, **QUICK | {"epochs": 15})
    student.fit(x, y)
    assert student.teacher_ is fitted
    assert (student.predict(x) == fitted.predict(x)).mean() > 0.9  # no label has taught it
    near = np.abs(student.predict_proba(x) - fitted.predict_proba(x)).mean()
    alone = DistilledClassifier(**QUICK | {"epochs": 15}).fit(x, y)
    assert near < 0.15 and not np.allclose(alone.predict_proba(x), student.predict_proba(x))


def test_a_classifier_that_is_not_fitted_is_fitted_to_the_same_rows(blobs):
    x, _, y = blobs
    forest = RandomForestClassifier(5, random_state=0)
    model = DistilledClassifier(teacher=forest, **QUICK).fit(x, y)
    with pytest.raises(NotFittedError):
        forest.predict(x)
    np.testing.assert_array_equal(model.teacher_.predict_proba(x), clone(forest).fit(x, y).predict_proba(x))
    given = DistilledClassifier(teacher=clone(forest).fit(x, y), **QUICK).fit(x, y)
    np.testing.assert_array_equal(given.predict_proba(x), model.predict_proba(x))


def test_a_network_teaches_by_its_logits_as_the_classifier_with_the_same_ones(blobs):
    x, y, _ = blobs
    fitted = LogisticRegression().fit(x, y)
    network = torch.nn.Linear(3, 3)
    with torch.no_grad():
        network.weight.copy_(torch.tensor(fitted.coef_))
        network.bias.copy_(torch.tensor(fitted.intercept_))
    taught = [DistilledClassifier(teacher=teacher, **QUICK).fit(x, y) for teacher in (network, fitted)]
    np.testing.assert_allclose(*(each.predict_proba(x) for each in taught), atol=0.02)  # a floor below chances
    assert taught[0].experiment_.teacher.architecture == "custom:Linear"


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """16x16 images of which the left or the right half is bright."""
    draw = np.random.default_rng(0)
    x, y = draw.random((40, 16, 16)), np.arange(40) % 2
    x[y == 0, :, :8] += 1
    x[y == 1, :, 8:] += 1
    return x, y


@pytest.mark.parametrize(("reducer", "encoder"), [("fully_connected", "amplitude"), ("cnn", "angle"), ("pca", "qubit")])
def test_images_may_be_taught_by_lenet(pictures, reducer, encoder):
    x, y = pictures
    options = QUICK | {"epochs": 30, "learning_rate": 0.02, "reducer": reducer, "encoder": encoder}
    model = DistilledClassifier(teacher="lenet", **options).fit(x, y)
    assert isinstance(model.teacher_, torch.nn.Module) and model.student_.shape == (1, 16, 16)
    assert model.score(x, y) > 0.9
    channels = DistilledClassifier(teacher="lenet", **options).fit(x[:, None], y)
    np.testing.assert_array_equal(channels.predict_proba(x[:, None]), model.predict_proba(x))


def test_a_doubtful_teacher_is_named(blobs):
    x, y, _ = blobs
    wrong = LogisticRegression().fit(x, (y + 1) % 3)
    with pytest.warns(DoubtfulTeacher, match="teacher LogisticRegression: .*near chance.*on X as it is given"):
        DistilledClassifier(teacher=wrong, **QUICK).fit(x, y)


# Own parts, and what is refused


def test_further_fields_and_own_circuits(blobs):
    x, y, _ = blobs
    circuit = qkdlib.Circuit(2, ["ry(x[0]) 0", "ry(x[1]) 1", "crx(w[0]) 0 1", "ry(w[1]) 1", "ry(x[0]) 1", "ry(w[2]) 0"])
    options = {"ansatz": circuit, "encoder": "ansatz_angles", "fields": {"optimizer": "rmsprop"}}
    model = DistilledClassifier(**QUICK | {"epochs": 10, "learning_rate": 0.03} | options).fit(x, y)
    assert model.experiment_.optimizer == "rmsprop" and model.experiment_.ansatz == circuit
    assert model.score(x, y) > 0.6


BAD = {
    "teacher": ({"teacher": "resnet"}, "teacher='resnet' is not allowed; allowed: one of lenet, alexnet"),
    "class": ({"teacher": LogisticRegression}, "teacher=the class LogisticRegression is not allowed; allowed: None"),
    "regressor": ({"teacher": 3}, "teacher=3 is not allowed"),
    "lenet": ({"teacher": "lenet"}, "image size='1x1' is not allowed; allowed: 16x16 or larger for lenet"),
    "qubits": ({"qubits": 0}, "qubits=0 is not allowed"),
    "reducer": ({"reducer": "cnn"}, "image size='1x1'"),
    "epochs": ({"epochs": 1.5}, "epochs=1.5 is not allowed"),
    "scale": ({"scale": "yes"}, "scale='yes' is not allowed; allowed: True or False"),
    "fraction": ({"patience": 2, "validation_fraction": 1.0}, "validation_fraction=1.0 is not allowed"),
    "fields": ({"fields": {"epochs": 3}}, "fields=.* is not allowed; allowed: a dictionary"),
    "of images": ({"fields": {"pixel_mean": (0.5,), "pixel_std": (0.5,)}}, "fields=.* is not allowed.*pixel_mean"),
    "features": ({"fields": {"features": "custom:ResNet"}}, "fields=.* is not allowed; allowed: .*features"),
    "per class": ({"fields": {"train_per_class": 3}}, "fields=.* is not allowed; allowed: .*train_per_class"),
    "weight": ({"kd_weight": -1}, "kd_weight=-1 is not allowed"),  # without a teacher, too
    "weight's type": ({"kd_weight": "0.5"}, "kd_weight='0.5' is not allowed"),
    "few held out": ({"patience": 2, "validation_fraction": 0.01}, "validation_fraction=0.01 .* of each class"),
    "few left": ({"patience": 2, "validation_fraction": 0.99}, "validation_fraction=0.99 .* of each class"),
    "field": ({"fields": {"colour": 3}}, r"fields=\['colour'\] is not allowed; allowed: those of qkdlib.Experiment"),
    "fields of any kind": ({"fields": {3: 1, "colour": 3}}, r"fields=\[3, 'colour'\] is not allowed"),
    "device": ({"device": "gpu"}, "device='gpu' is not allowed"),
    "seed": ({"random_state": -1}, "random_state=-1 is not allowed"),
}


@pytest.mark.parametrize(("changes", "said"), BAD.values(), ids=BAD)
def test_wrong_parameters_say_so_before_any_training(blobs, refuse, changes, said):
    refuse("train_students")
    with pytest.raises(ValueError, match=said):
        DistilledClassifier(**QUICK | changes).fit(*blobs[:2])


def test_a_teacher_of_other_classes_is_refused(blobs):
    x, y, words = blobs
    with pytest.raises(ValueError, match="teacher='LogisticRegression of .*a classifier of the classes"):
        DistilledClassifier(teacher=LogisticRegression().fit(x, y), **QUICK).fit(x, words)
    with pytest.raises(ValueError, match=r"teacher='Linear'.*logits of shape \(60, 3\) .*, not \(60, 2\)"):
        DistilledClassifier(teacher=torch.nn.Linear(3, 2), **QUICK).fit(x, y)


class Dropping(torch.nn.Linear):
    def forward(self, x):
        return torch.nn.functional.dropout(super().forward(x), 0.5, training=True)


class Centring(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x - x.mean(0) * torch.linspace(0, len(x), 3))


@pytest.mark.parametrize(("network", "reason"), [(Dropping, "two passes"), (Centring, "depend on the images beside")])
def test_a_network_whose_logits_change_is_refused(blobs, refuse, network, reason):
    refuse("train_students")
    with pytest.raises(ValueError, match=f"teacher='{network.__name__}'.*{reason}"):
        DistilledClassifier(teacher=network(3, 3), **QUICK).fit(*blobs[:2])


def test_numbers_that_float32_cannot_hold_are_those_of_x(blobs, refuse):
    x, y, _ = blobs
    model = DistilledClassifier(**QUICK).fit(x, y)
    refuse("train_students")
    for call in (lambda: DistilledClassifier(**QUICK, scale=False).fit(1e60 * x, y), lambda: model.predict(1e60 * x)):
        with pytest.raises(ValueError, match=r"X='numbers up to .*e\+6.* is not allowed; allowed: .*float32"):
            call()


def test_images_of_another_shape_are_refused(pictures):
    model = DistilledClassifier(**QUICK).fit(*pictures)
    with pytest.raises(ValueError, match=r"X='?rows of shape \(1, 16, 8\).*allowed: rows of shape \(1, 16, 16\)"):
        model.predict(pictures[0][:, :, :8])
    with pytest.raises(ValueError, match=r"X=.*allowed: \(N, D\), \(N, H, W\) or \(N, C, H, W\)"):
        model.fit(np.zeros((4, 1, 1, 2, 2)), [0, 1, 0, 1])


def test_a_training_that_diverges_says_so(blobs):
    x, y, _ = blobs
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 1; try a smaller learning_rate"):
        DistilledClassifier(**QUICK | {"learning_rate": 1e38, "epochs": 2}).fit(x, y)
