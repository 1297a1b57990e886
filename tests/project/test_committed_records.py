"""What is committed of runs: a complete record of everything that is declared, and the logits of every teacher."""

from pathlib import Path

import pytest
from synthetic import V2_PARTS

from qkdlib import records
from qkdlib.study import contents
from qkdlib.study.controlled import design
from qkdlib.study.robustness import sweeps
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised
from qkdlib.teachers import TeacherLogits, logits_path
from qkdlib.workspace import Workspace

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def committed() -> dict[str, records.Record]:
    return {record.experiment.name: record for record in records.read_all(Workspace(ROOT))}


def test_rows_of_v1_have_committed_records_of_all_seeds(committed):
    declared = paper.experiments()
    assert len(declared) == 40
    assert [each.name for each in declared if each.name not in committed] == []
    for experiment in declared:
        record = committed[experiment.name].with_seeds_of(experiment)
        assert record is not None and len(record.seeds) == experiment.seeds, experiment.name


@pytest.mark.parametrize("part", list(V2_PARTS))
def test_bars_and_variants_of_v2_have_committed_records_with_10_seeds(committed, part):
    """All arms of a bar on one copy of its images."""

    def complete(experiment) -> bool:
        record = committed.get(experiment.name)
        return record is not None and set(range(10)) <= set(record.seeds)

    bars = V2_PARTS[part]()
    assert len(bars) == {"v2-entangler": 48, "v2-converged-alexnet": 28, "v2-full-set": 6}.get(part, 42)
    lacking = [bar for bar in bars if not any(all(map(complete, copy.arms.values())) for copy in bar.copies)]
    assert [(bar.method, bar.dataset, bar.qubits, bar.regime, bar.experiment.layers) for bar in lacking] == []


def test_students_trained_under_noise_have_committed_records(committed):
    for experiment in sweeps.trainings():
        assert len(committed[experiment.name].seeds) == 10


@pytest.mark.parametrize("part", ["collapse", "controlled"])
def test_what_is_studied_besides_has_committed_records_of_all_seeds(committed, part):
    wanted = [each for (each,) in contents.parts()[part].groups()]
    there = [each for each in wanted if each.name in committed and committed[each.name].with_seeds_of(each) is not None]
    assert [each.name for each in wanted if each not in there] == []


def test_no_record_is_committed_that_nothing_declares(committed):
    assert sorted(set(committed) - {each.name for chapter in contents.CHAPTERS for each in chapter.experiments()}) == []


@pytest.mark.parametrize("row", [row for row in paper.all_rows() if row.category == "Teacher"], ids=lambda row: row.id)
def test_teachers_have_committed_logits_of_all_images(row):
    """All training and test images of the classes, as many as the authors' notebooks have."""
    images = {
        ("mnist", 6): (36017, 6031), ("mnist", 8): (48200, 8017),
        ("fashion_mnist", 6): (36000, 6000), ("fashion_mnist", 8): (48000, 8000),
    }  # fmt: skip
    path = logits_path(Workspace(ROOT), row.experiment, row.experiment.teacher)
    assert path.exists()
    logits = TeacherLogits.load(path)
    classes = len(row.classes)
    train, test = images[row.dataset, classes]
    assert (logits.train.shape, logits.test.shape) == ((train, classes), (test, classes))
    assert logits.train.isfinite().all() and logits.test.isfinite().all()
    epochs = {"lenet": 10, "alexnet": {"mnist": 3, "fashion_mnist": 5}[row.dataset], "ensemble": 1}
    assert len(logits.history) == epochs[row.teacher]
    assert 0.8 < logits.history[-1]["test_accuracy"] < 1


@pytest.mark.parametrize(
    ("dataset", "name", "epochs"),
    [
        ("mnist", "lenet", 10), ("mnist", "alexnet", 3), ("mnist", "ensemble", 1), ("fashion_mnist", "lenet", 10),
        ("fashion_mnist", "alexnet", 3), ("fashion_mnist", "ensemble", 1), ("cifar10", "lenet", 10),
    ],
)  # fmt: skip
def test_teachers_on_ten_classes_have_committed_logits_of_all_images(dataset, name, epochs):
    """CIFAR10's of the original images or of the JPEG copy: whatever its students have learned from."""
    tasks = [copy.experiment for copy in revised.bar("original", dataset, 4).copies]
    paths = [logits_path(Workspace(ROOT), task, revised.teacher(name)) for task in tasks]
    there = [TeacherLogits.load(path) for path in paths if path.exists()]
    assert there
    train = 50_000 if dataset == "cifar10" else 60_000
    for logits in there:
        assert (logits.train.shape, logits.test.shape) == ((train, 10), (10_000, 10))
        assert logits.train.isfinite().all() and logits.test.isfinite().all()
        assert len(logits.history) == epochs
        assert 0.3 < logits.history[-1]["test_accuracy"] < 1  # it has learned, and three times chance says so


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("classes", [6, 8, 10])
def test_teachers_of_the_students_own_images_have_committed_logits(dataset, classes):
    """Trained on 150 images per class for 100 epochs, with logits of all images."""
    tasks = {(task.placebo.dataset, len(task.placebo.classes)): task for task in design.tasks()}
    taught = tasks[dataset, classes].arms["LeNet of the same images"]
    logits = TeacherLogits.load(logits_path(Workspace(ROOT), taught, taught.teacher))
    assert logits.meta["trained_on"] == 150 * classes and len(logits.history) == 100
    assert logits.train.shape[1] == logits.test.shape[1] == classes
    assert len(logits.train) >= 6000 * classes - 400 and logits.train.isfinite().all()
    assert 0.75 < logits.history[-1]["test_accuracy"] < 1
