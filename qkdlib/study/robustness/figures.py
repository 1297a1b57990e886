"""Figures of the executions: accuracy against shots, against noise, and on a device, from records alone."""

from collections.abc import Iterable

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from qkdlib.drawing import COLOURS, OTHER, Figure, styled
from qkdlib.noise import IDEAL
from qkdlib.records import statistics
from qkdlib.study.chapter import TITLES
from qkdlib.study.claims import Lacking
from qkdlib.study.robustness import executions, sweeps
from qkdlib.study.robustness.executions import DEVICE
from qkdlib.study.robustness.sweeps import BASELINE, Pair, baseline, recorded
from qkdlib.workspace import Workspace

KINDS = {"depolarising": "depolarising", "amplitude_damping": "amplitude damping", "readout": "read-out error"}
ENCODERS = {"ansatz_angles": "angles", "amplitude": "amplitude", "qubit": "qubit encoding"}
WIDTH = 0.2
Curve = list[tuple[float, statistics.Summary]]


def found(workspace: Workspace, condition: str, chosen: Iterable[Pair] | None = None) -> list[Pair]:
    """Those of the `chosen` pairs (None: all declared ones) that have records of every level of a condition.

    Raises:
        Lacking: none has.
    """
    asked = sweeps.pairs() if chosen is None else chosen
    there = [pair for pair in asked if curves(pair, condition, workspace)[0]]
    if not there:
        raise Lacking("records of executions")
    return there


def curves(pair: Pair, condition: str, workspace: Workspace) -> tuple[Curve, Curve]:
    """(level, accuracies over seeds) of placebo and distilled; empty if a level has no record, or the pair none."""
    asked = [(each.shots if condition == "shots" else each.level, each) for name, each in pair.conditions
             if name == condition]  # fmt: skip
    try:
        found = recorded(pair, workspace).under(*(each for _, each in asked))
    except Lacking:
        return [], []
    placebo, distilled = (
        [(level, statistics.summarise(arms[place])) for (level, _), arms in zip(asked, found, strict=True)]
        for place in (0, 1)
    )
    return placebo, distilled


