"""Headless execution of the notebooks by papermill, and what is kept of it."""

import ast
import contextlib
import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from qkdlib import checks
from qkdlib.files import atomic, checked
from qkdlib.workspace import folder_place, place, project_root

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
IN_WHEEL = Path(__file__).with_name("templates")  # setup.py copies them there
LONGEST_SOCKET = 100  # bytes of its path, of the 107 that Linux takes and the 103 that macOS takes
WRONG_INPUT = ("ValueError", "TypeError", "FileNotFoundError", "Damaged")  # what a notebook's parameters can provoke
NOT_STARTED = ("before replying to kernel_info", "didn't respond in")  # what jupyter_client says of such a kernel
OF_TEACHER = re.compile(r"^teacher \S+: accuracy .*\n", flags=re.M)  # as `teachers` says it
TEXT_OF_ERROR = 500  # characters
KINDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text", list: "a list"}


def template(name: str) -> Path:
    """The notebook of that name in `notebooks/`, of the checkout or of the current folder, or else in the wheel.

    Raises:
        ValueError: there is none.
    """
    folder = project_root() / "notebooks"
    found = {path.stem: path for each in (IN_WHEEL, folder) for path in sorted(each.glob("[!.]*.ipynb"))}
    if not found:
        checks.fail("notebook", name, f"a notebook of the project, from a folder of its checkout; {folder} has none")
    checks.one_of("notebook", name, found)
    return found[name]


def defaults(source: Path) -> dict:
    """A template's parameters and their default values."""
    with checked(source):
        found = json.loads(source.read_text(encoding="utf-8"))["cells"]
        (cell,) = [cell for cell in found if "parameters" in cell["metadata"].get("tags", [])]
        lines = [line for line in ast.parse("".join(cell["source"])).body if isinstance(line, ast.Assign)]
        return {line.targets[0].id: ast.literal_eval(line.value) for line in lines}


def check(name: str, out: str | Path, parameters: dict, asked: Iterable[str] = ()) -> dict:
    """Check what `execute` is asked for, before any work. Returns those of `parameters` that the notebook has.

    Raises:
        ValueError: no such notebook; it has no parameter of a name that is asked for; a value is not of the kind of the
            template's; or `out` cannot be written, or would overwrite a template.
    """
    source, path = template(name), place(out, "out").resolve()
    known = defaults(source)
    for each in asked:
        checks.one_of("parameter", each, known)
    chosen = {key: value for key, value in parameters.items() if key in known}
    chosen |= {key: list(value) for key, value in chosen.items() if isinstance(value, tuple)}  # papermill knows lists
    for key, value in chosen.items():
        if not _alike(value, known[key]):
            checks.fail(key, value, f"{KINDS[type(known[key])]}, like the notebook's {known[key]!r}")
    folder_place(str(path.parent), "out")
    if path.is_dir() or (path.parent.is_dir() and path.parent.samefile(source.parent)):
        checks.fail("out", str(out), "a place for a file, and none among the templates, which it would overwrite")
    return chosen


def _alike(value, default) -> bool:
    """Whether a parameter can take `value`. A whole number may be None, for all that there are."""
    if default is None:
        return True
    if isinstance(default, list):
        return isinstance(value, list) and value != [] and all(_alike(each, default[0]) for each in value)
    allowed = {float: (int, float), int: (int, type(None))}.get(type(default), type(default))
    return isinstance(value, allowed) and isinstance(value, bool) == isinstance(default, bool)


def execute(name: str, out: str | Path, parameters: dict, asked: Iterable[str] = ()) -> Path:
    """Run `notebooks/<name>.ipynb` from top to bottom and write the executed copy to `out`, without papermill's
    timings and paths, so that equal results are equal files. A notebook that fails leaves `out` as it was.

    Parameters that the notebook does not have are left out, but for those `asked` for by name.

    Raises:
        ValueError: as `check`, or a cell failed because of what it was given.
        RuntimeError: a cell failed otherwise, or the kernel did.
    """
    import nbformat
    import papermill

    chosen = check(name, out, parameters, asked)
    path = place(out, "out")
    logging.getLogger("papermill").addHandler(logging.NullHandler())  # what it logs is in the error, too
    with atomic(path) as temporary, _sockets() as connection:
        try:
            _twice(
                papermill.execute_notebook,
                str(template(name)), str(temporary), parameters=chosen, kernel_name="python3", cwd=str(project_root()),
                progress_bar=False, start_timeout=120, autosave_cell_every=0, request_save_on_cell_execute=False,
                kernel_manager_class=_this_python(), config=connection,
                extra_arguments=["--IPKernelApp.log_level=50"],  # the kernel's own remarks at its end are not ours
            )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            raise _failure(name, error) from error
        except RuntimeError as error:
            raise RuntimeError(f"notebook {name}: {error}") from error
        notebook = nbformat.read(temporary, as_version=4)
        for line in _remarks(notebook):
            print(f"{name}: {line}", file=sys.stderr)
        nbformat.write(tidy(notebook), temporary)
    return path


def _twice(run: Callable, *arguments, **options) -> None:
    """Run a notebook, and once more if its kernel did not start: where many start at once, one may fail."""
    try:
        run(*arguments, **options)
    except RuntimeError as error:
        if not any(words in str(error) for words in NOT_STARTED):
            raise
        run(*arguments, **options)


def _failure(name: str, error) -> Exception:
    """What went wrong in a cell, on one line."""
    said = checks.line(f"{error.ename}: {error.evalue}", TEXT_OF_ERROR)
    kind = ValueError if error.ename in WRONG_INPUT else RuntimeError
    return kind(f"notebook {name}, cell [{error.exec_count}]: {said}")


def _this_python() -> type:
    """A kernel manager that starts the Python that runs this. A kernel called python3 that others have put on
    JUPYTER_PATH may be another."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from traitlets import default

    class ThisPython(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _no_kernels_but_its_own(self) -> KernelSpecManager:
            return KernelSpecManager(parent=self, kernel_dirs=[])

    return ThisPython


@contextlib.contextmanager
def _sockets() -> Iterator:
    """How to reach the kernel: by sockets in a folder of their own, so that two kernels that start at once cannot take
    each other's ports or files; by ports where the system has no such sockets, or no folder whose path is short enough.
    """
    from traitlets.config import Config

    names = [] if os.name == "nt" else [tempfile.gettempdir(), "/tmp"]
    with contextlib.ExitStack() as stack:
        for name in names:
            if len(os.fsencode(name)) + len("/qkd-12345678/kernel-1") <= LONGEST_SOCKET and os.access(name, os.W_OK):
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="qkd-", dir=name))
                yield Config(KernelManager={"transport": "ipc", "ip": f"{folder}/kernel"})
                return
        yield Config()


def _remarks(notebook) -> list[str]:
    """What its cells said on stderr, which is not kept."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    said = "".join(output.text for output in outputs if output.get("name") == "stderr")
    return list(dict.fromkeys(line for line in said.splitlines() if line.strip()))


def tidy(notebook):
    """Take out of an executed notebook what differs from run to run: timings, paths, warnings on stderr, and what is
    said of teachers only where they are trained anew."""
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if output.get("name") == "stdout":
                    output.text = OF_TEACHER.sub("", output.text)
            cell.outputs = [output for output in cell.outputs if output.get("text") != ""]
    return notebook
