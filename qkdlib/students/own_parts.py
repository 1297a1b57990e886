"""Parts of one's own in a student: each is tried before any training, so that what is wrong with it is one line."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from qkdlib import checks, parts
from qkdlib.circuits import product, simulation
from qkdlib.experiment import Experiment
from qkdlib.students.encoders import Encoder

FACES = ("features", "circuit", "product", "angles", "state")  # of an encoder
SAME = 1e-4  # numbers that differ by rounding alone


def encoder(make: Callable[[int], Encoder], experiment: Experiment) -> Encoder:
    """The experiment's encoder, made. `ValueError`: it lacks what an encoder has, or is one of other wires."""
    made = make(experiment.qubits)
    if missing := [name for name in FACES if not hasattr(made, name)]:
        checks.fail("encoder", experiment.encoder, f"a class with {', '.join(FACES)}; it has no {missing[0]}")
    if made.circuit.qubits != experiment.qubits:
        allowed = f"one whose circuit has {experiment.qubits} qubits, not {made.circuit.qubits}"
        checks.fail("encoder", experiment.encoder, allowed)
    return made


def check(student: Any, images: torch.Tensor) -> None:
    """Try a `Student`'s own parts, if it has any, on training images (N, C, H, W). `ValueError`: one fails, gives
    numbers of a wrong shape, or such as are not finite, is random or mixes the seeds, or has buffers that
    training would change: what is kept of a student is its weights."""
    experiment = student.experiment
    with torch.no_grad():
        for field, trial in (("reducer", _try_reducer), ("encoder", _try_encoder), ("head", _try_head)):
            if parts.is_own(getattr(experiment, field)):
                trial(student, images)


def _try_reducer(student: Any, images: torch.Tensor) -> None:
    reducer, description, seeds = student.reducer, student.experiment.reducer, len(student.seeds)
    _check_weights("reducer", description, reducer, seeds)
    before = {name: value.clone() for name, value in reducer.named_buffers()}
    if student.experiment.dropout and not reducer.masks:
        checks.fail(
            "dropout", student.experiment.dropout, f"0 for reducer {description}, which has no masks to drop by"
        )
    few = images[:2]
    rows = torch.arange(len(few)).expand(seeds, -1)
    keep = torch.ones(seeds, len(few), reducer.masks, device=images.device)
    says = f"{student.features} features of every image"
    prepared = _tried("reducer", description, says, reducer.prepare, few)
    expected = seeds, len(few), student.features
    for what, seen, masks in (("shared", prepared, None), ("each seed's", prepared[rows], keep)):
        found = _tried("reducer", description, says, reducer, seen, masks if reducer.masks else None)
        _check_numbers("reducer", description, f"{says}; of {what} images", found, expected)
    _check_buffers("reducer", description, reducer, before)
    _check_apart("reducer", description, lambda seen: reducer(seen, keep if reducer.masks else None), prepared[rows])


def _try_encoder(student: Any, images: torch.Tensor) -> None:
    made, description = student.encoder, student.experiment.encoder
    assert made is not None
    qubits, circuit = student.experiment.qubits, made.circuit
    features = torch.linspace(0.1, 0.9, 2 * student.features, device=images.device).view(1, 2, -1)
    for values in (features, torch.zeros_like(features)):
        angles = _tried("encoder", description, "angles of its circuit", made.angles, values)
        _check_numbers("encoder", description, "angles of its circuit", angles, (1, 2, circuit.angles))
        state = _tried("encoder", description, "a state", made.state, values)
        shape, kind = ((2, 2, 1, 2, qubits), "spinors") if made.product else ((1, 2, 2**qubits), "amplitudes")
        _check_numbers("encoder", description, f"{kind} where product is {made.product}", state, shape)
        chances = state.square()
        if made.product:
            chances = product.outcomes((chances[0] - chances[1]).sum(0))
        executed = simulation.exact(circuit, angles)
        if not torch.allclose(chances, executed, atol=SAME):
            apart = (chances - executed).abs().max().item()
            checks.fail("encoder", description, "one whose state is what its circuit prepares with its angles; outcome "
                        f"probabilities differ by up to {apart:.3g}")  # fmt: skip


def _try_head(student: Any, images: torch.Tensor) -> None:
    description, classes, seeds = student.experiment.head, len(student.experiment.classes), len(student.seeds)
    module = student.head if isinstance(student.head, nn.Module) else nn.Module()
    _check_weights("head", description, module, seeds)
    before = {name: value.clone() for name, value in module.named_buffers()}
    measured = _measured(student)
    says = f"logits ({seeds}, 2, L) of measured numbers {tuple(measured.shape)}, L being {classes} classes or more"
    logits = _tried("head", description, says, student.head, measured)
    count = logits.shape[-1] if isinstance(logits, torch.Tensor) and logits.ndim else 0
    _check_numbers("head", description, says, logits, (seeds, 2, max(count, classes)))
    _check_buffers("head", description, module, before)
    others = torch.linspace(0.1, 0.9, measured.numel()).to(measured).view_as(measured)
    _check_apart("head", description, student.head, others)


def _check_buffers(field: str, description: str, module: nn.Module, before: dict[str, torch.Tensor]) -> None:
    for name, value in module.named_buffers():
        if not torch.equal(value, before[name]):
            checks.fail(field, description, f"one whose buffers stay as they are once it is fitted; {name} changes")


def _check_apart(
    field: str, description: str, function: Callable[[torch.Tensor], torch.Tensor], given: torch.Tensor
) -> None:
    """What the first seed gets is the same each time, and does not depend on what the others see."""
    other = torch.cat([given[:1], given[1:, :1].expand_as(given[1:])])  # they see their first image alone
    first, again, apart = (function(each)[0] for each in (given, given, other))
    if not torch.allclose(first, again, rtol=SAME, atol=SAME):
        checks.fail(field, description, "one that gives the same numbers again; dropout is a reducer's `masks`")
    if not torch.allclose(first, apart, rtol=SAME, atol=SAME):
        checks.fail(field, description, "one that does not mix the seeds; what another seed sees changes this one's")


def outputs(student: Any) -> int:
    """How many logits L a `Student` has."""
    with torch.no_grad():
        return student.head(_measured(student)).shape[-1]


def _measured(student: Any) -> torch.Tensor:
    """What the head of each seed sees of two images whose outcomes are all alike."""
    outcomes = torch.full((len(student.seeds), 2, len(student.signs)), 1 / len(student.signs)).to(student.signs)
    return outcomes if student.experiment.readout == "outcomes" else outcomes @ student.signs


def _check_weights(field: str, description: str, module: nn.Module, seeds: int) -> None:
    for name, weights in module.named_parameters():
        if not weights.ndim or len(weights) != seeds:
            shape = tuple(weights.shape)
            checks.fail(field, description, f"one whose weights have a first axis of {seeds} seeds; {name} has {shape}")


def _tried(
    field: str, description: str, says: str, function: Callable[..., torch.Tensor], *given: torch.Tensor | None
) -> torch.Tensor:
    try:
        return function(*given)
    except Exception as error:  # a stranger's code
        checks.fail(field, description, f"one that gives {says}; it raised {checks.line(error, 200)}")


def _check_numbers(field: str, description: str, says: str, found: object, shape: tuple[int, ...]) -> None:
    if not isinstance(found, torch.Tensor) or tuple(found.shape) != shape:
        given = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        checks.fail(field, description, f"one that gives {says}: shape {shape}, and not {given}")
    if not torch.isfinite(found).all():
        checks.fail(field, description, f"one that gives {says}, all of them finite")
