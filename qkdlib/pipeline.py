"""From an experiment to its record: images, teacher, training of all seeds side by side, execution on Aer."""

import dataclasses
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from qkdlib import blocks, checks, files, runtime, torch_settings
from qkdlib.experiment import CUSTOM, Experiment, check_experiment
from qkdlib.experiment_checks import MOST_WEIGHT
from qkdlib.parts import check_registered
from qkdlib.records import Record, find, read_all
from qkdlib.trained import check_fit, students_of, teachers_logits, train_seeds, with_weights
from qkdlib.workspace import Workspace

if TYPE_CHECKING:
    import torch

    from qkdlib.images import Splits
    from qkdlib.students import Student

KD_WEIGHT = 0.9  # of a network of your own, where nothing else is said


def run(
    experiment: Experiment, *, teacher: "torch.nn.Module | None" = None, kd_weight: float | None = None,
    features: "torch.nn.Module | str | None" = None, workspace: Workspace | str | Path = ".", device: str = "auto",
    fresh: bool = False, aer_seeds: int | None = None,
) -> Record:  # fmt: skip
    """The record of an experiment: found if it is there, else made. Only missing seeds are computed.

    Args:
        experiment: what to run.
        teacher: a `torch.nn.Module` of your own that maps images (B, C, H, W) in [0, 1] to logits (B, classes);
            it takes the place of `experiment.teacher`, whose `labels` hold for it, too.
        kd_weight: weight of that network's loss; None: the experiment's, or 0.9 where that is 0.
        features: a frozen network of your own that maps images (B, C, H, W) in [0, 1] to features (B, F) or
            (B, F, 1, 1), which take the place of the student's images; or "teacher" for the last hidden layer of the
            teacher, which is trained if it is not yet. The experiment's `features` then name it; None: whatever the
            experiment names, as an earlier run kept it. They need the reducer `fully_connected` or `pca`.
        workspace: where records and checkpoints lie.
        device: `auto`, `cpu`, `cuda`, or `mps`, which is untried.
        fresh: compute all seeds anew and replace their results. Otherwise a run that was interrupted, by Ctrl-C or
            worse, goes on from the end of an epoch a few seconds before that, and to the same bits.
        aer_seeds: how many of the seeds computed now are executed on Aer, which takes as long as training them; None
            for all of them. Only students whose angles depend on the image can be, and no seed that diverged.

    Raises:
        ValueError: something in the experiment does not fit; before any training starts.
        FileNotFoundError: the data set is neither there nor to be downloaded.
        OSError: a folder of the workspace cannot be written; before any training starts.
        RuntimeError: the execution on Aer failed; the record of the training is saved all the same.
    """
    workspace = Workspace.of(workspace)
    runtime.threads()  # of which a wrong number says so
    checks.one_of("device", device, runtime.DEVICES)
    checks.flag("fresh", fresh)
    if aer_seeds is not None:
        checks.whole("aer_seeds", aer_seeds, minimum=0)
    _check(experiment, teacher, kd_weight, features)

    from qkdlib import execution, teachers, training
    from qkdlib.images import datasets

    experiment = datasets.identified(experiment)
    places = workspace.students, workspace.teachers, workspace.checkpoints
    for place in places:
        files.sweep(place)
    record = None if fresh or teacher is not None or features is not None else find(experiment, workspace)
    found = record and record.with_seeds_of(experiment)
    if found and (aer_seeds == 0 or not found.unexecuted()):
        return found
    blocks.check_places(experiment, workspace)
    processor = runtime.start(device)
    with torch_settings.plain_torch():
        parts = datasets.splits(experiment)
        extractor = teachers.extractor_of(features, experiment, teacher, parts, workspace, processor)
        experiment, parts = teachers.featured(experiment, extractor, parts, workspace)
        check_fit(experiment, parts)  # before a teacher trains
        if teacher is not None:
            experiment = _taught(experiment, teacher, kd_weight, parts, workspace, processor)
        if not fresh and (teacher is not None or features is not None):
            record = find(experiment, workspace)
        record = dataclasses.replace(record, experiment=experiment) if record else Record(experiment)
        for entry in record.unexecuted() if aer_seeds != 0 else ():  # of a run that was cut off
            seen = parts.of(entry["unexecuted"])
            student = students_of(experiment, entry["unexecuted"], seen, record, workspace, processor)
            execution.execute_record(record, entry, student, seen.test, workspace)
        if missing := record.missing():
            if fresh:
                training.forget(workspace.checkpoints, experiment, missing, processor)
            seen = parts.of(missing)
            logits = teachers_logits(experiment, missing, seen, workspace, processor)
            trained = train_seeds(experiment, missing, seen, logits, processor, workspace.checkpoints)
            executed = missing if aer_seeds is None else missing[:aer_seeds]
            entry = blocks.write(record, trained, parts.shape, workspace, executed)
            if "unexecuted" in entry:
                student = with_weights(experiment, missing, trained.weights, parts.shape)
                student = student.fit_reducer(parts.train.x).to(processor).eval()
                execution.execute_record(record, entry, student, seen.test, workspace)
    return dataclasses.replace(record, seeds={seed: record.seeds[seed] for seed in range(experiment.seeds)})


