"""What the command line and the notebooks say to wrong values and to failures: one line, and nothing is touched."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import warnings

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import v4
from synthetic import record

from qkdlib import __main__, experiment
from qkdlib.experiment import Experiment
from qkdlib.records import summary
from qkdlib.study import missing, notebooks
from qkdlib.workspace import Workspace

PARAMETERS = {"count": 3, "level": 0.5, "name": "a", "flag": False, "sizes": [1, 2], "side": None, "code": ""}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A checkout with one small notebook, which runs the `code` that it is given."""
    for folder in ("notebooks", "qkdlib"):
        (tmp_path / folder).mkdir()
    for name in ("pyproject.toml", "qkdlib/__init__.py", "notebooks/.tiny-host-1-killed.tmp.ipynb"):
        (tmp_path / name).touch()
    lines = "\n".join(f"{name} = {value!r}  # a remark" for name, value in PARAMETERS.items())
    cells = [v4.new_code_cell(lines, metadata={"tags": ["parameters"]}), v4.new_code_cell("exec(code)")]
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": notebooks.KERNEL}), template(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def template(project):
    return project / "notebooks" / "tiny.ipynb"


def failed(arguments: list[str], status: int = 2) -> str:
    """The one line that a command which fails with `status` says, without its prefix."""
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        try:
            found = __main__.main(arguments)
        except SystemExit as end:
            found = end.code
    lines = said.getvalue().split("\n")
    assert (found, len(lines), lines[-1]) == (status, 2, ""), said.getvalue()
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def command(*arguments: str, **names: str) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", "qkdlib", *arguments]
    return subprocess.run(line, env={**os.environ, **names}, capture_output=True, timeout=120)


# Parameters of notebooks


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("count", text) for text in ("abc", "True", "2.0", 5000 * "9", 5000 * "[", f"({5000 * '-'}1)", "{[]: 1}")),
        *(("flag", text) for text in ("1", "None", "true", "0.0")),
        *(("level", text) for text in ("half", "None", "True", "[0.5]")),
        *(("sizes", text) for text in ("3", "[]", "['a']", "[1, [2]]", "[True]", "None", "{1, 2}")),
        *(("name", text) for text in ("5", "None", "['a']", "b'a'")),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_one_line_before_anything_runs(project, monkeypatch, name, text):
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("it ran"))
    line = failed(["notebooks", "tiny", "--out", "out", "-p", name, text])
    assert line.startswith(f"{name}=") and line.endswith(f", like the notebook's {PARAMETERS[name]!r}")
    assert len(line) < 250
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "4", 4), ("count", "None", None), ("level", "1", 1), ("level", "1e-3", 1e-3), ("name", "ab", "ab"),
        ("name", "'5'", "5"), ("flag", "True", True), ("sizes", "(3,)", [3]), ("side", "28", 28), ("side", "None", None)
    ],
)  # fmt: skip
def test_a_value_of_the_right_kind_is_handed_on(project, monkeypatch, name, text, value):
    handed = []
    monkeypatch.setattr(notebooks, "execute", lambda name, out, chosen, asked: handed.append((name, chosen)))
    assert __main__.main(["notebooks", "tiny", "--out", "out", "-p", name, text]) == 0
    (found,) = [notebooks.check(tiny, "out/tiny.ipynb", chosen, chosen) for tiny, chosen in handed]
    assert found == {name: value} and type(found[name]) is type(value)


@given(st.sampled_from([*PARAMETERS, "nothing"]), st.text() | st.from_regex(r"[\[\](){},:.'\"0-9a-fjx+~*-]{1,30}"))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_typed_is_taken_or_refused_on_one_line(project, name, text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebooks, "execute", lambda *_: None)
        arguments = ["notebooks", "tiny", "--out", "out", "-p", name, text]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            with contextlib.redirect_stderr(io.StringIO()) as said:
                taken = __main__.main(arguments) == 0
            if taken:
                assert said.getvalue() == "" and name != "nothing"
                return
    failed(arguments)


