"""Commands behind the Makefile: `python -m qkdlib run | rules | notebooks | teachers | verify | summary`."""

import argparse
import ast
import contextlib
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from qkdlib import checks
from qkdlib.workspace import Workspace, data_root, folder_place

WRONG, FAILED, INTERRUPTED = 2, 1, 130  # exit statuses; argparse has 2 for what it refuses, too
LONGEST_WORD = 400  # characters of a word in a message


class Parser(argparse.ArgumentParser):
    """Refuses a command on one line."""

    def error(self, message: str):
        usage, said = _line(self.format_usage()), _line(message)
        if len(said) > 2 * LONGEST_WORD:  # many words in the place of one; what is allowed stands at the end
            said = f"{said[:LONGEST_WORD]}...{said[-LONGEST_WORD:]}"
        self.exit(WRONG, f"error: {said} ({usage})\n")


def main(arguments: list[str] | None = None) -> int:
    """Run a command. What is wrong is one line on stderr: exit status 2 for a wrong value or a missing data set, 1 for
    what failed otherwise, 130 for Ctrl-C."""
    try:
        with _plain_output():
            _run(_parser().parse_args(arguments))
            print(end="", flush=True)
        return 0
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except (ValueError, FileNotFoundError) as error:
        return _say(error, WRONG)
    except (OSError, RuntimeError, MemoryError, ImportError) as error:
        return FAILED if isinstance(error, BrokenPipeError) and _output_is_lost() else _say(error, FAILED)


def _say(error: BaseException | str, status: int) -> int:
    print(f"error: {_line(str(error)) or type(error).__name__}", file=sys.stderr)
    return status


def _line(text: str) -> str:
    """One line without endless words."""
    return re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: word[0][: LONGEST_WORD - 3] + "...", checks.line(text))


def _output_is_lost() -> bool:
    """Whether nothing can be written to stdout any more, as after `... | head`. What is left then goes nowhere."""
    try:
        print(flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


@contextlib.contextmanager
def _plain_output() -> Iterator[None]:
    """A warning is one line, said once, and a terminal that lacks a character shows another."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    before, said = warnings.formatwarning, set()

    def once(message, *_, **__) -> str:
        line = f"warning: {_line(str(message))}\n"
        new = line not in said
        said.add(line)
        return line if new else ""

    warnings.formatwarning = once
    try:
        yield
    finally:
        warnings.formatwarning = before


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m qkdlib", description="Commands behind the Makefile.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train and execute what has no record")
    run.add_argument(
        "--fresh", nargs="?", const="all", default="no", choices=("no", "students", "all"),
        help="retrain all students first, or the teachers, too",
    )  # fmt: skip
    run.add_argument("--only", nargs="+", metavar="PART", help="these chapters, or parts of chapters")
    commands.add_parser("rules", help="print the pages as rules of a makefile")
    teachers = commands.add_parser("teachers", help="train the teachers of the study's tables that have no logits yet")
    teachers.add_argument("--fresh", action="store_true", help="train all of them anew")
    summary = commands.add_parser("summary", help="print a table of a workspace's records and name its figures")
    notebooks = commands.add_parser("notebooks", help="execute notebooks, headless, one after the other")
    notebooks.add_argument("names", nargs="+", help="names in notebooks/, without .ipynb")
    notebooks.add_argument("--out", required=True, help="folder of the executed copies")
    notebooks.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
        help="a notebook's parameter, as a Python literal or a word",
    )  # fmt: skip
    verify = commands.add_parser("verify", help="train five experiments again and compare bits with portable records")
    verify.add_argument("--make", action="store_true", help="write the portable records anew")
    for command in (run, summary, teachers, verify):
        command.add_argument("--workspace", default=".", help="folder of results, tables and figures")
    return parser


def _run(options: argparse.Namespace) -> None:
    from qkdlib import portable, runtime

    runtime.threads(), data_root(), portable.wanted()  # wrong variables are said before any work
    COMMANDS[options.command](options)


def _missing(options: argparse.Namespace) -> None:
    from qkdlib.study import missing

    missing.run(Workspace(options.workspace), options.fresh, options.only)


def _teachers(options: argparse.Namespace) -> None:
    from qkdlib.study import missing

    workspace = Workspace(options.workspace)
    missing.train_teachers(missing.all_teachers(workspace), workspace, options.fresh)
    print("every teacher of the tables has its logits")


def _verify(options: argparse.Namespace) -> None:
    from qkdlib.study import verify

    if options.make:
        verify.make(Workspace(options.workspace))
    elif not verify.verify(Workspace(options.workspace)):
        raise RuntimeError("this machine computes other bits than those of the portable records")


def _summary(options: argparse.Namespace) -> None:
    from qkdlib.records import summary

    print(summary.text(Workspace(options.workspace)))


def _rules(_: argparse.Namespace) -> None:
    from qkdlib.study import pages

    print(pages.rules(), end="")


def _notebooks(options: argparse.Namespace) -> None:
    """The notebooks, after everything that is asked for has been checked."""
    from qkdlib.study import notebooks

    folder_place(options.out, "out")
    parameters = {name: _literal(value) for name, value in options.parameters}
    asked = [name for name, _ in options.parameters]
    copies = {name: Path(options.out) / f"{name}.ipynb" for name in options.names}
    for name, copy in copies.items():
        notebooks.check(name, copy, parameters, asked)
    for name, copy in copies.items():
        print(f"executing notebooks/{name}.ipynb into {options.out}", flush=True)
        notebooks.execute(name, copy, parameters, asked)


def _literal(text: str):
    """What a Python literal means; any other text is itself."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


COMMANDS = {
    "run": _missing, "rules": _rules, "teachers": _teachers, "summary": _summary,
    "notebooks": _notebooks, "verify": _verify,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
