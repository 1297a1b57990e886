"""The loss of a student (v1, Eq. 2, 3, 5, 6), and what may stand in the place of its divergence.

A distillation term is a function (student_logits (S, B, L), labels (S, B), teacher_logits (S, B, C)) -> (S,). The first
C of a student's logits are the classes. Seeds do not mix: a seed's term is that of its own rows.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch.nn import functional

from qkdlib import checks, names, parts
from qkdlib.experiment import Experiment
from qkdlib.students import Student, own_parts

Term = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
PARTS = ("loss", "ce", "kl")  # of a loss, as curves name them
ANGLE = 2.0  # weight of the angles beside the distances (Park et al., section 4)
RELATIONS = 32.0  # bytes for each triplet of a batch: cosines, their difference and gradients
SAME = 1e-4  # relative difference of a loss, alone and beside another seed, that is rounding


@dataclass(frozen=True)
class Loss:
    """Both parts of the loss and their weighted sum, each the mean over a batch, (S,) for S seeds."""

    total: torch.Tensor
    cross_entropy: torch.Tensor
    divergence: torch.Tensor


class Settings(TypedDict):
    """What an experiment says of `distillation_loss`."""

    ce_weight: float
    kd_weight: float
    temperature: float
    temperature_squared: bool
    term: Term | None


def distillation_loss(
    logits: torch.Tensor, labels: torch.Tensor, teacher_logits: torch.Tensor, *, ce_weight: float, kd_weight: float,
    temperature: float, temperature_squared: bool = True, term: Term | None = None,
) -> Loss:  # fmt: skip
    """ce_weight * CE(logits, labels) + kd_weight * T^2 * KL(softmax(teacher / T) || softmax(student / T)).

    The cross entropy runs over all of the student's logits, the divergence over the first C, where C is the
    number of the teacher's logits. The factor T^2 (Hinton et al., arXiv 1503.02531) is in the published code
    and not in the paper's Eq. 6.

    Args:
        logits: (S, B, L).
        labels: (S, B), from 0 to C - 1.
        teacher_logits: (S, B, C).
        term: another distillation term, in the place of the divergence.
    """
    cross_entropy = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")  # (S*B,)
    cross_entropy = cross_entropy.view(labels.shape).mean(1)  # (S,)
    term = term or functools.partial(kl, temperature=temperature)
    divergence = term(logits, labels, teacher_logits)  # (S,)
    factor = kd_weight * (temperature**2 if temperature_squared else 1.0)
    return Loss(ce_weight * cross_entropy + factor * divergence, cross_entropy, divergence)


def kl(
    logits: torch.Tensor, labels: torch.Tensor, teacher_logits: torch.Tensor, temperature: float
) -> torch.Tensor:  # fmt: skip
    """KL(softmax(teacher / T) || softmax(student / T)), the mean over a batch (Hinton et al., arXiv 1503.02531)."""
    teacher = functional.log_softmax(teacher_logits / temperature, dim=-1)
    student = functional.log_softmax(logits[..., : teacher_logits.shape[-1]] / temperature, dim=-1)
    return (teacher.exp() * (teacher - student)).sum(-1).mean(1)


def dkd(
    logits: torch.Tensor, labels: torch.Tensor, teacher_logits: torch.Tensor, temperature: float, beta: float
) -> torch.Tensor:
    """TCKD + beta * NCKD, the mean over a batch (decoupled distillation, Zhao et al. 2022, arXiv 2203.08679, Eq. 7 with
    alpha = 1). TCKD is the divergence of target against the rest, NCKD that among the other classes, both of
    softened probabilities; beta = 1 - p_target of the teacher would be `kl`."""
    target = labels[..., None]  # (S, B, 1)
    parted = []
    for scores in (teacher_logits, logits[..., : teacher_logits.shape[-1]]):
        log = functional.log_softmax(scores / temperature, dim=-1)
        rest = torch.logsumexp(log.scatter(-1, target, -torch.inf), dim=-1, keepdim=True)  # log(1 - p_target)
        binary = torch.cat([log.gather(-1, target), rest], dim=-1)
        others = functional.log_softmax((scores / temperature).scatter(-1, target, -torch.inf), dim=-1)
        parted.append((binary, others.scatter(-1, target, 0.0)))
    (teacher, teachers_others), (student, students_others) = parted
    tckd = (teacher.exp() * (teacher - student)).sum(-1)
    nckd = (teachers_others.exp() * (teachers_others - students_others)).sum(-1)  # the target's is 1 * (0 - 0)
    return (tckd + beta * nckd).mean(1)


def rkd(logits: torch.Tensor, labels: torch.Tensor, teacher_logits: torch.Tensor) -> torch.Tensor:
    """L_D + 2 L_A (relational distillation, Park et al. 2019, arXiv 1904.05068, Eq. 6 to 10), of the logits of the
    first C classes as points: the mean Huber loss between student and teacher of the distances of all pairs of a batch,
    in units of their mean, and of the cosines of the angles of all triplets. A batch of one image has no pair and one
    of two no triplet: then that part is 0."""
    student = logits[..., : teacher_logits.shape[-1]]
    return _distances(student, teacher_logits) + ANGLE * _angles(student, teacher_logits)


def _differences(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of points (S, B, C): differences (S, B, B, C) and distances (S, B, B), with a gradient of 0 where they are 0."""
    difference = points[:, :, None] - points[:, None]
    square = difference.square().sum(-1)
    apart = square > 0
    return difference, torch.where(apart, torch.where(apart, square, 1.0).sqrt(), 0.0)


