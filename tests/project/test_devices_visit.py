"""`scripts/gpu.sh`: all its steps at toy size on the CPU, what travels, and what is taken over of what comes back."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from qkdlib import records, teachers
from qkdlib.experiment import Experiment, Teacher
from qkdlib.records import Record
from qkdlib.teachers import TeacherLogits
from qkdlib.workspace import Workspace

ROOT = Path(__file__).parents[2]
ABSENT = ("qiskit", "qiskit_aer", "qiskit_ibm_runtime", "torchquantum", "dask", "distributed")  # where PyTorch is
TASK = Experiment(dataset="digits", classes=(0, 1, 2), seeds=2, epochs=2)


@pytest.fixture
def scripts(monkeypatch):
    """The scripts' modules, forgotten afterwards."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import gpu
    import gpu_files

    yield gpu, gpu_files
    for name in ("gpu", "gpu_files", "gpu_visit"):
        sys.modules.pop(name, None)


def record(seeds, run: int = 0, accuracy: float = 0.5) -> Record:
    """Made-up results of some seeds, from one run."""
    curves = ("train_loss", "train_ce", "train_kl", "validation_loss", "validation_ce", "validation_kl", "test_ce")
    of_seed = {name: [1.0, 1.0] for name in curves} | {
        "validation_accuracy": [0.5] * 2,
        "test_accuracy": [accuracy] * 2,
    }
    found = {seed: {**of_seed, "qasm_accuracy": None} for seed in seeds}
    entry = {
        "seeds": list(seeds),
        "created": f"2026-01-0{run + 1}",
        "seconds": {"training": 1.0, "all": 1.0},
        "device": "cuda",
    }
    return Record(dataclasses.replace(TASK, seeds=max(seeds) + 1), found, [entry])


def came(gpu_files, folder: Path, made: list[Record] = (), logits=()) -> Path:
    """The archives of a visit that made these."""
    work = Workspace(folder / "work")
    bag = gpu_files.Bag(folder / "out", work)
    for each in made:
        each.save(work)
    for task, teacher, found in logits:
        found.save(teachers.logits_path(work, task, teacher))
    bag.update()
    return folder / "out"


def test_a_toy_visit_does_all_steps_and_what_it_made_can_be_taken_over(tmp_path, scripts, capsys):
    gpu, gpu_files = scripts
    bare = tmp_path / "bare"
    bare.mkdir()
    bare.joinpath("sitecustomize.py").write_text(f"import sys; sys.modules.update(dict.fromkeys({ABSENT}, None))")
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "OUT": str(tmp_path / "out")}
    environment["PYTHONPATH"] = str(bare)
    command = [str(ROOT / "scripts" / "gpu.sh"), "run", "--toy", "--minutes", "60", "--work", str(tmp_path / "work")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "missing here, for students of entangling circuits: torchquantum" in done.stdout
    assert "tests: status 0" in done.stdout and "benchmarks: status 0" in done.stdout
    assert (tmp_path / "out" / "devices.csv").read_text().count("\n") == 1 + 1
    said = gpu_files.merge(tmp_path / "out", tmp_path / "root")
    assert sorted(line.split(": ")[1] for line in said) == 2 * ["4 new seeds, 4 in all"] + 2 * ["new"]
    for each in records.read_all(tmp_path / "root" / "results" / "gpu"):
        assert sorted(each.seeds) == [0, 1, 2, 3] and [entry["seeds"] for entry in each.provenance] == [[0, 1], [2, 3]]
    again = gpu.Visit(gpu.toy_plan(), gpu.Clock(60.0, time.monotonic()), tmp_path / "out", tmp_path / "work", "cpu")
    assert again.run(("teachers", "students"))
    assert "seeds" not in capsys.readouterr().out  # all are there


def test_records_are_joined_seed_by_seed_and_what_is_there_stays(tmp_path, scripts):
    _, gpu_files = scripts
    root = tmp_path / "root"
    gpu_files.merge(came(gpu_files, tmp_path / "1", [record([0, 1, 2])]), root)
    said = gpu_files.merge(came(gpu_files, tmp_path / "2", [record([2, 3, 4], run=1, accuracy=0.9)]), root)
    assert said == [f"{TASK.name}.json: 2 new seeds, 5 in all"]
    (found,) = records.read_all(root / "results" / "gpu")
    assert [found.seeds[seed]["test_accuracy"][-1] for seed in range(5)] == [0.5, 0.5, 0.5, 0.9, 0.9]
    assert [entry["seeds"] for entry in found.provenance] == [[0, 1, 2], [2, 3, 4]] and found.experiment.seeds == 5
    before = (root / "results/gpu/results/students" / f"{TASK.name}.json").read_bytes()
    assert gpu_files.merge(tmp_path / "2" / "out", root) == [f"{TASK.name}.json: nothing new"]
    assert (root / "results/gpu/results/students" / f"{TASK.name}.json").read_bytes() == before
    assert not (root / "results" / "students").exists() and not list(root.rglob("*.lock"))


def test_logits_are_checked_and_never_written_over(tmp_path, scripts):
    _, gpu_files = scripts
    found = TeacherLogits(torch.rand(4, 3), torch.rand(2, 3), [{"test_accuracy": 0.5}], {})
    out = came(gpu_files, tmp_path, logits=[(TASK, Teacher(), found)])
    (path,) = (tmp_path / "work" / "results" / "teachers").glob("*.npz")
    assert gpu_files.merge(out, tmp_path / "root") == [f"{path.name}: new"]
    target = tmp_path / "root" / "results" / "teachers" / path.name
    target.write_bytes(b"mine")
    assert gpu_files.merge(out, tmp_path / "root") == [f"{path.name}: is there already"]
    assert target.read_bytes() == b"mine"


def test_archives_stay_below_the_limit(tmp_path, scripts, monkeypatch):
    _, gpu_files = scripts
    monkeypatch.setattr(gpu_files, "MOST_BACK", 3000)
    noise = [TeacherLogits(torch.randn(300, 3), torch.randn(2, 3), [{"test_accuracy": 0.5}], {}) for _ in range(4)]
    out = came(gpu_files, tmp_path, logits=[(TASK, Teacher(seed=seed), each) for seed, each in enumerate(noise)])
    paths = sorted(out.glob("teachers-*.zip"))
    assert len(paths) > 1 and all(path.stat().st_size < 3500 for path in paths)
    assert len(gpu_files.merge(out, tmp_path / "root")) == 4


def test_data_sets_and_logits_travel_whole(tmp_path, scripts, monkeypatch):
    _, gpu_files = scripts
    data = {"MNIST/raw/train-images-idx3-ubyte": b"images", "cifar10-images/train/cat/0001.jpg": b"a cat"}
    for name, content in {**data, "MNIST/raw/train-images-idx3-ubyte.gz": b"not this"}.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)
    (tmp_path / "x.npz").write_bytes(b"logits")
    monkeypatch.setenv("QKD_DATA", str(tmp_path / "data"))
    packed = gpu_files.pack(["mnist", "cifar10_jpeg"], [tmp_path / "x.npz"], tmp_path / "pack")
    assert [path.name for path in packed] == ["mnist.tar.xz", "cifar10_jpeg.tar.xz", "logits.tar.xz"]
    there = tmp_path / "there"
    gpu_files.unpack(tmp_path / "pack", there)
    assert {name: (there / name).read_bytes() for name in data} == data
    assert len([path for path in there.rglob("*") if path.is_file()]) == 2 + 1 + 3  # and a mark of each archive
    (there / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"mine")
    gpu_files.unpack(tmp_path / "pack", there)
    assert (there / "MNIST/raw/train-images-idx3-ubyte").read_bytes() == b"mine"
    for _ in range(2):
        known = gpu_files.bring([(there / "logits", gpu_files.TEACHERS), (tmp_path, "none")], tmp_path / "work")
        assert known == {"x.npz"} and (tmp_path / "work/results/teachers/x.npz").read_bytes() == b"logits"
    gpu_files.Bag(tmp_path / "out", Workspace(tmp_path / "work"), known).update()
    assert not list((tmp_path / "out").iterdir())
    with pytest.raises(FileNotFoundError, match="fashion_mnist"):
        gpu_files.pack(["fashion_mnist"], [], tmp_path / "pack")


