"""`tasker once FILE…`: validate and run now, in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tasker.cli import options
from tasker.duplicates import duplicates
from tasker.faults import Severity

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from tasker.faults import Fault
    from tasker.project import Loaded, Project


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("once", help="validate and run now, in the foreground", description=__doc__)
    parser.add_argument("files", metavar="FILE", nargs="+", help="a conf file; several run one after the other")
    options.add_flag(parser, "--dry-run", help="validate, and show what would run in which order")
    options.add_file_options(parser)
    options.add_params(parser)
    options.add_run_options(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Validate all files, then run them; nothing runs where one has a fault."""
    project = options.project(arguments)
    overrides = options.pairs(arguments.set, "--set")
    all_loaded = [project.load(Path(file), overrides) for file in arguments.files]
    console = arguments.log_format == "console" or (arguments.log_format == "auto" and sys.stdout.isatty())
    if _report(project, all_loaded, console=console):
        return 2
    if arguments.dry_run:
        for loaded in all_loaded:
            _show_plan(loaded)
        return 0
    own = [] if project.settings.keep_workspace else [loaded.occasion.workspace for loaded in all_loaded]
    return _supervised(lambda: max(_run_all(project, all_loaded, arguments, console=console)), own)


def _supervised(runs: Callable[[], int], workspaces: list[Path]) -> int:
    """Have the runs in a process of their own; what they raise is told there, and comes to the same exit status."""
    from tasker.cli.boundary import caught  # noqa: PLC0415 - a dry run needs neither
    from tasker.running.supervision import supervised  # noqa: PLC0415

    return supervised(lambda: caught(runs), workspaces)


def _run_all(
    project: Project, all_loaded: list[Loaded], arguments: argparse.Namespace, *, console: bool
) -> Iterator[int]:
    """Run one after the other until a signal stops one; their exit statuses."""
    from tasker.facts import Level  # noqa: PLC0415
    from tasker.foreground.logged import run_logged  # noqa: PLC0415 - a dry run needs no log

    for loaded in all_loaded:
        status = _run_watched(project, loaded) if console else run_logged(project, loaded, Level(arguments.log_level))
        yield status
        if status > 1:
            return


def _run_watched(project: Project, loaded: Loaded) -> int:
    """Run, with a live view on the terminal; the exit status."""
    from tasker.cli.live import LiveView  # noqa: PLC0415 - nothing of it is needed in a pipe
    from tasker.running.stop import exit_status  # noqa: PLC0415
    from tasker.running.supervision import stopped_by_signals  # noqa: PLC0415

    assert loaded.pipeline is not None  # noqa: S101 - there were no faults
    with stopped_by_signals() as stop, LiveView(loaded.pipeline) as view:
        return exit_status(project.run(loaded, observers=[view], stop=stop), stop)


def _report(project: Project, all_loaded: list[Loaded], *, console: bool) -> bool:
    """Tell the faults of the files and of task modules; whether one in the files is an error."""
    faults = [*(fault for loaded in all_loaded for fault in loaded.faults), *_duplicates(all_loaded)]
    told = [*project.catalogue.discovery.faults, *faults]
    if told and console:
        from tasker.reports import report  # noqa: PLC0415

        for line in report(told, colour=sys.stderr.isatty()):
            print(line, file=sys.stderr)  # noqa: T201 - a command line speaks by printing
    elif told:
        from tasker.clock import Clock  # noqa: PLC0415
        from tasker.facts import config_invalid  # noqa: PLC0415
        from tasker.logs import JsonLog  # noqa: PLC0415

        log = JsonLog(sys.stdout.buffer)
        for fault in told:
            log.observe(config_invalid(fault, Clock().now()))
    return any(fault.severity is Severity.ERROR for fault in faults)


def _duplicates(all_loaded: list[Loaded]) -> Iterator[Fault]:
    """A fault for each file whose pipeline has the name of another's; one file may run twice."""
    files = {loaded.path.absolute(): loaded for loaded in all_loaded}.values()
    return duplicates((loaded.pipeline.name, loaded.named_at) for loaded in files if loaded.pipeline is not None)


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
