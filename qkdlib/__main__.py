"""Commands behind the Makefile: `python -m qkdlib paper-artifacts | teachers | notebooks | verify |
summary`."""

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
    from qkdlib.study import runs

    parser = Parser(prog="python -m qkdlib", description="Commands behind the Makefile.")
    commands = parser.add_subparsers(dest="command", required=True)
    publish = commands.add_parser("paper-artifacts", help="redraw tables and figures; run what has no record")
    publish.add_argument(
        "--fresh", nargs="?", const="all", default="no", choices=("no", "students", "all"),
        help="retrain all students first, or the teachers, too",
    )  # fmt: skip
    publish.add_argument(
        "--only", nargs="+", choices=runs.PARTS, default=runs.PARTS, help="run these parts of the experiments"
    )
    teachers = commands.add_parser("teachers", help="train the teachers of the paper's tables that have no logits yet")
    teachers.add_argument("--fresh", action="store_true", help="train all of them anew")
    summary = commands.add_parser("summary", help="print a table of a workspace's records and name its figures")
    notebooks = commands.add_parser("notebooks", help="execute notebooks, headless, one after the other")
    notebooks.add_argument("names", nargs="+", help="names in notebooks/, without .ipynb")
    notebooks.add_argument("--out", required=True, help="folder of the executed copies")
    notebooks.add_argument("--row", help="run them for this row of the paper's tables, e.g. M-D-lenet-3q-05")
    notebooks.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
        help="a notebook's parameter, as a Python literal or a word",
    )  # fmt: skip
    verify = commands.add_parser("verify", help="train five experiments again and compare bits with portable records")
    verify.add_argument("--make", action="store_true", help="write the portable records anew")
    for command in (publish, summary, teachers, verify):
        command.add_argument("--workspace", default=".", help="folder of results, tables and figures")
    return parser


def _run(options) -> None:
    from qkdlib import portable, runtime
    from qkdlib.study import runs

    runtime.threads(), data_root(), portable.wanted()  # wrong variables are said before any work
    if options.command == "notebooks":
        return _execute(options)
    workspace = Workspace(options.workspace)
    if options.command == "paper-artifacts":
        from qkdlib.study import publish

        publish.make(workspace, options.fresh, options.only)
    elif options.command == "teachers":
        runs.train_teachers(runs.all_teachers(), workspace, options.fresh, print)
        print("every teacher of the tables has its logits")
    elif options.command == "verify":
        from qkdlib.study import verify

        if options.make:
            verify.make(workspace)
        elif not verify.verify(workspace):
            raise RuntimeError("this machine computes other bits than those of the portable records")
    else:
        from qkdlib.records import summary

        print(summary.text(workspace))


def _execute(options) -> None:
    """The notebooks, after everything that is asked for has been checked."""
    from qkdlib.study import notebooks

    folder_place(options.out, "out")
    parameters = notebooks.parameters_of(options.row) if options.row is not None else {}
    parameters |= {name: _literal(value) for name, value in options.parameters}
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


if __name__ == "__main__":
    sys.exit(main())