def test_all_that_is_asked_for_is_checked_before_the_first_notebook_runs(project, monkeypatch):
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("it ran"))
    assert failed(["notebooks", "tiny", "other", "--out", "out"]).endswith("allowed: one of tiny")
    assert failed(["notebooks", "tiny", "--out", "", "-p", "count", "3"]).startswith("out='' is not allowed")
    template(project).unlink()
    assert "from a folder of its checkout" in failed(["notebooks", "tiny", "--out", "out"])


@pytest.mark.parametrize(
    "out", ["notebooks", "./notebooks/../notebooks", "linked", "linking", "file", "file/below", "taken"]
)
def test_executed_copies_never_replace_a_template_or_what_is_no_file(project, monkeypatch, out):
    (project / "linked").symlink_to("notebooks")
    (project / "linking").mkdir()
    (project / "linking" / "tiny.ipynb").symlink_to(template(project))
    (project / "taken" / "tiny.ipynb").mkdir(parents=True)
    (project / "file").touch()
    before = template(project).read_bytes()
    assert failed(["notebooks", "tiny", "--out", out]).startswith("out=")
    assert template(project).read_bytes() == before


# Kernels


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("raise ValueError('qubits=0\\n  is wrong')", 2, "notebook tiny, cell [3]: ValueError: qubits=0 is wrong"),
        ("1 / 0", 1, "notebook tiny, cell [3]: ZeroDivisionError: division by zero"),
        ("raise RuntimeError(2000 * 'long ')", 1, "notebook tiny, cell [3]: RuntimeError: long long long"),
        ("import os; os._exit(1)", 1, "notebook tiny: Kernel died"),
    ],
)
def test_a_notebook_that_fails_is_one_line_and_keeps_the_copy_of_before(project, code, status, said):
    (project / "tiny.ipynb").write_text("before")
    line = failed(["notebooks", "tiny", "--out", ".", "-p", "code", code], status)
    assert line.startswith(said) and len(line) < 600
    assert (project / "tiny.ipynb").read_text() == "before"
    assert {path.name for path in project.iterdir()} == {"notebooks", "qkdlib", "pyproject.toml", "tiny.ipynb"}


@pytest.mark.parametrize("longest", [notebooks.LONGEST_SOCKET, 0])
def test_the_kernel_is_this_python_wherever_temporary_files_lie(project, monkeypatch, longest):
    """With a folder for temporary files that is too long for sockets, and without any folder for them."""
    monkeypatch.setattr(notebooks, "LONGEST_SOCKET", longest)
    temporary = project / (90 * "t")
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    other = project / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    specification = {"argv": ["false", "{connection_file}"], "display_name": "Python 3", "language": "python"}
    (other / "kernel.json").write_text(json.dumps(specification))
    monkeypatch.setenv("JUPYTER_PATH", str(project / "jupyter"))
    monkeypatch.setenv("HOME", str(project))
    out = notebooks.execute("tiny", "~/out/tiny.ipynb", {"code": "import sys; print(sys.executable)"})
    assert out == project / "out" / "tiny.ipynb"
    executed = nbformat.read(out, as_version=4)
    assert executed.metadata.kernelspec == notebooks.KERNEL
    assert executed.cells[-1].outputs[0].text == f"{sys.executable}\n"
    assert list(temporary.iterdir()) == []


# The other ends of a command


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ValueError("qubits=0 is\nnot allowed"), 2, "qubits=0 is not allowed"),
        (FileNotFoundError("no data set"), 2, "no data set"),
        (PermissionError(13, "Permission denied", "record.json"), 1, "[Errno 13] Permission denied: 'record.json'"),
        (RuntimeError("two\nlines"), 1, "two lines"),
        (ImportError("run `make setup`"), 1, "run `make setup`"),
        (BrokenPipeError(32, "a worker's"), 1, "[Errno 32] a worker's"),
        (MemoryError(), 1, "MemoryError"),
    ],
)
def test_what_goes_wrong_is_one_line(workspace, monkeypatch, error, status, said):
    def fail(_workspace):
        raise error

    monkeypatch.setattr(summary, "text", fail)
    assert failed(["summary", "--workspace", str(workspace.root)], status) == said


