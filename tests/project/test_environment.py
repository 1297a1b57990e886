"""The lock, the conda environment and the Makefile agree with each other and with the README."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^[\s-]*([a-z0-9][a-z0-9._-]*)==(\S+)", text, flags=re.M | re.I))


def test_conda_environment_states_the_locked_versions():
    lock = pins((ROOT / "requirements.lock").read_text())
    assert len(lock) > 100
    assert pins((ROOT / "environment.yml").read_text()) == lock


def test_lock_is_exact_and_holds_every_requirement_and_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert all(re.fullmatch(r"[a-z0-9._-]+==\S+", line) for line in text.split("\n")[:-1])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), [])
    names = {re.match(r"[a-zA-Z0-9-]+", line).group().lower() for line in wanted} - {"qkdlib"}
    assert names <= set(pins(text))


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
