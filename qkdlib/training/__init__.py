"""Training: the one loop, the loss with the teacher's voice in it, the optimiser, and choice on validation images.

`losses.distillation_loss` is the paper's, and may hold other terms, or one's own, in the divergence's place;
`train_students` trains all seeds of an experiment side by side.
"""

from qkdlib.training.checkpoints import forget
from qkdlib.training.evaluation import evaluate
from qkdlib.training.loop import fit
from qkdlib.training.losses import Loss, check_loss, distillation_loss
from qkdlib.training.student_training import check_reducer, train_students

__all__ = ["Loss", "check_loss", "check_reducer", "distillation_loss", "evaluate", "fit", "forget", "train_students"]
