"""Commands behind the Makefile: `python -m qkdlib paper-artifacts | teachers | notebooks | summary`."""

import argparse
import ast
import sys

from qkdlib import runs
from qkdlib.workspace import Workspace


def main(arguments: list[str] | None = None) -> int:
    """Run a command; a wrong parameter or a missing data set is one line on stderr and exit status 2."""
    parser = argparse.ArgumentParser(prog="python -m qkdlib", description="Commands behind the Makefile.")
    commands = parser.add_subparsers(dest="command", required=True)
    artefacts = commands.add_parser("paper-artifacts", help="redraw tables and figures; run what has no record")
    artefacts.add_argument(
        "--fresh", nargs="?", const="all", default="no", choices=("no", "students", "all"),
        help="retrain all students first, or the teachers, too",
    )  # fmt: skip
    artefacts.add_argument(
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
    for command in (artefacts, summary, teachers):
        command.add_argument("--workspace", default=".", help="folder of results, tables and figures")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options) -> int:
    if options.command == "paper-artifacts":
        from qkdlib import artefacts

        artefacts.make(Workspace(options.workspace), options.fresh, options.only)
    elif options.command == "teachers":
        runs.train_teachers(runs.all_teachers(), Workspace(options.workspace), options.fresh, print)
        print("every teacher of the tables has its logits")
    elif options.command == "notebooks":
        from qkdlib import notebooks

        parameters = notebooks.parameters_of(options.row) if options.row else {}
        parameters |= {name: _literal(value) for name, value in options.parameters}
        for name in options.names:
            print(f"executing notebooks/{name}.ipynb into {options.out}", flush=True)
            asked = [each for each, _ in options.parameters]
            notebooks.execute(name, f"{options.out}/{name}.ipynb", parameters, asked)
    else:
        from qkdlib import summary

        print(summary.text(Workspace(options.workspace)))
    return 0


def _literal(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    sys.exit(main())
