"""A machine with a GPU for a few minutes: see gpu.sh."""

import argparse
import importlib.util
import os
import sys
import time
from pathlib import Path

from gpu_visit import HERE, STEPS, Clock, Visit, real_plan, toy_plan

BUILD = HERE / "build" / "gpu"
NEEDED = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "matplotlib",
    "sklearn",
    "tqdm",
    "filelock",
    "safetensors",
    "torchvision",
)
SOME = "students of entangling circuits"
FOR_SOME = {"torchquantum": SOME, "qiskit_aer": SOME, "pytest": "tests", "hypothesis": "tests"}


def pack(options: argparse.Namespace) -> None:
    """Write the archives, and say how large they are."""
    import gpu_files

    from qkdlib.study.v1 import paper
    from qkdlib.teachers import logits_path
    from qkdlib.workspace import Workspace

    taught = [row.experiment for row in paper.rows() if row.experiment.teacher]
    pairs = ((each, teacher) for each in taught for teacher in (each.teacher, *each.teacher.trained()))
    logits = sorted({logits_path(Workspace(HERE), each, teacher) for each, teacher in pairs})
    made = gpu_files.pack(options.sets or list(gpu_files.SETS), logits, BUILD / "pack")
    for path in made:
        print(f"{path.relative_to(HERE)}: {path.stat().st_size / 2**20:.1f} MB")


def run(options: argparse.Namespace) -> int:
    """Do the steps; status 0 if all went well."""
    clock = Clock(60 * options.minutes, time.monotonic())
    if lacking := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        print(f"missing here: {', '.join(lacking)}; put their wheels into build/gpu/pack/wheels")
        return 2
    for name, what in FOR_SOME.items():
        if importlib.util.find_spec(name) is None:
            print(f"missing here, for {what}: {name}")
    import gpu_files
    import torch

    device = options.device or ("cpu" if options.toy else "cuda")
    if device == "cuda" and not torch.cuda.is_available():
        print(f"device='cuda' is not there: torch {torch.__version__} sees no GPU; allowed: --toy, or --device cpu")
        return 2
    work, known = Path(options.work), set()
    if not options.toy:
        data = BUILD / "data"
        gpu_files.unpack(BUILD / "pack", data)
        os.environ.setdefault("QKD_DATA", str(data))
        before = [(root, gpu_files.TEACHERS) for root in (HERE, data / "logits")]
        known = gpu_files.bring([*before, (HERE / gpu_files.MADE, gpu_files.STUDENTS)], work)  # of earlier runs, too
    plan = toy_plan() if options.toy else real_plan()
    visit = Visit(plan, clock, Path(options.out), work, device, known)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    visit.say(f"{name}, torch {torch.__version__}, Python {sys.version.split()[0]}")
    return 0 if visit.run(options.steps or STEPS) else 1


def merge(options: argparse.Namespace) -> None:
    """Say what was taken over."""
    import gpu_files

    for line in gpu_files.merge(Path(options.folder), HERE):
        print(line)


def main() -> int:
    top = argparse.ArgumentParser(prog="scripts/gpu.sh", description=__doc__)
    commands = top.add_subparsers(required=True)
    packing, running, merging = (commands.add_parser(call.__name__) for call in (pack, run, merge))
    packing.add_argument("sets", nargs="*", help="mnist, fashion_mnist, cifar10_jpeg; all if none is named")
    running.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES", 12)))
    running.add_argument("--toy", action="store_true", help="the same steps in seconds, on the CPU")
    running.add_argument("--device", choices=("cpu", "cuda"))
    running.add_argument("--steps", nargs="+", choices=STEPS)
    running.add_argument("--out", default=os.environ.get("OUT", str(BUILD / "out")))
    running.add_argument("--work", default=str(BUILD / "work"), help="workspace that a later call goes on with")
    merging.add_argument("folder")
    for each, call in ((packing, pack), (running, run), (merging, merge)):
        each.set_defaults(call=call)
    options = top.parse_args()
    return options.call(options) or 0


if __name__ == "__main__":
    sys.exit(main())
