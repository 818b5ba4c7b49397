"""`tasker validate [FILE or DIR…]`: every fault of every file, and nothing runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tasker.cli import options
from tasker.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from tasker.faults import Fault
    from tasker.project import Loaded

FORMATS = ("text", "json", "github", "sarif")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("validate", help="only validate", description=__doc__)
    parser.add_argument("paths", metavar="FILE or DIR", nargs="*", default=["conf.d"], help="default: conf.d")
    options.add(parser, "--format", choices=FORMATS, default="text", help="how faults are told")
    options.add_file_options(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Report the faults; 2 where one of them is an error."""
    from tasker.faults import Severity  # noqa: PLC0415
    from tasker.reports import report  # noqa: PLC0415

    project = options.project(arguments)
    overrides = options.pairs(arguments.set, "--set")
    files = list({file.absolute(): file for file in _files(map(Path, arguments.paths))}.values())
    all_loaded = [project.load(file, overrides) for file in files]
    faults = [*(fault for loaded in all_loaded for fault in loaded.faults), *_duplicates(all_loaded)]
    # What stands in an include is found again with each file that includes it.
    faults = list(dict.fromkeys([*faults, *project.catalogue.discovery.faults]))
    for line in report(faults, arguments.format, colour=sys.stdout.isatty()):
        print(line)  # noqa: T201 - the answer of the command
    errors = [fault for fault in faults if fault.severity is Severity.ERROR]
    if arguments.format == "text":
        found = f"{_count(len(errors), 'fault')} in" if errors else "no fault in"
        print(f"tasker: {found} {_count(len(files), 'file')}", file=sys.stderr)  # noqa: T201 - a command line speaks
    return 2 if errors else 0


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    from tasker.project import conf_files  # noqa: PLC0415

    for path in paths:
        if path.is_dir():
            yield from conf_files(path)
        elif path.exists():
            yield path
        else:
            message = f"there is no file or folder {path}"
            raise UsageError(message)


def _duplicates(all_loaded: list[Loaded]) -> Iterator[Fault]:
    """A fault for each pipeline whose name another file has already."""
    from tasker.faults import Fault, Place  # noqa: PLC0415

    first: dict[str, Place] = {}
    for loaded in all_loaded:
        if loaded.pipeline is None or loaded.document is None:
            continue
        name = loaded.document.root.fields.get("name")
        place = name.place if name is not None else Place(loaded.pipeline.file)
        if (known := first.setdefault(loaded.pipeline.name, place)) is not place:
            message = f"two pipelines are named '{loaded.pipeline.name}'"
            yield Fault("duplicate-pipeline", place, message, f"the first one is at {known}; set 'name' in one of them")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