@styled
def shots(workspace: Workspace, chosen: Iterable[Pair] | None = None) -> Figure:
    """Accuracy against shots per image: mean over seeds and its 95 % interval."""
    pairs = [pair for pair in found(workspace, "shots", chosen) if pair.trained_under == IDEAL]
    figure = Figure(figsize=(2.3 * len(pairs) + 1.3, 2.9))
    axes = figure.subplots(1, len(pairs), squeeze=False, sharey=True)[0]
    for axis, pair in zip(axes, pairs, strict=True):
        _lines(axis, curves(pair, "shots", workspace), "-")
        axis.set(xscale="log", title=_title(pair), xlabel="shots per image")
        _chance(axis, pair)
    axes[0].set(ylabel="accuracy (%)", ylim=(0, 100))
    axes[-1].legend(handles=_handles(), loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def noise(workspace: Workspace, chosen: Iterable[Pair] | None = None) -> Figure:
    """Accuracy against the level of each kind of noise, 5000 shots; dashed: students trained under depolarising noise
    of `sweeps.SEEN`."""
    there = found(workspace, "depolarising", chosen)
    pairs = [pair for pair in there if pair.trained_under == IDEAL]
    trained = {
        (pair.student, pair.experiment.dataset, pair.experiment.encoder): pair
        for pair in there
        if pair.trained_under != IDEAL
    }
    figure = Figure(figsize=(2.3 * len(pairs) + 1.5, 2.2 * len(KINDS) + 0.4))
    axes = figure.subplots(len(KINDS), len(pairs), squeeze=False, sharey=True)
    for row, kind in zip(axes, KINDS, strict=True):
        for axis, pair in zip(row, pairs, strict=True):
            _lines(axis, _from_zero(pair, kind, workspace), "-")
            twin = trained.get((pair.student, pair.experiment.dataset, pair.experiment.encoder))
            if twin:
                _lines(axis, _from_zero(twin, kind, workspace), "--")
            _chance(axis, pair)
            axis.set(xlabel=KINDS[kind])
        row[0].set(ylabel="accuracy (%)", ylim=(0, 100))
    for axis, pair in zip(axes[0], pairs, strict=True):
        axis.set_title(_title(pair))
    seen = Line2D([], [], color="#333333", linestyle="--", label=f"trained under\n{sweeps.SEEN}")
    axes[0, -1].legend(handles=[*_handles(), seen], loc="upper left", bbox_to_anchor=(1, 1))
    return figure


@styled
def device(workspace: Workspace, chosen: Iterable[Pair] | None = None) -> Figure:
    """Accuracy without noise (pale) and on the device-like backend (full), the same images and shots."""
    pairs = found(workspace, DEVICE, chosen)
    figure = Figure(figsize=(1.6 * len(pairs) + 1.6, 3.0))
    axis = figure.subplots()
    for place, pair in enumerate(pairs):
        conditions = (baseline(pair, DEVICE), dict(pair.conditions)[DEVICE])
        found_arms = zip(*recorded(pair, workspace).under(*conditions), strict=True)
        for number, arm in enumerate(found_arms):
            for on_device, accuracies in enumerate(arm):
                x = place + (2 * number + on_device - 1.5) * WIDTH
                summary = statistics.summarise(accuracies)
                axis.bar(x, summary.mean, WIDTH * 0.92, yerr=summary.reach, capsize=1.5, ecolor="#333333",
                         color=_colours()[number], alpha=1.0 if on_device else 0.35)  # fmt: skip
    labels = [f"{_title(pair)}\n{_circuit(pair, workspace)}" for pair in pairs]
    axis.set_xticks(range(len(pairs)), labels, fontsize=7)
    axis.axhline(10, color="#999999", linewidth=0.8, linestyle=":")
    axis.set(ylabel="accuracy (%)", ylim=(0, 100))
    axis.grid(axis="x", visible=False)
    handles = [
        *(Patch(color=colour, label=label) for colour, label in zip(_colours(), ("placebo", "distilled"), strict=True)),
        Patch(color="#333333", alpha=0.35, label="no noise"), Patch(color="#333333", label="device"),
    ]  # fmt: skip
    axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _circuit(pair: Pair, workspace: Workspace) -> str:
    facts = executions.find(pair.arms[0], workspace)[dict(pair.conditions)[DEVICE]].facts
    return f"depth {facts['depth']},\n{facts['two_qubit_gates']} CNOTs"


def _from_zero(pair: Pair, kind: str, workspace: Workspace) -> list[Curve]:
    """The curves of a kind of noise, with the baseline as level 0."""
    start = curves(pair, BASELINE, workspace)
    return [[(0.0, first[0][1]), *curve] for first, curve in zip(start, curves(pair, kind, workspace), strict=True)]


def _lines(axis, both, style: str) -> None:
    for curve, colour in zip(both, _colours(), strict=True):
        x = [level for level, _ in curve]
        axis.plot(x, [s.mean for _, s in curve], style, color=colour, marker=".", markersize=4)
        if style == "-":
            axis.fill_between(
                x, [s.low for _, s in curve], [s.high for _, s in curve], color=colour, alpha=0.2, linewidth=0
            )


def _chance(axis, pair: Pair) -> None:
    axis.axhline(100 / len(pair.experiment.classes), color="#999999", linewidth=0.8, linestyle=":")


def _title(pair: Pair) -> str:
    student = pair.experiment
    images = TITLES.get(student.dataset, student.dataset)
    return f"{pair.student} {images}\n{student.qubits} qubits, {ENCODERS[student.encoder]}"


def _colours() -> tuple[str, str]:
    return COLOURS["placebo"], OTHER


def _handles() -> list:
    lines = [Line2D([], [], color=colour, label=label)
             for colour, label in zip(_colours(), ("placebo", "distilled"), strict=True)]  # fmt: skip
    return [*lines, Line2D([], [], color="#999999", linestyle=":", label="chance")]
