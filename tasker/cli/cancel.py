"""`tasker cancel RUN…`: end runs that are under way or wait, in whatever daemon or command has them."""

from __future__ import annotations

import json
import os
import pwd
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasker.cli import options
from tasker.cli.named import WORDS, runs_to_end
from tasker.cli.runs import told_of
from tasker.run import Slot

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from tasker.history import History, RunRecord

_LOOK_S = 0.2
"""Seconds between two looks at what has become of them."""
_SETTLE_S = 1.0
"""Seconds between two looks for commands that have died."""
_HEEDED_BY_S = 2.0
"""Seconds after which somebody who has a run would have heeded it."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("cancel", help="end runs that are under way, or wait", description=__doc__)
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", help=f"{WORDS}; of a file with for_each, for all that have not ended"
    )
    options.add_flag(parser, "--no-wait", help="do not wait for their ends")
    options.add_history(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Have them ended, and wait for that; 0 if all have."""
    from tasker.history import History  # noqa: PLC0415 - `tasker --help` needs none of it

    place = options.history(arguments)
    with History.read(place) as history:  # it begins no history
        runs = {record.id: record for name in arguments.runs for record in runs_to_end(history, name)}
    with History.join(place) as history:
        _settle(history, arguments)
        wanted = [*_to_cancel(history, [*runs.values()])]
        if arguments.no_wait:
            return 0
        ended, left = _awaited(history, wanted, arguments)
    _tell([told_of(record) for record in ended])
    for record in left:
        words = "it ends, and is not resumed, when the next daemon starts on this history"
        print(f"tasker: there is no daemon that could heed it: {record.id}: {words}", file=sys.stderr)  # noqa: T201
    return 1 if left else 0


def _to_cancel(history: History, runs: Sequence[RunRecord]) -> Iterator[RunRecord]:
    """Say in the history that these are to end; those that had not ended before."""
    user, now = _user(), datetime.now(UTC)
    for record in runs:
        before = _now(history, record)
        if before.ended_at is None:
            history.cancel(record.id, user, now)
            yield before
        else:
            print(f"tasker: {record.id} had ended already: {before.status}", file=sys.stderr)  # noqa: T201


def _awaited(
    history: History, runs: Sequence[RunRecord], arguments: argparse.Namespace
) -> tuple[list[RunRecord], list[RunRecord]]:
    """Those that have ended, as they are then; and those that nobody is there to end."""
    ended: dict[str, RunRecord] = {}
    left = {record.id: record for record in runs}
    began = looked = time.monotonic()
    while left:
        for record in [_now(history, each) for each in left.values()]:
            if record.ended_at is not None:
                ended[record.id] = record
                del left[record.id]
        now = time.monotonic()
        if left and now - looked >= _SETTLE_S:
            looked = now
            _settle(history, arguments)
            if now - began >= _HEEDED_BY_S and history.deserted():
                break
        if left:
            time.sleep(_LOOK_S)
    return [ended[record.id] for record in runs if record.id in ended], [*left.values()]


def _now(history: History, record: RunRecord) -> RunRecord:
    """A run as it is now; one that waited is gone once its slot is skipped."""
    from tasker.history import RunStatus  # noqa: PLC0415 - as above

    for found in history.found(record.id, 1):
        if found.id == record.id:
            return found
    slot = history.slot(Slot(record.pipeline, record.slot))
    reason = slot.reason if slot is not None else None
    return replace(record, status=RunStatus.SKIPPED, ended_at=datetime.now(UTC), error=reason)


def _settle(history: History, arguments: argparse.Namespace) -> None:
    from tasker import journal  # noqa: PLC0415 - as above
    from tasker.settling import settle  # noqa: PLC0415

    for path in settle(history, Path(arguments.state) / journal.FOREGROUND, datetime.now(UTC)):
        path.unlink(missing_ok=True)


def _user() -> str:
    """Who this is, by the system and not by a variable."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container
        return f"user {os.getuid()}"


def _tell(ended: Sequence[dict[str, Any]]) -> None:
    if not sys.stdout.isatty():
        for each in ended:
            print(json.dumps(each))  # noqa: T201 - the answer of the command
    elif ended:
        from tasker.cli.tables import print_runs  # noqa: PLC0415 - nothing of it is needed in a pipe

        print_runs(ended)
