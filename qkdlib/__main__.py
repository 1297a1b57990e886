"""The command line: `qkdlib`, or `python -m qkdlib`, and what it says when something is wrong."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator

from qkdlib import commands, portable, runtime
from qkdlib.commands import WRONG, one_line
from qkdlib.workspace import data_root

FAILED, INTERRUPTED = 1, 130  # exit statuses


def main(arguments: list[str] | None = None) -> int:
    """Run a command. What is wrong is one line on stderr: exit status 2 for a wrong value or a missing data set, 1 for
    what failed otherwise, 130 for Ctrl-C."""
    try:
        with _plain_output():
            options = commands.parser().parse_args(arguments)
            runtime.threads(), data_root(), portable.wanted()  # wrong variables are said before any work
            options.call(options)
            print(end="", flush=True)
        return 0
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except (ValueError, FileNotFoundError) as error:
        return _say(error, WRONG)
    except (OSError, RuntimeError, MemoryError, ImportError) as error:
        return FAILED if isinstance(error, BrokenPipeError) and _output_is_lost() else _say(error, FAILED)


def _say(error: BaseException | str, status: int) -> int:
    print(f"error: {one_line(str(error)) or type(error).__name__}", file=sys.stderr)
    return status


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
        line = f"warning: {one_line(str(message))}\n"
        new = line not in said
        said.add(line)
        return line if new else ""

    warnings.formatwarning = once
    try:
        yield
    finally:
        warnings.formatwarning = before


if __name__ == "__main__":
    sys.exit(main())
