"""`tasker show FILE`: the pipeline that a file comes to, or each of several, secrets masked."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tasker.cli import options
from tasker.cli.formats import FORMATS, written
from tasker.errors import UsageError
from tasker.shown import shown

if TYPE_CHECKING:
    import argparse


_VARIABLE = "TASKER_SHOW_FORMAT"
"""Not `TASKER_FORMAT`, which says how faults are told, and knows other words."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("show", help="the resolved pipeline, secrets masked", description=__doc__)
    parser.add_argument("file", metavar="FILE", help="a conf file")
    words = f"one of {', '.join(FORMATS)}; default: hocon on a terminal, json in a pipe [{_VARIABLE}]"
    options.add(parser, "--instance", metavar="KEY", help="one entry of 'for_each'; default: all")
    parser.add_argument("--format", metavar="FORMAT", default=os.environ.get(_VARIABLE), help=words)
    options.add_file_options(parser)
    options.add_params(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the pipelines, or every fault of their file."""
    terminal = sys.stdout.isatty()
    form = arguments.format or ("hocon" if terminal else "json")
    if form not in FORMATS:
        message = f"no format is named '{form}'; there are {', '.join(FORMATS)}"
        raise UsageError(message)
    project = options.project(arguments)
    file = project.load_file(Path(arguments.file), options.pairs(arguments.set, "--set"))
    chosen = file.only(arguments.instance) if arguments.instance is not None else file
    if not chosen.is_valid:
        from tasker.reports import report  # noqa: PLC0415 - only faults need it

        for line in report(chosen.faults, colour=sys.stderr.isatty()):
            print(line, file=sys.stderr)  # noqa: T201 - a command line speaks by printing
        return 2
    for loaded in chosen.loaded:
        if form != "json" and len(chosen.loaded) > 1:
            print("---" if form == "yaml" else f"# {loaded.instance}")  # noqa: T201 - as below
        print(written(shown(loaded), form, indent=2 if terminal else None))  # noqa: T201 - the answer of the command
    return 0
