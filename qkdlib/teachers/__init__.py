"""Teachers: classical networks, their training, and the small files of logits that students learn from.

A student never sees a network: a network of your own becomes such a file too, and so do the controls.
"""

from qkdlib.teachers.networks import AlexNet, DoubtfulTeacher, LeNet, build, check_network
from qkdlib.teachers.own_networks import save_custom
from qkdlib.teachers.teacher_files import TeacherLogits, logits_path, teacher_name
from qkdlib.teachers.teacher_training import train_teacher

__all__ = [
    "AlexNet", "DoubtfulTeacher", "LeNet", "TeacherLogits", "build", "check_network", "logits_path", "save_custom",
    "teacher_name", "train_teacher",
]  # fmt: skip
