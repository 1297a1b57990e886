"""Whether this machine computes the bits of the committed portable records: a block of seeds of five declared
experiments of different protocols is trained again, and every weight and every number of its curves compared.

One small JSON file per experiment in `results/portable/`, with the SHA-256 of each seed's weights.
"""

import hashlib
import json
import time
from collections.abc import Callable

from qkdlib import checks, files, portable, records, runtime, trained
from qkdlib import experiment as experiments
from qkdlib.experiment import Experiment
from qkdlib.study.collapse import changes
from qkdlib.study.v1 import paper
from qkdlib.study.v2 import revised
from qkdlib.workspace import Workspace

SEEDS = 2  # of each experiment, from the first


def blocks() -> dict[str, Experiment]:
    """The experiments by what they stand for; all on MNIST."""
    entangled = next(bar for bar in revised.variants() if bar.dataset == "mnist" and bar.experiment.layers > 1)
    return {
        "published": paper.row("M-D-lenet-3q-05").experiment,
        "described": next(row.experiment for row in paper.described_rows() if row.dataset == "mnist"),
        "revised": revised.bar("original", "mnist", 8).arms["lenet"],
        "revised, entangled": entangled.experiment,
        "robust": changes.robust("M-B-3q-07"),
    }


def make(workspace: Workspace, say: Callable[[str], None] = print) -> None:
    """Write the portable records anew.

    Raises:
        RuntimeError: this process does not compute in the portable mode.
    """
    runtime.start("cpu")
    if not portable.is_on():
        raise RuntimeError("portable records can only be made in the portable mode")
    for name, experiment in blocks().items():
        head = {
            "protocol": name,
            "experiment": experiments.as_dict(experiment),
            "digest": experiment.digest,
            "provenance": runtime.provenance(),
        }
        path = _path(experiment, workspace)
        files.write_by_lines(path, head, "seeds", _trained(experiment, workspace))
        say(f"{name}: {path.name}")


def verify(workspace: Workspace, say: Callable[[str], None] = print) -> bool:
    """Compare this machine with the portable records, one line each. True: all are equal.

    Raises:
        ValueError: the portable mode is switched off.
        FileNotFoundError: a portable record, or the data set, is not there.
        Damaged: a portable record cannot be read.
    """
    if not portable.wanted():
        checks.fail("QKD_PORTABLE", "0", "1, the default: only the portable mode has the same bits everywhere")
    runtime.start("cpu")
    kept = {name: files.read_json(_path(experiment, workspace)) for name, experiment in blocks().items()}
    equal = 0
    for name, experiment in blocks().items():
        started = time.perf_counter()
        found, expected = _trained(experiment, workspace), kept[name]["seeds"]
        differing = [seed for seed in expected if found.get(seed) != expected[seed]]
        equal += not differing
        said = f"differs in seed {', '.join(differing)}" if differing else "equal"
        say(f"{name} ({experiment.name}, {len(expected)} seeds, {time.perf_counter() - started:.0f} s): {said}")
    say(f"{equal} of {len(kept)} equal on this machine ({portable.facts()['processor']})")
    return equal == len(kept)


def _trained(experiment: Experiment, workspace: Workspace) -> dict[str, dict]:
    """What each seed comes to, as JSON has it: its curves and the SHA-256 of its weights."""
    from qkdlib.images import datasets

    seeds, found = list(range(SEEDS)), {}
    student, results, _ = trained.train(experiment, seeds, datasets.splits(experiment), workspace, "cpu")
    for place, seed in enumerate(seeds):
        weights = b"".join(value[place].detach().numpy().tobytes() for _, value in sorted(student.named_parameters()))
        # Weights say as much as confusions do.
        curves = {name: value for name, value in results[place].items() if "confusion" not in name}
        found[str(seed)] = {"weights": hashlib.sha256(weights).hexdigest(), **records.rounded(curves)}
    return json.loads(json.dumps(found))


def _path(experiment: Experiment, workspace: Workspace):
    return workspace.folder("results", "portable") / f"{experiment.name}.json"