def trained_student(
    experiment: Experiment | Record, *, teacher: "torch.nn.Module | None" = None, kd_weight: float | None = None,
    features: "torch.nn.Module | str | None" = None, workspace: Workspace | str | Path = ".", device: str = "auto",
) -> "Student":  # fmt: skip
    """The trained `students.Student` of all seeds, in evaluation mode: `student(images)` gives logits (S, B, L).

    The weights of the last run lie in the workspace's checkpoints. Where they are not (they are never committed), or
    are damaged, the students are trained again, to the same result.

    Args:
        experiment, teacher, kd_weight, features: as they were given to `run`; or the record that it returned, alone,
            with `features` only where what they gave is no longer kept.
        workspace, device: as in `run`.
    """
    workspace = Workspace.of(workspace)
    is_record = isinstance(experiment, Record)
    experiment = experiment.experiment if isinstance(experiment, Record) else experiment
    _check(experiment, teacher, kd_weight, features)
    check_registered(experiment, ("reducer", "encoder", "head"))  # of a loss the weights may do without

    from qkdlib import teachers
    from qkdlib.images import datasets

    experiment = datasets.identified(experiment)
    processor, seeds = runtime.start(device), list(range(experiment.seeds))
    with torch_settings.plain_torch():
        parts = datasets.splits(experiment)
        named = experiment.features
        extractor = teachers.extractor_of(features, experiment, teacher, parts, workspace, processor)
        experiment, parts = teachers.featured(experiment, extractor, parts, workspace)
        if is_record and experiment.features != named:
            checks.fail("features", experiment.features, f"those of the record, {named or 'which has none'}")
        if teacher is not None:
            experiment = _taught(experiment, teacher, kd_weight, parts, workspace, processor)
        elif not is_record and experiment.teacher is None:
            _name_taught(experiment, workspace)
        student = students_of(experiment, seeds, parts, find(experiment, workspace), workspace, processor)
        student.class_names, student.extractor = parts.class_names, extractor
        return student


def _check(
    experiment: Experiment, teacher: "torch.nn.Module | None", kd_weight: float | None,
    features: "torch.nn.Module | str | None",
) -> None:  # fmt: skip
    check_experiment(experiment)
    if teacher is not None:
        from qkdlib import teachers

        teachers.check_network(teacher)
        if experiment.teacher and experiment.teacher.networks > 1:
            checks.fail("teacher networks", experiment.teacher.networks, "1 with teacher=network, which is one")
    if kd_weight is not None:
        checks.real("kd_weight", kd_weight, maximum=MOST_WEIGHT)
        if teacher is None:
            checks.fail("kd_weight", kd_weight, "None without teacher=network; experiment.distilled(teacher, weight)")
    if features is not None:
        from qkdlib import teachers

        teachers.check_features(features, experiment, teacher)


def _taught(
    experiment: Experiment, network: "torch.nn.Module", kd_weight: float | None, parts: "Splits", workspace: Workspace,
    device: "torch.device",
) -> Experiment:  # fmt: skip
    """The experiment with a network of one's own as its teacher, whose logits are stored."""
    from qkdlib import teachers

    named = teachers.save_custom(experiment, network, parts, workspace, device)
    return experiment.distilled(named, (experiment.kd_weight or KD_WEIGHT) if kd_weight is None else kd_weight)


def _name_taught(placebo: Experiment, workspace: Workspace) -> None:
    """Name the records that may be meant where a placebo is asked for."""
    taught = [each for record in read_all(workspace) if (each := record.experiment).placebo().digest == placebo.digest]
    if named := ", ".join(e.name for e in taught if e.teacher and e.teacher.architecture.startswith(CUSTOM)):
        warnings.warn(
            f"{placebo.name} is the placebo, which nothing taught; a network of your own taught {named}: hand over "
            "their record, or teacher=network, to get those", stacklevel=3,
        )  # fmt: skip
