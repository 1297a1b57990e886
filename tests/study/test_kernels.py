"""Executing notebooks: a kernel that does not start is started once more, and what the command hands on."""

import sys
from pathlib import Path

import nbformat
import pytest

from qkdlib.__main__ import main
from qkdlib.study import notebooks


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Path:
    """A checkout with one small notebook, which counts its runs in a file."""
    (tmp_path / "qkdlib").mkdir()
    (tmp_path / "notebooks").mkdir()
    for name in ("pyproject.toml", "qkdlib/__init__.py"):
        (tmp_path / name).touch()
    cells = [
        nbformat.v4.new_code_cell("fails = False", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("open('runs', 'a').write('x')\nassert not fails"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": notebooks.KERNEL})
    nbformat.write(notebook, tmp_path / "notebooks" / "tiny.ipynb")
    monkeypatch.chdir(tmp_path)
    return tmp_path


DIED, SLOW = "Kernel died before replying to kernel_info", "Kernel didn't respond in 120 seconds"


def failing(monkeypatch, times: int, said: str) -> list[bool]:
    """Kernel managers whose first kernels, `times` of them, do not start: they end at once, or `said` is said of them.
    Returns whether each start failed."""
    this_python, starts = notebooks._this_python, []

    def manager() -> type:
        class Failing(this_python()):
            async def start_kernel(self, **options):
                starts.append(len(starts) < times)
                if starts[-1] and said != DIED:
                    raise RuntimeError(said)
                return await super().start_kernel(**options)

            def format_kernel_cmd(self, extra_arguments=None):
                return [sys.executable, "-c", ""] if starts[-1] else super().format_kernel_cmd(extra_arguments)

        return Failing

    monkeypatch.setattr(notebooks, "_this_python", manager)
    return starts


@pytest.mark.parametrize("said", [DIED, SLOW])
def test_a_kernel_that_does_not_start_is_started_once_more(tiny, monkeypatch, said):
    starts = failing(monkeypatch, 1, said)
    out = notebooks.execute("tiny", "out.ipynb", {})
    assert starts == [True, False] and (tiny / "runs").read_text() == "x"
    assert [cell.execution_count for cell in nbformat.read(out, as_version=4).cells] == [1, 2]


@pytest.mark.parametrize(("said", "times"), [(DIED, 2), (SLOW, 2), ("no disk", 1)])
def test_one_that_fails_twice_or_otherwise_is_one_error(tiny, monkeypatch, said, times):
    starts = failing(monkeypatch, 9, said)
    with pytest.raises(RuntimeError, match=f"^notebook tiny: {said}$"):
        notebooks.execute("tiny", "out.ipynb", {})
    assert starts == [True] * times
    assert not (tiny / "out.ipynb").exists() and not (tiny / "runs").exists()


def test_a_cell_that_fails_is_not_run_again(tiny, monkeypatch):
    starts = failing(monkeypatch, 0, "")
    with pytest.raises(RuntimeError, match=r"^notebook tiny, cell \[3\]: AssertionError"):
        notebooks.execute("tiny", "out.ipynb", {"fails": True})
    assert starts == [False] and (tiny / "runs").read_text() == "x"


def test_notebooks_command(monkeypatch, workspace, capsys):
    assert main(["notebooks", "nonsense", "--out", str(workspace.root)]) == 2
    assert "notebook='nonsense' is not allowed; allowed: one of ablations, audit, baselines" in capsys.readouterr().err
    calls = []
    monkeypatch.setattr(notebooks, "execute", lambda *arguments: calls.append(arguments))
    given = ["-p", "epochs", "3", "-p", "dataset", "mnist", "-p", "classes", "[0, 1]"]
    assert main(["notebooks", "audit", "baselines", "--out", "there", *given]) == 0
    chosen = {"epochs": 3, "dataset": "mnist", "classes": [0, 1]}
    asked = ["epochs", "dataset", "classes"]
    assert calls == [(name, Path(f"there/{name}.ipynb"), chosen, asked) for name in ("audit", "baselines")]


def test_what_a_copy_says_does_not_depend_on_which_teachers_were_there():
    said = (
        "teacher digits_0-2_lenet_0123456789: accuracy 99.0% on the student's 30 training images, 98.0% on its rest\n"
    )
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in (said, f"first\n{said}last\n")]
    copy = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("run()", outputs=outputs)])
    assert [output.text for output in notebooks.tidy(copy).cells[0].outputs] == ["first\nlast\n"]
