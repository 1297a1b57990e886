"""The commands: what each takes, what its `--help` teaches, and what it calls."""

import argparse
import ast
import re
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from qkdlib import __version__, checks
from qkdlib.workspace import Workspace, folder_place

WRONG = 2  # exit status of what argparse refuses, too
LONGEST_WORD = 400  # characters of a word in a message
PROGRAM = "qkdlib" if Path(sys.argv[0]).stem == "qkdlib" else "python -m qkdlib"
ABOUT = """Distil a classical network into a small quantum one, and rerun the experiments of arXiv 2311.13810.

  a first look        demo
  look at records     summary, artefacts
  run the study       teachers, run, notebooks
  check this machine  verify"""
EXAMPLES = """examples:
  {0} demo                                     teachers and students on real digits, in about a minute
  {0} summary --paper                          every record of the study as one table
  {0} artefacts --paper --workspace the_paper  all tables and figures of the study, into the_paper/
  {0} run --only v1                            train what v1 needs and has no record of
  {0} COMMAND --help                           more about a command

from Python:
  import qkdlib
  experiment = qkdlib.Experiment(dataset="digits", classes=(0, 1, 2), train_per_class=70, test_per_class=50,
                                 learning_rate=3e-4, seeds=5)
  print(qkdlib.arms([qkdlib.run(experiment, workspace="my_runs")]))

variables of the environment: QKD_DATA (folder of data sets), QKD_THREADS (how many), QKD_PORTABLE (0: not the same bits
on every machine), QKD_SCHEDULER (address of a Dask cluster). Relative paths count from the checkout that the current
folder lies in, else from that folder."""


def one_line(text: str) -> str:
    """One line without endless words."""
    return re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: word[0][: LONGEST_WORD - 3] + "...", checks.line(text))


class Parser(argparse.ArgumentParser):
    """Refuses a command on one line, and shows its description and examples as they are written."""

    def __init__(self, **options: Any):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        usage, said = one_line(self.format_usage()), one_line(message)
        if len(said) > 2 * LONGEST_WORD:  # many words in the place of one; what is allowed stands at the end
            said = f"{said[:LONGEST_WORD]}...{said[-LONGEST_WORD:]}"
        self.exit(WRONG, f"error: {said} ({usage})\n")


def parser() -> Parser:
    """The parser of all commands; what it gives has the function that runs the chosen one as `call`."""
    top = Parser(prog=PROGRAM, description=ABOUT, epilog=EXAMPLES.format(PROGRAM))
    top.add_argument("--version", action="version", version=f"qkdlib {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")

    def add(name: str, call: Callable[[argparse.Namespace], None], about: str, more: str, *examples: str) -> Parser:
        shown = "\n".join(["examples:", *(f"  {PROGRAM} {name} {each}".rstrip() for each in examples)])
        command = commands.add_parser(name, help=about, description=f"{about}\n\n{more}", epilog=shown)
        command.set_defaults(call=call)
        return command

    demo = add(
        "demo", _demo, "teachers and students on real digits, a line for each step",
        "The published student and the robust one, on labels alone and distilled from a LeNet. The digits come with\n"
        "scikit-learn. A second call finds the records of the first.",
        "", "--workspace my_runs",
    )  # fmt: skip
    run = add(
        "run", _run, "train and execute what has no record",
        "What is there is left alone, and what was interrupted goes on. Chapters: v1, v2, collapse, robustness,\n"
        "controlled. Everything takes hours.",
        "", "--only v1", "--only v2-entangler collapse", "--only v1 --fresh students",
    )  # fmt: skip
    run.add_argument(
        "--fresh", nargs="?", const="all", default="no", choices=("no", "students", "all"),
        help="retrain all students first, or the teachers, too",
    )  # fmt: skip
    run.add_argument("--only", nargs="+", metavar="PART", help="these chapters, or parts of chapters")
    artefacts = add(
        "artefacts", _artefacts, "write all tables and figures of the study from the records of a workspace",
        "Nothing is trained. Tables go to tables/ (.csv, .md, .tex), figures to figures/ (.pdf, .png). What lacks its\n"
        "records or images is named.",
        "", "--paper --workspace the_paper",
    )  # fmt: skip
    teachers = add(
        "teachers", _teachers, "train the teachers of the study's tables that have no logits yet",
        "A teacher that was interrupted goes on from its last epoch.", "", "--fresh",
    )  # fmt: skip
    teachers.add_argument("--fresh", action="store_true", help="train all of them anew")
    notebooks = add(
        "notebooks", _notebooks, "execute notebooks, headless, one after the other",
        "The templates of the checkout's notebooks/, or those that came with the wheel. It needs qkdlib[notebooks].",
        "quickstart --out executed", "teachers baselines --out executed -p dataset mnist -p epochs 2",
    )  # fmt: skip
    notebooks.add_argument("names", nargs="+", help="names of notebooks, without .ipynb")
    notebooks.add_argument("--out", required=True, help="folder of the executed copies")
    notebooks.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
        help="a notebook's parameter, as a Python literal or a word",
    )  # fmt: skip
    add("rules", _rules, "print the pages as rules of a makefile", "The Makefile reads them.", "> build/pages.mk")
    summary = add(
        "summary", _summary, "print a table of a workspace's records and name its figures",
        "A row for each experiment: accuracies in percent, their spread over seeds, and what the teacher added.",
        "--workspace build/demo", "--paper",
    )  # fmt: skip
    verify = add(
        "verify", _verify, "train five experiments again and compare bits with the portable records",
        "It takes minutes and needs MNIST: QKD_DATA, or a network. Status 0: this machine computes the same bits.",
        "", "--workspace my_runs",
    )  # fmt: skip
    verify.add_argument("--make", action="store_true", help="write the portable records anew")
    verify.add_argument("--workspace", help="folder whose results/portable is compared; default: the study's")
    for command in (run, artefacts, summary, teachers):
        command.add_argument("--workspace", default=".", help="folder of results, tables and figures")
    demo.add_argument("--workspace", default="build/demo", help="folder of what it makes (default: build/demo)")
    for command in (artefacts, summary):
        command.add_argument("--paper", action="store_true", help="the records of the study, which came with qkdlib")
    return top