def test_without_time_nothing_starts_and_what_fails_stops_nothing_else(tmp_path, scripts, capsys):
    gpu, _ = scripts
    gpu_visit = sys.modules["gpu_visit"]
    plan = gpu_visit.Plan([], [], [], [], 2, 4, {"teachers": 10.0})

    def visit(seconds: float):
        return gpu.Visit(plan, gpu.Clock(seconds, time.monotonic()), tmp_path / "out", tmp_path / "work", "cpu")

    assert visit(0.0).run(gpu.STEPS)
    assert capsys.readouterr().out.count("no time left") == 4
    done = []
    pieces = [("skipped", None), ("bad", lambda: 1 / 0), ("good", lambda: done.append(1) or "it went well")]
    assert not visit(60.0)._pieces("students", pieces)
    assert "bad failed: ZeroDivisionError" in (said := capsys.readouterr().out) and "it went well" in said
    assert visit(5.0)._pieces("teachers", pieces) and len(done) == 1
    assert "no time for bad" in capsys.readouterr().out


def test_the_plan_has_every_student_of_the_tables_and_teachers_of_ten_epochs(scripts):
    from qkdlib.study.v1 import paper

    gpu, gpu_files = scripts
    plan = gpu.real_plan()
    assert {row.experiment for row in paper.rows() if row.category != "Teacher"} <= set(plan.students)
    assert all(each.placebo() in plan.students for each in plan.students) and plan.most == 2000
    assert {teacher.epochs for _, teacher in plan.taught} == {10} and len(plan.taught) == 3 * 7
    assert {task.dataset for task, _ in plan.taught} == set(gpu_files.SETS)
    *paths, last, word = plan.tests
    assert (last, word) == ("-k", "cuda") and all(Path(path).name.startswith("test_devices") for path in paths)
    assert len(paths) == len(list((ROOT / "tests").rglob("test_devices*.py")))


def test_a_machine_without_a_gpu_or_a_package_is_told_so(tmp_path, scripts, monkeypatch, capsys):
    gpu, _ = scripts
    monkeypatch.setattr(
        sys, "argv", ["gpu", "run", "--out", str(tmp_path), "--work", str(tmp_path), "--device", "cuda"]
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 2 and "sees no GPU" in capsys.readouterr().out
    monkeypatch.setattr(gpu, "NEEDED", ("torch", "no_such_package"))
    assert gpu.main() == 2 and "missing here: no_such_package" in capsys.readouterr().out


def test_records_of_a_gpu_say_so_and_are_no_portable_ones():
    from qkdlib import runtime

    facts = runtime.provenance("cuda")
    assert facts["device"] == "cuda" and facts["portable"] is False and json.dumps(facts)
