"""The commands: the one place that catches what goes wrong and turns it into words and an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from tasker.cli import new, once, show, tasks, validate
from tasker.errors import TaskerError

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = 2
"""Exit status of a wrong command line or an invalid file."""
INTERNAL = 70
"""Exit status of a fault of tasker's own: `EX_SOFTWARE` of sysexits.h."""
BROKEN_PIPE = 141
"""Exit status where nobody reads the output any more: 128 and SIGPIPE, as of any other program."""
INTERRUPTED = 130
"""Exit status of Ctrl-C while no run was under way: 128 and SIGINT."""

_DESCRIPTION = "A configuration-driven orchestrator: a HOCON file, a folder of tasks, one process."
_EXIT_STATUS = "exit status: 0 it worked; 1 a step failed; 2 wrong usage or an invalid file; 130, 143 stopped by a signal"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    try:
        parsed = _parser().parse_args(arguments)
        status: int = parsed.command(parsed)
        sys.stdout.flush()
    except TaskerError as error:
        print(f"tasker: {error}", file=sys.stderr)  # noqa: T201 - a command line speaks by printing
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered has nowhere to go; without this, Python complains of it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except Exception:  # noqa: BLE001 - the last boundary
        sys.excepthook(*sys.exc_info())
        print("tasker: this is a fault of tasker itself; please report it with the lines above", file=sys.stderr)  # noqa: T201
        return INTERNAL
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tasker", description=_DESCRIPTION, epilog=_EXIT_STATUS)
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (once, validate, tasks, show, new):
        module.add(commands)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: reading a package's metadata takes its time."""

    def __init__(self, option_strings: Sequence[str], dest: str, **rest: object) -> None:
        super().__init__(option_strings, dest, nargs=0, **rest)  # type: ignore[arg-type]

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415

        print(f"tasker {version('tasker')}")  # noqa: T201
        parser.exit()
