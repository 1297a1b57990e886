"""Students: reducer + encoder + circuit + read-out, for all seeds of an experiment at once.

`Student` puts the parts together; each part has a file of its own. Every arm of a study is this one class.
`student.one(seed)` is the `SingleStudent` of one seed, an ordinary PyTorch module.
"""

from qkdlib.students.encoders import ENCODERS
from qkdlib.students.reducers import REDUCERS
from qkdlib.students.saved import load_student
from qkdlib.students.single import SingleStudent
from qkdlib.students.student import Student, classified_right

__all__ = ["ENCODERS", "REDUCERS", "SingleStudent", "Student", "classified_right", "load_student"]
