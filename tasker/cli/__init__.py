"""The commands: what people type, each in a module of its own."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from tasker.cli.boundary import caught

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (
    "once",
    "watch",
    "validate",
    "tasks",
    "show",
    "next",
    "runs",
    "logs",
    "diff",
    "cancel",
    "rerun",
    "health",
    "export",
    "new",
)
"""Each is a module of this package with `add`, which adds its parser, and `run`, which does it."""

_DESCRIPTION = "A configuration-driven orchestrator: a HOCON file, a folder of tasks, one process."
_EXIT_STATUS = (
    "exit status: 0 it worked; 1 a step failed; 2 wrong usage or an invalid file; 130, 143 stopped by a signal"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    return caught(lambda: _command(arguments))


def _command(arguments: Sequence[str] | None) -> int:
    words = sys.argv[1:] if arguments is None else list(arguments)
    parsed = _parser(words).parse_args(words)
    status: int = parsed.command(parsed)
    return status


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of these words, with the imports of those commands alone that they may mean."""
    parser = argparse.ArgumentParser(prog="tasker", description=_DESCRIPTION, epilog=_EXIT_STATUS)
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in _meant(words):
        import_module(f"tasker.cli.{name}").add(commands)
    return parser


def _meant(words: Sequence[str]) -> Sequence[str]:
    """The one command that the words begin with; all, where they begin with none, as for help; for a version, none."""
    if words[:1] == ["--version"]:
        return ()
    return words[:1] if words and words[0] in COMMANDS else COMMANDS


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: reading a package's metadata takes its time."""

    def __init__(self, option_strings: Sequence[str], dest: str, **rest: object) -> None:
        super().__init__(option_strings, dest, nargs=0, **rest)  # type: ignore[arg-type]

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415

        print(f"tasker {version('tasker')}")  # noqa: T201
        parser.exit()
