"""Controls of distillation: what a student gets in place of its teacher's logits, to see what of a gain is knowledge.

Both keep something of the teacher and take the rest away. `smoothed` labels are as soft as the teacher's softened
logits, and know nothing of the image or of which classes are alike. `shuffled` logits are the teacher's, each image
having those of another image of its class: they know the class, and not the image.
"""

import torch

from qkdlib.experiment import Experiment
from qkdlib.images.choice import Splits
from qkdlib.randomness import generator


def apply(experiment: Experiment, logits: torch.Tensor, parts: Splits) -> torch.Tensor:
    """Logits (N, C) of `parts.all_train` that the student gets: the teacher's, or those of its control. What is taken
    from the teacher (entropy, other images' logits) is taken from the student's own training images, and for its
    validation images from those."""
    teacher = experiment.teacher
    if teacher is None or teacher.labels == "own":
        return logits
    given = logits.clone()
    for part, rows in zip((parts.train, parts.validation), parts.students_rows(), strict=True):
        if teacher.labels == "smoothed":
            given[rows] = smoothed(logits[rows], part.y, experiment.temperature)
        else:
            given[rows] = shuffled(logits[rows], part.y, teacher.seed)
    return given


def smoothed(logits: torch.Tensor, labels: torch.Tensor, temperature: float) -> torch.Tensor:
    """Logits whose softmax at `temperature` is (1 - e) one-hot + e / C, with the e that gives it the mean entropy of
    the teacher's softmax at that temperature."""
    from scipy import optimize  # which takes half a second

    classes = logits.shape[1]
    target = float(entropy(torch.softmax(logits.double() / temperature, dim=1)).mean())

    def off(e: float) -> float:
        return float(entropy(_mixed(torch.zeros(1, dtype=torch.long), classes, e))[0]) - target

    least, most = 1e-12, 1 - 1e-12
    e = least if off(least) >= 0 else most if off(most) <= 0 else optimize.brentq(off, least, most)
    return (temperature * _mixed(labels, classes, e).log()).to(logits)


def shuffled(logits: torch.Tensor, labels: torch.Tensor, seed: int) -> torch.Tensor:
    """Each image gets the logits of an image of its class, by one random permutation in each class."""
    draw, given = generator(seed, "shuffled logits"), logits.clone()
    for label in labels.unique():
        rows = torch.nonzero(labels == label).squeeze(1)
        given[rows] = logits[rows[torch.randperm(len(rows), generator=draw)]]
    return given


def entropy(chances: torch.Tensor) -> torch.Tensor:
    """Entropy (N,), in nats, of distributions (N, C)."""
    return torch.special.entr(chances).sum(1)


def _mixed(labels: torch.Tensor, classes: int, e: float) -> torch.Tensor:
    one_hot = torch.nn.functional.one_hot(labels, classes).double()
    return (1 - e) * one_hot + e / classes
