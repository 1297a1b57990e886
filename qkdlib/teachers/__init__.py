"""Teachers: classical networks, their training, and the small files of logits that students learn from.

A student never sees a network: a network of your own becomes such a file too, and so do the controls. What a frozen
network makes of the student's images may take their place (`features`).
"""

from qkdlib.teachers.features import Extractor, check_features, extract, extractor_of, featured, seen
from qkdlib.teachers.hidden import last_hidden
from qkdlib.teachers.networks import AlexNet, DoubtfulTeacher, LeNet, build, check_network
from qkdlib.teachers.own_networks import save_custom
from qkdlib.teachers.teacher_files import TeacherLogits, logits_path, teacher_name
from qkdlib.teachers.teacher_training import train_teacher

__all__ = [
    "AlexNet", "DoubtfulTeacher", "Extractor", "LeNet", "TeacherLogits", "build", "check_features", "check_network",
    "extract", "extractor_of", "featured", "last_hidden", "logits_path", "save_custom", "seen", "teacher_name",
    "train_teacher",
]  # fmt: skip
