"""The lock, the conda environment, the versions and the Makefile agree with each other and with the README."""

import importlib.util
import json
import re
import shutil
import subprocess
import tomllib
import types
from pathlib import Path

import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement

import qkdlib

ROOT = Path(__file__).parents[2]
PLATFORMS = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64")]
PYTHONS = ["3.11", "3.12", "3.13"]


def lines_of(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def lock() -> list[Requirement]:
    return [Requirement(line) for line in lines_of(ROOT / "requirements.lock")]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def environment(system: str, machine: str, python: str) -> dict[str, str]:
    names = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
    return {
        "sys_platform": system, "platform_machine": machine, "platform_system": names[system],
        "os_name": "nt" if system == "win32" else "posix", "python_version": python,
        "python_full_version": f"{python}.9", "implementation_name": "cpython",
        "platform_python_implementation": "CPython", "extra": "",
    }  # fmt: skip


def named(requirements, where: dict[str, str]) -> set[str]:
    """Names of the requirements that hold there."""
    return {each.name for each in requirements if each.marker is None or each.marker.evaluate(where)}


def test_conda_environment_states_the_locked_versions():
    python, pip, through_pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert (python.split("=")[0], pip) == ("python", "pip")
    assert [Requirement(line) for line in through_pip["pip"]] == lock()


def test_lock_is_exact_and_holds_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and "--" not in text
    assert len(lock()) > 200 and len({each.name for each in lock()}) == len(lock())
    assert all(re.fullmatch(r"==[^,*]+", str(each.specifier)) for each in lock())


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("system", "machine"), PLATFORMS, ids=["linux", "linux-arm", "macos", "windows"])
def test_lock_holds_every_requirement_on_every_platform(system, machine, python):
    where = environment(system, machine, python)
    wanted = [
        Requirement(line) for line in project()["dependencies"] + sum(project()["optional-dependencies"].values(), [])
    ]
    pinned = {each.name: each for each in lock()}
    assert named(wanted, where) - {"qkdlib"} <= named(lock(), where)
    for each in wanted:
        if each.name != "qkdlib":
            (version,) = pinned[each.name].specifier
            assert each.specifier.contains(version.version), each


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("system", "machine"), PLATFORMS, ids=["linux", "linux-arm", "macos", "windows"])
def test_only_linux_gets_the_packages_of_cuda(system, machine, python):
    cuda = {
        name for name in named(lock(), environment(system, machine, python)) if re.match("nvidia|cuda|triton", name)
    }
    assert bool(cuda) == (system == "linux")


def test_one_version_is_said_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert project()["version"] == qkdlib.__version__ == cited
    assert f"## {qkdlib.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_commands_of_the_readme_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make ([a-z][a-z-]+)", (ROOT / "README.md").read_text()))
    assert {"demo", "test", "paper-artifacts"} <= named
    assert all(re.search(rf"^{name}:", makefile, flags=re.M) for name in named)


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_make_sets_up_in_a_folder_whose_path_has_a_space(tmp_path, installer):
    """Python and uv are played by scripts that print what they are called with."""
    project, tools = tmp_path / "My Drive", tmp_path / "tools"
    (project / ".venv" / "bin").mkdir(parents=True)
    tools.mkdir()
    (tools / "touch").symlink_to(shutil.which("touch"))
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, project)
    players = [project / ".venv/bin/python", *([tools / "uv"] if installer == "uv" else [])]
    for player in players:
        player.write_text('#!/bin/sh\necho "$(pwd)|${VIRTUAL_ENV:-}|$*"\n')
        player.chmod(0o755)
    ended = subprocess.run(
        [shutil.which("make"), "setup"], cwd=project, env={"PATH": str(tools)}, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    used = f"{project}/.venv" if installer == "uv" else ""
    first, second = (line.split("|") for line in ended.stdout.splitlines())
    assert first[:2] == second[:2] == [str(project), used]
    assert first[2].split()[-1] == "requirements.lock" and second[2].split()[-2:] == ["-e", "."]


def test_make_reads_no_notebook_that_a_killed_process_has_left():
    ended = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "--assume-old=.venv/.stamp", "test"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.stdout.split()[-1] == "notebooks/executed/digits/*.ipynb"  # the shell passes over hidden files


def test_workflow_runs_what_ci_runs_and_tries_the_wheel_on_the_other_platforms():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    assert jobs["linux"]["steps"][-1]["run"] == ".ci/run" and (ROOT / ".ci" / "run").is_file()
    where = jobs["wheel"]["strategy"]["matrix"]["include"]
    assert {each["system"].split("-")[0] for each in where} == {"ubuntu", "macos", "windows"}
    assert {each["python"] for each in where} <= set(PYTHONS)
    script = re.search(r"python (\S+) --install", jobs["wheel"]["steps"][-1]["run"])[1]
    assert (ROOT / script).is_file()


def test_what_colab_brings_is_kept():
    """Its versions satisfy what qkdlib asks for; `make wheel-check` resolves all the rest with them."""
    brought = {each.name: each for each in map(Requirement, lines_of(ROOT / "tests" / "project" / "colab.txt"))}
    wanted = {each.name: each for each in map(Requirement, project()["dependencies"])}
    assert {"torch", "torchvision", "numpy", "scipy", "pandas", "scikit-learn"} <= set(brought) & set(wanted)
    for name in set(brought) & set(wanted):
        (version,) = brought[name].specifier
        assert wanted[name].specifier.contains(version.version), name


def test_first_cell_of_every_notebook_is_one_line_of_pip():
    for path in (ROOT / "notebooks").glob("[!.]*.ipynb"):
        cell = next(each for each in json.loads(path.read_text())["cells"] if each["cell_type"] == "code")
        (line,) = (line.strip() for line in cell["source"] if re.search("pip|git|install -", line))
        assert line == "%pip install -q git+https://github.com/qkdlib/qkdlib", path.name


@pytest.mark.parametrize("there", [True, False])
def test_first_cell_installs_only_where_qkdlib_is_missing(there, monkeypatch):
    """The cell as IPython runs it, with pip played by a list."""
    cell = json.loads((ROOT / "notebooks" / "quickstart.ipynb").read_text())["cells"][1]
    code, ran = TransformerManager().transform_cell("".join(cell["source"])), []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: there or None)
    shell = types.SimpleNamespace(run_line_magic=lambda *line: ran.append(line))
    exec(code, {"get_ipython": lambda: shell})
    assert ran == [] if there else ran == [("pip", "install -q git+https://github.com/qkdlib/qkdlib")]
