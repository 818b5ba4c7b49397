"""`tasker once FILE…`: validate and run now, in the foreground."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tasker.cli import options, telling
from tasker.faults import Severity

if TYPE_CHECKING:
    import argparse

    from tasker.project import Loaded


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("once", help="validate and run now, in the foreground", description=__doc__)
    parser.add_argument("files", metavar="FILE", nargs="+", help="a conf file; several run one after the other")
    options.add_flag(parser, "--dry-run", help="validate, and show what would run in which order")
    instance = "of a file with for_each, only this one; again for more"
    options.add_words(parser, "--instance", metavar="KEY", help=instance)
    options.add_file_options(parser)
    options.add_params(parser)
    options.add_run_options(parser)
    options.add_history(parser, optional=True)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Validate all files, then run them; nothing runs where one has a fault."""
    from tasker.foreground.planning import Wish, planned, read  # noqa: PLC0415 - `tasker --help` needs none of it

    project = options.project(arguments)
    wish = Wish(overrides=options.pairs(arguments.set, "--set"), instances=tuple(arguments.instance))
    files, faults = read(project, [Path(file) for file in arguments.files], wish)
    telling.tell_faults([*project.catalogue.discovery.faults, *faults], people=telling.is_for_people(arguments))
    if any(fault.severity is Severity.ERROR for fault in faults):
        return 2
    if arguments.dry_run:
        for each in files:
            for loaded in each.wanted:
                _show_plan(loaded)
        return 0
    from tasker.foreground.carrying_out import carry_out  # noqa: PLC0415 - a dry run needs none of it

    return carry_out(project, planned(files, wish, datetime.now(UTC)), telling.manner(arguments))


def _show_plan(loaded: Loaded) -> None:
    """Print the steps, hooks last, one JSON object a line, in an order in which they could run one by one."""
    import json  # noqa: PLC0415 - only for a dry run
    from graphlib import TopologicalSorter  # noqa: PLC0415

    from tasker.document.values import plain  # noqa: PLC0415

    assert loaded.pipeline is not None  # noqa: S101 - there were no faults
    for phase, steps in loaded.pipeline.phases.items():
        for step_id in TopologicalSorter({step.id: step.needs for step in steps}).static_order():
            step = loaded.pipeline.step(step_id)
            told = {"pipeline": loaded.pipeline.name, "step": step.id, "task": step.task, "needs": step.needs}
            told |= {"hook": phase} if phase in loaded.pipeline.hooks else {}
            told |= {"args": plain(step.given, masked=True) if step.given is not None else {}}
            print(json.dumps(told, ensure_ascii=False, default=str))  # noqa: T201 - the answer of the command