def _demo(options: argparse.Namespace) -> None:
    workspace = Workspace(options.workspace)
    print("loading PyTorch", flush=True)
    from qkdlib.study import demo

    demo.run(workspace, _say)


def _say(line: str) -> None:
    print(line, flush=True)


def _run(options: argparse.Namespace) -> None:
    from qkdlib.study import missing

    missing.run(Workspace(options.workspace), options.fresh, options.only)


def _artefacts(options: argparse.Namespace) -> None:
    from qkdlib.records import packed

    workspace = Workspace(options.workspace)
    if options.paper:
        packed.copy(workspace)
    from qkdlib.study import publish

    publish.everything(workspace, _say)


def _teachers(options: argparse.Namespace) -> None:
    from qkdlib.study import missing

    workspace = Workspace(options.workspace)
    missing.train_teachers(missing.all_teachers(workspace), workspace, options.fresh)
    print("every teacher of the tables has its logits")


def _verify(options: argparse.Namespace) -> None:
    from qkdlib.records import packed
    from qkdlib.study import verify

    if options.make:
        verify.make(Workspace(options.workspace or "."))
        return
    with packed.study(options.workspace) as workspace:
        if not verify.verify(workspace, _say):
            raise RuntimeError("this machine computes other bits than those of the portable records")


def _summary(options: argparse.Namespace) -> None:
    from qkdlib.records import packed, summary

    with packed.study(None if options.paper else options.workspace) as workspace:
        said = summary.text(workspace)
    print(said)
    if said.startswith("no records"):
        print(f"the study's own records: {PROGRAM} summary --paper", file=sys.stderr)


def _rules(_: argparse.Namespace) -> None:
    from qkdlib.study import pages

    print(pages.rules(), end="")


def _notebooks(options: argparse.Namespace) -> None:
    """The notebooks, after everything that is asked for has been checked."""
    if not all(map(find_spec, ("papermill", "ipykernel"))):
        raise ImportError("notebooks are executed by papermill, which is not installed; run `pip install papermill "
                          "ipykernel`, or install qkdlib[notebooks]")  # fmt: skip
    from qkdlib.study import notebooks

    folder_place(options.out, "out")
    parameters = {name: _literal(value) for name, value in options.parameters}
    asked = [name for name, _ in options.parameters]
    copies = {name: Path(options.out) / f"{name}.ipynb" for name in options.names}
    for name, copy in copies.items():
        notebooks.check(name, copy, parameters, asked)
    for number, (name, copy) in enumerate(copies.items(), 1):
        _say(f"[{number}/{len(copies)}] executing notebooks/{name}.ipynb into {options.out}")
        notebooks.execute(name, copy, parameters, asked)


def _literal(text: str) -> Any:
    """What a Python literal means; any other text is itself."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
