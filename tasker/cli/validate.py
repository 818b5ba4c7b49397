"""`tasker validate [FILE or DIR…]`: every fault of every file, and nothing runs."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tasker.cli import options
from tasker.cli.files import named_files
from tasker.duplicates import duplicates
from tasker.faults import Severity
from tasker.settings import default_cache
from tasker.verdicts import Verdicts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from tasker.faults import Fault
    from tasker.settings import Settings
    from tasker.verdicts import Verdict

FORMATS = ("text", "json", "github", "sarif")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("validate", help="only validate", description=__doc__)
    parser.add_argument("paths", metavar="FILE or DIR", nargs="*", default=["conf.d"], help="default: conf.d")
    options.add(parser, "--format", choices=FORMATS, default="text", help="how faults are told")
    options.add(parser, "--cache", metavar="DIR", help="where to keep which files are valid; '' for nowhere")
    options.add_file_options(parser)
    options.add_params(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Report the faults; 2 where one of them is an error."""
    files = named_files(arguments.paths)
    faults, pipelines = _faults(files, arguments)
    if faults or arguments.format == "sarif":
        from tasker.reports import report  # noqa: PLC0415 - only faults need it, and SARIF, which tells of none, too

        for line in report(faults, arguments.format, colour=sys.stdout.isatty()):
            print(line)  # noqa: T201 - the answer of the command
    errors = [fault for fault in faults if fault.severity is Severity.ERROR]
    if arguments.format == "text":
        found = f"{_count(len(errors), 'fault')} in" if errors else "no fault in"
        several = f", {pipelines} pipelines" if pipelines > len(files) and not errors else ""
        print(f"tasker: {found} {_count(len(files), 'file')}{several}", file=sys.stderr)  # noqa: T201 - a command line speaks
    return 2 if errors else 0


def _faults(files: list[Path], arguments: argparse.Namespace) -> tuple[list[Fault], int]:
    """The faults of all files, and how many pipelines the valid ones make.

    Each fault is told once: what stands in an include is found with each file that includes it.
    """
    settings = options.settings(arguments)
    overrides = options.pairs(arguments.set, "--set")
    verdicts = Verdicts(_cache(arguments), settings, overrides, datetime.now(UTC))
    known = {file: verdict for file in files if (verdict := verdicts.get(file))}
    faults = [] if files and len(known) == len(files) else _validated(files, known, settings, overrides, verdicts)
    named = [(known[file].name, known[file].place) for file in files if file in known]
    pipelines = sum(verdict.pipelines for verdict in known.values())
    return list(dict.fromkeys([*faults, *duplicates(named)])), pipelines


def _validated(
    files: list[Path],
    known: dict[Path, Verdict],
    settings: Settings,
    overrides: Mapping[str, str],
    verdicts: Verdicts,
) -> list[Fault]:
    """The faults of the files that are not `known` to be valid; those that prove to be become so."""
    from tasker.project import Project  # noqa: PLC0415 - what is known to be valid needs none of it

    project = Project(settings)
    faults: list[Fault] = []
    for file in files:
        if file not in known:
            loaded = project.load_file(file, overrides)
            faults += loaded.faults
            if not loaded.faults:
                known[file] = verdicts.add(loaded)
    project.catalogue.load_folders()
    if not project.catalogue.discovery.faults:
        verdicts.save()
    return faults + project.catalogue.discovery.faults


def _cache(arguments: argparse.Namespace) -> Path | None:
    if arguments.cache is None:
        return default_cache()
    return Path(arguments.cache) if arguments.cache else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
