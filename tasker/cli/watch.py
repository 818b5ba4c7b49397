"""`tasker watch [DIR]`: the daemon, which watches, revalidates, schedules and runs."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentTypeError
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasker.cli import options
from tasker.durations import parse_duration
from tasker.errors import UsageError
from tasker.facts import Level

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from datetime import timedelta

    from tasker.daemon.loop import Watching
    from tasker.facts import Fact
    from tasker.logs import QueuedOutput
    from tasker.monitoring.metrics import Metrics
    from tasker.monitoring.state import DaemonState

_LAST_LINES_S = 5.0
"""Seconds that whoever reads the log gets, at the end, to read the rest of it."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("watch", help="the daemon: watch, revalidate, schedule, run", description=__doc__)
    parser.add_argument("folder", metavar="DIR", nargs="?", default="conf.d", help="default: conf.d")
    options.add_file_options(parser)
    options.add_run_options(parser)
    options.add_history(parser)
    options.add(parser, "--keep", metavar="DURATION", type=_duration, help="how long runs are kept (default: 30d)")
    bound = "runs at once (default: four a core, fewer where memory is limited)"
    options.add(parser, "--max-runs", metavar="N", type=options.count, help=bound)
    poll = "look at the folders so often, in place of being told of changes"
    options.add(parser, "--poll", metavar="SECONDS", type=_interval, help=poll)
    options.add_http(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Watch until a signal asks to stop; the exit status."""
    from tasker.daemon.loop import Daemon  # noqa: PLC0415 - `tasker --help` needs none of it

    watching = _watching(arguments)
    with ExitStack() as closing:
        output, log = _log(arguments, lambda error: daemon.report("log", _unwritable(error)))
        closing.enter_context(output)
        closing.callback(output.drain, _LAST_LINES_S)
        metrics = _metrics() if arguments.http else None
        daemon = Daemon(watching, options.settings(arguments), log, metrics=metrics)
        http = None
        if metrics is not None:
            http = _answer(lambda: replace(daemon.state, log_dropped=output.dropped), metrics, arguments.http, closing)
        return daemon.run(http=http)


def _watching(arguments: argparse.Namespace) -> Watching:
    """What the options say of the daemon. Raises `UsageError`."""
    from tasker.daemon.loop import Watching  # noqa: PLC0415
    from tasker.history import Retention  # noqa: PLC0415

    folder = Path(arguments.folder)
    if folder.exists() and not folder.is_dir():
        message = f"{folder} is not a folder: watch a folder of conf files, or run one with `tasker once {folder}`"
        raise UsageError(message)
    bound = {} if arguments.max_runs is None else {"max_runs": arguments.max_runs}
    retention = Retention() if arguments.keep is None else Retention(age=arguments.keep)
    return Watching(
        folder=folder,
        state=Path(arguments.state),
        history=options.history(arguments),
        poll_s=arguments.poll,
        retention=retention,
        **bound,
    )


def _log(
    arguments: argparse.Namespace, troubled: Callable[[OSError | None], None]
) -> tuple[QueuedOutput, Callable[[Fact], None]]:
    """Standard output, and who tells there what happens: a line for people on a terminal, and JSON elsewhere."""
    from tasker.logs import JsonLog, QueuedOutput, dropped_lines  # noqa: PLC0415

    level = Level(arguments.log_level)
    if arguments.log_format == "console" or (arguments.log_format == "auto" and sys.stdout.isatty()):
        from tasker.cli.console import ConsoleLog  # noqa: PLC0415

        output = QueuedOutput(os.dup(1), gap=lambda lines: log.told(dropped_lines(lines)), troubled=troubled)
        log = ConsoleLog(output, level=level, colour=sys.stdout.isatty())
        return output, log.observe
    output = QueuedOutput(os.dup(1), troubled=troubled)
    return output, JsonLog(output, level=level).observe


def _metrics() -> Metrics:
    from tasker.monitoring.metrics import Metrics  # noqa: PLC0415 - only where somebody can ask for them

    return Metrics()


def _answer(state: Callable[[], DaemonState], metrics: Metrics, address: tuple[str, int], closing: ExitStack) -> str:
    """Answer probes until the end; where."""
    from tasker.monitoring.probes import Probes, shown  # noqa: PLC0415 - only where somebody asks

    probes = closing.enter_context(Probes(*address, state, metrics))
    return shown(*probes.address)


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError:
        message = f"{text!r} is no duration, such as 30d or 12h"
        raise ArgumentTypeError(message) from None


def _interval(text: str) -> float:
    seconds = options.seconds(text)
    if seconds <= 0:
        message = "it is to be more than nought"
        raise ArgumentTypeError(message)
    return seconds


def _unwritable(error: OSError | None) -> str | None:
    return f"it cannot be written: {error.strerror or error}" if error else None
