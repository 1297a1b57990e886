"""What goes to a machine with a GPU for a few minutes, and what was made there: archives, each small enough to send."""

import dataclasses
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Collection
from pathlib import Path

from qkdlib import files, workspace
from qkdlib.records import Record, read
from qkdlib.teachers import TeacherLogits
from qkdlib.workspace import Workspace

SETS = {"mnist": "MNIST/raw", "fashion_mnist": "FashionMNIST/raw", "cifar10_jpeg": "cifar10-images"}
MADE = Path("results", "gpu")  # the workspace of records that were made on a GPU, which are not portable
MOST_BACK = 15 << 20  # bytes of an archive of what was made
STUDENTS, TEACHERS = "results/students", "results/teachers"


def pack(sets: list[str], logits: list[Path], folder: Path) -> list[Path]:
    """Write an archive of each data set of `QKD_DATA`, as small as they become, and one of teachers' logits; returns
    them all. One that is there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name in sets:
        made.append(folder / f"{name}.tar.xz")
        _archive(made[-1], {path: path.relative_to(workspace.data_root()) for path in _of_set(name)})
    made.append(folder / "logits.tar.xz")
    made[-1].unlink(missing_ok=True)  # there may be more by now
    _archive(made[-1], {path: Path(TEACHERS, path.name) for path in logits if path.exists()})
    return made


def _of_set(name: str) -> list[Path]:
    root = workspace.data_root() / SETS[name]
    found = sorted(path for path in root.rglob("*") if path.suffix in ("", ".jpg") and path.is_file())
    if not found:
        raise FileNotFoundError(f"dataset={name!r} is not in QKD_DATA={str(workspace.data_root())!r}")
    return found


def _archive(path: Path, contents: dict[Path, Path]) -> None:
    """A tar.xz of files under other names, without what differs from one machine to the next."""
    if path.exists():
        return
    with files.atomic(path) as temporary, tarfile.open(temporary, "w:xz", format=tarfile.USTAR_FORMAT) as archive:
        for source, name in contents.items():
            entry = tarfile.TarInfo(name.as_posix())
            entry.size = source.stat().st_size
            with open(source, "rb") as content:
                archive.addfile(entry, content)


def unpack(folder: Path, data: Path) -> None:
    """Unpack the archives of a folder, data sets below `data`, logits below `data`/logits. One that was stays."""
    data.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.tar.xz")):
        name = path.name.partition(".")[0]
        mark = data / f".{name}"  # unpacked as a whole
        if not mark.exists():
            with tarfile.open(path, "r:xz") as archive:
                archive.extractall(data / name if name == "logits" else data, filter="data")
            mark.touch()


def bring(sources: list[tuple[Path, str]], work: Path) -> set[str]:
    """Copy the files of some folders, each a root and a name below it, into the same folder of a workspace, but for
    those that it has; returns the names of all."""
    found = set()
    for root, name in sources:
        (work / name).mkdir(parents=True, exist_ok=True)
        for path in (root / name).glob("[!.]*"):
            found.add(path.name)
            if not (work / name / path.name).exists():
                shutil.copyfile(path, work / name / path.name)
    return found


class Bag:
    """Archives of what a run has made, each below `MOST_BACK` bytes, complete after each piece. Logits whose names
    are `known` stay behind."""

    def __init__(self, out: Path, work: Workspace, known: Collection[str] = ()):
        self.out, self.work, self.known = out, work, known
        out.mkdir(parents=True, exist_ok=True)

    def update(self) -> None:
        """Write the archives anew."""
        logits = [path for path in sorted(self.work.teachers.glob("*.npz")) if path.name not in self.known]
        self._write("teachers", TEACHERS, logits)
        self._write("students", STUDENTS, sorted(self.work.students.glob("[!.]*.json")))

    def _write(self, kind: str, folder: str, paths: list[Path]) -> None:
        groups: list[list[Path]] = [[]]
        for path in paths:
            if groups[-1] and sum(map(_packed, [*groups[-1], path])) > MOST_BACK:
                groups.append([])
            groups[-1].append(path)
        for number, group in enumerate(groups if paths else [], 1):
            with files.atomic(self.out / f"{kind}-{number}.zip") as temporary, _zip(temporary) as archive:
                for path in group:
                    archive.write(path, f"{folder}/{path.name}")


def _zip(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)


def _packed(path: Path) -> int:
    """About how many bytes a file takes in an archive: of a record's digits half."""
    return path.stat().st_size // (2 if path.suffix == ".json" else 1)


def merge(folder: Path, root: Path) -> list[str]:
    """Take over what is in the archives of a folder: teachers' logits into `root`/results/teachers, records of
    students, seed by seed, into the workspace `root`/results/gpu. Whatever is there stays. Returns a line for each."""
    said = []
    with tempfile.TemporaryDirectory() as temporary:
        came = Workspace(temporary)
        for path in sorted(folder.glob("*.zip")):
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if Path(name).parent.as_posix() in (STUDENTS, TEACHERS)]
                archive.extractall(temporary, names)
        for path in sorted(came.teachers.glob("*.npz")):
            TeacherLogits.load(path)  # whole, and of its name
            said.append(_kept(path, root / TEACHERS / path.name))
        for path in sorted(came.students.glob("*.json")):
            said.append(_joined(read(path), root / MADE / STUDENTS / path.name))
    return said


def _kept(path: Path, target: Path) -> str:
    if target.exists():
        return f"{target.name}: is there already"
    _copy(path, target)
    return f"{target.name}: new"


def _joined(record: Record, target: Path) -> str:
    there = read(target) if target.exists() else Record(record.experiment)
    seeds = {seed: found for seed, found in record.seeds.items() if seed not in there.seeds}
    if not seeds:
        return f"{target.name}: nothing new"
    entries = [entry for entry in record.provenance if set(entry["seeds"]) & set(seeds)]
    count = max(record.experiment.seeds, there.experiment.seeds)
    both = Record(dataclasses.replace(there.experiment, seeds=count), there.seeds | seeds, there.provenance + entries)
    with tempfile.TemporaryDirectory() as temporary:  # saving leaves locks
        _copy(both.save(Workspace(temporary)), target)
    return f"{target.name}: {len(seeds)} new seeds, {len(both.seeds)} in all"


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic(target) as temporary:
        shutil.copyfile(path, temporary)
