"""Headless execution of the notebooks by papermill, and what is kept of it."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from qkdlib import checks, paper
from qkdlib.files import atomic
from qkdlib.workspace import project_root

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def parameters_of(row: str) -> dict:
    """The notebooks' parameters that run a distilled row of the paper's tables into the project's own records.

    Raises:
        ValueError: no such row, or one in which nothing is distilled.
    """
    if not paper.row(row).distils:
        checks.fail("row", row, f"a row that distils: one of {', '.join(r.id for r in paper.all_rows() if r.distils)}")
    return {"row": row, "workspace": ".", "architectures": ["lenet", "alexnet", "ensemble"]}


def execute(name: str, out: str | Path, parameters: dict, asked: Iterable[str] = ()) -> Path:
    """Run `notebooks/<name>.ipynb` from top to bottom and write the executed copy to `out`, without papermill's
    timings and paths, so that equal results are equal files.

    Parameters that the notebook does not have are left out, but for those `asked` for by name.

    Raises:
        ValueError: no such notebook, or it has no parameter of a name that is asked for.
    """
    import nbformat
    import papermill
    from traitlets.config import Config

    source = project_root() / "notebooks" / f"{name}.ipynb"
    checks.one_of("notebook", name, sorted(path.stem for path in source.parent.glob("*.ipynb")))
    known = papermill.inspect_notebook(str(source))
    for each in asked:
        checks.one_of("parameter", each, known)
    chosen = {key: value for key, value in parameters.items() if key in known}
    path = project_root() / out
    # Sockets in a folder of their own: two kernels that start at once cannot take each other's ports or files.
    with atomic(path) as temporary, tempfile.TemporaryDirectory(prefix="qkd-") as sockets:
        papermill.execute_notebook(
            str(source), str(temporary), parameters=chosen, kernel_name="python3", cwd=str(project_root()),
            progress_bar=False, start_timeout=120, autosave_cell_every=0, request_save_on_cell_execute=False,
            config=Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"}),
            extra_arguments=["--IPKernelApp.log_level=50"],  # the kernel's own remarks at its end are not ours
        )  # fmt: skip
        notebook = nbformat.read(temporary, as_version=4)
        nbformat.write(tidy(notebook), temporary)
    return path


def tidy(notebook):
    """Take out of an executed notebook what differs from run to run: timings, paths, warnings on stderr."""
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for place, cell in enumerate(notebook.cells):
        cell.id = f"cell-{place}"
        cell.metadata = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook
