"""Students: reducer + encoder + circuit + read-out, for all seeds of an experiment at once.

`Student` puts the parts together; each part has a file of its own. `Reducer`, `Encoder` and the layers `Stacked...` are
what a reducer, an encoder or a head of your own is made of. Every arm of a study is this one class.
`student.one(seed)` is the `SingleStudent` of one seed, an ordinary PyTorch module.
"""

from qkdlib.students.encoders import ENCODERS, Amplitude, Angle, Encoder
from qkdlib.students.fixed_reducers import Reducer
from qkdlib.students.reducers import REDUCERS
from qkdlib.students.saved import load_student
from qkdlib.students.single import SingleStudent
from qkdlib.students.stacked import StackedConv2d, StackedLinear
from qkdlib.students.student import Student, classified_right

__all__ = [
    "ENCODERS", "REDUCERS", "Amplitude", "Angle", "Encoder", "Reducer", "SingleStudent", "StackedConv2d",
    "StackedLinear", "Student", "classified_right", "load_student",
]  # fmt: skip
