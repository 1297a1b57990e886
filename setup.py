"""What an installed qkdlib holds beside its code (pyproject.toml says the rest): the notebooks, and the study's records
in one file, `qkdlib/records/paper.tar.xz`. Both are made from the checkout whenever a wheel is built."""

import shutil
import tarfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
FOLDERS = ("students", "executions", "portable")  # as in qkdlib/records/packed.py


class WithStudy(build_py):
    """Copies the notebooks and packs the records; an editable install reads those of the checkout."""

    def run(self) -> None:
        package = Path(self.build_lib) / "qkdlib"
        if not self.editable_mode:
            shutil.rmtree(package, ignore_errors=True)  # setuptools would add what an earlier build has left
        super().run()
        if not self.editable_mode:
            (package / "study" / "templates").mkdir()
            for path in (ROOT / "notebooks").glob("[!.]*.ipynb"):
                shutil.copyfile(path, package / "study" / "templates" / path.name)
            pack(package / "records" / "paper.tar.xz")


def pack(target: Path) -> None:
    """Write the records, in one order and without owners and times, so that equal records are equal bytes."""
    with tarfile.open(target, "w:xz") as archive:
        for path in sorted(path for name in FOLDERS for path in (ROOT / "results" / name).glob("[!.]*.json")):
            entry = tarfile.TarInfo(path.relative_to(ROOT).as_posix())
            entry.size = path.stat().st_size
            with open(path, "rb") as file:
                archive.addfile(entry, file)


setup(cmdclass={"build_py": WithStudy})
