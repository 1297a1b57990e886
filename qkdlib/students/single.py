"""The student of one seed as an ordinary PyTorch module, which other programs can train, save and ask."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import nn

import qkdlib
from qkdlib import checks, circuits, files, torch_settings
from qkdlib.experiment import as_dict
from qkdlib.names import NUMERICS

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

Images = TypeVar("Images", torch.Tensor, np.ndarray)

FORMAT = 1  # of saved students
KEY = "qkdlib_student"  # of what a file says about itself


class SingleStudent(nn.Module):
    """Images (B, C, H, W) -> logits (B, C) of the C classes, by weights of its own. `Student.one` makes it.

    The images are as `qkdlib.splits` gives them: pixels from 0 to 1, or what `images.normalised` makes of them where
    the experiment has a `pixel_mean`. Where it has features, they are those, (B, F, 1, 1), or images as long as the
    network that made them is at hand, as it is not after `load_student`. They may need a gradient.
    The logits are the first C of the student's: the heads `sigmoid_complement` and `softmax` have one for each outcome
    or two, and a record's accuracy is by argmax over all of them, which counts an outcome that is no class as wrong.
    Here the largest of the C classes is taken, so that an accuracy may be a little higher. In training mode the
    reducer's dropout is drawn from torch's global generator, as that of `nn.Dropout`.

    Attributes:
        student: the `Student`, of this one seed: its parameters have a leading axis of 1.
        experiment, seed, shape: its experiment, its seed, and (C, H, W) of an image.
        class_names: one text for each class.
    """

    def __init__(self, student: Any):
        super().__init__()
        self.student = student
        self.experiment, self.shape, (self.seed,) = student.experiment, tuple(student.shape), student.seeds
        self.class_names: tuple[str, ...] = student.class_names

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, C). `ValueError`: the images have another shape, or are no real numbers."""
        check_images(images, self.student)
        images = images.to(self.student.signs)
        with torch.autocast(images.device.type, enabled=False):  # angles need 32 bits
            logits = self.student(images, self._dropout(len(images)))
        return logits[0, :, : len(self.experiment.classes)]

    def predict_proba(self, images: Images) -> Images:
        """The softmax of the logits, (B, C), for images (B, C, H, W) or one of them, (C, H, W); in evaluation mode. An
        array gives an array, a tensor a tensor. `ValueError`: as of `forward`, or a pixel is not finite."""
        return self._like(images, torch.softmax(self.logits(images), dim=-1))

    def predict(self, images: Images) -> Images:
        """The classes (B,), as `experiment.classes` names them: the labels of the data set. Else as `predict_proba`."""
        places = self.logits(images).argmax(-1)
        return self._like(images, torch.tensor(self.experiment.classes, device=places.device)[places])

    def qiskit(self, image: torch.Tensor | np.ndarray) -> "QuantumCircuit":
        """The bound `qiskit.QuantumCircuit` that classifies an image (C, H, W), as of `Student.qiskit`."""
        return self.student.qiskit(image, self.seed)

    def save(self, path: str | Path) -> None:
        """Write the weights and all that `qkdlib.load_student` needs to a safetensors file, atomically."""
        from safetensors.torch import save

        tensors = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        said = {
            "format": FORMAT, "numerics": NUMERICS, "qkdlib": qkdlib.__version__,
            "experiment": as_dict(self.experiment), "seed": self.seed, "shape": list(self.shape),
            "class_names": list(self.class_names), "sha256": checksum(tensors),
        }  # fmt: skip
        with files.atomic(Path(path)) as temporary:
            temporary.write_bytes(save(tensors, {KEY: json.dumps(said)}))

    def logits(self, images: torch.Tensor | np.ndarray) -> torch.Tensor:
        """Logits (B, C) in evaluation mode, without gradients, of images as `predict_proba` takes them."""
        images = tensor(images)
        images = images[None] if images.ndim == 3 else images
        check_images(images, self.student)
        _check_finite(images)
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                return torch.cat([self(chunk) for chunk in images.split(self.student.evaluation_batch)])
        finally:
            self.train(was_training)

    def _dropout(self, count: int) -> torch.Tensor | None:
        masks, chance = self.student.reducer.masks, 1 - self.experiment.dropout
        if not (self.training and masks):
            return None
        draws = torch.rand(1, count, masks, device=self.student.signs.device)
        return (draws < chance).to(self.student.signs) / chance

    def _like(self, images: Images, found: torch.Tensor) -> Images:
        return found if isinstance(images, torch.Tensor) else found.cpu().numpy()


def tensor(images: torch.Tensor | np.ndarray) -> torch.Tensor:
    """Images as a tensor, copied if they are none."""
    if isinstance(images, torch.Tensor):
        return images
    try:
        array = np.asarray(images)
        return torch.tensor(array if array.dtype == np.uint8 else array.astype(np.float64, casting="same_kind"))
    except (TypeError, ValueError):
        checks.fail("images", images, "an array or tensor of real numbers")


def check_images(images: object, student: Any) -> None:
    """Raise `ValueError` unless images are a tensor (B, C, H, W) of real numbers, of the student's shape, or such as
    its extractor may take."""
    found = tuple(images.shape) if isinstance(images, torch.Tensor) else images
    shape = ", ".join(map(str, student.shape))
    if not isinstance(images, torch.Tensor) or images.ndim != 4:
        checks.fail("images", found, f"a tensor of shape (B, {shape})")
    if student.extractor is None and tuple(images.shape[1:]) != tuple(student.shape):
        checks.fail("images", found, f"a tensor of shape (B, {shape})")
    if images.dtype == torch.uint8 or images.is_complex():
        checks.fail("images", images.dtype, "real numbers as `qkdlib.splits` gives them, not bytes from 0 to 255")


def _check_finite(images: torch.Tensor) -> None:
    if not images.isfinite().all():
        checks.fail("images", "NaN or infinity", "finite pixels")


def copied(student: Any, place: int) -> SingleStudent:
    """The seed at this place of a `Student`, with its own copy of the weights; see `Student.one`."""
    with torch_settings.plain_torch(), torch.no_grad():
        alone = type(student)(student.experiment, student.shape, [student.seeds[place]]).to(student.signs)
        for parameter, values in zip(alone.parameters(), student.parameters(), strict=True):
            parameter.copy_(values[place])
        for name, fitted in student.reducer.named_buffers():
            hold(alone.reducer, name, fitted.clone())
    alone.class_names, alone.extractor = student.class_names, student.extractor
    return SingleStudent(alone).train(student.training)


def bound(student: Any, image: torch.Tensor | np.ndarray, place: int) -> "QuantumCircuit":
    """The circuit by which the seed at this place classifies an image (C, H, W); see `Student.qiskit`."""
    if student.executed is None:
        checks.fail("ansatz", student.experiment.ansatz, "one that is a circuit: a classical twin has none")
    images = tensor(image)[None]
    check_images(images, student)
    _check_finite(images)
    with torch.no_grad():
        angles = student.angles(images.to(student.signs))[place, 0].tolist()
    quantum = circuits.to_qiskit(student.executed)
    return quantum.assign_parameters({each: angles[each.index] for each in quantum.parameters})


def hold(module: nn.Module, name: str, value: torch.Tensor) -> None:
    """Let a part of `module` have `value` as the buffer `name`, which its `state_dict` holds."""
    owner, _, leaf = name.rpartition(".")
    module.get_submodule(owner).register_buffer(leaf, value.contiguous(), persistent=True)


def checksum(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 of the bytes of tensors, by their names."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].numpy().tobytes())
    return found.hexdigest()