def _distances(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """L_D (S,) of points (S, B, C)."""
    count = student.shape[1]
    if count < 2:
        return student.sum((1, 2)) * 0
    rows, columns = torch.triu_indices(count, count, 1, device=student.device)
    relations = []
    for points in (student, teacher):
        distances = _differences(points)[1][:, rows, columns]
        mean = distances.mean(1, keepdim=True)
        relations.append(distances / torch.where(mean > 0, mean, 1.0))
    mine, theirs = relations
    return functional.smooth_l1_loss(mine, theirs, reduction="none").mean(1)


def _angles(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """L_A (S,) of points (S, B, C). The vertex of a triplet is its first index."""
    count = student.shape[1]
    if count < 3:
        return student.sum((1, 2)) * 0
    cosines = []
    for points in (student, teacher):
        difference, distance = _differences(points)
        unit = (difference / torch.where(distance > 0, distance, 1.0)[..., None]).flatten(0, 1)
        cosines.append(torch.bmm(unit, unit.transpose(1, 2)).unflatten(0, (-1, count)))  # (S, B, B, B)
    mine, theirs = cosines
    each = functional.smooth_l1_loss(mine, theirs, reduction="none")
    # Of images that are not all different, those of which one is the vertex have no direction, and a cosine of 0.
    twice = torch.eye(count, dtype=torch.bool, device=each.device)
    return each.masked_fill(twice, 0.0).flatten(1).sum(1) / (count * (count - 1) * (count - 2))


def settings(experiment: Experiment) -> Settings:
    """What `distillation_loss` takes of an experiment, by what acts in it: where nothing is distilled, the divergence
    is `kl` at the default temperature, whatever the other fields say."""
    experiment = names.acting(experiment)
    temperature, kind = experiment.temperature, experiment.kd_loss
    built_in: dict[str, Term] = {
        "kl": functools.partial(kl, temperature=temperature),
        "dkd": functools.partial(dkd, temperature=temperature, beta=experiment.dkd_beta),
        "rkd": rkd,
    }
    return {
        "ce_weight": experiment.ce_weight, "kd_weight": experiment.kd_weight, "temperature": temperature,
        "temperature_squared": experiment.kd_temperature_squared and kind in ("kl", "dkd"),
        "term": parts.find("loss", kind, built_in),
    }  # fmt: skip


def of_batches(experiment: Experiment) -> bool:
    """Whether the distillation term may compare the images of a batch, so that it has a value for a batch alone."""
    return names.acting(experiment).kd_loss not in ("kl", "dkd")


def check_loss(student: Student) -> None:
    """Try the distillation term of a student's experiment on a few numbers, so that what is wrong shows before a
    training.

    Raises:
        ValueError: a loss of one's own fails, gives anything but one finite number per seed, mixes the seeds or does
            not depend on the student's logits; or a batch has too many triplets for `rkd`.
    """
    experiment, outputs = student.experiment, own_parts.outputs(student)
    kind, batch = experiment.kd_loss, experiment.batch_size
    if kind == "rkd":
        checks.memory("batch_size", batch, RELATIONS * experiment.seeds * batch**3, "kd_loss rkd of all triplets")
    if not parts.is_own(kind) or names.is_silent(experiment):
        return
    term, classes = settings(experiment)["term"], len(experiment.classes)
    assert term is not None
    splits = (experiment.train_per_class, experiment.validation_per_class)
    rests = {classes * images % batch for images in splits if images is not None}
    for count in sorted({min(batch, 3)} | ({1} & rests)):  # the last batch may be of a single image
        _check_term(kind, term, count, classes, outputs)


def _check_term(kind: str, term: Term, count: int, classes: int, outputs: int) -> None:
    """Try a term on batches of `count` images, of two seeds and of each alone."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(2 * count).view(2, count) % classes
    zeros = torch.zeros(2, count, outputs), labels, torch.zeros(2, count, classes)
    some = torch.randn(2, count, outputs, generator=draw), labels, torch.randn(2, count, classes, generator=draw)
    for logits, *others in (zeros, some):
        logits.requires_grad_()
        together = _tried(kind, term, logits, *others)
        for seed in (0, 1):
            own = slice(seed, seed + 1)
            alone = _tried(kind, term, logits[own], *(each[own] for each in others))
            if not torch.allclose(together[own], alone, rtol=SAME, atol=SAME):
                values = f"beside another seed it is {together[seed].item():g}, alone {alone.item():g}"
                checks.fail("kd_loss", kind, f"a loss whose number for a seed depends on that seed alone; {values}")


def _tried(
    kind: str, term: Term, logits: torch.Tensor, labels: torch.Tensor, teacher_logits: torch.Tensor
) -> torch.Tensor:
    seeds, says = len(logits), f"a loss that gives one number for each of {len(logits)} seeds"
    with torch.inference_mode(False), torch.enable_grad():
        try:
            found = term(logits, labels, teacher_logits)
        except Exception as error:  # a stranger's code
            shapes = ", ".join(str(tuple(each.shape)) for each in (logits, labels, teacher_logits))
            raised = f"for logits, labels and teacher's logits of shapes {shapes} it raised {checks.line(error, 200)}"
            checks.fail("kd_loss", kind, f"{says}; {raised}")
    if not isinstance(found, torch.Tensor) or found.shape != (seeds,):
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        checks.fail("kd_loss", kind, f"{says}, shape ({seeds},), and not {shape}")
    if not torch.isfinite(found).all():
        what = "logits that are all 0" if not logits.any() else "logits that are small"
        what += ", of one image," if logits.shape[1] < 2 else ""
        checks.fail("kd_loss", kind, f"a finite loss; for {what} it is {found.tolist()}")
    if not found.requires_grad:
        checks.fail("kd_loss", kind, "a loss that has a gradient with respect to the student's logits")
    return found