def test_ctrl_c_ends_with_130_and_no_traceback(workspace, monkeypatch, capsys):
    def interrupt(_workspace):
        raise KeyboardInterrupt

    monkeypatch.setattr(summary, "text", interrupt)
    assert __main__.main(["summary", "--workspace", str(workspace.root)]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize("arguments", [["run", "--fresh", 5000 * "x"], ["summary", "--no"], [5000 * "y"], []])
def test_what_is_no_command_is_one_line_with_the_usage(arguments):
    line = failed(arguments)
    assert "(usage: python -m qkdlib" in line and len(line) < 1500


@pytest.mark.parametrize("name", ["run", "teachers", "summary"])
def test_a_workspace_that_is_a_file_is_refused_before_any_work(tmp_path, monkeypatch, name):
    (tmp_path / "file").touch()
    for name_ in ("train", "train_teachers"):
        monkeypatch.setattr(missing, name_, lambda *_: pytest.fail("it ran"))
    assert failed([name, "--workspace", str(tmp_path / "file")]).startswith("workspace=")


@pytest.mark.parametrize(
    ("name", "value"),
    [("QKD_THREADS", "none"), ("QKD_THREADS", "0"), ("QKD_DATA", "pyproject.toml"), ("QKD_PORTABLE", "2")],
)
def test_a_wrong_variable_of_the_environment_is_said_before_any_work(project, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("it ran"))
    for arguments in (["notebooks", "tiny", "--out", "out"], ["run"], ["teachers"]):
        assert failed(arguments).startswith(f"{name}=")
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--only", "v3"], "only='v3' is not allowed; allowed: one of v1, v2, collapse"),
        (["run", "--only", "v1", 5000 * "x"], "only='xxx"),
    ],
)
def test_what_the_study_does_not_have_is_named_before_any_work(monkeypatch, arguments, said):
    monkeypatch.setattr(missing, "train", lambda *_: pytest.fail("it ran"))
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("it ran"))
    assert failed(arguments).startswith(said)


def test_a_terminal_without_the_characters_and_a_damaged_record(tmp_path):
    """What it cannot show is replaced; a record that cannot be read is one line, and the others are shown."""
    workspace = Workspace(tmp_path / "Übung")
    task = Experiment(dataset="imagefolder:Bilder ä", classes=(0, 1), seeds=2)
    record(task, [0.5, 0.75]).save(workspace)
    (workspace.students / "damaged.json").write_text("{")
    ended = command("summary", "--workspace", str(workspace.root), PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    shown = ended.stdout.decode("ascii")
    assert experiment.task_name(task).encode("ascii", "replace").decode() in shown and "62.50" in shown
    (line,) = ended.stderr.decode().splitlines()
    assert line.startswith("warning: ") and "damaged.json" in line


def test_a_warning_is_one_line_said_once(workspace, monkeypatch, capsys):
    def warned(_workspace):
        each = [warnings.formatwarning(UserWarning(text), UserWarning, "file.py", 1) for text in ("a\nb", "a\nb", "c")]
        return "".join(each)

    monkeypatch.setattr(summary, "text", warned)
    before = warnings.formatwarning
    assert __main__.main(["summary", "--workspace", str(workspace.root)]) == 0
    assert capsys.readouterr().out == "warning: a b\nwarning: c\n\n"
    assert warnings.formatwarning is before


def test_a_reader_that_goes_away_is_no_error(workspace):
    line = [sys.executable, "-m", "qkdlib", "summary", "--workspace", str(workspace.root)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
