"""`tasker logs RUN`: the log of one run, as it was told. RUN is an id, how one begins, or a pipeline: its last run."""

from __future__ import annotations

import sys
import time
from itertools import count
from typing import TYPE_CHECKING

from tasker.cli import options
from tasker.cli.named import WORDS, run_named, settle_seen

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from tasker.facts import Fact
    from tasker.history import History, RunRecord

_FOLLOW_S = 0.2
"""Seconds between two looks for what is new."""
_LOOKS = 5
"""Every so many looks it is asked whether anybody is there who has the run."""
_AT_ONCE = 1000
"""Facts that are read at once."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("logs", help="the log of one run", description=__doc__)
    parser.add_argument("run", metavar="RUN", help=WORDS)
    options.add_flag(parser, "--follow", help="go on until the run has ended")
    options.add_history(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Tell the log: lines for people on a terminal, JSON lines in a pipe."""
    from tasker.history import History  # noqa: PLC0415 - `tasker --help` needs none of it

    place = options.history(arguments)
    with History.read(place) as history:
        settle_seen(history, place, arguments)
        record = run_named(history, arguments.run)
        tell = _teller()
        last = _told(history, record.id, 0, tell)
        left = False
        for look in count(1):
            if not arguments.follow or record.ended_at is not None or left:
                break
            time.sleep(_FOLLOW_S)
            settle_seen(history, place, arguments)
            left = look % _LOOKS == 0 and _is_left(history, record)
            record = run_named(history, record.id)
            last = _told(history, record.id, last, tell)
    if left and record.ended_at is None:
        print(  # noqa: T201
            f"tasker: {record.id} is {record.status}, but there is no daemon: it goes on when the next one starts, "
            "`tasker watch`, unless `tasker cancel` ends it",
            file=sys.stderr,
        )
        return 1
    if record.lines_dropped:
        print(f"tasker: {record.lines_dropped} lines of this log were not kept", file=sys.stderr)  # noqa: T201
    return 0


def _is_left(history: History, record: RunRecord) -> bool:
    """Whether nobody is there who would go on with a run; who may not write cannot tell."""
    from tasker.history import HistoryError  # noqa: PLC0415 - `tasker --help` needs none of it

    try:
        return not record.foreground and history.deserted()
    except HistoryError:
        return False


def _told(history: History, run_id: str, after: int, tell: Callable[[Fact], None]) -> int:
    """Tell what is behind a number; the last number."""
    while page := history.log(run_id, after, _AT_ONCE):
        for _, fact in page:
            tell(fact)
        after = page[-1][0]
    return after


def _teller() -> Callable[[Fact], None]:
    from tasker.facts import Level  # noqa: PLC0415
    from tasker.logs import JsonLog, Output  # noqa: PLC0415

    output = Output(sys.stdout.fileno())
    if not sys.stdout.isatty():
        return JsonLog(output, level=Level.DEBUG).observe
    from tasker.cli.console import ConsoleLog  # noqa: PLC0415 - nothing of it is needed in a pipe

    return ConsoleLog(output, colour=True).observe
