"""How commands that carry out runs tell what happens in them: JSON lines in a pipe, a live view on a terminal."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasker.cli import options
from tasker.cli.boundary import BROKEN_PIPE, UNWRITABLE, caught
from tasker.facts import Level

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from tasker.facts import Fact
    from tasker.faults import Fault
    from tasker.foreground.manner import Manner
    from tasker.foreground.planned import Planned


def manner(arguments: argparse.Namespace) -> Manner:
    """How the options want runs told and kept."""
    from tasker.foreground.manner import Manner  # noqa: PLC0415 - a dry run needs none of it

    least = Level(arguments.log_level)
    return Manner(
        audience=_watched if is_for_people(arguments) else lambda runs: _logged(runs, least),
        tell=_said if is_for_people(arguments) else _written,
        guard=caught,
        unheard=frozenset({UNWRITABLE, BROKEN_PIPE}),
        place=options.place(arguments),
    )


def is_for_people(arguments: argparse.Namespace) -> bool:
    """Whether people are to read what happens, and not machines."""
    return bool(arguments.log_format == "console" or (arguments.log_format == "auto" and sys.stdout.isatty()))


def tell_faults(faults: Iterable[Fault], *, people: bool) -> None:
    """Tell of faults: to people on standard error, to machines in the log."""
    if people:
        from tasker.reports import report  # noqa: PLC0415 - only faults need it

        for line in report(faults, colour=sys.stderr.isatty()):
            print(line, file=sys.stderr)  # noqa: T201 - a command line speaks by printing
    else:
        from tasker.facts import config_invalid  # noqa: PLC0415
        from tasker.faults import in_order  # noqa: PLC0415

        for fault in in_order(faults):
            _written(config_invalid(fault, datetime.now(UTC)))


@contextmanager
def _logged(runs: Sequence[Planned], least: Level) -> Iterator[Callable[[Fact], None]]:
    """A JSON line for each fact, and first for each pipeline that is valid."""
    from tasker.facts import config_loaded  # noqa: PLC0415
    from tasker.logs import JsonLog, Output  # noqa: PLC0415

    with Output(os.dup(1)) as output:
        log = JsonLog(output, level=least)
        for run in runs:
            plan = run.pipeline
            log.observe(config_loaded(plan.name, plan.revision, plan.file, datetime.now(UTC)))
        yield log.observe


def _watched(runs: Sequence[Planned]) -> AbstractContextManager[Callable[[Fact], None]]:
    """A live view: of the steps of one run, or of several runs."""
    if len(runs) == 1:
        from tasker.cli.live import LiveView  # noqa: PLC0415 - nothing of it is needed in a pipe

        return LiveView(runs[0].pipeline)
    from tasker.cli.live_runs import RunsView  # noqa: PLC0415 - as above

    return RunsView([run.pipeline for run in runs])


def _written(fact: Fact) -> None:
    from tasker.logs import JsonLog  # noqa: PLC0415

    JsonLog(sys.stdout.buffer).observe(fact)
    sys.stdout.buffer.flush()


def _said(fact: Fact) -> None:
    from tasker.cli.console import said  # noqa: PLC0415

    print(f"tasker: {said(fact)}", file=sys.stderr)  # noqa: T201 - a command line speaks by printing
