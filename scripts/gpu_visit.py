"""What is done on a machine with a GPU in a few minutes, and in which order."""

import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
STEPS = ("tests", "benchmarks", "teachers", "students")
SHARE = {"tests": 0.25, "benchmarks": 0.15}  # of the time that is left, at most


@dataclass
class Clock:
    """How much time is left."""

    seconds: float
    started: float

    @property
    def left(self) -> float:
        return self.seconds - (time.monotonic() - self.started)


@dataclass(frozen=True)
class Plan:
    """What is done."""

    tests: list[str]  # words for pytest
    benchmark: list[str]  # words for benchmarks/devices.py
    taught: list  # (experiment, teacher)
    students: list  # experiments
    block: int  # seeds that train side by side
    most: int  # seeds of an experiment
    first: dict[str, float]  # seconds that the first piece of a step is expected to take


def real_plan() -> Plan:
    """AlexNet at the paper's 10 epochs, alone, trained jointly with LeNet, and in the mean of both, on v1's classes and
    all ten; and Tables 1 and 2."""
    from qkdlib.experiment import Experiment, Teacher
    from qkdlib.study.v1 import paper

    tests = [str(path) for path in sorted((HERE / "tests").rglob("test_devices*.py"))]
    of_paper = sorted({(row.dataset, row.classes) for row in paper.all_rows()})
    ten = [(name, tuple(range(10))) for name in ("mnist", "fashion_mnist", "cifar10_jpeg")]
    tasks = [Experiment(dataset=name, classes=classes, qubits=4) for name, classes in of_paper + ten]
    kinds = (
        Teacher(architecture="alexnet"), Teacher(architecture="ensemble", ensemble="joint_logits"),
        Teacher(architecture="ensemble"),
    )  # fmt: skip
    taught = [(task, teacher) for teacher in kinds for task in tasks]
    rows = [row.experiment for row in paper.rows() if row.category != "Teacher"]
    students = list(dict.fromkeys(arm for each in rows for arm in (each.placebo(), each)))
    return Plan([*tests, "-k", "cuda"], [], taught, students, 1000, 2000, {"teachers": 45.0, "students": 90.0})


def toy_plan() -> Plan:
    """The same steps in seconds, on digits."""
    from qkdlib.experiment import Experiment, Teacher

    task = Experiment(
        dataset="digits", classes=(0, 1, 2), train_per_class=4, validation_per_class=2, test_per_class=4, epochs=1,
        sampler="multinomial", gradient="published_shift", shots=100,
    )  # fmt: skip
    tests = [f"{HERE}/tests/backends/test_devices_samplers.py", "-k", "gives_none"]
    taught = [(task, Teacher(epochs=1, seed=seed)) for seed in (0, 1)]
    students = [task, task.distilled(Teacher(epochs=1))]
    return Plan(tests, ["--toy"], taught, students, 2, 4, {})


class Visit:
    """Its steps in turn, none of which stops the others. `known`: names of logits that were there before."""

    def __init__(self, plan: Plan, clock: Clock, out: Path, work: Path, device: str, known: Collection[str] = ()):
        from gpu_files import Bag

        from qkdlib.workspace import Workspace

        self.plan, self.clock, self.out, self.device = plan, clock, out, device
        self.work = Workspace(work)
        out.mkdir(parents=True, exist_ok=True)
        self.log = out / "log.txt"
        self.bag = Bag(out, self.work, known)

    def say(self, line: str) -> None:
        """Print a line with the time left, and keep it."""
        text = f"[{self.clock.left:6.1f} s left] {line}"
        print(text, flush=True)
        with open(self.log, "a", encoding="utf-8") as log:
            print(text, file=log)

    def run(self, steps: tuple[str, ...]) -> bool:
        """Do the steps; whether all of them went well."""
        good = True
        for name in steps:
            if self.clock.left <= 0:
                self.say(f"{name}: no time left")
                continue
            try:
                good &= getattr(self, name)()
            except Exception as error:  # the next step may be worth more than this one's error
                self.say(f"{name} failed: {type(error).__name__}: {error}")
                good = False
            self.bag.update()
        self.say("done")
        return good

    def tests(self) -> bool:
        """Those that take a device."""
        words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *self.plan.tests]
        return self._process("tests", words)

    def benchmarks(self) -> bool:
        """Samples per second on CPU and GPU."""
        words = [str(HERE / "benchmarks" / "devices.py"), "--csv", str(self.out / "devices.csv"), *self.plan.benchmark]
        return self._process("benchmarks", words)

    def _process(self, name: str, words: list[str]) -> bool:
        """Run Python with its output in the log; whether it ended well and in time."""
        limit = max(5.0, SHARE[name] * self.clock.left)
        with open(self.log, "ab") as output:
            start = output.tell()
            try:
                status = subprocess.run(
                    [sys.executable, *words], cwd=HERE, stdout=output, stderr=subprocess.STDOUT, timeout=limit
                ).returncode
            except subprocess.TimeoutExpired:
                status = f"stopped after {limit:.0f} s"
        last = self.log.read_bytes()[start:].decode(errors="replace").strip().splitlines()[-1:]
        self.say(f"{name}: status {status}; {' '.join(last)}")
        return status == 0

    def teachers(self) -> bool:
        """Logits of each teacher that has none."""
        from qkdlib import images, runtime, teachers

        device = runtime.start(self.device)

        def work(task, teacher) -> Callable[[], str] | None:
            path = teachers.logits_path(self.work, task, teacher)
            if path.exists():
                return None

            def train() -> str:
                found = teachers.train_teacher(task, teacher, images.splits(task), self.work, device)
                for member in self.work.checkpoints.glob("*.pt"):
                    member.unlink()  # of a gigabyte each
                return f"{path.stem}: {found.history[-1]['test_accuracy']:.4f} on test images"

            return train

        pieces = ((f"{task.dataset} {teacher.architecture}", work(task, teacher)) for task, teacher in self.plan.taught)
        return self._pieces("teachers", pieces)

    def students(self) -> bool:
        """Blocks of seeds of each experiment, a first block of all before a second one of any."""
        import qkdlib

        def work(experiment, seeds: int) -> Callable[[], str] | None:
            record = qkdlib.records.find(experiment, self.work)
            if record and len(record.seeds) >= seeds:
                return None

            def train() -> str:
                wanted = replace(experiment, seeds=seeds)
                qkdlib.run(wanted, workspace=self.work, device=self.device, aer_seeds=0)
                return f"{experiment.name}: {seeds} seeds"

            return train

        counts = range(self.plan.block, self.plan.most + 1, self.plan.block)
        pieces = ((each.name, work(each, seeds)) for seeds in counts for each in self.plan.students)
        return self._pieces("students", pieces)

    def _pieces(self, step: str, pieces: Iterable[tuple[str, Callable[[], str] | None]]) -> bool:
        """Do the pieces that are not None as long as the longest so far fits into the time that is left."""
        took: list[float] = []
        good = True
        for name, piece in pieces:
            if piece is None:
                continue
            longest = max(took, default=self.plan.first.get(step, 0.0))
            if self.clock.left < longest:
                self.say(f"{step}: no time for {name} and what follows, {longest:.0f} s each")
                break
            started = time.monotonic()
            try:
                self.say(piece())
            except Exception as error:
                self.say(f"{name} failed: {type(error).__name__}: {error}")
                good = False
            took.append(time.monotonic() - started)
            self.bag.update()
        return good
